//! `/p/{token}`: what a person receives.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{self, Data};
use bytes::Bytes;
use chassis::http::Language;
use chassis::outbox;
use chrono::{DateTime, Utc};
use common::token::MailToken;
use common::{LeadId, ListId};
use diesel::PgConnection;

use super::page::{bad_link, escape, masked, nobody, page};
use super::unsubscribe::{event, open, person, unsubscribe};
use crate::error::Error;
use crate::state::State;
use crate::store::consents::{self, Consent};
use crate::store::{leads, members, suppressions};

/// The sentence people agree to when they choose; it goes into the consent ledger.
fn wording(language: Language) -> &'static str {
    language.pick(
        "Send me mails about what I have ticked.",
        "Schickt mir Mails zu dem, was ich angekreuzt habe.",
    )
}

/// `GET /p/{token}`: shows the lists a person is on. Looking changes nothing.
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
    let (workspace, id) = (lead.workspace_id, lead.id);
    let lists = state
        .host
        .db
        .run(move |conn| Ok::<_, Error>(members::of_lead(conn, workspace, id)?))
        .await?;
    let boxes: String = lists
        .iter()
        .map(|(member, name)| {
            let checked = if member.status == "confirmed" {
                " checked"
            } else {
                ""
            };
            format!(
                "<label><input type=\"checkbox\" name=\"list\" value=\"{}\"{checked}> {}</label>",
                member.list_id,
                escape(name)
            )
        })
        .collect();
    let body = format!(
        "<p>{} <strong>{}</strong>.</p><form method=\"post\">\
         <fieldset><legend>{}</legend>{boxes}</fieldset><p>{}</p>\
         <button type=\"submit\">{}</button></form>",
        language.pick("For", "Für"),
        escape(&masked(&lead.email)),
        wording(language),
        language.pick(
            "Without a tick, no mails will be sent to you at all.",
            "Ohne ein Kreuz kommen gar keine Mails mehr.",
        ),
        language.pick("Save", "Speichern"),
    );
    let title = language.pick("What you receive", "Was ankommen soll");
    Ok(page(language, StatusCode::OK, title, &body))
}

/// `POST /p/{token}`: saves what is ticked. Nothing ticked is an unsubscription.
pub(crate) async fn save(
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
    let (ticked, now) = (ticked(&body), state.host.clock.now());
    let known = state
        .host
        .db
        .transaction(move |conn| choose(conn, &opened, lead, &ticked, (wording(language), now)))
        .await?;
    if !known {
        return Ok(nobody(language));
    }
    let body = format!(
        "<p><a href=\"/p/{}\">{}</a></p>",
        escape(&token),
        language.pick("Look at it again", "Noch einmal ansehen"),
    );
    let title = language.pick("Your choice is saved", "Die Auswahl ist gespeichert");
    Ok(page(language, StatusCode::OK, title, &body))
}

/// The lists in a form's body; anything else in it is passed over.
fn ticked(body: &[u8]) -> Vec<ListId> {
    let fields = url::form_urlencoded::parse(body);
    let lists = fields.filter(|(name, _)| name == "list");
    lists.filter_map(|(_, id)| id.parse().ok()).collect()
}

fn choose(
    conn: &mut PgConnection,
    token: &MailToken,
    id: LeadId,
    ticked: &[ListId],
    (wording, now): (&str, DateTime<Utc>),
) -> Result<bool, Error> {
    let workspace = token.workspace_id;
    let Some(lead) = leads::lock(conn, workspace, id)? else {
        return Ok(false);
    };
    let lists = members::of_lead(conn, workspace, id)?;
    // Only lists the person is on already: a form cannot name others.
    if !lists
        .iter()
        .any(|(member, _)| ticked.contains(&member.list_id))
    {
        return Ok(unsubscribe(conn, token, id, ("preferences", wording), now)?);
    }
    let actor = format!("lead, by the mail {}", token.message_id);
    let consent = Consent {
        lead: id,
        at: now,
        actor: &actor,
        method: "preferences",
        wording: Some(wording),
    };
    let mut left = Vec::new();
    for (member, _) in lists {
        let wanted = ticked.contains(&member.list_id);
        let status = if wanted { "confirmed" } else { "unsubscribed" };
        if members::set(conn, workspace, member.list_id, status, &consent)? && !wanted {
            left.push(member.list_id);
        }
    }
    if suppressions::lift(conn, workspace, &lead.email_key, Some("unsubscribe"))? {
        consents::record(conn, workspace, None, "resubscribed", &consent)?;
    }
    if !left.is_empty() {
        outbox::push(conn, workspace, &event(token, &lead, left, now))?;
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lists_are_read_from_a_form() {
        let list = ListId::new();
        let body = format!("list={list}&list=nonsense&admin=true");
        assert_eq!(ticked(body.as_bytes()), [list]);
        assert!(ticked(b"\xff\xfe").is_empty());
    }
}
