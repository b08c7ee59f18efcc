import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState, type FormEvent } from "react";
import { useTranslation } from "react-i18next";
import { api, ask, type Schemas } from "../../api/client";
import { Ago, Button, Confirm, Copy, Dialog, Empty, ErrorNote, Ready, TextField, useToast } from "../../ui/kit";
import { values } from "../door";
import { ScopeChoices, ScopeList, type Scope } from "./scopes";

type Key = Schemas["identity.ApiKey"];

const keysQuery = {
  queryKey: ["api-keys"],
  queryFn: async ({ signal }: { signal: AbortSignal }) => (await ask(api.GET("/api/v1/api-keys", { params: { query: { limit: 500 } }, signal }))).items,
};

export function Keys() {
  const { t } = useTranslation();
  const client = useQueryClient();
  const toast = useToast();
  const keys = useQuery(keysQuery);
  const [adding, setAdding] = useState(false);
  const [removing, setRemoving] = useState<Key | null>(null);
  const refresh = () => client.invalidateQueries({ queryKey: keysQuery.queryKey });
  const remove = useMutation({
    mutationFn: (key: Key) => ask(api.DELETE("/api/v1/api-keys/{id}", { params: { path: { id: key.id } } })),
    onSuccess: async (_, key) => {
      setRemoving(null);
      toast(t("keys.removed", { name: key.name }));
      await refresh();
    },
  });
  const make = <Button kind="primary" onClick={() => setAdding(true)}>{t("keys.new")}</Button>;
  return (
    <section className="stack">
      <div className="row apart"><p className="muted">{t("keys.lead")} <a href="/docs/">{t("keys.docs")}</a></p>{make}</div>
      <div className="card flush"><Ready of={keys}>
        {(items) => items.length === 0 ? <Empty title={t("keys.none")} action={make}>{t("keys.noneText")}</Empty> : (
          <div className="scroll"><table>
            <thead><tr><th scope="col">{t("keys.name")}</th><th scope="col">{t("keys.scopes")}</th><th scope="col" className="end">{t("keys.used")}</th><th scope="col"><span className="visually-hidden">{t("common.actions")}</span></th></tr></thead>
            <tbody>{items.map((key) => (
              <tr key={key.id}>
                <td><strong className="break">{key.name}</strong><div className="small muted mono">{key.prefix}…</div></td>
                <td className="small"><ScopeList of={key.scopes} /></td>
                <td className="end muted nowrap">{key.last_used_at ? <Ago at={key.last_used_at} /> : t("keys.never")}</td>
                <td className="end"><Button small kind="quiet" onClick={() => setRemoving(key)}>{t("keys.remove")}</Button></td>
              </tr>
            ))}</tbody>
          </table></div>
        )}
      </Ready></div>
      {adding && <NewKey onClose={() => setAdding(false)} onMade={refresh} />}
      {removing && (
        <Confirm title={t("keys.removeTitle", { name: removing.name })} name={removing.name} action={t("keys.remove")} busy={remove.isPending}
          error={remove.error} onConfirm={() => remove.mutate(removing)} onClose={() => setRemoving(null)}><p>{t("keys.removeText")}</p></Confirm>
      )}
    </section>
  );
}

function NewKey({ onClose, onMade }: { onClose: () => void; onMade: () => void }) {
  const { t } = useTranslation();
  const [scopes, setScopes] = useState<ReadonlySet<Scope>>(new Set(["leads:read"]));
  const make = useMutation({
    mutationFn: ({ name = "" }: Record<string, string>) => ask(api.POST("/api/v1/api-keys", { body: { name, scopes: [...scopes] } })),
    onSuccess: onMade,
  });
  if (make.data) {
    return (
      <Dialog title={t("keys.made")} onClose={onClose} foot={<Button kind="primary" onClick={onClose}>{t("keys.done")}</Button>}>
        <p>{t("keys.once")}</p>
        <div className="row keep"><code className="note break grow">{make.data.key}</code><Copy text={make.data.key} label={t("common.copy")} /></div>
      </Dialog>
    );
  }
  return (
    <Dialog title={t("keys.new")} onClose={onClose}>
      <form className="stack" onSubmit={(event: FormEvent<HTMLFormElement>) => make.mutate(values(event))}>
        <TextField label={t("keys.name")} name="name" required maxLength={200} autoFocus autoComplete="off" hint={t("keys.nameHint")} />
        <ScopeChoices value={scopes} onChange={setScopes} />
        <ErrorNote error={make.error} />
        <div className="foot row"><Button onClick={onClose}>{t("common.cancel")}</Button><Button kind="primary" type="submit" disabled={scopes.size === 0} busy={make.isPending}>{t("keys.create")}</Button></div>
      </form>
    </Dialog>
  );
}
