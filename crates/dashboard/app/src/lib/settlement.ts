import type { Schemas } from "../api/client";

export type Settlement = Pick<Schemas["Settlement"], "audience" | "settled" | (typeof OUTCOMES)[number]>;

/** In the order in which they are drawn. */
export const OUTCOMES = ["accepted", "rejected", "suppressed", "skipped", "ambiguous", "pending"] as const;

