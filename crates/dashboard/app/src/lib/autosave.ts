import { isProblem, type ProblemError } from "../api/problem";

/** What became of the last changes. */
export type SaveState =
  | { kind: "saved" }
  | { kind: "waiting" }
  | { kind: "saving" }
  /** No answer; it is tried again, and meanwhile kept in this browser. */
  | { kind: "offline" }
  /** Some fields were refused; the others are saved. */
  | { kind: "refused"; problem: ProblemError }
  /** Somebody else changed it since it was read. */
  | { kind: "conflict" }
  | { kind: "failed"; error: unknown };

export interface Saved<T> {
  value: T;
  etag: string | undefined;
}

/** Where unsaved changes outlive the page. */
export interface Shelf {
  get(): { etag: string | undefined; changes: Record<string, unknown> } | null;
  put(kept: { etag: string | undefined; changes: Record<string, unknown> } | null): void;
}

interface Ways<T> {
  save(changes: Partial<T>, etag: string | undefined): Promise<Saved<T>>;
  shelf: Shelf;
  changed(state: SaveState): void;
  /** How long typing may pause before it is saved. */
  pause?: number;
  /** How long to wait before the next try without a connection. */
  patience?: number;
}

/** How it stands at the start: what an earlier page kept is not saved. */
export const firstState = (kept: ReturnType<Shelf["get"]>): SaveState => ({ kind: kept ? "waiting" : "saved" });

/** Saves changes a while after they were made: one request at a time, nothing lost, nobody overwritten. */
export class Autosave<T extends object> {
  state: SaveState;
  etag: string | undefined;
  private changes: Partial<T> = {};
  private timer: ReturnType<typeof setTimeout> | undefined;
  private running: Promise<void> | undefined;

  constructor(private readonly ways: Ways<T>, etag: string | undefined) {
    this.etag = etag;
    const kept = ways.shelf.get();
    this.state = firstState(kept);
    if (!kept) return;
    this.changes = kept.changes as Partial<T>;
    if (kept.etag === etag) this.later(0);
    else this.tell({ kind: "conflict" });
  }

  /** What is not saved yet. */
  get unsaved(): Partial<T> {
    return this.changes;
  }

  change(changes: Partial<T>) {
    this.changes = { ...this.changes, ...changes };
    this.keep();
    if (this.state.kind === "conflict") return;
    this.tell({ kind: "waiting" });
    this.later(this.ways.pause ?? 800);
  }

  /** Saves now, and answers whether everything is saved. */
  async flush(): Promise<boolean> {
    clearTimeout(this.timer);
    while (this.running) await this.running;
    if (Object.keys(this.changes).length > 0 && this.state.kind !== "conflict") await this.run();
    return this.state.kind === "saved";
  }

  /** Goes on from what somebody else saved: with one's own changes over it, or without them. */
  resolve(etag: string | undefined, keepMine: boolean) {
    this.etag = etag;
    if (!keepMine) this.changes = {};
    this.keep();
    const left = Object.keys(this.changes).length > 0;
    this.tell({ kind: left ? "waiting" : "saved" });
    if (left) this.later(0);
  }

  stop() {
    clearTimeout(this.timer);
  }

  private later(ms: number) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.run(), ms);
  }

  private async run(): Promise<void> {
    if (this.running) {
      await this.running;
      if (Object.keys(this.changes).length === 0 || this.state.kind === "conflict") return;
    }
    this.running = this.send().finally(() => {
      this.running = undefined;
    });
    await this.running;
  }

  private async send(): Promise<void> {
    const sent = this.changes;
    if (Object.keys(sent).length === 0) return;
    this.tell({ kind: "saving" });
    try {
      await this.deliver(sent);
      const left = Object.keys(this.changes).length > 0;
      this.tell({ kind: left ? "waiting" : "saved" });
      if (left) this.later(this.ways.pause ?? 800);
    } catch (error) {
      await this.cope(error, sent);
    }
  }

  private async deliver(sent: Partial<T>) {
    const saved = await this.ways.save(sent, this.etag);
    this.etag = saved.etag;
    // What was typed meanwhile stays to be saved.
    this.changes = Object.fromEntries(
      Object.entries(this.changes).filter(([name, value]) => sent[name as keyof T] !== value),
    ) as Partial<T>;
    this.keep();
  }

  private async cope(error: unknown, sent: Partial<T>): Promise<void> {
    if (!isProblem(error)) return this.tell({ kind: "failed", error });
    if (error.status === 412) return this.tell({ kind: "conflict" });
    if (error.status === 422 || error.status === 400) {
      // One bad field does not keep the others from being saved.
      const refused = new Set(error.fields.map((field) => field.pointer.split("/")[1]));
      const rest = Object.fromEntries(Object.entries(sent).filter(([name]) => !refused.has(name))) as Partial<T>;
      const some = Object.keys(rest).length;
      if (some > 0 && some < Object.keys(sent).length) {
        try {
          await this.deliver(rest);
        } catch (second) {
          return this.cope(second, rest);
        }
      }
      return this.tell({ kind: "refused", problem: error });
    }
    if (error.status === 0 || error.status >= 500 || error.status === 429 || error.status === 401 || error.code === "csrf_mismatch") {
      this.tell({ kind: "offline" });
      this.later(this.ways.patience ?? 3000);
      return;
    }
    this.tell({ kind: "failed", error });
  }

  private keep() {
    const some = Object.keys(this.changes).length > 0;
    this.ways.shelf.put(some ? { etag: this.etag, changes: this.changes as Record<string, unknown> } : null);
  }

  private tell(state: SaveState) {
    this.state = state;
    this.ways.changed(state);
  }
}

const UNSAVED = "clarion.unsaved.";

function unsavedKeys(): string[] {
  try {
    return Object.keys(localStorage).filter((key) => key.startsWith(UNSAVED));
  } catch {
    return [];
  }
}

/** Whether changes wait in this browser that could not be saved. */
export const hasUnsaved = () => unsavedKeys().length > 0;

/** Forgets them: whoever comes next in this browser is somebody else. */
export function forgetUnsaved() {
  for (const key of unsavedKeys()) localStorage.removeItem(key);
}

/** A shelf in the browser's storage, under a name. */
export function browserShelf(name: string): Shelf {
  const key = UNSAVED + name;
  return {
    get() {
      try {
        const kept = localStorage.getItem(key);
        return kept ? (JSON.parse(kept) as ReturnType<Shelf["get"]>) : null;
      } catch {
        return null;
      }
    },
    put(kept) {
      try {
        if (kept) localStorage.setItem(key, JSON.stringify(kept));
        else localStorage.removeItem(key);
      } catch {
        // Then the changes live as long as the page.
      }
    },
  };
}
