import { useMemo, useState } from "react";
import { browserShelf, type Shelf } from "./autosave";

const version = (etag: string | undefined) => Number(etag?.replaceAll('"', "") ?? Number.NaN);

/** Changes that a person saves by a button, laid over what is stored. Until then they wait on a shelf. */
export class Kept<T extends object> {
  private held: { etag: string | undefined; changes: Partial<T> } | null;

  constructor(private readonly shelf: Shelf, revive: (changes: Partial<T>) => Partial<T> = (changes) => changes) {
    const held = shelf.get();
    this.held = held && { etag: held.etag, changes: revive(held.changes as Partial<T>) };
  }

  get changes(): Partial<T> | undefined {
    return this.held?.changes;
  }

  over(stored: T): T {
    return { ...stored, ...this.held?.changes };
  }

  /** The version that the changes began from, which need not be the stored one any more. */
  etag(stored: string | undefined): string | undefined {
    return this.held ? this.held.etag : stored;
  }

  /** `isSame` says that the whole is what is stored: then there is nothing to keep. */
  change(changes: Partial<T>, stored: { value: T; etag: string | undefined }, isSame: (one: T, other: T) => boolean) {
    const etag = this.etag(stored.etag);
    this.held = { etag, changes: { ...this.held?.changes, ...changes } };
    if (isSame(this.over(stored.value), stored.value)) this.held = null;
    this.put();
  }

  /** Goes on from another version. */
  rebase(etag: string | undefined) {
    if (this.held) this.held = { ...this.held, etag };
    this.put();
  }

  /** Goes on from a change of one's own, made beside these; if somebody else's came between, not. */
  follow(etag: string | undefined) {
    if (this.held && version(etag) === version(this.held.etag) + 1) this.rebase(etag);
  }

  /** Forgets the changes, and answers what brings them back. */
  drop(): () => void {
    const { held } = this;
    this.held = null;
    this.put();
    return () => {
      this.held = held;
      this.put();
    };
  }

  private put() {
    this.shelf.put(this.held && { etag: this.held.etag, changes: this.held.changes as Record<string, unknown> });
  }
}

interface Opened<T> {
  /** Where this browser keeps what is not saved. */
  shelf: string;
  stored: { value: T; etag: string | undefined };
  isSame: (one: T, other: T) => boolean;
  /** Makes what was read from the shelf whole again. */
  revive?: (changes: Partial<T>) => Partial<T>;
}

export interface Editing<T> {
  value: T;
  /** What is not saved. */
  changes: Partial<T> | undefined;
  etag: string | undefined;
  change(changes: Partial<T>): void;
  rebase(etag: string | undefined): void;
  follow(etag: string | undefined): void;
  drop(): () => void;
}

/** What a person edits and saves by a button. Leaving the screen, or the browser, loses none of it. */
export function useKept<T extends object>({ shelf, stored, isSame, revive }: Opened<T>): Editing<T> {
  const kept = useMemo(() => new Kept<T>(browserShelf(shelf), revive), [shelf, revive]);
  const [, shown] = useState(0);
  const show = () => shown((times) => times + 1);
  return {
    value: kept.over(stored.value),
    changes: kept.changes,
    etag: kept.etag(stored.etag),
    change(changes: Partial<T>) {
      kept.change(changes, stored, isSame);
      show();
    },
    rebase(etag: string | undefined) {
      kept.rebase(etag);
      show();
    },
    follow(etag: string | undefined) {
      kept.follow(etag);
      show();
    },
    drop() {
      const back = kept.drop();
      show();
      return () => {
        back();
        show();
      };
    },
  };
}

/** Whether changes of this name wait in this browser. */
export const isKept = (shelf: string): boolean => browserShelf(shelf).get() !== null;
