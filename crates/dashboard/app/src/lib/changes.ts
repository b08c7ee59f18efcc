/** What differs between two states of a row: each field with what it was and is. */
export interface Change { field: string; before: unknown; after: unknown }

type Row = Record<string, unknown> | null | undefined;

export function changes(before: Row, after: Row): Change[] {
  const fields = [...new Set([...Object.keys(before ?? {}), ...Object.keys(after ?? {})])];
  return fields
    .map((field) => ({ field, before: before?.[field], after: after?.[field] }))
    .filter((change) => JSON.stringify(change.before) !== JSON.stringify(change.after));
}

/** A value as a person reads it. */
export function shownValue(value: unknown): string {
  if (value === undefined || value === null || value === "") return "–";
  return typeof value === "object" ? JSON.stringify(value, null, 1) : String(value);
}
