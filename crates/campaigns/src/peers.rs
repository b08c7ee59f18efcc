//! What this service asks of the others.

use std::sync::Arc;

use chassis::client::{Peer, PeerError};
use common::dto::audience::{
    AudienceCount, AudiencePage, AudiencePageQuery, AudienceQuery, Gap, GapsQuery,
};
use common::dto::dispatch::{
    CampaignOrder, CampaignSnapshot, HandOver, HandedOver, Settlement, Speed, TestSend,
};
use common::dto::report::CampaignEngagement;
use common::dto::standing::DomainStanding;
use common::{CampaignId, MessageId, WorkspaceId};
use serde::Deserialize;

#[derive(Debug)]
pub(crate) struct Peers {
    pub(crate) leads: Arc<Peer>,
    pub(crate) notifications: Arc<Peer>,
    pub(crate) analytics: Arc<Peer>,
}

/// What is asked of notifications for a whole campaign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Complete,
    Pause,
    Resume,
    Cancel,
}

#[derive(Debug, Deserialize)]
pub(crate) struct TestSent {
    pub(crate) message_ids: Vec<MessageId>,
}

impl Peers {
    pub(crate) async fn count(&self, query: &AudienceQuery) -> Result<AudienceCount, PeerError> {
        self.leads.post("/internal/audience/count", query).await
    }

    pub(crate) async fn page(&self, query: &AudiencePageQuery) -> Result<AudiencePage, PeerError> {
        self.leads.post("/internal/audience/page", query).await
    }

    pub(crate) async fn gaps(&self, query: &GapsQuery) -> Result<Vec<Gap>, PeerError> {
        self.leads.post("/internal/audience/gaps", query).await
    }

    pub(crate) async fn register(
        &self,
        campaign: CampaignId,
        snapshot: &CampaignSnapshot,
    ) -> Result<(), PeerError> {
        let answer: serde_json::Value = self
            .notifications
            .put(&format!("/internal/campaigns/{campaign}"), snapshot)
            .await?;
        drop(answer);
        Ok(())
    }

    pub(crate) async fn hand_over(
        &self,
        campaign: CampaignId,
        page: &HandOver,
    ) -> Result<HandedOver, PeerError> {
        self.notifications
            .post(&format!("/internal/campaigns/{campaign}/recipients"), page)
            .await
    }

    pub(crate) async fn order(
        &self,
        workspace_id: WorkspaceId,
        campaign: CampaignId,
        order: Order,
    ) -> Result<(), PeerError> {
        let verb = match order {
            Order::Complete => "complete",
            Order::Pause => "pause",
            Order::Resume => "resume",
            Order::Cancel => "cancel",
        };
        let path = format!("/internal/campaigns/{campaign}/{verb}");
        let answer: serde_json::Value = self
            .notifications
            .post(&path, &CampaignOrder { workspace_id })
            .await?;
        drop(answer);
        Ok(())
    }

    pub(crate) async fn settlement(
        &self,
        workspace: WorkspaceId,
        campaign: CampaignId,
    ) -> Result<Settlement, PeerError> {
        let path = format!("/internal/campaigns/{campaign}/settlement");
        self.notifications
            .get(&path, &[("workspace_id", workspace)])
            .await
    }

    pub(crate) async fn speed(
        &self,
        workspace: WorkspaceId,
        campaign: CampaignId,
    ) -> Result<Speed, PeerError> {
        let path = format!("/internal/campaigns/{campaign}/speed");
        self.notifications
            .get(&path, &[("workspace_id", workspace)])
            .await
    }

    pub(crate) async fn standing(
        &self,
        workspace: WorkspaceId,
        domain: &str,
    ) -> Result<DomainStanding, PeerError> {
        self.notifications
            .get(
                &format!("/internal/domains/{domain}"),
                &[("workspace_id", workspace)],
            )
            .await
    }

    pub(crate) async fn send_test(&self, test: &TestSend) -> Result<TestSent, PeerError> {
        self.notifications.post("/internal/test-sends", test).await
    }

    pub(crate) async fn engagement(
        &self,
        workspace: WorkspaceId,
        campaign: CampaignId,
    ) -> Result<CampaignEngagement, PeerError> {
        let path = format!("/internal/campaigns/{campaign}/engagement");
        self.analytics
            .get(&path, &[("workspace_id", workspace)])
            .await
    }
}
