import { useBlocker } from "@tanstack/react-router";
import { useEffect, useRef, useState } from "react";
import type { ProblemError } from "../api/problem";
import { Autosave, browserShelf, firstState, type SaveState, type Saved } from "./autosave";

interface Opened<T> {
  /** Where this browser keeps what is not saved. */
  shelf: string;
  value: T;
  /** The version that it begins from. */
  etag: string | undefined;
  save(changes: Partial<T>, etag: string | undefined): Promise<Saved<T>>;
}

export interface Editing<T> {
  draft: T;
  state: SaveState;
  /** Why fields were refused. */
  problem: ProblemError | undefined;
  change(changes: Partial<T>): void;
  /** What is not saved yet. */
  unsaved(): Partial<T>;
  /** Saves now, and answers whether everything is saved. */
  flush(): Promise<boolean>;
  /** Goes on from what somebody else saved: with one's own changes over it, or without them. */
  resolve(theirs: T, etag: string | undefined, keepMine: boolean): void;
  /** Forgets what is not saved. */
  drop(): void;
}

/** A draft that saves itself. Leaving the page saves first; what cannot be saved waits in this browser. */
export function useDraft<T extends object>({ shelf, value, etag, save }: Opened<T>): Editing<T> {
  const [state, setState] = useState<SaveState>(() => firstState(browserShelf(shelf).get()));
  const [draft, setDraft] = useState(value);
  const saver = useRef<Autosave<T> | null>(null);
  const newest = useRef(save);
  newest.current = save;

  useEffect(() => {
    const autosave = new Autosave<T>({
      shelf: browserShelf(shelf),
      changed: setState,
      save: (changes, version) => newest.current(changes, version),
    }, etag);
    saver.current = autosave;
    setState(autosave.state);
    // What an earlier page could not save is shown again.
    setDraft((before) => ({ ...before, ...autosave.unsaved }));
    return () => autosave.stop();
    // The version it begins from is the one it was opened with.
    // oxlint-disable-next-line react/exhaustive-deps
  }, [shelf]);

  const flush = async () => (await saver.current?.flush()) ?? false;
  useBlocker({
    shouldBlockFn: async () => {
      await flush();
      return false;
    },
    enableBeforeUnload: () => state.kind === "saving" || state.kind === "waiting",
  });

  return {
    draft,
    state,
    problem: state.kind === "refused" ? state.problem : undefined,
    change(changes) {
      setDraft((before) => ({ ...before, ...changes }));
      saver.current?.change(changes);
    },
    unsaved: () => saver.current?.unsaved ?? {},
    flush,
    resolve(theirs, version, keepMine) {
      saver.current?.resolve(version, keepMine);
      setDraft({ ...theirs, ...(keepMine ? saver.current?.unsaved : {}) });
    },
    drop: () => saver.current?.resolve(undefined, false),
  };
}
