import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState, type FormEvent } from "react";
import { useTranslation } from "react-i18next";
import { api, ask, type Schemas } from "../../api/client";
import { isProblem } from "../../api/problem";
import { providerQuery, sessionQuery, switchTo } from "../../api/session";
import { browserOf } from "../../lib/agent";
import { Ago, Badge, Button, Confirm, Copy, Dialog, ErrorNote, Ready, TextField, useToast } from "../../ui/kit";
import { QrCode } from "../../ui/qr";
import { values } from "../door";
import { updateUser } from "./people";

type SignIn = Schemas["identity.SignIn"];
type Link = Schemas["identity.Link"];

/** What is one's own: name, password, second factor, and where one is signed in. */
export function Account() {
  return (
    <div className="columns">
      <div className="stack wide"><You /><Password /><OtherWays /></div>
      <div className="stack wide"><SecondFactor /><SignIns /></div>
    </div>
  );
}

function You() {
  const { t } = useTranslation();
  const client = useQueryClient();
  const toast = useToast();
  const { data: session } = useQuery(sessionQuery);
  const name = useMutation({
    mutationFn: (given: Record<string, string>) => updateUser(session?.user.id ?? "", { name: given.name ?? "" }),
    onSuccess: async () => {
      toast(t("common.saved"));
      await client.invalidateQueries({ queryKey: sessionQuery.queryKey });
    },
  });
  const verify = useMutation({
    mutationFn: () => ask(api.POST("/api/v1/email/verification")),
    onSuccess: () => toast(t("account.verifySent", { email: session?.user.email ?? "" })),
  });
  const user = session?.user;
  return (
    <section className="card stack">
      <h2>{t("account.you")}</h2>
      <form className="stack" onSubmit={(event: FormEvent<HTMLFormElement>) => name.mutate(values(event))}>
        <TextField key={user?.name} label={t("door.name")} name="name" required maxLength={200} defaultValue={user?.name} />
        <ErrorNote error={name.error} />
        <div><Button kind="primary" type="submit" busy={name.isPending}>{t("common.save")}</Button></div>
      </form>
      <div className="row">
        <span className="break">{user?.email}</span>
        <Badge tone={user?.email_verified ? "good" : "warn"}>{t(user?.email_verified ? "account.verified" : "account.unverified")}</Badge>
        {user && <span className="muted small">{t(`roles.${user.role}`)}</span>}
      </div>
      {user && !user.email_verified && (
        <div className="row apart"><span className="small muted grow">{t("account.verifyText")}</span><Button small busy={verify.isPending} onClick={() => verify.mutate()}>{t("account.verifyAgain")}</Button></div>
      )}
      <ErrorNote error={verify.error} />
    </section>
  );
}

function Password() {
  const { t } = useTranslation();
  const client = useQueryClient();
  const toast = useToast();
  const { data: session } = useQuery(sessionQuery);
  const password = useMutation({
    mutationFn: (given: Record<string, string>) => updateUser(session?.user.id ?? "", { password: given.password ?? "", current_password: given.current ?? "" }),
    onSuccess: async () => {
      toast(t("account.changed"));
      // It ended every sign-in, this one too.
      await client.invalidateQueries();
    },
  });
  const wrong = isProblem(password.error) ? password.error : undefined;
  return (
    <form className="card stack" onSubmit={(event: FormEvent<HTMLFormElement>) => password.mutate(values(event))}>
      <h2>{t("account.password")}</h2>
      <p className="muted small">{t("account.passwordText")}</p>
      <TextField label={t("account.current")} name="current" type="password" required autoComplete="current-password" error={wrong?.field("/current_password")} />
      <TextField label={t("account.next")} name="password" type="password" required minLength={8} autoComplete="new-password" hint={t("door.passwordHint")} error={wrong?.field("/password")} />
      {wrong?.fields.length ? null : <ErrorNote error={password.error} />}
      <div><Button kind="primary" type="submit" busy={password.isPending}>{t("account.change")}</Button></div>
    </form>
  );
}

const linksQuery = {
  queryKey: ["links"],
  queryFn: async ({ signal }: { signal: AbortSignal }) => (await ask(api.GET("/api/v1/oidc/links", { signal }))).items,
};

/** What another provider knows one by, where there is one. */
function OtherWays() {
  const { t } = useTranslation();
  const client = useQueryClient();
  const toast = useToast();
  const { data: provider } = useQuery(providerQuery);
  const enabled = provider?.enabled ?? false;
  const links = useQuery({ ...linksQuery, enabled });
  const [removing, setRemoving] = useState<Link | null>(null);
  const link = useMutation({
    mutationFn: () => ask(api.POST("/api/v1/oidc/links", { body: { return_to: "/settings" } })),
    onSuccess: ({ authorization_url }) => location.assign(authorization_url),
  });
  const unlink = useMutation({
    mutationFn: ({ id }: Link) => ask(api.DELETE("/api/v1/oidc/links/{id}", { params: { path: { id } } })),
    onSuccess: async () => {
      setRemoving(null);
      toast(t("links.removed"));
      await client.invalidateQueries({ queryKey: linksQuery.queryKey });
    },
  });
  if (!enabled) return null;
  const name = provider?.name ?? "";
  return (
    <section className="card stack" aria-label={t("links.title")}>
      <h2>{t("links.title")}</h2>
      <p className="muted small">{t("links.text", { name })}</p>
      <ErrorNote error={link.error} />
      <Ready of={links}>
        {(items) => (
          <ul className="plain rows">{items.map((one) => (
            <li key={one.id} className="row apart">
              <div className="grow">
                <strong className="break">{one.email ?? name}</strong>
                <div className="small muted break">{one.issuer} · {t("lists.since")} <Ago at={one.created_at} /></div>
              </div>
              <Button small kind="quiet" onClick={() => { unlink.reset(); setRemoving(one); }}>{t("links.remove")}</Button>
            </li>
          ))}</ul>
        )}
      </Ready>
      <div><Button busy={link.isPending || link.isSuccess} onClick={() => link.mutate()}>{t("links.add", { name })}</Button></div>
      {removing && (
        <Confirm title={t("links.removeTitle")} action={t("links.remove")} busy={unlink.isPending} error={unlink.error}
          onConfirm={() => unlink.mutate(removing)} onClose={() => setRemoving(null)}><p>{t("links.removeText", { name })}</p></Confirm>
      )}
    </section>
  );
}

const factorQuery = {
  queryKey: ["second-factor"],
  queryFn: ({ signal }: { signal: AbortSignal }) => ask(api.GET("/api/v1/second-factor", { signal })),
};

function SecondFactor() {
  const { t } = useTranslation();
  const factor = useQuery(factorQuery);
  const [open, setOpen] = useState<"begin" | "end" | null>(null);
  return (
    <section className="card stack" aria-label={t("factor.title")}>
      <h2>{t("factor.title")}</h2>
      <Ready of={factor}>
        {({ enabled, confirmed_at, recovery_codes_left: left }) => enabled ? (
          <>
            <div className="row"><Badge tone="good">{t("factor.on")}</Badge>{confirmed_at && <span className="small muted">{t("lists.since")} <Ago at={confirmed_at} /></span>}</div>
            <p className={left < 3 ? "note warning" : "small muted"}>{t("factor.left", { count: left })}</p>
            <div><Button kind="danger" onClick={() => setOpen("end")}>{t("factor.remove")}</Button></div>
          </>
        ) : (
          <>
            <p className="muted">{t("factor.text")}</p>
            <div><Button kind="primary" onClick={() => setOpen("begin")}>{t("factor.begin")}</Button></div>
          </>
        )}
      </Ready>
      {open === "begin" && <Enrol onClose={() => setOpen(null)} />}
      {open === "end" && <Remove onClose={() => setOpen(null)} />}
    </section>
  );
}

/** What stands in the place of every screen while the workspace demands a second factor and there is none. */
export function FactorNeeded() {
  const { t } = useTranslation();
  const client = useQueryClient();
  const { data: session } = useQuery(sessionQuery);
  const [open, setOpen] = useState(false);
  // What one may do now is of a new session.
  const go = useMutation({ mutationFn: () => switchTo(client, session?.workspace.id ?? "") });
  return (
    <section className="card stack" style={{ maxInlineSize: 520 }}>
      <h1>{t("factor.needed")}</h1>
      <p>{t("factor.neededText", { workspace: session?.workspace.name ?? "" })}</p>
      <ErrorNote error={go.error} />
      <div><Button kind="primary" busy={go.isPending} onClick={() => setOpen(true)}>{t("factor.begin")}</Button></div>
      {open && <Enrol onClose={() => setOpen(false)} onDone={() => go.mutate()} />}
    </section>
  );
}

/** Password, then the code of the app, then the recovery codes. */
function Enrol({ onClose, onDone = onClose }: { onClose: () => void; onDone?: () => void }) {
  const { t } = useTranslation();
  const client = useQueryClient();
  // Whom the provider vouches for may have none.
  const { data: provider } = useQuery(providerQuery);
  const begin = useMutation({
    mutationFn: ({ current }: Record<string, string>) => ask(api.POST("/api/v1/second-factor", { body: current ? { current_password: current } : {} })),
  });
  const confirm = useMutation({
    mutationFn: ({ code = "" }: Record<string, string>) => ask(api.POST("/api/v1/second-factor/confirm", { body: { code: code.replaceAll(" ", "") } })),
    onSuccess: () => client.invalidateQueries({ queryKey: factorQuery.queryKey }),
  });
  if (confirm.data) return <RecoveryCodes codes={confirm.data.recovery_codes} onClose={onDone} />;
  if (begin.data) {
    const { secret, otpauth_uri } = begin.data;
    return (
      <Dialog title={t("factor.scan")} onClose={onClose}>
        <form className="stack" onSubmit={(event: FormEvent<HTMLFormElement>) => confirm.mutate(values(event))}>
          <p>{t("factor.scanText")}</p>
          <QrCode text={otpauth_uri} label={t("factor.qr")} />
          <div className="stack tight"><span className="small muted">{t("factor.type")}</span><div className="row keep"><code className="note break grow" data-testid="secret">{secret.match(/.{1,4}/g)?.join(" ")}</code><Copy text={secret} label={t("common.copy")} /></div></div>
          <TextField label={t("factor.code")} name="code" required autoFocus inputMode="numeric" autoComplete="one-time-code"
            error={isProblem(confirm.error, "code_wrong") ? t("factor.codeWrong") : undefined} />
          {isProblem(confirm.error, "code_wrong") ? null : <ErrorNote error={confirm.error} />}
          <div className="foot row"><Button onClick={onClose}>{t("common.cancel")}</Button><Button kind="primary" type="submit" busy={confirm.isPending}>{t("factor.confirm")}</Button></div>
        </form>
      </Dialog>
    );
  }
  return <PasswordFirst title={t("factor.begin")} text={t("factor.first")} optional={provider?.enabled} action={t("common.next")} error={begin.error} busy={begin.isPending} onGiven={begin.mutate} onClose={onClose} />;
}

function PasswordFirst({ title, text, action, danger, optional, error, busy, onGiven, onClose }: {
  title: string; text: string; action: string; danger?: boolean; optional?: boolean; error: unknown; busy: boolean; onGiven: (given: Record<string, string>) => void; onClose: () => void;
}) {
  const { t } = useTranslation();
  const problem = isProblem(error) ? error : undefined;
  return (
    <Dialog title={title} onClose={onClose}>
      <form className="stack" onSubmit={(event: FormEvent<HTMLFormElement>) => onGiven(values(event))}>
        <p>{text}</p>
        <TextField label={t("account.current")} name="current" type="password" required={!optional} hint={optional ? t("factor.noPassword") : undefined} autoFocus autoComplete="current-password" error={problem?.field("/current_password")} />
        {problem?.fields.length ? null : <ErrorNote error={error} />}
        <div className="foot row"><Button onClick={onClose}>{t("common.cancel")}</Button><Button kind={danger ? "danger primary" : "primary"} type="submit" busy={busy}>{action}</Button></div>
      </form>
    </Dialog>
  );
}

function RecoveryCodes({ codes, onClose }: { codes: string[]; onClose: () => void }) {
  const { t } = useTranslation();
  const text = codes.join("\n");
  return (
    <Dialog title={t("factor.codes")} onClose={onClose} foot={<Button kind="primary" onClick={onClose}>{t("factor.kept")}</Button>}>
      <p>{t("factor.codesText")}</p>
      <ul className="plain note codes" data-testid="recovery-codes">{codes.map((code) => <li key={code}><code>{code}</code></li>)}</ul>
      <div className="row">
        <Copy text={text} label={t("common.copy")} />
        <a className="button small" download="clarion-recovery-codes.txt" href={`data:text/plain;charset=utf-8,${encodeURIComponent(`${text}\n`)}`}>{t("factor.download")}</a>
      </div>
    </Dialog>
  );
}

function Remove({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation();
  const client = useQueryClient();
  const toast = useToast();
  const remove = useMutation({
    mutationFn: ({ current = "" }: Record<string, string>) => ask(api.DELETE("/api/v1/second-factor", { body: { current_password: current } })),
    onSuccess: async () => {
      onClose();
      toast(t("factor.removed"));
      await client.invalidateQueries({ queryKey: factorQuery.queryKey });
    },
  });
  return <PasswordFirst danger title={t("factor.removeTitle")} text={t("factor.removeText")} action={t("factor.remove")} error={remove.error} busy={remove.isPending} onGiven={remove.mutate} onClose={onClose} />;
}

const signInsQuery = {
  queryKey: ["sessions"],
  queryFn: async ({ signal }: { signal: AbortSignal }) => (await ask(api.GET("/api/v1/sessions", { signal }))).items,
};

function SignIns() {
  const { t } = useTranslation();
  const client = useQueryClient();
  const toast = useToast();
  const signIns = useQuery(signInsQuery);
  const [ending, setEnding] = useState(false);
  // What waits for the password: a thief at an open screen shall not lock its owner out.
  const [asking, setAsking] = useState<SignIn | "others" | null>(null);
  const done = async () => {
    setEnding(false);
    setAsking(null);
    await client.invalidateQueries({ queryKey: signInsQuery.queryKey });
  };
  const proof = ({ current }: Record<string, string> = {}) => ({ body: current ? { current_password: current } : {} });
  const unless = (what: SignIn | "others") => (error: unknown) => {
    if (!isProblem(error, "proof_needed")) return undefined;
    setEnding(false);
    setAsking(what);
    return undefined;
  };
  const end = useMutation({
    mutationFn: ({ one, given }: { one: SignIn; given?: Record<string, string> }) => ask(api.DELETE("/api/v1/sessions/{id}", { params: { path: { id: one.id } }, ...proof(given) })),
    onSuccess: done,
    onError: (error, { one }) => unless(one)(error),
  });
  const endOthers = useMutation({
    mutationFn: (given?: Record<string, string>) => ask(api.DELETE("/api/v1/sessions", proof(given))),
    onSuccess: async () => {
      toast(t("signIns.ended"));
      await done();
    },
    onError: unless("others"),
  });
  const unproved = isProblem(end.error, "proof_needed") || isProblem(endOthers.error, "proof_needed");
  return (
    <section className="card stack" aria-label={t("signIns.title")}>
      <div className="row apart"><h2>{t("signIns.title")}</h2>{signIns.data && signIns.data.length > 1 && <Button small onClick={() => setEnding(true)}>{t("signIns.endOthers")}</Button>}</div>
      <p className="small muted">{t("signIns.text")}</p>
      {asking ? null : <ErrorNote error={end.error} />}
      <Ready of={signIns}>
        {(items) => (
          <ul className="plain rows">{items.map((one) => (
            <li key={one.id} className="row apart">
              <div className="grow">
                <div className="row"><strong className="break">{browserOf(one.agent) ?? (one.agent || t(`signIns.kinds.${one.kind}`))}</strong>{one.current && <Badge tone="info">{t("signIns.current")}</Badge>}</div>
                <div className="small muted break">{[one.kind === "tokens" ? t("signIns.kinds.tokens") : "", one.address].filter(Boolean).join(" · ")} · {t("signIns.seen")} <Ago at={one.seen_at} /></div>
              </div>
              {!one.current && <Button small kind="quiet" busy={end.isPending} onClick={() => end.mutate({ one })}>{t("signIns.end")}</Button>}
            </li>
          ))}</ul>
        )}
      </Ready>
      {ending && (
        <Confirm title={t("signIns.endOthersTitle")} action={t("signIns.endOthers")} busy={endOthers.isPending} error={endOthers.error}
          onConfirm={() => endOthers.mutate(undefined)} onClose={() => setEnding(false)}><p>{t("signIns.endOthersText")}</p></Confirm>
      )}
      {asking && (
        <PasswordFirst danger title={t(asking === "others" ? "signIns.endOthers" : "signIns.endOne")} text={t("signIns.proof")} action={t("signIns.end")}
          error={unproved ? null : asking === "others" ? endOthers.error : end.error} busy={end.isPending || endOthers.isPending}
          onGiven={(given) => (asking === "others" ? endOthers.mutate(given) : end.mutate({ one: asking, given }))} onClose={() => setAsking(null)} />
      )}
    </section>
  );
}
