import { useInfiniteQuery, useQueries, useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { useLiveFigures } from "../api/live";
import { domainsQuery, leadsQuery, overviewQuery, sendersQuery, settlementQuery, speedQuery, startQuery, timeseriesQuery, webhooksQuery, type Campaign } from "../api/queries";
import { may, sessionQuery } from "../api/session";
import { count, money } from "../lib/format";
import { lastDays } from "../lib/period";
import { Chart } from "../ui/chart";
import { Ago, Badge, Button, ErrorNote, Loading, PageHead, Ready, Segmented, Stat, useTold } from "../ui/kit";
import { Starts } from "../ui/schedule";
import { SettlementBar } from "../ui/settlement";
import { StatusBadge } from "../ui/status";

const ACTIVE = new Set(["running", "paused", "scheduled"]);

const DAYS = ["1", "7", "30"] as const;
/** What one must be allowed to see for a part to be there at all. */
const NEEDS = { campaigns: "campaigns:read", analytics: "analytics:read", messages: "messages:read", lists: "leads:read" } as const;

export function Overview() {
  const { t } = useTranslation();
  const [days, setDays] = useState<(typeof DAYS)[number]>("30");
  const period = useMemo(() => lastDays(Number(days)), [days]);
  const { data: session } = useQuery(sessionQuery);
  const sees = may(session, "analytics:read");
  const start = useQuery({
    ...startQuery,
    refetchInterval: ({ state }) => (state.data?.parts.campaigns?.items.some((campaign) => campaign.status === "running") ? 3_000 : 30_000),
  });
  // The first answer has the figures of 30 days; others are asked for when they are chosen.
  const chosen = useQuery({ ...overviewQuery({ from: period.from, to: period.to }), enabled: sees && days !== "30" });
  const series = useQuery({ ...timeseriesQuery(period), enabled: sees });
  const live = useLiveFigures(sees);
  const { campaigns, analytics, messages, lists } = start.data?.parts ?? {};
  const recent = campaigns?.items ?? [];
  const figures = days === "30" ? analytics : chosen.data;
  // Where nothing has happened yet, the way to the first campaign says more than noughts.
  const fresh = campaigns !== undefined && analytics?.events === 0 && !recent.some((campaign) => campaign.started_at);
  const missing = (start.data?.missing ?? []).filter(({ part }) => may(session, NEEDS[part]));
  return (
    <>
      <PageHead title={t("overview.title", { name: session?.user.name.split(" ")[0] ?? "" })}
        badge={sees && !fresh && <span className="row tight small" data-live={live.state}><Badge tone={live.state === "open" ? "good" : ""}>{t(`live.states.${live.state}`)}</Badge><span className="muted">{t("overview.now", { count: live.people, shown: count(live.people) })}</span></span>}
        actions={sees && !fresh && <Segmented label={t("overview.period")} value={days} onChange={setDays} options={DAYS.map((one) => [one, t("overview.days", { count: Number(one) })] as const)} />} />
      {/* All at once, so that nothing jumps. */}
      <Ready of={start}>{() => <div className="stack wide">
        {missing.map(({ part, detail }) => (
          <div key={part} className="note warning row apart" role="status"><span className="break"><strong>{t(`overview.parts.${part}`)}</strong>: {t("overview.missing", { detail })}</span><Button small busy={start.isFetching} onClick={() => void start.refetch()}>{t("common.retry")}</Button></div>
        ))}
        <Needs campaigns={recent} />
        <Alerts />
        {sees && !fresh && (figures ? (
          <section className="cards" aria-label={t("overview.figures")}>
            <Stat label={t("overview.opens")} value={count(figures.opens)} />
            <Stat label={t("overview.clicks")} value={count(figures.clicks)} />
            <Stat label={t("overview.visitors")} value={count(figures.visitors)} />
            <Stat label={t("overview.conversions")} value={count(figures.conversions)} />
            <Stat label={t("overview.unsubscribes")} value={count(figures.unsubscribes)} />
            {figures.revenue.map((sum) => (
              <Stat key={sum.currency} label={t("overview.revenue")} value={money(sum.amount, sum.currency)} />
            ))}
          </section>
        ) : chosen.error ? <ErrorNote error={chosen.error} retry={() => void chosen.refetch()} /> : days !== "30" && <Loading />)}
        {campaigns && <FirstSteps campaigns={recent} lists={lists?.items.length} />}
        {sees && !fresh && <section className="card">
          <h2>{t("overview.chart")}</h2>
          <Ready of={series}>
            {({ points }) => <Chart interval={period.interval} at={points.map((point) => point.at)} series={[
              { label: t("overview.opens"), values: points.map((point) => point.opens), tone: "accent" },
              { label: t("overview.clicks"), values: points.map((point) => point.clicks), tone: "info" },
            ]} />}
          </Ready>
          <p className="small muted">{t("overview.humans")}</p>
        </section>}
        <div className="grid2">
          {recent.length > 0 && (
            <section className="card flush">
              <div className="row apart" style={{ padding: "12px 14px" }}>
                <h2>{t("overview.recent")}</h2><Link to="/campaigns">{t("overview.all")}</Link>
              </div>
              <div className="scroll"><table><tbody>
                {recent.map((campaign) => (
                  <tr key={campaign.id}>
                    <td className="break"><Link to="/campaigns/$id" params={{ id: campaign.id }}>{campaign.name}</Link></td>
                    <td><StatusBadge of={campaign.status} /></td>
                    <td className="end muted nowrap"><Ago at={campaign.updated_at} /></td>
                  </tr>
                ))}
              </tbody></table></div>
            </section>
          )}
          {messages && messages.items.length > 0 && (
            <section className="card flush">
              <div className="row apart" style={{ padding: "12px 14px" }}>
                <h2>{t("overview.latest")}</h2><Link to="/deliveries">{t("shell.deliveries")}</Link>
              </div>
              <div className="scroll"><table><tbody>
                {messages.items.map((message) => (
                  <tr key={message.id}>
                    <td className="break">{message.to}</td>
                    <td><Badge tone={message.outcome === "accepted" ? "good" : message.outcome === "rejected" ? "bad" : ""}>{t(`outcome.${message.outcome ?? "pending"}`)}</Badge></td>
                    <td className="end muted nowrap"><Ago at={message.settled_at ?? message.created_at} /></td>
                  </tr>
                ))}
              </tbody></table></div>
            </section>
          )}
        </div>
      </div>}</Ready>
    </>
  );
}

/** What is broken and waits for a person, besides campaigns. */
function Alerts() {
  const { t } = useTranslation();
  const told = useTold();
  const { data: session } = useQuery(sessionQuery);
  const senders = useQuery({ ...sendersQuery, enabled: may(session, "senders:write"), refetchInterval: 60_000 });
  const hooks = useQuery({ ...webhooksQuery, enabled: may(session, "webhooks:read"), refetchInterval: 60_000 });
  const away = senders.data?.filter((sender) => sender.enabled && sender.unreachable) ?? [];
  // One that a person turned off is no surprise to anybody.
  const failing = hooks.data?.filter((hook) => hook.failing_since) ?? [];
  if (away.length + failing.length === 0) return null;
  return (
    <section className="card" aria-label={t("overview.alerts")}>
      <h2>{t("overview.alerts")}</h2>
      <ul className="plain stack tight">
        {away.map((sender) => <li key={sender.id} className="note warning break"><Link to="/settings/senders">{sender.name}</Link>: {told(sender.unreachable ?? "")}</li>)}
        {failing.map((hook) => <li key={hook.id} className="note warning break"><Link to="/settings/webhooks">{hook.url}</Link>: {hook.disabled_reason ? told(hook.disabled_reason) : t("webhooks.failing")}</li>)}
      </ul>
    </section>
  );
}

/** What runs, and what waits for a person. */
function Needs({ campaigns }: { campaigns: Campaign[] }) {
  const { t } = useTranslation();
  const told = useTold();
  const active = campaigns.filter((campaign) => ACTIVE.has(campaign.status)).slice(0, 5);
  const settlements = useQueries({
    queries: active.map((campaign) => settlementQuery(campaign.id, campaign.status === "running")),
  });
  const speeds = useQueries({ queries: active.map((campaign) => speedQuery(campaign.id, campaign.status === "running")) });
  if (active.length === 0) return null;
  return (
    <section className="card">
      <h2>{t("overview.running")}</h2>
      <ul className="plain stack">
        {active.map((campaign, index) => {
          const settlement = settlements[index]?.data;
          const speed = campaign.status === "running" ? speeds[index]?.data : undefined;
          const trouble = campaign.paused_reason ?? campaign.held?.reason;
          return (
            <li key={campaign.id} className="stack tight">
              <div className="row apart">
                <div className="row"><Link to="/campaigns/$id" params={{ id: campaign.id }}>{campaign.name}</Link><StatusBadge of={campaign.status} /></div>
                <span className="num small muted">
                  {campaign.status === "scheduled" && campaign.schedule && <Starts schedule={campaign.schedule} />}
                  {speed && settlement && settlement.pending > 0 && <>{t("overview.speed", { count: Math.round(speed.per_second), shown: count(Math.round(speed.per_second)) })} · </>}
                  {settlement && settlement.audience > 0 && t("overview.progress", { done: count(settlement.audience - settlement.pending), audience: count(settlement.audience) })}
                </span>
              </div>
              {settlement && settlement.audience > 0 && <SettlementBar of={settlement} />}
              {trouble && <div className="note warning">{told(trouble)}</div>}
            </li>
          );
        })}
      </ul>
    </section>
  );
}

/** The way to the first campaign, until it is gone. */
function FirstSteps({ campaigns, lists }: { campaigns: Campaign[]; lists: number | undefined }) {
  const { t } = useTranslation();
  const done = campaigns.some((campaign) => campaign.started_at);
  const wanted = !done;
  const leads = useInfiniteQuery({ ...leadsQuery({}), enabled: wanted });
  const domains = useQuery({ ...domainsQuery, enabled: wanted, retry: false });
  if (!wanted) return null;
  const steps = [
    { key: "list", to: "/lists", done: (lists ?? 0) > 0 },
    { key: "leads", to: "/leads/import", done: (leads.data?.pages[0]?.items.length ?? 0) > 0 },
    { key: "domain", to: "/settings/domains", done: domains.data?.some((domain) => domain.authenticated) ?? false },
    { key: "campaign", to: "/campaigns", done: campaigns.length > 0 },
    { key: "start", to: "/campaigns", done: false },
  ] as const;
  const next = steps.find((step) => !step.done);
  return (
    <section className="card">
      <h2>{t("first.title")}</h2>
      <ol className="plain checks">
        {steps.map((step) => (
          <li key={step.key}>
            <span className={step.done ? "mark ok" : "mark"} aria-hidden="true">{step.done ? "✓" : "○"}</span>
            <div>
              <Link to={step.to}>{t(`first.${step.key}`)}</Link>
              {step.done && <span className="visually-hidden"> ({t("first.done")})</span>}
              {step === next && <p className="small muted">{t(`first.${step.key}Text`)}</p>}
            </div>
          </li>
        ))}
      </ol>
    </section>
  );
}
