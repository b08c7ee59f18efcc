import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState, type FormEvent } from "react";
import { useTranslation } from "react-i18next";
import { api, ask, type Schemas } from "../../api/client";
import { isProblem } from "../../api/problem";
import { given } from "../../api/queries";
import { Ago, Badge, Button, Confirm, Copy, Dialog, Empty, ErrorNote, Ready, SelectField, TextField, useToast } from "../../ui/kit";
import { values } from "../door";

type Hook = Schemas["notifications.Hook"];
/** The names that they call themselves by. */
const PROVIDERS = { mailgun: "Mailgun", postmark: "Postmark", sendgrid: "SendGrid", ses: "Amazon SES" } as const;
type Provider = keyof typeof PROVIDERS;
const NAMES = Object.keys(PROVIDERS) as Provider[];
const nameOf = (provider: string): string => PROVIDERS[provider as Provider] ?? provider;

const hooksQuery = {
  queryKey: ["hooks"],
  queryFn: async ({ signal }: { signal: AbortSignal }) => (await ask(api.GET("/api/v1/hooks", { params: { query: { limit: 500 } }, signal }))).items,
};

/** Where providers tell what became of mails after they took them. */
export function Bounces() {
  const { t } = useTranslation();
  const client = useQueryClient();
  const toast = useToast();
  const hooks = useQuery(hooksQuery);
  const [adding, setAdding] = useState(false);
  const [removing, setRemoving] = useState<Hook | null>(null);
  const refresh = () => client.invalidateQueries({ queryKey: hooksQuery.queryKey });
  const remove = useMutation({
    mutationFn: (hook: Hook) => ask(api.DELETE("/api/v1/hooks/{id}", { params: { path: { id: hook.id } } })),
    onSuccess: async (_, hook) => {
      setRemoving(null);
      toast(t("bounces.removed", { name: nameOf(hook.provider) }));
      await refresh();
    },
  });
  const make = <Button kind="primary" onClick={() => setAdding(true)}>{t("bounces.new")}</Button>;
  return (
    <section className="stack">
      <div className="row apart"><p className="muted grow">{t("bounces.lead")}</p>{make}</div>
      <div className="card flush"><Ready of={hooks}>
        {(items) => items.length === 0 ? <Empty title={t("bounces.none")} action={make}>{t("bounces.noneText")}</Empty> : (
          <div className="scroll"><table>
            <thead><tr><th scope="col">{t("bounces.provider")}</th><th scope="col">{t("bounces.heard")}</th><th scope="col" className="end late">{t("bounces.made")}</th><th scope="col"><span className="visually-hidden">{t("common.actions")}</span></th></tr></thead>
            <tbody>{items.map((hook) => (
              <tr key={hook.id}>
                <td><strong>{nameOf(hook.provider)}</strong></td>
                <td>{hook.last_used_at ? <span className="muted"><Ago at={hook.last_used_at} /></span> : <Badge tone="warn">{t("bounces.silent")}</Badge>}</td>
                <td className="end muted nowrap late"><Ago at={hook.created_at} /></td>
                <td className="end"><Button small kind="quiet" aria-label={t("bounces.remove", { name: nameOf(hook.provider) })} onClick={() => { remove.reset(); setRemoving(hook); }}>{t("common.delete")}</Button></td>
              </tr>
            ))}</tbody>
          </table></div>
        )}
      </Ready></div>
      <p className="small muted">{t("bounces.ownServer")}</p>
      {adding && <NewHook onClose={() => setAdding(false)} onMade={refresh} />}
      {removing && (
        <Confirm title={t("bounces.removeTitle", { name: nameOf(removing.provider) })} name={nameOf(removing.provider)} action={t("common.delete")} busy={remove.isPending}
          error={remove.error} onConfirm={() => remove.mutate(removing)} onClose={() => setRemoving(null)}><p>{t("bounces.removeText")}</p></Confirm>
      )}
    </section>
  );
}

function NewHook({ onClose, onMade }: { onClose: () => void; onMade: () => void }) {
  const { t } = useTranslation();
  const [provider, setProvider] = useState<Provider>("mailgun");
  const make = useMutation({
    mutationFn: ({ secret = "" }: Record<string, string>) => ask(api.POST("/api/v1/hooks", { body: { provider, ...given({ secret: secret.trim() }) } })),
    onSuccess: onMade,
  });
  const problem = isProblem(make.error) ? make.error : undefined;
  if (make.data) {
    return (
      <Dialog title={t("bounces.url", { name: nameOf(provider) })} onClose={onClose} foot={<Button kind="primary" onClick={onClose}>{t("keys.done")}</Button>}>
        <p>{t("bounces.once")}</p>
        <div className="row keep top"><code className="note break grow" data-testid="hook">{make.data.url}</code><Copy text={make.data.url} label={t("common.copy")} /></div>
        <p className="muted">{t(`bounces.then.${provider}`)}</p>
      </Dialog>
    );
  }
  return (
    <Dialog title={t("bounces.new")} onClose={onClose}>
      <form className="stack" onSubmit={(event: FormEvent<HTMLFormElement>) => make.mutate(values(event))}>
        <SelectField label={t("bounces.provider")} value={provider} autoFocus onChange={(event) => { make.reset(); setProvider(NAMES.find((one) => one === event.target.value) ?? "mailgun"); }}>
          {NAMES.map((one) => <option key={one} value={one}>{PROVIDERS[one]}</option>)}
        </SelectField>
        {provider === "postmark" ? <p className="note warning">{t("bounces.postmark")}</p> : (
          <TextField key={provider} label={t(`bounces.secret.${provider}`)} name="secret" required maxLength={1024} autoComplete="off" spellCheck={false}
            hint={t(`bounces.secretHint.${provider}`)} error={problem?.field("/secret")} />
        )}
        {problem?.fields.length ? null : <ErrorNote error={make.error} />}
        <div className="foot row"><Button onClick={onClose}>{t("common.cancel")}</Button><Button kind="primary" type="submit" busy={make.isPending}>{t("bounces.make")}</Button></div>
      </form>
    </Dialog>
  );
}
