import { useQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { useEffect, useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { api, ask, type Schemas } from "../api/client";
import { isProblem } from "../api/problem";
import { count, dateTime, money } from "../lib/format";
import { lastDays } from "../lib/period";
import { Brand } from "../ui/brand";
import { Chart } from "../ui/chart";
import { Empty, Ready, Segmented, Stat } from "../ui/kit";
import { REPORTS } from "./analytics/shares";

interface Reports {
  overview: Schemas["analytics.Overview"];
  timeseries: Schemas["analytics.Timeseries"];
  links: Schemas["analytics.Links"];
  devices: Schemas["analytics.Devices"];
  channels: Schemas["analytics.Channels"];
}

/** What a share link shows, to whoever has it: nobody is signed in here. */
export function Shared() {
  const { t } = useTranslation();
  const { token } = useParams({ from: "/shared/$token" });
  const share = useQuery({
    queryKey: ["shared", token],
    queryFn: ({ signal }) => ask(api.GET("/s/{token}", { params: { path: { token } }, signal })),
    retry: (failures, error) => failures < 2 && isProblem(error) && error.status !== 404,
  });
  useEffect(() => {
    document.title = `${share.data?.name ?? t("analytics.title")} · Clarion`;
  }, [share.data, t]);
  return (
    <main className="shared">
      <Brand />
      {isProblem(share.error) && share.error.status === 404
        ? <Empty title={t("shares.gone")}>{t("shares.goneText")}</Empty>
        : <Ready of={share}>{(found) => <Figures token={token} share={found} />}</Ready>}
    </main>
  );
}

function useReport<K extends keyof Reports>(token: string, share: Schemas["analytics.Shared"], report: K, query: { from: string; to: string; interval?: "hour" | "day" }) {
  return useQuery({
    queryKey: ["shared", token, report, query],
    queryFn: async ({ signal }) => (await ask(api.GET("/s/{token}/{report}", { params: { path: { token, report }, query }, signal }))) as unknown as Reports[K],
    enabled: share.reports.includes(report),
  });
}

function Figures({ token, share }: { token: string; share: Schemas["analytics.Shared"] }) {
  const { t } = useTranslation();
  const [days, setDays] = useState<"7" | "30" | "90">("30");
  const { from, to, interval } = useMemo(() => lastDays(Number(days)), [days]);
  const period = { from, to };
  const overview = useReport(token, share, "overview", period);
  const series = useReport(token, share, "timeseries", { ...period, interval: interval === "hour" ? "hour" : "day" });
  const links = useReport(token, share, "links", period);
  const devices = useReport(token, share, "devices", period);
  const channels = useReport(token, share, "channels", period);
  const shows = (report: (typeof REPORTS)[number]) => share.reports.includes(report);
  const table = (title: string, items: { label: string; figure: number }[], head: string) => (
    <section className="card flush">
      <h2 style={{ padding: "14px 14px 6px" }}>{title}</h2>
      {items.length === 0 ? <p className="muted" style={{ padding: "0 14px 14px" }}>{t("shares.nothing")}</p> : (
        <div className="scroll"><table>
          <thead><tr><th scope="col"><span className="visually-hidden">{t("people.name")}</span></th><th scope="col" className="end">{head}</th></tr></thead>
          <tbody>{items.map((one) => <tr key={one.label}><td className="break">{one.label}</td><td className="end num">{count(one.figure)}</td></tr>)}</tbody>
        </table></div>
      )}
    </section>
  );
  return (
    <div className="stack wide">
      <header className="page-head">
        <div><h1 className="break">{share.name}</h1><p className="muted small">{t("shares.until", { at: dateTime(share.expires_at) })}</p></div>
        <Segmented label={t("overview.period")} value={days} onChange={setDays} options={(["7", "30", "90"] as const).map((one) => [one, t("overview.days", { count: Number(one) })] as const)} />
      </header>
      {shows("overview") && <Ready of={overview}>{(now) => (
        <section className="cards" aria-label={t("overview.figures")}>
          {(["opens", "clicks", "views", "visitors", "conversions", "unsubscribes"] as const).map((kind) => <Stat key={kind} label={t(`shares.figures.${kind}`)} value={count(now[kind])} />)}
          {now.revenue.map((sum) => <Stat key={sum.currency} label={t("overview.revenue")} value={money(sum.amount, sum.currency)} />)}
        </section>
      )}</Ready>}
      {shows("timeseries") && <section className="card"><h2>{t("analytics.overTime")}</h2><Ready of={series}>{({ points }) => (
        <Chart interval={interval} at={points.map((point) => point.at)} series={[
          { label: t("analytics.opens"), values: points.map((point) => point.opens), tone: "accent" },
          { label: t("analytics.clicks"), values: points.map((point) => point.clicks), tone: "info" },
          { label: t("analytics.views"), values: points.map((point) => point.views), tone: "warning" },
        ]} />
      )}</Ready></section>}
      {shows("links") && <Ready of={links}>{({ items }) => table(t("running.links"), items.map((one) => ({ label: one.url, figure: one.unique })), t("running.people"))}</Ready>}
      <div className="grid2">
        {shows("channels") && <Ready of={channels}>{({ items }) => table(t("analytics.channels"), items.map((one) => ({ label: [one.source, one.medium, one.campaign].filter(Boolean).join(" · ") || t("analytics.direct"), figure: one.visitors })), t("overview.visitors"))}</Ready>}
        {shows("devices") && <Ready of={devices}>{({ items }) => table(t("analytics.devices"), items.map((one) => ({ label: t(`analytics.deviceKinds.${one.device as "desktop"}`, { defaultValue: one.device }), figure: one.visitors })), t("overview.visitors"))}</Ready>}
      </div>
    </div>
  );
}
