import type { Schemas } from "../api/client";

export type LiveEvent = Schemas["analytics.LiveEvent"];
export type LiveState = "connecting" | "open" | "lost";

/** What of an `EventSource` is used. */
export interface Source {
  readyState: number;
  onopen: (() => void) | null;
  onerror: (() => void) | null;
  addEventListener(type: "event", listener: (message: { data: string; lastEventId: string }) => void): void;
  close(): void;
}

interface Ways {
  /** Several at once: who draws them draws once. */
  events(events: LiveEvent[]): void;
  changed(state: LiveState): void;
  /** Asked when the stream was refused: the session may be over. */
  refused?(): void;
  open?(url: string): Source;
}

const CLOSED = 2;
const GATHER_MS = 250;
const AGAIN_MS = [1_000, 2_000, 5_000, 15_000];

/** Events as they are committed. A lost connection is taken up where it was: nothing is missed or told twice. */
export class LiveStream {
  private source: Source | undefined;
  private last: string | undefined;
  private gathered: LiveEvent[] = [];
  private gathering: ReturnType<typeof setTimeout> | undefined;
  private again: ReturnType<typeof setTimeout> | undefined;
  private failures = 0;

  constructor(private readonly path: string, private readonly ways: Ways) {
    this.connect();
  }

  stop() {
    clearTimeout(this.again);
    clearTimeout(this.gathering);
    this.source?.close();
  }

  private connect() {
    this.ways.changed("connecting");
    const glue = this.path.includes("?") ? "&" : "?";
    // A browser sends the place itself when it reconnects; a new stream has to be told.
    const url = this.last ? `${this.path}${glue}last_event_id=${encodeURIComponent(this.last)}` : this.path;
    const source = (this.ways.open ?? ((to) => new EventSource(to) as Source))(url);
    this.source = source;
    source.onopen = () => {
      this.failures = 0;
      this.ways.changed("open");
    };
    source.addEventListener("event", ({ data, lastEventId }) => {
      this.last = lastEventId || this.last;
      this.gathered.push(JSON.parse(data) as LiveEvent);
      this.gathering ??= setTimeout(() => this.tell(), GATHER_MS);
    });
    source.onerror = () => {
      this.ways.changed("lost");
      // Otherwise the browser is at it by itself.
      if (source.readyState !== CLOSED) return;
      this.ways.refused?.();
      this.again = setTimeout(() => this.connect(), AGAIN_MS[Math.min(this.failures++, AGAIN_MS.length - 1)]);
    };
  }

  private tell() {
    this.gathering = undefined;
    const events = this.gathered;
    this.gathered = [];
    this.ways.events(events);
  }
}
