import { useInfiniteQuery, useQueries, useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { campaignsQuery, domainsQuery, leadsQuery, listsQuery, overviewQuery, settlementQuery, timeseriesQuery, type Campaign } from "../api/queries";
import { sessionQuery } from "../api/session";
import { count, money } from "../lib/format";
import { lastDays } from "../lib/period";
import { Chart } from "../ui/chart";
import { Ago, ErrorNote, Loading, PageHead, Ready, Segmented, Stat } from "../ui/kit";
import { SettlementBar } from "../ui/settlement";
import { StatusBadge } from "../ui/status";

const ACTIVE = new Set(["running", "paused", "scheduled"]);

export function Overview() {
  const { t } = useTranslation();
  const [days, setDays] = useState<"1" | "7" | "30">("7");
  const period = useMemo(() => lastDays(Number(days)), [days]);
  const { data: session } = useQuery(sessionQuery);
  const overview = useQuery(overviewQuery({ from: period.from, to: period.to }));
  const series = useQuery(timeseriesQuery(period));
  const campaigns = useInfiniteQuery({ ...campaignsQuery(), refetchInterval: 5_000 });
  const recent = campaigns.data?.pages[0]?.items ?? [];
  // Where nothing has happened yet, the way to the first campaign says more than noughts.
  const fresh = campaigns.isSuccess && overview.data?.events === 0 && !recent.some((campaign) => campaign.started_at);
  return (
    <>
      <PageHead title={t("overview.title", { name: session?.user.name.split(" ")[0] ?? "" })}
        actions={!fresh && <Segmented label={t("overview.period")} value={days} onChange={setDays} options={[
          ["1", t("overview.days", { count: 1 })], ["7", t("overview.days", { count: 7 })], ["30", t("overview.days", { count: 30 })],
        ]} />} />
      {/* All at once, so that nothing jumps. */}
      {campaigns.isPending || overview.isPending ? <Loading /> : <div className="stack wide">
        <ErrorNote error={campaigns.error} retry={() => void campaigns.refetch()} />
        <Needs campaigns={recent} />
        <Ready of={overview}>
          {(now) => !fresh && (
            <section className="cards" aria-label={t("overview.figures")}>
              <Stat label={t("overview.opens")} value={count(now.opens)} />
              <Stat label={t("overview.clicks")} value={count(now.clicks)} />
              <Stat label={t("overview.visitors")} value={count(now.visitors)} />
              <Stat label={t("overview.conversions")} value={count(now.conversions)} />
              <Stat label={t("overview.unsubscribes")} value={count(now.unsubscribes)} />
              {now.revenue.map((sum) => (
                <Stat key={sum.currency} label={t("overview.revenue")} value={money(sum.amount, sum.currency)} />
              ))}
            </section>
          )}
        </Ready>
        <FirstSteps started={campaigns.isSuccess} campaigns={recent} />
        {!fresh && <section className="card">
          <h2>{t("overview.chart")}</h2>
          <Ready of={series}>
            {({ points }) => <Chart interval={period.interval} at={points.map((point) => point.at)} series={[
              { label: t("overview.opens"), values: points.map((point) => point.opens), tone: "accent" },
              { label: t("overview.clicks"), values: points.map((point) => point.clicks), tone: "info" },
            ]} />}
          </Ready>
          <p className="small muted">{t("overview.humans")}</p>
        </section>}
        {recent.length > 0 && (
          <section className="card flush">
            <div className="row apart" style={{ padding: "12px 14px" }}>
              <h2>{t("overview.recent")}</h2><Link to="/campaigns">{t("overview.all")}</Link>
            </div>
            <div className="scroll"><table><tbody>
              {recent.slice(0, 6).map((campaign) => (
                <tr key={campaign.id}>
                  <td><Link to="/campaigns/$id" params={{ id: campaign.id }}>{campaign.name}</Link></td>
                  <td><StatusBadge of={campaign.status} /></td>
                  <td className="end muted nowrap"><Ago at={campaign.updated_at} /></td>
                </tr>
              ))}
            </tbody></table></div>
          </section>
        )}
      </div>}
    </>
  );
}

/** What runs, and what waits for a person. */
function Needs({ campaigns }: { campaigns: Campaign[] }) {
  const { t } = useTranslation();
  const active = campaigns.filter((campaign) => ACTIVE.has(campaign.status)).slice(0, 5);
  const settlements = useQueries({
    queries: active.map((campaign) => settlementQuery(campaign.id, campaign.status === "running")),
  });
  if (active.length === 0) return null;
  return (
    <section className="card">
      <h2>{t("overview.running")}</h2>
      <ul className="plain stack">
        {active.map((campaign, index) => {
          const settlement = settlements[index]?.data;
          const trouble = campaign.paused_reason ?? campaign.held?.reason;
          return (
            <li key={campaign.id} className="stack tight">
              <div className="row apart">
                <div className="row"><Link to="/campaigns/$id" params={{ id: campaign.id }}>{campaign.name}</Link><StatusBadge of={campaign.status} /></div>
                {settlement && <span className="num small muted">{t("overview.progress", {
                  done: count(settlement.audience - settlement.pending), audience: count(settlement.audience),
                })}</span>}
              </div>
              {settlement && settlement.audience > 0 && <SettlementBar of={settlement} />}
              {trouble && <div className="note warning">{trouble}</div>}
            </li>
          );
        })}
      </ul>
    </section>
  );
}

/** The way to the first campaign, until it is gone. */
function FirstSteps({ started, campaigns }: { started: boolean; campaigns: Campaign[] }) {
  const { t } = useTranslation();
  const done = campaigns.some((campaign) => campaign.started_at);
  const wanted = started && !done;
  const lists = useQuery({ ...listsQuery, enabled: wanted });
  const leads = useInfiniteQuery({ ...leadsQuery({}), enabled: wanted });
  const domains = useQuery({ ...domainsQuery, enabled: wanted, retry: false });
  if (!wanted) return null;
  const steps = [
    { key: "list", to: "/lists", done: (lists.data?.length ?? 0) > 0 },
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
