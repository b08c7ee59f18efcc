import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { api, ask, type Schemas } from "../../api/client";
import { campaignNamesQuery } from "../../api/queries";
import { decimal, money } from "../../lib/format";
import { lastDays } from "../../lib/period";
import { Empty, Ready, SelectField } from "../../ui/kit";
import { Days } from "./frame";

type Model = Schemas["analytics.AttributionModel"];
const MODELS = ["last", "first", "linear", "time_decay", "position"] as const satisfies readonly Model[];
const WINDOWS = [1, 7, 30, 90] as const;
const HALF_LIVES = [1, 3, 7, 14] as const;

/** Which campaigns goals and orders are owed to; the model is a choice, and says what it does. */
export function AttributionScreen() {
  const { t } = useTranslation();
  const [days, setDays] = useState<"7" | "30" | "90">("30");
  const [model, setModel] = useState<Model>("last");
  const [windowDays, setWindow] = useState(30);
  const [halfLife, setHalfLife] = useState(7);
  const period = useMemo(() => lastDays(Number(days)), [days]);
  const asked = { from: period.from, to: period.to, model, window_days: windowDays, ...(model === "time_decay" && { half_life_days: halfLife }) };
  const names = useQuery(campaignNamesQuery);
  const attribution = useQuery({
    queryKey: ["analytics", "attribution", asked],
    queryFn: ({ signal }) => ask(api.GET("/api/v1/analytics/attribution", { params: { query: asked }, signal })),
    placeholderData: keepPreviousData,
  });
  const row = (credit: Schemas["analytics.Credit"]) => (
    <>
      <td className="end num">{decimal(credit.conversions)}</td>
      <td className="end num">{credit.revenue.length === 0 ? "–" : credit.revenue.map((sum) => <div key={sum.currency}>{money(sum.amount, sum.currency)}</div>)}</td>
    </>
  );
  return (
    <section className="card flush">
      <div className="filters">
        <SelectField className="wide" label={t("attribution.model")} value={model} onChange={(event) => setModel(MODELS.find((one) => one === event.target.value) ?? "last")}>
          {MODELS.map((one) => <option key={one} value={one}>{t(`attribution.models.${one}`)}</option>)}
        </SelectField>
        {model === "time_decay" && (
          <SelectField label={t("attribution.halfLife")} value={halfLife} onChange={(event) => setHalfLife(Number(event.target.value))}>
            {HALF_LIVES.map((one) => <option key={one} value={one}>{t("funnel.days", { count: one })}</option>)}
          </SelectField>
        )}
        <SelectField label={t("attribution.window")} value={windowDays} onChange={(event) => setWindow(Number(event.target.value))}>
          {WINDOWS.map((one) => <option key={one} value={one}>{t("funnel.days", { count: one })}</option>)}
        </SelectField>
        <Days value={days} onChange={setDays} options={["7", "30", "90"]} />
        <p className="small muted" style={{ flexBasis: "100%" }}>{t(`attribution.hints.${model}`)}</p>
      </div>
      <Ready of={attribution}>
        {({ campaigns, unattributed }) => campaigns.length === 0 && unattributed.conversions === 0 && unattributed.revenue.length === 0 ? (
          <Empty title={t("attribution.none")}>{t("attribution.noneText")}</Empty>
        ) : (
          <div className="scroll"><table>
            <thead><tr><th scope="col">{t("deliveries.campaign")}</th><th scope="col" className="end">{t("attribution.conversions")}</th><th scope="col" className="end">{t("running.net")}</th></tr></thead>
            <tbody>
              {campaigns.map((credit) => (
                <tr key={credit.campaign_id}>
                  <td><Link to="/campaigns/$id" params={{ id: credit.campaign_id }} className="break">{names.data?.get(credit.campaign_id) ?? t("attribution.gone")}</Link></td>{row(credit)}
                </tr>
              ))}
              <tr><td className="muted">{t("attribution.unattributed")}</td>{row(unattributed)}</tr>
            </tbody>
          </table></div>
        )}
      </Ready>
    </section>
  );
}
