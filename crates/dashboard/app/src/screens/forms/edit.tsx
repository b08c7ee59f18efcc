import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";
import { api, askFull } from "../../api/client";
import type { ProblemError } from "../../api/problem";
import { formQuery, formsQuery, listsQuery, type Form } from "../../api/queries";
import { may, sessionQuery } from "../../api/session";
import { useDraft } from "../../lib/draft";
import { embed } from "../../lib/embed";
import { count } from "../../lib/format";
import { Button, Check, Copy, Field, Loading, PageHead, Ready, SelectField, Stat, TextField, useToast } from "../../ui/kit";
import { Conflict } from "../conflict";
import { SaveNote } from "../editor";

type Draft = Pick<Form, "name" | "list_ids" | "fields" | "language" | "title" | "text" | "button" | "wording" | "success_message" | "redirect_url" | "double_opt_in" | "origins" | "active">;

function draftOf(form: Form): Draft {
  const { name, list_ids, fields, language, title, text, button, wording, success_message, redirect_url, double_opt_in, origins, active } = form;
  return { name, list_ids, fields, language, title, text, button, wording, success_message, redirect_url, double_opt_in, origins, active };
}

export function FormScreen() {
  const { id } = useParams({ from: "/shell/forms/$id" });
  // It begins from what is stored now; what is typed after that must not be replaced.
  const form = useQuery({ ...formQuery(id), refetchOnMount: "always", refetchOnWindowFocus: false });
  if (!form.isFetchedAfterMount) return <Loading />;
  return <Ready of={form}>{({ data, etag }) => <Edit key={id} form={data} etag={etag} />}</Ready>;
}

function Edit({ form, etag }: { form: Form; etag: string | undefined }) {
  const { t } = useTranslation();
  const client = useQueryClient();
  const { data: session } = useQuery(sessionQuery);
  const { id } = form;
  const params = { path: { id } };
  const editing = useDraft<Draft>({
    shelf: `form.${id}`,
    value: draftOf(form),
    etag,
    async save(changes, version) {
      const saved = await askFull(api.PATCH("/api/v1/forms/{id}", { params, body: changes, ...(version && { headers: { "If-Match": version } }) }));
      client.setQueryData(formQuery(id).queryKey, saved);
      await client.invalidateQueries({ queryKey: formsQuery.queryKey, exact: true, refetchType: "none" });
      return { value: draftOf(saved.data), etag: saved.etag };
    },
  });
  const { draft, state, problem, change } = editing;
  return (
    <>
      <PageHead title={draft.name || t("editor.untitled")} crumb={<Link to="/forms">{t("shell.forms")}</Link>} lead={<SaveNote state={state} />}
        actions={<a className="button" href={form.url} target="_blank" rel="noreferrer">{t("forms.look")}</a>} />
      <div className="editor">
        <fieldset className="stack wide" disabled={!may(session, "leads:write")}>
          <Basics draft={draft} change={change} problem={problem} />
          <Questions fields={draft.fields} change={change} problem={problem} />
          <Says draft={draft} change={change} problem={problem} />
        </fieldset>
        <div className="sticky stack">
          <div className="cards"><Stat label={t("forms.sent")} value={count(form.submissions)} /><Stat label={t("forms.confirmed")} value={count(form.confirmations)} /></div>
          <Use url={form.url} draft={draft} />
        </div>
      </div>
      {state.kind === "conflict" && (
        <Conflict<Draft> title={t("conflict.titleForm")} mine={editing.unsaved()}
          load={async () => {
            const { data, etag: version } = await askFull(api.GET("/api/v1/forms/{id}", { params }));
            return { data: draftOf(data), etag: version };
          }}
          onDone={editing.resolve} />
      )}
    </>
  );
}

interface Part {
  draft: Draft;
  change: (changes: Partial<Draft>) => void;
  problem: ProblemError | undefined;
}

/** All that is wrong below a member, in one sentence. */
function below(problem: ProblemError | undefined, pointer: string): string | undefined {
  const wrong = problem?.fields.filter((field) => field.pointer.startsWith(pointer));
  return wrong?.map((field) => field.detail).join("; ") || undefined;
}

function Basics({ draft, change, problem }: Part) {
  const { t } = useTranslation();
  const lists = useQuery(listsQuery);
  const wrong = below(problem, "/list_ids");
  return (
    <section className="card stack">
      <h2>{t("forms.basics")}</h2>
      <TextField label={t("forms.name")} value={draft.name} maxLength={200} hint={t("forms.nameHint")} error={problem?.field("/name")} onChange={(event) => change({ name: event.target.value })} />
      <Ready of={lists}>{(items) => (
        <fieldset className="stack tight">
          <legend>{t("forms.lists")}</legend>
          {items.map((list) => (
            <Check key={list.id} label={list.name} checked={draft.list_ids.includes(list.id)} onChange={(event) => change({
              list_ids: event.target.checked ? [...draft.list_ids, list.id] : draft.list_ids.filter((one) => one !== list.id),
            })} />
          ))}
          {wrong && <div className="wrong">{wrong}</div>}
        </fieldset>
      )}</Ready>
      <Check label={t("forms.double")} checked={draft.double_opt_in} onChange={(event) => change({ double_opt_in: event.target.checked })} />
      <p className="small muted">{t(draft.double_opt_in ? "forms.doubleText" : "forms.singleText")}</p>
      <Check label={t("forms.active")} checked={draft.active} onChange={(event) => change({ active: event.target.checked })} />
    </section>
  );
}

const PARTS = ["first_name", "last_name", "phone", "company"] as const;
const ATTRIBUTE = "attributes.";

function Questions({ fields, change, problem }: Pick<Part, "change" | "problem"> & Pick<Draft, "fields">) {
  const { t } = useTranslation();
  const toast = useToast();
  const set = (at: number, changes: Partial<Draft["fields"][number]>) => change({ fields: fields.map((field, n) => (n === at ? { ...field, ...changes } : field)) });
  const free = PARTS.find((part) => fields.every((field) => field.field !== part));
  return (
    <section className="card stack">
      <h2>{t("forms.questions")}</h2>
      <p className="small muted">{t("forms.questionsText")}</p>
      {fields.map((field, at) => {
        const own = field.field.startsWith(ATTRIBUTE);
        return (
          // Questions have no names of their own; their place is what they are known by.
          // oxlint-disable-next-line react/no-array-index-key
          <fieldset key={at} className="stack tight">
            <legend className="visually-hidden">{t("forms.question", { number: at + 1 })}</legend>
            <div className="grid2">
              <SelectField label={t("forms.fills")} value={own ? ATTRIBUTE : field.field} error={own ? undefined : problem?.field(`/fields/${at}/field`)} onChange={(event) => set(at, { field: event.target.value })}>
                {PARTS.map((part) => <option key={part} value={part}>{t(`fields.${part}`)}</option>)}
                <option value={ATTRIBUTE}>{t("forms.attribute")}</option>
              </SelectField>
              {own && <TextField label={t("forms.attributeName")} value={field.field.slice(ATTRIBUTE.length)} maxLength={100} autoComplete="off" error={problem?.field(`/fields/${at}/field`)} onChange={(event) => set(at, { field: ATTRIBUTE + event.target.value })} />}
              <TextField label={t("forms.label")} value={field.label} maxLength={200} autoComplete="off" error={problem?.field(`/fields/${at}/label`)} onChange={(event) => set(at, { label: event.target.value })} />
            </div>
            <div className="row apart">
              <Check label={t("forms.required")} checked={field.required ?? false} onChange={(event) => set(at, { required: event.target.checked })} />
              <Button small kind="quiet" aria-label={t("forms.removeQuestion", { label: field.label })} onClick={() => {
                change({ fields: fields.filter((_, n) => n !== at) });
                toast(t("forms.questionRemoved", { label: field.label }), () => change({ fields }));
              }}>{t("people.remove")}</Button>
            </div>
          </fieldset>
        );
      })}
      {fields.length < 20 && (
        <div><Button small onClick={() => change({
          fields: [...fields, { field: free ?? `${ATTRIBUTE}answer_${fields.length + 1}`, label: t(free ? `fields.${free}` : "forms.label"), required: false }],
        })}>{t("forms.addQuestion")}</Button></div>
      )}
    </section>
  );
}

function Says({ draft, change, problem }: Part) {
  const { t } = useTranslation();
  return (
    <section className="card stack">
      <h2>{t("forms.says")}</h2>
      <SelectField label={t("forms.language")} hint={t("forms.languageHint")} value={draft.language} onChange={(event) => change({ language: event.target.value })}>
        <option value="en" lang="en">English</option>
        <option value="de" lang="de">Deutsch</option>
      </SelectField>
      <TextField label={t("forms.titleOf")} value={draft.title} maxLength={200} error={problem?.field("/title")} onChange={(event) => change({ title: event.target.value })} />
      <Field label={t("forms.text")} error={problem?.field("/text")}>
        {(control) => <textarea {...control} rows={3} maxLength={2000} value={draft.text ?? ""} onChange={(event) => change({ text: event.target.value || null })} />}
      </Field>
      <TextField label={t("forms.wording")} value={draft.wording} maxLength={2000} hint={t("forms.wordingHint")} error={problem?.field("/wording")} onChange={(event) => change({ wording: event.target.value })} />
      <TextField label={t("forms.button")} value={draft.button ?? ""} maxLength={100} error={problem?.field("/button")} onChange={(event) => change({ button: event.target.value || null })} />
      <Field label={t("forms.success")} hint={t("forms.successHint")} error={problem?.field("/success_message")}>
        {(control) => <textarea {...control} rows={2} maxLength={2000} value={draft.success_message ?? ""} onChange={(event) => change({ success_message: event.target.value || null })} />}
      </Field>
      <TextField label={t("forms.redirect")} type="url" value={draft.redirect_url ?? ""} placeholder="https://shop.example/thanks" hint={t("forms.redirectHint")} error={problem?.field("/redirect_url")} onChange={(event) => change({ redirect_url: event.target.value || null })} />
      <Field label={t("forms.origins")} hint={t("forms.originsHint")} error={below(problem, "/origins")}>
        {(control) => <textarea {...control} rows={2} placeholder="https://shop.example" defaultValue={draft.origins.join("\n")} onChange={(event) => change({ origins: event.target.value.split(/[\s,]+/).filter(Boolean) })} />}
      </Field>
    </section>
  );
}

/** How people get to it: a link, or a copy of it on a page of one's own. */
function Use({ url, draft }: { url: string; draft: Draft }) {
  const { t } = useTranslation();
  const html = embed({ ...draft, url });
  return (
    <section className="card stack">
      <h2>{t("forms.use")}</h2>
      <p className="small muted">{t("forms.linkText")}</p>
      <div className="row keep top"><code className="note break grow">{url}</code><Copy text={url} label={t("forms.copyLink", { name: draft.name })} /></div>
      <p className="small muted">{t("forms.embedText")}</p>
      <div className="row keep top"><code className="note break grow pre" tabIndex={0} style={{ maxBlockSize: 260, overflow: "auto" }}>{html}</code><Copy text={html} label={t("forms.copyHtml")} /></div>
    </section>
  );
}
