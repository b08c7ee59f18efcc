import { useTranslation } from "react-i18next";
import { dateTime, wallClock } from "../lib/format";

/** When a campaign starts: in the zone that was chosen, as it was chosen. */
export function Starts({ schedule }: { schedule: { at: string; timezone?: string | null } }) {
  const { t } = useTranslation();
  const { at, timezone } = schedule;
  // One with an offset is a moment, which the viewer's own clock tells.
  if (/(z|[+-]\d\d:\d\d)$/i.test(at)) return <>{t("running.scheduledFor", { at: dateTime(at), zone: new Intl.DateTimeFormat().resolvedOptions().timeZone })}</>;
  return timezone === "recipient"
    ? <>{t("running.scheduledEach", { at: wallClock(at) })}</>
    : <>{t("running.scheduledFor", { at: wallClock(at), zone: timezone ?? "UTC" })}</>;
}
