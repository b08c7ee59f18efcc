//! `POST /api/v1/analytics`

use actix_web::web::Data;
use actix_web::{HttpResponse, post};
use chassis::auth::Caller;
use chassis::http::Body;
use common::auth::Scope;
use serde::{Deserialize, Serialize};

use super::State;
use crate::domain::parse::{self, Refused};
use crate::error::Error;
use crate::pipeline::{NotStored, Receipt};

/// What became of the events of a request.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = analytics::Receipt)]
pub struct ReceiptView {
    /// Events that are stored now.
    pub accepted: usize,
    /// Events whose id was known already.
    pub duplicates: usize,
    /// Events that cannot be taken; the others were.
    pub rejected: Vec<RejectedView>,
}

#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = analytics::Rejected)]
pub struct RejectedView {
    /// Its place in `events`, from 0.
    pub index: usize,
    pub code: String,
    /// Names every bad field.
    pub detail: String,
}

/// One event, as a client writes it. For the documentation: requests are read event by event.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = analytics::NewEvent)]
pub struct NewEvent {
    /// A UUID, or any text up to 128 characters. An id counts once within seven days.
    pub id: Option<String>,
    /// `view`, `click`, `open`, `goal`, `identify`, `refund`, or a name of your own.
    #[serde(rename = "type")]
    pub kind: String,
    /// When it was received, if absent.
    pub occurred_at: Option<chrono::DateTime<chrono::Utc>>,
    pub campaign_id: Option<common::CampaignId>,
    pub lead_id: Option<common::LeadId>,
    pub anonymous_id: Option<String>,
    /// Your own id of the person.
    pub user_id: Option<String>,
    /// Which of its type it is: the name of a goal or a page.
    pub name: Option<String>,
    pub url: Option<String>,
    /// An object of at most 32 kB. `amount`, in minor units, and `currency` are counted as
    /// revenue; those of a `refund` are taken off. An `identify` joins the ids it carries, and the
    /// lead whose address `email` is.
    #[schema(value_type = Option<Object>)]
    pub properties: Option<serde_json::Value>,
}

/// One event, or a list of up to 1000.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = analytics::NewEvents)]
#[serde(untagged)]
pub enum NewEvents {
    One(NewEvent),
    Many { events: Vec<NewEvent> },
}

#[utoipa::path(
    tag = "analytics",
    operation_id = "analytics_ingest",
    request_body = NewEvents,
    responses(
        (status = 202, description = "The events are stored durably, but for those rejected", body = ReceiptView),
        (status = 400, description = "The body is not JSON", body = common::Problem),
        (status = 422, description = "The only event, or the whole request, cannot be taken", body = common::Problem),
        (status = 429, description = "Too much is waiting; nothing was taken", body = common::Problem),
        (status = 503, description = "The database is away", body = common::Problem),
    )
)]
#[post("/api/v1/analytics")]
pub(crate) async fn ingest(
    state: Data<State>,
    caller: Caller,
    body: Body,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::AnalyticsWrite)?;
    let parsed = parse::body(&body.0, caller.workspace, state.host.clock.now())?;
    let bytes = body.0.len();
    drop(body);
    let receipt = match parsed.events.is_empty() {
        true => Receipt::default(),
        false => store(&state, parsed.events, bytes).await?,
    };
    state.count(receipt, parsed.rejected.len());
    Ok(HttpResponse::Accepted().json(ReceiptView {
        accepted: receipt.accepted,
        duplicates: receipt.duplicates,
        rejected: parsed.rejected.iter().map(rejected).collect(),
    }))
}

pub(super) async fn store(
    state: &State,
    events: Vec<crate::domain::event::Event>,
    bytes: usize,
) -> Result<Receipt, NotStored> {
    let stored = state.pipeline.events.store(events, bytes).await;
    if let Err(why) = stored {
        let reason = match why {
            NotStored::Full => "queue_full",
            NotStored::Away => "unavailable",
            NotStored::Failed => "failed",
        };
        state
            .counters
            .turned_away
            .with_label_values(&[reason])
            .inc();
    }
    stored
}

fn rejected(refused: &Refused) -> RejectedView {
    RejectedView {
        index: refused.index,
        code: "invalid_event".into(),
        detail: refused.detail(),
    }
}

impl State {
    pub(super) fn count(&self, receipt: Receipt, rejected: usize) {
        let counts = [
            ("accepted", receipt.accepted),
            ("duplicate", receipt.duplicates),
            ("rejected", rejected),
        ];
        for (outcome, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
            let counter = self.counters.events.with_label_values(&[outcome]);
            counter.inc_by(count as u64);
        }
    }
}
