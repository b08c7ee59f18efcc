import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState, type FormEvent } from "react";
import { useTranslation } from "react-i18next";
import { api, ask, askFull, type Schemas } from "../../api/client";
import { isProblem } from "../../api/problem";
import { sessionQuery } from "../../api/session";
import { Ago, Button, Confirm, Dialog, ErrorNote, Ready, SelectField, TextField, useToast } from "../../ui/kit";
import { values } from "../door";

type User = Schemas["identity.User"];
type Role = User["role"];
const ROLES = ["owner", "admin", "marketer", "analyst", "customer"] as const;

const usersQuery = {
  queryKey: ["users"],
  queryFn: async ({ signal }: { signal: AbortSignal }) => (await ask(api.GET("/api/v1/users", { params: { query: { limit: 500 } }, signal }))).items,
};

async function update(id: string, body: Schemas["identity.UpdateUser"]) {
  // The version is read first, so that nobody else's change is overwritten unseen.
  const { etag } = await askFull(api.GET("/api/v1/users/{id}", { params: { path: { id } } }));
  return ask(api.PUT("/api/v1/users/{id}", { params: { path: { id } }, body, ...(etag && { headers: { "If-Match": etag } }) }));
}

export function People() {
  const { t } = useTranslation();
  const client = useQueryClient();
  const toast = useToast();
  const { data: session } = useQuery(sessionQuery);
  const users = useQuery(usersQuery);
  const [adding, setAdding] = useState(false);
  const [removing, setRemoving] = useState<User | null>(null);
  const refresh = () => client.invalidateQueries({ queryKey: usersQuery.queryKey });
  const change = useMutation({ mutationFn: ({ id, role }: { id: string; role: Role }) => update(id, { role }), onSettled: refresh });
  const remove = useMutation({
    mutationFn: (user: User) => ask(api.DELETE("/api/v1/users/{id}", { params: { path: { id: user.id } } })),
    onSuccess: async (_, user) => {
      setRemoving(null);
      toast(t("people.removed", { name: user.name }));
      await refresh();
    },
  });
  return (
    <section className="stack">
      <div className="row apart"><p className="muted">{t("people.lead")}</p><Button kind="primary" onClick={() => setAdding(true)}>{t("people.add")}</Button></div>
      <ErrorNote error={change.error} />
      <div className="card flush"><Ready of={users}>
        {(items) => (
          <div className="scroll"><table>
            <thead><tr><th scope="col">{t("people.name")}</th><th scope="col">{t("people.role")}</th><th scope="col" className="end">{t("lists.since")}</th><th scope="col"><span className="visually-hidden">{t("common.actions")}</span></th></tr></thead>
            <tbody>{items.map((user) => {
              const self = user.id === session?.user.id;
              return (
                <tr key={user.id}>
                  <td><strong className="break">{user.name}</strong><div className="small muted break">{user.email}</div></td>
                  <td>
                    <select className="input" style={{ inlineSize: "auto" }} aria-label={t("people.roleOf", { name: user.name })} value={user.role} disabled={self || change.isPending}
                      onChange={(event) => change.mutate({ id: user.id, role: event.target.value as Role })}>
                      {ROLES.map((role) => <option key={role} value={role}>{t(`roles.${role}`)}</option>)}
                    </select>
                  </td>
                  <td className="end muted nowrap"><Ago at={user.created_at} /></td>
                  <td className="end">{!self && <Button small kind="quiet" onClick={() => setRemoving(user)}>{t("people.remove")}</Button>}</td>
                </tr>
              );
            })}</tbody>
          </table></div>
        )}
      </Ready></div>
      {adding && <Add onClose={() => setAdding(false)} onAdded={refresh} />}
      {removing && (
        <Confirm title={t("people.removeTitle", { name: removing.name })} name={removing.name} action={t("people.remove")} busy={remove.isPending}
          error={remove.error} onConfirm={() => remove.mutate(removing)} onClose={() => setRemoving(null)}><p>{t("people.removeText")}</p></Confirm>
      )}
    </section>
  );
}

function Add({ onClose, onAdded }: { onClose: () => void; onAdded: () => void }) {
  const { t } = useTranslation();
  const [role, setRole] = useState<Role>("marketer");
  const add = useMutation({
    mutationFn: ({ name = "", email = "", password = "" }: Record<string, string>) => ask(api.POST("/api/v1/users", { body: { name, email, password, role } })),
    onSuccess: () => {
      onAdded();
      onClose();
    },
  });
  const problem = isProblem(add.error) ? add.error : undefined;
  return (
    <Dialog title={t("people.add")} onClose={onClose}>
      <form className="stack" onSubmit={(event: FormEvent<HTMLFormElement>) => add.mutate(values(event))}>
        <TextField label={t("people.name")} name="name" required autoFocus autoComplete="off" error={problem?.field("/name")} />
        <TextField label={t("fields.email")} name="email" type="email" required autoComplete="off" error={problem?.field("/email")} />
        <TextField label={t("people.password")} name="password" type="password" required minLength={8} autoComplete="new-password" hint={t("people.passwordHint")} error={problem?.field("/password")} />
        <SelectField label={t("people.role")} value={role} hint={t(`roleHints.${role}`)} onChange={(event) => setRole(event.target.value as Role)}>
          {ROLES.map((one) => <option key={one} value={one}>{t(`roles.${one}`)}</option>)}
        </SelectField>
        {problem?.fields.length ? null : <ErrorNote error={add.error} />}
        <div className="foot row"><Button onClick={onClose}>{t("common.cancel")}</Button><Button kind="primary" type="submit" busy={add.isPending}>{t("people.add")}</Button></div>
      </form>
    </Dialog>
  );
}

/** One's own name and password. */
export function Account() {
  const { t } = useTranslation();
  const client = useQueryClient();
  const toast = useToast();
  const { data: session } = useQuery(sessionQuery);
  const id = session?.user.id ?? "";
  const name = useMutation({
    mutationFn: (given: Record<string, string>) => update(id, { name: given.name ?? "" }),
    onSuccess: async () => {
      toast(t("common.saved"));
      await client.invalidateQueries({ queryKey: sessionQuery.queryKey });
    },
  });
  const password = useMutation({
    mutationFn: (given: Record<string, string>) => update(id, { password: given.password ?? "", current_password: given.current ?? "" }),
    onSuccess: async () => {
      toast(t("account.changed"));
      // It ended every sign-in, this one too.
      await client.invalidateQueries();
    },
  });
  const wrong = isProblem(password.error) ? password.error : undefined;
  return (
    <div className="stack wide" style={{ maxInlineSize: 520 }}>
      <form className="card stack" onSubmit={(event: FormEvent<HTMLFormElement>) => name.mutate(values(event))}>
        <h2>{t("account.you")}</h2>
        <TextField key={session?.user.name} label={t("door.name")} name="name" required maxLength={200} defaultValue={session?.user.name} />
        <p className="muted small break">{session?.user.email} · {session && t(`roles.${session.user.role}`)}</p>
        <ErrorNote error={name.error} />
        <div><Button kind="primary" type="submit" busy={name.isPending}>{t("common.save")}</Button></div>
      </form>
      <form className="card stack" onSubmit={(event: FormEvent<HTMLFormElement>) => password.mutate(values(event))}>
        <h2>{t("account.password")}</h2>
        <p className="muted small">{t("account.passwordText")}</p>
        <TextField label={t("account.current")} name="current" type="password" required autoComplete="current-password" error={wrong?.field("/current_password")} />
        <TextField label={t("account.next")} name="password" type="password" required minLength={8} autoComplete="new-password" hint={t("door.passwordHint")} error={wrong?.field("/password")} />
        {wrong?.fields.length ? null : <ErrorNote error={password.error} />}
        <div><Button kind="primary" type="submit" busy={password.isPending}>{t("account.change")}</Button></div>
      </form>
    </div>
  );
}

export function Workspace() {
  const { t } = useTranslation();
  const client = useQueryClient();
  const toast = useToast();
  const workspace = useQuery({
    queryKey: ["workspace"],
    queryFn: ({ signal }) => askFull(api.GET("/api/v1/workspaces/current", { signal })),
  });
  const save = useMutation({
    mutationFn: ({ name = "" }: Record<string, string>) =>
      ask(api.PUT("/api/v1/workspaces/current", { body: { name }, ...(workspace.data?.etag && { headers: { "If-Match": workspace.data.etag } }) })),
    onSuccess: async () => {
      toast(t("common.saved"));
      await client.invalidateQueries({ queryKey: ["workspace"] });
      await client.invalidateQueries({ queryKey: sessionQuery.queryKey });
    },
  });
  return (
    <Ready of={workspace}>
      {({ data }) => (
        <form className="card stack" style={{ maxInlineSize: 520 }} onSubmit={(event: FormEvent<HTMLFormElement>) => save.mutate(values(event))}>
          <TextField key={data.updated_at} label={t("settings.workspaceName")} name="name" required maxLength={200} defaultValue={data.name} hint={t("settings.workspaceHint")} />
          <ErrorNote error={save.error} />
          <div><Button kind="primary" type="submit" busy={save.isPending}>{t("common.save")}</Button></div>
        </form>
      )}
    </Ready>
  );
}
