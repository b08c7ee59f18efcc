import { infiniteQueryOptions, queryOptions, useInfiniteQuery, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, ask, type Schemas } from "../api/client";
import { campaignsQuery, given } from "../api/queries";
import { may, sessionQuery } from "../api/session";
import { dateTime } from "../lib/format";
import { OUTCOMES } from "../lib/settlement";
import { Ago, Badge, Button, Confirm, Dialog, Empty, PageHead, Ready, SelectField, useToast } from "../ui/kit";

type Message = Schemas["notifications.Message"];
type Outcome = Message["outcome"];
interface Filter { campaign_id?: string | undefined; lead_id?: string | undefined; outcome?: Outcome | undefined }
const TONES: Record<Outcome, "" | "good" | "bad" | "warn" | "info"> = { pending: "info", accepted: "good", rejected: "bad", suppressed: "", skipped: "", ambiguous: "warn" };
const FEEDBACK_TONES: Record<string, "good" | "bad" | "warn"> = { hard: "bad", complaint: "bad", soft: "warn", delivered: "good" };
const start = undefined as string | undefined;

export const messagesQuery = (filter: Filter) =>
  infiniteQueryOptions({
    queryKey: ["messages", filter],
    queryFn: ({ pageParam, signal }) =>
      ask(api.GET("/api/v1/messages", { params: { query: given({ ...filter, limit: 100, cursor: pageParam }) }, signal })),
    initialPageParam: start,
    getNextPageParam: (page) => page.next_cursor ?? undefined,
  });

const messageQuery = (id: string) =>
  queryOptions({
    queryKey: ["messages", id],
    queryFn: ({ signal }) => ask(api.GET("/api/v1/messages/{id}", { params: { path: { id } }, signal })),
  });

export function OutcomeBadge({ of }: { of: Outcome }) {
  const { t } = useTranslation();
  return <Badge tone={TONES[of]}>{t(`outcome.${of}`)}</Badge>;
}

/** Why something was not sent, in the reader's language where it is one of our own words. */
function useWhy(): (reason: string) => string {
  const { t } = useTranslation();
  return (reason) => t(`whys.${reason as "expired"}`, { defaultValue: reason });
}

/** The ledger: every message, and what a server said to it. */
export function Deliveries() {
  const { t } = useTranslation();
  const filter = useSearch({ from: "/shell/deliveries" });
  const navigate = useNavigate();
  const client = useQueryClient();
  const toast = useToast();
  const why = useWhy();
  const { data: session } = useQuery(sessionQuery);
  const campaigns = useInfiniteQuery(campaignsQuery());
  const messages = useInfiniteQuery(messagesQuery(filter));
  const [shown, setShown] = useState<string | null>(null);
  const [retrying, setRetrying] = useState(false);
  const set = (changes: Filter) => void navigate({ to: "/deliveries", search: given({ ...filter, ...changes }), replace: true });
  const known = campaigns.data?.pages.flatMap((page) => page.items).filter((campaign) => campaign.started_at) ?? [];
  const names = new Map(known.map((campaign) => [campaign.id, campaign.name]));
  const outcome = filter.outcome === "rejected" || filter.outcome === "ambiguous" ? filter.outcome : null;
  const retry = useMutation({
    mutationFn: () => {
      if (!filter.campaign_id || !outcome) throw new Error("nothing to retry is chosen");
      return ask(api.POST("/api/v1/messages/retry", { body: { campaign_id: filter.campaign_id, outcome } }));
    },
    onSuccess: async ({ retried }) => {
      setRetrying(false);
      toast(t("deliveries.retried", { count: retried }));
      await client.invalidateQueries({ queryKey: ["messages"] });
    },
  });
  const items = messages.data?.pages.flatMap((page) => page.items);
  const filtered = Object.values(filter).some(Boolean);
  return (
    <>
      <PageHead title={t("deliveries.title")} lead={t("deliveries.lead")}
        actions={may(session, "messages:send") && outcome && filter.campaign_id && items && items.length > 0 && (
          <Button kind="primary" onClick={() => setRetrying(true)}>{t("deliveries.retry")}</Button>
        )} />
      <section className="card flush">
        <div className="filters">
          <SelectField className="wide" label={t("deliveries.campaign")} value={filter.campaign_id ?? ""} onChange={(event) => set({ campaign_id: event.target.value })}>
            <option value="">{t("leads.any")}</option>
            {known.map((campaign) => <option key={campaign.id} value={campaign.id}>{campaign.name}</option>)}
          </SelectField>
          <SelectField label={t("deliveries.outcome")} value={filter.outcome ?? ""} onChange={(event) => set({ outcome: OUTCOMES.find((one) => one === event.target.value) })}>
            <option value="">{t("leads.any")}</option>
            {OUTCOMES.map((one) => <option key={one} value={one}>{t(`outcome.${one}`)}</option>)}
          </SelectField>
          {filter.lead_id && <Button onClick={() => set({ lead_id: "" })}>{t("deliveries.oneLead")} ✕</Button>}
        </div>
        <Ready of={{ ...messages, data: items }}>
          {(rows) => rows.length === 0 ? (filtered
            ? <Empty title={t("deliveries.noneSo")} action={<Link className="button" to="/deliveries" search={{}}>{t("leads.clear")}</Link>}>{t("deliveries.noneSoText")}</Empty>
            : <Empty title={t("deliveries.none")} action={<Link className="button" to="/campaigns">{t("shell.campaigns")}</Link>}>{t("deliveries.noneText")}</Empty>
          ) : (
            <div className="scroll"><table>
              <thead><tr><th scope="col">{t("deliveries.to")}</th><th scope="col">{t("deliveries.outcome")}</th><th scope="col">{t("deliveries.said")}</th><th scope="col">{t("deliveries.campaign")}</th><th scope="col" className="end">{t("deliveries.when")}</th></tr></thead>
              <tbody>{rows.map((message) => (
                <tr key={message.id}>
                  <td><button type="button" className="linklike break" onClick={() => setShown(message.id)}>{message.to}</button></td>
                  <td><OutcomeBadge of={message.outcome} /></td>
                  <td className="break small muted said">{message.smtp_reply ?? (message.reason ? why(message.reason) : null) ?? (message.next_attempt_at && message.attempts > 0 ? t("deliveries.next", { at: dateTime(message.next_attempt_at) }) : "")}</td>
                  <td className="break" style={{ minInlineSize: 120 }}>{message.campaign_id ? <Link to="/campaigns/$id" params={{ id: message.campaign_id }}>{names.get(message.campaign_id) ?? t("deliveries.campaign")}</Link> : t(`kinds.${message.kind as "test"}`, { defaultValue: message.kind })}</td>
                  <td className="end muted nowrap"><Ago at={message.settled_at ?? message.created_at} /></td>
                </tr>
              ))}</tbody>
            </table></div>
          )}
        </Ready>
        {messages.hasNextPage && <div className="empty"><Button busy={messages.isFetchingNextPage} onClick={() => void messages.fetchNextPage()}>{t("common.more")}</Button></div>}
      </section>
      {shown && <One id={shown} onClose={() => setShown(null)} />}
      {retrying && outcome && (
        <Confirm title={t(`deliveries.retryTitle.${outcome}`, { name: names.get(filter.campaign_id ?? "") ?? "" })} action={t("deliveries.retry")} busy={retry.isPending}
          error={retry.error} onConfirm={() => retry.mutate()} onClose={() => setRetrying(false)}><p>{t(`deliveries.retryText.${outcome}`)}</p></Confirm>
      )}
    </>
  );
}

function One({ id, onClose }: { id: string; onClose: () => void }) {
  const { t } = useTranslation();
  const why = useWhy();
  const message = useQuery(messageQuery(id));
  return (
    <Dialog title={t("deliveries.message")} onClose={onClose} foot={<Button onClick={onClose}>{t("common.close")}</Button>}>
      <Ready of={message}>
        {(found) => (
          <>
            <dl className="kv">
              <dt>{t("deliveries.to")}</dt><dd className="break">{found.lead_id ? <Link to="/leads/$id" params={{ id: found.lead_id }}>{found.to}</Link> : found.to}</dd>
              <dt>{t("deliveries.outcome")}</dt><dd><OutcomeBadge of={found.outcome} /></dd>
              <dt>{t("deliveries.attempts")}</dt><dd className="num">{found.attempts}</dd>
              {found.smtp_reply && <><dt>{t("deliveries.said")}</dt><dd className="break mono">{found.smtp_reply}</dd></>}
              {found.reason && <><dt>{t("deliveries.why")}</dt><dd className="break">{why(found.reason)}</dd></>}
              <dt>{t("deliveries.created")}</dt><dd>{dateTime(found.created_at)}</dd>
              {found.settled_at && <><dt>{t("deliveries.settled")}</dt><dd>{dateTime(found.settled_at)}</dd></>}
            </dl>
            {found.feedback.length > 0 && (
              <>
                <h3>{t("deliveries.feedback")}</h3>
                <ul className="plain stack tight">{found.feedback.map((told) => (
                  <li key={told.at + told.reason} className="break"><Badge tone={FEEDBACK_TONES[told.class] ?? ""}>{t(`feedback.${told.class}`)}</Badge> {told.diagnostic ?? told.reason} <span className="muted small"><Ago at={told.at} /></span></li>
                ))}</ul>
              </>
            )}
          </>
        )}
      </Ready>
    </Dialog>
  );
}
