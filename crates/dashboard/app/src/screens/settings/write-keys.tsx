import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState, type FormEvent } from "react";
import { useTranslation } from "react-i18next";
import { api, ask, type Schemas } from "../../api/client";
import { isProblem } from "../../api/problem";
import { Ago, Badge, Button, Confirm, Copy, Dialog, Empty, ErrorNote, Field, Ready, TextField, useToast } from "../../ui/kit";
import { values } from "../door";

type Key = Schemas["analytics.WriteKey"];

const writeKeysQuery = {
  queryKey: ["write-keys"],
  queryFn: async ({ signal }: { signal: AbortSignal }) => (await ask(api.GET("/api/v1/write-keys", { params: { query: { limit: 500 } }, signal }))).items,
};

/** What sites and programs send their events with. */
export function WriteKeys() {
  const { t } = useTranslation();
  const client = useQueryClient();
  const toast = useToast();
  const keys = useQuery(writeKeysQuery);
  const [editing, setEditing] = useState<Key | "new" | null>(null);
  const [showing, setShowing] = useState<Key | null>(null);
  const [revoking, setRevoking] = useState<Key | null>(null);
  const refresh = () => client.invalidateQueries({ queryKey: writeKeysQuery.queryKey });
  const revoke = useMutation({
    mutationFn: (key: Key) => ask(api.DELETE("/api/v1/write-keys/{id}", { params: { path: { id: key.id } } })),
    onSuccess: async (_, key) => {
      setRevoking(null);
      toast(t("writeKeys.revokedNow", { name: key.name }));
      await refresh();
    },
  });
  const make = <Button kind="primary" onClick={() => setEditing("new")}>{t("writeKeys.new")}</Button>;
  return (
    <section className="stack">
      <div className="row apart"><p className="muted grow">{t("writeKeys.lead")}</p>{make}</div>
      <div className="card flush"><Ready of={keys}>
        {(items) => items.length === 0 ? <Empty title={t("writeKeys.none")} action={make}>{t("writeKeys.noneText")}</Empty> : (
          <div className="scroll"><table>
            <thead><tr><th scope="col">{t("keys.name")}</th><th scope="col">{t("writeKeys.origins")}</th><th scope="col" className="end">{t("lists.since")}</th><th scope="col"><span className="visually-hidden">{t("common.actions")}</span></th></tr></thead>
            <tbody>{items.map((key) => (
              <tr key={key.id}>
                <td><div className="row"><strong className="break">{key.name}</strong>{key.revoked_at && <Badge tone="bad">{t("writeKeys.revoked")}</Badge>}</div><code className="small muted break">{key.key}</code></td>
                <td className="small">{key.origins.length > 0 ? key.origins.map((origin) => <div key={origin} className="break">{origin}</div>) : <span className="muted">{t("writeKeys.anyOrigin")}</span>}</td>
                <td className="end muted nowrap"><Ago at={key.created_at} /></td>
                <td className="end nowrap">{!key.revoked_at && (
                  <>
                    <Button small onClick={() => setShowing(key)}>{t("writeKeys.use")}</Button>
                    <Button small kind="quiet" onClick={() => setEditing(key)}>{t("common.edit")}</Button>
                    <Button small kind="quiet" onClick={() => { revoke.reset(); setRevoking(key); }}>{t("writeKeys.revoke")}</Button>
                  </>
                )}</td>
              </tr>
            ))}</tbody>
          </table></div>
        )}
      </Ready></div>
      {editing && <Edit of={editing === "new" ? null : editing} onClose={() => setEditing(null)} onSaved={async (key) => {
        setEditing(null);
        await refresh();
        if (editing === "new") setShowing(key);
      }} />}
      {showing && <Snippets of={showing} onClose={() => setShowing(null)} />}
      {revoking && (
        <Confirm title={t("writeKeys.revokeTitle", { name: revoking.name })} name={revoking.name} action={t("writeKeys.revoke")} busy={revoke.isPending}
          error={revoke.error} onConfirm={() => revoke.mutate(revoking)} onClose={() => setRevoking(null)}><p>{t("writeKeys.revokeText")}</p></Confirm>
      )}
    </section>
  );
}

function Edit({ of, onClose, onSaved }: { of: Key | null; onClose: () => void; onSaved: (key: Key) => void }) {
  const { t } = useTranslation();
  const save = useMutation({
    mutationFn: ({ name = "", origins = "" }: Record<string, string>) => {
      const body = { name, origins: origins.split(/[\s,]+/).filter(Boolean) };
      return of ? ask(api.PATCH("/api/v1/write-keys/{id}", { params: { path: { id: of.id } }, body })) : ask(api.POST("/api/v1/write-keys", { body }));
    },
    onSuccess: onSaved,
  });
  const problem = isProblem(save.error) ? save.error : undefined;
  const wrong = problem?.fields.filter((field) => field.pointer.startsWith("/origins")).map((field) => field.detail).join("; ");
  return (
    <Dialog title={t(of ? "writeKeys.edit" : "writeKeys.new")} onClose={onClose}>
      <form className="stack" onSubmit={(event: FormEvent<HTMLFormElement>) => save.mutate(values(event))}>
        <TextField label={t("keys.name")} name="name" required maxLength={100} autoFocus autoComplete="off" defaultValue={of?.name} hint={t("writeKeys.nameHint")} error={problem?.field("/name")} />
        <Field label={t("writeKeys.origins")} hint={t("writeKeys.originsHint")} error={wrong || undefined}>
          {(control) => <textarea {...control} name="origins" rows={3} placeholder="https://shop.example" defaultValue={of?.origins.join("\n")} />}
        </Field>
        {problem?.fields.length ? null : <ErrorNote error={save.error} />}
        <div className="foot row"><Button onClick={onClose}>{t("common.cancel")}</Button><Button kind="primary" type="submit" busy={save.isPending}>{of ? t("common.save") : t("keys.create")}</Button></div>
      </form>
    </Dialog>
  );
}

function Snippets({ of, onClose }: { of: Key; onClose: () => void }) {
  const { t } = useTranslation();
  const site = `<script defer src="${location.origin}/t.js" data-key="${of.key}"></script>`;
  const library = `new Analytics({ writeKey: "${of.key}", host: "${location.origin}" })`;
  const request = `curl ${location.origin}/v1/track -u ${of.key}: -H 'content-type: application/json' \\\n  -d '{"userId": "42", "event": "Signed Up"}'`;
  return (
    <Dialog title={t("writeKeys.useTitle", { name: of.name })} onClose={onClose} foot={<Button kind="primary" onClick={onClose}>{t("common.close")}</Button>}>
      {([["site", site], ["library", library], ["request", request]] as const).map(([kind, text]) => (
        <div key={kind} className="stack tight">
          <h3>{t(`writeKeys.ways.${kind}`)}</h3>
          <p className="small muted">{t(`writeKeys.wayTexts.${kind}`)}</p>
          <div className="row keep top"><code className="note break grow pre">{text}</code><Copy text={text} label={t("common.copy")} /></div>
        </div>
      ))}
    </Dialog>
  );
}
