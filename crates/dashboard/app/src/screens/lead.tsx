import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useParams } from "@tanstack/react-router";
import { useId, useMemo, useState, type FormEvent } from "react";
import { useTranslation } from "react-i18next";
import { api, ask, askFull, type Schemas } from "../api/client";
import { isProblem } from "../api/problem";
import { formsQuery, given, leadQuery, listsQuery, membershipsQuery, timelineQuery, usersQuery, type Lead } from "../api/queries";
import { may, sessionQuery } from "../api/session";
import { count } from "../lib/format";
import { useKept, type Editing } from "../lib/kept";
import { Ago, Badge, Button, Confirm, Dialog, ErrorNote, PageHead, Ready, SelectField, TextField, useToast } from "../ui/kit";
import { Conflict } from "./conflict";
import { values } from "./door";

const STATUSES = ["new", "contacted", "qualified", "customer", "lost"] as const;

export function LeadScreen() {
  const { t } = useTranslation();
  const { id } = useParams({ from: "/shell/leads/$id" });
  const lead = useQuery(leadQuery(id));
  const { data: session } = useQuery(sessionQuery);
  const [deleting, setDeleting] = useState(false);
  const client = useQueryClient();
  const navigate = useNavigate();
  const toast = useToast();
  const remove = useMutation({
    mutationFn: () => ask(api.DELETE("/api/v1/leads/{id}", { params: { path: { id } } })),
    onSuccess: async () => {
      toast(t("lead.deleted", { email: lead.data?.data.email ?? "" }));
      await client.invalidateQueries({ queryKey: ["leads"], refetchType: "none" });
      await navigate({ to: "/leads" });
    },
  });
  return (
    <Ready of={lead}>
      {({ data, etag }) => {
        const name = [data.first_name, data.last_name].filter(Boolean).join(" ");
        return (
          <>
            <PageHead title={name || data.email} crumb={<Link to="/leads">{t("leads.title")}</Link>} badge={data.unconfirmed && <Badge tone="warn">{t("lead.unconfirmed")}</Badge>} lead={<span className="break">{name ? data.email : ""}</span>}
              actions={<><Link className="button" to="/deliveries" search={{ lead_id: id }}>{t("lead.mails")}</Link>{may(session, "leads:write") && <Button kind="danger" onClick={() => setDeleting(true)}>{t("lead.delete")}</Button>}</>} />
            {data.unconfirmed && <p className="note warning" style={{ marginBlockEnd: 16 }}>{t("lead.unconfirmedText")}</p>}
            <div className="editor">
              <About key={id} lead={data} etag={etag} write={may(session, "leads:write")} />
              <div className="stack wide"><Memberships id={id} write={may(session, "leads:write")} /><Timeline id={id} /></div>
            </div>
            {deleting && (
              <Confirm title={t("lead.deleteTitle", { email: data.email })} name={data.email} action={t("lead.delete")} busy={remove.isPending}
                error={remove.error} onConfirm={() => remove.mutate()} onClose={() => setDeleting(false)}><p>{t("lead.deleteText")}</p></Confirm>
            )}
          </>
        );
      }}
    </Ready>
  );
}

type Draft = Record<"email" | "first_name" | "last_name" | "company" | "phone" | "status" | "locale" | "timezone" | "tags", string>;

function draftOf(lead: Lead): Draft {
  const { email, first_name, last_name, company, phone, status, locale, timezone, tags } = lead;
  return {
    email, status, first_name: first_name ?? "", last_name: last_name ?? "", company: company ?? "", phone: phone ?? "",
    locale: locale ?? "", timezone: timezone ?? "", tags: tags.join(", "),
  };
}

const isSame = (one: Draft, other: Draft) => Object.entries(one).every(([name, value]) => other[name as keyof Draft] === value);

/** What changed, as the API has it: an empty text clears, and tags are a list. */
function bodyOf(changes: Partial<Draft>): Schemas["leads.LeadBody"] {
  const said = Object.entries(changes).map(([name, value]) => [name, name === "tags" ? value.split(",").map((tag) => tag.trim()).filter(Boolean) : value || null]);
  return Object.fromEntries(said) as Schemas["leads.LeadBody"];
}

/** What is known of a person, side by side. */
function About({ lead, etag, write }: { lead: Lead; etag: string | undefined; write: boolean }) {
  const stored = useMemo(() => ({ value: draftOf(lead), etag }), [lead, etag]);
  const kept = useKept<Draft>({ shelf: `lead.${lead.id}`, stored, isSame });
  return <div className="stack wide"><Edit lead={lead} kept={kept} disabled={!write} /><Attributes lead={lead} write={write} onSaved={kept.follow} /></div>;
}

function Edit({ lead, kept, disabled }: { lead: Lead; kept: Editing<Draft>; disabled: boolean }) {
  const { t } = useTranslation();
  const client = useQueryClient();
  const toast = useToast();
  const zones = useId();
  const params = { path: { id: lead.id } };
  const save = useMutation({
    mutationFn: ({ changes, version }: { changes: Partial<Draft>; version: string | undefined }) =>
      askFull(api.PATCH("/api/v1/leads/{id}", { params, body: bodyOf(changes), ...(version && { headers: { "If-Match": version } }) })),
    onSuccess: async (saved, { changes }) => {
      toast(t("common.saved"));
      client.setQueryData(leadQuery(lead.id).queryKey, saved);
      // What was typed meanwhile stays to be saved.
      if (JSON.stringify(kept.changes) === JSON.stringify(changes)) kept.drop();
      else kept.rebase(saved.etag);
      await client.invalidateQueries({ queryKey: ["leads"] });
    },
  });
  const problem = isProblem(save.error) ? save.error : undefined;
  const field = (name: keyof Draft) => ({
    name, value: kept.value[name], error: problem?.field(`/${name}`),
    onChange: (event: { target: { value: string } }) => kept.change({ [name]: event.target.value }),
  });
  return (
    <section className="card">
      <h2>{t("lead.about")}</h2>
      <form onSubmit={(event) => { event.preventDefault(); save.mutate({ changes: kept.changes ?? {}, version: kept.etag }); }}>
        <fieldset disabled={disabled} className="stack">
          <TextField label={t("fields.email")} {...field("email")} />
          <div className="grid2">
            <TextField label={t("fields.first_name")} {...field("first_name")} /><TextField label={t("fields.last_name")} {...field("last_name")} /><TextField label={t("fields.company")} {...field("company")} /><TextField label={t("fields.phone")} {...field("phone")} type="tel" />
            <SelectField label={t("leads.status")} {...field("status")}>{STATUSES.map((status) => <option key={status} value={status}>{t(`leadStatus.${status}`)}</option>)}</SelectField>
            <TextField label={t("fields.locale")} {...field("locale")} /><TextField label={t("fields.timezone")} {...field("timezone")} list={zones} placeholder="Europe/Berlin" autoComplete="off" />
          </div>
          <datalist id={zones}>{Intl.supportedValuesOf("timeZone").map((zone) => <option key={zone} value={zone} />)}</datalist>
          <TextField label={t("fields.tags")} {...field("tags")} hint={t("lead.tagsHint")} />
          {problem?.fields.length || problem?.status === 412 ? null : <ErrorNote error={save.error} />}
          {!disabled && (
            <div className="row">
              <Button kind="primary" type="submit" busy={save.isPending} disabled={!kept.changes}>{t("common.save")}</Button>
              {kept.changes && <Button onClick={() => { save.reset(); toast(t("segments.discarded"), kept.drop()); }}>{t("segments.discard")}</Button>}
              {kept.changes && <span className="small muted" data-save="kept">{t("lead.unsaved")}</span>}
            </div>
          )}
        </fieldset>
      </form>
      {problem?.status === 412 && (
        <Conflict<Draft> title={t("conflict.titleLead")} mine={kept.changes ?? {}} label={(name) => t(`fields.${name}`)}
          load={async () => {
            const now = await askFull(api.GET("/api/v1/leads/{id}", { params }));
            client.setQueryData(leadQuery(lead.id).queryKey, now);
            return { data: draftOf(now.data), etag: now.etag };
          }}
          onDone={(_, version, mine) => {
            save.reset();
            if (!mine) return void kept.drop();
            kept.rebase(version);
            save.mutate({ changes: kept.changes ?? {}, version });
          }} />
      )}
    </section>
  );
}

type Attribute = string | number | boolean | object | null;
const shownAttribute = (value: Attribute) => (typeof value === "string" ? value : JSON.stringify(value));

/** What was typed, as what it was before: a number stays one, and so does a truth. */
function readAttribute(text: string, before: Attribute | undefined): Attribute {
  if (typeof before === "number" && text.trim() !== "" && !Number.isNaN(Number(text))) return Number(text);
  if (typeof before === "boolean" && (text === "true" || text === "false")) return text === "true";
  return text;
}

function Attributes({ lead, write, onSaved }: { lead: Lead; write: boolean; onSaved: (etag: string | undefined) => void }) {
  const { t } = useTranslation();
  const client = useQueryClient();
  const toast = useToast();
  const [editing, setEditing] = useState<string | null>(null);
  const entries = Object.entries(lead.attributes as Record<string, Attribute>);
  const set = useMutation({
    mutationFn: (attributes: Record<string, Attribute>) => askFull(api.PATCH("/api/v1/leads/{id}", { params: { path: { id: lead.id } }, body: { attributes } as Schemas["leads.LeadBody"] })),
    onSuccess: async (saved) => {
      onSaved(saved.etag);
      await client.invalidateQueries({ queryKey: ["leads"] });
    },
  });
  const remove = (name: string, value: Attribute) => set.mutate({ [name]: null }, {
    onSuccess: () => toast(t("lead.attributeRemoved", { name }), () => set.mutate({ [name]: value })),
  });
  return (
    <section className="card stack" aria-label={t("lead.attributes")}>
      <div className="row apart"><h2>{t("lead.attributes")}</h2>{write && <Button small onClick={() => { set.reset(); setEditing(""); }}>{t("lead.attributeAdd")}</Button>}</div>
      <dl className="kv">
        <dt>{t("fields.score")}</dt><dd className="num">{count(lead.score)}</dd>
        {lead.source && <><dt>{t("fields.source")}</dt><dd className="break">{lead.source}</dd></>}
        {entries.map(([name, value]) => (
          <div key={name} style={{ display: "contents" }}><dt className="break">{name}</dt><dd className="row apart"><span className="break grow">{shownAttribute(value)}</span>
            {write && <span className="row tight">
              {typeof value !== "object" && <Button small kind="quiet" onClick={() => { set.reset(); setEditing(name); }} aria-label={t("lead.attributeEdit", { name })}>{t("common.edit")}</Button>}
              <Button small kind="quiet" onClick={() => remove(name, value)} aria-label={t("lead.attributeRemove", { name })}>✕</Button>
            </span>}
          </dd></div>
        ))}
      </dl>
      {editing === null && <ErrorNote error={set.error} />}
      {editing !== null && (
        <Dialog title={t(editing ? "lead.attributeOne" : "lead.attributeAdd", { name: editing })} onClose={() => setEditing(null)}>
          <form className="stack" onSubmit={(event: FormEvent<HTMLFormElement>) => {
            const { name = editing, value = "" } = values(event);
            const before = entries.find(([one]) => one === name)?.[1];
            set.mutate({ [name.trim()]: readAttribute(value, before) }, { onSuccess: () => setEditing(null) });
          }}>
            {!editing && <TextField label={t("segments.attribute")} name="name" required maxLength={100} autoFocus autoComplete="off" placeholder="plan" />}
            <TextField label={t("segments.value")} name="value" autoFocus={editing !== ""} autoComplete="off"
              defaultValue={editing ? shownAttribute(entries.find(([one]) => one === editing)?.[1] ?? "") : ""} error={isProblem(set.error) ? set.error.field("/attributes") : undefined} />
            {isProblem(set.error) && set.error.field("/attributes") ? null : <ErrorNote error={set.error} />}
            <div className="foot row"><Button onClick={() => setEditing(null)}>{t("common.cancel")}</Button><Button kind="primary" type="submit" busy={set.isPending}>{t("common.save")}</Button></div>
          </form>
        </Dialog>
      )}
    </section>
  );
}

const MEMBER_TONES: Record<string, "good" | "warn" | ""> = { confirmed: "good", unconfirmed: "warn" };

/** What they agreed to get, and what they left. */
function Memberships({ id, write }: { id: string; write: boolean }) {
  const { t } = useTranslation();
  const client = useQueryClient();
  const toast = useToast();
  const own = useQuery(membershipsQuery(id));
  const [adding, setAdding] = useState(false);
  const refresh = async () => {
    await client.invalidateQueries({ queryKey: leadQuery(id).queryKey });
    await client.invalidateQueries({ queryKey: ["lists"], refetchType: "none" });
  };
  const set = useMutation({
    mutationFn: ({ list_id, status }: { list_id: string; status: Schemas["leads.MemberStatus"] }) =>
      ask(api.PATCH("/api/v1/lists/{id}/members/{lead_id}", { params: { path: { id: list_id, lead_id: id } }, body: { status } })),
    onSuccess: refresh,
  });
  const leave = (one: Schemas["leads.Membership"]) => set.mutate({ list_id: one.list_id, status: "unsubscribed" }, {
    onSuccess: () => toast(t("lead.left", { list: one.name }), () => set.mutate({ list_id: one.list_id, status: one.status as "confirmed" })),
  });
  return (
    <section className="card stack" aria-label={t("lists.title")}>
      <div className="row apart"><h2>{t("lists.title")}</h2>{write && <Button small onClick={() => setAdding(true)}>{t("lead.addToList")}</Button>}</div>
      <ErrorNote error={set.error} />
      <Ready of={own}>
        {(items) => items.length === 0 ? <p className="muted">{t("lead.noLists")}</p> : (
          <ul className="plain rows">{items.map((one) => (
            <li key={one.list_id} className="row apart">
              <div className="row grow"><Link to="/lists/$id" params={{ id: one.list_id }} className="break">{one.name}</Link><Badge tone={MEMBER_TONES[one.status] ?? ""}>{t(`member.${one.status as "confirmed"}`)}</Badge></div>
              {write && one.status !== "unsubscribed" && <Button small kind="quiet" busy={set.isPending} onClick={() => leave(one)}>{t("lists.unsubscribe")}</Button>}
            </li>
          ))}</ul>
        )}
      </Ready>
      {adding && <AddToList id={id} on={own.data ?? []} onClose={() => setAdding(false)} onAdded={refresh} />}
    </section>
  );
}

/** Whoever adds somebody says what they agreed to; it goes into their ledger. */
function AddToList({ id, on, onClose, onAdded }: { id: string; on: Schemas["leads.Membership"][]; onClose: () => void; onAdded: () => Promise<void> }) {
  const { t } = useTranslation();
  const lists = useQuery(listsQuery);
  const add = useMutation({
    mutationFn: ({ list = "", wording = "" }: Record<string, string>) =>
      ask(api.POST("/api/v1/lists/{id}/members", { params: { path: { id: list } }, body: { lead_id: id, status: "confirmed", ...given({ wording }) } })),
    onSuccess: async () => {
      onClose();
      await onAdded();
    },
  });
  const problem = isProblem(add.error) ? add.error : undefined;
  const open = lists.data?.filter((list) => !on.some((one) => one.list_id === list.id && one.status === "confirmed")) ?? [];
  return (
    <Dialog title={t("lead.addToList")} onClose={onClose}>
      {lists.data && open.length === 0 ? <p>{t("lead.onAllLists")} <Link to="/lists">{t("lists.title")}</Link></p> : (
        <form className="stack" onSubmit={(event: FormEvent<HTMLFormElement>) => add.mutate(values(event))}>
          <SelectField label={t("leads.list")} name="list" required>{open.map((list) => <option key={list.id} value={list.id}>{list.name}</option>)}</SelectField>
          <TextField label={t("lead.wording")} name="wording" required maxLength={2000} hint={t("lead.wordingHint")} error={problem?.field("/wording")} />
          {problem?.fields.length ? null : <ErrorNote error={add.error} />}
          <div className="foot row"><Button onClick={onClose}>{t("common.cancel")}</Button><Button kind="primary" type="submit" busy={add.isPending}>{t("lead.addToList")}</Button></div>
        </form>
      )}
    </Dialog>
  );
}

/** How it came about, and by whom if that is somebody else. */
function useDoer(): (method: string, actor: string) => string {
  const { t } = useTranslation();
  const { data: session } = useQuery(sessionQuery);
  const users = useQuery({ ...usersQuery, enabled: may(session, "users:read"), staleTime: 60_000 });
  return (method, actor) => {
    const way = t(`methods.${method as "api"}`, { defaultValue: method });
    const [kind, id] = actor.split(":");
    if (kind === "key") return t("timeline.by", { method: way, actor: t("audit.key") });
    if (kind !== "user") return way;
    const who = users.data?.find((user) => user.id === id)?.name ?? (session?.user.id === id ? session?.user.name : undefined);
    return who ? t("timeline.by", { method: way, actor: who }) : way;
  };
}

const CONSENT_TONES: Record<string, "good" | "warn" | ""> = { ...MEMBER_TONES, resubscribed: "good" };

function Timeline({ id }: { id: string }) {
  const { t } = useTranslation();
  const timeline = useQuery(timelineQuery(id));
  const lists = useQuery(listsQuery);
  const forms = useQuery(formsQuery);
  const doer = useDoer();
  return (
    <section className="card">
      <h2>{t("lead.timeline")}</h2>
      <Ready of={timeline}>
        {({ items }) => (
          <ol className="plain timeline">
            {items.map((item, at) => {
              const detail = item.detail as Record<string, string | number | null>;
              const list = lists.data?.find((one) => one.id === detail.list_id)?.name;
              const form = forms.data?.find((one) => one.id === detail.form_id);
              return (
                // What happened does not move; two things may happen in one moment.
                // oxlint-disable-next-line react/no-array-index-key
                <li key={`${item.at} ${at}`}>
                  <div className="stack tight">
                    <div className="row"><strong>{t(`timeline.${item.kind as "created"}`, { defaultValue: item.kind })}</strong>
                      {list && <Badge>{list}</Badge>}
                      {form && <Link to="/forms/$id" params={{ id: form.id }} className="break">{form.name}</Link>}
                      {item.kind === "consent" && <Badge tone={CONSENT_TONES[String(detail.status)] ?? ""}>{t(`member.${detail.status as "confirmed"}`)}</Badge>}
                      {detail.reason && <Badge tone="bad">{t(`reasons.${detail.reason as "manual"}`, { defaultValue: String(detail.reason) })}</Badge>}
                    </div>
                    {detail.wording && <q className="small break">{detail.wording}</q>}
                    <div className="small muted"><Ago at={item.at} />{detail.sent_from && <> · {t("timeline.from", { address: detail.sent_from })}</>}{detail.method && <> · {doer(String(detail.method), String(detail.actor ?? ""))}</>}</div>
                  </div>
                </li>
              );
            })}
          </ol>
        )}
      </Ready>
    </section>
  );
}
