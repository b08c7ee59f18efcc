import { useInfiniteQuery, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { memo, useCallback, useEffect, useMemo, useRef, useState, type FormEvent, type MouseEvent, type ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { api, ask } from "../api/client";
import { isProblem } from "../api/problem";
import { given, leadsQuery, listsQuery, segmentsQuery, type LeadRow } from "../api/queries";
import { may, sessionQuery } from "../api/session";
import { count } from "../lib/format";
import { Ago, Button, Dialog, Empty, ErrorNote, Loading, PageHead, SelectField, TextField, useSettled, useToast } from "../ui/kit";
import { useRowsInSight } from "../ui/window";
import { values } from "./door";

const STATUSES = ["new", "contacted", "qualified", "customer", "lost"] as const;

export function Leads() {
  const { t } = useTranslation();
  const filter = useSearch({ from: "/shell/leads" });
  const navigate = useNavigate();
  const { data: session } = useQuery(sessionQuery);
  const lists = useQuery(listsQuery);
  const segments = useQuery(segmentsQuery);
  const pages = useInfiniteQuery(leadsQuery(filter));
  const [adding, setAdding] = useState(false);
  const items = useMemo(() => pages.data?.pages.flatMap((page) => page.items), [pages.data]);
  const set = (changes: typeof filter) => void navigate({ to: "/leads", search: given({ ...filter, ...changes }), replace: true });

  const [typed, setTyped] = useState(filter.q ?? "");
  const settled = useSettled(typed, 300);
  useEffect(() => {
    if (settled !== (filter.q ?? "")) set({ q: settled });
    // Only what was typed moves the filter.
    // oxlint-disable-next-line react/exhaustive-deps
  }, [settled]);

  const filtered = Object.values(filter).some(Boolean);
  const write = may(session, "leads:write");
  const query = new URLSearchParams(given(filter) as Record<string, string>).toString();
  const actions = (
    <>
      <a className="button" href={`/api/v1/leads/export${query ? `?${query}` : ""}`} download="leads.csv">{t("leads.export")}</a>
      {write && <Button onClick={() => setAdding(true)}>{t("leads.add")}</Button>}
      {write && <Link className="button primary" to="/leads/import">{t("leads.import")}</Link>}
    </>
  );
  return (
    <>
      <PageHead title={t("leads.title")} actions={actions} />
      <section className="card flush">
        <div className="filters" role="search">
          <TextField className="wide" type="search" label={t("leads.search")} placeholder={t("leads.searchHint")} value={typed}
            onChange={(event) => setTyped(event.target.value)} />
          <SelectField label={t("leads.status")} value={filter.status ?? ""} onChange={(event) => set({ status: event.target.value })}>
            <option value="">{t("leads.any")}</option>
            {STATUSES.map((status) => <option key={status} value={status}>{t(`leadStatus.${status}`)}</option>)}
          </SelectField>
          <SelectField label={t("leads.list")} value={filter.list_id ?? ""} onChange={(event) => set({ list_id: event.target.value })}>
            <option value="">{t("leads.any")}</option>
            {lists.data?.map((list) => <option key={list.id} value={list.id}>{list.name}</option>)}
          </SelectField>
          <SelectField label={t("leads.segment")} value={filter.segment_id ?? ""} onChange={(event) => set({ segment_id: event.target.value })}>
            <option value="">{t("leads.any")}</option>
            {segments.data?.map((segment) => <option key={segment.id} value={segment.id}>{segment.name}</option>)}
          </SelectField>
          {filter.tag && <Button onClick={() => set({ tag: "" })}>{t("leads.tag", { tag: filter.tag })} ✕</Button>}
        </div>
        <ErrorNote error={pages.error} retry={() => void pages.refetch()} />
        {pages.isPending && !pages.error && <Loading />}
        {items && items.length === 0 && (filtered ? (
          <Empty title={t("leads.noneSo")} action={<Button onClick={() => { setTyped(""); void navigate({ to: "/leads", search: {} }); }}>{t("leads.clear")}</Button>}>{t("leads.noneSoText")}</Empty>
        ) : (
          <Empty title={t("leads.none")} action={write && <Link className="button primary" to="/leads/import">{t("leads.import")}</Link>}>{t("leads.noneText")}</Empty>
        ))}
        {items && items.length > 0 && (
          <Rows items={items} more={pages.hasNextPage} loading={pages.isFetchingNextPage} onEnd={() => void pages.fetchNextPage()} />
        )}
      </section>
      {items && items.length > 0 && (
        <p className="small muted num" style={{ marginBlockStart: 8 }}>{t(pages.hasNextPage ? "leads.shownMore" : "leads.shown", { count: items.length, shown: count(items.length) })}</p>
      )}
      {adding && <AddLead onClose={() => setAdding(false)} />}
    </>
  );
}

/** As the stylesheet has it. */
const ROW = 42;

/** Only the rows in sight are drawn, however many were read. */
function Rows({ items, more, loading, onEnd }: { items: LeadRow[]; more: boolean; loading: boolean; onEnd: () => void }) {
  const { t } = useTranslation();
  const scroller = useRef<HTMLDivElement>(null);
  const navigate = useNavigate();
  const open = useCallback((id: string) => void navigate({ to: "/leads/$id", params: { id } }), [navigate]);
  const { first, last } = useRowsInSight(scroller, items.length, ROW);
  useEffect(() => {
    if (more && !loading && last >= items.length - 40) onEnd();
    // oxlint-disable-next-line react/exhaustive-deps
  }, [last, more, loading, items.length]);
  const columns = ["email", "name", "company", "status", "tags", "added"] as const;
  return (
    <div className="vtable" ref={scroller} role="table" aria-label={t("leads.title")} aria-rowcount={more ? -1 : items.length + 1} tabIndex={0}>
      <div role="rowgroup"><div className="vrow vhead" role="row" aria-rowindex={1}>
        {columns.map((column) => <div key={column} role="columnheader">{t(`leads.columns.${column}`)}</div>)}
      </div></div>
      <div className="vbody" role="rowgroup" style={{ blockSize: items.length * ROW }}>
        {items.slice(first, last + 1).map((lead, n) => <Row key={lead.id} lead={lead} index={first + n} open={open} />)}
      </div>
    </div>
  );
}

/** A router's own link takes longer to draw than the row that it is in, and rows are drawn by the dozen. */
function RowLink({ href, open, children }: { href: string; open: () => void; children: ReactNode }) {
  const follow = (event: MouseEvent) => {
    // Another tab or window, or what the browser makes of it.
    if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    open();
  };
  return <a href={href} onClick={follow}>{children}</a>;
}

/** Drawn once, and not again while one scrolls past it. */
const Row = memo(function Row({ lead, index, open }: { lead: LeadRow; index: number; open: (id: string) => void }) {
  const { t } = useTranslation();
  return (
    <div className="vrow" role="row" aria-rowindex={index + 2} style={{ transform: `translateY(${index * ROW}px)` }}>
      <div role="cell" className="truncate"><RowLink href={`/leads/${lead.id}`} open={() => open(lead.id)}>{lead.email}</RowLink></div>
      <div role="cell" className="truncate">{[lead.first_name, lead.last_name].filter(Boolean).join(" ")}</div>
      <div role="cell" className="truncate">{lead.company}</div>
      <div role="cell">{t(`leadStatus.${lead.status as "new"}`, { defaultValue: lead.status })}</div>
      <div role="cell" className="truncate">{lead.unconfirmed && <span className="tag warn">{t("lead.unconfirmed")}</span>}{lead.tags.map((tag) => <span key={tag} className="tag">{tag}</span>)}</div>
      <div role="cell" className="truncate muted"><Ago at={lead.created_at} /></div>
    </div>
  );
});

function AddLead({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation();
  const client = useQueryClient();
  const toast = useToast();
  const add = useMutation({
    mutationFn: (body: Record<string, string>) => ask(api.POST("/api/v1/leads", { body: given(body) })),
    onSuccess: async (lead) => {
      await client.invalidateQueries({ queryKey: ["leads"] });
      toast(t("leads.added", { email: lead.email }));
      onClose();
    },
  });
  const problem = isProblem(add.error) ? add.error : undefined;
  const field = (name: "email" | "first_name" | "last_name" | "company", type = "text") => (
    <TextField label={t(`fields.${name}`)} name={name} type={type} required={name === "email"} autoFocus={name === "email"} error={problem?.field(`/${name}`)} />
  );
  return (
    <Dialog title={t("leads.add")} onClose={onClose}>
      <form className="stack" onSubmit={(event: FormEvent<HTMLFormElement>) => add.mutate(values(event))}>
        {field("email", "email")}
        <div className="grid2">{field("first_name")}{field("last_name")}</div>
        {field("company")}
        {problem?.fields.length ? null : <ErrorNote error={add.error} />}
        <div className="foot row">
          <Button onClick={onClose}>{t("common.cancel")}</Button>
          <Button kind="primary" type="submit" busy={add.isPending}>{t("leads.add")}</Button>
        </div>
      </form>
    </Dialog>
  );
}
