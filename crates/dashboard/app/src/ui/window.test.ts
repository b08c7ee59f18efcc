import { describe, expect, it } from "vitest";
import { inSight } from "./window";

describe("the rows in sight", () => {
  it("are those at the place, with some around them", () => {
    expect(inSight(100_000, 42, 0, 420)).toEqual({ first: 0, last: 14 });
    expect(inSight(100_000, 42, 4_200, 420)).toEqual({ first: 96, last: 114 });
  });

  it("end with the last one, and are none where there are none", () => {
    expect(inSight(30, 42, 1_000, 420)).toEqual({ first: 19, last: 29 });
    const none = inSight(0, 42, 0, 420);
    expect(none.last).toBeLessThan(none.first);
  });
});
