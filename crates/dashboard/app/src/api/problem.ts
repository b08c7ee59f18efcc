/** One field that was refused; `pointer` is a JSON pointer into the body, or `query/name`. */
export interface FieldError {
  pointer: string;
  detail: string;
  line?: number | null;
  column?: number | null;
}

/** An answer that says no (RFC 9457), or none at all (`status` 0). */
export class ProblemError extends Error {
  readonly status: number;
  readonly code: string;
  readonly fields: FieldError[];
  readonly requestId: string | undefined;

  constructor(status: number, body: unknown) {
    const given = (typeof body === "object" && body !== null ? body : {}) as Record<string, unknown>;
    super(typeof given.detail === "string" ? given.detail : "");
    this.name = "ProblemError";
    this.status = status;
    this.code = typeof given.code === "string" ? given.code : status === 0 ? "offline" : "unknown";
    this.fields = Array.isArray(given.errors) ? (given.errors as FieldError[]) : [];
    this.requestId = typeof given.request_id === "string" ? given.request_id : undefined;
  }

  /** What is wrong with one field, by its pointer (`/email`). */
  field(pointer: string): string | undefined {
    const found = this.fields.filter((field) => field.pointer === pointer);
    return found.length ? found.map((field) => field.detail).join("; ") : undefined;
  }
}

export function isProblem(error: unknown, code?: string): error is ProblemError {
  return error instanceof ProblemError && (code === undefined || error.code === code);
}
