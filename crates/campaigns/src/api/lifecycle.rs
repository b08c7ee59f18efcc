//! `/api/v1/campaigns/{id}/…`: pre-flight, test, start, pause, resume, cancel.

use actix_web::web::{self, Data};
use actix_web::{HttpRequest, HttpResponse};
use chassis::auth::Caller;
use chassis::http::{Json, Path, Valid, idempotency_key};
use chassis::{InvalidInput, idempotency, jobs, outbox};
use common::auth::Scope;
use common::dto::audience::{AudienceCount, AudiencePageQuery};
use common::dto::dispatch::TestSend;
use common::events::{CampaignCancelled, CampaignPaused, CampaignResumed};
use common::json::RawJson;
use common::values::EmailAddress;
use common::{CampaignId, MessageId};
use diesel::PgConnection;
use garde::Validate;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::campaigns::{CampaignView, answer, find};
use crate::State;
use crate::domain::campaign::{Campaign, Status, Step};
use crate::domain::preflight::{Check, Level};
use crate::error::Error;
use crate::starting;
use crate::store::{campaigns, dispatches};
use crate::tasks::Tell;

/// What the pre-flight found.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = campaigns::Preflight)]
pub(crate) struct Preflight {
    /// Whether a start would go ahead, warnings aside.
    ok: bool,
    checks: Vec<Check>,
}

fn at_level(checks: &[Check], level: Level) -> Vec<Check> {
    checks
        .iter()
        .filter(|check| check.level == level)
        .cloned()
        .collect()
}

/// `POST /campaigns/{id}/preflight`
#[utoipa::path(
    post, path = "/api/v1/campaigns/{id}/preflight", operation_id = "campaigns_preflight", tag = "campaigns",
    params(("id" = CampaignId, Path, description = "The campaign")),
    responses(
        (status = 200, description = "What was found", body = Preflight),
        (status = 404, description = "There is none", body = common::Problem),
        (status = 503, description = "A part that has to be asked does not answer", body = common::Problem),
    )
)]
pub(crate) async fn preflight(
    state: Data<State>,
    caller: Caller,
    id: Path<CampaignId>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::CampaignsRead)?;
    let campaign = find(&state, &caller, id.into_inner()).await?;
    let (checks, _) = starting::look(&state, &campaign).await?;
    let ok = at_level(&checks, Level::Error).is_empty();
    Ok(HttpResponse::Ok().json(Preflight { ok, checks }))
}

/// Who gets a test mail.
#[derive(Debug, Serialize, Deserialize, Validate, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = campaigns::SendTest)]
pub(crate) struct SendTest {
    #[garde(length(min = 1, max = 20))]
    #[schema(value_type = Vec<String>)]
    to: Vec<EmailAddress>,
}

/// The messages that were queued.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = campaigns::TestQueued)]
pub(crate) struct TestQueued {
    message_ids: Vec<MessageId>,
}

/// `POST /campaigns/{id}/test`: the mail as the first person of the audience would get it.
#[utoipa::path(
    post, path = "/api/v1/campaigns/{id}/test", operation_id = "campaigns_test", tag = "campaigns",
    params(("id" = CampaignId, Path, description = "The campaign")),
    request_body = SendTest,
    responses(
        (status = 202, description = "Queued", body = TestQueued),
        (status = 404, description = "There is none", body = common::Problem),
        (status = 422, description = "No sender or content, or bad addresses", body = common::Problem),
    )
)]
pub(crate) async fn test(
    state: Data<State>,
    caller: Caller,
    id: Path<CampaignId>,
    body: Valid<SendTest>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::MessagesSend)?;
    let campaign = find(&state, &caller, id.into_inner()).await?;
    let snapshot = campaign.snapshot().ok_or_else(|| {
        InvalidInput::field("", "the campaign needs `from` and `content` for a test")
    })?;
    let lead = sample(&state, &campaign).await?;
    let test = TestSend {
        snapshot,
        to: body.into_inner().to,
        lead,
    };
    let sent = state.peers.send_test(&test).await?;
    Ok(HttpResponse::Accepted().json(TestQueued {
        message_ids: sent.message_ids,
    }))
}

/// The template variables of the first person in the audience, or of a made-up one.
pub(crate) async fn sample(state: &State, campaign: &Campaign) -> Result<RawJson, Error> {
    let query = AudiencePageQuery {
        query: starting::query(campaign, state),
        after: None,
        limit: 1,
    };
    let first = match query.query.audience.is_empty() {
        true => None,
        false => state.peers.page(&query).await?.items.into_iter().next(),
    };
    Ok(first.map_or_else(
        || {
            json!({ "email": "ada@example.com", "first_name": "Ada", "last_name": "Lovelace", "attributes": {} })
                .into()
        },
        |recipient| recipient.lead,
    ))
}

/// `{accept_warnings?}`
#[derive(Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(as = campaigns::Start)]
pub(crate) struct Start {
    accept_warnings: bool,
}

/// `POST /campaigns/{id}/start`: now, or at its schedule.
#[utoipa::path(
    post, path = "/api/v1/campaigns/{id}/start", operation_id = "campaigns_start", tag = "campaigns",
    params(("id" = CampaignId, Path, description = "The campaign")),
    request_body = Start,
    responses(
        (status = 200, description = "Running or scheduled", body = CampaignView),
        (status = 404, description = "There is none", body = common::Problem),
        (status = 409, description = "Warnings are not accepted, or it was started before", body = common::Problem),
        (status = 422, description = "The pre-flight found errors", body = common::Problem),
    )
)]
#[tracing::instrument(name = "campaigns.start", skip_all, fields(campaign.id = %id.0))]
pub(crate) async fn start(
    state: Data<State>,
    caller: Caller,
    id: Path<CampaignId>,
    request: HttpRequest,
    body: Option<Json<Start>>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::CampaignsSend)?;
    let (workspace, id) = (caller.workspace, id.into_inner());
    let body = body.map(Json::into_inner).unwrap_or_default();
    let key = idempotency_key(&request, &body)?;
    let campaign = find(&state, &caller, id).await?;
    let repeated = key.is_some() && campaign.status != Status::Draft;
    let mut count = AudienceCount::default();
    if !repeated {
        campaign.status.after(Step::Start)?;
        let (checks, found) = starting::look(&state, &campaign).await?;
        refuse(&checks, body.accept_warnings)?;
        count = found;
    }
    let (inner, now) = (state.get_ref().clone(), state.host.clock.now());
    let view: CampaignView = state
        .host
        .db
        .transaction(move |conn| {
            idempotency::once(conn, workspace, key.as_ref(), now, |conn| {
                let campaign = campaigns::lock(conn, workspace, id)?.ok_or(Error::NotFound(id))?;
                let earliest = campaign
                    .draft
                    .schedule
                    .as_ref()
                    .and_then(|s| s.when().ok())
                    .map(|w| w.earliest());
                match earliest.filter(|at| *at > now) {
                    Some(at) => starting::plan(conn, campaign, at, now),
                    None => starting::go(conn, &inner, campaign, count, now),
                }
                .map(CampaignView::from)
            })
        })
        .await?;
    Ok(HttpResponse::Ok().json(view))
}

fn refuse(checks: &[Check], accept_warnings: bool) -> Result<(), Error> {
    let errors = at_level(checks, Level::Error);
    if !errors.is_empty() {
        return Err(Error::PreflightFailed(errors));
    }
    let warnings = at_level(checks, Level::Warning);
    if !warnings.is_empty() && !accept_warnings {
        return Err(Error::PreflightWarns(warnings));
    }
    Ok(())
}

/// Takes a step that a person asked for, and has notifications told.
async fn step(
    state: &State,
    caller: &Caller,
    id: CampaignId,
    step: Step,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::CampaignsSend)?;
    let (workspace, now) = (caller.workspace, state.host.clock.now());
    let moved = state
        .host
        .db
        .transaction(move |conn| {
            let campaign = campaigns::lock(conn, workspace, id)?.ok_or(Error::NotFound(id))?;
            let launched = dispatches::get(conn, workspace, id)?.is_some();
            // A scheduled campaign that was held back begins anew.
            if step == Step::Resume && campaign.status == Status::Paused && !launched {
                let draft = Campaign {
                    status: Status::Draft,
                    ..campaign
                };
                return starting::plan(conn, draft, now, now);
            }
            if step == Step::Pause && campaign.status == Status::Scheduled {
                return Err(Error::WrongStatus {
                    status: campaign.status,
                    verb: "paused",
                });
            }
            let moved = campaign.moved(step, now)?;
            campaigns::update(conn, &moved)?;
            announce(conn, &moved, step)?;
            let (campaign, version) = (moved.id, moved.version);
            jobs::enqueue(
                conn,
                &Tell {
                    workspace,
                    campaign,
                    version,
                },
                now,
            )?;
            if step == Step::Resume {
                jobs::enqueue(conn, &starting::dispatch_job(&moved), now)?;
            }
            Ok(moved)
        })
        .await?;
    Ok(answer(moved))
}

fn announce(conn: &mut PgConnection, campaign: &Campaign, step: Step) -> diesel::QueryResult<()> {
    let (workspace, campaign_id) = (campaign.workspace_id, campaign.id);
    match step {
        Step::Pause => outbox::push(conn, workspace, &CampaignPaused { campaign_id }),
        Step::Resume => outbox::push(conn, workspace, &CampaignResumed { campaign_id }),
        Step::Cancel => outbox::push(conn, workspace, &CampaignCancelled { campaign_id }),
        Step::Schedule | Step::Start | Step::Finish => Ok(()),
    }
}

/// `POST /campaigns/{id}/pause`
#[utoipa::path(
    post, path = "/api/v1/campaigns/{id}/pause", operation_id = "campaigns_pause", tag = "campaigns",
    params(("id" = CampaignId, Path, description = "The campaign")),
    responses(
        (status = 200, description = "Paused", body = CampaignView),
        (status = 404, description = "There is none", body = common::Problem),
        (status = 409, description = "It does not run", body = common::Problem),
    )
)]
pub(crate) async fn pause(
    state: Data<State>,
    caller: Caller,
    id: Path<CampaignId>,
) -> Result<HttpResponse, Error> {
    step(&state, &caller, id.into_inner(), Step::Pause).await
}

/// `POST /campaigns/{id}/resume`
#[utoipa::path(
    post, path = "/api/v1/campaigns/{id}/resume", operation_id = "campaigns_resume", tag = "campaigns",
    params(("id" = CampaignId, Path, description = "The campaign")),
    responses(
        (status = 200, description = "Running", body = CampaignView),
        (status = 404, description = "There is none", body = common::Problem),
        (status = 409, description = "It is not paused", body = common::Problem),
    )
)]
pub(crate) async fn resume(
    state: Data<State>,
    caller: Caller,
    id: Path<CampaignId>,
) -> Result<HttpResponse, Error> {
    step(&state, &caller, id.into_inner(), Step::Resume).await
}

/// `POST /campaigns/{id}/cancel`
#[utoipa::path(
    post, path = "/api/v1/campaigns/{id}/cancel", operation_id = "campaigns_cancel", tag = "campaigns",
    params(("id" = CampaignId, Path, description = "The campaign")),
    responses(
        (status = 200, description = "Cancelled; nobody else is mailed", body = CampaignView),
        (status = 404, description = "There is none", body = common::Problem),
        (status = 409, description = "It is over, or never began", body = common::Problem),
    )
)]
pub(crate) async fn cancel(
    state: Data<State>,
    caller: Caller,
    id: Path<CampaignId>,
) -> Result<HttpResponse, Error> {
    step(&state, &caller, id.into_inner(), Step::Cancel).await
}

/// The steps as routes below `/api/v1/campaigns/{id}`.
pub(crate) fn routes(config: &mut web::ServiceConfig) {
    let path = |verb: &str| format!("/api/v1/campaigns/{{id}}/{verb}");
    config
        .route(&path("preflight"), web::post().to(preflight))
        .route(&path("test"), web::post().to(test))
        .route(&path("start"), web::post().to(start))
        .route(&path("pause"), web::post().to(pause))
        .route(&path("resume"), web::post().to(resume))
        .route(&path("cancel"), web::post().to(cancel));
}
