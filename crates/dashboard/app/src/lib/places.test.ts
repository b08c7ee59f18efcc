import { describe, expect, it } from "vitest";
import { fitting } from "./places";

const PLACES = ["Übersicht", "Kampagnen", "Leads", "Neue Leads im März", "Umlauf"].map((name) => ({ path: `/${name}`, name, kind: "" }));
const names = (typed: string, most = 9) => fitting(typed, PLACES, most).map(({ name }) => name);

describe("places", () => {
  it("are found by their beginnings first, and in order otherwise", () => {
    expect(names("le")).toEqual(["Leads", "Neue Leads im März"]);
    expect(names("")).toEqual(PLACES.map(({ name }) => name));
    expect(names("", 2)).toEqual(["Übersicht", "Kampagnen"]);
    expect(names("mpag")).toEqual(["Kampagnen"]);
    expect(names("xyz")).toEqual([]);
  });

  it("are found without accents, capitals and spaces around", () => {
    expect(names(" UBER ")).toEqual(["Übersicht"]);
    expect(names("marz")).toEqual(["Neue Leads im März"]);
  });
});
