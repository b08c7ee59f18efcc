import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { useState, type FormEvent } from "react";
import { useTranslation } from "react-i18next";
import { api, ask } from "../../api/client";
import { templatesQuery, type Template } from "../../api/queries";
import { may, sessionQuery } from "../../api/session";
import { STARTERS } from "../../lib/starters";
import { Ago, Button, Confirm, Dialog, Empty, ErrorNote, PageHead, Ready, SelectField, TextField, useToast } from "../../ui/kit";
import { values } from "../door";

/** Content to begin from again and again, and what programs send single mails with. */
export function Templates() {
  const { t } = useTranslation();
  const client = useQueryClient();
  const navigate = useNavigate();
  const toast = useToast();
  const { data: session } = useQuery(sessionQuery);
  const templates = useQuery(templatesQuery);
  const [adding, setAdding] = useState(false);
  const [removing, setRemoving] = useState<Template | null>(null);
  const remove = useMutation({
    mutationFn: (template: Template) => ask(api.DELETE("/api/v1/templates/{id}", { params: { path: { id: template.id } } })),
    onSuccess: async (_, template) => {
      setRemoving(null);
      toast(t("templates.removed", { name: template.name }));
      await client.invalidateQueries({ queryKey: templatesQuery.queryKey });
    },
  });
  const use = useMutation({
    mutationFn: (template: Template) => ask(api.POST("/api/v1/campaigns", { body: { name: template.name, template_id: template.id } })),
    onSuccess: (made) => navigate({ to: "/campaigns/$id", params: { id: made.id } }),
  });
  const write = may(session, "campaigns:write");
  const make = write && <Button kind="primary" onClick={() => setAdding(true)}>{t("templates.new")}</Button>;
  return (
    <>
      <PageHead title={t("shell.templates")} lead={t("templates.lead")} actions={make} />
      <ErrorNote error={use.error} />
      <section className="card flush"><Ready of={templates}>
        {(items) => items.length === 0 ? <Empty title={t("templates.none")} action={make}>{t("templates.noneText")}</Empty> : (
          <div className="scroll"><table>
            <thead><tr><th scope="col">{t("campaigns.name")}</th><th scope="col">{t("editor.format")}</th><th scope="col" className="end late">{t("campaigns.changed")}</th><th scope="col"><span className="visually-hidden">{t("common.actions")}</span></th></tr></thead>
            <tbody>{items.map((template) => (
              <tr key={template.id}>
                <td><Link to="/templates/$id" params={{ id: template.id }}><strong className="break">{template.name}</strong></Link><div className="small muted break">{template.subject || t("campaigns.noSubject")}</div></td>
                <td className="nowrap">{t(`editor.formats.${template.content.format}`)}</td>
                <td className="end muted nowrap late"><Ago at={template.updated_at} /></td>
                <td className="end nowrap">{write && <><Button small busy={use.isPending} onClick={() => use.mutate(template)}>{t("templates.use")}</Button><Button small kind="quiet" onClick={() => { remove.reset(); setRemoving(template); }}>{t("common.delete")}</Button></>}</td>
              </tr>
            ))}</tbody>
          </table></div>
        )}
      </Ready></section>
      {adding && <NewTemplate onClose={() => setAdding(false)} />}
      {removing && (
        <Confirm title={t("templates.removeTitle", { name: removing.name })} name={removing.name} action={t("common.delete")} busy={remove.isPending}
          error={remove.error} onConfirm={() => remove.mutate(removing)} onClose={() => setRemoving(null)}><p>{t("templates.removeText")}</p></Confirm>
      )}
    </>
  );
}

function NewTemplate({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation();
  const client = useQueryClient();
  const navigate = useNavigate();
  const [starter, setStarter] = useState<keyof typeof STARTERS>("newsletter");
  const make = useMutation({
    mutationFn: ({ name = "" }: Record<string, string>) => ask(api.POST("/api/v1/templates", { body: { name, content: STARTERS[starter] } })),
    onSuccess: async (made) => {
      await client.invalidateQueries({ queryKey: templatesQuery.queryKey, refetchType: "none" });
      await navigate({ to: "/templates/$id", params: { id: made.id } });
    },
  });
  return (
    <Dialog title={t("templates.new")} onClose={onClose}>
      <form className="stack" onSubmit={(event: FormEvent<HTMLFormElement>) => make.mutate(values(event))}>
        <TextField label={t("campaigns.name")} name="name" required maxLength={200} autoFocus autoComplete="off" />
        <SelectField label={t("campaigns.startFrom")} value={starter} onChange={(event) => setStarter(event.target.value as keyof typeof STARTERS)}>
          {(["newsletter", "letter", "html", "text"] as const).map((one) => <option key={one} value={one}>{t(`campaigns.starters.${one}`)}</option>)}
        </SelectField>
        <ErrorNote error={make.error} />
        <div className="foot row"><Button onClick={onClose}>{t("common.cancel")}</Button><Button kind="primary" type="submit" busy={make.isPending}>{t("campaigns.create")}</Button></div>
      </form>
    </Dialog>
  );
}
