import { describe, expect, it } from "vitest";
import { fromRule, group, isComplete, line, renewed, toRule } from "./rules";

const there = (rule: unknown) => toRule(fromRule(rule));

describe("rules", () => {
  it("keep their meaning through the builder", () => {
    for (const rule of [
      { all: [{ field: "email", op: "contains", value: "@x.org" }, { any: [{ field: "score", op: "gte", value: 10 }, { field: "tags", op: "in", value: ["a", "b"] }] }] },
      { not: { all: [{ field: "list", op: "eq", value: "0199" }] } },
      { any: [{ field: "phone", op: "exists", value: false }, { field: "engagement.last_open_at", op: "within_days", value: 30 }] },
      { all: [{ field: "attributes.plan", op: "eq", value: "007" }, { field: "attributes.seats", op: "gt", value: 5 }, { field: "attributes.vip", op: "eq", value: true }] },
      { all: [] },
    ]) expect(there(rule)).toEqual(rule);
  });

  it("that are one condition, or a negated one, become a group that means the same", () => {
    expect(there({ field: "email", op: "eq", value: "a@x.org" })).toEqual({ all: [{ field: "email", op: "eq", value: "a@x.org" }] });
    expect(there({ not: { not: { all: [] } } })).toEqual({ not: { all: [{ not: { all: [] } }] } });
  });

  it("say in types what was typed", () => {
    expect(toRule(line("score", "eq", "7"))).toEqual({ field: "score", op: "eq", value: 7 });
    expect(toRule(line("attributes.a", "eq", '"7"'))).toEqual({ field: "attributes.a", op: "eq", value: "7" });
    expect(toRule(line("email", "in", " a@x.org , b@x.org,"))).toEqual({ field: "email", op: "in", value: ["a@x.org", "b@x.org"] });
  });

  it("that waited in a browser get keys of their own", () => {
    const before = group(true, [line("phone", "absent"), group(false, [line("score", "gt", "3")], true)]);
    const after = renewed(before);
    expect(toRule(after)).toEqual(toRule(before));
    expect(after.key).not.toBe(before.key);
    expect(after.parts[0]?.key).not.toBe(before.parts[0]?.key);
  });

  it("are complete when every condition has its value", () => {
    expect(isComplete(group(false, [line("email", "eq", "")]))).toBe(false);
    expect(isComplete(group(false, [line("attributes.", "exists")]))).toBe(false);
    expect(isComplete(group(true, [line("phone", "absent"), group()]))).toBe(false);
    expect(isComplete(group(true, [line("phone", "absent")]))).toBe(true);
  });
});
