import { describe, expect, it } from "vitest";
import { refusalOf } from "./refusals";

describe("a refusal", () => {
  it.each([
    ["must be 8 to 128 characters long", "between", { a: "8", b: "128" }],
    ["must have 1 to 200 characters", "between", { a: "1", b: "200" }],
    ["must have 1 to 200 characters and no line breaks", "between", { a: "1", b: "200" }],
    ["must be 1 to 100 letters, digits or - _ . ~", "letters", { a: "1", b: "100", c: "- _ . ~" }],
    ["must be at most 254 bytes long", "most", { a: "254" }],
    ["must be one line without control characters", "control", {}],
    ["must not contain control characters", "control", {}],
    ["must not contain line breaks or control characters", "control", {}],
    ["must not contain a NUL character", "control", {}],
    ["must be a language tag such as de-AT", "language", { a: "de-AT" }],
    ["must be an IANA time zone such as Europe/Berlin", "zone", { a: "Europe/Berlin" }],
    ["is needed", "empty", {}],
    ["must be given", "empty", {}],
    ["is not a URL: relative URL without a base", "address", {}],
    ["must be a URL such as https://shop.example/", "address", { a: "https://shop.example/" }],
    ["must begin with https:// or http://", "begins", { a: "https:// or http://" }],
    ["leads into a private network", "private", {}],
    ["must be between 1.01 and 10", "range", { a: "1.01", b: "10" }],
    ["must be more than 0 and at most 100000", "above", { a: "0", b: "100000" }],
    ["must hold at most 50 origins", "few", { a: "50" }],
    ["must be 1 to 20 lists", "some", { a: "1", b: "20" }],
    ["must be an array of 1 to 1000 values", "some", { a: "1", b: "1000" }],
    ["must be one of new, contacted", "oneOf", { a: "new, contacted" }],
    ["the list 0199 does not exist", "gone", {}],
    ["is a ZIP file (an Excel workbook is one too); save it as CSV", "workbook", {}],
    ["has no email column; its columns are: a, b", "noEmail", { a: "a, b" }],
    ["must be the ARN of the SNS topic that SES publishes to", "ses", {}],
  ])("%s is known", (detail, name, filled) => {
    expect(refusalOf(detail)).toEqual({ name, filled: { a: "", b: "", c: "", ...filled } });
  });

  it("that is said rarely stays as it is", () => {
    expect(refusalOf("must be needed in 3 ways")).toBeUndefined();
  });
});
