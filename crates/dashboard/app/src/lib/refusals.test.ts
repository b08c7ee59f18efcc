import { describe, expect, it } from "vitest";
import { refusalOf } from "./refusals";

describe("a refusal", () => {
  it.each([
    ["must be 8 to 128 characters long", "between", { a: "8", b: "128" }],
    ["must have 1 to 200 characters", "between", { a: "1", b: "200" }],
    ["must be at most 254 bytes long", "most", { a: "254" }],
    ["must be one line without control characters", "control", {}],
    ["must not contain control characters", "control", {}],
    ["must be a language tag such as de-AT", "language", { a: "de-AT" }],
    ["is needed", "empty", {}],
  ])("%s is known", (detail, name, filled) => {
    expect(refusalOf(detail)).toEqual({ name, filled: { a: "", b: "", ...filled } });
  });

  it("that is said rarely stays as it is", () => {
    expect(refusalOf("must be needed in 3 ways")).toBeUndefined();
  });
});
