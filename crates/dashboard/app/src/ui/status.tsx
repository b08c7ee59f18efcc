import { useTranslation } from "react-i18next";
import type { CampaignStatus } from "../api/queries";
import { Badge } from "./kit";

const TONES = { draft: "", scheduled: "info", running: "info", paused: "warn", finished: "good", cancelled: "" } as const;

export function StatusBadge({ of }: { of: CampaignStatus }) {
  const { t } = useTranslation();
  return <Badge tone={TONES[of]}>{t(`status.${of}`)}</Badge>;
}
