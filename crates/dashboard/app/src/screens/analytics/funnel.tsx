import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useEffect, useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { api, ask, type Schemas } from "../../api/client";
import { given } from "../../api/queries";
import { count, percent } from "../../lib/format";
import { lastDays } from "../../lib/period";
import { EVENT_TYPES, isComplete, MOST_STEPS, readSteps, writeSteps, type Step } from "../../lib/steps";
import { Button, Empty, Ready, SelectField, TextField, useSettled } from "../../ui/kit";
import { Days } from "./frame";

const WINDOWS = [1, 7, 14, 30, 90] as const;
const USUAL: Step[] = [{ type: "view" }, { type: "click" }, { type: "goal" }];

/** How many people get how far: the steps are edited beside what they lead to. */
export function FunnelScreen() {
  const { t } = useTranslation();
  const search = useSearch({ from: "/shell/analytics/funnel" });
  const navigate = useNavigate();
  const [days, setDays] = useState<"7" | "30" | "90">("30");
  const [windowDays, setWindow] = useState(7);
  // A key of its own for each line, so that they keep their fields when one is moved.
  const [lines, setLines] = useState(() => (readSteps(search.steps) ?? USUAL).map((step) => ({ key: crypto.randomUUID() as string, step })));
  const text = writeSteps(lines.map((line) => line.step));
  const settled = useSettled(text, 400);
  // The address is the funnel: it can be kept, and sent to somebody.
  useEffect(() => {
    if (settled !== search.steps) void navigate({ to: "/analytics/funnel", search: { steps: settled }, replace: true });
    // oxlint-disable-next-line react/exhaustive-deps
  }, [settled]);
  const period = useMemo(() => lastDays(Number(days)), [days]);
  const asked = { from: period.from, to: period.to, steps: settled, window_days: windowDays };
  const funnel = useQuery({
    queryKey: ["analytics", "funnel", asked],
    queryFn: ({ signal }) => ask(api.GET("/api/v1/analytics/funnel", { params: { query: asked }, signal })),
    enabled: isComplete(readSteps(settled) ?? []),
    placeholderData: keepPreviousData,
  });
  const change = (key: string, step: Step) => setLines((before) => before.map((line) => (line.key === key ? { key, step } : line)));
  const move = (index: number, by: number) => setLines((before) => {
    const next = [...before];
    const [line] = next.splice(index, 1);
    if (line) next.splice(index + by, 0, line);
    return next;
  });
  return (
    <div className="editor">
      <section className="card stack" aria-label={t("funnel.steps")}>
        <h2>{t("funnel.steps")}</h2>
        <ol className="plain stack">
          {lines.map(({ key, step }, index) => (
            <li key={key}><div className="funnel-line" role="group" aria-label={t("funnel.step", { n: index + 1 })}>
              <StepFields step={step} onChange={(next) => change(key, next)} />
              <span className="row tight keep">
                <Button small kind="quiet" aria-label={t("funnel.up", { n: index + 1 })} disabled={index === 0} onClick={() => move(index, -1)}>↑</Button>
                <Button small kind="quiet" aria-label={t("funnel.down", { n: index + 1 })} disabled={index === lines.length - 1} onClick={() => move(index, 1)}>↓</Button>
                <Button small kind="quiet" aria-label={t("funnel.remove", { n: index + 1 })} disabled={lines.length <= 2} onClick={() => setLines((before) => before.filter((line) => line.key !== key))}>✕</Button>
              </span>
            </div></li>
          ))}
        </ol>
        <div><Button disabled={lines.length >= MOST_STEPS} onClick={() => setLines((before) => [...before, { key: crypto.randomUUID(), step: { type: "goal" } }])}>{t("funnel.add")}</Button></div>
        <SelectField label={t("funnel.window")} hint={t("funnel.windowHint")} value={windowDays} onChange={(event) => setWindow(Number(event.target.value))}>
          {WINDOWS.map((one) => <option key={one} value={one}>{t("funnel.days", { count: one })}</option>)}
        </SelectField>
      </section>
      <section className="card stack" aria-label={t("analytics.tabs.funnel")}>
        <div className="row apart"><h2>{t("analytics.tabs.funnel")}</h2><Days value={days} onChange={setDays} options={["7", "30", "90"]} /></div>
        {isComplete(lines.map((line) => line.step))
          ? <Ready of={funnel}>{(found) => <Steps of={found.steps} />}</Ready>
          : <p className="muted">{t("funnel.incomplete")}</p>}
        <p className="small muted">{t("funnel.note")}</p>
      </section>
    </div>
  );
}

function StepFields({ step, onChange }: { step: Step; onChange: (step: Step) => void }) {
  const { t } = useTranslation();
  const known = EVENT_TYPES.find((type) => type === step.type);
  return (
    <>
      <SelectField label={t("funnel.type")} value={known ?? "other"} onChange={(event) => onChange(given({ type: event.target.value === "other" ? " " : event.target.value, name: step.name }) as Step)}>
        {EVENT_TYPES.map((type) => <option key={type} value={type}>{t(`eventTypes.${type}`)}</option>)}
        <option value="other">{t("funnel.other")}</option>
      </SelectField>
      {!known && <TextField label={t("funnel.ownType")} value={step.type.trim()} maxLength={100} onChange={(event) => onChange({ ...step, type: event.target.value || " " })} />}
      <TextField label={t("funnel.name")} value={step.name ?? ""} placeholder={t("leads.any")} maxLength={200} onChange={(event) => onChange({ ...step, name: event.target.value })} />
    </>
  );
}

function Steps({ of }: { of: Schemas["analytics.FunnelStep"][] }) {
  const { t } = useTranslation();
  const first = of[0]?.people ?? 0;
  if (first === 0) return <Empty title={t("funnel.none")}>{t("funnel.noneText")}</Empty>;
  return (
    <ol className="plain stack">
      {of.map((step, index) => {
        const before = of[index - 1]?.people;
        return (
          // Steps may be the same, and their order is what they are.
          // oxlint-disable-next-line react/no-array-index-key
          <li key={index} className="stack tight">
            <div className="row apart">
              <strong className="break">{t(`eventTypes.${step.type as "view"}`, { defaultValue: step.type })}{step.name && `: ${step.name}`}</strong>
              <span className="num"><strong>{count(step.people)}</strong> <span className="muted">{percent(step.people, first)}</span></span>
            </div>
            <div className="bar" aria-hidden="true"><span className="of-accepted" style={{ inlineSize: `${(step.people / first) * 100}%` }} /></div>
            {before !== undefined && before > 0 && <span className="small muted">{t("funnel.lost", { count: before - step.people, lost: count(before - step.people), share: percent(before - step.people, before) })}</span>}
          </li>
        );
      })}
    </ol>
  );
}
