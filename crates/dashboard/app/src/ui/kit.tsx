import {
  createContext, useCallback, useContext, useEffect, useId, useMemo, useRef, useState,
  type ButtonHTMLAttributes, type ComponentProps, type ReactNode,
} from "react";
import { useTranslation } from "react-i18next";
import { isProblem } from "../api/problem";
import { ago, dateTime } from "../lib/format";
import { refusalOf } from "../lib/refusals";
import { toldOf } from "../lib/told";

type ButtonProps = ButtonHTMLAttributes<HTMLButtonElement> & {
  kind?: "primary" | "danger" | "danger primary" | "quiet" | "";
  small?: boolean;
  busy?: boolean;
};

export function Button({ kind = "", small, busy, className, children, type = "button", ...rest }: ButtonProps) {
  const names = ["button", kind, small ? "small" : "", className ?? ""].filter(Boolean).join(" ");
  return (
    <button type={type} className={names} {...rest} disabled={rest.disabled || busy} aria-busy={busy || undefined}>
      {children}
    </button>
  );
}

/** What a service said of a field, in the reader's language where it is said often. */
export function useRefusal() {
  const { t } = useTranslation();
  return useCallback((detail: string): string => {
    const known = detail.split("; ").map((part) => {
      const found = refusalOf(part);
      return found ? t(`errors.details.${found.name}` as "errors.details.between", found.filled) : part;
    });
    return known.join("; ");
  }, [t]);
}

/** A sentence of a service, in the reader's language where it is said often. */
export function useTold() {
  const { t } = useTranslation();
  return useCallback((sentence: string): string => {
    const found = toldOf(sentence);
    return found ? t(`told.${found.name}`, found.filled) : sentence;
  }, [t]);
}

/** A label with its control, a hint and what is wrong. */
export function Field({ label, hint, error, children, className }: {
  label: ReactNode;
  hint?: ReactNode;
  error?: string | undefined;
  className?: string;
  children: (control: { id: string; "aria-describedby"?: string; "aria-invalid"?: true; className: string }) => ReactNode;
}) {
  const id = useId();
  const told = useRefusal();
  const described = [hint ? `${id}-hint` : "", error ? `${id}-error` : ""].filter(Boolean).join(" ");
  return (
    <div className={`field ${className ?? ""}`}>
      <label htmlFor={id}>{label}</label>
      {children({
        id,
        className: "input",
        ...(described && { "aria-describedby": described }),
        ...(error && { "aria-invalid": true as const }),
      })}
      {hint && <div className="hint" id={`${id}-hint`}>{hint}</div>}
      {error && <div className="wrong" id={`${id}-error`}>{told(error)}</div>}
    </div>
  );
}

export function TextField({ label, hint, error, className, ...rest }: Omit<ComponentProps<"input">, "className"> & {
  label: ReactNode;
  hint?: ReactNode;
  error?: string | undefined;
  className?: string;
}) {
  return (
    <Field label={label} hint={hint} error={error} className={className ?? ""}>
      {(control) => <input type="text" {...rest} {...control} />}
    </Field>
  );
}

export function SelectField({ label, hint, error, className, children, ...rest }: Omit<ComponentProps<"select">, "className"> & {
  label: ReactNode;
  hint?: ReactNode;
  error?: string | undefined;
  className?: string;
}) {
  return (
    <Field label={label} hint={hint} error={error} className={className ?? ""}>
      {(control) => <select {...rest} {...control}>{children}</select>}
    </Field>
  );
}

export function Check({ label, ...rest }: Omit<ComponentProps<"input">, "type"> & { label: ReactNode }) {
  return (
    <label className="check">
      <input type="checkbox" {...rest} />
      <span>{label}</span>
    </label>
  );
}

export function Segmented<T extends string>({ label, options, value, onChange }: {
  label: string;
  options: readonly (readonly [T, string])[];
  value: T;
  onChange: (value: T) => void;
}) {
  return (
    <div className="segmented" role="group" aria-label={label}>
      {options.map(([option, text]) => (
        <button key={option} type="button" aria-pressed={option === value} onClick={() => onChange(option)}>{text}</button>
      ))}
    </div>
  );
}

/** A screen's head; it also names the browser's tab. */
export function PageHead({ title, crumb, badge, lead, actions }: {
  title: string;
  crumb?: ReactNode;
  badge?: ReactNode;
  lead?: ReactNode;
  actions?: ReactNode;
}) {
  useEffect(() => {
    document.title = `${title} · Clarion`;
  }, [title]);
  return (
    <header className="page-head">
      <div>
        {crumb && <div className="crumb">{crumb}</div>}
        <div className="row"><h1 className="break">{title}</h1>{badge}</div>
        {lead && <p className="muted">{lead}</p>}
      </div>
      {actions && <div className="row">{actions}</div>}
    </header>
  );
}

export function Empty({ title, children, action }: { title: string; children: ReactNode; action?: ReactNode }) {
  return (
    <div className="empty">
      <h2>{title}</h2>
      <p>{children}</p>
      {action && <div className="row">{action}</div>}
    </div>
  );
}

export function Badge({ tone = "", children }: { tone?: "" | "good" | "bad" | "warn" | "info"; children: ReactNode }) {
  return <span className={`badge ${tone}`}>{children}</span>;
}

export function Stat({ label, value, note }: { label: string; value: ReactNode; note?: ReactNode }) {
  return (
    <dl className="card stat">
      <dt>{label}</dt>
      <dd>{value}</dd>
      {note && <dd className="small muted">{note}</dd>}
    </dl>
  );
}

/** A moment as how long ago; the exact time in the viewer's zone is its title. */
export function Ago({ at }: { at: string }) {
  return <time dateTime={at} title={dateTime(at)}>{ago(at)}</time>;
}

export function Loading() {
  const { t } = useTranslation();
  return <div className="empty"><div className="spin" role="status" aria-label={t("common.loading")} /></div>;
}

/** What went wrong, in a sentence that says what to do. */
export function useSay() {
  const { t, i18n } = useTranslation();
  const told = useRefusal();
  return useCallback((error: unknown): string => {
    if (!isProblem(error)) return t("errors.unknown");
    if (error.status === 0) return t("errors.offline");
    if (error.status === 401) return t("errors.signedOut");
    if (error.code === "csrf_mismatch") return t("errors.again");
    if (error.status === 403) return t("errors.forbidden");
    if (error.status === 429) return t("errors.tooMany");
    if (error.status === 503) return t("errors.away", { detail: error.message });
    const fields = error.fields.filter((field) => !error.message.includes(field.detail));
    const details = fields.map((field) => `${field.pointer.replace(/^\//, "")}: ${told(field.detail)}`);
    const known = `errors.codes.${error.code}`;
    const message = i18n.exists(known) ? t(known as "errors.codes.email_taken") : error.message;
    return [message || t("errors.unknown"), ...details].join(" · ");
  }, [t, i18n, told]);
}

export function ErrorNote({ error, retry }: { error: unknown; retry?: () => void }) {
  const { t } = useTranslation();
  const say = useSay();
  if (!error) return null;
  return (
    <div className="note error" role="alert">
      <div className="row apart">
        <span className="break">{say(error)}</span>
        {retry && <Button small onClick={retry}>{t("common.retry")}</Button>}
      </div>
    </div>
  );
}

interface Asked<T> {
  data: T | undefined;
  error: unknown;
  isPending: boolean;
  refetch: () => unknown;
}

/** Shows what was asked for, or that it is on its way, or why it is not. */
export function Ready<T>({ of, children }: { of: Asked<T>; children: (data: T) => ReactNode }) {
  if (of.data !== undefined) {
    return <>{of.error ? <ErrorNote error={of.error} retry={() => of.refetch()} /> : null}{children(of.data)}</>;
  }
  return of.error ? <ErrorNote error={of.error} retry={() => of.refetch()} /> : <Loading />;
}

/** The browser's own dialog: it keeps the focus inside, closes by Escape and gives focus back. */
export function Dialog({ title, onClose, children, foot }: {
  title: string;
  onClose: () => void;
  children: ReactNode;
  foot?: ReactNode;
}) {
  const ref = useRef<HTMLDialogElement>(null);
  const id = useId();
  const close = useRef(onClose);
  close.current = onClose;
  useEffect(() => {
    const dialog = ref.current;
    if (!dialog) return;
    if (!dialog.open) dialog.showModal();
    return () => dialog.close();
  }, []);
  return (
    <dialog ref={ref} aria-labelledby={id} onCancel={(event) => { event.preventDefault(); close.current(); }}>
      <div className="inner">
        <h2 id={id} className="break">{title}</h2>
        {children}
        {foot && <div className="foot">{foot}</div>}
      </div>
    </dialog>
  );
}

/** Asks before something that cannot be undone; with `name`, the name has to be typed. */
export function Confirm({ title, children, name, action, onConfirm, onClose, busy, error }: {
  title: string;
  children?: ReactNode;
  name?: string;
  action: string;
  onConfirm: () => void;
  onClose: () => void;
  busy?: boolean;
  error?: unknown;
}) {
  const { t } = useTranslation();
  const [typed, setTyped] = useState("");
  const ready = name === undefined || typed.trim() === name.trim();
  return (
    <Dialog title={title} onClose={onClose}>
      <form className="stack" onSubmit={(event) => { event.preventDefault(); if (ready) onConfirm(); }}>
        {children}
        {name !== undefined && (
          <TextField label={t("common.typeName", { name })} value={typed} autoComplete="off"
            onChange={(event) => setTyped(event.target.value)} />
        )}
        <ErrorNote error={error} />
        <div className="foot row">
          <Button onClick={onClose}>{t("common.cancel")}</Button>
          <Button kind="danger primary" type="submit" disabled={!ready} busy={!!busy}>{action}</Button>
        </div>
      </form>
    </Dialog>
  );
}

interface Toast { id: number; text: string; undo?: () => void }
const Toasts = createContext<(text: string, undo?: () => void) => void>(() => {});

export function ToastHost({ children }: { children: ReactNode }) {
  const { t } = useTranslation();
  const [shown, setShown] = useState<Toast[]>([]);
  const next = useRef(0);
  const say = useMemo(() => (text: string, undo?: () => void) => {
    const id = next.current++;
    setShown((before) => [...before.slice(-2), { id, text, ...(undo && { undo }) }]);
    setTimeout(() => setShown((before) => before.filter((toast) => toast.id !== id)), undo ? 10_000 : 5_000);
  }, []);
  return (
    <Toasts.Provider value={say}>
      {children}
      <div className="toasts" role="status">
        {shown.map((toast) => (
          <div className="toast" key={toast.id}>
            <span className="break">{toast.text}</span>
            {toast.undo && (
              <button type="button" onClick={() => {
                toast.undo?.();
                setShown((before) => before.filter(({ id }) => id !== toast.id));
              }}>{t("common.undo")}</button>
            )}
          </div>
        ))}
      </div>
    </Toasts.Provider>
  );
}

export function useToast() {
  return useContext(Toasts);
}

export function Copy({ text, label }: { text: string; label?: string }) {
  const { t } = useTranslation();
  const toast = useToast();
  return (
    <Button small aria-label={label ?? t("common.copyThis", { text })} onClick={() => {
      navigator.clipboard?.writeText(text).then(() => toast(t("common.copied")), () => toast(t("common.notCopied")));
    }}>{t("common.copy")}</Button>
  );
}

/** `value`, once it has stood still for a while. `key` says when it is another one. */
export function useSettled<T>(value: T, ms = 400, key: unknown = value): T {
  const [settled, setSettled] = useState(value);
  const latest = useRef(value);
  latest.current = value;
  useEffect(() => {
    const timer = setTimeout(() => setSettled(latest.current), ms);
    return () => clearTimeout(timer);
  }, [key, ms]);
  return settled;
}
