import type { QueryClient } from "@tanstack/react-query";
import {
  createRootRouteWithContext, createRoute, createRouter, lazyRouteComponent, Outlet, redirect,
} from "@tanstack/react-router";
import { sessionQuery } from "./api/session";
import { Crash, Missing } from "./screens/failures";
import { Shell } from "./screens/shell";
import { Forgot, SignIn, SignUp } from "./screens/door";
import { OUTCOMES } from "./lib/settlement";
import { Loading } from "./ui/kit";

const root = createRootRouteWithContext<{ client: QueryClient }>()({ component: Outlet, notFoundComponent: Missing });

const text = (value: unknown) => (typeof value === "string" && value !== "" ? value : undefined);
/** A place inside the dashboard; nothing that leads elsewhere. */
const inside = (value: unknown) => {
  const path = text(value);
  return path?.startsWith("/") && !path.startsWith("//") && !path.includes("\\") ? path : undefined;
};

const signIn = createRoute({
  getParentRoute: () => root,
  path: "/sign-in",
  component: SignIn,
  validateSearch: (search: Record<string, unknown>): { next?: string } => ({ next: inside(search.next) }),
});
const signUp = createRoute({ getParentRoute: () => root, path: "/sign-up", component: SignUp });

const forgot = createRoute({ getParentRoute: () => root, path: "/forgot", component: Forgot });
const shared = createRoute({
  getParentRoute: () => root, path: "/shared/$token", component: lazyRouteComponent(() => import("./screens/shared"), "Shared"),
});

const shell = createRoute({
  getParentRoute: () => root,
  id: "shell",
  component: Shell,
  beforeLoad: async ({ context, location }) => {
    const session = await context.client.ensureQueryData(sessionQuery);
    if (!session) throw redirect({ to: "/sign-in", search: location.pathname === "/" ? {} : { next: location.href } });
  },
});

const under = { getParentRoute: () => shell };

const overview = createRoute({
  ...under, path: "/", component: lazyRouteComponent(() => import("./screens/overview"), "Overview"),
});

const STATUSES = ["draft", "scheduled", "running", "paused", "finished", "cancelled"] as const;
const campaigns = createRoute({
  ...under,
  path: "/campaigns",
  component: lazyRouteComponent(() => import("./screens/campaigns"), "Campaigns"),
  validateSearch: (search: Record<string, unknown>): { status?: (typeof STATUSES)[number] } => ({
    status: STATUSES.find((status) => status === search.status),
  }),
});
const campaign = createRoute({
  ...under, path: "/campaigns/$id", component: lazyRouteComponent(() => import("./screens/campaign"), "CampaignScreen"),
});

const templates = createRoute({
  ...under, path: "/templates", component: lazyRouteComponent(() => import("./screens/templates/list"), "Templates"),
});
const template = createRoute({
  ...under, path: "/templates/$id", component: lazyRouteComponent(() => import("./screens/templates/edit"), "TemplateScreen"),
});

const leads = createRoute({
  ...under,
  path: "/leads",
  component: lazyRouteComponent(() => import("./screens/leads"), "Leads"),
  validateSearch: (search: Record<string, unknown>) => ({
    q: text(search.q), status: text(search.status), tag: text(search.tag),
    list_id: text(search.list_id), segment_id: text(search.segment_id),
  }) as { q?: string; status?: string; tag?: string; list_id?: string; segment_id?: string },
});
const importing = createRoute({
  ...under,
  path: "/leads/import",
  component: lazyRouteComponent(() => import("./screens/import"), "ImportWizard"),
  validateSearch: (search: Record<string, unknown>): { list_id?: string; run?: string } => ({
    list_id: text(search.list_id), run: text(search.run),
  }),
});
const lead = createRoute({
  ...under, path: "/leads/$id", component: lazyRouteComponent(() => import("./screens/lead"), "LeadScreen"),
});
const lists = createRoute({
  ...under, path: "/lists", component: lazyRouteComponent(() => import("./screens/lists"), "Lists"),
});
const list = createRoute({
  ...under, path: "/lists/$id", component: lazyRouteComponent(() => import("./screens/lists"), "ListScreen"),
});
const forms = createRoute({
  ...under, path: "/forms", component: lazyRouteComponent(() => import("./screens/forms/list"), "Forms"),
});
const form = createRoute({
  ...under, path: "/forms/$id", component: lazyRouteComponent(() => import("./screens/forms/edit"), "FormScreen"),
});
const segments = createRoute({
  ...under, path: "/segments", component: lazyRouteComponent(() => import("./screens/segments"), "Segments"),
});
const segment = createRoute({
  ...under, path: "/segments/$id", component: lazyRouteComponent(() => import("./screens/segments"), "SegmentScreen"),
});
const suppressions = createRoute({
  ...under, path: "/suppressions", component: lazyRouteComponent(() => import("./screens/suppressions"), "Suppressions"),
});
const analytics = createRoute({
  ...under, path: "/analytics", component: lazyRouteComponent(() => import("./screens/analytics/frame"), "Analytics"),
});
const inAnalytics = { getParentRoute: () => analytics };
const figures = createRoute({
  ...inAnalytics, path: "/", component: lazyRouteComponent(() => import("./screens/analytics/overview"), "Figures"),
});
const funnel = createRoute({
  ...inAnalytics,
  path: "/funnel",
  component: lazyRouteComponent(() => import("./screens/analytics/funnel"), "FunnelScreen"),
  // The router reads JSON by itself.
  validateSearch: (search: Record<string, unknown>): { steps?: string } => ({
    steps: Array.isArray(search.steps) ? JSON.stringify(search.steps) : text(search.steps),
  }),
});
const goals = createRoute({
  ...inAnalytics, path: "/goals", component: lazyRouteComponent(() => import("./screens/analytics/goals"), "GoalsScreen"),
});
const retention = createRoute({
  ...inAnalytics, path: "/retention", component: lazyRouteComponent(() => import("./screens/analytics/retention"), "RetentionScreen"),
});
const attribution = createRoute({
  ...inAnalytics, path: "/attribution", component: lazyRouteComponent(() => import("./screens/analytics/attribution"), "AttributionScreen"),
});
const live = createRoute({
  ...inAnalytics, path: "/live", component: lazyRouteComponent(() => import("./screens/analytics/live"), "LiveScreen"),
});
const shares = createRoute({
  ...inAnalytics, path: "/shares", component: lazyRouteComponent(() => import("./screens/analytics/shares"), "Shares"),
});
const deliveries = createRoute({
  ...under,
  path: "/deliveries",
  component: lazyRouteComponent(() => import("./screens/deliveries"), "Deliveries"),
  validateSearch: (search: Record<string, unknown>): { campaign_id?: string; lead_id?: string; outcome?: (typeof OUTCOMES)[number] } => ({
    campaign_id: text(search.campaign_id), lead_id: text(search.lead_id), outcome: OUTCOMES.find((outcome) => outcome === search.outcome),
  }),
});

const settings = createRoute({
  ...under, path: "/settings", component: lazyRouteComponent(() => import("./screens/settings/frame"), "Settings"),
});
const inSettings = { getParentRoute: () => settings };
const people = () => import("./screens/settings/people");
const sending = () => import("./screens/settings/sending");
const account = createRoute({ ...inSettings, path: "/", component: lazyRouteComponent(() => import("./screens/settings/account"), "Account") });
const workspace = createRoute({ ...inSettings, path: "/workspace", component: lazyRouteComponent(people, "Workspace") });
const users = createRoute({ ...inSettings, path: "/people", component: lazyRouteComponent(people, "People") });
const domains = createRoute({ ...inSettings, path: "/domains", component: lazyRouteComponent(sending, "Domains") });
const senders = createRoute({ ...inSettings, path: "/senders", component: lazyRouteComponent(sending, "Senders") });
const bounces = createRoute({
  ...inSettings, path: "/bounces", component: lazyRouteComponent(() => import("./screens/settings/bounces"), "Bounces"),
});
const webhooks = createRoute({
  ...inSettings, path: "/webhooks", component: lazyRouteComponent(() => import("./screens/settings/webhooks"), "Webhooks"),
});
const keys = createRoute({
  ...inSettings, path: "/keys", component: lazyRouteComponent(() => import("./screens/settings/keys"), "Keys"),
});
const writeKeys = createRoute({
  ...inSettings, path: "/write-keys", component: lazyRouteComponent(() => import("./screens/settings/write-keys"), "WriteKeys"),
});
const audit = createRoute({
  ...inSettings, path: "/audit", component: lazyRouteComponent(() => import("./screens/settings/audit"), "Audit"),
});

const tree = root.addChildren([
  signIn, signUp, forgot, shared,
  shell.addChildren([
    overview, campaigns, campaign, templates, template, leads, importing, lead, lists, list, forms, form, segments, segment, suppressions, deliveries,
    analytics.addChildren([figures, goals, funnel, retention, attribution, live, shares]),
    settings.addChildren([account, workspace, users, domains, senders, bounces, webhooks, keys, writeKeys, audit]),
  ]),
]);

export function makeRouter(client: QueryClient) {
  return createRouter({
    routeTree: tree,
    context: { client },
    defaultPreload: "intent",
    defaultPendingComponent: Loading,
    defaultErrorComponent: Crash,
    defaultNotFoundComponent: Missing,
    scrollRestoration: true,
  });
}

declare module "@tanstack/react-router" {
  interface Register {
    router: ReturnType<typeof makeRouter>;
  }
}
