//! `POST /hooks/{provider}/{token}`: what mail providers tell about mails.

use actix_web::web::{Bytes, Data};
use actix_web::{HttpRequest, HttpResponse};
use chassis::InvalidInput;
use chassis::http::Path;
use chrono::{DateTime, Utc};
use common::ids::WorkspaceId;
use common::values::EmailAddress;
use diesel::{PgConnection, QueryResult};

use super::hooks::hash;
use crate::delivery::Links;
use crate::inbound::{About, Event, Outcome, Provider, Refused, Told, record};
use crate::store::hooks::{self, Hook};
use crate::store::messages;
use crate::{AppState, Error};

/// Answers 204 once everything it tells is written down. Told again, or in another order, it
/// changes nothing; what says nothing about a mail's arrival is counted and passed over. A topic of
/// Amazon SNS that asks whether it may send here is told that it may.
#[utoipa::path(
    post, path = "/hooks/{provider}/{token}", tag = "notifications", operation_id = "notifications_hooks_receive",
    params(
        ("provider" = String, Path, description = "`sendgrid`, `mailgun`, `postmark` or `ses`"),
        ("token" = String, Path, description = "The secret part of the hook's URL"),
    ),
    request_body(content = String, description = "The provider's events", content_type = "application/json"),
    responses(
        (status = 204, description = "It is written down"),
        (status = 403, description = "It is not signed by the provider", body = common::Problem),
        (status = 404, description = "There is no such hook", body = common::Problem),
        (status = 422, description = "It is not JSON, or was sent raw by SNS, without its signature", body = common::Problem),
        (status = 503, description = "Amazon, whose certificate it needs, cannot be asked", body = common::Problem),
    ),
    security(())
)]
#[tracing::instrument(name = "hooks.receive", skip_all)]
pub(crate) async fn receive(
    state: Data<AppState>,
    path: Path<(String, String)>,
    request: HttpRequest,
    body: Bytes,
) -> Result<HttpResponse, Error> {
    let (named, token) = path.into_inner();
    let provider = Provider::parse(&named).ok_or(Error::NoHook)?;
    let (now, hash) = (state.clock.now(), hash(&token));
    let hook = state
        .db
        .run(move |conn| Ok::<_, Error>(hooks::by_token(conn, &hash)?))
        .await?;
    let hook = hook
        .filter(|hook| hook.provider == named)
        .ok_or(Error::NoHook)?;
    let secret = secret(&state, &hook)?;
    let events = match provider {
        Provider::Ses => by_topic(&state, &secret, &request, &body, now).await?,
        _ => {
            provider
                .verify(&secret, request.headers(), &body, now)
                .map_err(|_| Error::HookForged)?;
            provider
                .read(&body)
                .map_err(|why| InvalidInput::field("", format!("must be JSON: {why}")))?
        }
    };
    let links = state.links.clone();
    let outcomes = state
        .db
        .transaction(move |conn| {
            hooks::used(conn, &hook, now)?;
            Ok::<_, Error>(take(
                conn,
                hook.workspace_id,
                provider,
                events,
                &links,
                now,
            )?)
        })
        .await?;
    for outcome in outcomes {
        state.inbound.count(provider.as_str(), outcome);
    }
    Ok(HttpResponse::NoContent().finish())
}

/// What SES tells by a topic of SNS. The topic itself says things too, in plain words.
async fn by_topic(
    state: &AppState,
    topic: &str,
    request: &HttpRequest,
    body: &[u8],
    now: DateTime<Utc>,
) -> Result<Vec<Option<Event>>, Error> {
    let raw = request.headers().get("x-amz-sns-rawdelivery");
    if raw.is_some_and(|raw| raw.as_bytes() == b"true") {
        let why =
            "must not be sent raw, because then it is not signed: turn raw message delivery off";
        return Err(InvalidInput::field("", why).into());
    }
    let said = state.topics.open(topic, body, now).await;
    let said = said.map_err(|refused| match refused {
        Refused::Forged => Error::HookForged,
        Refused::Away => Error::ProviderAway,
    })?;
    let read = |said: String| Provider::Ses.read(said.as_bytes());
    Ok(said.map_or_else(Vec::new, |said| read(said).unwrap_or_else(|_| vec![None])))
}

fn secret(state: &AppState, hook: &Hook) -> Result<String, Error> {
    let Some(sealed) = &hook.secret else {
        return Ok(String::new());
    };
    let opened = state.vault.open(sealed).map_err(|_| Error::HookSealed)?;
    String::from_utf8(opened).map_err(|_| Error::HookSealed)
}

/// Records all of it, by address, so that two of these never wait for each other.
fn take(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    provider: Provider,
    mut events: Vec<Option<Event>>,
    links: &Links,
    now: DateTime<Utc>,
) -> QueryResult<Vec<Outcome>> {
    let key = |event: &Event| (event.address.to_lowercase(), event.class);
    events.sort_by_cached_key(|event| event.as_ref().map(key));
    let mut outcomes = Vec::new();
    for event in events {
        outcomes.push(match event {
            Some(event) => one(conn, workspace, provider, event, links, now)?,
            None => Outcome::Unread,
        });
    }
    Ok(outcomes)
}

fn one(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    provider: Provider,
    event: Event,
    links: &Links,
    now: DateTime<Utc>,
) -> QueryResult<Outcome> {
    let Some(about) = about(conn, workspace, &event, links, now)? else {
        return Ok(Outcome::Unmatched);
    };
    let told = Told {
        class: event.class,
        status: event.status,
        diagnostic: event.diagnostic,
        reason: event.reason,
        at: event.at.unwrap_or(now),
    };
    Ok(match record(conn, &about, &told, provider.as_str(), now)? {
        true => Outcome::Recorded(told.class),
        false => Outcome::Repeated,
    })
}

/// The message of this workspace that it is about, or else the address alone: a hook speaks for
/// its workspace only.
fn about(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    event: &Event,
    links: &Links,
    now: DateTime<Utc>,
) -> QueryResult<Option<About>> {
    let path = event.return_path.as_deref();
    let path = path.and_then(|path| links.open_return_path(path, now).ok());
    let id = path.map(|path| path.message_id).or(event.message);
    let message = match id {
        Some(id) => messages::find(conn, workspace, id)?,
        None => None,
    };
    Ok(match (message, EmailAddress::parse(&event.address)) {
        (Some(message), _) => About::message(workspace, &message),
        (None, Ok(address)) => Some(About::unknown(workspace, address, &event.reference)),
        (None, Err(_)) => None,
    })
}
