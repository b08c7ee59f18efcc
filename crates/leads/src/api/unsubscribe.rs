//! `/u/{token}`: GET shows, POST acts (RFC 8058).

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{self, Data};
use bytes::Bytes;
use chassis::http::Language;
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
pub(crate) const WORDING: &str = "Stop sending me mails.";

fn wording(language: Language) -> &'static str {
    language.pick(WORDING, "Schickt mir keine Mails mehr.")
}

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
    language: Language,
) -> Result<HttpResponse, Error> {
    let Some(opened) = open(&state, &token) else {
        return Ok(bad_link(language));
    };
    let Some(lead) = person(&state, &opened).await? else {
        return Ok(nobody(language));
    };
    let address = escape(&masked(&lead.email));
    let body = format!(
        "<p>{}</p><form method=\"post\"><input type=\"hidden\" name=\"confirm\" value=\"yes\">\
         <button type=\"submit\">{}</button></form><p><a href=\"/p/{}\">{}</a></p>",
        language.pick(
            format!("No more mails will be sent to <strong>{address}</strong>."),
            format!("An <strong>{address}</strong> werden keine Mails mehr gesendet."),
        ),
        wording(language),
        escape(&token),
        language.pick(
            "Choose what to receive instead",
            "Lieber auswählen, was kommen soll"
        ),
    );
    let title = language.pick("Unsubscribe", "Abmelden");
    Ok(page(language, StatusCode::OK, title, &body))
}

/// `POST /u/{token}`: unsubscribes, from the page's button or by a mail program's one click.
/// Doing it again changes nothing.
pub(crate) async fn act(
    state: Data<State>,
    token: web::Path<String>,
    language: Language,
    body: Bytes,
) -> Result<HttpResponse, Error> {
    let Some(opened) = open(&state, &token) else {
        return Ok(bad_link(language));
    };
    let Some(lead) = opened.lead_id else {
        return Ok(nobody(language));
    };
    // Of a mail program's click nobody saw any sentence.
    let (method, wording) = match memchr::memmem::find(&body, b"One-Click") {
        Some(_) => ("one_click", WORDING),
        None => ("link", wording(language)),
    };
    let now = state.host.clock.now();
    let known = state
        .host
        .db
        .transaction(move |conn| {
            Ok::<_, Error>(unsubscribe(conn, &opened, lead, (method, wording), now)?)
        })
        .await?;
    if !known {
        return Ok(nobody(language));
    }
    let body = format!(
        "<p>{}</p><p><a href=\"/p/{}\">{}</a></p>",
        language.pick(
            "No more mails will be sent to you.",
            "Es kommen keine Mails mehr."
        ),
        escape(&token),
        language.pick("Changed your mind?", "Doch anders entschieden?"),
    );
    let title = language.pick("You are unsubscribed", "Die Abmeldung ist erledigt");
    Ok(page(language, StatusCode::OK, title, &body))
}

/// Takes a person off every list and suppresses the address; false when the person is gone. How
/// they said so, and by which sentence, goes into the ledger.
pub(crate) fn unsubscribe(
    conn: &mut PgConnection,
    token: &MailToken,
    lead: LeadId,
    (method, wording): (&str, &str),
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
        wording: Some(wording),
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
