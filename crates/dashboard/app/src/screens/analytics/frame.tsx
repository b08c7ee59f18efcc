import { useQuery } from "@tanstack/react-query";
import { Link, Outlet } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";
import { may, sessionQuery } from "../../api/session";
import { PageHead, Segmented } from "../../ui/kit";
import { Tabs } from "../../ui/tabs";

const TABS = [
  ["/analytics", "figures"], ["/analytics/goals", "goals"], ["/analytics/funnel", "funnel"], ["/analytics/retention", "retention"], ["/analytics/attribution", "attribution"],
  ["/analytics/live", "live"], ["/analytics/shares", "shares"],
] as const;

export function Analytics() {
  const { t } = useTranslation();
  const { data: session } = useQuery(sessionQuery);
  return (
    <>
      <PageHead title={t("analytics.title")} />
      <Tabs label={t("analytics.title")}>
        {TABS.filter(([, name]) => name !== "shares" || may(session, "analytics:write")).map(([to, name]) => (
          <Link key={to} to={to} activeOptions={{ exact: to === "/analytics", includeSearch: false }} activeProps={{ className: "active" }}>{t(`analytics.tabs.${name}`)}</Link>
        ))}
      </Tabs>
      <Outlet />
    </>
  );
}

export type DaysChoice = "1" | "7" | "30" | "90";

export function Days<T extends DaysChoice>({ value, onChange, options = ["1", "7", "30", "90"] as unknown as readonly T[] }: {
  value: T; onChange: (value: T) => void; options?: readonly T[];
}) {
  const { t } = useTranslation();
  return <Segmented label={t("overview.period")} value={value} onChange={onChange} options={options.map((one) => [one, t("overview.days", { count: Number(one) })] as const)} />;
}
