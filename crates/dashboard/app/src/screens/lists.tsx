import { useInfiniteQuery, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useParams } from "@tanstack/react-router";
import { useState, type FormEvent } from "react";
import { useTranslation } from "react-i18next";
import { api, ask } from "../api/client";
import { isProblem } from "../api/problem";
import { given, listQuery, listsQuery, membersQuery, type List } from "../api/queries";
import { may, sessionQuery } from "../api/session";
import { count } from "../lib/format";
import { Ago, Badge, Button, Confirm, Dialog, Empty, ErrorNote, PageHead, Ready, SelectField, Stat, TextField, useToast } from "../ui/kit";
import { values } from "./door";
import { WriteTo } from "./write-to";

export function Lists() {
  const { t } = useTranslation();
  const { data: session } = useQuery(sessionQuery);
  const lists = useQuery(listsQuery);
  const [adding, setAdding] = useState(false);
  const make = may(session, "leads:write") && <Button kind="primary" onClick={() => setAdding(true)}>{t("lists.new")}</Button>;
  return (
    <>
      <PageHead title={t("lists.title")} lead={t("lists.lead")} actions={make} />
      <section className="card flush">
        <Ready of={lists}>
          {(items) => items.length === 0 ? <Empty title={t("lists.none")} action={make}>{t("lists.noneText")}</Empty> : (
            <div className="scroll"><table>
              <thead><tr><th scope="col">{t("lists.name")}</th><th scope="col" className="end">{t("lists.confirmed")}</th><th scope="col" className="end late">{t("lists.added")}</th></tr></thead>
              <tbody>{items.map((list) => <Row key={list.id} list={list} />)}</tbody>
            </table></div>
          )}
        </Ready>
      </section>
      {adding && <NewList onClose={() => setAdding(false)} onMade={() => setAdding(false)} />}
    </>
  );
}

function Row({ list }: { list: List }) {
  const { data } = useQuery({ ...listQuery(list.id), staleTime: 30_000 });
  return (
    <tr>
      <td><Link to="/lists/$id" params={{ id: list.id }}><strong>{list.name}</strong></Link><div className="small muted break">{list.description}</div></td>
      <td className="end num">{count(data?.data.members?.confirmed)}</td>
      <td className="end muted nowrap late"><Ago at={list.created_at} /></td>
    </tr>
  );
}

export function NewList({ onClose, onMade }: { onClose: () => void; onMade: (list: List) => void }) {
  const { t } = useTranslation();
  const client = useQueryClient();
  const make = useMutation({
    mutationFn: ({ name = "", description = "" }: Record<string, string>) =>
      ask(api.POST("/api/v1/lists", { body: { name, ...given({ description }) } })),
    onSuccess: async (list) => {
      await client.invalidateQueries({ queryKey: listsQuery.queryKey });
      onMade(list);
    },
  });
  const problem = isProblem(make.error) ? make.error : undefined;
  return (
    <Dialog title={t("lists.new")} onClose={onClose}>
      <form className="stack" onSubmit={(event: FormEvent<HTMLFormElement>) => { event.stopPropagation(); make.mutate(values(event)); }}>
        <TextField label={t("lists.name")} name="name" required autoFocus autoComplete="off" error={problem?.field("/name")} />
        <TextField label={t("lists.description")} name="description" hint={t("lists.descriptionHint")} autoComplete="off" error={problem?.field("/description")} />
        {problem?.fields.length ? null : <ErrorNote error={make.error} />}
        <div className="foot row">
          <Button onClick={onClose}>{t("common.cancel")}</Button>
          <Button kind="primary" type="submit" busy={make.isPending}>{t("lists.create")}</Button>
        </div>
      </form>
    </Dialog>
  );
}

const TONES = { confirmed: "good", unconfirmed: "warn", unsubscribed: "" } as const;
const MEMBER = ["confirmed", "unconfirmed", "unsubscribed"] as const;

export function ListScreen() {
  const { t } = useTranslation();
  const { id } = useParams({ from: "/shell/lists/$id" });
  const { data: session } = useQuery(sessionQuery);
  const [status, setStatus] = useState<(typeof MEMBER)[number] | undefined>();
  const [renaming, setRenaming] = useState(false);
  const [deleting, setDeleting] = useState(false);
  const list = useQuery(listQuery(id));
  const members = useInfiniteQuery(membersQuery(id, status));
  const client = useQueryClient();
  const toast = useToast();
  const navigate = useNavigate();
  const write = may(session, "leads:write");
  const remove = useMutation({
    mutationFn: () => ask(api.DELETE("/api/v1/lists/{id}", { params: { path: { id } } })),
    onSuccess: async () => {
      await client.invalidateQueries({ queryKey: listsQuery.queryKey, exact: true });
      await navigate({ to: "/lists" });
      toast(t("lists.deleted", { name: list.data?.data.name ?? "" }));
    },
  });
  const set = useMutation({
    mutationFn: ({ lead_id, to }: { lead_id: string; to: (typeof MEMBER)[number] }) =>
      ask(api.PATCH("/api/v1/lists/{id}/members/{lead_id}", { params: { path: { id, lead_id } }, body: { status: to } })),
    onSuccess: () => client.invalidateQueries({ queryKey: ["lists", id] }),
  });
  const items = members.data?.pages.flatMap((page) => page.items);
  return (
    <Ready of={list}>
      {({ data }) => (
        <>
          <PageHead title={data.name} crumb={<Link to="/lists">{t("lists.title")}</Link>} lead={data.description}
            actions={write && (
              <>
                <Button kind="quiet" onClick={() => setDeleting(true)}>{t("common.delete")}</Button>
                <Button onClick={() => setRenaming(true)}>{t("common.edit")}</Button>
                {may(session, "campaigns:write") && (data.members?.confirmed ?? 0) > 0 && <WriteTo name={data.name} audience={{ list_ids: [id] }} />}
                <Link className="button primary" to="/leads/import" search={{ list_id: id }}>{t("leads.import")}</Link>
              </>
            )} />
          <div className="stack wide">
            <div className="cards">{MEMBER.map((one) => <Stat key={one} label={t(`member.${one}`)} value={count(data.members?.[one])} />)}</div>
            <section className="card flush">
              <div className="filters">
                <SelectField label={t("lists.members")} value={status ?? ""} onChange={(event) => setStatus(MEMBER.find((one) => one === event.target.value))}>
                  <option value="">{t("leads.any")}</option>
                  {MEMBER.map((one) => <option key={one} value={one}>{t(`member.${one}`)}</option>)}
                </SelectField>
              </div>
              <ErrorNote error={set.error} />
              <Ready of={{ ...members, data: items }}>
                {(people) => people.length === 0 ? (status
                  ? <Empty title={t("leads.noneSo")} action={<Button onClick={() => setStatus(undefined)}>{t("leads.clear")}</Button>}>{t("lists.nobodySo")}</Empty>
                  : <Empty title={t("lists.nobody")} action={write && <><Link className="button primary" to="/leads/import" search={{ list_id: id }}>{t("leads.import")}</Link><Link className="button" to="/forms">{t("shell.forms")}</Link></>}>{t("lists.nobodyText")}</Empty>
                ) : (
                  <div className="scroll"><table>
                    <thead><tr><th scope="col">{t("fields.email")}</th><th scope="col">{t("leads.status")}</th><th scope="col" className="end">{t("lists.since")}</th>{write && <th scope="col"><span className="visually-hidden">{t("common.actions")}</span></th>}</tr></thead>
                    <tbody>{people.map((member) => (
                      <tr key={member.lead_id}>
                        <td className="break"><Link to="/leads/$id" params={{ id: member.lead_id }}>{member.email}</Link></td>
                        <td><Badge tone={TONES[member.status as keyof typeof TONES] ?? ""}>{t(`member.${member.status as "confirmed"}`)}</Badge></td>
                        <td className="end muted nowrap"><Ago at={member.updated_at} /></td>
                        {write && <td className="end">{member.status !== "unsubscribed" && (
                          <Button small kind="quiet" onClick={() => {
                            const before = member.status as (typeof MEMBER)[number];
                            set.mutate({ lead_id: member.lead_id, to: "unsubscribed" }, {
                              onSuccess: () => toast(t("lists.unsubscribed", { email: member.email }), () => set.mutate({ lead_id: member.lead_id, to: before })),
                            });
                          }}>{t("lists.unsubscribe")}</Button>
                        )}</td>}
                      </tr>
                    ))}</tbody>
                  </table></div>
                )}
              </Ready>
              {members.hasNextPage && <div className="empty"><Button busy={members.isFetchingNextPage} onClick={() => void members.fetchNextPage()}>{t("common.more")}</Button></div>}
            </section>
          </div>
          {renaming && <Rename list={data} etag={list.data?.etag} onClose={() => setRenaming(false)} />}
          {deleting && (
            <Confirm title={t("lists.deleteTitle", { name: data.name })} name={data.name} action={t("common.delete")} busy={remove.isPending}
              error={remove.error} onConfirm={() => remove.mutate()} onClose={() => setDeleting(false)}><p>{t("lists.deleteText")}</p></Confirm>
          )}
        </>
      )}
    </Ready>
  );
}

function Rename({ list, etag, onClose }: { list: List; etag: string | undefined; onClose: () => void }) {
  const { t } = useTranslation();
  const client = useQueryClient();
  const save = useMutation({
    mutationFn: ({ name = "", description = "" }: Record<string, string>) =>
      ask(api.PATCH("/api/v1/lists/{id}", {
        params: { path: { id: list.id } }, body: { name, description }, ...(etag && { headers: { "If-Match": etag } }),
      })),
    onSuccess: async () => {
      await client.invalidateQueries({ queryKey: ["lists"] });
      onClose();
    },
  });
  return (
    <Dialog title={t("lists.edit")} onClose={onClose}>
      <form className="stack" onSubmit={(event: FormEvent<HTMLFormElement>) => save.mutate(values(event))}>
        <TextField label={t("lists.name")} name="name" required defaultValue={list.name} autoFocus />
        <TextField label={t("lists.description")} name="description" defaultValue={list.description ?? ""} />
        <ErrorNote error={save.error} />
        <div className="foot row">
          <Button onClick={onClose}>{t("common.cancel")}</Button>
          <Button kind="primary" type="submit" busy={save.isPending}>{t("common.save")}</Button>
        </div>
      </form>
    </Dialog>
  );
}
