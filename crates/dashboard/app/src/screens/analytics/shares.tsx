import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState, type FormEvent } from "react";
import { useTranslation } from "react-i18next";
import { api, ask, type Schemas } from "../../api/client";
import { isProblem } from "../../api/problem";
import { campaignNamesQuery } from "../../api/queries";
import { dateTime, day } from "../../lib/format";
import { Button, Check, Confirm, Copy, Dialog, Empty, ErrorNote, Ready, SelectField, TextField, useToast } from "../../ui/kit";
import { values } from "../door";

type Share = Schemas["analytics.Share"];
export const REPORTS = ["overview", "timeseries", "links", "devices", "channels"] as const;
const LASTS = [1, 7, 30, 90, 365] as const;

const sharesQuery = {
  queryKey: ["shares"],
  queryFn: async ({ signal }: { signal: AbortSignal }) => (await ask(api.GET("/api/v1/analytics/shares", { params: { query: { limit: 500 } }, signal }))).items,
};

/** Links that show figures to whoever has them, without signing in. */
export function Shares() {
  const { t } = useTranslation();
  const client = useQueryClient();
  const toast = useToast();
  const shares = useQuery(sharesQuery);
  const names = useQuery(campaignNamesQuery);
  const [adding, setAdding] = useState(false);
  const [ending, setEnding] = useState<Share | null>(null);
  const refresh = () => client.invalidateQueries({ queryKey: sharesQuery.queryKey });
  const end = useMutation({
    mutationFn: (share: Share) => ask(api.DELETE("/api/v1/analytics/shares/{id}", { params: { path: { id: share.id } } })),
    onSuccess: async (_, share) => {
      setEnding(null);
      toast(t("shares.ended", { name: share.name }));
      await refresh();
    },
  });
  const make = <Button kind="primary" onClick={() => setAdding(true)}>{t("shares.new")}</Button>;
  return (
    <section className="stack">
      <div className="row apart"><p className="muted grow">{t("shares.lead")}</p>{make}</div>
      <div className="card flush"><Ready of={shares}>
        {(items) => items.length === 0 ? <Empty title={t("shares.none")} action={make}>{t("shares.noneText")}</Empty> : (
          <div className="scroll"><table>
            <thead><tr><th scope="col">{t("people.name")}</th><th scope="col">{t("shares.shows")}</th><th scope="col" className="end">{t("invitations.until")}</th><th scope="col"><span className="visually-hidden">{t("common.actions")}</span></th></tr></thead>
            <tbody>{items.map((share) => (
              <tr key={share.id}>
                <td><strong className="break">{share.name}</strong>{share.campaign_id && <div className="small muted break">{names.data?.get(share.campaign_id) ?? t("deliveries.campaign")}</div>}</td>
                <td className="small">{share.reports.map((report) => <span key={report} className="tag">{t(`shares.reports.${report as "links"}`)}</span>)}</td>
                <td className="end muted nowrap"><time dateTime={share.expires_at} title={dateTime(share.expires_at)}>{day(share.expires_at)}</time></td>
                <td className="end"><Button small kind="quiet" onClick={() => { end.reset(); setEnding(share); }}>{t("shares.end")}</Button></td>
              </tr>
            ))}</tbody>
          </table></div>
        )}
      </Ready></div>
      {adding && <NewShare names={names.data ?? new Map()} onClose={() => setAdding(false)} onMade={refresh} />}
      {ending && (
        <Confirm title={t("shares.endTitle", { name: ending.name })} name={ending.name} action={t("shares.end")} busy={end.isPending} error={end.error}
          onConfirm={() => end.mutate(ending)} onClose={() => setEnding(null)}><p>{t("shares.endText")}</p></Confirm>
      )}
    </section>
  );
}

function NewShare({ names, onClose, onMade }: { names: Map<string, string>; onClose: () => void; onMade: () => void }) {
  const { t } = useTranslation();
  const [reports, setReports] = useState<ReadonlySet<string>>(new Set(REPORTS));
  const make = useMutation({
    mutationFn: ({ name = "", campaign = "", lasts = "30" }: Record<string, string>) => ask(api.POST("/api/v1/analytics/shares", {
      body: {
        name, reports: REPORTS.filter((report) => reports.has(report)), ...(campaign && { campaign_id: campaign }),
        expires_at: new Date(Date.now() + Number(lasts) * 86_400_000).toISOString(),
      },
    })),
    onSuccess: onMade,
  });
  if (make.data) {
    // A page for people; the link of the API, which it reads, is for programs.
    const link = `${location.origin}/shared/${make.data.url.split("/").at(-1) ?? ""}`;
    return (
      <Dialog title={t("shares.made")} onClose={onClose} foot={<Button kind="primary" onClick={onClose}>{t("keys.done")}</Button>}>
        <p>{t("shares.once")}</p>
        <div className="row keep"><code className="note break grow" data-testid="link">{link}</code><Copy text={link} label={t("common.copy")} /></div>
        <p className="small muted">{t("shares.forPrograms")} <code className="break">{make.data.url}</code></p>
      </Dialog>
    );
  }
  const problem = isProblem(make.error) ? make.error : undefined;
  return (
    <Dialog title={t("shares.new")} onClose={onClose}>
      <form className="stack" onSubmit={(event: FormEvent<HTMLFormElement>) => make.mutate(values(event))}>
        <TextField label={t("people.name")} name="name" required maxLength={200} autoFocus autoComplete="off" hint={t("shares.nameHint")} error={problem?.field("/name")} />
        <div className="grid2">
          <SelectField label={t("deliveries.campaign")} name="campaign"><option value="">{t("shares.everything")}</option>{[...names].map(([id, name]) => <option key={id} value={id}>{name}</option>)}</SelectField>
          <SelectField label={t("shares.lasts")} name="lasts" defaultValue={30}>{LASTS.map((one) => <option key={one} value={one}>{t("funnel.days", { count: one })}</option>)}</SelectField>
        </div>
        <fieldset><legend>{t("shares.shows")}</legend><div className="choices">
          {REPORTS.map((report) => <Check key={report} label={t(`shares.reports.${report}`)} checked={reports.has(report)} onChange={(event) => {
            const next = new Set(reports);
            if (event.target.checked) next.add(report);
            else next.delete(report);
            setReports(next);
          }} />)}
        </div></fieldset>
        {problem?.fields.length ? null : <ErrorNote error={make.error} />}
        <div className="foot row"><Button onClick={onClose}>{t("common.cancel")}</Button><Button kind="primary" type="submit" disabled={reports.size === 0} busy={make.isPending}>{t("shares.make")}</Button></div>
      </form>
    </Dialog>
  );
}
