/** A variable in the making: `{{ lead.fi`, and where it begins and ends. */
export interface Partial { word: string; start: number; end: number }

/** What is being typed at the caret, if it is inside of a `{{` that is not closed yet. */
export function partialAt(text: string, caret: number): Partial | undefined {
  const before = text.slice(0, caret);
  const open = before.lastIndexOf("{{");
  if (open < 0 || before.indexOf("}}", open) >= 0) return undefined;
  const inside = before.slice(open + 2);
  if (!/^\s*[\w.]*$/.test(inside)) return undefined;
  const word = inside.trimStart();
  return { word, start: caret - word.length, end: caret };
}

/** The variables that fit, those that begin so first. */
export function fitting(word: string, variables: readonly string[], most = 8): string[] {
  const wanted = word.toLowerCase();
  const begins = variables.filter((variable) => variable.toLowerCase().startsWith(wanted));
  const holds = variables.filter((variable) => !variable.toLowerCase().startsWith(wanted) && variable.toLowerCase().includes(wanted));
  return [...begins, ...holds].slice(0, most);
}

/** The text with the variable put in, closed if it is not yet, and where the caret goes. */
export function complete(text: string, partial: Partial, variable: string, optional: boolean): { text: string; caret: number } {
  const rest = text.slice(partial.end);
  const closed = /^[\w.]*\s*(\||}})/.test(rest);
  const after = closed ? rest.replace(/^[\w.]*/, "") : rest;
  const filter = optional && !closed ? ' | default("")' : "";
  const put = `${variable}${filter}${closed ? "" : " }}"}`;
  const space = text[partial.start - 1] === "{" ? " " : "";
  const begin = partial.start + space.length;
  const next = text.slice(0, partial.start) + space + put + after;
  return { text: next, caret: filter ? begin + variable.length + filter.length - 2 : begin + put.length };
}
