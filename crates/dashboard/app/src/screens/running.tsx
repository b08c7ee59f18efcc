import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { useEffect, useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { api, ask } from "../api/client";
import { campaignQuery, listsQuery, reportQuery, segmentsQuery, settlementQuery, speedQuery, timeseriesQuery, type Campaign } from "../api/queries";
import { may, sessionQuery } from "../api/session";
import { count, dateTime, decimal, duration, money, percent } from "../lib/format";
import { around } from "../lib/period";
import { Chart } from "../ui/chart";
import { Button, Confirm, ErrorNote, PageHead, Ready, Stat, useToast, useTold } from "../ui/kit";
import { Starts } from "../ui/schedule";
import { SettlementFigures } from "../ui/settlement";
import { StatusBadge } from "../ui/status";
import { Preview } from "./preview";

type Step = "pause" | "resume";

/** A campaign that was started: where everybody is, how fast it goes, and how people take it. */
export function Running({ campaign }: { campaign: Campaign }) {
  const { t } = useTranslation();
  const client = useQueryClient();
  const navigate = useNavigate();
  const toast = useToast();
  const told = useTold();
  const { data: session } = useQuery(sessionQuery);
  const { id, status } = campaign;
  const settlement = useQuery(settlementQuery(id, status === "running" || status === "paused"));
  const moving = status === "running" || (settlement.data !== undefined && settlement.data.pending > 0);
  const speed = useQuery(speedQuery(id, status === "running"));
  const [cancelling, setCancelling] = useState(false);
  // The last figures are the ones after it ended.
  useEffect(() => {
    void client.invalidateQueries({ queryKey: settlementQuery(id, false).queryKey });
    void client.invalidateQueries({ queryKey: reportQuery(id, false).queryKey });
  }, [client, id, status]);
  const refresh = () => client.invalidateQueries({ queryKey: campaignQuery(id).queryKey });
  const step = useMutation({
    mutationFn: (verb: Step) => ask(api.POST(`/api/v1/campaigns/{id}/${verb}`, { params: { path: { id } } })),
    onSuccess: refresh,
  });
  const cancel = useMutation({
    mutationFn: () => ask(api.POST("/api/v1/campaigns/{id}/cancel", { params: { path: { id } } })),
    onSuccess: async () => {
      setCancelling(false);
      await refresh();
    },
  });
  const copy = useMutation({
    mutationFn: () => ask(api.POST("/api/v1/campaigns/{id}/duplicate", { params: { path: { id } } })),
    onSuccess: async (made) => {
      toast(t("running.copied", { name: made.name }));
      await navigate({ to: "/campaigns/$id", params: { id: made.id } });
    },
  });
  const send = may(session, "campaigns:send");
  const limits = speed.data?.limited_by.filter((limit) => limit.kind !== "nothing") ?? [];
  return (
    <>
      <PageHead title={campaign.name} crumb={<Link to="/campaigns">{t("campaigns.title")}</Link>}
        badge={<StatusBadge of={status} />}
        lead={<>{campaign.subject}{campaign.started_at && <span className="small"> · {t("running.startedAt", { at: dateTime(campaign.started_at) })}</span>}</>}
        actions={
          <>
            {may(session, "campaigns:write") && <Button onClick={() => copy.mutate()} busy={copy.isPending}>{t("running.copy")}</Button>}
            {send && (status === "running" || status === "paused" || status === "scheduled") && (
              <Button kind="danger" onClick={() => setCancelling(true)}>{t("running.cancel")}</Button>
            )}
            {send && status === "running" && <Button kind="primary" busy={step.isPending} onClick={() => step.mutate("pause")}>{t("running.pause")}</Button>}
            {send && status === "paused" && <Button kind="primary" busy={step.isPending} onClick={() => step.mutate("resume")}>{t("running.resume")}</Button>}
          </>
        } />
      <div className="stack wide">
        <ErrorNote error={step.error ?? copy.error} />
        {campaign.paused_reason && <div className="note warning" role="status"><h3>{t("running.pausedWhy")}</h3>{told(campaign.paused_reason)}</div>}
        {campaign.held && <div className="note warning" role="status"><h3>{t("running.held")}</h3>{told(campaign.held.reason)}</div>}
        {status === "scheduled" && campaign.schedule && (
          <div className="note"><Starts schedule={campaign.schedule} /></div>
        )}
        {status !== "scheduled" && (
          <section className="card stack" aria-label={t("settlement.title")}>
            <div className="row apart">
              <h2>{t("settlement.title")}</h2>
              {status === "running" && speed.data && (
                <span className="num"><strong>{count(Math.round(speed.data.per_second))}</strong> <span className="muted">{t("running.perSecond")}</span></span>
              )}
              {campaign.finished_at && campaign.started_at && (
                <span className="muted small">{t("running.took", { time: duration(Date.parse(campaign.finished_at) - Date.parse(campaign.started_at)) })}</span>
              )}
            </div>
            <Ready of={settlement}>
              {(of) => <SettlementFigures of={of} link={(outcome, text) => (
                <Link to="/deliveries" search={{ campaign_id: id, outcome }}>{text}</Link>
              )} />}
            </Ready>
            {limits.map((limit) => <p key={limit.detail} className="small muted">{told(limit.detail)}</p>)}
          </section>
        )}
        {status !== "scheduled" && <Report campaign={campaign} moving={moving} />}
        <Mail campaign={campaign} />
      </div>
      {cancelling && (
        <Confirm title={t("running.cancelTitle", { name: campaign.name })} name={campaign.name} action={t("running.cancel")}
          busy={cancel.isPending} error={cancel.error} onConfirm={() => cancel.mutate()} onClose={() => setCancelling(false)}>
          <p>{t("running.cancelText")}</p>
        </Confirm>
      )}
    </>
  );
}

/** What is sent, and to whom; nothing of it changes any more. */
function Mail({ campaign }: { campaign: Campaign }) {
  const { t } = useTranslation();
  const { data: session } = useQuery(sessionQuery);
  const sees = may(session, "leads:read");
  const lists = useQuery({ ...listsQuery, enabled: sees });
  const segments = useQuery({ ...segmentsQuery, enabled: sees });
  const [open, setOpen] = useState(false);
  const { audience, from } = campaign;
  const named = (ids: string[] | undefined, all: { id: string; name: string }[] | undefined) => (ids ?? []).map((id) => all?.find((one) => one.id === id)?.name ?? t("running.gone"));
  const to = [...named(audience.list_ids, lists.data), ...named(audience.segment_ids, segments.data)];
  const except = named(audience.exclude_segment_ids, segments.data);
  return (
    <>
      <section className="card stack">
        <div className="row apart"><h2>{t("running.mail")}</h2><Button small aria-expanded={open} onClick={() => setOpen(!open)}>{t(open ? "running.hideMail" : "running.showMail")}</Button></div>
        <dl className="kv">
          <dt>{t("conflict.fields.from")}</dt><dd className="break">{from ? <><bdi>{from.name}</bdi> <bdi>{`<${from.email}>`}</bdi></> : "–"}</dd>
          {sees && lists.data && segments.data && <><dt>{t("preview.to")}</dt><dd className="break">{to.join(", ") || "–"}</dd></>}
          {sees && except.length > 0 && segments.data && <><dt>{t("editor.exclude")}</dt><dd className="break">{except.join(", ")}</dd></>}
        </dl>
      </section>
      {open && <Preview draft={campaign} />}
    </>
  );
}

function Report({ campaign, moving }: { campaign: Campaign; moving: boolean }) {
  const { t } = useTranslation();
  const report = useQuery(reportQuery(campaign.id, moving));
  const period = useMemo(() => around(campaign.started_at ?? campaign.created_at), [campaign.started_at, campaign.created_at]);
  const series = useQuery({ ...timeseriesQuery(period, campaign.id), refetchInterval: 15_000 });
  return (
    <Ready of={report}>
      {(found) => (
        <>
          {found.missing.length > 0 && <div className="note warning">{t("running.missing", { parts: found.missing.join(", ") })}</div>}
          <section className="cards" aria-label={t("running.engagement")}>
            {(["opens", "clicks", "unsubscribes", "complaints"] as const).map((kind) => {
              const hits = found[kind];
              return (
                <Stat key={kind} label={t(`running.${kind}`)} value={hits ? percent(hits.unique, found.accepted) : "–"}
                  note={hits && t("running.hits", { unique: count(hits.unique), human: count(hits.human), machine: count(hits.machine) })} />
              );
            })}
            {found.opens && found.clicks && <Stat label={t("running.clickToOpen")} value={percent(found.clicks.unique, found.opens.unique)} note={t("running.clickToOpenNote")} />}
            {found.conversions.currency && (found.conversions.orders > 0 || found.conversions.bookings > 0) && (
              <Stat label={t("running.net")} value={money(found.conversions.net, found.conversions.currency)} />
            )}
            {campaign.budget && <Stat label={t("editor.budget")} value={money(campaign.budget.amount, campaign.budget.currency)}
              note={found.conversions.net > 0 && campaign.budget.amount > 0 && campaign.budget.currency === found.conversions.currency && t("running.return", { times: decimal(found.conversions.net / campaign.budget.amount) })} />}
          </section>
          <section className="card">
            <div className="row apart"><h2>{t("running.chart")}</h2><a className="button small" href={`/api/v1/analytics/export?campaign_id=${campaign.id}&from=${encodeURIComponent(period.from)}`} download={`${campaign.name}.csv`}>{t("analytics.export")}</a></div>
            <Ready of={series}>
              {({ points }) => <Chart interval={period.interval} at={points.map((point) => point.at)} series={[
                { label: t("running.opens"), values: points.map((point) => point.opens), tone: "accent" },
                { label: t("running.clicks"), values: points.map((point) => point.clicks), tone: "info" },
              ]} />}
            </Ready>
            <p className="small muted">{t("overview.humans")}</p>
          </section>
          <section className="card flush">
            <h2 style={{ padding: "14px 14px 6px" }}>{t("running.links")}</h2>
            {found.links && found.links.length > 0 ? (
              <div className="scroll" tabIndex={0}><table>
                <thead><tr><th scope="col">{t("running.link")}</th><th scope="col" className="end">{t("running.people")}</th><th scope="col" className="end">{t("running.clicks")}</th><th scope="col" className="end">{t("running.machine")}</th></tr></thead>
                <tbody>{found.links.map((link) => (
                  <tr key={link.url}><td className="break">{link.url}</td><td className="end num">{count(link.unique)}</td><td className="end num">{count(link.human)}</td><td className="end num muted">{count(link.machine)}</td></tr>
                ))}</tbody>
              </table></div>
            ) : <p className="muted" style={{ padding: "0 14px 14px" }}>{t("running.noClicks")}</p>}
          </section>
        </>
      )}
    </Ready>
  );
}
