import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, ask, type Schemas } from "../../api/client";
import { given, usersQuery } from "../../api/queries";
import { may, sessionQuery } from "../../api/session";
import { changes, shownValue } from "../../lib/changes";
import { dateTime } from "../../lib/format";
import { Badge, Button, Empty, Ready, SelectField, TextField } from "../../ui/kit";

type Entry = Schemas["identity.AuditEntry"];
const SERVICES = ["identity", "campaigns", "leads", "notifications", "analytics"] as const;
const ACTIONS = ["insert", "update", "delete"] as const;
const THINGS = [
  "api_keys", "authenticators", "campaigns", "domains", "external_identities", "forms", "goals", "inbound_hooks", "invitations", "leads", "list_members", "lists", "memberships",
  "roles", "segments", "senders", "shares", "suppressions", "templates", "users", "webhooks", "workspaces", "write_keys",
] as const;
const NO_FILTER = { actor: "", service: "", action: "", resource: "", from: "", to: "" };
const TONES = { insert: "good", update: "info", delete: "bad" } as const;
const start = undefined as string | undefined;

/** The beginning of a day of the viewer's zone; of the next one with `after`. */
function dayStart(day: string, after = false): string | undefined {
  const [year, month, date] = day.split("-").map(Number);
  if (!year || !month || !date) return undefined;
  return new Date(year, month - 1, date + (after ? 1 : 0)).toISOString();
}

const auditQuery = (filter: Record<string, string | undefined>) => ({
  queryKey: ["audit", given(filter)],
  queryFn: ({ pageParam, signal }: { pageParam: string | undefined; signal: AbortSignal }) =>
    ask(api.GET("/api/v1/audit", { params: { query: given({ ...filter, limit: 50, cursor: pageParam }) }, signal })),
  initialPageParam: start,
  getNextPageParam: (page: { next_cursor?: string | null }) => page.next_cursor ?? undefined,
});

/** Who changed what, when, from where, and how it was before. */
export function Audit() {
  const { t } = useTranslation();
  const { data: session } = useQuery(sessionQuery);
  const users = useQuery({ ...usersQuery, enabled: may(session, "users:read") });
  const [filter, setFilter] = useState(NO_FILTER);
  const set = (changed: Partial<typeof filter>) => setFilter((before) => ({ ...before, ...changed }));
  const period = { from: dayStart(filter.from), to: dayStart(filter.to, true) };
  const { actor, service, action } = filter;
  const asked = { actor, service, action, resource: filter.resource, ...period };
  const pages = useInfiniteQuery(auditQuery(asked));
  const items = pages.data?.pages.flatMap((page) => page.items);
  const who = (name: string) => {
    const [kind, id] = name.split(":");
    const found = kind === "user" ? users.data?.find((user) => user.id === id)?.name : undefined;
    return found ?? (kind === "key" ? t("audit.key") : kind === "user" ? t("audit.gone") : kind === "nobody" ? t("audit.nobody") : name);
  };
  const file = (format: "csv" | "ndjson") => `/api/v1/audit/export?${new URLSearchParams(given({ format, ...period }) as Record<string, string>).toString()}`;
  const filtered = Object.values(filter).some(Boolean);
  return (
    <section className="stack">
      <div className="row apart">
        <p className="muted grow">{t("audit.lead")}</p>
        <div className="row"><a className="button" href={file("csv")} download="audit.csv">{t("audit.export", { format: "CSV" })}</a><a className="button" href={file("ndjson")} download="audit.ndjson">{t("audit.export", { format: "NDJSON" })}</a></div>
      </div>
      <div className="card flush">
        <div className="filters" role="search">
          <SelectField label={t("audit.who")} value={filter.actor} onChange={(event) => set({ actor: event.target.value })}>
            <option value="">{t("leads.any")}</option>
            {users.data?.map((user) => <option key={user.id} value={`user:${user.id}`}>{user.name}</option>)}
            <option value="nobody">{t("audit.nobody")}</option>
          </SelectField>
          <SelectField label={t("audit.part")} value={filter.service} onChange={(event) => set({ service: event.target.value })}>
            <option value="">{t("leads.any")}</option>
            {SERVICES.map((one) => <option key={one} value={one}>{t(`audit.parts.${one}`)}</option>)}
          </SelectField>
          <SelectField label={t("audit.action")} value={filter.action} onChange={(event) => set({ action: event.target.value })}>
            <option value="">{t("leads.any")}</option>
            {ACTIONS.map((one) => <option key={one} value={one}>{t(`audit.actions.${one}`)}</option>)}
          </SelectField>
          <SelectField label={t("audit.what")} value={filter.resource} onChange={(event) => set({ resource: event.target.value })}>
            <option value="">{t("leads.any")}</option>
            {THINGS.map((one) => <option key={one} value={one}>{t(`audit.things.${one}`)}</option>)}
          </SelectField>
          <TextField label={t("audit.from")} type="date" value={filter.from} max={filter.to || undefined} onChange={(event) => set({ from: event.target.value })} />
          <TextField label={t("audit.to")} type="date" value={filter.to} min={filter.from || undefined} onChange={(event) => set({ to: event.target.value })} />
        </div>
        <Ready of={{ ...pages, data: items }}>
          {(rows) => rows.length === 0 ? (
            <Empty title={t(filtered ? "audit.noneSo" : "audit.none")} action={filtered && <Button onClick={() => setFilter(NO_FILTER)}>{t("leads.clear")}</Button>}>{t(filtered ? "audit.noneSoText" : "audit.noneText")}</Empty>
          ) : <ul className="plain rows inset">{rows.map((entry) => <Line key={entry.id} entry={entry} who={who(entry.actor)} />)}</ul>}
        </Ready>
        {pages.hasNextPage && <div className="empty"><Button busy={pages.isFetchingNextPage} onClick={() => void pages.fetchNextPage()}>{t("common.more")}</Button></div>}
      </div>
    </section>
  );
}

function Line({ entry, who }: { entry: Entry; who: string }) {
  const { t } = useTranslation();
  const named = [entry.after?.name, entry.before?.name, entry.after?.email, entry.before?.email].find((one) => typeof one === "string" && one !== "");
  return (
    <li>
      <details>
        <summary>
          <span className="grow row">
            <Badge tone={TONES[entry.action as keyof typeof TONES] ?? ""}>{t(`audit.actions.${entry.action as "insert"}`, { defaultValue: entry.action })}</Badge>
            <span title={entry.resource}>{t(`audit.things.${entry.resource as "leads"}`, { defaultValue: entry.resource })}</span>
            {typeof named === "string" && <strong className="break">{named}</strong>}
          </span>
          <span className="small muted break">{who} · <time dateTime={entry.at}>{dateTime(entry.at)}</time></span>
        </summary>
        <Detail entry={entry} />
      </details>
    </li>
  );
}

function Detail({ entry }: { entry: Entry }) {
  const { t } = useTranslation();
  const changed = changes(entry.before as Record<string, unknown> | null, entry.after as Record<string, unknown> | null);
  return (
    <div className="stack" style={{ paddingBlock: 10 }}>
      <dl className="kv small">
        <dt>{t("audit.way")}</dt><dd><code>{entry.method} {entry.route}</code></dd>
        <dt>{t("audit.address")}</dt><dd>{entry.address ?? "–"}</dd>
        <dt>{t("audit.id")}</dt><dd><code>{entry.resource_id}</code></dd>
        <dt>{t("audit.request")}</dt><dd><code>{entry.request_id}</code></dd>
      </dl>
      {changed.length > 0 && (
        <div className="scroll"><table>
          <thead><tr><th scope="col">{t("audit.field")}</th><th scope="col">{t("audit.before")}</th><th scope="col">{t("audit.after")}</th></tr></thead>
          <tbody>{changed.map((change) => (
            <tr key={change.field}>
              <th scope="row"><code>{change.field}</code></th>
              <td className="break"><span className="pre">{shownValue(change.before)}</span></td>
              <td className="break"><span className="pre">{shownValue(change.after)}</span></td>
            </tr>
          ))}</tbody>
        </table></div>
      )}
    </div>
  );
}
