import { useInfiniteQuery, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState, type FormEvent } from "react";
import { useTranslation } from "react-i18next";
import { api, ask, type Schemas } from "../../api/client";
import { isProblem, type ProblemError } from "../../api/problem";
import { given, webhooksQuery } from "../../api/queries";
import { dateTime, isAhead } from "../../lib/format";
import { Ago, Badge, Button, Confirm, Copy, Dialog, Empty, ErrorNote, Ready, SelectField, TextField, useToast, useTold } from "../../ui/kit";
import { values } from "../door";

type Webhook = Schemas["notifications.Webhook"];
const STATES = ["pending", "delivered", "failed"] as const;
const TONES = { pending: "info", delivered: "good", failed: "bad" } as const;
const start = undefined as string | undefined;

export function Webhooks() {
  const { t } = useTranslation();
  const hooks = useQuery(webhooksQuery);
  const [adding, setAdding] = useState(false);
  const make = <Button kind="primary" onClick={() => setAdding(true)}>{t("webhooks.new")}</Button>;
  return (
    <section className="stack">
      <div className="row apart"><p className="muted">{t("webhooks.lead")}</p>{make}</div>
      <Ready of={hooks}>
        {(items) => items.length === 0 ? <div className="card"><Empty title={t("webhooks.none")} action={make}>{t("webhooks.noneText")}</Empty></div>
          : <>{items.map((hook) => <HookCard key={hook.id} hook={hook} />)}</>}
      </Ready>
      {adding && <NewHook onClose={() => setAdding(false)} />}
    </section>
  );
}

function NewHook({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation();
  const client = useQueryClient();
  const add = useMutation({
    mutationFn: ({ url = "", description = "", events = "" }: Record<string, string>) => {
      const wanted = events.split(/[\s,]+/).filter(Boolean);
      return ask(api.POST("/api/v1/webhooks", { body: { url: url.trim(), ...given({ description }), ...(wanted.length && { events: wanted }) } }));
    },
    onSuccess: () => client.invalidateQueries({ queryKey: webhooksQuery.queryKey }),
  });
  const problem = isProblem(add.error) ? add.error : undefined;
  if (add.data) {
    return (
      <Dialog title={t("webhooks.made")} onClose={onClose} foot={<Button kind="primary" onClick={onClose}>{t("keys.done")}</Button>}>
        <p>{t("webhooks.once")}</p>
        <div className="row keep"><code className="note break grow">{add.data.secret}</code><Copy text={add.data.secret} label={t("common.copy")} /></div>
      </Dialog>
    );
  }
  return (
    <Dialog title={t("webhooks.new")} onClose={onClose}>
      <form className="stack" onSubmit={(event: FormEvent<HTMLFormElement>) => add.mutate(values(event))}>
        <HookFields problem={problem} />
        {problem?.fields.length ? null : <ErrorNote error={add.error} />}
        <div className="foot row"><Button onClick={onClose}>{t("common.cancel")}</Button><Button kind="primary" type="submit" busy={add.isPending}>{t("webhooks.new")}</Button></div>
      </form>
    </Dialog>
  );
}

function HookFields({ of, problem }: { of?: Webhook; problem: ProblemError | undefined }) {
  const { t } = useTranslation();
  const wrong = problem?.fields.filter((field) => field.pointer.startsWith("/events")).map((field) => field.detail).join("; ");
  return (
    <>
      <TextField label={t("webhooks.url")} name="url" type="url" required autoFocus placeholder="https://example.com/hook" defaultValue={of?.url} error={problem?.field("/url")} />
      <TextField label={t("webhooks.events")} name="events" placeholder="*" defaultValue={of?.events.join(" ")} hint={t("webhooks.eventsHint")} error={wrong || undefined} />
      <TextField label={t("lists.description")} name="description" defaultValue={of?.description} error={problem?.field("/description")} />
    </>
  );
}

function EditHook({ of, onClose, onSaved }: { of: Webhook; onClose: () => void; onSaved: () => Promise<void> }) {
  const { t } = useTranslation();
  const save = useMutation({
    mutationFn: ({ url = "", description = "", events = "" }: Record<string, string>) => {
      const wanted = events.split(/[\s,]+/).filter(Boolean);
      return ask(api.PATCH("/api/v1/webhooks/{id}", { params: { path: { id: of.id } }, body: { url: url.trim(), description, events: wanted.length ? wanted : ["*"] } }));
    },
    onSuccess: async () => {
      onClose();
      await onSaved();
    },
  });
  const problem = isProblem(save.error) ? save.error : undefined;
  return (
    <Dialog title={t("webhooks.edit")} onClose={onClose}>
      <form className="stack" onSubmit={(event: FormEvent<HTMLFormElement>) => save.mutate(values(event))}>
        <HookFields of={of} problem={problem} />
        {problem?.fields.length ? null : <ErrorNote error={save.error} />}
        <div className="foot row"><Button onClick={onClose}>{t("common.cancel")}</Button><Button kind="primary" type="submit" busy={save.isPending}>{t("common.save")}</Button></div>
      </form>
    </Dialog>
  );
}

function HookCard({ hook }: { hook: Webhook }) {
  const { t } = useTranslation();
  const told = useTold();
  const client = useQueryClient();
  const toast = useToast();
  const [open, setOpen] = useState(false);
  const [deleting, setDeleting] = useState(false);
  const [rotating, setRotating] = useState(false);
  const [editing, setEditing] = useState(false);
  const params = { path: { id: hook.id } };
  const refresh = () => client.invalidateQueries({ queryKey: webhooksQuery.queryKey });
  const test = useMutation({
    mutationFn: () => ask(api.POST("/api/v1/webhooks/{id}/test", { params })),
    onSuccess: async () => {
      setOpen(true);
      await client.invalidateQueries({ queryKey: ["webhooks", hook.id] });
    },
  });
  const enable = useMutation({ mutationFn: (enabled: boolean) => ask(api.PATCH("/api/v1/webhooks/{id}", { params, body: { enabled } })), onSuccess: refresh });
  const remove = useMutation({
    mutationFn: () => ask(api.DELETE("/api/v1/webhooks/{id}", { params })),
    onSuccess: async () => {
      toast(t("webhooks.removed"));
      await refresh();
    },
  });
  return (
    <article className="card stack" aria-label={hook.url}>
      <div className="row apart">
        <div className="row"><h2 className="break">{hook.url}</h2><Badge tone={!hook.enabled ? "" : hook.failing_since ? "bad" : "good"}>{t(!hook.enabled ? "senders.off" : hook.failing_since ? "webhooks.failing" : "senders.on")}</Badge></div>
        <div className="row">
          <Button small kind="quiet" onClick={() => setDeleting(true)}>{t("common.delete")}</Button>
          <Button small busy={enable.isPending} onClick={() => enable.mutate(!hook.enabled)}>{t(hook.enabled ? "senders.disable" : "senders.enable")}</Button>
          <Button small busy={test.isPending} onClick={() => test.mutate()}>{t("webhooks.test")}</Button>
          <Button small onClick={() => setEditing(true)}>{t("common.edit")}</Button>
          <Button small onClick={() => setRotating(true)}>{t("webhooks.rotate")}</Button>
          <Button small aria-expanded={open} onClick={() => setOpen(!open)}>{t("webhooks.deliveries")}</Button>
        </div>
      </div>
      <p className="small muted">{hook.description && <>{hook.description} · </>}{hook.events.join(", ")}</p>
      {hook.old_secret_until && isAhead(hook.old_secret_until) && <p className="small muted">{t("webhooks.oldSecret", { at: dateTime(hook.old_secret_until) })}</p>}
      {hook.disabled_reason && <div className="note warning">{told(hook.disabled_reason)}</div>}
      {hook.failing_since && hook.enabled && <div className="note warning">{t("webhooks.failingSince")} <Ago at={hook.failing_since} /></div>}
      <ErrorNote error={test.error ?? enable.error} />
      {open && <HookDeliveries id={hook.id} />}
      {editing && <EditHook of={hook} onClose={() => setEditing(false)} onSaved={refresh} />}
      {rotating && <Rotate hook={hook} onClose={() => setRotating(false)} onDone={refresh} />}
      {deleting && (
        <Confirm title={t("webhooks.deleteTitle")} name={hook.url} action={t("common.delete")} busy={remove.isPending} error={remove.error}
          onConfirm={() => remove.mutate()} onClose={() => setDeleting(false)}><p>{t("webhooks.deleteText")}</p></Confirm>
      )}
    </article>
  );
}

/** A new secret; the old one signs along for a while, so that nothing is refused meanwhile. */
function Rotate({ hook, onClose, onDone }: { hook: Webhook; onClose: () => void; onDone: () => void }) {
  const { t } = useTranslation();
  const rotate = useMutation({
    mutationFn: () => ask(api.POST("/api/v1/webhooks/{id}/rotate-secret", { params: { path: { id: hook.id } } })),
    onSuccess: onDone,
  });
  if (rotate.data) {
    const until = rotate.data.old_secret_until;
    return (
      <Dialog title={t("webhooks.made")} onClose={onClose} foot={<Button kind="primary" onClick={onClose}>{t("keys.done")}</Button>}>
        <p>{t("webhooks.once")} {until && t("webhooks.oldSecret", { at: dateTime(until) })}</p>
        <div className="row keep"><code className="note break grow" data-testid="secret">{rotate.data.secret}</code><Copy text={rotate.data.secret} label={t("common.copy")} /></div>
      </Dialog>
    );
  }
  return (
    <Confirm title={t("webhooks.rotateTitle")} action={t("webhooks.rotate")} busy={rotate.isPending} error={rotate.error} onConfirm={() => rotate.mutate()} onClose={onClose}>
      <p className="break">{hook.url}</p><p>{t("webhooks.rotateText")}</p>
    </Confirm>
  );
}

function HookDeliveries({ id }: { id: string }) {
  const { t } = useTranslation();
  const client = useQueryClient();
  const [state, setState] = useState<(typeof STATES)[number] | undefined>();
  const pages = useInfiniteQuery({
    queryKey: ["webhooks", id, "deliveries", { state }],
    queryFn: ({ pageParam, signal }) =>
      ask(api.GET("/api/v1/webhooks/{id}/deliveries", { params: { path: { id }, query: given({ state, limit: 20, cursor: pageParam }) }, signal })),
    initialPageParam: start,
    getNextPageParam: (page) => page.next_cursor ?? undefined,
    refetchInterval: 5_000,
  });
  const again = useMutation({
    mutationFn: (delivery: string) => ask(api.POST("/api/v1/webhooks/{id}/deliveries/{delivery}/redeliver", { params: { path: { id, delivery } } })),
    onSuccess: () => client.invalidateQueries({ queryKey: ["webhooks", id] }),
  });
  const items = pages.data?.pages.flatMap((page) => page.items);
  return (
    <div className="stack">
      <SelectField label={t("webhooks.state")} value={state ?? ""} onChange={(event) => setState(STATES.find((one) => one === event.target.value))}>
        <option value="">{t("leads.any")}</option>
        {STATES.map((one) => <option key={one} value={one}>{t(`hookStates.${one}`)}</option>)}
      </SelectField>
      <ErrorNote error={again.error} />
      <Ready of={{ ...pages, data: items }}>
        {(rows) => rows.length === 0 ? <p className="muted">{t("webhooks.noDeliveries")}</p> : (
          <div className="scroll"><table>
            <thead><tr><th scope="col">{t("webhooks.event")}</th><th scope="col">{t("webhooks.state")}</th><th scope="col">{t("webhooks.answer")}</th><th scope="col" className="end">{t("deliveries.when")}</th><th scope="col"><span className="visually-hidden">{t("common.actions")}</span></th></tr></thead>
            <tbody>{rows.map((row) => (
              <tr key={row.id}>
                <td><code>{row.event_type}</code></td>
                <td><Badge tone={TONES[row.state as keyof typeof TONES] ?? ""}>{t(`hookStates.${row.state as "pending"}`)}</Badge></td>
                <td className="small muted break">{[row.status, row.problem].filter(Boolean).join(" · ")}</td>
                <td className="end muted nowrap"><Ago at={row.last_attempt_at ?? row.created_at} /></td>
                <td className="end">{row.state !== "pending" && <Button small kind="quiet" busy={again.isPending} onClick={() => again.mutate(row.id)}>{t("webhooks.again")}</Button>}</td>
              </tr>
            ))}</tbody>
          </table></div>
        )}
      </Ready>
      {pages.hasNextPage && <Button small onClick={() => void pages.fetchNextPage()}>{t("common.more")}</Button>}
    </div>
  );
}
