/** The first rows of a CSV (RFC 4180), enough to choose what its columns mean. */
export interface Head { names: string[]; rows: string[][] }

export const FIELDS = [
  "email", "first_name", "last_name", "phone", "company", "status", "score", "source", "timezone", "locale", "tags",
] as const;

function delimiterOf(line: string): string {
  const count = (sign: string) => line.split(sign).length;
  return [";", "\t", "|"].reduce((best, sign) => (count(sign) > count(best) ? sign : best), ",");
}

/** Reads up to `limit` rows after the header. `whole` says that the text is all of the file. */
export function readHead(text: string, limit: number, whole: boolean): Head {
  const source = text.replace(/^\uFEFF/, "");
  const delimiter = delimiterOf(source.split(/\r?\n/, 1)[0] ?? "");
  const rows: string[][] = [];
  let row: string[] = [];
  let cell = "";
  let quoted = false;
  const endRow = () => {
    row.push(cell);
    if (row.length > 1 || row[0] !== "") rows.push(row);
    row = [];
    cell = "";
  };
  for (let at = 0; at < source.length && rows.length <= limit; at++) {
    const sign = source[at] ?? "";
    if (quoted) {
      if (sign !== '"') cell += sign;
      else if (source[at + 1] === '"') {
        cell += '"';
        at++;
      } else quoted = false;
    } else if (sign === '"' && cell === "") quoted = true;
    else if (sign === delimiter) {
      row.push(cell);
      cell = "";
    } else if (sign === "\n") endRow();
    else if (sign !== "\r") cell += sign;
  }
  // A row that the part ends in may go on in the next.
  if (whole && rows.length <= limit && (cell !== "" || row.length > 0)) endRow();
  const [names = [], ...rest] = rows;
  return { names: names.map((name) => name.trim()), rows: rest };
}

const KNOWN: Record<string, (typeof FIELDS)[number]> = {
  email: "email", emailaddress: "email", mail: "email", eaddress: "email", emailadresse: "email", subscriberemail: "email",
  firstname: "first_name", givenname: "first_name", vorname: "first_name", forename: "first_name",
  lastname: "last_name", surname: "last_name", familyname: "last_name", nachname: "last_name",
  phone: "phone", phonenumber: "phone", mobile: "phone", telephone: "phone", telefon: "phone",
  company: "company", organization: "company", organisation: "company", firma: "company",
  status: "status", score: "score", source: "source", timezone: "timezone", tz: "timezone",
  locale: "locale", language: "locale", sprache: "locale", tags: "tags", labels: "tags",
};

/** What a column most likely means: a field, an attribute of its own name, or nothing. */
export function guess(names: string[]): Record<string, string | null> {
  const taken = new Set<string>();
  return Object.fromEntries(names.filter((name) => name !== "").map((name) => {
    const plain = name.toLowerCase().normalize("NFKD").replace(/[^a-z0-9]/g, "");
    const field = KNOWN[plain];
    if (field && !taken.has(field)) {
      taken.add(field);
      return [name, field];
    }
    return [name, attribute(name)];
  }));
}

/** Longer names are cut: the API takes none. */
const LONGEST = 60;

/** An attribute named after a column; null where the name leaves nothing. */
export function attribute(name: string): string | null {
  const plain = name.toLowerCase().normalize("NFKD").replace(/[^a-z0-9]+/g, "_").replace(/^_+/, "").slice(0, LONGEST).replace(/_+$/, "");
  return plain === "" ? null : `attributes.${plain}`;
}
