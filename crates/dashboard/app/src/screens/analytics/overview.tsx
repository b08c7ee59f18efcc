import { useQuery } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { linksQuery, overviewQuery, timeseriesQuery } from "../api/queries";
import { count, money } from "../lib/format";
import { lastDays } from "../lib/period";
import { Chart } from "../ui/chart";
import { Empty, PageHead, Ready, Segmented, Stat } from "../ui/kit";

const KINDS = ["opens", "clicks", "views", "unsubscribes"] as const;
const TONES = { opens: "accent", clicks: "info", views: "warning", unsubscribes: "danger" } as const;

export function Analytics() {
  const { t } = useTranslation();
  const [days, setDays] = useState<"1" | "7" | "30" | "90">("30");
  const period = useMemo(() => lastDays(Number(days)), [days]);
  const overview = useQuery(overviewQuery({ from: period.from, to: period.to }));
  const series = useQuery({ ...timeseriesQuery(period), refetchInterval: 15_000 });
  const links = useQuery(linksQuery({ from: period.from, to: period.to }));
  return (
    <>
      <PageHead title={t("analytics.title")} lead={t("overview.humans")} actions={
        <Segmented label={t("overview.period")} value={days} onChange={setDays}
          options={(["1", "7", "30", "90"] as const).map((one) => [one, t("overview.days", { count: Number(one) })] as const)} />
      } />
      <div className="stack wide">
        <Ready of={overview}>
          {(now) => (
            <section className="cards">
              {KINDS.map((kind) => <Stat key={kind} label={t(`analytics.${kind}`)} value={count(now[kind])} />)}
              <Stat label={t("overview.visitors")} value={count(now.visitors)} />
              <Stat label={t("overview.conversions")} value={count(now.conversions)} />
              <Stat label={t("analytics.machine")} value={count(now.machine)} note={t("analytics.machineNote", { events: count(now.events) })} />
              {now.revenue.map((sum) => <Stat key={sum.currency} label={t("overview.revenue")} value={money(sum.amount, sum.currency)} />)}
            </section>
          )}
        </Ready>
        <section className="card">
          <h2>{t("analytics.overTime")}</h2>
          <Ready of={series}>
            {({ points }) => <Chart interval={period.interval} at={points.map((point) => point.at)}
              series={KINDS.map((kind) => ({ label: t(`analytics.${kind}`), values: points.map((point) => point[kind]), tone: TONES[kind] }))} />}
          </Ready>
        </section>
        <section className="card flush">
          <h2 style={{ padding: "14px 14px 6px" }}>{t("running.links")}</h2>
          <Ready of={links}>
            {({ items }) => items.length === 0 ? <Empty title={t("analytics.noLinks")}>{t("analytics.noLinksText")}</Empty> : (
              <div className="scroll"><table>
                <thead><tr><th scope="col">{t("running.link")}</th><th scope="col" className="end">{t("running.people")}</th><th scope="col" className="end">{t("running.clicks")}</th><th scope="col" className="end">{t("running.machine")}</th></tr></thead>
                <tbody>{items.map((link) => (
                  <tr key={link.url}><td className="break">{link.url}</td><td className="end num">{count(link.unique)}</td><td className="end num">{count(link.human)}</td><td className="end num muted">{count(link.machine)}</td></tr>
                ))}</tbody>
              </table></div>
            )}
          </Ready>
        </section>
      </div>
    </>
  );
}
