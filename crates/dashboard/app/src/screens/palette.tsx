import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useEffect, useId, useRef, useState, type KeyboardEvent } from "react";
import { useTranslation } from "react-i18next";
import { api, ask } from "../api/client";
import { campaignNamesQuery, formsQuery, listsQuery, segmentsQuery, templatesQuery } from "../api/queries";
import { may, sessionQuery } from "../api/session";
import { fitting } from "../lib/places";
import { Dialog, TextField, useSettled } from "../ui/kit";

const SCREENS = [
  ["/", "overview"], ["/campaigns", "campaigns"], ["/templates", "templates"], ["/leads", "leads"], ["/lists", "lists"], ["/forms", "forms"], ["/segments", "segments"],
  ["/suppressions", "suppressions"], ["/analytics", "analytics"], ["/deliveries", "deliveries"], ["/settings", "settings"],
] as const;
const ANALYTICS = [["/analytics/goals", "goals"], ["/analytics/funnel", "funnel"], ["/analytics/retention", "retention"], ["/analytics/attribution", "attribution"], ["/analytics/live", "live"]] as const;
const SETTINGS = [
  ["/settings/workspace", "workspace", "workspace:write"], ["/settings/people", "people", "users:read"], ["/settings/domains", "domains", "senders:write"],
  ["/settings/senders", "senders", "senders:write"], ["/settings/bounces", "bounces", "senders:write"], ["/settings/webhooks", "webhooks", "webhooks:read"], ["/settings/keys", "keys", "keys:write"],
  ["/settings/write-keys", "writeKeys", "analytics:write"], ["/settings/audit", "audit", "audit:read"],
] as const;

/** To any screen, campaign, list or person by a few letters. */
export function Palette({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation();
  const id = useId();
  const navigate = useNavigate();
  const { data: session } = useQuery(sessionQuery);
  const [typed, setTyped] = useState("");
  const [at, setAt] = useState(0);
  const list = useRef<HTMLDivElement>(null);
  const people = may(session, "leads:read");
  const lists = useQuery({ ...listsQuery, enabled: people });
  const forms = useQuery({ ...formsQuery, enabled: people });
  const segments = useQuery({ ...segmentsQuery, enabled: people });
  const writes = may(session, "campaigns:read");
  const templates = useQuery({ ...templatesQuery, enabled: writes });
  const campaigns = useQuery({ ...campaignNamesQuery, enabled: writes });
  const asked = useSettled(typed.trim(), 200);
  const leads = useQuery({
    queryKey: ["leads", "found", asked],
    queryFn: ({ signal }) => ask(api.GET("/api/v1/leads", { params: { query: { q: asked, limit: 5 } }, signal })),
    enabled: people && asked.length > 1,
    placeholderData: keepPreviousData,
  });
  const named = (path: string, kind: string, items: readonly { id: string; name: string }[] | undefined) =>
    (items ?? []).map((one) => ({ path: `${path}/${one.id}`, name: one.name, kind }));
  const known = [
    ...SCREENS.map(([path, name]) => ({ path, name: t(`shell.${name}`), kind: t("palette.screen") })),
    ...(may(session, "leads:write") ? [{ path: "/leads/import", name: t("leads.import"), kind: t("palette.screen") }, { path: "/segments/new", name: t("segments.new"), kind: t("palette.screen") }] : []),
    ...ANALYTICS.map(([path, name]) => ({ path, name: t(`analytics.tabs.${name}`), kind: t("shell.analytics") })),
    ...SETTINGS.filter(([, , scope]) => may(session, scope)).map(([path, name]) => ({ path, name: t(`settings.${name}`), kind: t("shell.settings") })),
    ...[...(campaigns.data ?? [])].map(([campaign, name]) => ({ path: `/campaigns/${campaign}`, name, kind: t("palette.campaign") })),
    ...named("/templates", t("palette.template"), templates.data),
    ...named("/lists", t("leads.list"), lists.data),
    ...named("/forms", t("palette.form"), forms.data),
    ...named("/segments", t("leads.segment"), segments.data),
  ];
  const who = asked.length > 1 && typed.trim() !== "" ? (leads.data?.items ?? []) : [];
  const found = [
    ...fitting(typed, known, 9),
    ...who.map((lead) => ({ path: `/leads/${lead.id}`, name: lead.email, kind: [lead.first_name, lead.last_name].filter(Boolean).join(" ") || t("palette.lead") })),
  ];
  const chosen = Math.min(at, found.length - 1);
  useEffect(() => {
    list.current?.querySelector('[aria-selected="true"]')?.scrollIntoView({ block: "nearest" });
  }, [chosen]);
  const go = (path: string | undefined) => {
    if (path === undefined) return;
    onClose();
    void navigate({ to: path });
  };
  const key = (event: KeyboardEvent) => {
    if (event.key === "ArrowDown") setAt((chosen + 1) % Math.max(1, found.length));
    else if (event.key === "ArrowUp") setAt((chosen - 1 + found.length) % Math.max(1, found.length));
    else if (event.key === "Enter") go(found[chosen]?.path);
    else return;
    event.preventDefault();
  };
  return (
    <Dialog title={t("palette.title")} onClose={onClose}>
      <TextField label={t("palette.what")} type="search" value={typed} autoFocus autoComplete="off" role="combobox" aria-expanded={found.length > 0} aria-controls={`${id}-found`}
        {...(found.length > 0 && { "aria-activedescendant": `${id}-${chosen}` })} onKeyDown={key} onChange={(event) => { setTyped(event.target.value); setAt(0); }} />
      <div id={`${id}-found`} ref={list} role="listbox" aria-label={t("palette.title")} className="palette">
        {found.map((place, index) => (
          <div key={place.path} id={`${id}-${index}`} role="option" tabIndex={-1} aria-selected={index === chosen} className="row apart keep"
            onMouseMove={() => setAt(index)} onClick={() => go(place.path)} onKeyDown={key}>
            <span className="truncate">{place.name}</span><span className="small muted nowrap">{place.kind}</span>
          </div>
        ))}
      </div>
      {found.length === 0 && <p className="muted" role="status">{t("palette.none")}</p>}
    </Dialog>
  );
}
