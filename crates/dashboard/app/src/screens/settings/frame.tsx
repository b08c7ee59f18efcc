import { useQuery } from "@tanstack/react-query";
import { Link, Outlet } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";
import { may, sessionQuery } from "../../api/session";
import { PageHead } from "../../ui/kit";
import { Tabs } from "../../ui/tabs";

const TABS = [
  ["/settings", "account", undefined], ["/settings/workspace", "workspace", "workspace:write"], ["/settings/people", "people", "users:read"],
  ["/settings/domains", "domains", "senders:write"], ["/settings/senders", "senders", "senders:write"], ["/settings/bounces", "bounces", "senders:write"], ["/settings/webhooks", "webhooks", "webhooks:read"],
  ["/settings/keys", "keys", "keys:write"], ["/settings/write-keys", "writeKeys", "analytics:write"], ["/settings/audit", "audit", "audit:read"],
] as const;

export function Settings() {
  const { t } = useTranslation();
  const { data: session } = useQuery(sessionQuery);
  return (
    <>
      <PageHead title={t("settings.title")} />
      <Tabs label={t("settings.title")}>
        {TABS.filter(([, , scope]) => scope === undefined || may(session, scope)).map(([to, name]) => (
          <Link key={to} to={to} activeOptions={{ exact: to === "/settings" }} activeProps={{ className: "active" }}>{t(`settings.${name}`)}</Link>
        ))}
      </Tabs>
      <Outlet />
    </>
  );
}
