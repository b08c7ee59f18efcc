import { useTranslation } from "react-i18next";
import { count, percent } from "../lib/format";
import { OUTCOMES, type Settlement } from "../lib/settlement";

/** Where everybody of an audience is: the parts are as wide as they are many. */
export function SettlementBar({ of, slim }: { of: Settlement; slim?: boolean }) {
  const { t } = useTranslation();
  const said = OUTCOMES.filter((name) => of[name] > 0).map((name) => `${t(`outcome.${name}`)}: ${count(of[name])}`);
  const label = t("settlement.label", { parts: said.join(", ") || "0", audience: count(of.audience) });
  return (
    <div className={slim ? "bar slim" : "bar"} role="img" aria-label={label} title={label}>
      {OUTCOMES.filter((name) => of[name] > 0).map((name) => (
        <span key={name} className={`of-${name}`} style={{ flexGrow: of[name], flexBasis: 0 }} />
      ))}
    </div>
  );
}

export function SettlementFigures({ of, link }: { of: Settlement; link?: (outcome: (typeof OUTCOMES)[number], text: string) => React.ReactNode }) {
  const { t } = useTranslation();
  const sum = OUTCOMES.reduce((total, name) => total + of[name], 0);
  return (
    <div className="stack">
      <SettlementBar of={of} />
      <dl className="legend">
        {OUTCOMES.map((name) => (
          <div key={name} data-outcome={name}>
            <dt><span className={`dot of-${name}`} />{t(`outcome.${name}`)}</dt>
            <dd>{link && of[name] > 0 ? link(name, count(of[name])) : count(of[name])}</dd>
          </div>
        ))}
      </dl>
      <p className="small muted num" data-testid="sum">
        {t("settlement.sum", { sum: count(sum), audience: count(of.audience) })}
        {" · "}
        {of.pending > 0
          ? t("settlement.done", { percent: percent(of.audience - of.pending, of.audience) })
          : t("settlement.all")}
      </p>
    </div>
  );
}
