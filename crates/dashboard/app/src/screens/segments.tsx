import { keepPreviousData, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useParams } from "@tanstack/react-router";
import { useId, useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { api, ask, askFull } from "../api/client";
import { isProblem } from "../api/problem";
import { listsQuery, segmentQuery, segmentsQuery, type Segment } from "../api/queries";
import { may, sessionQuery } from "../api/session";
import { count, duration } from "../lib/format";
import { isKept, useKept } from "../lib/kept";
import { fromRule, group, isComplete, kindOf, line, OPS, renewed, RULE_FIELDS, toRule, type Group, type Line, type Op } from "../lib/rules";
import { Ago, Badge, Button, Check, Confirm, Empty, ErrorNote, PageHead, Ready, Segmented, TextField, useSettled, useToast } from "../ui/kit";
import { Conflict } from "./conflict";
import { WriteTo } from "./write-to";

export function Segments() {
  const { t } = useTranslation();
  const { data: session } = useQuery(sessionQuery);
  const segments = useQuery(segmentsQuery);
  const waits = isKept(shelfOf(undefined, session?.workspace.id));
  const make = may(session, "leads:write") && <Link className="button primary" to="/segments/$id" params={{ id: "new" }}>{t("segments.new")}</Link>;
  return (
    <>
      <PageHead title={t("segments.title")} lead={t("segments.lead")} actions={make} />
      {waits && <div className="note row apart" style={{ marginBlockEnd: 16 }}><span>{t("segments.begun")}</span><Link className="button small" to="/segments/$id" params={{ id: "new" }}>{t("segments.goOn")}</Link></div>}
      <section className="card flush">
        <Ready of={segments}>
          {(items) => items.length === 0 ? <Empty title={t("segments.none")} action={make}>{t("segments.noneText")}</Empty> : (
            <div className="scroll"><table>
              <thead><tr><th scope="col">{t("segments.name")}</th><th scope="col" className="end">{t("segments.people")}</th><th scope="col" className="end late">{t("segments.changed")}</th></tr></thead>
              <tbody>{items.map((segment) => <Row key={segment.id} segment={segment} />)}</tbody>
            </table></div>
          )}
        </Ready>
      </section>
    </>
  );
}

const previewQuery = (rule: unknown) => ({
  queryKey: ["segments", "preview", rule],
  queryFn: ({ signal }: { signal: AbortSignal }) => ask(api.POST("/api/v1/segments/preview", { body: { rule: rule as never }, signal })),
  staleTime: 10_000,
});

function Row({ segment }: { segment: Segment }) {
  const { t } = useTranslation();
  const tell = useRuleText();
  const preview = useQuery(previewQuery(segment.rule));
  return (
    <tr>
      <td>
        <div className="row"><Link to="/segments/$id" params={{ id: segment.id }}><strong className="break">{segment.name}</strong></Link>{isKept(shelfOf(segment.id, undefined)) && <Badge tone="warn">{t("segments.notSaved")}</Badge>}</div>
        <div className="small muted break">{tell(fromRule(segment.rule))}</div>
      </td>
      <td className="end num">{preview.data ? <Link to="/leads" search={{ segment_id: segment.id }}>{count(preview.data.count)}</Link> : "–"}</td>
      <td className="end muted nowrap late"><Ago at={segment.updated_at} /></td>
    </tr>
  );
}

export function SegmentScreen() {
  const { id } = useParams({ from: "/shell/segments/$id" });
  const segment = useQuery({ ...segmentQuery(id), enabled: id !== "new" });
  if (id === "new") return <Builder key="new" />;
  return <Ready of={segment}>{({ data, etag }) => <Builder key={id} segment={data} etag={etag} />}</Ready>;
}

interface Draft { name: string; rule: Group }
const ruleText = (draft: Draft) => JSON.stringify(toRule(draft.rule));
const isSame = (one: Draft, other: Draft) => one.name === other.name && ruleText(one) === ruleText(other);
const revive = (changes: Partial<Draft>) => (changes.rule ? { ...changes, rule: renewed(changes.rule) } : changes);
/** Who is meant by a segment may be mailed this minute, so it is saved by a button; until then it waits here. */
const shelfOf = (id: string | undefined, workspace: string | undefined) => `segment.${id ?? `new.${workspace ?? ""}`}`;

/** Who is meant, and at once how many and who they are. */
function Builder({ segment, etag }: { segment?: Segment; etag?: string | undefined }) {
  const { t } = useTranslation();
  const client = useQueryClient();
  const navigate = useNavigate();
  const toast = useToast();
  const tell = useRuleText();
  const { data: session } = useQuery(sessionQuery);
  const stored = useMemo(() => ({ value: { name: segment?.name ?? "", rule: segment ? fromRule(segment.rule) : group() }, etag }), [segment, etag]);
  const kept = useKept<Draft>({ shelf: shelfOf(segment?.id, session?.workspace.id), stored, isSame, revive });
  const { name, rule } = kept.value;
  const [deleting, setDeleting] = useState(false);
  const complete = isComplete(rule);
  const written = toRule(rule);
  const asked = useSettled(written, 400, JSON.stringify(written));
  const preview = useQuery({ ...previewQuery(asked), enabled: complete, placeholderData: keepPreviousData, retry: false });
  const save = useMutation({
    mutationFn: ({ sent, version }: { sent: Draft; version: string | undefined }) => {
      const body = { name: sent.name, rule: toRule(sent.rule) as never };
      return segment
        ? askFull(api.PATCH("/api/v1/segments/{id}", { params: { path: { id: segment.id } }, body, ...(version && { headers: { "If-Match": version } }) }))
        : askFull(api.POST("/api/v1/segments", { body }));
    },
    onSuccess: async (saved, { sent }) => {
      toast(t("common.saved"));
      client.setQueryData(segmentQuery(saved.data.id).queryKey, saved);
      await client.invalidateQueries({ queryKey: segmentsQuery.queryKey, exact: true });
      if (!segment) await navigate({ to: "/segments/$id", params: { id: saved.data.id }, replace: true });
      // What was typed meanwhile stays to be saved.
      if (!segment || isSame(kept.value, sent)) kept.drop();
      else kept.rebase(saved.etag);
    },
  });
  const remove = useMutation({
    mutationFn: () => ask(api.DELETE("/api/v1/segments/{id}", { params: { path: { id: segment?.id ?? "" } } })),
    onSuccess: async () => {
      kept.drop();
      toast(t("segments.deleted", { name: segment?.name ?? "" }));
      await client.invalidateQueries({ queryKey: segmentsQuery.queryKey, exact: true });
      await navigate({ to: "/segments" });
    },
  });
  const problem = isProblem(save.error) ? save.error : undefined;
  const write = may(session, "leads:write");
  const ready = complete && name.trim() !== "" && !save.isPending && (segment === undefined || kept.changes !== undefined);
  const form = useId();
  return (
    <>
      <PageHead title={segment?.name ?? t("segments.new")} crumb={<Link to="/segments">{t("segments.title")}</Link>}
        lead={kept.changes && <span data-save="kept">{t("segments.unsaved")}</span>}
        actions={write && (
          <>
            {segment && <Button kind="quiet" onClick={() => setDeleting(true)}>{t("common.delete")}</Button>}
            {segment && !kept.changes && may(session, "campaigns:write") && <WriteTo name={segment.name} audience={{ segment_ids: [segment.id] }} />}
            {kept.changes && <Button onClick={() => toast(t("segments.discarded"), kept.drop())}>{t("segments.discard")}</Button>}
            <Button kind="primary" type="submit" form={form} busy={save.isPending} disabled={!ready}>{t("common.save")}</Button>
          </>
        )} />
      <div className="editor">
        <form id={form} onSubmit={(event) => { event.preventDefault(); if (ready) save.mutate({ sent: kept.value, version: kept.etag }); }}><fieldset className="card stack wide" disabled={!write}>
          <TextField label={t("segments.name")} value={name} maxLength={200} error={problem?.field("/name")} onChange={(event) => kept.change({ name: event.target.value })} />
          <GroupEditor group={rule} onChange={(next) => kept.change({ rule: next })} />
          {problem && problem.status !== 412 && !problem.field("/name") && <ErrorNote error={problem} />}
          {save.error && !problem ? <ErrorNote error={save.error} /> : null}
        </fieldset></form>
        <section className="card stack sticky" aria-live="polite">
          <h2>{t("segments.preview")}</h2>
          {!complete && <p className="muted">{t("segments.incomplete")}</p>}
          {complete && <ErrorNote error={preview.error} />}
          {complete && preview.data && !preview.error && (
            <>
              <p><strong style={{ fontSize: "1.5rem" }} className="num" data-testid="count">{count(preview.data.count)}</strong> <span className="muted">{t("segments.found", { count: preview.data.count, time: duration(preview.data.took_ms) })}</span></p>
              {preview.data.sample.length > 0 && (
                <ul className="plain stack tight">
                  {preview.data.sample.map((lead) => (
                    <li key={lead.id} className="truncate"><Link to="/leads/$id" params={{ id: lead.id }}>{lead.email}</Link> <span className="muted">{[lead.first_name, lead.last_name].filter(Boolean).join(" ")}</span></li>
                  ))}
                </ul>
              )}
            </>
          )}
        </section>
      </div>
      {segment && problem?.status === 412 && (
        <Conflict<Draft> title={t("conflict.titleSegment")} mine={kept.changes ?? {}}
          show={(value) => (typeof value === "string" ? value : tell(value as Group))}
          load={async () => {
            const now = await askFull(api.GET("/api/v1/segments/{id}", { params: { path: { id: segment.id } } }));
            client.setQueryData(segmentQuery(segment.id).queryKey, now);
            return { data: { name: now.data.name, rule: fromRule(now.data.rule) }, etag: now.etag };
          }}
          onDone={(_, version, mine) => {
            save.reset();
            if (!mine) return void kept.drop();
            kept.rebase(version);
            save.mutate({ sent: kept.value, version });
          }} />
      )}
      {deleting && (
        <Confirm title={t("segments.deleteTitle", { name: segment?.name ?? "" })} name={segment?.name ?? ""} action={t("common.delete")} busy={remove.isPending}
          error={remove.error} onConfirm={() => remove.mutate()} onClose={() => setDeleting(false)}><p>{t("segments.deleteText")}</p></Confirm>
      )}
    </>
  );
}

/** A rule in words. */
function useRuleText(): (rule: Group) => string {
  const { t } = useTranslation();
  const lists = useQuery(listsQuery);
  const segments = useQuery(segmentsQuery);
  const named = (one: Line) => {
    const kind = kindOf(one.field);
    if (kind === "list") return lists.data?.find((list) => list.id === one.value)?.name ?? "…";
    if (kind === "segment") return segments.data?.find((segment) => segment.id === one.value)?.name ?? "…";
    if (kind === "status") return one.value.split(",").map((status) => t(`leadStatus.${status.trim() as "new"}`)).join(", ");
    return one.value;
  };
  const told = (one: Line): string => {
    const kind = kindOf(one.field);
    const field = kind === "attribute" ? one.field.replace(/^attributes\./, "") : t(`ruleFields.${one.field.replace(".", "_") as "email"}`);
    if (one.op === "within_days" || one.op === "before_days") return t(`segments.${one.op === "within_days" ? "within" : "before"}`, { field, count: Number(one.value) });
    if (one.op === "exists" || one.op === "absent") return `${field} ${t(`ops.${one.op}`)}`;
    // The name of these fields says that one is in it.
    if (kind === "list" || kind === "segment") return one.op === "ne" ? t("segments.notSo", { rule: `${field} ${named(one)}` }) : `${field} ${named(one)}`;
    return `${field} ${t(`ops.${one.op}`)} ${named(one)}`;
  };
  const whole = (of: Group): string => {
    const parts = of.parts.map((part) => (part.kind === "line" ? told(part) : part.parts.length > 1 || part.not ? `(${whole(part)})` : whole(part)));
    const joined = parts.length === 0 ? t("segments.everybody") : parts.join(` ${t(of.any ? "segments.or" : "segments.and")} `);
    return of.not ? t("segments.notSo", { rule: joined }) : joined;
  };
  return whole;
}

function GroupEditor({ group: edited, onChange, onRemove, depth = 0 }: { group: Group; onChange: (group: Group) => void; onRemove?: () => void; depth?: number }) {
  const { t } = useTranslation();
  const set = (at: number, part: Line | Group | null) => onChange({
    ...edited, parts: part ? edited.parts.map((old, index) => (index === at ? part : old)) : edited.parts.filter((_, index) => index !== at),
  });
  return (
    <div className={depth ? "rule" : "stack"} role="group" aria-label={t("segments.group")}>
      <div className="row apart">
        <div className="row">
          <Segmented label={t("segments.match")} value={edited.any ? "any" : "all"} onChange={(value) => onChange({ ...edited, any: value === "any" })}
            options={[["all", t("segments.all")], ["any", t("segments.any")]]} />
          <Check label={t("segments.not")} checked={edited.not} onChange={(event) => onChange({ ...edited, not: event.target.checked })} />
        </div>
        {onRemove && <Button small kind="quiet" onClick={onRemove} aria-label={t("segments.removeGroup")}>✕</Button>}
      </div>
      {edited.parts.map((part, at) => part.kind === "group"
        ? <GroupEditor key={part.key} group={part} depth={depth + 1} onChange={(next) => set(at, next)} onRemove={() => set(at, null)} />
        : <LineEditor key={part.key} line={part} onChange={(next) => set(at, next)} onRemove={() => set(at, null)} />)}
      <div className="row">
        <Button small onClick={() => onChange({ ...edited, parts: [...edited.parts, line()] })}>{t("segments.addLine")}</Button>
        {depth < 6 && <Button small kind="quiet" onClick={() => onChange({ ...edited, parts: [...edited.parts, group(!edited.any)] })}>{t("segments.addGroup")}</Button>}
      </div>
    </div>
  );
}

function LineEditor({ line: edited, onChange, onRemove }: { line: Line; onChange: (line: Line) => void; onRemove: () => void }) {
  const { t } = useTranslation();
  const kind = kindOf(edited.field);
  const choose = (field: string) => {
    const ops = OPS[kindOf(field)];
    onChange({ ...edited, field, op: ops.includes(edited.op) ? edited.op : (ops[0] ?? "eq"), value: kindOf(field) === kind ? edited.value : "" });
  };
  return (
    <div className="stack tight">
      <div className="rule-line">
        <select className="input" aria-label={t("segments.field")} value={kind === "attribute" ? "attributes." : edited.field} onChange={(event) => choose(event.target.value)}>
          {RULE_FIELDS.map(([field]) => <option key={field} value={field}>{t(`ruleFields.${field.replace(".", "_") as "email"}`)}</option>)}
          <option value="attributes.">{t("ruleFields.attribute")}</option>
        </select>
        <select className="input" aria-label={t("segments.op")} value={edited.op} onChange={(event) => onChange({ ...edited, op: event.target.value as Op })}>
          {OPS[kind].map((op) => <option key={op} value={op}>{t(`ops.${op}`)}</option>)}
        </select>
        <Value line={edited} onChange={(value) => onChange({ ...edited, value })} />
        <Button small kind="quiet" onClick={onRemove} aria-label={t("segments.removeLine")}>✕</Button>
      </div>
      {kind === "attribute" && (
        <TextField label={t("segments.attribute")} value={edited.field.replace(/^attributes\./, "")} placeholder="plan" autoComplete="off"
          onChange={(event) => onChange({ ...edited, field: `attributes.${event.target.value.trim()}` })} />
      )}
    </div>
  );
}

function Value({ line: edited, onChange }: { line: Line; onChange: (value: string) => void }) {
  const { t } = useTranslation();
  const kind = kindOf(edited.field);
  const lists = useQuery({ ...listsQuery, enabled: kind === "list" });
  const segments = useQuery({ ...segmentsQuery, enabled: kind === "segment" });
  const label = t("segments.value");
  if (edited.op === "exists" || edited.op === "absent") return <span />;
  const choices = kind === "list" ? lists.data : kind === "segment" ? segments.data
    : kind === "status" && edited.op !== "in" ? (["new", "contacted", "qualified", "customer", "lost"] as const).map((id) => ({ id, name: t(`leadStatus.${id}`) })) : undefined;
  if (choices || kind === "list" || kind === "segment") {
    return (
      <select className="input" aria-label={label} value={edited.value} onChange={(event) => onChange(event.target.value)}>
        <option value="">{t("segments.choose")}</option>
        {choices?.map((choice) => <option key={choice.id} value={choice.id}>{choice.name}</option>)}
      </select>
    );
  }
  const days = edited.op === "within_days" || edited.op === "before_days";
  const type = days || kind === "number" ? "number" : kind === "time" ? "date" : "text";
  return <input className="input" aria-label={label} type={type} min={days ? 0 : undefined} step="any" value={edited.value} autoComplete="off"
    placeholder={edited.op === "in" ? t("segments.several") : days ? t("segments.days") : ""} onChange={(event) => onChange(event.target.value)} />;
}
