import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";
import { useMemo, useRef, useState, type FormEvent } from "react";
import { useTranslation } from "react-i18next";
import { api, ask, askFull } from "../../api/client";
import { templateQuery, templatesQuery, type Template } from "../../api/queries";
import { may, sessionQuery } from "../../api/session";
import { useDraft } from "../../lib/draft";
import { variablesOf } from "../../lib/variables";
import { Button, Dialog, ErrorNote, Loading, PageHead, Ready, TextField, useToast } from "../../ui/kit";
import { VariableField } from "../../ui/variables";
import { Conflict } from "../conflict";
import { values } from "../door";
import { Body, SaveNote } from "../editor";
import { Preview } from "../preview";

type Draft = Pick<Template, "name" | "subject" | "preheader" | "content">;
const draftOf = ({ name, subject, preheader, content }: Template): Draft => ({ name, subject, preheader, content });

export function TemplateScreen() {
  const { id } = useParams({ from: "/shell/templates/$id" });
  // It begins from what is stored now; what is typed after that must not be replaced.
  const template = useQuery({ ...templateQuery(id), refetchOnMount: "always", refetchOnWindowFocus: false });
  if (!template.isFetchedAfterMount) return <Loading />;
  return <Ready of={template}>{({ data, etag }) => <Edit key={id} template={data} etag={etag} />}</Ready>;
}

function Edit({ template, etag }: { template: Template; etag: string | undefined }) {
  const { t } = useTranslation();
  const client = useQueryClient();
  const { data: session } = useQuery(sessionQuery);
  const { id } = template;
  const [lead, setLead] = useState<unknown>();
  const [testing, setTesting] = useState(false);
  // A template is written whole: the fields that did not change are those that are stored.
  const stored = useRef(draftOf(template));
  const write = may(session, "campaigns:write");

  const editing = useDraft<Draft>({
    shelf: `template.${id}`,
    value: draftOf(template),
    etag,
    async save(changes, version) {
      const saved = await askFull(api.PUT("/api/v1/templates/{id}", {
        params: { path: { id } }, body: { ...stored.current, ...changes }, ...(version && { headers: { "If-Match": version } }),
      }));
      stored.current = draftOf(saved.data);
      client.setQueryData(templateQuery(id).queryKey, saved);
      await client.invalidateQueries({ queryKey: templatesQuery.queryKey, exact: true, refetchType: "none" });
      return { value: stored.current, etag: saved.etag };
    },
  });
  const { draft, state, problem, change } = editing;
  const variables = useMemo(() => variablesOf(lead), [lead]);
  return (
    <>
      <PageHead title={draft.name || t("editor.untitled")} crumb={<Link to="/templates">{t("shell.templates")}</Link>} lead={<SaveNote state={state} />}
        actions={may(session, "messages:send") && write && <Button onClick={() => setTesting(true)}>{t("editor.test")}</Button>} />
      <div className="editor">
        <fieldset className="stack wide" disabled={!write}>
          <section className="card stack">
            <h2>{t("templates.basics")}</h2>
            <TextField label={t("campaigns.name")} value={draft.name} maxLength={200} error={problem?.field("/name")} onChange={(event) => change({ name: event.target.value })} />
            <VariableField label={t("editor.subject")} value={draft.subject} maxLength={1000} variables={variables} error={problem?.field("/subject")} onChange={(subject) => change({ subject })} />
            <VariableField label={t("editor.preheader")} value={draft.preheader} maxLength={1000} hint={t("editor.preheaderHint")} variables={variables} error={problem?.field("/preheader")} onChange={(preheader) => change({ preheader })} />
          </section>
          <Body content={draft.content} change={change} problem={problem} variables={variables} />
        </fieldset>
        <div className="sticky stack"><Preview draft={draft} onLead={setLead} /></div>
      </div>
      {state.kind === "conflict" && (
        <Conflict<Draft> title={t("conflict.titleTemplate")} mine={editing.unsaved()}
          load={async () => {
            const { data, etag: version } = await askFull(api.GET("/api/v1/templates/{id}", { params: { path: { id } } }));
            return { data: draftOf(data), etag: version };
          }}
          onDone={(theirs, version, keep) => {
            stored.current = theirs;
            editing.resolve(theirs, version, keep);
          }} />
      )}
      {testing && <TestTemplate id={id} ready={editing.flush} onClose={() => setTesting(false)} />}
    </>
  );
}

/** A test is of a campaign that begins from the template; that one is gone again afterwards. */
async function sendTest(id: string, name: string, from: string, to: string[]) {
  const campaign = await ask(api.POST("/api/v1/campaigns", { body: { name, template_id: id, from: { email: from } } }));
  const params = { path: { id: campaign.id } };
  try {
    await ask(api.POST("/api/v1/campaigns/{id}/test", { params, body: { to } }));
  } finally {
    await ask(api.DELETE("/api/v1/campaigns/{id}", { params }));
  }
}

function TestTemplate({ id, ready, onClose }: { id: string; ready: () => Promise<boolean>; onClose: () => void }) {
  const { t } = useTranslation();
  const toast = useToast();
  const { data: session } = useQuery(sessionQuery);
  const [unsaved, setUnsaved] = useState(false);
  const send = useMutation({
    mutationFn: async ({ from = "", to = "" }: Record<string, string>) => {
      const saved = await ready();
      setUnsaved(!saved);
      if (!saved) return null;
      await sendTest(id, t("templates.testName"), from.trim(), to.split(/[\s,;]+/).filter(Boolean));
      return to;
    },
    onSuccess: (to) => {
      if (to === null) return;
      toast(t("test.sent", { to }));
      onClose();
    },
  });
  const email = session?.user.email ?? "";
  return (
    <Dialog title={t("test.title")} onClose={onClose}>
      <form className="stack" onSubmit={(event: FormEvent<HTMLFormElement>) => send.mutate(values(event))}>
        <TextField label={t("test.to")} name="to" required defaultValue={email} hint={t("templates.testHint")} autoFocus />
        <TextField label={t("editor.fromEmail")} name="from" type="email" required defaultValue={email} />
        {unsaved && <div className="note error" role="alert">{t("start.unsaved")}</div>}
        <ErrorNote error={send.error} />
        <div className="foot row"><Button onClick={onClose}>{t("common.cancel")}</Button><Button kind="primary" type="submit" busy={send.isPending}>{t("test.send")}</Button></div>
      </form>
    </Dialog>
  );
}
