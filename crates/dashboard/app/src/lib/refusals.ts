/** What services say of a field, by shape; the numbers and words in it are kept. They say it in English. */
const SHAPES = [
  ["empty", /^(?:must not be empty|is needed|is missing|is required|is empty|must be given)$/],
  ["between", /^must (?:be|have) (\d+) to (\d+) (?:visible ASCII )?characters(?: long)?(?: and no line breaks)?$/],
  ["most", /^must (?:be|have) at most (\d+) (?:characters|bytes|octets)(?: long)?$/],
  ["letters", /^must be (\d+) to (\d+) (?:ASCII )?letters, digits or (.+)$/],
  ["lineOfMost", /^must be one line of at most (\d+) characters$/],
  ["noAt", /^must contain an @$/],
  ["local", /^has an invalid part before the @$/],
  ["domain", /^has an invalid domain$/],
  ["email", /^must be an email address$/],
  ["control", /^must (?:not contain|be one line without) (?:line breaks or |NUL or other )?(?:control characters|a NUL character)$/],
  ["guessed", /^is on the list of passwords that are guessed first$/],
  ["ourWord", /^is little more than a word that is used here$/],
  ["ownAddress", /^must not contain the email address$/],
  ["wrong", /^is not right$/],
  ["spaces", /^must not begin or end with a space$/],
  ["host", /^must be a host name or an IP address$/],
  ["notFound", /^has a host that cannot be found$/],
  ["private", /^leads into a private network$/],
  ["address", /^(?:must be a URL such as (\S+)|is not a URL(?:: .+)?)$/],
  ["begins", /^must begin with (.+)$/],
  ["userInUrl", /^must not carry a user or a password$/],
  ["origin", /^must be an origin such as (\S+)$/],
  ["domainName", /^(?:must be a domain such as (\S+)|is not a domain)$/],
  ["language", /^must be a language tag such as (\S+)$/],
  ["zone", /^must be an IANA (?:time zone|name) such as (\S+)$/],
  ["currency", /^must be an ISO 4217 code of three capital letters$/],
  ["time", /^(?:must be a time in ISO 8601|is not an RFC 3339 time such as \S+)$/],
  ["ahead", /^must be in the future$/],
  ["aheadWithin", /^must be in the future, at most (\d+) days ahead$/],
  ["number", /^must be a number(?:, not text)?$/],
  ["whole", /^must be a whole number$/],
  ["range", /^must be between ([\d.]+) and ([\d.]+)$/],
  ["above", /^must be more than ([\d.]+) and at most ([\d.]+)$/],
  ["least", /^must be at least (\d+)$/],
  ["negative", /^must not be negative$/],
  ["tags", /^must be at most (\d+) tags$/],
  ["few", /^must (?:be|have|hold) at most (\d+) (?:addresses|domains|events|fields|names|origins|variables)$/],
  ["some", /^must (?:be|have|hold) (?:an array of )?(\d+) to (\d+) (?:days|lists|steps|values)$/],
  ["oneOf", /^must be one of (.+)$/],
  ["twice", /^(?:appears twice|is asked already)$/],
  ["attribute", /^must be attributes\.<name>, at most (\d+) names deep$/],
  ["gone", /^(?:the (?:list|segment) \S+ does not exist|is not a (?:role|template) of this workspace)$/],
  ["bothOrNeither", /^must have both user and password, or neither$/],
  ["again", /^must be given again when host, port or tls change$/],
  ["scope", /^must name at least one scope$/],
  ["report", /^must name at least one report$/],
  ["large", /^is (?:too large|larger than \d+ bytes)$/],
  ["mailgun", /^must be the HTTP webhook signing key of Mailgun$/],
  ["sendgrid", /^must be the verification key of SendGrid, in base64$/],
  ["ses", /^must be the ARN of the SNS topic that SES publishes to$/],
  ["workbook", /^is (?:an old Excel workbook|a ZIP file \(an Excel workbook is one too\)|an empty ZIP file); save it as CSV$/],
  ["unicode", /^(?:is UTF-16; save it as UTF-8|has a header that is not UTF-8; save it as UTF-8|is not UTF-8)$/],
  ["noCsv", /^is (?:a PDF|a picture|binary, not text)$/],
  ["packed", /^is compressed with gzip; unpack it first$/],
  ["noEmail", /^has no email column; its columns are: (.+)$/],
  ["columns", /^has (\d+) columns; at most (\d+) can be imported$/],
  ["cells", /^has (\d+) cells, the header has (\d+)$/],
] as const;

export type Refusal = (typeof SHAPES)[number][0];

/** The shape of what was said, and what it is filled with; nothing for what is said rarely. */
export function refusalOf(detail: string): { name: Refusal; filled: { a: string; b: string; c: string } } | undefined {
  for (const [name, shape] of SHAPES) {
    const found = shape.exec(detail);
    if (found) return { name, filled: { a: found[1] ?? "", b: found[2] ?? "", c: found[3] ?? "" } };
  }
  return undefined;
}
