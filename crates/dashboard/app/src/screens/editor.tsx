import { keepPreviousData, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { useMemo, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { api, ask, askFull } from "../api/client";
import type { ProblemError } from "../api/problem";
import { campaignQuery, given, listsQuery, segmentsQuery, sendersQuery, type Campaign } from "../api/queries";
import { may, sessionQuery } from "../api/session";
import type { SaveState } from "../lib/autosave";
import { useDraft } from "../lib/draft";
import { count, minorDigits, parseMoney, writeMoney } from "../lib/format";
import { insertAt, variablesOf } from "../lib/variables";
import { Badge, Button, Check, Confirm, ErrorNote, Field, PageHead, SelectField, TextField, useSay, useSettled, useToast } from "../ui/kit";
import { StatusBadge } from "../ui/status";
import { VariableField } from "../ui/variables";
import { Conflict } from "./conflict";
import { Preview } from "./preview";
import { StartDialog, TestDialog } from "./start";

export type Draft = Pick<Campaign, "name" | "subject" | "preheader" | "from" | "reply_to" | "content" | "audience" | "budget" | "schedule" | "sender_id" | "utm">;

const FORMATS = ["mjml", "markdown", "html", "text"] as const;
const CURRENCIES = ["EUR", "USD", "GBP", "CHF", "JPY"];

function draftOf(campaign: Campaign): Draft {
  const { name, subject, preheader, from, reply_to, content, audience, budget, schedule, sender_id, utm } = campaign;
  return { name, subject, preheader, from, reply_to, content, audience, budget, schedule, sender_id, utm: utm ?? null };
}

export function Editor({ id, campaign, etag }: { id: string; campaign: Campaign; etag: string | undefined }) {
  const { t } = useTranslation();
  const client = useQueryClient();
  const { data: session } = useQuery(sessionQuery);
  const [starting, setStarting] = useState(false);
  const [testing, setTesting] = useState(false);
  const [deleting, setDeleting] = useState(false);
  // Fields that hold what is half typed begin anew once another version was chosen.
  const [round, setRound] = useState(0);
  const editing = useDraft<Draft>({
    shelf: `campaign.${id}`,
    value: draftOf(campaign),
    etag,
    async save(changes, version) {
      const header = given({ "If-Match": version });
      const saved = await askFull(api.PATCH("/api/v1/campaigns/{id}", {
        params: { path: { id }, header: header as never }, body: changes as never, headers: header as Record<string, string>,
      }));
      client.setQueryData(campaignQuery(id).queryKey, saved);
      return { value: draftOf(saved.data), etag: saved.etag };
    },
  });
  const { draft, state, problem, change, flush } = editing;
  // The preview knows which attributes there are.
  const [lead, setLead] = useState<unknown>();
  const variables = useMemo(() => variablesOf(lead), [lead]);

  return (
    <>
      <PageHead title={draft.name || t("editor.untitled")}
        crumb={<Link to="/campaigns">{t("campaigns.title")}</Link>}
        badge={<StatusBadge of={campaign.status} />}
        lead={<SaveNote state={state} />}
        actions={
          <>
            <Button kind="quiet" onClick={() => setDeleting(true)}>{t("common.delete")}</Button>
            <Duplicate id={id} ready={flush} />
            <Button onClick={() => setTesting(true)}>{t("editor.test")}</Button>
            {may(session, "campaigns:send") && <Button kind="primary" onClick={() => setStarting(true)}>{t("editor.start")}</Button>}
          </>
        } />
      <div className="editor">
        <div className="stack wide">
          <Basics key={`basics ${round}`} draft={draft} change={change} problem={problem} variables={variables} />
          <Who draft={draft} change={change} />
          <Body content={draft.content} change={change} problem={problem} variables={variables} />
          <When key={`when ${round}`} draft={draft} change={change} problem={problem} />
          <Tracking draft={draft} change={change} problem={problem} />
        </div>
        <div className="sticky stack"><Preview draft={draft} onLead={setLead} /></div>
      </div>
      {state.kind === "conflict" && (
        <Conflict<Draft> title={t("conflict.title")} mine={editing.unsaved()}
          load={async () => {
            const { data, etag: version } = await askFull(api.GET("/api/v1/campaigns/{id}", { params: { path: { id } } }));
            return { data: draftOf(data), etag: version };
          }} onDone={(...chosen) => { editing.resolve(...chosen); setRound(round + 1); }} />
      )}
      {testing && <TestDialog id={id} ready={flush} onClose={() => setTesting(false)} />}
      {starting && <StartDialog id={id} draft={draft} ready={flush} onClose={() => setStarting(false)} />}
      {deleting && <Delete id={id} name={draft.name} drop={editing.drop} onClose={() => setDeleting(false)} />}
    </>
  );
}

export function SaveNote({ state }: { state: SaveState }) {
  const { t } = useTranslation();
  const say = useSay();
  const tone = { saved: "good", saving: "", waiting: "", offline: "warn", refused: "bad", conflict: "bad", failed: "bad" } as const;
  return (
    <span className="row small" role="status" data-save={state.kind}>
      <Badge tone={tone[state.kind]}>{t(`save.${state.kind}`)}</Badge>
      {state.kind === "failed" && <span className="break">{say(state.error)}</span>}
    </span>
  );
}

interface Part { draft: Draft; change: (changes: Partial<Draft>) => void; problem?: ProblemError | undefined }

function Basics({ draft, change, problem, variables }: Part & { variables: string[] }) {
  const { t } = useTranslation();
  const [replyTo, setReplyTo] = useState(draft.reply_to ?? "");
  const [from, setFrom] = useState({ name: draft.from?.name ?? "", email: draft.from?.email ?? "" });
  const write = (next: typeof from) => {
    setFrom(next);
    // An address in the making is not saved yet.
    if (next.email === "" || /^\S+@\S+\.\S+$/.test(next.email)) change({ from: next.email ? next : null });
  };
  return (
    <section className="card stack">
      <h2>{t("editor.basics")}</h2>
      <TextField label={t("campaigns.name")} value={draft.name} maxLength={200} hint={t("campaigns.nameHint")}
        error={problem?.field("/name")} onChange={(event) => change({ name: event.target.value })} />
      <VariableField label={t("editor.subject")} value={draft.subject} maxLength={1000} variables={variables}
        error={problem?.field("/subject")} onChange={(subject) => change({ subject })} />
      <VariableField label={t("editor.preheader")} value={draft.preheader} maxLength={1000} hint={t("editor.preheaderHint")} variables={variables}
        error={problem?.field("/preheader")} onChange={(preheader) => change({ preheader })} />
      <div className="grid2">
        <TextField label={t("editor.fromName")} value={from.name} maxLength={200} error={problem?.field("/from/name")}
          onChange={(event) => write({ ...from, name: event.target.value })} />
        <TextField label={t("editor.fromEmail")} value={from.email} type="email" error={problem?.field("/from/email")}
          onChange={(event) => write({ ...from, email: event.target.value.trim() })} />
        <TextField label={t("editor.replyTo")} value={replyTo} type="email" hint={t("common.optional")} error={problem?.field("/reply_to")}
          onChange={(event) => {
            const next = event.target.value.trim();
            setReplyTo(next);
            if (next === "" || /^\S+@\S+\.\S+$/.test(next)) change({ reply_to: next || null });
          }} />
      </div>
    </section>
  );
}

function Who({ draft, change }: Part) {
  const { t } = useTranslation();
  const lists = useQuery(listsQuery);
  const segments = useQuery(segmentsQuery);
  const audience = draft.audience;
  const toggle = (kind: "list_ids" | "segment_ids" | "exclude_segment_ids", id: string, on: boolean) => {
    const now = audience[kind] ?? [];
    change({ audience: { ...audience, [kind]: on ? [...now, id] : now.filter((one) => one !== id) } });
  };
  const choices = (kind: "list_ids" | "segment_ids" | "exclude_segment_ids", from: { id: string; name: string }[], label: string) => (
    <fieldset>
      <legend>{label}</legend>
      <div className="choices">
        {from.map((one) => (
          <Check key={one.id} label={one.name} checked={audience[kind]?.includes(one.id) ?? false}
            onChange={(event) => toggle(kind, one.id, event.target.checked)} />
        ))}
      </div>
    </fieldset>
  );
  return (
    <section className="card stack">
      <h2>{t("editor.audience")}</h2>
      {lists.data?.length === 0 && (
        <p className="muted">{t("editor.noLists")} <Link to="/lists">{t("lists.new")}</Link></p>
      )}
      <div className="grid2">
        {lists.data && lists.data.length > 0 && choices("list_ids", lists.data, t("editor.lists"))}
        {segments.data && segments.data.length > 0 && choices("segment_ids", segments.data, t("editor.segments"))}
        {segments.data && segments.data.length > 0 && choices("exclude_segment_ids", segments.data, t("editor.exclude"))}
      </div>
      <HowMany audience={audience} />
      <p className="small muted">{t("editor.audienceHint")}</p>
    </section>
  );
}

/** How many people that is now, while it is chosen. */
function HowMany({ audience }: { audience: Campaign["audience"] }) {
  const { t } = useTranslation();
  const asked = useSettled(audience, 300, JSON.stringify(audience));
  const chosen = [...(audience.list_ids ?? []), ...(audience.segment_ids ?? [])].length > 0;
  const counted = useQuery({
    queryKey: ["audience", asked],
    queryFn: ({ signal }) => ask(api.POST("/api/v1/campaigns/audience", { body: asked, signal })),
    enabled: chosen,
    placeholderData: keepPreviousData,
    retry: false,
  });
  if (!chosen) return <p className="muted" data-testid="audience">{t("editor.nobodyChosen")}</p>;
  if (counted.error) return <ErrorNote error={counted.error} retry={() => void counted.refetch()} />;
  if (!counted.data) return null;
  const { count: all, sendable } = counted.data;
  return (
    <p role="status" data-testid="audience">
      <strong className="num">{count(sendable)}</strong> {t("editor.reached", { count: sendable })}
      {all > sendable && <span className="muted"> · {t("editor.leftOut", { count: all - sendable, shown: count(all - sendable) })}</span>}
    </p>
  );
}

/** The source, with its format; templates have the same. */
export function Body({ content: written, change, problem, variables }: {
  content: Campaign["content"]; change: (changes: { content: NonNullable<Campaign["content"]> }) => void; problem?: ProblemError | undefined; variables: string[];
}) {
  const { t } = useTranslation();
  const area = useRef<HTMLTextAreaElement>(null);
  const content = written ?? { format: "markdown" as const, body: "" };
  const wrong = problem?.fields.filter((field) => field.pointer.startsWith("/content"));
  const insert = (variable: string) => {
    const element = area.current;
    if (!element || !variable) return;
    const next = insertAt(content.body, variable, element.selectionStart, element.selectionEnd);
    change({ content: { ...content, body: next.text } });
    requestAnimationFrame(() => {
      element.focus();
      element.setSelectionRange(next.caret, next.caret);
    });
  };
  return (
    <section className="card stack">
      <div className="row apart">
        <h2>{t("editor.content")}</h2>
        <div className="row">
          <select className="input" style={{ inlineSize: "auto" }} aria-label={t("editor.format")} value={content.format}
            onChange={(event) => change({ content: { ...content, format: event.target.value as typeof content.format } })}>
            {FORMATS.map((format) => <option key={format} value={format}>{t(`editor.formats.${format}`)}</option>)}
          </select>
          <select className="input" style={{ inlineSize: "auto" }} aria-label={t("editor.insert")} value=""
            onChange={(event) => insert(event.target.value)}>
            <option value="">{t("editor.insert")}</option>
            {variables.map((variable) => <option key={variable} value={variable}>{variable}</option>)}
          </select>
        </div>
      </div>
      <VariableField label={t("editor.source")} rows={20} area={area} value={content.body} variables={variables} hint={t("editor.sourceHint")}
        spellCheck={content.format === "markdown" || content.format === "text"} onChange={(body) => change({ content: { ...content, body } })}
        error={wrong?.map((field) => `${field.line ? t("editor.at", { line: field.line, column: field.column ?? 1 }) : ""}${field.detail}`).join("\n")} />
    </section>
  );
}

function When({ draft, change, problem }: Part) {
  const { t } = useTranslation();
  const senders = useQuery({ ...sendersQuery, retry: false });
  const zones = useMemo(() => Intl.supportedValuesOf("timeZone"), []);
  const own = new Intl.DateTimeFormat().resolvedOptions().timeZone;
  const schedule = draft.schedule;
  const [currency, setCurrency] = useState(draft.budget?.currency ?? "EUR");
  const [amount, setAmount] = useState(draft.budget ? writeMoney(draft.budget.amount, draft.budget.currency) : "");
  const parsed = amount === "" ? null : parseMoney(amount, currency);
  const setBudget = (text: string, unit: string) => {
    setAmount(text);
    setCurrency(unit);
    const minor = text === "" ? null : parseMoney(text, unit);
    if (text === "") change({ budget: null });
    else if (minor !== null) change({ budget: { amount: minor, currency: unit } });
  };
  return (
    <section className="card stack">
      <h2>{t("editor.when")}</h2>
      <div className="grid2">
        <TextField label={t("editor.at_")} type="datetime-local" value={schedule?.at.slice(0, 16) ?? ""} hint={t("editor.atHint")}
          error={problem?.field("/schedule/at")}
          onChange={(event) => change({
            schedule: event.target.value ? { at: `${event.target.value}:00`, timezone: schedule?.timezone ?? own } : null,
          })} />
        <SelectField label={t("editor.zone")} value={schedule?.timezone ?? own} disabled={!schedule} error={problem?.field("/schedule/timezone")}
          onChange={(event) => schedule && change({ schedule: { ...schedule, timezone: event.target.value } })}>
          <option value="recipient">{t("editor.recipientZone")}</option>
          {zones.includes(own) ? null : <option value={own}>{own}</option>}
          {zones.map((zone) => <option key={zone} value={zone}>{zone}</option>)}
        </SelectField>
        <Field label={t("editor.budget")} hint={t("editor.budgetHint")}
          error={amount !== "" && parsed === null ? t("editor.budgetWrong", { count: minorDigits(currency) }) : undefined}>
          {(control) => (
            <div className="row keep">
              <input {...control} inputMode="decimal" value={amount} onChange={(event) => setBudget(event.target.value, currency)} />
              <select className="input" style={{ inlineSize: "auto", flex: "none" }} aria-label={t("editor.currency")} value={currency}
                onChange={(event) => setBudget(amount, event.target.value)}>
                {[...new Set([currency, ...CURRENCIES])].map((unit) => <option key={unit} value={unit}>{unit}</option>)}
              </select>
            </div>
          )}
        </Field>
        {senders.data && senders.data.length > 1 && (
          <SelectField label={t("editor.sender")} value={draft.sender_id ?? ""} onChange={(event) => change({ sender_id: event.target.value || null })}>
            <option value="">{t("editor.anySender")}</option>
            {senders.data.map((sender) => <option key={sender.id} value={sender.id}>{sender.name}</option>)}
          </SelectField>
        )}
      </div>
    </section>
  );
}

const UTM = ["source", "medium", "campaign", "term", "content"] as const;

/** What the campaign's links say of it to the analytics of the site that they lead to. */
function Tracking({ draft, change, problem }: Part) {
  const { t } = useTranslation();
  const { utm } = draft;
  return (
    <section className="card stack">
      <h2>{t("utm.title")}</h2>
      <Check label={t("utm.on")} checked={!!utm} onChange={(event) => change({ utm: event.target.checked ? { source: "newsletter", medium: "email" } : null })} />
      {utm && (
        <div className="grid2">
          {UTM.map((name) => (
            <TextField key={name} label={t(`utm.${name}`)} value={utm[name] ?? ""} maxLength={200} autoComplete="off" error={problem?.field(`/utm/${name}`)}
              placeholder={name === "campaign" ? draft.name : name === "medium" ? "email" : ""}
              onChange={(event) => change({ utm: { ...given({ ...utm, [name]: event.target.value }), source: name === "source" ? event.target.value : utm.source } })} />
          ))}
        </div>
      )}
      <p className="small muted">{t("utm.hint")}</p>
    </section>
  );
}

function Duplicate({ id, ready }: { id: string; ready: () => Promise<boolean> }) {
  const { t } = useTranslation();
  const client = useQueryClient();
  const navigate = useNavigate();
  const toast = useToast();
  const say = useSay();
  const copy = useMutation({
    mutationFn: async () => {
      await ready();
      return ask(api.POST("/api/v1/campaigns/{id}/duplicate", { params: { path: { id } } }));
    },
    onSuccess: async (made) => {
      await client.invalidateQueries({ queryKey: ["campaigns"], refetchType: "none" });
      toast(t("running.copied", { name: made.name }));
      await navigate({ to: "/campaigns/$id", params: { id: made.id } });
    },
    onError: (error) => toast(say(error)),
  });
  return <Button kind="quiet" busy={copy.isPending} onClick={() => copy.mutate()}>{t("running.copy")}</Button>;
}

function Delete({ id, name, drop, onClose }: { id: string; name: string; drop: () => void; onClose: () => void }) {
  const { t } = useTranslation();
  const client = useQueryClient();
  const navigate = useNavigate();
  const toast = useToast();
  const remove = useMutation({
    mutationFn: () => ask(api.DELETE("/api/v1/campaigns/{id}", { params: { path: { id } } })),
    onSuccess: async () => {
      drop();
      await client.invalidateQueries({ queryKey: ["campaigns"], refetchType: "none" });
      await navigate({ to: "/campaigns" });
      toast(t("editor.deleted", { name }));
    },
  });
  return (
    <Confirm title={t("editor.deleteTitle", { name })} name={name} action={t("common.delete")} busy={remove.isPending}
      error={remove.error} onConfirm={() => remove.mutate()} onClose={onClose}>
      <p>{t("editor.deleteText")}</p>
    </Confirm>
  );
}
