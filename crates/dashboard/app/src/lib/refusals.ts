/** What services say of a field, by shape; the numbers and words in it are kept. They say it in English. */
const SHAPES = [
  ["empty", /^(?:must not be empty|is needed|is missing|is required)$/],
  ["between", /^must (?:be|have) (\d+) to (\d+) characters(?: long)?$/],
  ["most", /^must (?:be|have) at most (\d+) (?:characters|bytes|octets)(?: long)?$/],
  ["noAt", /^must contain an @$/],
  ["local", /^has an invalid part before the @$/],
  ["domain", /^has an invalid domain$/],
  ["control", /^must (?:not contain|be one line without) (?:line breaks or )?(?:control characters|a NUL character)$/],
  ["guessed", /^is on the list of passwords that are guessed first$/],
  ["ourWord", /^is little more than a word that is used here$/],
  ["wrong", /^is not right$/],
  ["host", /^must be a host name or an IP address$/],
  ["language", /^must be a language tag such as (\S+)$/],
  ["tags", /^must be at most (\d+) tags$/],
  ["negative", /^must not be negative$/],
] as const;

export type Refusal = (typeof SHAPES)[number][0];

/** The shape of what was said, and what it is filled with; nothing for what is said rarely. */
export function refusalOf(detail: string): { name: Refusal; filled: { a: string; b: string } } | undefined {
  for (const [name, shape] of SHAPES) {
    const found = shape.exec(detail);
    if (found) return { name, filled: { a: found[1] ?? "", b: found[2] ?? "" } };
  }
  return undefined;
}
