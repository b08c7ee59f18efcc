import { useQuery } from "@tanstack/react-query";
import { Link, Outlet } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";
import { may, sessionQuery } from "../../api/session";
import { PageHead } from "../../ui/kit";

const TABS = [
  ["/settings", "account", false], ["/settings/workspace", "workspace", true], ["/settings/people", "people", true], ["/settings/domains", "domains", true],
  ["/settings/senders", "senders", true], ["/settings/webhooks", "webhooks", true], ["/settings/keys", "keys", true],
] as const;

export function Settings() {
  const { t } = useTranslation();
  const { data: session } = useQuery(sessionQuery);
  const admin = may(session, "administer");
  return (
    <>
      <PageHead title={t("settings.title")} />
      <nav className="tabs" aria-label={t("settings.title")}>
        {TABS.filter(([, , restricted]) => admin || !restricted).map(([to, name]) => (
          <Link key={to} to={to} activeOptions={{ exact: to === "/settings" }} activeProps={{ className: "active" }}>{t(`settings.${name}`)}</Link>
        ))}
      </nav>
      <Outlet />
    </>
  );
}
