import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, Outlet, useLocation, useNavigate } from "@tanstack/react-router";
import { lazy, Suspense, useEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { api, ask, onExpired } from "../api/client";
import { isProblem } from "../api/problem";
import { askSession, sessionQuery, signOut, switchTo, type Session } from "../api/session";
import { LANGUAGES, setLanguage } from "../i18n";
import { hasUnsaved } from "../lib/autosave";
import { applyTheme, storedTheme, type Theme } from "../lib/theme";
import { Brand } from "../ui/brand";
import { Button, Confirm, Dialog, Loading, useSay, useToast } from "../ui/kit";
import { SignInForm } from "./door";

const Palette = lazy(() => import("./palette").then((module) => ({ default: module.Palette })));
const MAC = /Mac|iPhone|iPad/.test(navigator.userAgent);
const FactorNeeded = lazy(() => import("./settings/account").then(({ FactorNeeded: needed }) => ({ default: needed })));

const GROUPS = [
  ["", [["/", "overview"]]],
  ["send", [["/campaigns", "campaigns"], ["/templates", "templates"]]],
  ["people", [["/leads", "leads"], ["/lists", "lists"], ["/forms", "forms"], ["/segments", "segments"], ["/suppressions", "suppressions"]]],
  ["know", [["/analytics", "analytics"], ["/deliveries", "deliveries"]]],
  ["run", [["/settings", "settings"]]],
] as const;

export function Shell() {
  const { t } = useTranslation();
  const [open, setOpen] = useState(false);
  const [jumping, setJumping] = useState(false);
  const { pathname } = useLocation();
  const { data: session } = useQuery(sessionQuery);
  // Nothing else can be done here before.
  const held = session?.second_factor_needed === true;
  useEffect(() => {
    const key = (event: KeyboardEvent) => {
      if (event.key.toLowerCase() !== "k" || !(event.ctrlKey || event.metaKey) || event.altKey || event.shiftKey) return;
      event.preventDefault();
      // Not over another dialog, whose text would be lost sight of.
      if (!document.querySelector("dialog[open]")) setJumping(true);
    };
    addEventListener("keydown", key);
    return () => removeEventListener("keydown", key);
  }, []);
  const main = useRef<HTMLElement>(null);
  const first = useRef(true);
  // A new screen begins at its top, for eyes and for screen readers.
  useEffect(() => {
    setOpen(false);
    if (first.current) first.current = false;
    else main.current?.focus({ preventScroll: true });
  }, [pathname]);
  return (
    <div className="shell">
      <a className="skip" href="#main" onClick={(event) => { event.preventDefault(); main.current?.focus(); }}>{t("shell.skip")}</a>
      <div className="topbar">
        <Link to="/" className="brand"><Brand /></Link>
        <Button small aria-expanded={open} aria-controls="side" onClick={() => setOpen(!open)}>{t("shell.menu")}</Button>
      </div>
      <div id="side" className={open ? "side open" : "side"} onKeyDown={(event) => event.key === "Escape" && setOpen(false)}>
        <Link to="/" className="brand"><Brand /></Link>
        {!held && (
          <button type="button" className="button jump" onClick={() => { setOpen(false); setJumping(true); }}>
            <span>{t("palette.title")}</span><kbd>{MAC ? "⌘K" : t("palette.keys")}</kbd>
          </button>
        )}
        <nav aria-label={t("shell.nav")}>
          {!held && GROUPS.map(([group, links]) => (
            <div key={group}>
              {group && <div className="group">{t(`shell.groups.${group}`)}</div>}
              <ul className="plain">
                {links.map(([to, name]) => (
                  <li key={to}>
                    <Link to={to} activeOptions={{ exact: to === "/" }} activeProps={{ className: "active" }}>{t(`shell.${name}`)}</Link>
                  </li>
                ))}
              </ul>
            </div>
          ))}
        </nav>
        <Me />
      </div>
      <main id="main" tabIndex={-1} ref={main}>{held ? <Suspense fallback={<Loading />}><FactorNeeded /></Suspense> : <Outlet />}</main>
      {jumping && !held && <Suspense><Palette onClose={() => setJumping(false)} /></Suspense>}
      <Expired />
    </div>
  );
}

function Me() {
  const { t, i18n } = useTranslation();
  const { data: session } = useQuery(sessionQuery);
  const client = useQueryClient();
  const navigate = useNavigate();
  const toast = useToast();
  const say = useSay();
  const [theme, setTheme] = useState<Theme>(storedTheme);
  const [leaving, setLeaving] = useState(false);
  const leave = async () => {
    setLeaving(false);
    try {
      await signOut(client);
    } catch (error) {
      toast(isProblem(error) && error.status === 0 ? t("shell.notEnded") : say(error));
    }
    if (client.getQueryData(sessionQuery.queryKey) === null) await navigate({ to: "/sign-in" });
  };
  return (
    <div className="foot">
      <div className="small">
        <Workspaces />
        <div className="truncate muted">{session?.user.email}</div>
      </div>
      <div className="row keep">
        <select className="input" aria-label={t("shell.theme")} value={theme} onChange={(event) => {
          const chosen = event.target.value as Theme;
          setTheme(chosen);
          applyTheme(chosen);
        }}>
          <option value="system">{t("shell.themes.system")}</option>
          <option value="light">{t("shell.themes.light")}</option>
          <option value="dark">{t("shell.themes.dark")}</option>
        </select>
        <select className="input" aria-label={t("shell.language")} value={i18n.resolvedLanguage}
          onChange={(event) => void setLanguage(event.target.value)}>
          {LANGUAGES.map(([code, name]) => <option key={code} value={code}>{name}</option>)}
        </select>
      </div>
      <Button small onClick={() => (hasUnsaved() ? setLeaving(true) : void leave())}>{t("shell.signOut")}</Button>
      {leaving && (
        <Confirm title={t("shell.leaveTitle")} action={t("shell.signOut")} onConfirm={() => void leave()} onClose={() => setLeaving(false)}><p>{t("shell.leaveText")}</p></Confirm>
      )}
    </div>
  );
}

/** Where one is; who belongs to several workspaces goes to another here. */
function Workspaces() {
  const { t } = useTranslation();
  const client = useQueryClient();
  const navigate = useNavigate();
  const toast = useToast();
  const say = useSay();
  const { data: session } = useQuery(sessionQuery);
  const own = useQuery({ queryKey: ["workspaces"], queryFn: async ({ signal }) => (await ask(api.GET("/api/v1/workspaces", { signal }))).items, staleTime: 60_000 });
  if (!own.data || own.data.length < 2) return <div className="truncate"><strong>{session?.workspace.name}</strong></div>;
  return (
    <select className="input" aria-label={t("shell.workspace")} value={session?.workspace.id} onChange={(event) => {
      switchTo(client, event.target.value).then(() => navigate({ to: "/" }), (error: unknown) => toast(say(error)));
    }}>
      {own.data.map((one) => <option key={one.id} value={one.id}>{one.name}</option>)}
    </select>
  );
}

/** A session that ended does not lose the page: signing in goes on where one was. */
function Expired() {
  const { t } = useTranslation();
  const client = useQueryClient();
  const navigate = useNavigate();
  const [who, setWho] = useState<Session["user"] | null>(null);
  useEffect(() => onExpired(() => {
    const before = client.getQueryData<Session | null>(sessionQuery.queryKey);
    void askSession().then((now) => {
      if (now) {
        // A new session in another tab is as good.
        client.setQueryData(sessionQuery.queryKey, now);
        return client.invalidateQueries();
      }
      // The page goes on showing what the ended one could do: an editor that vanished would take along what is typed.
      if (before) setWho(before.user);
      return undefined;
    }, () => undefined);
  }), [client]);
  if (!who) return null;
  return (
    <Dialog title={t("shell.expired")} onClose={() => undefined}>
      <p>{t("shell.expiredText")}</p>
      <SignInForm email={who.email} onDone={() => { setWho(null); void client.invalidateQueries(); }} />
      <button type="button" className="linklike small" onClick={() => { client.setQueryData(sessionQuery.queryKey, null); void navigate({ to: "/sign-in" }); }}>{t("shell.somebodyElse")}</button>
    </Dialog>
  );
}
