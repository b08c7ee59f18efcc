import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState, type FormEvent } from "react";
import { useTranslation } from "react-i18next";
import { api, ask } from "../api/client";
import { campaignQuery } from "../api/queries";
import { sessionQuery } from "../api/session";
import { Button, Check, Dialog, ErrorNote, Loading, TextField, useToast, useTold } from "../ui/kit";
import { values } from "./door";
import type { Draft } from "./editor";

type Ready = () => Promise<boolean>;

/** Fails where something of the draft is not saved: what is checked and sent is what is seen. */
async function savedFirst(ready: Ready, why: string) {
  if (!(await ready())) throw new Unsaved(why);
}
class Unsaved extends Error {}

function Trouble({ error, retry }: { error: unknown; retry?: () => void }) {
  if (error instanceof Unsaved) return <div className="note error" role="alert">{error.message}</div>;
  return <ErrorNote error={error} {...(retry && { retry })} />;
}

const MARKS = { ok: "✓", warning: "!", error: "✕" } as const;

/** Looks at everything once more, and starts. */
export function StartDialog({ id, draft, ready, onClose }: { id: string; draft: Draft; ready: Ready; onClose: () => void }) {
  const { t } = useTranslation();
  const client = useQueryClient();
  const toast = useToast();
  const told = useTold();
  const [accepted, setAccepted] = useState(false);
  const [key] = useState(() => crypto.randomUUID());
  const preflight = useQuery({
    queryKey: ["campaigns", id, "preflight"],
    queryFn: async () => {
      await savedFirst(ready, t("start.unsaved"));
      return ask(api.POST("/api/v1/campaigns/{id}/preflight", { params: { path: { id } } }));
    },
    gcTime: 0,
    staleTime: 0,
    retry: false,
    refetchOnWindowFocus: false,
  });
  const start = useMutation({
    mutationFn: async () => {
      await savedFirst(ready, t("start.unsaved"));
      const headers = { "Idempotency-Key": key };
      return ask(api.POST("/api/v1/campaigns/{id}/start", { params: { path: { id } }, headers, body: { accept_warnings: accepted } }));
    },
    onSuccess: async (campaign) => {
      toast(t(campaign.status === "scheduled" ? "start.scheduled" : "start.started", { name: campaign.name }));
      await client.invalidateQueries({ queryKey: campaignQuery(id).queryKey });
    },
  });
  const checks = preflight.data?.checks ?? [];
  const of = (level: "error" | "warning") => checks.filter((check) => check.level === level);
  const warnings = of("warning").length;
  const sorted = [...of("error"), ...of("warning"), ...checks.filter((check) => check.level === "ok")];
  const blocked = !preflight.data?.ok || (warnings > 0 && !accepted) || preflight.isFetching;
  return (
    <Dialog title={t("start.title", { name: draft.name })} onClose={onClose} foot={
      <>
        <Button onClick={onClose}>{t("common.cancel")}</Button>
        <Button onClick={() => void preflight.refetch()} busy={preflight.isFetching}>{t("start.again")}</Button>
        <Button kind="primary" disabled={blocked} busy={start.isPending} onClick={() => start.mutate()}>
          {draft.schedule ? t("start.schedule") : t("start.now")}
        </Button>
      </>
    }>
      <Trouble error={preflight.error} retry={() => void preflight.refetch()} />
      {preflight.isPending && !preflight.error && <Loading />}
      {preflight.data && (
        <>
          <div className={`note ${of("error").length ? "error" : warnings ? "warning" : "good"}`} role="status">
            {of("error").length ? t("start.blocked", { count: of("error").length }) : warnings ? t("start.warned", { count: warnings }) : t("start.fine")}
          </div>
          <ul className="plain checks">
            {sorted.map((check) => (
              <li key={check.name + check.detail}>
                <span className={`mark ${check.level}`} title={t(`start.levels.${check.level}`)} role="img" aria-label={t(`start.levels.${check.level}`)}>{MARKS[check.level]}</span>
                <span className="break"><strong>{t(`start.checks.${check.name}` as "start.checks.content", { defaultValue: check.name })}</strong>: {told(check.detail)}</span>
              </li>
            ))}
          </ul>
          {preflight.data.ok && warnings > 0 && (
            <Check label={t("start.accept", { count: warnings })} checked={accepted} onChange={(event) => setAccepted(event.target.checked)} />
          )}
          <p className="small muted">{t(draft.schedule ? "start.scheduleText" : "start.nowText")}</p>
        </>
      )}
      <Trouble error={start.error} />
    </Dialog>
  );
}

export function TestDialog({ id, ready, onClose }: { id: string; ready: Ready; onClose: () => void }) {
  const { t } = useTranslation();
  const { data: session } = useQuery(sessionQuery);
  const toast = useToast();
  const send = useMutation({
    mutationFn: async (to: string[]) => {
      await savedFirst(ready, t("start.unsaved"));
      return ask(api.POST("/api/v1/campaigns/{id}/test", { params: { path: { id } }, body: { to } }));
    },
    onSuccess: (_, to) => {
      toast(t("test.sent", { to: to.join(", ") }));
      onClose();
    },
  });
  const submit = (event: FormEvent<HTMLFormElement>) =>
    send.mutate((values(event).to ?? "").split(/[\s,;]+/).filter(Boolean));
  return (
    <Dialog title={t("test.title")} onClose={onClose}>
      <form className="stack" onSubmit={submit}>
        <TextField label={t("test.to")} name="to" required defaultValue={session?.user.email ?? ""} hint={t("test.hint")} autoFocus />
        <Trouble error={send.error} />
        <div className="foot row">
          <Button onClick={onClose}>{t("common.cancel")}</Button>
          <Button kind="primary" type="submit" busy={send.isPending}>{t("test.send")}</Button>
        </div>
      </form>
    </Dialog>
  );
}
