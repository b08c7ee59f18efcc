/** What services say in whole sentences, by shape; the names and numbers in them are kept. They say it in English. */
const SHAPES = [
  // Before a campaign starts.
  ["noSender", /^nobody is named as the sender \(`from`\)$/],
  ["from", /^from (?<a>\S+)$/],
  ["noSubject", /^the subject is empty$/],
  ["noContent", /^there is no content$/],
  ["compiles", /^compiles$/],
  ["unsubscribe", /^the mail has an unsubscribe link$/],
  ["noUnsubscribe", /^the mail has no unsubscribe link: use \{\{ unsubscribe_url \}\}$/],
  ["noVariable", /^(?<a>\S+) is not a variable that exists$/],
  ["gap", /^(?<a>lead\.\S+) is empty for (?<b>\d+) recipients(?:, for example lead \S+)?; give a default or leave them out$/],
  ["noGaps", /^\d+ variables have a value for everybody$/],
  ["nobody", /^nobody is in the audience$/],
  ["noneOf", /^none of the (?<a>\d+) people may be mailed$/],
  ["someOf", /^(?<a>\d+) of (?<b>\d+) people may be mailed$/],
  ["authenticated", /^(?<a>\S+) is authenticated$/],
  ["noDomain", /^(?<a>\S+) is not an authenticated sending domain: mails are not DKIM-signed$/],
  ["lacking", /^(?<a>\S+) is not authenticated: no good record was seen at (?<b>.+)$/],
  ["links", /^(?<a>\d+) of (?<b>\d+) links answer$/],
  ["noUrl", /^(?<a>\S+) (?:is not a URL|names no host)$/],
  ["noHost", /^(?<a>\S+) has a host that cannot be found$/],
  ["private", /^(?<a>\S+) leads into a private network and was not followed$/],
  ["answers", /^(?<a>\S+) answers (?<b>.+)$/],
  ["noAnswer", /^(?<a>\S+) does not answer$/],
  // While it runs.
  ["warmUp", /^the warm-up allows (?<a>\d+) today$/],
  ["rate", /^it may send (?<a>[\d.]+) a second$/],
  ["busy", /^it is busy$/],
  ["paused", /^it is paused$/],
  // Of servers and webhooks.
  ["unreachable", /^the mail server cannot be reached: (?<a>.+)$/],
  ["refusesAll", /^the mail server refuses everything: (?<a>.+)$/],
  ["overTls", /^connected, over TLS$/],
  ["plain", /^connected, without TLS$/],
  ["signedInTls", /^connected and signed in, over TLS$/],
  ["signedInPlain", /^connected and signed in, without TLS$/],
  ["byHand", /^it was disabled by hand$/],
  ["gone", /^it answered 410 Gone$/],
  ["fiveDays", /^it failed for five days$/],
] as const;

export type Told = (typeof SHAPES)[number][0];

/** The shape of a sentence, and what it is filled with; nothing for what is said rarely. */
export function toldOf(sentence: string): { name: Told; filled: { a: string; b: string } } | undefined {
  for (const [name, shape] of SHAPES) {
    const found = shape.exec(sentence);
    if (found) return { name, filled: { a: found.groups?.a ?? "", b: found.groups?.b ?? "" } };
  }
  return undefined;
}
