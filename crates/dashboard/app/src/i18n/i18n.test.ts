import { describe, expect, it } from "vitest";
import de from "./de.json";
import en from "./en.json";

type Tree = { [key: string]: string | Tree };

function flat(tree: Tree, prefix = ""): [string, string][] {
  return Object.entries(tree).flatMap(([key, value]) =>
    typeof value === "string" ? [[prefix + key, value] as [string, string]] : flat(value, `${prefix}${key}.`));
}

const placeholders = (text: string) => [...text.matchAll(/{{(\w+)}}/g)].map((match) => match[1]).toSorted();

describe("translations", () => {
  const german = new Map(flat(de));

  it("say everything in both languages, and nothing else", () => {
    expect([...german.keys()].toSorted()).toEqual(flat(en).map(([key]) => key).toSorted());
  });

  it("fill the same places, and are never empty", () => {
    for (const [key, text] of flat(en)) {
      const other = german.get(key) ?? "";
      expect(placeholders(other), key).toEqual(placeholders(text));
      expect(other.trim() === "" || text.trim() === "", key).toBe(false);
    }
  });
});
