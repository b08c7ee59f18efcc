import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState, type FormEvent } from "react";
import { useTranslation } from "react-i18next";
import { api, ask, type Schemas } from "../../api/client";
import { isProblem } from "../../api/problem";
import { domainsQuery, sendersQuery } from "../../api/queries";
import { count, duration } from "../../lib/format";
import { Ago, Badge, Button, Confirm, Copy, Dialog, Empty, ErrorNote, Ready, SelectField, TextField, useToast, useTold } from "../../ui/kit";
import { values } from "../door";
import { WarmUpDialog } from "./warm-up";

type Domain = Schemas["notifications.Domain"];
type Sender = Schemas["notifications.Sender"];

export function Domains() {
  const { t } = useTranslation();
  const domains = useQuery(domainsQuery);
  const [adding, setAdding] = useState(false);
  const make = <Button kind="primary" onClick={() => setAdding(true)}>{t("domains.new")}</Button>;
  return (
    <section className="stack">
      <div className="row apart"><p className="muted">{t("domains.lead")}</p>{make}</div>
      <Ready of={domains}>
        {(items) => items.length === 0 ? <div className="card"><Empty title={t("domains.none")} action={make}>{t("domains.noneText")}</Empty></div>
          : <>{items.map((domain) => <DomainCard key={domain.id} domain={domain} />)}</>}
      </Ready>
      {adding && <NewDomain onClose={() => setAdding(false)} />}
    </section>
  );
}

function NewDomain({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation();
  const client = useQueryClient();
  const add = useMutation({
    mutationFn: ({ name = "" }: Record<string, string>) => ask(api.POST("/api/v1/domains", { body: { name: name.trim() } })),
    onSuccess: async () => {
      await client.invalidateQueries({ queryKey: domainsQuery.queryKey });
      onClose();
    },
  });
  const problem = isProblem(add.error) ? add.error : undefined;
  return (
    <Dialog title={t("domains.new")} onClose={onClose}>
      <form className="stack" onSubmit={(event: FormEvent<HTMLFormElement>) => add.mutate(values(event))}>
        <TextField label={t("domains.name")} name="name" required autoFocus placeholder="example.com" autoComplete="off" hint={t("domains.nameHint")} error={problem?.field("/name")} />
        {problem?.fields.length ? null : <ErrorNote error={add.error} />}
        <div className="foot row"><Button onClick={onClose}>{t("common.cancel")}</Button><Button kind="primary" type="submit" busy={add.isPending}>{t("domains.new")}</Button></div>
      </form>
    </Dialog>
  );
}

const RECORD_TONES = { ok: "good", missing: "bad", wrong: "bad", unchecked: "" } as const;

function DomainCard({ domain }: { domain: Domain }) {
  const { t } = useTranslation();
  const client = useQueryClient();
  const toast = useToast();
  const [deleting, setDeleting] = useState(false);
  const [rotating, setRotating] = useState(false);
  const path = { path: { id: domain.id } };
  const refresh = () => client.invalidateQueries({ queryKey: domainsQuery.queryKey });
  const check = useMutation({ mutationFn: () => ask(api.POST("/api/v1/domains/{id}/check", { params: path })), onSuccess: refresh });
  const rotate = useMutation({
    mutationFn: () => ask(api.POST("/api/v1/domains/{id}/rotate", { params: path })),
    onSuccess: async () => {
      setRotating(false);
      toast(t("domains.rotated", { name: domain.name }));
      await refresh();
    },
  });
  const remove = useMutation({
    mutationFn: () => ask(api.DELETE("/api/v1/domains/{id}", { params: path })),
    onSuccess: async () => {
      toast(t("domains.removed", { name: domain.name }));
      await refresh();
    },
  });
  return (
    <article className="card stack" aria-label={domain.name}>
      <div className="row apart">
        <div className="row"><h2 className="break">{domain.name}</h2><Badge tone={domain.authenticated ? "good" : "warn"}>{t(domain.authenticated ? "domains.authenticated" : "domains.notYet")}</Badge></div>
        <div className="row">
          <Button small kind="quiet" onClick={() => setDeleting(true)}>{t("common.delete")}</Button>
          <Button small onClick={() => { rotate.reset(); setRotating(true); }}>{t("domains.rotate")}</Button>
          <Button small kind="primary" busy={check.isPending} onClick={() => check.mutate()}>{t("domains.check")}</Button>
        </div>
      </div>
      <p className="small muted">{t("domains.how")} {domain.checked_at && <>{t("domains.checked")} <Ago at={domain.checked_at} />.</>}</p>
      <ErrorNote error={check.error} />
      <div className="scroll"><table>
        <thead><tr><th scope="col">{t("domains.purpose")}</th><th scope="col">{t("domains.host")}</th><th scope="col">{t("domains.value")}</th><th scope="col">{t("domains.state")}</th></tr></thead>
        <tbody>{domain.records.map((record) => (
          <tr key={record.purpose + record.name + record.value}>
            <td className="nowrap"><strong>{t(`purposes.${record.purpose}`)}</strong><div className="small muted">{record.type}</div></td>
            <td><div className="row keep top"><code className="break grow" style={{ minInlineSize: 150 }}>{record.name}</code><Copy text={record.name} label={t("domains.copyHost", { purpose: t(`purposes.${record.purpose}`) })} /></div></td>
            <td><div className="row keep top"><code className="break grow" style={{ minInlineSize: 190, maxInlineSize: 340 }}>{record.value}</code><Copy text={record.value} label={t("domains.copyValue", { purpose: t(`purposes.${record.purpose}`) })} /></div>
              {record.status === "wrong" && record.found.length > 0 && <div className="small break" style={{ color: "var(--danger)" }}>{t("domains.found", { found: record.found.join(" · ") })}</div>}
            </td>
            <td><Badge tone={RECORD_TONES[record.status]}>{t(`records.${record.status}`)}</Badge></td>
          </tr>
        ))}</tbody>
      </table></div>
      {rotating && (
        <Confirm title={t("domains.rotateTitle", { name: domain.name })} action={t("domains.rotate")} busy={rotate.isPending} error={rotate.error}
          onConfirm={() => rotate.mutate()} onClose={() => setRotating(false)}><p>{t("domains.rotateText")}</p></Confirm>
      )}
      {deleting && (
        <Confirm title={t("domains.deleteTitle", { name: domain.name })} name={domain.name} action={t("common.delete")} busy={remove.isPending}
          error={remove.error} onConfirm={() => remove.mutate()} onClose={() => setDeleting(false)}><p>{t("domains.deleteText")}</p></Confirm>
      )}
    </article>
  );
}

export function Senders() {
  const { t } = useTranslation();
  const senders = useQuery(sendersQuery);
  const [adding, setAdding] = useState(false);
  return (
    <section className="stack">
      <div className="row apart"><p className="muted">{t("senders.lead")}</p><Button kind="primary" onClick={() => setAdding(true)}>{t("senders.new")}</Button></div>
      <Ready of={senders}>
        {(items) => items.length === 0 ? <div className="card"><Empty title={t("senders.none")}>{t("senders.noneText")}</Empty></div>
          : <>{items.map((sender) => <SenderCard key={sender.id} sender={sender} />)}</>}
      </Ready>
      {adding && <EditSender onClose={() => setAdding(false)} />}
    </section>
  );
}

function SenderCard({ sender }: { sender: Sender }) {
  const { t } = useTranslation();
  const told = useTold();
  const client = useQueryClient();
  const toast = useToast();
  const [warming, setWarming] = useState(false);
  const [editing, setEditing] = useState(false);
  const [deleting, setDeleting] = useState(false);
  const params = { path: { id: sender.id } };
  const refresh = () => client.invalidateQueries({ queryKey: sendersQuery.queryKey });
  const test = useMutation({ mutationFn: () => ask(api.POST("/api/v1/senders/{id}/test", { params })) });
  const enable = useMutation({ mutationFn: (enabled: boolean) => ask(api.PATCH("/api/v1/senders/{id}", { params, body: { enabled } })), onSuccess: refresh });
  const remove = useMutation({
    mutationFn: () => ask(api.DELETE("/api/v1/senders/{id}", { params })),
    onSuccess: async () => {
      toast(t("senders.removed", { name: sender.name }));
      await refresh();
    },
  });
  return (
    <article className="card stack" aria-label={sender.name}>
      <div className="row apart">
        <div className="row"><h2 className="break">{sender.name}</h2><Badge tone={sender.enabled ? "good" : ""}>{t(sender.enabled ? "senders.on" : "senders.off")}</Badge>{sender.read_only && <Badge>{t("senders.own")}</Badge>}</div>
        <div className="row">
          {!sender.read_only && <Button small kind="quiet" onClick={() => setDeleting(true)}>{t("common.delete")}</Button>}
          {!sender.read_only && <Button small onClick={() => setEditing(true)}>{t("common.edit")}</Button>}
          {!sender.read_only && <Button small onClick={() => setWarming(true)}>{t("warmUp.title")}</Button>}
          {!sender.read_only && <Button small busy={enable.isPending} onClick={() => enable.mutate(!sender.enabled)}>{t(sender.enabled ? "senders.disable" : "senders.enable")}</Button>}
          <Button small kind="primary" busy={test.isPending} onClick={() => test.mutate()}>{t("senders.test")}</Button>
        </div>
      </div>
      <dl className="kv">
        <dt>{t("senders.server")}</dt><dd className="break"><code>{sender.host}:{sender.port}</code> · {t(`tls.${sender.tls as "none"}`, { defaultValue: sender.tls })}{sender.user && <> · {sender.user}</>}</dd>
        <dt>{t("senders.rate")}</dt><dd>{sender.per_second ? t("senders.perSecond", { rate: count(sender.per_second) }) : t("senders.unlimited")} · {t("senders.connections", { count: sender.connections })}</dd>
        {sender.domains.length > 0 && <><dt>{t("senders.for")}</dt><dd className="break">{sender.domains.join(", ")}</dd></>}
        {sender.warm_up && <><dt>{t("warmUp.title")}</dt><dd>{sender.cap_today === null || sender.cap_today === undefined ? t("warmUp.over") : t("warmUp.today", { count: sender.cap_today, shown: count(sender.cap_today) })}</dd></>}
        {sender.unreachable && <><dt>{t("senders.unreachable")}</dt><dd className="break">{sender.unreachable.replace(/^the mail server cannot be reached: /, "")}</dd></>}
        {sender.slowed.length > 0 && <><dt>{t("senders.slowed")}</dt><dd className="break">{sender.slowed.map((slow) => slow.domain).join(", ")}</dd></>}
      </dl>
      {test.data && <div className={`note ${test.data.ok ? "good" : "error"}`} role="status">{told(test.data.detail)} ({duration(test.data.took_ms)})</div>}
      <ErrorNote error={test.error ?? enable.error} />
      {editing && <EditSender of={sender} onClose={() => setEditing(false)} />}
      {warming && <WarmUpDialog sender={sender} onClose={() => setWarming(false)} onSaved={refresh} />}
      {deleting && (
        <Confirm title={t("senders.deleteTitle", { name: sender.name })} name={sender.name} action={t("common.delete")} busy={remove.isPending}
          error={remove.error} onConfirm={() => remove.mutate()} onClose={() => setDeleting(false)}><p>{t("senders.deleteText")}</p></Confirm>
      )}
    </article>
  );
}

/** A mail server, new or known. The password of a known one is never shown; an empty field keeps it. */
function EditSender({ of, onClose }: { of?: Sender; onClose: () => void }) {
  const { t } = useTranslation();
  const client = useQueryClient();
  const add = useMutation({
    mutationFn: ({ name = "", host = "", port = "", tls = "", user = "", password = "", per_second = "", connections = "", domains = "" }: Record<string, string>) => {
      const body = {
        name, host: host.trim(), domains: domains.split(/[\s,]+/).filter(Boolean), ...(port && { port: Number(port) }), ...(tls && { tls }),
        ...(connections && { connections: Number(connections) }), ...(user && { user }), ...(password && { password }),
        // What was emptied of a known one is taken away.
        ...(per_second ? { per_second: Number(per_second) } : of && { per_second: null }), ...(of && !user && { user: null, password: null }),
      };
      return of ? ask(api.PATCH("/api/v1/senders/{id}", { params: { path: { id: of.id } }, body })) : ask(api.POST("/api/v1/senders", { body }));
    },
    onSuccess: async () => {
      await client.invalidateQueries({ queryKey: sendersQuery.queryKey });
      onClose();
    },
  });
  const problem = isProblem(add.error) ? add.error : undefined;
  return (
    <Dialog title={t(of ? "senders.edit" : "senders.new")} onClose={onClose}>
      <form className="stack" onSubmit={(event: FormEvent<HTMLFormElement>) => add.mutate(values(event))}>
        <TextField label={t("senders.name")} name="name" required autoFocus autoComplete="off" defaultValue={of?.name} error={problem?.field("/name")} />
        <div className="grid2">
          <TextField label={t("senders.host")} name="host" required placeholder="smtp.example.com" autoComplete="off" defaultValue={of?.host} error={problem?.field("/host")} />
          <TextField label={t("senders.port")} name="port" type="number" min={1} max={65535} placeholder="587" defaultValue={of?.port} error={problem?.field("/port")} />
          <SelectField label={t("senders.tls")} name="tls" defaultValue={of?.tls ?? ""} error={problem?.field("/tls")}>
            <option value="">{t("senders.tlsUsual")}</option>
            {(["required", "implicit", "opportunistic", "none"] as const).map((one) => <option key={one} value={one}>{t(`tls.${one}`)}</option>)}
          </SelectField>
          <TextField label={t("senders.rate")} name="per_second" type="number" min={0} step="any" hint={t("common.optional")} defaultValue={of?.per_second ?? ""} error={problem?.field("/per_second")} />
          <TextField label={t("senders.connectionsMost")} name="connections" type="number" min={1} max={64} placeholder="4" defaultValue={of?.connections} error={problem?.field("/connections")} />
          <TextField label={t("senders.user")} name="user" autoComplete="off" defaultValue={of?.user ?? ""} error={problem?.field("/user")} />
          <TextField label={t("door.password")} name="password" type="password" autoComplete="new-password" hint={of?.authenticated ? t("senders.passwordKept") : ""} error={problem?.field("/password")} />
        </div>
        <TextField label={t("senders.for")} name="domains" autoComplete="off" placeholder="example.com" defaultValue={of?.domains.join(", ")} hint={t("senders.forHint")}
          error={problem?.fields.filter((field) => field.pointer.startsWith("/domains")).map((field) => field.detail).join("; ") || undefined} />
        {problem?.fields.length ? null : <ErrorNote error={add.error} />}
        <div className="foot row"><Button onClick={onClose}>{t("common.cancel")}</Button><Button kind="primary" type="submit" busy={add.isPending}>{t(of ? "common.save" : "senders.new")}</Button></div>
      </form>
    </Dialog>
  );
}
