import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { useState, type FormEvent } from "react";
import { useTranslation } from "react-i18next";
import { api, ask } from "../../api/client";
import { isProblem } from "../../api/problem";
import { formsQuery, listsQuery, type Form } from "../../api/queries";
import { may, sessionQuery } from "../../api/session";
import { count } from "../../lib/format";
import { Ago, Badge, Button, Confirm, Copy, Dialog, Empty, ErrorNote, PageHead, Ready, SelectField, TextField, useToast } from "../../ui/kit";
import { values } from "../door";

/** Where people come onto lists by themselves. */
export function Forms() {
  const { t } = useTranslation();
  const client = useQueryClient();
  const toast = useToast();
  const { data: session } = useQuery(sessionQuery);
  const forms = useQuery(formsQuery);
  const [adding, setAdding] = useState(false);
  const [removing, setRemoving] = useState<Form | null>(null);
  const remove = useMutation({
    mutationFn: (form: Form) => ask(api.DELETE("/api/v1/forms/{id}", { params: { path: { id: form.id } } })),
    onSuccess: async (_, form) => {
      setRemoving(null);
      toast(t("forms.removed", { name: form.name }));
      await client.invalidateQueries({ queryKey: formsQuery.queryKey });
    },
  });
  const write = may(session, "leads:write");
  const make = write && <Button kind="primary" onClick={() => setAdding(true)}>{t("forms.new")}</Button>;
  return (
    <>
      <PageHead title={t("shell.forms")} lead={t("forms.lead")} actions={make} />
      <section className="card flush"><Ready of={forms}>
        {(items) => items.length === 0 ? <Empty title={t("forms.none")} action={make}>{t("forms.noneText")}</Empty> : (
          <div className="scroll"><table>
            <thead><tr><th scope="col">{t("forms.name")}</th><th scope="col" className="end">{t("forms.sent")}</th><th scope="col" className="end">{t("forms.confirmed")}</th><th scope="col" className="end late">{t("campaigns.changed")}</th><th scope="col"><span className="visually-hidden">{t("common.actions")}</span></th></tr></thead>
            <tbody>{items.map((form) => (
              <tr key={form.id}>
                <td>
                  <div className="row"><Link to="/forms/$id" params={{ id: form.id }}><strong className="break">{form.name}</strong></Link>{!form.active && <Badge>{t("forms.closed")}</Badge>}</div>
                  <div className="small muted break">{form.title}</div>
                </td>
                <td className="end num">{count(form.submissions)}</td>
                <td className="end num">{count(form.confirmations)}</td>
                <td className="end muted nowrap late"><Ago at={form.updated_at} /></td>
                <td className="end nowrap">
                  <Copy text={form.url} label={t("forms.copyLink", { name: form.name })} />
                  {write && <Button small kind="quiet" onClick={() => { remove.reset(); setRemoving(form); }}>{t("common.delete")}</Button>}
                </td>
              </tr>
            ))}</tbody>
          </table></div>
        )}
      </Ready></section>
      {adding && <NewForm onClose={() => setAdding(false)} />}
      {removing && (
        <Confirm title={t("forms.removeTitle", { name: removing.name })} name={removing.name} action={t("common.delete")} busy={remove.isPending}
          error={remove.error} onConfirm={() => remove.mutate(removing)} onClose={() => setRemoving(null)}><p>{t("forms.removeText")}</p></Confirm>
      )}
    </>
  );
}

function NewForm({ onClose }: { onClose: () => void }) {
  const { t, i18n } = useTranslation();
  const client = useQueryClient();
  const navigate = useNavigate();
  const lists = useQuery(listsQuery);
  const make = useMutation({
    mutationFn: ({ name = "", list = "", wording = "" }: Record<string, string>) => ask(api.POST("/api/v1/forms", {
      body: { name, title: name, list_ids: [list], wording, language: i18n.resolvedLanguage === "de" ? "de" : "en" },
    })),
    onSuccess: async (made) => {
      await client.invalidateQueries({ queryKey: formsQuery.queryKey, refetchType: "none" });
      await navigate({ to: "/forms/$id", params: { id: made.id } });
    },
  });
  const problem = isProblem(make.error) ? make.error : undefined;
  return (
    <Dialog title={t("forms.new")} onClose={onClose}>
      <Ready of={lists}>
        {(items) => items.length === 0 ? (
          <>
            <p>{t("forms.noLists")}</p>
            <div className="foot row"><Button onClick={onClose}>{t("common.cancel")}</Button><Link className="button primary" to="/lists">{t("lists.title")}</Link></div>
          </>
        ) : (
          <form className="stack" onSubmit={(event: FormEvent<HTMLFormElement>) => make.mutate(values(event))}>
            <TextField label={t("forms.name")} name="name" required maxLength={200} autoFocus autoComplete="off" hint={t("forms.nameHint")} error={problem?.field("/name")} />
            <SelectField label={t("forms.list")} name="list">{items.map((list) => <option key={list.id} value={list.id}>{list.name}</option>)}</SelectField>
            <TextField label={t("forms.wording")} name="wording" required maxLength={2000} autoComplete="off" defaultValue={t("forms.wordingExample")} hint={t("forms.wordingHint")} error={problem?.field("/wording")} />
            {problem?.fields.length ? null : <ErrorNote error={make.error} />}
            <div className="foot row"><Button onClick={onClose}>{t("common.cancel")}</Button><Button kind="primary" type="submit" busy={make.isPending}>{t("forms.create")}</Button></div>
          </form>
        )}
      </Ready>
    </Dialog>
  );
}
