import { describe, expect, it } from "vitest";
import { capsOf, dayAfter } from "./warm-up";

describe("a warm-up plan", () => {
  it("grows until a cap would be larger than its end", () => {
    expect(capsOf({ start: "2026-01-01", first: 50, growth: 1.5, until: 300 })).toEqual([50, 75, 112, 168, 253]);
  });

  it("is what was written, day by day", () => {
    expect(capsOf({ start: "2026-01-01", daily: [10, 20] })).toEqual([10, 20]);
  });

  it("is nothing while it is incomplete, and never endless", () => {
    expect(capsOf({ start: "2026-01-01" })).toEqual([]);
    expect(capsOf({ start: "2026-01-01", first: 1, growth: 1 })).toEqual([]);
    expect(capsOf({ start: "2026-01-01", first: 1, growth: 1.01 }, 30)).toHaveLength(30);
  });

  it("counts days across months", () => {
    expect([dayAfter("2026-02-27", 0), dayAfter("2026-02-27", 2)]).toEqual(["2026-02-27", "2026-03-01"]);
  });
});
