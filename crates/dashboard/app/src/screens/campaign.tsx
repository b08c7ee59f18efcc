import { useQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { lazy, Suspense } from "react";
import { campaignQuery } from "../api/queries";
import { may, sessionQuery } from "../api/session";
import { Loading, Ready } from "../ui/kit";

const Editor = lazy(() => import("./editor").then((module) => ({ default: module.Editor })));
const Running = lazy(() => import("./running").then((module) => ({ default: module.Running })));

/** A draft is written; anything else is watched. */
export function CampaignScreen() {
  const { id } = useParams({ from: "/shell/campaigns/$id" });
  const { data: session } = useQuery(sessionQuery);
  const campaign = useQuery({
    ...campaignQuery(id),
    refetchOnMount: "always",
    refetchInterval: ({ state }) => {
      const status = state.data?.data.status;
      return status === "running" || status === "scheduled" || status === "paused" ? 2_000 : false;
    },
    // A draft is in the editor's hands: what is typed there must not be replaced.
    refetchOnWindowFocus: ({ state }) => state.data?.data.status !== "draft",
  });
  // The editor begins from what is stored now, not from what an earlier visit has left.
  if (!campaign.isFetchedAfterMount) return <Loading />;
  return (
    <Ready of={campaign}>
      {(found) => (
        <Suspense fallback={<Loading />}>
          {found.data.status === "draft" && may(session, "campaigns:write")
            ? <Editor key={id} id={id} campaign={found.data} etag={found.etag} />
            : <Running campaign={found.data} />}
        </Suspense>
      )}
    </Ready>
  );
}
