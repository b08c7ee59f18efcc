//! `/api/v1/domains`: the domains a workspace sends from, their keys and their DNS records.

use actix_web::HttpResponse;
use actix_web::web::{self, Data};
use aws_lc_rs::rand;
use chassis::InvalidInput;
use chassis::auth::{Caller, ServiceCaller};
use chassis::error::violated_unique;
use chassis::http::{Json, Path, Query};
use chrono::{DateTime, TimeDelta, Utc};
use common::auth::Scope;
use common::dto::standing::DomainStanding;
use common::ids::{DomainId, WorkspaceId};
use common::page::{self, Page, PageQuery};
use mail::dkim::{Algorithm, PrivateKey};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::dns::{self, Record};
use crate::resolver::Dns;
use crate::store::domains::{self, Domain, Key};
use crate::{AppState, Error};

/// Which signatures mails get.
#[derive(Clone, Copy, Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = notifications::Signatures)]
pub(crate) enum Signatures {
    #[default]
    Both,
    Rsa,
    Ed25519,
}

impl Signatures {
    fn as_str(self) -> &'static str {
        match self {
            Self::Both => "both",
            Self::Rsa => "rsa",
            Self::Ed25519 => "ed25519",
        }
    }
}

/// A new domain.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = notifications::NewDomain)]
pub(crate) struct NewDomain {
    name: String,
    #[serde(default)]
    signing: Signatures,
}

/// A domain with the records to publish.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = notifications::Domain)]
pub(crate) struct DomainView {
    id: DomainId,
    /// In ASCII.
    name: String,
    /// `both`, `rsa` or `ed25519`.
    signing: String,
    /// The last check found every key that signs, and a DMARC policy.
    authenticated: bool,
    records: Vec<Record>,
    checked_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
}

impl DomainView {
    fn new(state: &AppState, domain: Domain, keys: &[Key]) -> Self {
        let records = records(state, &domain, keys);
        Self {
            id: domain.id,
            name: domain.name,
            signing: domain.signing,
            authenticated: dns::is_authenticated(&records),
            records,
            checked_at: domain.checked_at,
            created_at: domain.created_at,
        }
    }
}

/// The records of a domain as the last check found them.
fn records(state: &AppState, domain: &Domain, keys: &[Key]) -> Vec<Record> {
    // Written from the same type.
    let checked: Vec<Record> = serde_json::from_value(domain.checked.clone()).unwrap_or_default();
    let of_keys = keys
        .iter()
        .filter(|key| key.domain_id == domain.id)
        .map(|key| Record::dkim(&domain.name, &key.selector, &key.record, key.active));
    let here = dns::Installation {
        relay: &state.sending.server.host,
        host: &state.dns.host,
        bounce_domain: state.links.bounce_domain(),
    };
    of_keys
        .chain(dns::others(&domain.name, here))
        .map(|record| record.remembered(&checked))
        .collect()
}

/// The name as the DNS has it.
fn parse(name: &str) -> Result<String, InvalidInput> {
    let refused = || InvalidInput::field("/name", "must be a domain such as news.example.com");
    match url::Host::parse(name.trim().trim_end_matches('.')) {
        Ok(url::Host::Domain(name)) if name.contains('.') && name.len() <= 200 => {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            let label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(plain);
            match name.split('.').all(label) {
                true => Ok(name.to_lowercase()),
                false => Err(refused()),
            }
        }
        _ => Err(refused()),
    }
}

/// New keys of a domain, each with a selector of its own. Slow: RSA keys take a moment to find.
fn keys(state: &AppState, domain: &Domain, active: bool) -> Vec<Key> {
    let algorithms: &[_] = match domain.signing.as_str() {
        "rsa" => &[Algorithm::Rsa],
        "ed25519" => &[Algorithm::Ed25519],
        _ => &[Algorithm::Rsa, Algorithm::Ed25519],
    };
    let mut random = [0; 4];
    rand::fill(&mut random).expect("the system gives random octets");
    let part = u32::from_be_bytes(random);
    let make = |algorithm: &Algorithm| {
        let (key, pkcs8) = PrivateKey::generate(*algorithm);
        let name = match algorithm {
            Algorithm::Rsa => "rsa",
            Algorithm::Ed25519 => "ed25519",
        };
        Key {
            workspace_id: domain.workspace_id,
            id: Uuid::now_v7(),
            domain_id: domain.id,
            selector: format!("clarion-{}-{part:08x}", &name[..1]),
            algorithm: name.to_owned(),
            active,
            private_key: state.vault.seal(&pkcs8),
            record: key.record(),
            created_at: state.clock.now(),
        }
    };
    algorithms.iter().map(make).collect()
}

/// The domain with new keys, made on a blocking thread before any transaction: nobody waits for a
/// connection or a lock meanwhile.
async fn with_keys(
    state: &AppState,
    domain: Domain,
    active: bool,
) -> Result<(Domain, Vec<Key>), Error> {
    let making = state.clone();
    let made = web::block(move || {
        let keys = keys(&making, &domain, active);
        (domain, keys)
    });
    Ok(made
        .await
        .map_err(|error| chassis::Unavailable::because("making keys", error))?)
}

fn taken(error: diesel::result::Error) -> Error {
    match violated_unique(&error) {
        Some("domains_by_name") => Error::DomainTaken,
        _ => error.into(),
    }
}

/// `GET /api/v1/domains`
#[utoipa::path(
    get, path = "/api/v1/domains", tag = "notifications", operation_id = "notifications_domains_list",
    params(PageQuery),
    responses((status = 200, description = "The workspace's sending domains, oldest first", body = Page<DomainView>))
)]
#[tracing::instrument(name = "domains.list", skip_all)]
pub(crate) async fn list(
    state: Data<AppState>,
    caller: Caller,
    query: Query<PageQuery>,
) -> Result<web::Json<Page<DomainView>>, Error> {
    caller.require(Scope::MessagesRead)?;
    let refused = |name: &'static str| {
        move |why: common::values::Invalid| InvalidInput::field(name, why.to_string())
    };
    let limit = query.0.limit().map_err(refused("query/limit"))?;
    let after: Option<DomainId> = query
        .0
        .cursor
        .as_deref()
        .map(page::decode_cursor)
        .transpose()
        .map_err(refused("query/cursor"))?;
    let workspace = caller.workspace;
    let (rows, keys) = state
        .db
        .run(move |conn| {
            let rows = domains::list(conn, workspace, after, limit + 1)?;
            let ids: Vec<_> = rows.iter().map(|domain| domain.id).collect();
            let keys = domains::keys(conn, workspace, &ids)?;
            Ok::<_, Error>((rows, keys))
        })
        .await?;
    let page = Page::from_rows(
        rows,
        limit,
        |domain| domain.id,
        |domain| DomainView::new(&state, domain, &keys),
    );
    Ok(web::Json(page))
}

/// `POST /api/v1/domains`
#[utoipa::path(
    post, path = "/api/v1/domains", tag = "notifications", operation_id = "notifications_domains_create",
    request_body = NewDomain,
    responses(
        (status = 201, description = "The new domain, whose keys sign from now on", body = DomainView),
        (status = 409, description = "The workspace has it already", body = common::Problem),
        (status = 422, description = "Fields that cannot be used", body = common::Problem),
    )
)]
#[tracing::instrument(name = "domains.create", skip_all)]
pub(crate) async fn create(
    state: Data<AppState>,
    caller: Caller,
    body: Json<NewDomain>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::SendersWrite)?;
    let (body, now) = (body.into_inner(), state.clock.now());
    let domain = Domain {
        workspace_id: caller.workspace,
        id: DomainId::new(),
        name: parse(&body.name)?,
        signing: body.signing.as_str().to_owned(),
        checked: serde_json::json!([]),
        checked_at: None,
        created_at: now,
        keys_changed_at: now,
    };
    let (domain, keys) = with_keys(&state, domain, true).await?;
    let (domain, keys) = state
        .db
        .transaction(move |conn| {
            domains::insert(conn, &domain, &keys).map_err(taken)?;
            Ok::<_, Error>((domain, keys))
        })
        .await?;
    Ok(HttpResponse::Created()
        .insert_header(("location", format!("/api/v1/domains/{}", domain.id)))
        .json(DomainView::new(&state, domain, &keys)))
}

async fn read(
    state: &AppState,
    workspace: WorkspaceId,
    id: DomainId,
) -> Result<(Domain, Vec<Key>), Error> {
    state
        .db
        .run(move |conn| {
            let domain = domains::find(conn, workspace, id)?.ok_or(Error::NoDomain(id))?;
            let keys = domains::keys(conn, workspace, &[id])?;
            Ok((domain, keys))
        })
        .await
}

/// `GET /api/v1/domains/{id}`
#[utoipa::path(
    get, path = "/api/v1/domains/{id}", tag = "notifications", operation_id = "notifications_domains_show",
    params(("id" = DomainId, Path, description = "The domain")),
    responses(
        (status = 200, description = "The domain", body = DomainView),
        (status = 404, description = "There is no such domain", body = common::Problem),
    )
)]
#[tracing::instrument(name = "domains.show", skip_all, fields(domain.id = %id.0))]
pub(crate) async fn show(
    state: Data<AppState>,
    caller: Caller,
    id: Path<DomainId>,
) -> Result<web::Json<DomainView>, Error> {
    caller.require(Scope::MessagesRead)?;
    let (domain, keys) = read(&state, caller.workspace, id.0).await?;
    Ok(web::Json(DomainView::new(&state, domain, &keys)))
}

/// `DELETE /api/v1/domains/{id}`
#[utoipa::path(
    delete, path = "/api/v1/domains/{id}", tag = "notifications", operation_id = "notifications_domains_delete",
    params(("id" = DomainId, Path, description = "The domain")),
    responses(
        (status = 204, description = "It is gone; mails from it are not signed any more"),
        (status = 404, description = "There is no such domain", body = common::Problem),
    )
)]
#[tracing::instrument(name = "domains.delete", skip_all, fields(domain.id = %id.0))]
pub(crate) async fn delete(
    state: Data<AppState>,
    caller: Caller,
    id: Path<DomainId>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::SendersWrite)?;
    let (id, workspace) = (id.into_inner(), caller.workspace);
    let deleted = state
        .db
        .run(move |conn| Ok::<_, Error>(domains::delete(conn, workspace, id)?))
        .await?;
    match deleted {
        true => Ok(HttpResponse::NoContent().finish()),
        false => Err(Error::NoDomain(id)),
    }
}

/// `POST /api/v1/domains/{id}/rotate`: new keys under new selectors, which wait until a check has
/// seen their records.
#[utoipa::path(
    post, path = "/api/v1/domains/{id}/rotate", tag = "notifications", operation_id = "notifications_domains_rotate",
    params(("id" = DomainId, Path, description = "The domain")),
    responses(
        (status = 200, description = "The domain with the records of its new keys", body = DomainView),
        (status = 404, description = "There is no such domain", body = common::Problem),
    )
)]
#[tracing::instrument(name = "domains.rotate", skip_all, fields(domain.id = %id.0))]
pub(crate) async fn rotate(
    state: Data<AppState>,
    caller: Caller,
    id: Path<DomainId>,
) -> Result<web::Json<DomainView>, Error> {
    caller.require(Scope::SendersWrite)?;
    let (id, workspace) = (id.into_inner(), caller.workspace);
    let (domain, _) = read(&state, workspace, id).await?;
    let (_, fresh) = with_keys(&state, domain, false).await?;
    let (domain, keys) = state
        .db
        .transaction(move |conn| {
            let domain = domains::lock(conn, workspace, id)?.ok_or(Error::NoDomain(id))?;
            domains::renew_waiting(conn, &domain, &fresh)?;
            let keys = domains::keys(conn, workspace, &[id])?;
            Ok::<_, Error>((domain, keys))
        })
        .await?;
    Ok(web::Json(DomainView::new(&state, domain, &keys)))
}

/// Looks a record up and judges it. Without an answer it stays as it was.
async fn look(dns: &Dns, record: Record) -> Record {
    let mut names = vec![record.name.clone()];
    names.extend(record.elsewhere());
    let mut judged = record.clone();
    for name in names {
        match dns.look_up(&name, record.kind).await {
            Ok(found) => judged = record.clone().judged(found),
            Err(error) => {
                tracing::warn!(name, %error, "a record of a sending domain could not be looked up");
                return record;
            }
        }
        if judged.status != dns::Status::Missing {
            break;
        }
    }
    judged
}

/// `POST /api/v1/domains/{id}/check`: looks at all records; keys whose records are seen sign from
/// now on.
#[utoipa::path(
    post, path = "/api/v1/domains/{id}/check", tag = "notifications", operation_id = "notifications_domains_check",
    params(("id" = DomainId, Path, description = "The domain")),
    responses(
        (status = 200, description = "The domain, and what was found", body = DomainView),
        (status = 404, description = "There is no such domain", body = common::Problem),
    )
)]
#[tracing::instrument(name = "domains.check", skip_all, fields(domain.id = %id.0))]
pub(crate) async fn check(
    state: Data<AppState>,
    caller: Caller,
    id: Path<DomainId>,
) -> Result<web::Json<DomainView>, Error> {
    caller.require(Scope::SendersWrite)?;
    let (id, workspace, now) = (id.into_inner(), caller.workspace, state.clock.now());
    let (domain, keys) = read(&state, workspace, id).await?;
    let mut looking = Vec::new();
    for record in records(&state, &domain, &keys) {
        let dns = state.dns.clone();
        looking.push(tokio::spawn(async move { look(&dns, record).await }));
    }
    let mut checked = Vec::with_capacity(looking.len());
    for record in looking {
        checked.extend(record.await);
    }
    let (domain, keys) = state
        .db
        .transaction(move |conn| note(conn, workspace, id, &checked, now))
        .await?;
    Ok(web::Json(DomainView::new(&state, domain, &keys)))
}

/// Keeps what a check found, and lets the keys sign whose records are published.
fn note(
    conn: &mut diesel::PgConnection,
    workspace: WorkspaceId,
    id: DomainId,
    checked: &[Record],
    now: DateTime<Utc>,
) -> Result<(Domain, Vec<Key>), Error> {
    let mut domain = domains::lock(conn, workspace, id)?.ok_or(Error::NoDomain(id))?;
    let keys = domains::keys(conn, workspace, &[id])?;
    let published = |key: &&Key| {
        let is_ok =
            |record: &Record| record.value == key.record && record.status == dns::Status::Ok;
        !key.active && checked.iter().any(is_ok)
    };
    let ready: Vec<_> = keys.iter().filter(published).collect();
    domains::activate(conn, &domain, &ready)?;
    if !ready.is_empty() {
        domain.keys_changed_at = now.max(domain.keys_changed_at + TimeDelta::microseconds(1));
    }
    domain.checked = serde_json::json!(checked);
    domain.checked_at = Some(now);
    domains::note_check(conn, &domain)?;
    let keys = domains::keys(conn, workspace, &[id])?;
    Ok((domain, keys))
}

/// `?workspace_id=`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OfWorkspace {
    workspace_id: WorkspaceId,
}

/// `GET /internal/domains/{name}`: how a domain stands, also one that nobody added.
pub(crate) async fn standing(
    state: Data<AppState>,
    _caller: ServiceCaller,
    name: Path<String>,
    query: Query<OfWorkspace>,
) -> Result<web::Json<DomainStanding>, Error> {
    let (name, workspace) = (name.into_inner(), query.0.workspace_id);
    let Ok(name) = parse(&name) else {
        return Ok(web::Json(DomainStanding::default()));
    };
    let found = state
        .db
        .run(move |conn| {
            let Some(domain) = domains::find_named(conn, workspace, &name)? else {
                return Ok::<_, Error>(None);
            };
            let keys = domains::keys(conn, workspace, &[domain.id])?;
            Ok(Some((domain, keys)))
        })
        .await?;
    Ok(web::Json(found.map_or_else(
        DomainStanding::default,
        |(domain, keys)| {
            let records = records(&state, &domain, &keys);
            DomainStanding {
                known: true,
                authenticated: dns::is_authenticated(&records),
                lacking: dns::lacking(&records)
                    .map(|record| record.name.clone())
                    .collect(),
            }
        },
    )))
}
