import { useQuery } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { channelsQuery, countriesQuery, devicesQuery, linksQuery, overviewQuery, timeseriesQuery, visitsQuery } from "../../api/queries";
import { count, country, decimal, duration, money, percent } from "../../lib/format";
import { lastDays } from "../../lib/period";
import { Chart } from "../../ui/chart";
import { Empty, Ready, Stat } from "../../ui/kit";
import { Days, type DaysChoice } from "./frame";

const KINDS = ["opens", "clicks", "views", "unsubscribes"] as const;
const TONES = { opens: "accent", clicks: "info", views: "warning", unsubscribes: "danger" } as const;

/** The figures over time, and what was followed. */
export function Figures() {
  const { t } = useTranslation();
  const [days, setDays] = useState<DaysChoice>("30");
  const period = useMemo(() => lastDays(Number(days)), [days]);
  const overview = useQuery(overviewQuery({ from: period.from, to: period.to }));
  const series = useQuery({ ...timeseriesQuery(period), refetchInterval: 15_000 });
  const devices = useQuery(devicesQuery({ from: period.from, to: period.to }));
  const channels = useQuery(channelsQuery({ from: period.from, to: period.to }));
  const countries = useQuery(countriesQuery({ from: period.from, to: period.to }));
  const visits = useQuery(visitsQuery({ from: period.from, to: period.to }));
  const links = useQuery(linksQuery({ from: period.from, to: period.to }));
  const exported = new URLSearchParams({ from: period.from, to: period.to, format: "csv" }).toString();
  return (
    <>
      <div className="row apart" style={{ marginBlockEnd: 14 }}><p className="muted grow">{t("overview.humans")}</p><Days value={days} onChange={setDays} /><a className="button" href={`/api/v1/analytics/export?${exported}`} download="events.csv">{t("analytics.export")}</a></div>
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
        <Ready of={visits}>
          {({ sessions, bounced, views_per_session, seconds_per_session }) => sessions > 0 && (
            <section className="cards" aria-label={t("analytics.visits")}>
              <Stat label={t("analytics.visits")} value={count(sessions)} />
              <Stat label={t("analytics.pagesEach")} value={decimal(views_per_session)} />
              <Stat label={t("analytics.timeEach")} value={duration(Math.ceil(seconds_per_session) * 1_000)} />
              <Stat label={t("analytics.bounced")} value={percent(bounced, sessions)} note={t("analytics.bouncedNote")} />
            </section>
          )}
        </Ready>
        <section className="card flush">
          <h2 style={{ padding: "14px 14px 6px" }}>{t("running.links")}</h2>
          <Ready of={links}>
            {({ items }) => items.length === 0 ? <Empty title={t("analytics.noLinks")}>{t("analytics.noLinksText")}</Empty> : (
              <div className="scroll" tabIndex={0}><table>
                <thead><tr><th scope="col">{t("running.link")}</th><th scope="col" className="end">{t("running.people")}</th><th scope="col" className="end">{t("running.clicks")}</th><th scope="col" className="end">{t("running.machine")}</th></tr></thead>
                <tbody>{items.map((link) => (
                  <tr key={link.url}><td className="break">{link.url}</td><td className="end num">{count(link.unique)}</td><td className="end num">{count(link.human)}</td><td className="end num muted">{count(link.machine)}</td></tr>
                ))}</tbody>
              </table></div>
            )}
          </Ready>
        </section>
        <div className="grid3">
          <section className="card flush">
            <h2 style={{ padding: "14px 14px 6px" }}>{t("analytics.channels")}</h2>
            <Ready of={channels}>
              {({ items }) => items.length === 0 ? <p className="muted" style={{ padding: "0 14px 14px" }}>{t("analytics.noChannels")}</p> : (
                <Values items={items.map((one) => ({ ...one, label: [one.source, one.medium, one.campaign].filter(Boolean).join(" · ") || t("analytics.direct") }))} />
              )}
            </Ready>
          </section>
          <section className="card flush">
            <h2 style={{ padding: "14px 14px 6px" }}>{t("analytics.countries")}</h2>
            <Ready of={countries}>
              {({ items }) => items.length === 0 ? <p className="muted" style={{ padding: "0 14px 14px" }}>{t("analytics.noCountries")}</p> : (
                <Values items={items.map((one) => ({ ...one, label: country(one.country) }))} />
              )}
            </Ready>
          </section>
          <section className="card flush">
            <h2 style={{ padding: "14px 14px 6px" }}>{t("analytics.devices")}</h2>
            <Ready of={devices}>
              {({ items }) => items.length === 0 ? <p className="muted" style={{ padding: "0 14px 14px" }}>{t("analytics.noDevices")}</p> : (
                <Values items={items.map((one) => ({ ...one, label: t(`analytics.deviceKinds.${one.device as "desktop"}`, { defaultValue: one.device }) }))} />
              )}
            </Ready>
          </section>
        </div>
      </div>
    </>
  );
}

function Values({ items }: { items: { label: string; visitors: number; views: number; clicks: number }[] }) {
  const { t } = useTranslation();
  return (
    <div className="scroll" tabIndex={0}><table>
      <thead><tr><th scope="col"><span className="visually-hidden">{t("people.name")}</span></th><th scope="col" className="end">{t("overview.visitors")}</th><th scope="col" className="end">{t("analytics.views")}</th><th scope="col" className="end">{t("analytics.clicks")}</th></tr></thead>
      <tbody>{items.map((one) => (
        <tr key={one.label}><td className="break">{one.label}</td><td className="end num">{count(one.visitors)}</td><td className="end num">{count(one.views)}</td><td className="end num">{count(one.clicks)}</td></tr>
      ))}</tbody>
    </table></div>
  );
}
