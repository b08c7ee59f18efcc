//! `/f/confirm/{token}`: whoever has the address confirms what was sent in a form. GET shows, POST
//! acts.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{self, Data};
use chassis::http::page::escape;
use chassis::http::{Language, Origin};
use common::token::ConfirmToken;
use diesel::PgConnection;

use super::subscribe::{paragraph, spoken};
use crate::domain::words::{self, Words};
use crate::error::Error;
use crate::state::State;
use crate::store::submissions::Submission;
use crate::store::{forms, submissions};
use crate::subscribing::{self, Confirmed};

fn open(state: &State, token: &str) -> Option<ConfirmToken> {
    let now = state.host.clock.now();
    state.keys.open_confirmation(token, now).ok()
}

/// `GET /f/confirm/{token}`: asks. Mail scanners follow every link, so looking changes nothing.
pub(crate) async fn show(
    state: Data<State>,
    token: web::Path<String>,
    language: Language,
) -> Result<HttpResponse, Error> {
    let Some(opened) = open(&state, &token) else {
        return Ok(over(language));
    };
    let (workspace, id) = (opened.workspace_id, opened.submission_id);
    let found = state
        .host
        .db
        .run(move |conn| {
            let Some(sent) = submissions::find(conn, workspace, id)? else {
                return Ok::<_, Error>(None);
            };
            Ok(Some((words_of(conn, &sent)?, sent)))
        })
        .await?;
    Ok(match found {
        None => over(language),
        Some((words, sent)) if sent.confirmed_at.is_some() => confirmed(words),
        Some((words, sent)) => {
            let body = format!(
                "<p>{}</p><p><strong>{}</strong></p><form method=\"post\">\
                 <button type=\"submit\">{}</button></form>",
                words.confirm,
                escape(&sent.wording),
                words.confirm_button,
            );
            spoken(words, StatusCode::OK, words.confirm_title, &body)
        }
    })
}

/// `POST /f/confirm/{token}`: confirms, once.
pub(crate) async fn act(
    state: Data<State>,
    token: web::Path<String>,
    language: Language,
    origin: Origin,
) -> Result<HttpResponse, Error> {
    let Some(opened) = open(&state, &token) else {
        return Ok(over(language));
    };
    let (workspace, id) = (opened.workspace_id, opened.submission_id);
    let (from, now) = (origin.address, state.host.clock.now());
    let words = state
        .host
        .db
        .transaction(
            move |conn| match subscribing::confirm(conn, workspace, id, from, now)? {
                Confirmed::Done(sent) | Confirmed::Before(sent) => Ok(Some(words_of(conn, &sent)?)),
                Confirmed::Nobody => Ok::<_, Error>(None),
            },
        )
        .await?;
    Ok(words.map_or_else(|| over(language), confirmed))
}

/// The words of the form that it was sent in.
fn words_of(conn: &mut PgConnection, sent: &Submission) -> Result<&'static Words, Error> {
    let form = forms::find(conn, sent.workspace_id, sent.form_id)?;
    let language = form.map(|form| form.language);
    Ok(words::words_of(language.as_deref().unwrap_or_default()))
}

fn confirmed(words: &'static Words) -> HttpResponse {
    let body = paragraph(words.confirmed);
    spoken(words, StatusCode::OK, words.confirmed_title, &body)
}

/// A link that is too old, that we did not make, or whose person is gone.
fn over(language: Language) -> HttpResponse {
    let words = words::words(language);
    let (status, body) = (StatusCode::NOT_FOUND, paragraph(words.over));
    spoken(words, status, words.over_title, &body)
}
