import { describe, expect, it } from "vitest";
import { toldOf } from "./told";

describe("a sentence of a service", () => {
  it.each([
    ["from ada@example.com", "from", "ada@example.com", ""],
    ["the mail has no unsubscribe link: use {{ unsubscribe_url }}", "noUnsubscribe", "", ""],
    ["lead.attributes.plan is empty for 3 recipients, for example lead 0199; give a default or leave them out", "gap", "lead.attributes.plan", "3"],
    ["lead.company is empty for 3 recipients; give a default or leave them out", "gap", "lead.company", "3"],
    ["395 of 401 people may be mailed", "someOf", "395", "401"],
    ["x.example is not authenticated: no good record was seen at a.x.example, b.x.example", "lacking", "x.example", "a.x.example, b.x.example"],
    ["https://example.com/spring has a host that cannot be found", "noHost", "https://example.com/spring", ""],
    ["https://example.com/ answers 404 Not Found", "answers", "https://example.com/", "404 Not Found"],
    ["the mail server cannot be reached: Connection refused (os error 111)", "unreachable", "Connection refused (os error 111)", ""],
  ])("%s is known", (sentence, name, a, b) => {
    expect(toldOf(sentence)).toEqual({ name, filled: { a, b } });
  });

  it("that is said rarely stays as it is", () => {
    expect(toldOf("the moon is full")).toBeUndefined();
  });
});
