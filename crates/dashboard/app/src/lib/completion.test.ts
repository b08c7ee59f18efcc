import { describe, expect, it } from "vitest";
import { complete, fitting, partialAt } from "./completion";

const at = (text: string) => {
  const caret = text.indexOf("¦");
  return { text: text.replace("¦", ""), caret };
};
const partial = (marked: string) => {
  const { text, caret } = at(marked);
  return partialAt(text, caret);
};
const completed = (marked: string, variable: string, optional = false) => {
  const { text, caret } = at(marked);
  const found = partialAt(text, caret);
  if (!found) throw new Error("nothing is being typed");
  const done = complete(text, found, variable, optional);
  return `${done.text.slice(0, done.caret)}¦${done.text.slice(done.caret)}`;
};

describe("a variable in the making", () => {
  it("is what stands between its opening and the caret", () => {
    expect(partial("Hi {{ lead.fi¦")).toEqual({ word: "lead.fi", start: 6, end: 13 });
    expect(partial("Hi {{¦")?.word).toBe("");
    expect(partial("{{ a }} {{ ¦ }}")?.word).toBe("");
  });

  it.each(["Hi ¦", "{{ lead.first_name }} ¦", '{{ lead.name | def¦', '{{ "x¦', "{% if lead¦ %}"])("is none elsewhere: %s", (text) => expect(partial(text)).toBeUndefined());

  it("finds what begins so before what holds it", () => {
    expect(fitting("na", ["lead.last_name", "name", "campaign.name"])).toEqual(["name", "lead.last_name", "campaign.name"]);
    expect(fitting("LEAD", ["lead.email", "x"])).toEqual(["lead.email"]);
    expect(fitting("zz", ["lead.email"])).toEqual([]);
  });

  it("is completed and closed, once", () => {
    expect(completed("Hi {{ lead.fi¦", "lead.email")).toBe("Hi {{ lead.email }}¦");
    expect(completed("Hi {{¦!", "lead.email")).toBe("Hi {{ lead.email }}¦!");
    expect(completed("Hi {{ le¦ }}, you", "lead.email")).toBe("Hi {{ lead.email¦ }}, you");
    expect(completed('{{ lead.f¦irst | default("x") }}', "lead.first_name", true)).toBe('{{ lead.first_name¦ | default("x") }}');
  });

  it("leaves room for what stands in when it may be empty", () => {
    expect(completed("Hi {{ fir¦", "lead.first_name", true)).toBe('Hi {{ lead.first_name | default("¦") }}');
  });
});
