import i18next from "i18next";

function locale(): string {
  return i18next.resolvedLanguage ?? "en";
}

/** Formatters are costly to make, and few are needed. */
type Formatter = Intl.NumberFormat | Intl.DateTimeFormat | Intl.RelativeTimeFormat | Intl.DisplayNames;
const made = new Map<string, Formatter>();
function once<T extends Formatter>(key: string, make: () => T): T {
  const name = `${locale()} ${key}`;
  const found = (made.get(name) as T | undefined) ?? make();
  made.set(name, found);
  return found;
}

export function count(value: number | null | undefined): string {
  if (value === null || value === undefined) return "–";
  return once("count", () => new Intl.NumberFormat(locale())).format(value);
}

/** A number that may be broken. */
export function decimal(value: number): string {
  return once("decimal", () => new Intl.NumberFormat(locale(), { maximumFractionDigits: 2 })).format(value);
}

/** A share of a whole; a dash where there is no whole. */
export function percent(part: number | null | undefined, whole: number | null | undefined): string {
  if (!whole || part === null || part === undefined) return "–";
  const share = part / whole;
  const digits = share > 0 && share < 0.1 ? 1 : 0;
  const make = () =>
    new Intl.NumberFormat(locale(), { style: "percent", minimumFractionDigits: 0, maximumFractionDigits: digits });
  return once(`percent${digits}`, make).format(share);
}

/** How many digits a currency has after the point. */
export function minorDigits(currency: string): number {
  try {
    return new Intl.NumberFormat("en", { style: "currency", currency }).resolvedOptions().maximumFractionDigits ?? 2;
  } catch {
    return 2;
  }
}

/** Money in minor units. */
export function money(amount: number, currency: string): string {
  const make = () => new Intl.NumberFormat(locale(), { style: "currency", currency });
  try {
    return once(`money ${currency}`, make).format(amount / 10 ** minorDigits(currency));
  } catch {
    return `${amount} ${currency}`;
  }
}

/** Minor units of what a person typed (`12.50` or `12,50`); null when it is no amount. */
export function parseMoney(text: string, currency: string): number | null {
  const plain = text.trim().replace(",", ".");
  if (!/^\d+(\.\d+)?$/.test(plain)) return null;
  const digits = minorDigits(currency);
  if ((plain.split(".")[1] ?? "").length > digits) return null;
  const minor = Math.round(Number(plain) * 10 ** digits);
  return Number.isSafeInteger(minor) ? minor : null;
}

/** The same the other way, for a field. */
export function writeMoney(amount: number, currency: string): string {
  return (amount / 10 ** minorDigits(currency)).toFixed(minorDigits(currency));
}

/** In the viewer's zone. */
export function dateTime(value: string | Date): string {
  const make = () => new Intl.DateTimeFormat(locale(), { dateStyle: "medium", timeStyle: "short" });
  return once("dateTime", make).format(new Date(value));
}

export function isAhead(value: string, now = Date.now()): boolean {
  return Date.parse(value) > now;
}

export function day(value: string | Date): string {
  const make = () => new Intl.DateTimeFormat(locale(), { day: "numeric", month: "short" });
  return once("day", make).format(new Date(value));
}

const UNITS: [Intl.RelativeTimeFormatUnit, number][] = [
  ["year", 31_557_600],
  ["month", 2_629_800],
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
];

/** `3 hours ago` */
export function ago(value: string | Date, now = Date.now()): string {
  const seconds = (new Date(value).getTime() - now) / 1000;
  const format = once("ago", () => new Intl.RelativeTimeFormat(locale(), { numeric: "auto" }));
  for (const [unit, length] of UNITS) {
    if (Math.abs(seconds) >= length) return format.format(Math.trunc(seconds / length), unit);
  }
  return format.format(0, "second");
}

/** A country by its two letters. */
export function country(code: string): string {
  try {
    return once("country", () => new Intl.DisplayNames(locale(), { type: "region" })).of(code) ?? code;
  } catch {
    return code;
  }
}

/** A wall-clock time of some zone (`2026-12-01T09:00`), whatever zone the viewer is in. */
export function wallClock(value: string): string {
  const make = () => new Intl.DateTimeFormat(locale(), { dateStyle: "medium", timeStyle: "short", timeZone: "UTC" });
  const read = new Date(`${value.slice(0, 16)}:00Z`);
  return Number.isNaN(read.getTime()) ? value : once("wallClock", make).format(read);
}

/** When something is to happen, as it was chosen. One with an offset is a moment, which the viewer's own clock tells. */
export function planned(at: string): string {
  return /(z|[+-]\d\d:\d\d)$/i.test(at) ? dateTime(at) : wallClock(at);
}

export function duration(ms: number): string {
  const make = (unit: "millisecond" | "second" | "minute") =>
    once(unit, () => new Intl.NumberFormat(locale(), { style: "unit", unit, maximumFractionDigits: 1 }));
  if (ms < 1000) return make("millisecond").format(ms);
  return ms < 90_000 ? make("second").format(ms / 1000) : make("minute").format(ms / 60_000);
}
