import { infiniteQueryOptions, queryOptions } from "@tanstack/react-query";
import { api, ask, askFull, type Schemas } from "./client";

export type Campaign = Schemas["campaigns.CampaignView"];
export type CampaignStatus = Campaign["status"];
export type Lead = Schemas["leads.LeadView"];
export type List = Schemas["leads.ListView"];
export type Form = Schemas["leads.FormView"];
export type Segment = Schemas["leads.SegmentView"];

/** What a table shows of a lead. It keeps everybody whom one has scrolled past, so nothing else of them. */
export type LeadRow = Pick<Lead, "id" | "email" | "first_name" | "last_name" | "company" | "status" | "tags" | "unconfirmed" | "created_at">;

const leadRow = ({ id, email, first_name, last_name, company, status, tags, unconfirmed, created_at }: Lead): LeadRow =>
  ({ id, email, first_name, last_name, company, status, tags, unconfirmed, created_at });

export interface LeadFilter {
  q?: string | undefined;
  status?: string | undefined;
  tag?: string | undefined;
  list_id?: string | undefined;
  segment_id?: string | undefined;
}

/** Empty filters are no filters. */
export function given<T extends object>(filter: T): Partial<T> {
  return Object.fromEntries(Object.entries(filter).filter(([, value]) => value !== undefined && value !== "")) as Partial<T>;
}

const next = (page: { next_cursor?: string | null }) => page.next_cursor ?? undefined;
const start = undefined as string | undefined;

export const campaignsQuery = (status?: CampaignStatus) =>
  infiniteQueryOptions({
    queryKey: ["campaigns", { status }],
    queryFn: ({ pageParam, signal }) =>
      ask(api.GET("/api/v1/campaigns", { params: { query: given({ status, limit: 50, cursor: pageParam }) }, signal })),
    initialPageParam: start,
    getNextPageParam: next,
  });

export const campaignQuery = (id: string) =>
  queryOptions({
    queryKey: ["campaigns", id],
    queryFn: ({ signal }) => askFull(api.GET("/api/v1/campaigns/{id}", { params: { path: { id } }, signal })),
  });

/** Cheap, and asked often while a campaign runs. */
export const settlementQuery = (id: string, running: boolean) =>
  queryOptions({
    queryKey: ["campaigns", id, "settlement"],
    queryFn: ({ signal }) => ask(api.GET("/api/v1/campaigns/{id}/settlement", { params: { path: { id } }, signal })),
    refetchInterval: running ? 1_000 : false,
    staleTime: running ? 0 : 30_000,
  });

export const speedQuery = (id: string, running: boolean) =>
  queryOptions({
    queryKey: ["campaigns", id, "speed"],
    queryFn: ({ signal }) => ask(api.GET("/api/v1/campaigns/{id}/speed", { params: { path: { id } }, signal })),
    refetchInterval: running ? 2_000 : false,
    enabled: running,
  });

export const reportQuery = (id: string, running: boolean) =>
  queryOptions({
    queryKey: ["campaigns", id, "report"],
    queryFn: ({ signal }) => ask(api.GET("/api/v1/campaigns/{id}/report", { params: { path: { id } }, signal })),
    refetchInterval: running ? 5_000 : 30_000,
  });

export const leadsQuery = (filter: LeadFilter) =>
  infiniteQueryOptions({
    queryKey: ["leads", given(filter)],
    queryFn: async ({ pageParam, signal }) => {
      const page = await ask(api.GET("/api/v1/leads", { params: { query: { ...given(filter), limit: 200, cursor: pageParam } }, signal }));
      return { ...page, items: page.items.map(leadRow) };
    },
    initialPageParam: start,
    getNextPageParam: next,
  });

export const leadQuery = (id: string) =>
  queryOptions({
    queryKey: ["leads", id],
    queryFn: ({ signal }) => askFull(api.GET("/api/v1/leads/{id}", { params: { path: { id } }, signal })),
  });

export const timelineQuery = (id: string) =>
  queryOptions({
    queryKey: ["leads", id, "timeline"],
    queryFn: ({ signal }) => ask(api.GET("/api/v1/leads/{id}/timeline", { params: { path: { id } }, signal })),
  });

export const membershipsQuery = (id: string) =>
  queryOptions({
    queryKey: ["leads", id, "lists"],
    queryFn: async ({ signal }) => (await ask(api.GET("/api/v1/leads/{id}/lists", { params: { path: { id } }, signal }))).items,
  });

export const importQuery = (id: string) =>
  queryOptions({
    queryKey: ["imports", id],
    queryFn: ({ signal }) => ask(api.GET("/api/v1/leads/imports/{id}", { params: { path: { id } }, signal })),
    refetchInterval: ({ state }) => (["queued", "running"].includes(state.data?.status ?? "queued") ? 500 : false),
  });

export const importsQuery = queryOptions({
  queryKey: ["imports"],
  queryFn: async ({ signal }) => (await ask(api.GET("/api/v1/leads/imports", { params: { query: { limit: 50 } }, signal }))).items,
});

/** All lists: there are few, and choices offer every one. */
export const listsQuery = queryOptions({
  queryKey: ["lists"],
  queryFn: async ({ signal }) => (await ask(api.GET("/api/v1/lists", { params: { query: { limit: 500 } }, signal }))).items,
});

export const listQuery = (id: string) =>
  queryOptions({
    queryKey: ["lists", id],
    queryFn: ({ signal }) => askFull(api.GET("/api/v1/lists/{id}", { params: { path: { id } }, signal })),
  });

export const membersQuery = (id: string, status?: Schemas["leads.MemberStatus"]) =>
  infiniteQueryOptions({
    queryKey: ["lists", id, "members", { status }],
    queryFn: ({ pageParam, signal }) =>
      ask(api.GET("/api/v1/lists/{id}/members", {
        params: { path: { id }, query: given({ status, limit: 100, cursor: pageParam }) }, signal,
      })),
    initialPageParam: start,
    getNextPageParam: next,
  });

export const formsQuery = queryOptions({
  queryKey: ["forms"],
  queryFn: async ({ signal }) => (await ask(api.GET("/api/v1/forms", { params: { query: { limit: 500 } }, signal }))).items,
});

export const formQuery = (id: string) =>
  queryOptions({
    queryKey: ["forms", id],
    queryFn: ({ signal }) => askFull(api.GET("/api/v1/forms/{id}", { params: { path: { id } }, signal })),
  });

export const segmentsQuery = queryOptions({
  queryKey: ["segments"],
  queryFn: async ({ signal }) =>
    (await ask(api.GET("/api/v1/segments", { params: { query: { limit: 500 } }, signal }))).items,
});

export const segmentQuery = (id: string) =>
  queryOptions({
    queryKey: ["segments", id],
    queryFn: ({ signal }) => askFull(api.GET("/api/v1/segments/{id}", { params: { path: { id } }, signal })),
  });

export interface Period { from: string; to: string; interval: "hour" | "day" | "week" }

export const overviewQuery = (period: Pick<Period, "from" | "to">) =>
  queryOptions({
    queryKey: ["analytics", "overview", period],
    queryFn: ({ signal }) => ask(api.GET("/api/v1/analytics/overview", { params: { query: period }, signal })),
    // What happens is told live; this is for when nobody tells.
    refetchInterval: 30_000,
  });

/** A page of what a part answers. */
interface Items<T> { items: T[] }
export interface Start {
  parts: {
    campaigns?: Items<Campaign>;
    analytics?: Schemas["analytics.Overview"];
    messages?: Items<Schemas["notifications.Message"]>;
    lists?: Items<List>;
  };
  /** The parts that did not answer, with the reason. */
  missing: { part: keyof Start["parts"]; code: string; detail: string }[];
}

/** What the dashboard begins with, in one answer; the figures are of the last 30 days. */
export const startQuery = queryOptions({
  queryKey: ["overview"],
  queryFn: async ({ signal }) => (await ask(api.GET("/api/v1/overview", { signal }))) as unknown as Start,
});

export const timeseriesQuery = (period: Period, campaign_id?: string) =>
  queryOptions({
    queryKey: ["analytics", "timeseries", period, campaign_id],
    queryFn: ({ signal }) =>
      ask(api.GET("/api/v1/analytics/timeseries", { params: { query: { ...period, ...given({ campaign_id }) } }, signal })),
  });

export const linksQuery = (period: Pick<Period, "from" | "to">) =>
  queryOptions({
    queryKey: ["analytics", "links", period],
    queryFn: ({ signal }) => ask(api.GET("/api/v1/analytics/links", { params: { query: { ...period, limit: 20 } }, signal })),
  });

export const devicesQuery = (period: Pick<Period, "from" | "to">) =>
  queryOptions({
    queryKey: ["analytics", "devices", period],
    queryFn: ({ signal }) => ask(api.GET("/api/v1/analytics/devices", { params: { query: period }, signal })),
  });

export const channelsQuery = (period: Pick<Period, "from" | "to">) =>
  queryOptions({
    queryKey: ["analytics", "channels", period],
    queryFn: ({ signal }) => ask(api.GET("/api/v1/analytics/channels", { params: { query: { ...period, limit: 20 } }, signal })),
  });

export const countriesQuery = (period: Pick<Period, "from" | "to">) =>
  queryOptions({
    queryKey: ["analytics", "countries", period],
    queryFn: ({ signal }) => ask(api.GET("/api/v1/analytics/countries", { params: { query: { ...period, limit: 20 } }, signal })),
  });

export const visitsQuery = (period: Pick<Period, "from" | "to">) =>
  queryOptions({
    queryKey: ["analytics", "sessions", period],
    queryFn: ({ signal }) => ask(api.GET("/api/v1/analytics/sessions", { params: { query: period }, signal })),
  });

export const goalsQuery = (period: Pick<Period, "from" | "to">) =>
  queryOptions({
    queryKey: ["goals", "reached", period],
    queryFn: ({ signal }) => ask(api.GET("/api/v1/analytics/goals", { params: { query: period }, signal })),
  });

/** Campaigns by their id, to call them by name. */
export const campaignNamesQuery = queryOptions({
  queryKey: ["campaigns", "names"],
  queryFn: async ({ signal }) => {
    const { items } = await ask(api.GET("/api/v1/campaigns", { params: { query: { limit: 500 } }, signal }));
    return new Map(items.map((campaign) => [campaign.id as string, campaign.name]));
  },
  staleTime: 60_000,
});

export const sendersQuery = queryOptions({
  queryKey: ["senders"],
  queryFn: async ({ signal }) => (await ask(api.GET("/api/v1/senders", { signal }))).items,
});

export const domainsQuery = queryOptions({
  queryKey: ["domains"],
  queryFn: async ({ signal }) => (await ask(api.GET("/api/v1/domains", { params: { query: { limit: 500 } }, signal }))).items,
});

export const webhooksQuery = queryOptions({
  queryKey: ["webhooks"],
  queryFn: async ({ signal }) => (await ask(api.GET("/api/v1/webhooks", { params: { query: { limit: 500 } }, signal }))).items,
});

export type Template = Schemas["campaigns.TemplateView"];

export const templatesQuery = queryOptions({
  queryKey: ["templates"],
  queryFn: async ({ signal }) => (await ask(api.GET("/api/v1/templates", { params: { query: { limit: 500 } }, signal }))).items,
});

export const templateQuery = (id: string) =>
  queryOptions({
    queryKey: ["templates", id],
    queryFn: ({ signal }) => askFull(api.GET("/api/v1/templates/{id}", { params: { path: { id } }, signal })),
  });

export const usersQuery = queryOptions({
  queryKey: ["users"],
  queryFn: async ({ signal }) => (await ask(api.GET("/api/v1/users", { params: { query: { limit: 500 } }, signal }))).items,
});
