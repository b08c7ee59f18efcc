/** What a template may say about its reader and its mail, most wanted first. */
export const LEAD_VARIABLES = [
  "lead.first_name", "lead.last_name", "lead.email", "lead.company", "lead.phone", "lead.locale",
  "unsubscribe_url", "preferences_url", "view_url", "campaign.name", "workspace.name",
] as const;

/** Optional ones get something to stand in for them, so that nobody's mail has a hole. */
const MAY_BE_EMPTY = new Set(["lead.first_name", "lead.last_name", "lead.company", "lead.phone", "lead.locale"]);

/** Whether a reader may have none: the person's own facts but the address. */
export const mayBeEmpty = (variable: string) => MAY_BE_EMPTY.has(variable) || variable.startsWith("lead.attributes.");

/** All that can be said, with the attributes that a lead has. */
export function variablesOf(lead: unknown): string[] {
  const attributes = (lead as { attributes?: unknown } | null | undefined)?.attributes;
  const own = typeof attributes === "object" && attributes !== null ? Object.keys(attributes) : [];
  return [...LEAD_VARIABLES, ...own.filter((name) => /^[A-Za-z_]\w*$/.test(name)).map((name) => `lead.attributes.${name}`)];
}

/** The text with a variable in place of the selection, and where the caret goes. */
export function insertAt(text: string, variable: string, start: number, end: number): { text: string; caret: number } {
  const tag = mayBeEmpty(variable) ? `{{ ${variable} | default("") }}` : `{{ ${variable} }}`;
  const caret = mayBeEmpty(variable) ? start + tag.length - 5 : start + tag.length;
  return { text: text.slice(0, start) + tag + text.slice(end), caret };
}
