import type { Period } from "../api/queries";

/** The last days up to the end of this hour, so that asking again asks the same. */
export function lastDays(days: number, now = new Date()): Period {
  const hour = 3_600_000;
  const to = new Date((Math.floor(now.getTime() / hour) + 1) * hour);
  const from = new Date(to.getTime() - days * 24 * hour);
  return { from: from.toISOString(), to: to.toISOString(), interval: days <= 3 ? "hour" : "day" };
}

/** From the hour before a campaign's start on: hours while it is fresh, then days, at most ninety. */
export function around(start: string, now = new Date()): Period {
  const hour = 3_600_000;
  const from = (Math.floor(Date.parse(start) / hour) - 1) * hour;
  const to = (Math.floor(now.getTime() / hour) + 1) * hour;
  const end = Math.min(to, from + 90 * 24 * hour);
  return { from: new Date(from).toISOString(), to: new Date(end).toISOString(), interval: end - from <= 72 * hour ? "hour" : "day" };
}
