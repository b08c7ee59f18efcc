import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { api, ask } from "../../api/client";
import { count, day, percent } from "../../lib/format";
import { lastDays } from "../../lib/period";
import { EVENT_TYPES } from "../../lib/steps";
import { Empty, Ready, Segmented, SelectField } from "../../ui/kit";
import { Days } from "./frame";

/** Who came when, and how many of them came back after so long. */
export function RetentionScreen() {
  const { t } = useTranslation();
  const [days, setDays] = useState<"7" | "30" | "90">("30");
  const [interval, setInterval] = useState<"day" | "week">("week");
  const [start, setStart] = useState("");
  const [back, setBack] = useState("");
  const period = useMemo(() => lastDays(Number(days)), [days]);
  const timezone = new Intl.DateTimeFormat().resolvedOptions().timeZone;
  const asked = { from: period.from, to: period.to, interval, timezone, ...(start && { start }), ...(back && { back }) };
  const retention = useQuery({
    queryKey: ["analytics", "retention", asked],
    queryFn: ({ signal }) => ask(api.GET("/api/v1/analytics/retention", { params: { query: asked }, signal })),
    placeholderData: keepPreviousData,
  });
  const choice = (label: string, value: string, set: (value: string) => void) => (
    <SelectField label={label} value={value} onChange={(event) => set(event.target.value)}>
      <option value="">{t("retention.anything")}</option>
      {EVENT_TYPES.map((type) => <option key={type} value={type}>{t(`eventTypes.${type}`)}</option>)}
    </SelectField>
  );
  return (
    <section className="card flush">
      <div className="filters">
        {choice(t("retention.start"), start, setStart)}
        {choice(t("retention.back"), back, setBack)}
        <Segmented label={t("retention.interval")} value={interval} onChange={setInterval} options={[["day", t("retention.daily")], ["week", t("retention.weekly")]]} />
        <Days value={days} onChange={setDays} options={["7", "30", "90"]} />
      </div>
      <Ready of={retention}>
        {({ cohorts }) => {
          const came = cohorts.filter((cohort) => cohort.people > 0);
          if (came.length === 0) return <Empty title={t("retention.none")}>{t("retention.noneText")}</Empty>;
          const columns = Math.max(...came.map((cohort) => cohort.returned.length));
          return (
            <div className="scroll" role="region" aria-label={t("analytics.tabs.retention")} tabIndex={0}><table className="heat">
              <thead><tr>
                <th scope="col">{t("retention.came")}</th><th scope="col" className="end">{t("running.people")}</th>
                {Array.from({ length: columns }, (_, n) => <th key={n} scope="col" className="end nowrap">{t(interval === "day" ? "retention.afterDays" : "retention.afterWeeks", { count: n + 1 })}</th>)}
              </tr></thead>
              <tbody>{came.map((cohort) => (
                <tr key={cohort.at}>
                  <th scope="row" className="nowrap">{day(cohort.at)}</th><td className="end num">{count(cohort.people)}</td>
                  {Array.from({ length: columns }, (_, n) => {
                    const people = cohort.returned[n];
                    return people === undefined ? <td key={n} /> : (
                      <td key={n} className="end num" title={t("retention.people", { count: people, shown: count(people) })}
                        style={{ background: `color-mix(in srgb, var(--accent-soft) ${Math.round((people / cohort.people) * 100)}%, transparent)` }}>{percent(people, cohort.people)}</td>
                    );
                  })}
                </tr>
              ))}</tbody>
            </table></div>
          );
        }}
      </Ready>
    </section>
  );
}
