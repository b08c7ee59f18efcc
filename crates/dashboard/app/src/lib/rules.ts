/** The rule language of segments, as the builder edits it: groups of conditions, each maybe negated. */
export type Op = "eq" | "ne" | "lt" | "lte" | "gt" | "gte" | "in" | "contains" | "starts_with" | "exists" | "absent" | "within_days" | "before_days";
export interface Line { kind: "line"; key: number; field: string; op: Op; value: string }
export interface Group { kind: "group"; key: number; any: boolean; not: boolean; parts: (Line | Group)[] }
export type Rule = { all: Rule[] } | { any: Rule[] } | { not: Rule } | { field: string; op: string; value?: unknown };

export type FieldKind = "text" | "status" | "number" | "time" | "tags" | "list" | "segment" | "attribute";

export const RULE_FIELDS: readonly (readonly [string, FieldKind])[] = [
  ["email", "text"], ["first_name", "text"], ["last_name", "text"], ["company", "text"], ["phone", "text"],
  ["status", "status"], ["score", "number"], ["tags", "tags"], ["source", "text"], ["locale", "text"], ["timezone", "text"],
  ["created_at", "time"], ["updated_at", "time"], ["list", "list"], ["segment", "segment"],
  ["engagement.opens", "number"], ["engagement.clicks", "number"], ["engagement.last_open_at", "time"], ["engagement.last_click_at", "time"],
  ["engagement.orders", "number"], ["engagement.revenue", "number"],
];

const COMPARE = ["lt", "lte", "gt", "gte"] as const;
export const OPS: Record<FieldKind, readonly Op[]> = {
  text: ["eq", "ne", "contains", "starts_with", "in", "exists", "absent"],
  status: ["eq", "ne", "in"],
  number: ["eq", "ne", ...COMPARE],
  time: ["within_days", "before_days", "lt", "gt", "exists", "absent"],
  tags: ["contains", "in", "exists", "absent"],
  list: ["eq", "ne"],
  segment: ["eq", "ne"],
  attribute: ["eq", "ne", "contains", "starts_with", ...COMPARE, "within_days", "before_days", "exists", "absent"],
};

export function kindOf(field: string): FieldKind {
  return RULE_FIELDS.find(([name]) => name === field)?.[1] ?? "attribute";
}

let keys = 0;
export const line = (field = "email", op: Op = "contains", value = ""): Line => ({ kind: "line", key: keys++, field, op, value });
export const group = (any = false, parts: (Line | Group)[] = [line()], not = false): Group => ({ kind: "group", key: keys++, any, not, parts });

/** The same under keys of its own: those of another page may be in use here. */
export function renewed(of: Group): Group {
  return group(of.any, of.parts.map((part) => (part.kind === "group" ? renewed(part) : line(part.field, part.op, part.value))), of.not);
}

/** Whether a condition has what it needs; what is half typed is not asked about yet. */
export function isComplete(part: Line | Group): boolean {
  if (part.kind === "group") return part.parts.every(isComplete);
  if (part.field === "attributes.") return false;
  return part.op === "exists" || part.op === "absent" || part.value.trim() !== "";
}

function valueOf({ field, op, value }: Line): unknown {
  const kind = kindOf(field);
  const number = (text: string) => (text.trim() === "" || Number.isNaN(Number(text)) ? text : Number(text));
  if (op === "in") return value.split(",").map((one) => one.trim()).filter(Boolean);
  if (op === "within_days" || op === "before_days" || kind === "number") return number(value);
  if (kind === "attribute" && COMPARE.includes(op as "lt")) return number(value);
  // An attribute may be a number or a truth; quotes say that a text is meant.
  if (kind === "attribute" && (op === "eq" || op === "ne")) {
    if (value === "true" || value === "false") return value === "true";
    const quoted = /^"(.*)"$/.exec(value);
    return quoted ? quoted[1] : number(value);
  }
  return value;
}

export function toRule(part: Line | Group): Rule {
  if (part.kind === "group") {
    const rules = part.parts.map(toRule);
    const inner: Rule = part.any ? { any: rules } : { all: rules };
    return part.not ? { not: inner } : inner;
  }
  const { field, op } = part;
  if (op === "exists" || op === "absent") return { field, op: "exists", value: op === "exists" };
  return { field, op, value: valueOf(part) };
}

function show(field: string, value: unknown): string {
  if (Array.isArray(value)) return value.map(String).join(", ");
  // A text that looks like a number keeps its quotes.
  if (typeof value === "string" && kindOf(field) === "attribute" && (value === "true" || value === "false" || (value.trim() !== "" && !Number.isNaN(Number(value))))) return `"${value}"`;
  return value === undefined || value === null ? "" : String(value);
}

function read(rule: Rule): Line | Group {
  if ("all" in rule) return group(false, rule.all.map(read));
  if ("any" in rule) return group(true, rule.any.map(read));
  if ("not" in rule) {
    const inner = read(rule.not);
    return inner.kind === "group" && !inner.not ? { ...inner, not: true } : group(false, [inner], true);
  }
  if (rule.op === "exists") return line(rule.field, rule.value === false ? "absent" : "exists");
  return line(rule.field, rule.op as Op, show(rule.field, rule.value));
}

/** A stored rule for the builder. Its meaning stays, whatever shape it was written in. */
export function fromRule(rule: unknown): Group {
  const whole = read(rule as Rule);
  return whole.kind === "group" ? whole : group(false, [whole]);
}
