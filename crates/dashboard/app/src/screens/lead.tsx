import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useParams } from "@tanstack/react-router";
import { useState, type FormEvent } from "react";
import type { TFunction } from "i18next";
import { useTranslation } from "react-i18next";
import { api, ask, type Schemas } from "../api/client";
import { isProblem } from "../api/problem";
import { leadQuery, listsQuery, timelineQuery, type Lead } from "../api/queries";
import { may, sessionQuery } from "../api/session";
import { count } from "../lib/format";
import { Ago, Badge, Button, Confirm, ErrorNote, PageHead, Ready, SelectField, TextField, useToast } from "../ui/kit";
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
                <Attributes lead={data} />
              </div>
              <div className="stack wide"><Timeline id={id} /></div>
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

function Attributes({ lead }: { lead: Lead }) {
  const { t } = useTranslation();
  const entries = Object.entries(lead.attributes as Record<string, unknown>);
  return (
    <section className="card">
      <h2>{t("lead.attributes")}</h2>
      <dl className="kv">
        <dt>{t("fields.score")}</dt><dd className="num">{count(lead.score)}</dd>
        {lead.source && <><dt>{t("fields.source")}</dt><dd className="break">{lead.source}</dd></>}
        {entries.map(([name, value]) => (
          <div key={name} style={{ display: "contents" }}><dt className="break">{name}</dt><dd className="break">{typeof value === "string" ? value : JSON.stringify(value)}</dd></div>
        ))}
      </dl>
    </section>
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
                    <div className="small muted"><Ago at={item.at} />{detail.method && <> · {by(t, String(detail.method), String(detail.actor ?? ""))}</>}</div>
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
