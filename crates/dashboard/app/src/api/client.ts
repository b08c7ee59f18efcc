import i18next from "i18next";
import createClient, { type Middleware } from "openapi-fetch";
import type { components, paths } from "./schema";
import { ProblemError } from "./problem";

export type Schemas = components["schemas"];

/** The session's token against forged requests. It lives in memory only; the cookie is HttpOnly. */
let csrf: string | undefined;
export function setCsrfToken(token: string | undefined) {
  csrf = token;
}

type Listener = () => void;
const expired = new Set<Listener>();
/** Calls `listener` when a request is answered that nobody is signed in (any more). */
export function onExpired(listener: Listener): () => void {
  expired.add(listener);
  return () => expired.delete(listener);
}

const middleware: Middleware = {
  onRequest({ request }) {
    if (csrf && request.method !== "GET") request.headers.set("x-csrf-token", csrf);
    // Mails that a request leads to speak the language that was chosen here.
    if (i18next.resolvedLanguage) request.headers.set("accept-language", i18next.resolvedLanguage);
    return request;
  },
  async onResponse({ request, response }) {
    const own = new URL(request.url).pathname === "/api/v1/session";
    if (!own && (await isOver(response))) for (const listener of expired) listener();
  },
};

/** Of a person who is signed in: what they typed is not right. */
const WRONG = new Set(["code_wrong", "code_needed", "wrong_credentials"]);

/** Whether the session is over, or another one took its place (its token fits no more). */
async function isOver(response: Response): Promise<boolean> {
  if (response.status !== 401 && response.status !== 403) return false;
  const { code } = new ProblemError(response.status, await response.clone().json().catch(() => null));
  return response.status === 401 ? !WRONG.has(code) : code === "csrf_mismatch";
}

// `fetch` is looked up at each call, so that tests can stand in for it.
export const api = createClient<paths>({
  baseUrl: typeof location === "undefined" ? "http://localhost" : location.origin,
  fetch: (request) => globalThis.fetch(request),
});
api.use(middleware);

interface Answer<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** What was asked for, or a `ProblemError`. */
export async function ask<T>(asking: Promise<Answer<T>>): Promise<NonNullable<T>> {
  return (await askFull(asking)).data;
}

/** The same with the version of what was answered, for `If-Match`. */
export async function askFull<T>(
  asking: Promise<Answer<T>>,
): Promise<{ data: NonNullable<T>; etag: string | undefined }> {
  let answer: Answer<T>;
  try {
    answer = await asking;
  } catch (cause) {
    if (cause instanceof DOMException && cause.name === "AbortError") throw cause;
    throw new ProblemError(0, {});
  }
  if (!answer.response.ok) throw new ProblemError(answer.response.status, answer.error);
  const etag = answer.response.headers.get("etag") ?? undefined;
  return { data: answer.data as NonNullable<T>, etag };
}

/** A request outside the generated client: uploads and downloads. */
export async function raw(path: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  if (csrf && init.method && init.method !== "GET") headers.set("x-csrf-token", csrf);
  let response: Response;
  try {
    response = await fetch(path, { ...init, headers });
  } catch {
    throw new ProblemError(0, {});
  }
  if (await isOver(response)) for (const listener of expired) listener();
  if (!response.ok) {
    const body = await response.json().catch(() => ({}));
    throw new ProblemError(response.status, body);
  }
  return response;
}
