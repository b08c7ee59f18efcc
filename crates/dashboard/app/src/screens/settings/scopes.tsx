import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import type { Schemas } from "../../api/client";
import { may, sessionQuery } from "../../api/session";
import { Check } from "../../ui/kit";

export type Scope = Schemas["Scope"];
type Verb = "read" | "write" | "send";
const AREAS = {
  leads: ["read", "write"], campaigns: ["read", "write", "send"], messages: ["read", "send"], analytics: ["read", "write"], senders: ["write"], webhooks: ["read", "write"],
  commerce: ["read", "write"], users: ["read", "write"], workspace: ["read", "write"], keys: ["write"], audit: ["read"],
} as const satisfies Record<string, readonly Verb[]>;
type Area = keyof typeof AREAS;
const areas = Object.keys(AREAS) as Area[];
/** There is nothing yet that it would allow. */
const offered = areas.filter((area) => area !== "commerce");

/** Chooses what somebody may do. Nobody hands on what they may not do themselves. */
export function ScopeChoices({ value, onChange }: { value: ReadonlySet<Scope>; onChange: (value: ReadonlySet<Scope>) => void }) {
  const { t } = useTranslation();
  const { data: session } = useQuery(sessionQuery);
  return (
    <fieldset>
      <legend>{t("keys.scopes")}</legend>
      <ul className="plain scopes">
        {offered.map((area) => (
          <li key={area}><div role="group" aria-label={t(`scopes.areas.${area}`)}>
            <span>{t(`scopes.areas.${area}`)}</span>
            <span className="row">
              {AREAS[area].map((verb) => {
                const scope = `${area}:${verb}` as Scope;
                return (
                  <Check key={verb} label={t(`scopes.verbs.${verb}`)} title={scope} checked={value.has(scope)} disabled={!may(session, scope) && !value.has(scope)}
                    onChange={(event) => {
                      const next = new Set(value);
                      if (event.target.checked) next.add(scope);
                      else next.delete(scope);
                      onChange(next);
                    }} />
                );
              })}
            </span>
          </div></li>
        ))}
      </ul>
    </fieldset>
  );
}

/** The same to read: what of each area. */
export function ScopeList({ of }: { of: readonly Scope[] }) {
  const { t } = useTranslation();
  return (
    <>
      {areas.map((area) => {
        const verbs = AREAS[area].filter((verb) => of.includes(`${area}:${verb}` as Scope));
        return verbs.length > 0 && (
          <span key={area} className="tag" title={verbs.map((verb) => `${area}:${verb}`).join(" ")}>
            {t(`scopes.areas.${area}`)}: {verbs.map((verb) => t(`scopes.verbs.${verb}`)).join(", ")}
          </span>
        );
      })}
    </>
  );
}
