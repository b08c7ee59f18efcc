import { describe, expect, it } from "vitest";
import { changes, shownValue } from "./changes";

describe("what a change changed", () => {
  it("is the fields that differ, also deep ones, in order", () => {
    expect(changes({ name: "A", tags: ["x"], same: { a: 1 } }, { name: "B", tags: ["x", "y"], same: { a: 1 }, more: 0 })).toEqual([
      { field: "name", before: "A", after: "B" }, { field: "tags", before: ["x"], after: ["x", "y"] }, { field: "more", before: undefined, after: 0 },
    ]);
  });

  it("is everything where there was nothing, or is nothing any more", () => {
    expect(changes(null, { name: "A" })).toEqual([{ field: "name", before: undefined, after: "A" }]);
    expect(changes({ name: "A" }, null)).toEqual([{ field: "name", before: "A", after: undefined }]);
    expect(changes(null, undefined)).toEqual([]);
  });

  it("is shown as text", () => {
    expect([shownValue(null), shownValue(""), shownValue(0), shownValue(false), shownValue({ a: 1 })]).toEqual(["–", "–", "0", "false", '{\n "a": 1\n}']);
  });
});
