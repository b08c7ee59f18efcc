import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useState, type ChangeEvent } from "react";
import { useTranslation } from "react-i18next";
import { api, ask, raw, type Schemas } from "../api/client";
import { importQuery, importsQuery, listsQuery } from "../api/queries";
import { may, sessionQuery } from "../api/session";
import { attribute, FIELDS, guess, readHead, type Head } from "../lib/csv";
import { count, duration } from "../lib/format";
import { Ago, Badge, Button, Check, Confirm, ErrorNote, PageHead, Ready, SelectField, Stat } from "../ui/kit";
import { NewList } from "./lists";
import { WriteTo } from "./write-to";

type Import = Schemas["leads.ImportView"];
interface Chosen { file: File; head: Head; mapping: Record<string, string | null> }
const STEPS = ["file", "columns", "check", "done"] as const;
/** As much of a file as is read to show its columns. */
const HEAD = 256 * 1024;

/** A file, its columns, a dry run, and then the import: nothing changes before the last step. */
export function ImportWizard() {
  const { t } = useTranslation();
  const { list_id, run } = useSearch({ from: "/shell/leads/import" });
  const navigate = useNavigate();
  const [chosen, setChosen] = useState<Chosen | null>(null);
  const [list, setList] = useState(list_id ?? "");
  const [agreed, setAgreed] = useState(false);
  const [step, setStep] = useState<(typeof STEPS)[number]>("file");
  const [trial, setTrial] = useState<string | null>(null);
  const send = useMutation({
    mutationFn: async (dry: boolean) => {
      if (!chosen) throw new Error("no file is chosen");
      const form = new FormData();
      form.append("mapping", JSON.stringify(chosen.mapping));
      form.append("file", chosen.file);
      const query = new URLSearchParams({ dry_run: String(dry), ...(list && { list_id: list }) });
      const answer = await raw(`/api/v1/leads/imports?${query}`, { method: "POST", body: form });
      return (await answer.json()) as Import;
    },
    onSuccess: async (made, dry) => {
      if (dry) {
        setTrial(made.id);
        setStep("check");
      } else await navigate({ to: "/leads/import", search: { run: made.id }, replace: true });
    },
  });
  const now = run ? "done" : step;
  return (
    <>
      <PageHead title={t("import.title")} crumb={<Link to="/leads">{t("leads.title")}</Link>} />
      <div className="stack wide" style={{ maxInlineSize: 860 }}>
        <ol className="plain steps">
          {STEPS.map((name) => <li key={name} aria-current={name === now ? "step" : undefined}>{t(`import.steps.${name}`)}</li>)}
        </ol>
        {now === "file" && <><ChooseFile chosen={chosen} setChosen={setChosen} list={list} setList={setList} onNext={() => setStep("columns")} /><Earlier /></>}
        {now === "columns" && chosen && (
          <Columns chosen={chosen} setChosen={setChosen} busy={send.isPending} error={send.error}
            onBack={() => setStep("file")} onNext={() => send.mutate(true)} />
        )}
        {now === "check" && trial && (
          <Trial id={trial} list={list} agreed={agreed} setAgreed={setAgreed} busy={send.isPending} error={send.error}
            onBack={() => setStep("columns")} onNext={() => send.mutate(false)} />
        )}
        {run && <Progress id={run} />}
      </div>
    </>
  );
}

function ChooseFile({ chosen, setChosen, list, setList, onNext }: {
  chosen: Chosen | null; setChosen: (chosen: Chosen) => void; list: string; setList: (id: string) => void; onNext: () => void;
}) {
  const { t } = useTranslation();
  const lists = useQuery(listsQuery);
  const [adding, setAdding] = useState(false);
  const [wrong, setWrong] = useState("");
  const choose = async (event: ChangeEvent<HTMLInputElement>) => {
    const file = event.target.files?.[0];
    if (!file) return;
    const head = readHead(await file.slice(0, HEAD).text(), 5, file.size <= HEAD);
    setWrong(head.names.length === 0 ? t("import.empty") : "");
    if (head.names.length > 0) setChosen({ file, head, mapping: guess(head.names) });
  };
  return (
    <section className="card stack">
      <div className="field">
        <label htmlFor="csv">{t("import.file")}</label>
        <input id="csv" className="input" type="file" accept=".csv,.tsv,.txt,text/csv" onChange={choose} aria-describedby="csv-hint" />
        <div className="hint" id="csv-hint">{t("import.fileHint")}</div>
        {wrong && <div className="wrong" role="alert">{wrong}</div>}
      </div>
      <div className="row" style={{ alignItems: "end" }}>
        <SelectField className="grow" label={t("import.list")} hint={t("import.listHint")} value={list} onChange={(event) => setList(event.target.value)}>
          <option value="">{t("import.noList")}</option>
          {lists.data?.map((one) => <option key={one.id} value={one.id}>{one.name}</option>)}
        </SelectField>
      </div>
      <div className="row apart">
        <Button onClick={() => setAdding(true)}>{t("lists.new")}</Button>
        <Button kind="primary" disabled={!chosen} onClick={onNext}>{t("common.next")}</Button>
      </div>
      {adding && <NewList onClose={() => setAdding(false)} onMade={(made) => { setList(made.id); setAdding(false); }} />}
    </section>
  );
}

const TONES: Record<string, "good" | "bad" | "info" | ""> = { done: "good", failed: "bad", running: "info", queued: "info" };

/** What was imported before, with its refused rows. */
function Earlier() {
  const { t } = useTranslation();
  const runs = useQuery(importsQuery);
  const lists = useQuery(listsQuery);
  const items = runs.data?.filter((run) => !run.dry_run) ?? [];
  if (items.length === 0) return <ErrorNote error={runs.error} retry={() => void runs.refetch()} />;
  return (
    <section className="card flush" aria-label={t("import.earlier")}>
      <h2 style={{ padding: "14px 14px 6px" }}>{t("import.earlier")}</h2>
      <div className="scroll"><table>
        <thead><tr><th scope="col">{t("deliveries.when")}</th><th scope="col">{t("leads.list")}</th><th scope="col" className="end">{t("import.created")}</th><th scope="col" className="end">{t("import.updated")}</th><th scope="col" className="end">{t("import.rejected")}</th><th scope="col">{t("leads.status")}</th></tr></thead>
        <tbody>{items.map((run) => (
          <tr key={run.id}>
            <td className="nowrap"><Link to="/leads/import" search={{ run: run.id }}><Ago at={run.created_at} /></Link></td>
            <td className="break">{lists.data?.find((one) => one.id === run.list_id)?.name ?? "–"}</td>
            <td className="end num">{count(run.created)}</td>
            <td className="end num">{count(run.updated)}</td>
            <td className="end num">{run.rejected > 0 ? <a href={`/api/v1/leads/imports/${run.id}/errors`} download="rejected.csv">{count(run.rejected)}</a> : count(0)}</td>
            <td><Badge tone={TONES[run.status] ?? ""}>{t(`import.statuses.${run.status as "done"}`, { defaultValue: run.status })}</Badge></td>
          </tr>
        ))}</tbody>
      </table></div>
    </section>
  );
}

function Columns({ chosen, setChosen, onBack, onNext, busy, error }: {
  chosen: Chosen; setChosen: (chosen: Chosen) => void; onBack: () => void; onNext: () => void; busy: boolean; error: unknown;
}) {
  const { t } = useTranslation();
  const { head, mapping } = chosen;
  const targets = Object.values(mapping).filter(Boolean);
  const twice = targets.find((target, at) => targets.indexOf(target) !== at);
  const ready = targets.includes("email") && !twice;
  return (
    <section className="card stack">
      <p className="muted">{t("import.columnsText", { file: chosen.file.name })}</p>
      <div className="scroll"><table>
        <thead><tr><th scope="col">{t("import.column")}</th><th scope="col">{t("import.example")}</th><th scope="col">{t("import.field")}</th></tr></thead>
        <tbody>
          {head.names.map((name, at) => name !== "" && (
            <tr key={name}>
              <td><strong>{name}</strong></td>
              <td className="muted break">{head.rows.map((row) => row[at]).filter(Boolean).slice(0, 2).join(" · ")}</td>
              <td>
                <select className="input" aria-label={t("import.fieldOf", { column: name })} value={mapping[name] ?? ""}
                  onChange={(event) => setChosen({ ...chosen, mapping: { ...mapping, [name]: event.target.value || null } })}>
                  <option value="">{t("import.leaveOut")}</option>
                  {FIELDS.map((field) => <option key={field} value={field}>{t(`fields.${field}`)}</option>)}
                  {attribute(name) && <option value={attribute(name) ?? ""}>{attribute(name)}</option>}
                </select>
              </td>
            </tr>
          ))}
        </tbody>
      </table></div>
      {!targets.includes("email") && <div className="note warning">{t("import.needsEmail")}</div>}
      {twice && <div className="note warning">{t("import.twice", { field: twice })}</div>}
      <ErrorNote error={error} />
      <div className="row apart">
        <Button onClick={onBack}>{t("common.back")}</Button>
        <Button kind="primary" disabled={!ready} busy={busy} onClick={onNext}>{t("import.try")}</Button>
      </div>
    </section>
  );
}

const over = (status: string) => status !== "queued" && status !== "running";

function Figures({ of }: { of: Import }) {
  const { t } = useTranslation();
  return (
    <div className="cards">
      {(["rows", "created", "updated", "unchanged", "rejected"] as const).map((name) => (
        <Stat key={name} label={t(`import.${name}`)} value={count(of[name])} />
      ))}
    </div>
  );
}

function Trial({ id, list, agreed, setAgreed, onBack, onNext, busy, error }: {
  id: string; list: string; agreed: boolean; setAgreed: (agreed: boolean) => void; onBack: () => void; onNext: () => void; busy: boolean; error: unknown;
}) {
  const { t } = useTranslation();
  const trial = useQuery(importQuery(id));
  const lists = useQuery(listsQuery);
  const name = lists.data?.find((one) => one.id === list)?.name;
  return (
    <section className="card stack">
      <Ready of={trial}>
        {(found) => (
          <>
            {!over(found.status) && <ProgressBar of={found} />}
            {found.failure && <div className="note error" role="alert">{found.failure}</div>}
            {over(found.status) && !found.failure && (
              <>
                <p>{t("import.trialText")}</p>
                <Figures of={found} />
                {found.rejected > 0 && <Rejected of={found} />}
                {name && <Check label={t("import.agree", { list: name })} checked={agreed} onChange={(event) => setAgreed(event.target.checked)} />}
              </>
            )}
            <ErrorNote error={error} />
            <div className="row apart">
              <Button onClick={onBack}>{t("common.back")}</Button>
              <Button kind="primary" busy={busy} disabled={found.status !== "done" || found.rows === found.rejected || (!!name && !agreed)} onClick={onNext}>
                {t("import.go", { count: found.rows - found.rejected, rows: count(found.rows - found.rejected) })}
              </Button>
            </div>
          </>
        )}
      </Ready>
    </section>
  );
}

function Rejected({ of }: { of: Import }) {
  const { t } = useTranslation();
  return (
    <div className="note warning row apart">
      <span>{t("import.rejectedText", { count: of.rejected })}</span>
      <a className="button small" href={`/api/v1/leads/imports/${of.id}/errors`} download="rejected.csv">{t("import.errorFile")}</a>
    </div>
  );
}

function ProgressBar({ of }: { of: Import }) {
  const { t } = useTranslation();
  return (
    <div className="stack tight">
      <label htmlFor="import-progress">{t("import.working", { rows: count(of.rows) })}</label>
      <progress id="import-progress" className="progress" max={of.bytes || 1} value={of.bytes_read} />
    </div>
  );
}

function Progress({ id }: { id: string }) {
  const { t } = useTranslation();
  const client = useQueryClient();
  const run = useQuery(importQuery(id));
  const finished = run.data && over(run.data.status);
  const { data: session } = useQuery(sessionQuery);
  const lists = useQuery(listsQuery);
  const list = lists.data?.find((one) => one.id === run.data?.list_id);
  const [cancelling, setCancelling] = useState(false);
  const cancel = useMutation({
    mutationFn: () => ask(api.DELETE("/api/v1/leads/imports/{id}", { params: { path: { id } } })),
    onSuccess: async () => {
      setCancelling(false);
      await client.invalidateQueries({ queryKey: ["imports"] });
    },
  });
  return (
    <section className="card stack">
      <Ready of={run}>
        {(found) => (
          <>
            {!over(found.status) && <div className="row apart"><div className="grow"><ProgressBar of={found} /></div><Button onClick={() => setCancelling(true)}>{t("import.cancel")}</Button></div>}
            {found.status === "cancelled" && <div className="note warning" role="status">{t("import.cancelled")}</div>}
            {found.status === "done" && (
              <div className="note good" role="status">{t("import.doneText", { rows: count(found.rows), time: duration(found.took_ms ?? 0) })}</div>
            )}
            {found.failure && <div className="note error" role="alert">{found.failure}</div>}
            <Figures of={found} />
            {found.rejected > 0 && <Rejected of={found} />}
            {finished && (
              <div className="row">
                <Link className="button primary" to="/leads" search={found.list_id ? { list_id: found.list_id } : {}}
                  onClick={() => void client.invalidateQueries({ queryKey: ["leads"] })}>{t("import.toLeads")}</Link>
                {may(session, "campaigns:write") && found.list_id && list && <WriteTo name={list.name} audience={{ list_ids: [list.id] }} />}
                <Link className="button" to="/leads/import" search={{}} reloadDocument>{t("import.another")}</Link>
              </div>
            )}
          </>
        )}
      </Ready>
      {cancelling && !finished && (
        <Confirm title={t("import.cancelTitle")} action={t("import.cancel")} busy={cancel.isPending} error={cancel.error}
          onConfirm={() => cancel.mutate()} onClose={() => setCancelling(false)}><p>{t("import.cancelText")}</p></Confirm>
      )}
    </section>
  );
}

