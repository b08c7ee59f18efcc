import { useMutation } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";
import { api, ask } from "../api/client";
import type { Campaign } from "../api/queries";
import { STARTERS } from "../lib/starters";
import { Button, useSay, useToast } from "../ui/kit";

/** Begins a campaign to these people. */
export function WriteTo({ name, audience, primary = false }: { name: string; audience: Pick<Campaign["audience"], "list_ids" | "segment_ids">; primary?: boolean }) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const toast = useToast();
  const say = useSay();
  const make = useMutation({
    mutationFn: () => ask(api.POST("/api/v1/campaigns", { body: { name, content: STARTERS.newsletter, audience: audience as Campaign["audience"] } })),
    onSuccess: (made) => navigate({ to: "/campaigns/$id", params: { id: made.id } }),
    onError: (error) => toast(say(error)),
  });
  return <Button kind={primary ? "primary" : ""} busy={make.isPending} onClick={() => make.mutate()}>{t("import.toCampaigns")}</Button>;
}
