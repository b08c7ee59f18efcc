import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState, type FormEvent } from "react";
import { useTranslation } from "react-i18next";
import { api, ask, askFull, type Schemas } from "../../api/client";
import { isProblem } from "../../api/problem";
import { usersQuery } from "../../api/queries";
import { may, sessionQuery } from "../../api/session";
import { Ago, Button, Check, Confirm, Dialog, Empty, ErrorNote, Ready, SelectField, TextField, useToast } from "../../ui/kit";
import { values } from "../door";
import { ScopeChoices, ScopeList, type Scope } from "./scopes";

type User = Schemas["identity.User"];
type Invitation = Schemas["identity.Invitation"];
type CustomRole = Schemas["identity.CustomRole"];
type Role = User["role"];
const ROLES = ["owner", "admin", "marketer", "analyst", "customer"] as const;
const rolesQuery = {
  queryKey: ["roles"],
  queryFn: async ({ signal }: { signal: AbortSignal }) => (await ask(api.GET("/api/v1/roles", { params: { query: { limit: 500 } }, signal }))).items,
};
const invitationsQuery = {
  queryKey: ["invitations"],
  queryFn: async ({ signal }: { signal: AbortSignal }) => (await ask(api.GET("/api/v1/invitations", { params: { query: { limit: 500 } }, signal }))).items,
};

export async function updateUser(id: string, body: Schemas["identity.UpdateUser"]) {
  // The version is read first, so that nobody else's change is overwritten unseen.
  const { etag } = await askFull(api.GET("/api/v1/users/{id}", { params: { path: { id } } }));
  return ask(api.PUT("/api/v1/users/{id}", { params: { path: { id } }, body, ...(etag && { headers: { "If-Match": etag } }) }));
}

/** A role as the value of a choice: one of the five, or one of the workspace's own. */
const OWN = "own:";
const written = (role: Role, role_id?: string | null) => (role_id ? OWN + role_id : role);
const read = (value: string): { role: Role; role_id?: string } =>
  value.startsWith(OWN) ? { role: "custom", role_id: value.slice(OWN.length) } : { role: value as Role };

/** `chosen` may be an own role that is not known yet: a choice that names none of its options would show the first, an owner. */
function RoleOptions({ own, chosen }: { own: CustomRole[] | undefined; chosen: string }) {
  const { t } = useTranslation();
  const unknown = chosen.startsWith(OWN) && !own?.some((role) => written("custom", role.id) === chosen);
  return (
    <>
      {unknown && <option value={chosen}>{t("roles.custom")}</option>}
      {ROLES.map((role) => <option key={role} value={role}>{t(`roles.${role}`)}</option>)}
      {own && own.length > 0 && (
        <optgroup label={t("ownRoles.title")}>{own.map((role) => <option key={role.id} value={written("custom", role.id)}>{role.name}</option>)}</optgroup>
      )}
    </>
  );
}

export function People() {
  return <div className="stack wide"><Members /><Invitations /><Roles /></div>;
}

function Members() {
  const { t } = useTranslation();
  const client = useQueryClient();
  const toast = useToast();
  const { data: session } = useQuery(sessionQuery);
  const users = useQuery(usersQuery);
  const own = useQuery(rolesQuery);
  const [adding, setAdding] = useState(false);
  const [removing, setRemoving] = useState<User | null>(null);
  const [ending, setEnding] = useState<User | null>(null);
  const refresh = () => client.invalidateQueries({ queryKey: usersQuery.queryKey });
  const change = useMutation({ mutationFn: ({ id, role }: { id: string; role: string }) => updateUser(id, read(role)), onSettled: refresh });
  const remove = useMutation({
    mutationFn: (user: User) => ask(api.DELETE("/api/v1/users/{id}", { params: { path: { id: user.id } } })),
    onSuccess: async (_, user) => {
      setRemoving(null);
      toast(t("people.removed", { name: user.name }));
      await refresh();
    },
  });
  const end = useMutation({
    mutationFn: (user: User) => ask(api.DELETE("/api/v1/users/{id}/sessions", { params: { path: { id: user.id } } })),
    onSuccess: (_, user) => {
      setEnding(null);
      toast(t("people.ended", { name: user.name }));
    },
  });
  const write = may(session, "users:write");
  return (
    <section className="stack" aria-label={t("settings.people")}>
      <div className="row apart"><p className="muted">{t("people.lead")}</p>{write && <Button onClick={() => setAdding(true)}>{t("people.add")}</Button>}</div>
      <ErrorNote error={change.error} />
      <div className="card flush"><Ready of={users}>
        {(items) => (
          <div className="scroll"><table>
            <thead><tr><th scope="col">{t("people.name")}</th><th scope="col">{t("people.role")}</th><th scope="col" className="end">{t("lists.since")}</th><th scope="col"><span className="visually-hidden">{t("common.actions")}</span></th></tr></thead>
            <tbody>{items.map((user) => {
              const self = user.id === session?.user.id;
              const chosen = written(user.role, user.role_id);
              return (
                <tr key={user.id}>
                  <td><strong className="break">{user.name}</strong><div className="small muted break">{user.email}</div></td>
                  <td>
                    <select className="input" style={{ inlineSize: "auto", maxInlineSize: 180 }} aria-label={t("people.roleOf", { name: user.name })} value={chosen}
                      disabled={self || !write || change.isPending} onChange={(event) => change.mutate({ id: user.id, role: event.target.value })}>
                      <RoleOptions own={own.data} chosen={chosen} />
                    </select>
                  </td>
                  <td className="end muted nowrap"><Ago at={user.created_at} /></td>
                  <td className="end nowrap">{!self && write && <><Button small kind="quiet" onClick={() => { end.reset(); setEnding(user); }}>{t("people.end")}</Button><Button small kind="quiet" onClick={() => setRemoving(user)}>{t("people.remove")}</Button></>}</td>
                </tr>
              );
            })}</tbody>
          </table></div>
        )}
      </Ready></div>
      {ending && (
        <Confirm title={t("people.endTitle", { name: ending.name })} action={t("people.end")} busy={end.isPending}
          error={end.error} onConfirm={() => end.mutate(ending)} onClose={() => setEnding(null)}><p>{t("people.endText")}</p></Confirm>
      )}
      {adding && <Add own={own.data} onClose={() => setAdding(false)} onAdded={refresh} />}
      {removing && (
        <Confirm title={t("people.removeTitle", { name: removing.name })} name={removing.name} action={t("people.remove")} busy={remove.isPending}
          error={remove.error} onConfirm={() => remove.mutate(removing)} onClose={() => setRemoving(null)}><p>{t("people.removeText")}</p></Confirm>
      )}
    </section>
  );
}

function RoleField({ value, own, onChange }: { value: string; own: CustomRole[] | undefined; onChange: (value: string) => void }) {
  const { t } = useTranslation();
  return (
    <SelectField label={t("people.role")} value={value} hint={t(`roleHints.${read(value).role}`)} onChange={(event) => onChange(event.target.value)}>
      <RoleOptions own={own} chosen={value} />
    </SelectField>
  );
}

function Add({ own, onClose, onAdded }: { own: CustomRole[] | undefined; onClose: () => void; onAdded: () => void }) {
  const { t } = useTranslation();
  const [role, setRole] = useState("marketer");
  const add = useMutation({
    mutationFn: ({ name = "", email = "", password = "" }: Record<string, string>) => ask(api.POST("/api/v1/users", { body: { name, email, password, ...read(role) } })),
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
        <RoleField value={role} own={own} onChange={setRole} />
        {problem?.fields.length ? null : <ErrorNote error={add.error} />}
        <div className="foot row"><Button onClick={onClose}>{t("common.cancel")}</Button><Button kind="primary" type="submit" busy={add.isPending}>{t("people.add")}</Button></div>
      </form>
    </Dialog>
  );
}

/** Offers to belong to the workspace, that nobody has taken yet. */
function Invitations() {
  const { t } = useTranslation();
  const client = useQueryClient();
  const toast = useToast();
  const { data: session } = useQuery(sessionQuery);
  const invitations = useQuery({ ...invitationsQuery, refetchInterval: 15_000 });
  const own = useQuery(rolesQuery);
  const [inviting, setInviting] = useState(false);
  const refresh = () => client.invalidateQueries({ queryKey: invitationsQuery.queryKey });
  const invite = useMutation({
    mutationFn: ({ email, ...role }: { email: string; role: Role; role_id?: string | null }) => ask(api.POST("/api/v1/invitations", { body: { email, ...role } })),
    onSuccess: async (_, { email }) => {
      setInviting(false);
      toast(t("invitations.sent", { email }));
      await refresh();
    },
  });
  const revoke = useMutation({
    mutationFn: (invitation: Invitation) => ask(api.DELETE("/api/v1/invitations/{id}", { params: { path: { id: invitation.id } } })),
    onSuccess: async (_, invitation) => {
      toast(t("invitations.revoked", { email: invitation.email }), () => again(invitation));
      await refresh();
    },
  });
  const again = ({ email, role, role_id }: Invitation) => invite.mutate({ email, role, ...(role_id && { role_id }) });
  const write = may(session, "users:write");
  const name = (one: Invitation) => (one.role_id ? own.data?.find((role) => role.id === one.role_id)?.name : undefined) ?? t(`roles.${one.role}`);
  const open = write && <Button kind="primary" onClick={() => { invite.reset(); setInviting(true); }}>{t("invitations.new")}</Button>;
  return (
    <section className="stack" aria-label={t("invitations.title")}>
      <div className="row apart"><h2>{t("invitations.title")}</h2>{open}</div>
      <ErrorNote error={revoke.error ?? (inviting ? null : invite.error)} />
      <div className="card flush"><Ready of={invitations}>
        {(items) => items.length === 0 ? <Empty title={t("invitations.none")}>{t("invitations.noneText")}</Empty> : (
          <div className="scroll"><table>
            <thead><tr><th scope="col">{t("fields.email")}</th><th scope="col">{t("people.role")}</th><th scope="col" className="end">{t("invitations.until")}</th><th scope="col"><span className="visually-hidden">{t("common.actions")}</span></th></tr></thead>
            <tbody>{items.map((one) => (
              <tr key={one.id}>
                <td className="break">{one.email}</td><td className="break">{name(one)}</td><td className="end muted nowrap"><Ago at={one.expires_at} /></td>
                <td className="end nowrap">{write && <><Button small kind="quiet" busy={invite.isPending} onClick={() => again(one)}>{t("invitations.again")}</Button><Button small kind="quiet" busy={revoke.isPending} onClick={() => revoke.mutate(one)}>{t("invitations.revoke")}</Button></>}</td>
              </tr>
            ))}</tbody>
          </table></div>
        )}
      </Ready></div>
      {inviting && <InviteDialog own={own.data} error={invite.error} busy={invite.isPending} onInvite={invite.mutate} onClose={() => setInviting(false)} />}
    </section>
  );
}

function InviteDialog({ own, error, busy, onInvite, onClose }: {
  own: CustomRole[] | undefined; error: unknown; busy: boolean; onInvite: (body: { email: string; role: Role; role_id?: string }) => void; onClose: () => void;
}) {
  const { t } = useTranslation();
  const [role, setRole] = useState("marketer");
  const problem = isProblem(error) ? error : undefined;
  return (
    <Dialog title={t("invitations.new")} onClose={onClose}>
      <form className="stack" onSubmit={(event: FormEvent<HTMLFormElement>) => onInvite({ email: values(event).email ?? "", ...read(role) })}>
        <p className="muted">{t("invitations.text")}</p>
        <TextField label={t("fields.email")} name="email" type="email" required autoFocus autoComplete="off" error={problem?.field("/email")} />
        <RoleField value={role} own={own} onChange={setRole} />
        {problem?.fields.length ? null : <ErrorNote error={error} />}
        <div className="foot row"><Button onClick={onClose}>{t("common.cancel")}</Button><Button kind="primary" type="submit" busy={busy}>{t("invitations.send")}</Button></div>
      </form>
    </Dialog>
  );
}

/** Roles that the workspace made: sets of scopes. */
function Roles() {
  const { t } = useTranslation();
  const client = useQueryClient();
  const toast = useToast();
  const { data: session } = useQuery(sessionQuery);
  const roles = useQuery(rolesQuery);
  const [editing, setEditing] = useState<string | null>(null);
  const [removing, setRemoving] = useState<CustomRole | null>(null);
  const refresh = () => client.invalidateQueries({ queryKey: rolesQuery.queryKey });
  const remove = useMutation({
    mutationFn: (role: CustomRole) => ask(api.DELETE("/api/v1/roles/{id}", { params: { path: { id: role.id } } })),
    onSuccess: async (_, role) => {
      setRemoving(null);
      toast(t("ownRoles.removed", { name: role.name }));
      await refresh();
    },
  });
  const write = may(session, "users:write");
  return (
    <section className="stack" aria-label={t("ownRoles.title")}>
      <div className="row apart"><h2>{t("ownRoles.title")}</h2>{write && <Button onClick={() => setEditing("new")}>{t("ownRoles.new")}</Button>}</div>
      <div className="card flush"><Ready of={roles}>
        {(items) => items.length === 0 ? <Empty title={t("ownRoles.none")}>{t("ownRoles.noneText")}</Empty> : (
          <div className="scroll"><table>
            <thead><tr><th scope="col">{t("people.name")}</th><th scope="col">{t("keys.scopes")}</th><th scope="col"><span className="visually-hidden">{t("common.actions")}</span></th></tr></thead>
            <tbody>{items.map((role) => (
              <tr key={role.id}>
                <td><strong className="break">{role.name}</strong></td><td className="small"><ScopeList of={role.scopes} /></td>
                <td className="end nowrap">{write && <><Button small kind="quiet" onClick={() => setEditing(role.id)}>{t("common.edit")}</Button><Button small kind="quiet" onClick={() => { remove.reset(); setRemoving(role); }}>{t("common.delete")}</Button></>}</td>
              </tr>
            ))}</tbody>
          </table></div>
        )}
      </Ready></div>
      {editing && <EditRole id={editing === "new" ? null : editing} onClose={() => setEditing(null)} onSaved={refresh} />}
      {removing && (
        <Confirm title={t("ownRoles.removeTitle", { name: removing.name })} name={removing.name} action={t("common.delete")} busy={remove.isPending}
          error={remove.error} onConfirm={() => remove.mutate(removing)} onClose={() => setRemoving(null)}><p>{t("ownRoles.removeText")}</p></Confirm>
      )}
    </section>
  );
}

const nothing: { data: { name: string; scopes: Scope[] }; etag: string | undefined } = { data: { name: "", scopes: [] }, etag: undefined };

function EditRole({ id, onClose, onSaved }: { id: string | null; onClose: () => void; onSaved: () => void }) {
  const { t } = useTranslation();
  // The version that it begins from is the one that is shown.
  const role = useQuery({
    queryKey: ["roles", id],
    queryFn: async () => (id ? askFull(api.GET("/api/v1/roles/{id}", { params: { path: { id } } })) : nothing),
    gcTime: 0, staleTime: Infinity, refetchOnWindowFocus: false,
  });
  return (
    <Dialog title={t(id ? "ownRoles.edit" : "ownRoles.new")} onClose={onClose}>
      <Ready of={role}>
        {(found) => <RoleForm key={found.etag} id={id} from={found} onReload={() => void role.refetch()} onClose={onClose} onSaved={onSaved} />}
      </Ready>
    </Dialog>
  );
}

function RoleForm({ id, from, onReload, onClose, onSaved }: { id: string | null; from: typeof nothing; onReload: () => void; onClose: () => void; onSaved: () => void }) {
  const { t } = useTranslation();
  const [scopes, setScopes] = useState<ReadonlySet<Scope>>(new Set(from.data.scopes));
  const save = useMutation({
    mutationFn: ({ name = "" }: Record<string, string>) => {
      const body = { name, scopes: [...scopes] };
      if (!id) return ask(api.POST("/api/v1/roles", { body }));
      return ask(api.PUT("/api/v1/roles/{id}", { params: { path: { id } }, body, ...(from.etag && { headers: { "If-Match": from.etag } }) }));
    },
    onSuccess: () => {
      onSaved();
      onClose();
    },
  });
  const problem = isProblem(save.error) ? save.error : undefined;
  return (
    <form className="stack" onSubmit={(event: FormEvent<HTMLFormElement>) => save.mutate(values(event))}>
      <TextField label={t("people.name")} name="name" required maxLength={100} autoFocus autoComplete="off" defaultValue={from.data.name} error={problem?.field("/name")} />
      <ScopeChoices value={scopes} onChange={setScopes} />
      {problem?.status === 412
        ? <div className="note error row apart" role="alert"><span>{t("ownRoles.conflict")}</span><Button small onClick={onReload}>{t("lead.reload")}</Button></div>
        : problem?.field("/name") ? null : <ErrorNote error={save.error} />}
      <div className="foot row"><Button onClick={onClose}>{t("common.cancel")}</Button><Button kind="primary" type="submit" disabled={scopes.size === 0} busy={save.isPending}>{t("common.save")}</Button></div>
    </form>
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
    mutationFn: ({ name = "", open, factor }: Record<string, string>) =>
      ask(api.PUT("/api/v1/workspaces/current", { body: { name, customer_registration: open === "on", second_factor_required: factor === "on" }, ...(workspace.data?.etag && { headers: { "If-Match": workspace.data.etag } }) })),
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
          <Check key={String(data.customer_registration)} label={<>{t("settings.open")}<span className="small muted" style={{ display: "block" }}>{t("settings.openHint")}</span></>} name="open" defaultChecked={data.customer_registration} />
          <Check key={`factor ${data.second_factor_required}`} label={<>{t("settings.factor")}<span className="small muted" style={{ display: "block" }}>{t("settings.factorHint")}</span></>} name="factor" defaultChecked={data.second_factor_required} />
          {isProblem(save.error) && save.error.status === 412
            ? <div className="note error row apart" role="alert"><span>{t("settings.conflict")}</span><Button small onClick={() => { save.reset(); void workspace.refetch(); }}>{t("lead.reload")}</Button></div>
            : <ErrorNote error={save.error} />}
          <div><Button kind="primary" type="submit" busy={save.isPending}>{t("common.save")}</Button></div>
        </form>
      )}
    </Ready>
  );
}
