//! What the tests of analytics share.

use analytics::Analytics;
use chrono::{DateTime, Duration, Utc};
use common::auth::{Role, Service};
use common::dto::report::CampaignEngagement;
use common::token::{MailToken, Purpose};
use common::{CampaignId, LeadId, MessageId, WorkspaceId};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Text};
use serde_json::{Value, json};
use testkit::{Response, TestService};

pub(crate) type App = TestService<Analytics>;

/// A browser of a person.
pub(crate) const BROWSER: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36";

/// The answer of `POST /api/v1/analytics`.
pub(crate) type Receipt = analytics::ReceiptView;

/// Sends a body as the workspace's owner.
pub(crate) async fn send(app: &App, body: Value) -> Response {
    app.as_role(Role::Owner)
        .post("/api/v1/analytics")
        .json(&body)
        .send()
        .await
}

/// Sends a body that must be taken and answers (accepted, duplicates, rejected).
pub(crate) async fn sent(app: &App, body: Value) -> (usize, usize, usize) {
    let receipt: Receipt = send(app, body).await.assert_status(202).json();
    (receipt.accepted, receipt.duplicates, receipt.rejected.len())
}

#[derive(Debug, QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// Counts rows, such as `"events WHERE type = 'view'"`.
pub(crate) fn count(app: &App, rows: &str) -> i64 {
    let counted: Count = sql_query(format!("SELECT count(*) AS count FROM {rows}"))
        .get_result(&mut app.connect())
        .expect("a countable thing");
    counted.count
}

#[derive(Debug, PartialEq, Eq, QueryableByName)]
pub(crate) struct Verdict {
    #[diesel(sql_type = Text)]
    pub(crate) verdict: String,
    #[diesel(sql_type = Array<Text>)]
    pub(crate) reasons: Vec<String>,
}

/// The verdicts of all events, in the order they were received.
pub(crate) fn verdicts(app: &App) -> Vec<Verdict> {
    sql_query("SELECT verdict, reasons FROM events ORDER BY received_at, id")
        .load(&mut app.connect())
        .expect("events can be read")
}

/// One mail to one lead.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mail {
    pub(crate) workspace: WorkspaceId,
    pub(crate) campaign: CampaignId,
    pub(crate) lead: LeadId,
    pub(crate) message: MessageId,
    pub(crate) made_at: DateTime<Utc>,
}

impl Mail {
    /// A mail of `campaign` that was made a minute ago.
    pub(crate) fn of(app: &App, campaign: CampaignId) -> Self {
        Self {
            workspace: app.workspace,
            campaign,
            lead: LeadId::new(),
            message: MessageId::new(),
            made_at: app.clock.now() - Duration::minutes(1),
        }
    }

    pub(crate) fn token(&self, app: &App, purpose: Purpose, link: u16, url: &str) -> String {
        app.links().seal(
            purpose,
            &MailToken {
                workspace_id: self.workspace,
                campaign_id: Some(self.campaign),
                lead_id: Some(self.lead),
                message_id: self.message,
                issued_at: self.made_at,
                link,
                url: url.into(),
            },
        )
    }

    /// The path of a link of this mail.
    pub(crate) fn link(&self, app: &App, link: u16) -> String {
        let url = format!("https://shop.example/{link}");
        format!("/c/{}", self.token(app, Purpose::Click, link, &url))
    }

    /// The path of its pixel.
    pub(crate) fn pixel(&self, app: &App) -> String {
        format!("/o/{}.gif", self.token(app, Purpose::Open, 0, ""))
    }
}

/// Follows a path as a person with a browser.
pub(crate) async fn browse(app: &App, path: &str) -> Response {
    visit(app, path, BROWSER).await
}

pub(crate) async fn visit(app: &App, path: &str, user_agent: &str) -> Response {
    app.anonymous()
        .get(path)
        .header("user-agent", user_agent)
        .send()
        .await
}

/// What `campaigns` is told about a campaign of this workspace.
pub(crate) async fn engagement(app: &App, campaign: CampaignId) -> CampaignEngagement {
    engagement_in(app, app.workspace, campaign).await
}

pub(crate) async fn engagement_in(
    app: &App,
    workspace: WorkspaceId,
    campaign: CampaignId,
) -> CampaignEngagement {
    app.as_service(Service::Campaigns)
        .get(format!(
            "/internal/campaigns/{campaign}/engagement?workspace_id={workspace}"
        ))
        .send()
        .await
        .assert_status(200)
        .json()
}

/// (human, machine, unique)
pub(crate) fn figures(hits: common::dto::report::Hits) -> (i64, i64, i64) {
    (hits.human, hits.machine, hits.unique)
}

/// `count` events of a type, without ids.
pub(crate) fn events(count: usize, kind: &str) -> Value {
    json!({ "events": vec![json!({ "type": kind }); count] })
}

/// A new write key: its id and itself.
pub(crate) async fn write_key(app: &App, body: Value) -> (String, String) {
    let owner = app.as_role(Role::Owner);
    let created = owner.post("/api/v1/write-keys").json(&body).send().await;
    let created: Value = created.assert_status(201).json();
    let text = |name: &str| created[name].as_str().expect("a text").to_owned();
    (text("id"), text("key"))
}
