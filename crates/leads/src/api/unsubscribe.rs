//! `/u/{token}`: GET shows, POST acts (RFC 8058).

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{self, Data};
use bytes::Bytes;
use chassis::outbox;
use chrono::{DateTime, Utc};
use common::events::LeadUnsubscribed;
use common::token::{MailToken, Purpose};
use common::values::EmailAddress;
use common::{LeadId, ListId};
use diesel::{PgConnection, QueryResult};

use super::page::{bad_link, escape, masked, nobody, page};
use crate::error::Error;
use crate::state::State;
use crate::store::consents::{self, Consent};
use crate::store::leads::Lead;
use crate::store::{leads, members, suppressions};

/// The sentence people agree to when they unsubscribe; it goes into the consent ledger.
const WORDING: &str = "Stop sending me mails.";

/// Who a link belongs to, if the link is ours.
pub(crate) fn open(state: &State, token: &str) -> Option<MailToken> {
    state.keys.open(Purpose::Unsubscribe, token).ok()
}

/// The person behind a link, if there is one.
pub(crate) async fn person(state: &State, token: &MailToken) -> Result<Option<Lead>, Error> {
    let Some(id) = token.lead_id else {
        return Ok(None);
    };
    let workspace = token.workspace_id;
    let db = &state.host.db;
    db.run(move |conn| Ok(leads::find(conn, workspace, id)?))
        .await
}

/// `GET /u/{token}`: asks. Mail scanners follow every link, so looking changes nothing.
pub(crate) async fn show(
    state: Data<State>,
    token: web::Path<String>,
) -> Result<HttpResponse, Error> {
    let Some(opened) = open(&state, &token) else {
        return Ok(bad_link());
    };
    let Some(lead) = person(&state, &opened).await? else {
        return Ok(nobody());
    };
    let body = format!(
        "<p>No more mails will be sent to <strong>{}</strong>.</p>\
         <form method=\"post\"><input type=\"hidden\" name=\"confirm\" value=\"yes\">\
         <button type=\"submit\">{WORDING}</button></form>\
         <p><a href=\"/p/{}\">Choose what to receive instead</a></p>",
        escape(&masked(&lead.email)),
        escape(&token),
    );
    Ok(page(StatusCode::OK, "Unsubscribe", &body))
}

/// `POST /u/{token}`: unsubscribes, from the page's button or by a mail program's one click.
/// Doing it again changes nothing.
pub(crate) async fn act(
    state: Data<State>,
    token: web::Path<String>,
    body: Bytes,
) -> Result<HttpResponse, Error> {
    let Some(opened) = open(&state, &token) else {
        return Ok(bad_link());
    };
    let Some(lead) = opened.lead_id else {
        return Ok(nobody());
    };
    let one_click = memchr::memmem::find(&body, b"One-Click").is_some();
    let now = state.host.clock.now();
    let known = state
        .host
        .db
        .transaction(move |conn| {
            let method = if one_click { "one_click" } else { "link" };
            Ok::<_, Error>(unsubscribe(conn, &opened, lead, method, now)?)
        })
        .await?;
    if !known {
        return Ok(nobody());
    }
    let body = format!(
        "<p>No more mails will be sent to you.</p>\
         <p><a href=\"/p/{}\">Changed your mind?</a></p>",
        escape(&token)
    );
    Ok(page(StatusCode::OK, "You are unsubscribed", &body))
}

/// Takes a person off every list and suppresses the address; false when the person is gone.
pub(crate) fn unsubscribe(
    conn: &mut PgConnection,
    token: &MailToken,
    lead: LeadId,
    method: &str,
    now: DateTime<Utc>,
) -> QueryResult<bool> {
    let workspace = token.workspace_id;
    let Some(lead) = leads::lock(conn, workspace, lead)? else {
        return Ok(false);
    };
    let actor = format!("lead, by the mail {}", token.message_id);
    let consent = Consent {
        lead: lead.id,
        at: now,
        actor: &actor,
        method,
        wording: Some(WORDING),
    };
    let mut left = Vec::new();
    for (member, _) in members::of_lead(conn, workspace, lead.id)? {
        if members::set(conn, workspace, member.list_id, "unsubscribed", &consent)? {
            left.push(member.list_id);
        }
    }
    let suppressed = match EmailAddress::parse(&lead.email) {
        Ok(address) => suppressions::add(conn, workspace, &address, "unsubscribe", now)?,
        Err(_) => false,
    };
    if suppressed {
        consents::record(conn, workspace, None, "unsubscribed", &consent)?;
    }
    if suppressed || !left.is_empty() {
        outbox::push(conn, workspace, &event(token, &lead, left, now))?;
    }
    Ok(true)
}

/// What the others are told, with the mail that led to it.
pub(crate) fn event(
    token: &MailToken,
    lead: &Lead,
    list_ids: Vec<ListId>,
    at: DateTime<Utc>,
) -> LeadUnsubscribed {
    LeadUnsubscribed {
        lead_id: lead.id,
        email: lead.email.clone(),
        list_ids,
        campaign_id: token.campaign_id,
        message_id: Some(token.message_id),
        at,
    }
}
