import type { Schemas } from "../api/client";

export type WarmUp = Schemas["notifications.WarmUp"];

/** The caps of a plan's days, from its first on, until it is over; at most so many. */
export function capsOf(plan: WarmUp, most = 365): number[] {
  if (plan.daily) return plan.daily.slice(0, most);
  const { first, growth, until } = plan;
  if (!first || !growth || growth <= 1) return [];
  const caps: number[] = [];
  while (caps.length < most) {
    const cap = first * growth ** caps.length;
    if (cap > (until ?? 4_294_967_295)) break;
    caps.push(Math.floor(cap));
  }
  return caps;
}

/** A date of a plan, so many days after its first. Days are UTC. */
export function dayAfter(start: string, days: number): string {
  const [year = 0, month = 1, date = 1] = start.split("-").map(Number);
  return new Date(Date.UTC(year, month - 1, date + days)).toISOString().slice(0, 10);
}
