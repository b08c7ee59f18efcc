import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { api, ask, type Schemas } from "../api/client";
import { framePage, showIn } from "../lib/frame";
import { ErrorNote, Segmented, useSettled } from "../ui/kit";

/** What a preview is of. */
export type Written = Omit<Schemas["campaigns.PreviewMail"], "content"> & { content?: Schemas["campaigns.PreviewMail"]["content"] | null };

/** The mail as its first reader would get it, a moment after each change. */
export function Preview({ draft, onLead }: { draft: Written; onLead?: (lead: unknown) => void }) {
  const { t } = useTranslation();
  const [look, setLook] = useState<"desktop" | "phone" | "dark" | "text">("desktop");
  const { name, subject, preheader, content, audience } = draft;
  const body = useSettled({ name, subject, preheader, content: content ?? { format: "text" as const, body: "" }, audience }, 350, JSON.stringify([name, subject, preheader, content, audience]));
  const preview = useQuery({
    queryKey: ["preview", body],
    queryFn: ({ signal }) => ask(api.POST("/api/v1/campaigns/preview", { body, signal })),
    placeholderData: keepPreviousData,
    staleTime: Infinity,
    gcTime: 30_000,
  });
  const shown = preview.data;
  const lead = shown?.lead;
  useEffect(() => {
    if (lead) onLead?.(lead);
  }, [lead, onLead]);
  // While something is wrong, the last page that was right stays.
  const last = useRef<{ html: string | null; text: string } | null>(null);
  if (shown?.text !== null && shown?.text !== undefined) last.current = { html: shown.html ?? null, text: shown.text };
  const page = last.current;
  return (
    <section className="card stack" aria-label={t("preview.title")}>
      <div className="row apart">
        <h2>{t("preview.title")}</h2>
        <Segmented label={t("preview.look")} value={look} onChange={setLook} options={[
          ["desktop", t("preview.desktop")], ["phone", t("preview.phone")], ["dark", t("preview.dark")], ["text", t("preview.text")],
        ]} />
      </div>
      <ErrorNote error={preview.error} retry={() => void preview.refetch()} />
      {shown && shown.problems.length > 0 && (
        <ul className="plain note error" role="alert">
          {shown.problems.map((problem) => (
            <li key={problem.detail} className="break">{problem.line ? t("editor.at", { line: problem.line, column: problem.column ?? 1 }) : ""}{problem.detail}</li>
          ))}
        </ul>
      )}
      {shown && shown.warnings.length > 0 && (
        <ul className="plain note warning">
          {shown.warnings.map((warning) => <li key={warning.detail} className="break">{warning.detail}</li>)}
        </ul>
      )}
      <dl className="kv">
        <dt>{t("preview.to")}</dt><dd className="break">{String((shown?.lead as { email?: string } | undefined)?.email ?? "–")}</dd>
        <dt>{t("editor.subject")}</dt><dd className="break" data-testid="preview-subject"><strong>{shown?.subject ?? subject}</strong></dd>
        {shown?.preheader && <><dt>{t("editor.preheader")}</dt><dd className="break muted">{shown.preheader}</dd></>}
      </dl>
      <div className={`preview ${look}`}>
        {page && (look === "text" || page.html === null)
          ? <pre className="card break" style={{ whiteSpace: "pre-wrap", inlineSize: "100%", margin: 0, maxBlockSize: 520, overflow: "auto" }} tabIndex={0}>{page.text}</pre>
          : page ? <Frame html={page.html ?? ""} dark={look === "dark"} /> : <div style={{ blockSize: 520 }} />}
      </div>
    </section>
  );
}

/** A frame of its own: no scripts, no origin, no way out. */
export function Frame({ html, dark }: { html: string; dark: boolean }) {
  const { t } = useTranslation();
  const ref = useRef<HTMLIFrameElement>(null);
  useEffect(() => {
    if (ref.current) showIn(ref.current, framePage(html, dark));
  }, [html, dark]);
  return <iframe ref={ref} sandbox="" referrerPolicy="no-referrer" title={t("preview.frame")} style={{ colorScheme: dark ? "dark" : "light" }} />;
}
