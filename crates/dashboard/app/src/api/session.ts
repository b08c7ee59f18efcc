import { queryOptions, type QueryClient } from "@tanstack/react-query";
import { api, ask, setCsrfToken, type Schemas } from "./client";
import { setLanguage, storedLanguage } from "../i18n";
import { forgetUnsaved } from "../lib/autosave";
import { applyTheme, storedTheme } from "../lib/theme";
import { isProblem } from "./problem";

export type Session = Schemas["identity.Session"];

/** Who was signed in last, on this page. */
let last: string | undefined;

/** Asks who is signed in; null when nobody is. */
export async function askSession(): Promise<Session | null> {
  try {
    // Nobody is no error, and a browser would log it as one.
    const session: Session | undefined = await ask(api.GET("/api/v1/session", { params: { query: { quiet: true } } }));
    if (!session) return null;
    setCsrfToken(session.csrf_token);
    last = session.user.id;
    return session;
  } catch (error) {
    if (isProblem(error) && error.status === 401) return null;
    throw error;
  }
}

/** Who is signed in, as far as the page knows; null when nobody is. */
export const sessionQuery = queryOptions({ queryKey: ["session"], queryFn: askSession, staleTime: Infinity });

/** Who else vouches for people here. */
export const providerQuery = queryOptions({
  queryKey: ["provider"],
  queryFn: () => ask(api.GET("/api/v1/oidc")),
  staleTime: Infinity,
});

export async function signIn(client: QueryClient, email: string, password: string, code?: string) {
  const body = code ? { email, password, code } : { email, password };
  const session = await ask(api.POST("/api/v1/session", { body }));
  setCsrfToken(session.csrf_token);
  // What another person was shown is not this one's.
  if (last !== undefined && last !== session.user.id) client.clear();
  last = session.user.id;
  client.setQueryData(sessionQuery.queryKey, session);
}

export async function signUp(
  client: QueryClient,
  form: { name: string; workspace: string; email: string; password: string },
) {
  const { name, workspace, email, password } = form;
  const body = { name, email, password, workspace: workspace ? { name: workspace } : undefined };
  const { refresh_token } = await ask(api.POST("/api/v1/register", { body }));
  await signIn(client, email, password);
  // The tokens are for programs; a browser has its cookie, and leaves nothing behind that signs in.
  await ask(api.POST("/api/v1/logout", { body: { refresh_token } })).catch(() => undefined);
}

/** Ends the session. What the browser was shown goes with it, also when nobody answers; that is thrown afterwards. */
export async function signOut(client: QueryClient) {
  const session = client.getQueryData<Session | null>(sessionQuery.queryKey);
  const header = { "X-CSRF-Token": session?.csrf_token ?? "" };
  const [theme, language] = [storedTheme(), storedLanguage()];
  const ending = ask(api.DELETE("/api/v1/session", { params: { header } }));
  const failure = await ending.then(() => undefined, (error: unknown) => error);
  if (failure && !(isProblem(failure) && failure.status === 0)) throw failure;
  setCsrfToken(undefined);
  client.clear();
  client.setQueryData(sessionQuery.queryKey, null);
  forgetUnsaved();
  // The answer has the browser forget everything; how the screen looks is nobody's secret.
  applyTheme(theme);
  if (language) await setLanguage(language);
  if (failure) throw failure;
}

/** Goes on in another workspace of the person; what was shown is the old one's. */
export async function switchTo(client: QueryClient, workspace_id: string) {
  const before = client.getQueryData<Session | null>(sessionQuery.queryKey);
  const header = { "X-CSRF-Token": before?.csrf_token ?? "" };
  const session = await ask(api.PUT("/api/v1/session", { params: { header }, body: { workspace_id } }));
  setCsrfToken(session.csrf_token);
  // Whoever shows the session hears of the new one; the rest is asked for anew.
  client.removeQueries({ predicate: ({ queryKey }) => queryKey[0] !== sessionQuery.queryKey[0] });
  client.setQueryData(sessionQuery.queryKey, session);
}

/** Whether somebody may do something; the services decide, this only hides what they refuse. */
export function may(session: Session | null | undefined, scope: Schemas["Scope"]): boolean {
  return session?.scopes.includes(scope) ?? false;
}
