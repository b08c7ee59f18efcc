/** A step of a funnel: events of a type, or of those only that have a name. */
export interface Step { type: string; name?: string }

export const EVENT_TYPES = ["view", "open", "click", "goal", "track", "identify", "unsubscribe"] as const;
export const MOST_STEPS = 10;

export const isComplete = (steps: readonly Step[]) => steps.length >= 2 && steps.every((step) => step.type.trim() !== "");

/** As the API and the address bar have it. */
export function writeSteps(steps: readonly Step[]): string {
  return JSON.stringify(steps.map(({ type, name }) => (name?.trim() ? { type: type.trim(), name: name.trim() } : { type: type.trim() })));
}

/** What an address bar says, if it is a funnel. */
export function readSteps(text: string | undefined): Step[] | undefined {
  if (!text) return undefined;
  try {
    const found: unknown = JSON.parse(text);
    if (!Array.isArray(found) || found.length < 2 || found.length > MOST_STEPS) return undefined;
    const steps = found.map((one): Step | undefined => {
      const { type, name } = (one ?? {}) as Record<string, unknown>;
      if (typeof type !== "string") return undefined;
      return typeof name === "string" ? { type, name } : { type };
    });
    return steps.every((step) => step !== undefined) ? steps : undefined;
  } catch {
    return undefined;
  }
}
