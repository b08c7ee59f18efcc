import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useRouter, useSearch } from "@tanstack/react-router";
import { useEffect, useState, type FormEvent, type ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { api, ask } from "../api/client";
import { isProblem } from "../api/problem";
import { providerQuery, signIn, signUp } from "../api/session";
import { Button, ErrorNote, TextField } from "../ui/kit";
import { Brand } from "../ui/brand";

function Door({ title, children }: { title: string; children: ReactNode }) {
  useEffect(() => {
    document.title = `${title} · Clarion`;
  }, [title]);
  return (
    <main className="door" style={{ maxInlineSize: "none" }}>
      <div className="card stack wide">
        <Brand />
        <h1>{title}</h1>
        {children}
      </div>
    </main>
  );
}

/** What a form of fields by name holds. */
export function values(event: FormEvent<HTMLFormElement>): Record<string, string> {
  event.preventDefault();
  return Object.fromEntries([...new FormData(event.currentTarget)].map(([name, value]) => [name, String(value)]));
}

/** The form alone; it also stands over a page whose session ended. */
export function SignInForm({ email, onDone }: { email?: string; onDone: () => void }) {
  const { t } = useTranslation();
  const client = useQueryClient();
  const [error, setError] = useState<unknown>();
  const [busy, setBusy] = useState(false);
  const wrong = isProblem(error, "wrong_credentials");
  const wrongCode = isProblem(error, "code_wrong");
  // Asked for once the password was right; it stays while the code is mistyped.
  const [needsCode, setNeedsCode] = useState(false);
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    const given = values(event);
    setBusy(true);
    setError(undefined);
    try {
      await signIn(client, given.email ?? "", given.password ?? "", given.code);
      onDone();
    } catch (failure) {
      const asked = isProblem(failure, "code_needed");
      if (asked) setNeedsCode(true);
      setError(asked ? undefined : failure);
      setBusy(false);
    }
  };
  return (
    <form className="stack" onSubmit={submit}>
      {wrong || wrongCode
        ? <div className="note error" role="alert">{t(wrong ? "door.wrong" : "door.codeWrong")}</div>
        : <ErrorNote error={error} />}
      <TextField label={t("door.email")} name="email" type="email" autoComplete="username" required
        defaultValue={email} readOnly={email !== undefined} autoFocus={email === undefined} />
      <TextField label={t("door.password")} name="password" type="password" autoComplete="current-password" required
        autoFocus={email !== undefined} />
      {needsCode && <TextField label={t("door.code")} name="code" autoComplete="one-time-code" required autoFocus />}
      <Button kind="primary" type="submit" busy={busy}>{t("door.signIn")}</Button>
    </form>
  );
}

/** Away to whoever else vouches for people here, and back to where they wanted to be. */
function Elsewhere({ next }: { next: string | undefined }) {
  const { t } = useTranslation();
  const provider = useQuery(providerQuery).data;
  if (!provider?.enabled) return null;
  return (
    <a className="button" href={`/api/v1/oidc/start?return_to=${encodeURIComponent(next ?? "/")}`}>
      {t("door.signInWith", { name: provider.name })}
    </a>
  );
}

export function SignIn() {
  const { t } = useTranslation();
  const { next } = useSearch({ from: "/sign-in" });
  const router = useRouter();
  return (
    <Door title={t("door.signInTitle")}>
      <SignInForm onDone={() => router.history.push(next ?? "/")} />
      <Elsewhere next={next} />
      <p className="small row apart"><span>{t("door.new")} <Link to="/sign-up">{t("door.signUp")}</Link></span><Link to="/forgot">{t("door.forgot")}</Link></p>
    </Door>
  );
}

/** Asks for a mail with a link to a new password. Whether anybody has the address is not told. */
export function Forgot() {
  const { t } = useTranslation();
  const [sent, setSent] = useState<string | null>(null);
  const [error, setError] = useState<unknown>();
  const [busy, setBusy] = useState(false);
  const problem = isProblem(error) ? error : undefined;
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    const { email = "" } = values(event);
    setBusy(true);
    setError(undefined);
    try {
      await ask(api.POST("/api/v1/password/forgot", { body: { email } }));
      setSent(email);
    } catch (failure) {
      setError(failure);
    }
    setBusy(false);
  };
  return (
    <Door title={t("door.forgotTitle")}>
      {sent === null ? (
        <form className="stack" onSubmit={submit}>
          <p className="muted">{t("door.forgotText")}</p>
          {problem?.fields.length ? null : <ErrorNote error={error} />}
          <TextField label={t("door.email")} name="email" type="email" autoComplete="username" required autoFocus error={problem?.field("/email")} />
          <Button kind="primary" type="submit" busy={busy}>{t("door.forgotSend")}</Button>
        </form>
      ) : <div className="note good" role="status">{t("door.forgotSent", { email: sent })}</div>}
      <p className="small"><Link to="/sign-in">{t("door.back")}</Link></p>
    </Door>
  );
}

export function SignUp() {
  const { t } = useTranslation();
  const client = useQueryClient();
  const navigate = useNavigate();
  const [error, setError] = useState<unknown>();
  const [busy, setBusy] = useState(false);
  const problem = isProblem(error) ? error : undefined;
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    const { name = "", workspace = "", email = "", password = "" } = values(event);
    setBusy(true);
    setError(undefined);
    try {
      await signUp(client, { name, workspace, email, password });
      await navigate({ to: "/" });
    } catch (failure) {
      setError(failure);
      setBusy(false);
    }
  };
  return (
    <Door title={t("door.signUpTitle")}>
      <form className="stack" onSubmit={submit}>
        {problem?.fields.length ? null : <ErrorNote error={error} />}
        <TextField label={t("door.name")} name="name" autoComplete="name" required maxLength={200} autoFocus
          error={problem?.field("/name")} />
        <TextField label={t("door.workspace")} name="workspace" autoComplete="organization" maxLength={200}
          hint={t("door.workspaceHint")} error={problem?.field("/workspace/name")} />
        <TextField label={t("door.email")} name="email" type="email" autoComplete="username" required
          error={problem?.field("/email")} />
        <TextField label={t("door.password")} name="password" type="password" autoComplete="new-password" required
          minLength={8} hint={t("door.passwordHint")} error={problem?.field("/password")} />
        <Button kind="primary" type="submit" busy={busy}>{t("door.create")}</Button>
      </form>
      <p className="small">{t("door.known")} <Link to="/sign-in">{t("door.signIn")}</Link></p>
    </Door>
  );
}
