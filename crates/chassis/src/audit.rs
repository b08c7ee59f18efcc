//! Who changes what: a request that changes something says so in each of its transactions, and the
//! triggers of the tables that are watched note the rows as they were and as they are. identity
//! takes the notes over into the audit trail.

use std::future::Future;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use actix_web::{HttpRequest, web};
use chrono::{DateTime, Utc};
use common::auth::{Caller, Identity, Service, Subject, Verified};
use common::{UserId, WorkspaceId};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use serde::{Deserialize, Serialize};
use tokio::task_local;
use uuid::Uuid;

use crate::auth::ServiceCaller;
use crate::feed::FeedError;
use crate::host::Host;
use crate::http::{Json, Origin, context};
use crate::sql::fixed;

/// Most entries that are taken over at once.
const PAGE: i64 = 500;

/// What is known of the request that changes something.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// `user:<id>`, `key:<id>`, `service:<name>`; `nobody` on a public page.
    pub actor: String,
    pub workspace: Option<WorkspaceId>,
    pub method: String,
    pub route: String,
    pub request_id: String,
    pub address: Option<IpAddr>,
}

/// A request on its way; it learns who it is when its token is verified.
#[derive(Clone, Debug)]
pub(crate) struct Acting(Arc<Mutex<Request>>);

task_local! {
    static ACTING: Acting;
}

/// What is written many times a second and keeps its own record: events, messages, sign-ins.
const OWN_RECORD: [&str; 4] = ["/api/v1/messages", "/internal/", "/v1/", "/visits/"];

/// Where events come in, which keep their own record as well; what lies below changes settings.
const EVENTS: &str = "/api/v1/analytics";

/// Where a browser comes back from an identity provider: it only can as a GET.
const RETURNS: &str = "/api/v1/oidc/callback";

impl Acting {
    /// Of a request that may change something; None if it only reads or keeps its own record.
    pub(crate) fn of(method: &str, path: &str, address: Option<IpAddr>) -> Option<Self> {
        let reads = matches!(method, "GET" | "HEAD" | "OPTIONS") && path != RETURNS;
        let own = path == EVENTS || OWN_RECORD.iter().any(|prefix| path.starts_with(prefix));
        (!reads && !own).then(|| {
            Self(Arc::new(Mutex::new(Request {
                actor: "nobody".into(),
                workspace: None,
                method: method.into(),
                route: path.into(),
                request_id: context::request_id(),
                address,
            })))
        })
    }

    pub(crate) async fn scope<F: Future>(this: Option<Self>, work: F) -> F::Output {
        match this {
            Some(acting) => ACTING.scope(acting, work).await,
            None => work.await,
        }
    }
}

/// The current request, to be carried to another thread.
pub(crate) fn current() -> Option<Acting> {
    ACTING.try_with(Clone::clone).ok()
}

/// Runs `work` on this thread as a part of that request.
pub(crate) fn with<T>(acting: Option<Acting>, work: impl FnOnce() -> T) -> T {
    match acting {
        Some(acting) => ACTING.sync_scope(acting, work),
        None => work(),
    }
}

/// Notes who the current request comes from.
pub(crate) fn identified(token: &Verified) {
    let note = |acting: &Acting| {
        let mut request = acting.0.lock().unwrap_or_else(PoisonError::into_inner);
        match token.identity {
            Identity::Caller(caller) => {
                request.actor = caller.subject.to_string();
                request.workspace = Some(caller.workspace);
            }
            Identity::Service(service) => request.actor = format!("service:{service}"),
        }
    };
    // Outside of a request that changes something nobody asks.
    ACTING.try_with(note).ok();
}

/// Notes a person whom the current request shows by other means than a token.
pub fn acts(user: UserId, workspace: WorkspaceId) {
    let note = |acting: &Acting| {
        let mut request = acting.0.lock().unwrap_or_else(PoisonError::into_inner);
        request.actor = Subject::User(user).to_string();
        request.workspace = Some(workspace);
    };
    // Outside of a request that changes something nobody asks.
    ACTING.try_with(note).ok();
}

/// Tells the triggers of this transaction which request it belongs to, if to any.
pub(crate) fn announce(conn: &mut PgConnection) -> QueryResult<()> {
    let Ok(request) = ACTING.try_with(|acting| {
        let request = acting.0.lock().unwrap_or_else(PoisonError::into_inner);
        serde_json::to_string(&*request).unwrap_or_default()
    }) else {
        return Ok(());
    };
    fixed::<Text>("SELECT set_config('clarion.request', $1, true)")
        .bind::<Text, _>(request)
        .get_result::<String>(conn)
        .map(|_| ())
}

impl Request {
    /// Of somebody whose request keeps its own record, for [`note`].
    pub fn of(caller: &Caller, request: &HttpRequest) -> Self {
        let peer = request.peer_addr().map(|peer| peer.ip());
        Self {
            actor: caller.subject.to_string(),
            workspace: Some(caller.workspace),
            method: request.method().to_string(),
            route: request.path().to_owned(),
            request_id: context::request_id(),
            address: Origin::address(request.headers(), peer),
        }
    }
}

/// Notes what somebody made in a table that nobody watches, by one statement: where rows are many
/// and most of them nobody's.
pub fn note(
    conn: &mut PgConnection,
    request: &Request,
    resource: &str,
    id: Uuid,
    after: &serde_json::Value,
) -> QueryResult<()> {
    let Some(workspace) = request.workspace else {
        return Ok(());
    };
    let said = serde_json::to_value(request).unwrap_or_default();
    fixed::<()>(
        "INSERT INTO audit_entries (workspace_id, request, action, resource, resource_id, after)
         VALUES ($1, $2, 'insert', $3, $4, $5)",
    )
    .bind::<SqlUuid, _>(workspace.0)
    .bind::<Jsonb, _>(said)
    .bind::<Text, _>(resource)
    .bind::<Text, _>(id.to_string())
    .bind::<Jsonb, _>(after)
    .execute(conn)
    .map(|_| ())
}

/// One change of one row.
#[derive(Clone, Debug, Serialize, Deserialize, QueryableByName)]
pub struct Entry {
    #[diesel(sql_type = SqlUuid)]
    pub id: Uuid,
    #[diesel(sql_type = Timestamptz)]
    pub at: DateTime<Utc>,
    #[diesel(sql_type = SqlUuid)]
    pub workspace_id: Uuid,
    #[diesel(sql_type = Jsonb)]
    pub request: serde_json::Value,
    #[diesel(sql_type = Text)]
    pub action: String,
    #[diesel(sql_type = Text)]
    pub resource: String,
    #[diesel(sql_type = Text)]
    pub resource_id: String,
    #[diesel(sql_type = Nullable<Jsonb>)]
    pub before: Option<serde_json::Value>,
    #[diesel(sql_type = Nullable<Jsonb>)]
    pub after: Option<serde_json::Value>,
}

/// What waits to be taken over, oldest first.
pub fn waiting(conn: &mut PgConnection) -> QueryResult<Vec<Entry>> {
    diesel::sql_query(
        "SELECT id, at, workspace_id, request, action, resource, resource_id, before, after
         FROM audit_entries ORDER BY seq LIMIT $1",
    )
    .bind::<BigInt, _>(PAGE)
    .load(conn)
}

/// Forgets what was taken over.
pub fn taken(conn: &mut PgConnection, ids: &[Uuid]) -> QueryResult<usize> {
    diesel::sql_query("DELETE FROM audit_entries WHERE id = ANY($1)")
        .bind::<Array<SqlUuid>, _>(ids)
        .execute(conn)
}

/// `POST /internal/audit/taken`: the ids of entries that are in the trail.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Taken {
    pub ids: Vec<Uuid>,
}

fn only_identity(caller: &ServiceCaller) -> Result<(), FeedError> {
    match caller.0 {
        Service::Identity => Ok(()),
        caller => Err(FeedError::NotYours {
            caller,
            consumer: Service::Identity,
        }),
    }
}

/// `GET /internal/audit`
pub(crate) async fn entries(
    host: web::Data<Host>,
    caller: ServiceCaller,
) -> Result<web::Json<Vec<Entry>>, FeedError> {
    only_identity(&caller)?;
    let entries = host
        .db
        .run(|conn| Ok::<_, FeedError>(waiting(conn)?))
        .await?;
    Ok(web::Json(entries))
}

/// `POST /internal/audit/taken`
pub(crate) async fn forget(
    host: web::Data<Host>,
    caller: ServiceCaller,
    body: Json<Taken>,
) -> Result<web::Json<usize>, FeedError> {
    only_identity(&caller)?;
    let ids = body.into_inner().ids;
    let count = host
        .db
        .run(move |conn| Ok::<_, FeedError>(taken(conn, &ids)?))
        .await?;
    Ok(web::Json(count))
}
