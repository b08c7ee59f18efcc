import { describe, expect, it } from "vitest";
import { attribute, guess, readHead } from "./csv";

describe("the head of a CSV", () => {
  it("is read with quotes, line breaks in cells and any usual delimiter", () => {
    const text = '\uFEFFE-Mail;Name\r\n"a@x.org";"Ada ""the"" first\nCountess; yes"\r\nb@x.org;Bob\r\n';
    expect(readHead(text, 5, true)).toEqual({
      names: ["E-Mail", "Name"],
      rows: [["a@x.org", 'Ada "the" first\nCountess; yes'], ["b@x.org", "Bob"]],
    });
  });

  it("leaves out the row that the part breaks off in, and blank lines", () => {
    expect(readHead("email\na@x.org\n\nb@x", 5, false).rows).toEqual([["a@x.org"]]);
    expect(readHead("email\na@x.org\n\nb@x", 5, true).rows).toEqual([["a@x.org"], ["b@x"]]);
  });

  it("stops after as many rows as are wanted", () => {
    expect(readHead("email\n1\n2\n3\n4\n", 2, true).rows).toHaveLength(2);
  });
});

describe("what columns mean", () => {
  it("is guessed from usual names in two languages, each field once", () => {
    expect(guess(["E-Mail Adresse", "Vorname", "Last Name", "First name", "Plan (2026)"])).toEqual({
      "E-Mail Adresse": "email", Vorname: "first_name", "Last Name": "last_name",
      "First name": "attributes.first_name", "Plan (2026)": "attributes.plan_2026",
    });
  });

  it("is nothing where a name holds nothing", () => {
    expect(attribute("???")).toBeNull();
    // The API takes no name of more than a hundred characters.
    expect(attribute(`How ${"very ".repeat(40)}long`)).toHaveLength("attributes.".length + 60);
    expect(guess(["", "!"])).toEqual({ "!": null });
  });
});
