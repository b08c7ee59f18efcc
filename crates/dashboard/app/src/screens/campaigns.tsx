import { useInfiniteQuery, useMutation, useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useState, type FormEvent } from "react";
import { useTranslation } from "react-i18next";
import { api, ask } from "../api/client";
import { campaignsQuery, reportQuery, type Campaign, templatesQuery } from "../api/queries";
import { may, sessionQuery } from "../api/session";
import { count, percent, planned } from "../lib/format";
import { Ago, Button, Dialog, Empty, ErrorNote, PageHead, Ready, SelectField, TextField } from "../ui/kit";
import { SettlementBar } from "../ui/settlement";
import { StatusBadge } from "../ui/status";
import { values } from "./door";
import { STARTERS } from "../lib/starters";

const STATUSES = ["draft", "scheduled", "running", "paused", "finished", "cancelled"] as const;

export function Campaigns() {
  const { t } = useTranslation();
  const { status } = useSearch({ from: "/shell/campaigns" });
  const navigate = useNavigate();
  const { data: session } = useQuery(sessionQuery);
  const pages = useInfiniteQuery({ ...campaignsQuery(status), refetchInterval: 10_000 });
  const [adding, setAdding] = useState(false);
  const make = may(session, "campaigns:write") && <Button kind="primary" onClick={() => setAdding(true)}>{t("campaigns.new")}</Button>;
  const campaigns = pages.data && { ...pages, data: pages.data.pages.flatMap((page) => page.items) };
  return (
    <>
      <PageHead title={t("campaigns.title")} actions={make} />
      <section className="card flush">
        <div className="filters">
          <SelectField label={t("campaigns.status")} value={status ?? ""} onChange={(event) =>
            void navigate({ to: "/campaigns", search: { status: STATUSES.find((one) => one === event.target.value) } })}>
            <option value="">{t("campaigns.any")}</option>
            {STATUSES.map((one) => <option key={one} value={one}>{t(`status.${one}`)}</option>)}
          </SelectField>
        </div>
        <Ready of={campaigns ?? { ...pages, data: undefined }}>
          {(items) => items.length === 0 ? (
            status ? <Empty title={t("campaigns.noneSo")} action={<Link className="button" to="/campaigns" search={{}}>{t("leads.clear")}</Link>}>{t("campaigns.noneSoText")}</Empty>
              : <Empty title={t("campaigns.none")} action={make}>{t("campaigns.noneText")}</Empty>
          ) : (
            <div className="scroll">
              <table>
                <thead><tr>
                  <th scope="col">{t("campaigns.name")}</th><th scope="col">{t("campaigns.status")}</th>
                  <th scope="col" className="end">{t("campaigns.accepted")}</th><th scope="col" className="end">{t("campaigns.opened")}</th>
                  <th scope="col" className="end">{t("campaigns.clicked")}</th><th scope="col" className="end late">{t("deliveries.when")}</th>
                </tr></thead>
                <tbody>{items.map((campaign) => <Row key={campaign.id} of={campaign} />)}</tbody>
              </table>
            </div>
          )}
        </Ready>
        {pages.hasNextPage && (
          <div className="empty"><Button busy={pages.isFetchingNextPage} onClick={() => void pages.fetchNextPage()}>{t("common.more")}</Button></div>
        )}
      </section>
      {adding && <NewCampaign onClose={() => setAdding(false)} />}
    </>
  );
}

function Row({ of }: { of: Campaign }) {
  const { t } = useTranslation();
  const sent = of.started_at !== null && of.started_at !== undefined;
  const running = of.status === "running";
  const { data: report } = useQuery({ ...reportQuery(of.id, running), enabled: sent, refetchInterval: running ? 5_000 : false, staleTime: 30_000 });
  const figure = (value: number | undefined) => report ? (
    <>{count(value)} <span className="muted small">{percent(value, report.accepted)}</span></>
  ) : "–";
  return (
    <tr>
      <td>
        <Link to="/campaigns/$id" params={{ id: of.id }}><strong>{of.name}</strong></Link>
        <div className="small muted break">{of.subject || t("campaigns.noSubject")}</div>
        {report && running && <SettlementBar of={report} slim />}
      </td>
      <td><StatusBadge of={of.status} /></td>
      <td className="end num nowrap">{report ? <>{count(report.accepted)} <span className="muted small">/ {count(report.audience)}</span></> : "–"}</td>
      <td className="end num nowrap">{figure(report?.opens?.unique)}</td>
      <td className="end num nowrap">{figure(report?.clicks?.unique)}</td>
      <td className="end muted nowrap late">{of.status === "scheduled" && of.schedule ? planned(of.schedule.at) : <Ago at={of.started_at ?? of.updated_at} />}</td>
    </tr>
  );
}

const isStarter = (name: string): name is keyof typeof STARTERS => name in STARTERS;

function NewCampaign({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const [starter, setStarter] = useState("newsletter");
  const templates = useQuery(templatesQuery);
  const create = useMutation({
    mutationFn: (name: string) => ask(api.POST("/api/v1/campaigns", { body: { name, ...(isStarter(starter) ? { content: STARTERS[starter] } : { template_id: starter }) } })),
    onSuccess: (made) => navigate({ to: "/campaigns/$id", params: { id: made.id } }),
  });
  const submit = (event: FormEvent<HTMLFormElement>) => create.mutate(values(event).name ?? "");
  return (
    <Dialog title={t("campaigns.new")} onClose={onClose}>
      <form className="stack" onSubmit={submit}>
        <TextField label={t("campaigns.name")} name="name" required maxLength={200} autoFocus hint={t("campaigns.nameHint")} autoComplete="off" />
        <SelectField label={t("campaigns.startFrom")} value={starter} onChange={(event) => setStarter(event.target.value)}>
          <option value="newsletter">{t("campaigns.starters.newsletter")}</option>
          <option value="letter">{t("campaigns.starters.letter")}</option>
          <option value="html">{t("campaigns.starters.html")}</option>
          <option value="text">{t("campaigns.starters.text")}</option>
          {templates.data && templates.data.length > 0 && (
            <optgroup label={t("shell.templates")}>{templates.data.map((template) => <option key={template.id} value={template.id}>{template.name}</option>)}</optgroup>
          )}
        </SelectField>
        <ErrorNote error={create.error} />
        <div className="foot row">
          <Button onClick={onClose}>{t("common.cancel")}</Button>
          <Button kind="primary" type="submit" busy={create.isPending}>{t("campaigns.create")}</Button>
        </div>
      </form>
    </Dialog>
  );
}
