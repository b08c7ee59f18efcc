import { describe, expect, it } from "vitest";
import type { Shelf } from "./autosave";
import { Kept } from "./kept";

function shelf(): Shelf & { held: ReturnType<Shelf["get"]> } {
  return {
    held: null,
    get() {
      return this.held;
    },
    put(kept) {
      this.held = kept;
    },
  };
}

interface Thing { name: string; size: number }
const stored = { value: { name: "a", size: 1 }, etag: '"1"' };
const same = (one: Thing, other: Thing) => one.name === other.name && one.size === other.size;

describe("what is kept", () => {
  it("outlives the screen, with the version it began from", () => {
    const place = shelf();
    new Kept<Thing>(place).change({ name: "b" }, stored, same);
    const again = new Kept<Thing>(place, (changes) => ({ ...changes, size: 7 }));
    expect(again.over({ name: "theirs", size: 2 })).toEqual({ name: "b", size: 7 });
    expect(again.etag('"2"')).toBe('"1"');
    again.rebase('"2"');
    expect(new Kept<Thing>(place).etag('"3"')).toBe('"2"');
  });

  it("follows a change of one's own, and not past somebody else's", () => {
    const kept = new Kept<Thing>(shelf());
    kept.change({ size: 2 }, stored, same);
    kept.follow('"2"');
    expect(kept.etag(undefined)).toBe('"2"');
    kept.follow('"4"');
    expect(kept.etag(undefined)).toBe('"2"');
    kept.follow(undefined);
    expect(kept.etag(undefined)).toBe('"2"');
  });

  it("is nothing once it is what is stored", () => {
    const place = shelf();
    const kept = new Kept<Thing>(place);
    kept.change({ name: "b" }, stored, same);
    kept.change({ name: "a" }, stored, same);
    expect(place.held).toBeNull();
    expect(kept.changes).toBeUndefined();
    expect(kept.etag('"2"')).toBe('"2"');
  });

  it("is brought back after it was dropped", () => {
    const place = shelf();
    const kept = new Kept<Thing>(place);
    kept.change({ size: 2 }, stored, same);
    const back = kept.drop();
    expect(kept.over(stored.value)).toEqual(stored.value);
    expect(place.held).toBeNull();
    back();
    expect(kept.over(stored.value)).toEqual({ name: "a", size: 2 });
    expect(place.held).not.toBeNull();
  });
});
