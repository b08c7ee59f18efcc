import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useParams } from "@tanstack/react-router";
import { useState, type FormEvent } from "react";
import type { TFunction } from "i18next";
import { useTranslation } from "react-i18next";
import { api, ask, type Schemas } from "../api/client";
import { isProblem } from "../api/problem";
import { given, leadQuery, listsQuery, membershipsQuery, timelineQuery, type Lead } from "../api/queries";
import { may, sessionQuery } from "../api/session";
import { count } from "../lib/format";
import { Ago, Badge, Button, Confirm, Dialog, ErrorNote, PageHead, Ready, SelectField, TextField, useToast } from "../ui/kit";
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
            <PageHead title={name || data.email} crumb={<Link to="/leads">{t("leads.title")}</Link>} lead={<span className="break">{name ? data.email : ""}</span>}
              actions={<><Link className="button" to="/deliveries" search={{ lead_id: id }}>{t("lead.mails")}</Link>{may(session, "leads:write") && <Button kind="danger" onClick={() => setDeleting(true)}>{t("lead.delete")}</Button>}</>} />
            <div className="editor">
              <div className="stack wide">
                <Edit key={etag} lead={data} etag={etag} disabled={!may(session, "leads:write")} />
                <Attributes lead={data} write={may(session, "leads:write")} />
              </div>
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

function Edit({ lead, etag, disabled }: { lead: Lead; etag: string | undefined; disabled: boolean }) {
  const { t } = useTranslation();
  const client = useQueryClient();
  const toast = useToast();
  const save = useMutation({
    mutationFn: ({ tags = "", ...rest }: Record<string, string>) => {
      const empty = Object.fromEntries(Object.entries(rest).map(([name, value]) => [name, value === "" ? null : value]));
      const body = { ...empty, tags: tags.split(",").map((tag) => tag.trim()).filter(Boolean) } as Schemas["leads.LeadBody"];
      return ask(api.PATCH("/api/v1/leads/{id}", { params: { path: { id: lead.id } }, body, ...(etag && { headers: { "If-Match": etag } }) }));
    },
    onSuccess: async () => {
      toast(t("common.saved"));
      await client.invalidateQueries({ queryKey: ["leads"] });
    },
  });
  const problem = isProblem(save.error) ? save.error : undefined;
  const text = (name: "email" | "first_name" | "last_name" | "phone" | "company" | "timezone" | "locale") => (
    <TextField label={t(`fields.${name}`)} name={name} defaultValue={lead[name] ?? ""} error={problem?.field(`/${name}`)} />
  );
  return (
    <section className="card">
      <h2>{t("lead.about")}</h2>
      <form onSubmit={(event: FormEvent<HTMLFormElement>) => save.mutate(values(event))}>
        <fieldset disabled={disabled} className="stack">
          {text("email")}
          <div className="grid2">{text("first_name")}{text("last_name")}{text("company")}{text("phone")}
            <SelectField label={t("leads.status")} name="status" defaultValue={lead.status}>
              {STATUSES.map((status) => <option key={status} value={status}>{t(`leadStatus.${status}`)}</option>)}
            </SelectField>
            {text("locale")}{text("timezone")}
          </div>
          <TextField label={t("fields.tags")} name="tags" defaultValue={lead.tags.join(", ")} hint={t("lead.tagsHint")} error={problem?.field("/tags")} />
          {problem?.status === 412 ? (
            <div className="note warning row apart" role="alert"><span>{t("lead.conflict")}</span>
              <Button small onClick={() => void client.invalidateQueries({ queryKey: leadQuery(lead.id).queryKey })}>{t("lead.reload")}</Button></div>
          ) : problem?.fields.length ? null : <ErrorNote error={save.error} />}
          {!disabled && <div><Button kind="primary" type="submit" busy={save.isPending}>{t("common.save")}</Button></div>}
        </fieldset>
      </form>
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

function Attributes({ lead, write }: { lead: Lead; write: boolean }) {
  const { t } = useTranslation();
  const client = useQueryClient();
  const toast = useToast();
  const [editing, setEditing] = useState<string | null>(null);
  const entries = Object.entries(lead.attributes as Record<string, Attribute>);
  const set = useMutation({
    mutationFn: (attributes: Record<string, Attribute>) => ask(api.PATCH("/api/v1/leads/{id}", { params: { path: { id: lead.id } }, body: { attributes } as Schemas["leads.LeadBody"] })),
    onSuccess: () => client.invalidateQueries({ queryKey: ["leads"] }),
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

/** Who did it; a way that is its own doer is named once. */
function by(t: TFunction, method: string, actor: string): string {
  return actor === "" || actor.startsWith(`${method}:`) ? method : t("timeline.by", { method, actor });
}

function Timeline({ id }: { id: string }) {
  const { t } = useTranslation();
  const timeline = useQuery(timelineQuery(id));
  const lists = useQuery(listsQuery);
  return (
    <section className="card">
      <h2>{t("lead.timeline")}</h2>
      <Ready of={timeline}>
        {({ items }) => (
          <ol className="plain timeline">
            {items.map((item, at) => {
              const detail = item.detail as Record<string, string | number | null>;
              const list = lists.data?.find((one) => one.id === detail.list_id)?.name;
              return (
                // What happened does not move; two things may happen in one moment.
                // oxlint-disable-next-line react/no-array-index-key
                <li key={`${item.at} ${at}`}>
                  <div className="stack tight">
                    <div className="row"><strong>{t(`timeline.${item.kind as "created"}`, { defaultValue: item.kind })}</strong>
                      {list && <Badge>{list}</Badge>}
                      {item.kind === "consent" && <Badge tone="good">{t(`member.${detail.status as "confirmed"}`)}</Badge>}
                      {detail.reason && <Badge tone="bad">{String(detail.reason)}</Badge>}
                    </div>
                    {detail.wording && <q className="small">{detail.wording}</q>}
                    <div className="small muted"><Ago at={item.at} />{detail.sent_from && <> · {detail.sent_from}</>}{detail.method && <> · {by(t, String(detail.method), String(detail.actor ?? ""))}</>}</div>
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
