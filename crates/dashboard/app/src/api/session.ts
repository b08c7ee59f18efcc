import { queryOptions, type QueryClient } from "@tanstack/react-query";
import { api, ask, setCsrfToken, type Schemas } from "./client";
import { isProblem } from "./problem";

export type Session = Schemas["identity.Session"];

/** Who was signed in last, on this page. */
let last: string | undefined;

/** Who is signed in; null when nobody is. */
export const sessionQuery = queryOptions({
  queryKey: ["session"],
  queryFn: async (): Promise<Session | null> => {
    try {
      const session = await ask(api.GET("/api/v1/session"));
      setCsrfToken(session.csrf_token);
      last = session.user.id;
      return session;
    } catch (error) {
      if (isProblem(error) && error.status === 401) return null;
      throw error;
    }
  },
  staleTime: Infinity,
});

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
  await ask(api.POST("/api/v1/register", { body }));
  await signIn(client, email, password);
}

export async function signOut(client: QueryClient) {
  const session = client.getQueryData<Session | null>(sessionQuery.queryKey);
  const header = { "X-CSRF-Token": session?.csrf_token ?? "" };
  await ask(api.DELETE("/api/v1/session", { params: { header } }));
  setCsrfToken(undefined);
  client.clear();
  client.setQueryData(sessionQuery.queryKey, null);
}

/** What a role may do in the dashboard; the services decide, this only hides what they refuse. */
export function may(session: Session | null | undefined, what: "write" | "send" | "administer"): boolean {
  const role = session?.user.role;
  if (role === "owner" || role === "admin") return true;
  return what !== "administer" && role === "marketer";
}
