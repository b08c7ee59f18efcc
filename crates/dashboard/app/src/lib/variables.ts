/** What a template may say about its reader and its mail, most wanted first. */
export const LEAD_VARIABLES = [
  "lead.first_name", "lead.last_name", "lead.email", "lead.company", "lead.phone", "lead.locale",
  "unsubscribe_url", "preferences_url", "view_url", "campaign.name", "workspace.name",
] as const;

/** Optional ones get something to stand in for them, so that nobody's mail has a hole. */
const MAY_BE_EMPTY = new Set(["lead.first_name", "lead.last_name", "lead.company", "lead.phone", "lead.locale"]);

/** The text with a variable in place of the selection, and where the caret goes. */
export function insertAt(text: string, variable: string, start: number, end: number): { text: string; caret: number } {
  const tag = MAY_BE_EMPTY.has(variable) ? `{{ ${variable} | default("") }}` : `{{ ${variable} }}`;
  const caret = MAY_BE_EMPTY.has(variable) ? start + tag.length - 5 : start + tag.length;
  return { text: text.slice(0, start) + tag + text.slice(end), caret };
}
