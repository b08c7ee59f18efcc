import { infiniteQueryOptions, useInfiniteQuery, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState, type FormEvent } from "react";
import { useTranslation } from "react-i18next";
import { api, ask } from "../api/client";
import { isProblem } from "../api/problem";
import { given } from "../api/queries";
import { may, sessionQuery } from "../api/session";
import { Ago, Badge, Button, Dialog, Empty, ErrorNote, PageHead, Ready, SelectField, TextField, useSettled, useToast } from "../ui/kit";
import { values } from "./door";

const REASONS = ["unsubscribe", "complaint", "hard_bounce", "manual"] as const;
const start = undefined as string | undefined;

const suppressionsQuery = (reason: string, address: string) =>
  infiniteQueryOptions({
    queryKey: ["suppressions", { reason, address }],
    queryFn: ({ pageParam, signal }) =>
      ask(api.GET("/api/v1/suppressions", { params: { query: given({ reason, address, limit: 100, cursor: pageParam }) }, signal })),
    initialPageParam: start,
    getNextPageParam: (page) => page.next_cursor ?? undefined,
  });

export function Suppressions() {
  const { t } = useTranslation();
  const client = useQueryClient();
  const toast = useToast();
  const { data: session } = useQuery(sessionQuery);
  const [reason, setReason] = useState("");
  const [address, setAddress] = useState("");
  const [adding, setAdding] = useState(false);
  const pages = useInfiniteQuery(suppressionsQuery(reason, useSettled(address.trim(), 300)));
  const refresh = () => client.invalidateQueries({ queryKey: ["suppressions"] });
  const add = useMutation({
    mutationFn: (body: { address: string; reason?: string }) => ask(api.POST("/api/v1/suppressions", { body })),
    onSuccess: refresh,
  });
  const lift = useMutation({
    mutationFn: (row: { id: string; address: string; reason: string }) => ask(api.DELETE("/api/v1/suppressions/{id}", { params: { path: { id: row.id } } })),
    onSuccess: async (_, row) => {
      await refresh();
      toast(t("suppressions.lifted", { address: row.address }), () => add.mutate({ address: row.address, reason: row.reason }));
    },
  });
  const write = may(session, "leads:write");
  const items = pages.data?.pages.flatMap((page) => page.items);
  return (
    <>
      <PageHead title={t("suppressions.title")} lead={t("suppressions.lead")}
        actions={write && <Button kind="primary" onClick={() => { add.reset(); setAdding(true); }}>{t("suppressions.add")}</Button>} />
      <section className="card flush">
        <div className="filters">
          <TextField className="wide" type="search" label={t("suppressions.address")} value={address} placeholder={t("suppressions.whole")} onChange={(event) => setAddress(event.target.value)} />
          <SelectField label={t("suppressions.reason")} value={reason} onChange={(event) => setReason(event.target.value)}>
            <option value="">{t("leads.any")}</option>
            {REASONS.map((one) => <option key={one} value={one}>{t(`reasons.${one}`)}</option>)}
          </SelectField>
        </div>
        <ErrorNote error={lift.error} />
        <Ready of={{ ...pages, data: items }}>
          {(rows) => rows.length === 0 && (reason || address) ? (
            <Empty title={t("suppressions.noneSo")} action={<Button onClick={() => { setReason(""); setAddress(""); }}>{t("leads.clear")}</Button>}>{t("suppressions.noneSoText")}</Empty>
          ) : rows.length === 0 ? <Empty title={t("suppressions.none")}>{t("suppressions.noneText")}</Empty> : (
            <div className="scroll"><table>
              <thead><tr><th scope="col">{t("suppressions.address")}</th><th scope="col">{t("suppressions.reason")}</th><th scope="col" className="end">{t("lists.since")}</th>{write && <th scope="col"><span className="visually-hidden">{t("common.actions")}</span></th>}</tr></thead>
              <tbody>{rows.map((row) => (
                <tr key={row.id}>
                  <td className="break">{row.address}</td>
                  <td><Badge tone={row.reason === "complaint" || row.reason === "hard_bounce" ? "bad" : ""}>{t(`reasons.${row.reason as "manual"}`)}</Badge></td>
                  <td className="end muted nowrap"><Ago at={row.created_at} /></td>
                  {write && <td className="end"><Button small kind="quiet" onClick={() => lift.mutate(row)}>{t("suppressions.lift")}</Button></td>}
                </tr>
              ))}</tbody>
            </table></div>
          )}
        </Ready>
        {pages.hasNextPage && <div className="empty"><Button busy={pages.isFetchingNextPage} onClick={() => void pages.fetchNextPage()}>{t("common.more")}</Button></div>}
      </section>
      {adding && (
        <Dialog title={t("suppressions.add")} onClose={() => setAdding(false)}>
          <form className="stack" onSubmit={(event: FormEvent<HTMLFormElement>) => add.mutate({ address: values(event).address ?? "" }, { onSuccess: () => setAdding(false) })}>
            <p className="muted">{t("suppressions.addText")}</p>
            <TextField label={t("suppressions.address")} name="address" type="email" required autoFocus error={isProblem(add.error) ? add.error.field("/address") : undefined} />
            {isProblem(add.error) && add.error.fields.length ? null : <ErrorNote error={add.error} />}
            <div className="foot row"><Button onClick={() => setAdding(false)}>{t("common.cancel")}</Button><Button kind="primary" type="submit" busy={add.isPending}>{t("suppressions.add")}</Button></div>
          </form>
        </Dialog>
      )}
    </>
  );
}
