//! The service under test: it keeps notes, tells an event for each, and can be held up.

use std::net::SocketAddr;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use chassis::auth::{Caller, ServiceCaller};
use chassis::error::{auth_kind, query_kind};
use chassis::host::Starting;
use chassis::http::{Form, IfMatch, Json, Path, Query, Valid, idempotency_key};
use chassis::settings::{Base, Environment, Listen, Reader};
use chassis::{Clock, Fault, Host, InvalidInput, Service, Unavailable, idempotency, outbox};
use common::auth::{AuthError, Scope, Service as Name};
use common::events::WorkspaceCreated;
use common::values::Secret;
use common::{LeadId, WorkspaceId};
use diesel::prelude::*;
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use serde::{Deserialize, Serialize};
use testkit::{Database, Issuer, Servers};
use tokio_util::sync::CancellationToken;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("tests/api/migrations");
/// The advisory lock that `GET /held` waits for.
pub(crate) const GATE: i64 = 4711;

diesel::table! {
    notes (seq) {
        seq -> Int8,
        workspace_id -> Uuid,
        text -> Text,
    }
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("this note is refused")]
    Refused,
    #[error(transparent)]
    Auth(#[from] AuthError),
    #[error(transparent)]
    Input(#[from] InvalidInput),
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    #[error("something went wrong on our side")]
    Query(#[from] diesel::result::Error),
}

impl Fault for Error {
    fn kind(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Refused => (StatusCode::CONFLICT, "note_refused"),
            Self::Auth(error) => auth_kind(error),
            Self::Input(error) => error.kind(),
            Self::Unavailable(error) => error.kind(),
            Self::Query(error) => query_kind(error),
        }
    }

    fn fields(&self) -> Vec<common::FieldError> {
        match self {
            Self::Input(error) => error.fields(),
            _ => Vec::new(),
        }
    }
}

chassis::respond_with_problem!(Error);

#[derive(Debug, Serialize, Deserialize, garde::Validate)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewNote {
    #[garde(length(min = 1, max = 100))]
    text: String,
    #[serde(default)]
    #[garde(length(max = 3))]
    tags: Vec<String>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct NoteView {
    pub(crate) seq: i64,
    pub(crate) text: String,
}

async fn create(
    host: web::Data<Host>,
    caller: Caller,
    request: HttpRequest,
    body: Valid<NewNote>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::LeadsWrite)?;
    let key = idempotency_key(&request, &*body)?;
    let (workspace, note, now) = (caller.workspace, body.into_inner(), host.clock.now());
    let view = host
        .db
        .transaction(move |conn| {
            idempotency::once(conn, workspace, key.as_ref(), now, |conn| {
                let view = insert(conn, workspace, &note.text)?;
                // Refused only now, so that a test sees the note go again.
                (note.text != "refuse me")
                    .then_some(view)
                    .ok_or(Error::Refused)
            })
        })
        .await?;
    Ok(HttpResponse::Created().json(view))
}

/// A note, and the event that tells of it.
pub(crate) fn insert(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    text: &str,
) -> QueryResult<NoteView> {
    let seq = diesel::insert_into(notes::table)
        .values((notes::workspace_id.eq(workspace.0), notes::text.eq(text)))
        .returning(notes::seq)
        .get_result(conn)?;
    tell(conn, workspace, text)?;
    Ok(NoteView {
        seq,
        text: text.to_owned(),
    })
}

pub(crate) fn tell(conn: &mut PgConnection, workspace: WorkspaceId, name: &str) -> QueryResult<()> {
    let event = WorkspaceCreated {
        workspace_id: workspace,
        name: name.to_owned(),
    };
    outbox::push(conn, workspace, &event)
}

/// The texts of all notes, oldest first.
pub(crate) fn texts(conn: &mut PgConnection) -> Vec<String> {
    notes::table
        .order(notes::seq)
        .select(notes::text)
        .load(conn)
        .expect("the notes can be read")
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NoteQuery {
    #[serde(default)]
    q: String,
}

async fn find(caller: Caller, query: Query<NoteQuery>) -> Result<HttpResponse, Error> {
    caller.require(Scope::LeadsRead)?;
    Ok(HttpResponse::Ok().body(query.into_inner().q))
}

async fn filled(form: Form<NoteQuery>) -> HttpResponse {
    HttpResponse::Ok().body(form.into_inner().q)
}

async fn one(caller: Caller, id: Path<LeadId>, version: IfMatch) -> Result<HttpResponse, Error> {
    caller.require(Scope::LeadsRead)?;
    let answer = format!("{} {:?}", id.into_inner(), version.0);
    Ok(HttpResponse::Ok()
        .insert_header(chassis::http::etag(7))
        .body(answer))
}

async fn any(body: Json<serde_json::Value>) -> Json<serde_json::Value> {
    body
}

async fn inside(caller: ServiceCaller) -> HttpResponse {
    HttpResponse::Ok().body(caller.0.as_str())
}

/// Answers when a test lets go of the gate.
async fn held(host: web::Data<Host>) -> Result<HttpResponse, Error> {
    host.db
        .run(|conn| {
            diesel::sql_query("SELECT pg_advisory_xact_lock($1)")
                .bind::<diesel::sql_types::BigInt, _>(GATE)
                .execute(conn)
                .map_err(Error::Query)
        })
        .await?;
    Ok(HttpResponse::Ok().body("let go"))
}

/// The service, bound and not yet serving.
#[derive(Debug)]
pub(crate) struct Probe(Starting);

impl Service for Probe {
    const NAME: Name = Name::Commerce;
    const PORT: u16 = 8086;
    type Settings = Base;

    fn migrations() -> EmbeddedMigrations {
        MIGRATIONS
    }

    fn settings(read: &mut Reader<'_>) -> Base {
        Base::read(read, Self::NAME, Self::PORT)
    }

    fn base(settings: &mut Base) -> &mut Base {
        settings
    }

    async fn bind(base: Base) -> anyhow::Result<Self> {
        Ok(Self(Starting::new(base, Self::migrations()).await?))
    }

    fn address(&self) -> SocketAddr {
        self.0.address()
    }

    async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let openapi = utoipa::openapi::OpenApi::default();
        self.0.run(stop, openapi, routes).await
    }
}

fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/api/v1/notes", web::post().to(create))
        .route("/api/v1/notes", web::get().to(find))
        .service(web::resource("/api/v1/notes/{id}").route(web::get().to(one)))
        .route("/any", web::post().to(any))
        .route("/form", web::post().to(filled))
        .route("/held", web::get().to(held))
        .route("/internal/inside", web::get().to(inside));
}

/// A host on `database` without a server: for consumers and jobs that a test runs by hand.
pub(crate) async fn host(database: &Database, clock: &Clock, redis: Option<String>) -> Host {
    starting(database, clock, redis).await.host
}

pub(crate) async fn starting(
    database: &Database,
    clock: &Clock,
    redis: Option<String>,
) -> Starting {
    let base = base(database, clock, redis);
    Starting::new(base, MIGRATIONS).await.expect("it starts")
}

pub(crate) fn base(database: &Database, clock: &Clock, redis: Option<String>) -> Base {
    Base {
        service: Probe::NAME,
        environment: Environment::Local,
        listen: Listen::Address(SocketAddr::from(([127, 0, 0, 1], 0))),
        certificate: None,
        authority: None,
        database_url: database.url.clone(),
        database_pool: 4,
        redis_url: redis.map(Secret::new),
        identity_url: Issuer::shared().url().parse().expect("a URL"),
        service_secret: Secret::new("secret of the tests"),
        workers: 1,
        drain: Duration::from_secs(5),
        notice: Duration::ZERO,
        clock: clock.clone(),
    }
}

/// A database with the probe's tables.
pub(crate) fn database() -> Database {
    Database::new::<Probe>(Servers::shared())
}

/// A clock that stands still.
pub(crate) fn clock() -> Clock {
    Clock::set_to("2026-03-01T12:00:00Z".parse().expect("a time"))
}
