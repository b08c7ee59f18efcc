//! `/api/v1/senders`: the mail servers a workspace sends through, and the installation's own.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use actix_web::HttpResponse;
use actix_web::web::{self, Data};
use chassis::InvalidInput;
use chassis::auth::Caller;
use chassis::error::violated_unique;
use chassis::http::{IfMatch, Json, Path, Query, etag};
use chrono::{DateTime, Utc};
use common::auth::Scope;
use common::ids::SenderId;
use common::page::{self, Page, PageQuery};
use mail::smtp::{Connection, SmtpServer, Timeouts};
use serde::Serialize;

use super::write_sender::{WriteSender, blank};
use crate::delivery::Outlet;
use crate::domain::pace::Pace;
use crate::domain::warm_up::WarmUp;
use crate::store::senders::{self, Sender};
use crate::{AppState, Error};

/// The id of the installation's own mail server, which is a setting.
const DEFAULT: &str = "default";
/// How long each step of a test may take.
const TEST_PATIENCE: Duration = Duration::from_secs(10);

/// A mail server, without its password.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = notifications::Sender)]
pub(crate) struct SenderView {
    /// A UUID, or `default` for the installation's own.
    id: String,
    name: String,
    host: String,
    port: i32,
    /// `none`, `opportunistic`, `required` or `implicit`.
    tls: String,
    user: Option<String>,
    /// Whether it has a user and a password.
    authenticated: bool,
    /// The smaller, the earlier it is used.
    priority: Option<i32>,
    /// Which domains mail must be from; empty for all.
    domains: Vec<String>,
    connections: i32,
    /// Messages per second, of all replicas together.
    per_second: Option<f64>,
    /// Messages per second by destination domain; `*` is for those that are not named.
    domain_rates: BTreeMap<String, f64>,
    warm_up: Option<WarmUp>,
    /// How many messages its warm-up allows today (UTC).
    cap_today: Option<u32>,
    enabled: bool,
    /// It is the installation's and is set by its operator.
    read_only: bool,
    /// Why it is not used at the moment, as far as the answering replica knows.
    unreachable: Option<String>,
    /// Destination domains that asked for less, and what they get now.
    slowed: Vec<SlowedView>,
    created_at: Option<DateTime<Utc>>,
    updated_at: Option<DateTime<Utc>>,
}

/// A destination domain that is served more slowly than usual.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = notifications::Slowed)]
pub(crate) struct SlowedView {
    domain: String,
    per_second: f64,
    since: DateTime<Utc>,
}

fn slowed(outlet: &Outlet, now: DateTime<Utc>) -> Vec<SlowedView> {
    let view = |(domain, pace): (String, Pace)| {
        Some(SlowedView {
            domain,
            per_second: pace.rate(now)?,
            since: pace.since,
        })
    };
    let mut slowed: Vec<_> = outlet.paces(now).into_iter().filter_map(view).collect();
    slowed.sort_by(|a, b| a.domain.cmp(&b.domain));
    slowed
}

impl SenderView {
    fn new(state: &AppState, sender: Sender) -> Self {
        let now = state.clock.now();
        let outlet = state.outlets.find(Some(sender.id));
        let warm_up = sender.warm_up();
        Self {
            id: sender.id.to_string(),
            authenticated: sender.username.is_some(),
            domain_rates: sender.domain_rates(),
            cap_today: warm_up.as_ref().and_then(|plan| plan.cap(now.date_naive())),
            warm_up,
            name: sender.name,
            host: sender.host,
            port: sender.port,
            tls: sender.tls,
            user: sender.username,
            priority: Some(sender.priority),
            domains: sender.domains,
            connections: sender.connections,
            per_second: sender.per_second,
            enabled: sender.enabled,
            read_only: false,
            unreachable: outlet.as_ref().and_then(|outlet| outlet.breaker.reason()),
            slowed: outlet
                .map(|outlet| slowed(&outlet, now))
                .unwrap_or_default(),
            created_at: Some(sender.created_at),
            updated_at: Some(sender.updated_at),
        }
    }

    /// The installation's own. Its user is its operator's business.
    fn installed(state: &AppState) -> Self {
        let server = &state.sending.server;
        let outlet = state.outlets.find(None);
        Self {
            id: DEFAULT.into(),
            name: DEFAULT.into(),
            host: server.host.clone(),
            port: server.port.into(),
            tls: server.tls.as_str().into(),
            user: None,
            authenticated: server.credentials.is_some(),
            priority: None,
            domains: Vec::new(),
            connections: i32::try_from(state.sending.connections).unwrap_or(i32::MAX),
            per_second: None,
            domain_rates: BTreeMap::new(),
            warm_up: None,
            cap_today: None,
            enabled: true,
            read_only: true,
            unreachable: outlet.as_ref().and_then(|outlet| outlet.breaker.reason()),
            slowed: outlet
                .map(|outlet| slowed(&outlet, state.clock.now()))
                .unwrap_or_default(),
            created_at: None,
            updated_at: None,
        }
    }
}

fn parse(id: &str) -> Result<SenderId, Error> {
    match id {
        DEFAULT => Err(Error::SenderReadOnly),
        id => id.parse().map_err(|_| Error::NoSender(id.to_owned())),
    }
}

fn taken(error: diesel::result::Error) -> Error {
    match violated_unique(&error) {
        Some("senders_by_name") => Error::SenderNameTaken,
        _ => error.into(),
    }
}

/// `GET /api/v1/senders`
#[utoipa::path(
    get, path = "/api/v1/senders", tag = "notifications", operation_id = "notifications_senders_list",
    params(PageQuery),
    responses((
        status = 200, body = Page<SenderView>,
        description = "The installation's mail server on the first page, then the workspace's own, oldest first",
    ))
)]
#[tracing::instrument(name = "senders.list", skip_all)]
pub(crate) async fn list(
    state: Data<AppState>,
    caller: Caller,
    query: Query<PageQuery>,
) -> Result<web::Json<Page<SenderView>>, Error> {
    caller.require(Scope::MessagesRead)?;
    let refused = |name: &'static str| {
        move |why: common::values::Invalid| InvalidInput::field(name, why.to_string())
    };
    let limit = query.0.limit().map_err(refused("query/limit"))?;
    let after: Option<SenderId> = query
        .0
        .cursor
        .as_deref()
        .map(page::decode_cursor)
        .transpose()
        .map_err(refused("query/cursor"))?;
    let workspace = caller.workspace;
    let rows = state
        .db
        .run(move |conn| Ok::<_, Error>(senders::list(conn, workspace, after, limit + 1)?))
        .await?;
    let mut page = Page::from_rows(
        rows,
        limit,
        |sender| sender.id,
        |sender| SenderView::new(&state, sender),
    );
    if after.is_none() {
        page.items.insert(0, SenderView::installed(&state));
    }
    Ok(web::Json(page))
}

/// `POST /api/v1/senders`
#[utoipa::path(
    post, path = "/api/v1/senders", tag = "notifications", operation_id = "notifications_senders_create",
    request_body = WriteSender,
    responses(
        (status = 201, description = "The new sender", body = SenderView),
        (status = 409, description = "Another has this name", body = common::Problem),
        (status = 422, description = "Fields that cannot be used", body = common::Problem),
    )
)]
#[tracing::instrument(name = "senders.create", skip_all)]
pub(crate) async fn create(
    state: Data<AppState>,
    caller: Caller,
    body: Json<WriteSender>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::SendersWrite)?;
    let now = state.clock.now();
    let sender = body
        .into_inner()
        .applied(&blank(caller.workspace, now), &state.vault, now)?;
    let sender = state
        .db
        .run(move |conn| {
            senders::insert(conn, &sender).map_err(taken)?;
            Ok::<_, Error>(sender)
        })
        .await?;
    state.outlets.changed.notify_one();
    Ok(HttpResponse::Created()
        .insert_header(("location", format!("/api/v1/senders/{}", sender.id)))
        .insert_header(etag(sender.version))
        .json(SenderView::new(&state, sender)))
}

/// `GET /api/v1/senders/{id}`
#[utoipa::path(
    get, path = "/api/v1/senders/{id}", tag = "notifications", operation_id = "notifications_senders_show",
    params(("id" = String, Path, description = "The sender, or `default`")),
    responses(
        (status = 200, description = "The sender", body = SenderView),
        (status = 404, description = "There is no such sender", body = common::Problem),
    )
)]
#[tracing::instrument(name = "senders.show", skip_all, fields(sender.id = %id.0))]
pub(crate) async fn show(
    state: Data<AppState>,
    caller: Caller,
    id: Path<String>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::MessagesRead)?;
    let id = match parse(&id.0) {
        Err(Error::SenderReadOnly) => {
            return Ok(HttpResponse::Ok().json(SenderView::installed(&state)));
        }
        id => id?,
    };
    let sender = find(&state, &caller, id).await?;
    Ok(HttpResponse::Ok()
        .insert_header(etag(sender.version))
        .json(SenderView::new(&state, sender)))
}

async fn find(state: &AppState, caller: &Caller, id: SenderId) -> Result<Sender, Error> {
    let workspace = caller.workspace;
    let found = state
        .db
        .run(move |conn| Ok::<_, Error>(senders::find(conn, workspace, id)?))
        .await?;
    found.ok_or_else(|| Error::NoSender(id.to_string()))
}

/// `PATCH /api/v1/senders/{id}`
#[utoipa::path(
    patch, path = "/api/v1/senders/{id}", tag = "notifications", operation_id = "notifications_senders_update",
    params(("id" = String, Path, description = "The sender")),
    request_body = WriteSender,
    responses(
        (status = 200, description = "The sender as it is now", body = SenderView),
        (status = 404, description = "There is no such sender", body = common::Problem),
        (status = 409, description = "Another has this name, or it is the installation's", body = common::Problem),
        (status = 412, description = "Somebody else changed it", body = common::Problem),
        (status = 422, description = "Fields that cannot be used", body = common::Problem),
    )
)]
#[tracing::instrument(name = "senders.update", skip_all, fields(sender.id = %id.0))]
pub(crate) async fn update(
    state: Data<AppState>,
    caller: Caller,
    id: Path<String>,
    seen: IfMatch,
    body: Json<WriteSender>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::SendersWrite)?;
    let (id, now, workspace) = (parse(&id.0)?, state.clock.now(), caller.workspace);
    let (body, vault) = (body.into_inner(), state.vault.clone());
    let sender = state
        .db
        .transaction(move |conn| {
            let sender = senders::lock(conn, workspace, id)?;
            let sender = sender.ok_or_else(|| Error::NoSender(id.to_string()))?;
            if seen.0.is_some_and(|version| version != sender.version) {
                return Err(Error::SenderChanged);
            }
            let sender = body.applied(&sender, &vault, now)?;
            senders::update(conn, &sender).map_err(taken)?;
            Ok(sender)
        })
        .await?;
    state.outlets.changed.notify_one();
    Ok(HttpResponse::Ok()
        .insert_header(etag(sender.version))
        .json(SenderView::new(&state, sender)))
}

/// `DELETE /api/v1/senders/{id}`
#[utoipa::path(
    delete, path = "/api/v1/senders/{id}", tag = "notifications", operation_id = "notifications_senders_delete",
    params(("id" = String, Path, description = "The sender")),
    responses(
        (status = 204, description = "It is gone; what waited for it is sent by others"),
        (status = 404, description = "There is no such sender", body = common::Problem),
        (status = 409, description = "It is the installation's", body = common::Problem),
    )
)]
#[tracing::instrument(name = "senders.delete", skip_all, fields(sender.id = %id.0))]
pub(crate) async fn delete(
    state: Data<AppState>,
    caller: Caller,
    id: Path<String>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::SendersWrite)?;
    let (id, workspace) = (parse(&id.0)?, caller.workspace);
    let deleted = state
        .db
        .transaction(move |conn| Ok::<_, Error>(senders::delete(conn, workspace, id)?))
        .await?;
    state.outlets.changed.notify_one();
    match deleted {
        true => Ok(HttpResponse::NoContent().finish()),
        false => Err(Error::NoSender(id.to_string())),
    }
}

/// How a connection went.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = notifications::SenderTest)]
pub(crate) struct TestView {
    /// It answered, and took the password where there is one.
    ok: bool,
    /// What happened, for a person.
    detail: String,
    took_ms: u64,
}

/// `POST /api/v1/senders/{id}/test`: connects, greets and signs in; sends nothing.
#[utoipa::path(
    post, path = "/api/v1/senders/{id}/test", tag = "notifications", operation_id = "notifications_senders_test",
    params(("id" = String, Path, description = "The sender, or `default`")),
    responses(
        (status = 200, description = "What happened", body = TestView),
        (status = 404, description = "There is no such sender", body = common::Problem),
    )
)]
#[tracing::instrument(name = "senders.test", skip_all, fields(sender.id = %id.0))]
pub(crate) async fn test(
    state: Data<AppState>,
    caller: Caller,
    id: Path<String>,
) -> Result<web::Json<TestView>, Error> {
    caller.require(Scope::SendersWrite)?;
    let server = match parse(&id.0) {
        Err(Error::SenderReadOnly) => state.sending.server.clone(),
        id => server(&state, &find(&state, &caller, id?).await?)?,
    };
    let started = Instant::now();
    let command = TEST_PATIENCE.min(state.sending.timeouts.command);
    let opened = Connection::open(&server, Timeouts::scaled(command)).await;
    let took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let (ok, detail) = match opened {
        Ok(connection) => {
            let secured = if connection.is_secured() {
                "over TLS"
            } else {
                "without TLS"
            };
            connection.quit().await;
            let done = if server.credentials.is_some() {
                "connected and signed in"
            } else {
                "connected"
            };
            (true, format!("{done}, {secured}"))
        }
        Err(error) => (false, error.to_string()),
    };
    Ok(web::Json(TestView {
        ok,
        detail,
        took_ms,
    }))
}

/// How a sender's server is reached.
fn server(state: &AppState, sender: &Sender) -> Result<SmtpServer, Error> {
    sender.server(&state.vault).ok_or(Error::SenderSealed)
}
