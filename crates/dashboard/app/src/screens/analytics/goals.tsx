import { keepPreviousData, queryOptions, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useMemo, useState, type FormEvent } from "react";
import { useTranslation } from "react-i18next";
import { api, ask, type Schemas } from "../../api/client";
import { isProblem } from "../../api/problem";
import { goalsQuery } from "../../api/queries";
import { may, sessionQuery } from "../../api/session";
import { count } from "../../lib/format";
import { lastDays } from "../../lib/period";
import { EVENT_TYPES } from "../../lib/steps";
import { Badge, Button, Confirm, Dialog, Empty, ErrorNote, Ready, SelectField, TextField, useToast } from "../../ui/kit";
import { values } from "../door";
import { Days } from "./frame";

type Goal = Schemas["analytics.Goal"];
type Definition = Schemas["analytics.GoalDefinition"];

const goalQuery = (id: string) =>
  queryOptions({
    queryKey: ["goals", id],
    queryFn: ({ signal }) => ask(api.GET("/api/v1/analytics/goals/{id}", { params: { path: { id } }, signal })),
  });

/** What people are wanted to do, and how many did. */
export function GoalsScreen() {
  const { t } = useTranslation();
  const client = useQueryClient();
  const toast = useToast();
  const { data: session } = useQuery(sessionQuery);
  const [days, setDays] = useState<"7" | "30" | "90">("30");
  const period = useMemo(() => lastDays(Number(days)), [days]);
  const goals = useQuery({ ...goalsQuery({ from: period.from, to: period.to }), placeholderData: keepPreviousData });
  const [editing, setEditing] = useState<string | null>(null);
  const [removing, setRemoving] = useState<Goal | null>(null);
  const refresh = () => client.invalidateQueries({ queryKey: ["goals"] });
  const remove = useMutation({
    mutationFn: (goal: Goal) => ask(api.DELETE("/api/v1/analytics/goals/{id}", { params: { path: { id: goal.id ?? "" } } })),
    onSuccess: async (_, goal) => {
      setRemoving(null);
      toast(t("goals.removed", { name: goal.name }));
      await refresh();
    },
  });
  const write = may(session, "analytics:write");
  const make = write && <Button kind="primary" onClick={() => setEditing("new")}>{t("goals.new")}</Button>;
  return (
    <section className="stack">
      <div className="row apart"><p className="muted grow">{t("goals.lead")}</p><Days value={days} onChange={setDays} options={["7", "30", "90"]} />{make}</div>
      <div className="card flush"><Ready of={goals}>
        {({ items }) => items.length === 0 ? <Empty title={t("goals.none")} action={make}>{t("goals.noneText")}</Empty> : (
          <div className="scroll"><table>
            <thead><tr><th scope="col">{t("people.name")}</th><th scope="col" className="end">{t("running.people")}</th><th scope="col" className="end">{t("goals.reached")}</th>{write && <th scope="col"><span className="visually-hidden">{t("common.actions")}</span></th>}</tr></thead>
            <tbody>{items.map((goal) => (
              <tr key={goal.id ?? `event ${goal.name}`}>
                <td><div className="row"><strong className="break">{goal.name || t("goals.unnamed")}</strong>{!goal.id && <Badge>{t("goals.told")}</Badge>}</div></td>
                <td className="end num">{count(goal.people)}</td>
                <td className="end num">{count(goal.reached)}</td>
                {write && <td className="end nowrap">{goal.id && (
                  <>
                    <Button small kind="quiet" onClick={() => setEditing(goal.id ?? null)}>{t("common.edit")}</Button>
                    <Button small kind="quiet" onClick={() => { remove.reset(); setRemoving(goal); }}>{t("common.delete")}</Button>
                  </>
                )}</td>}
              </tr>
            ))}</tbody>
          </table></div>
        )}
      </Ready></div>
      {editing === "new" && <Edit of={null} onClose={() => setEditing(null)} onSaved={refresh} />}
      {editing !== null && editing !== "new" && <Known id={editing} onClose={() => setEditing(null)} onSaved={refresh} />}
      {removing && (
        <Confirm title={t("goals.removeTitle", { name: removing.name })} name={removing.name} action={t("common.delete")} busy={remove.isPending}
          error={remove.error} onConfirm={() => remove.mutate(removing)} onClose={() => setRemoving(null)}><p>{t("goals.removeText")}</p></Confirm>
      )}
    </section>
  );
}

interface Editing { onClose: () => void; onSaved: () => Promise<void> }

/** The list says how often a goal was reached; what it is has to be asked for. */
function Known({ id, ...rest }: Editing & { id: string }) {
  const goal = useQuery(goalQuery(id));
  return goal.data ? <Edit of={goal.data} {...rest} /> : <ErrorNote error={goal.error} retry={() => void goal.refetch()} />;
}

function Edit({ of, onClose, onSaved }: Editing & { of: Definition | null }) {
  const { t } = useTranslation();
  const save = useMutation({
    mutationFn: ({ name = "", type = "", event = "", url_prefix = "" }: Record<string, string>) => {
      const body = { name, type, event: event.trim() || null, url_prefix: url_prefix.trim() || null };
      return of ? ask(api.PATCH("/api/v1/analytics/goals/{id}", { params: { path: { id: of.id } }, body })) : ask(api.POST("/api/v1/analytics/goals", { body }));
    },
    onSuccess: async () => {
      onClose();
      await onSaved();
    },
  });
  const problem = isProblem(save.error) ? save.error : undefined;
  const other = of && !EVENT_TYPES.some((type) => type === of.type) ? of.type : undefined;
  return (
    <Dialog title={t(of ? "goals.edit" : "goals.new")} onClose={onClose}>
      <form className="stack" onSubmit={(event: FormEvent<HTMLFormElement>) => save.mutate(values(event))}>
        <TextField label={t("people.name")} name="name" required maxLength={200} autoFocus autoComplete="off" defaultValue={of?.name} hint={t("goals.nameHint")} error={problem?.field("/name")} />
        <SelectField label={t("funnel.type")} name="type" defaultValue={of?.type ?? "view"} error={problem?.field("/type")}>
          {EVENT_TYPES.map((type) => <option key={type} value={type}>{t(`eventTypes.${type}`)}</option>)}
          {other && <option value={other}>{other}</option>}
        </SelectField>
        <TextField label={t("funnel.name")} name="event" maxLength={200} autoComplete="off" placeholder={t("leads.any")} defaultValue={of?.event ?? ""} hint={t("goals.eventHint")} error={problem?.field("/event")} />
        <TextField label={t("goals.page")} name="url_prefix" autoComplete="off" placeholder="https://shop.example/thank-you" defaultValue={of?.url_prefix ?? ""} hint={t("goals.pageHint")} error={problem?.field("/url_prefix")} />
        {problem?.fields.length ? null : <ErrorNote error={save.error} />}
        <div className="foot row"><Button onClick={onClose}>{t("common.cancel")}</Button><Button kind="primary" type="submit" busy={save.isPending}>{t(of ? "common.save" : "goals.make")}</Button></div>
      </form>
    </Dialog>
  );
}
