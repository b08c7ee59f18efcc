//! `/f/{form}`: people come onto lists by themselves. The page works without scripts; a form of
//! another page, or a program, sends the same fields.

use std::collections::BTreeMap;

use actix_web::http::StatusCode;
use actix_web::web::{self, Data};
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use chassis::InvalidInput;
use chassis::http::page::{Page, escape, page};
use chassis::http::{Body, Language, Origin, parse_json};
use common::FormId;
use serde_json::json;
use url::Url;

use crate::domain::form::{self, ANONYMOUS_ID, CONSENT, EMAIL, Part, TRAP, Wrong};
use crate::domain::words::{Words, words, words_of};
use crate::error::Error;
use crate::state::State;
use crate::store::forms::{self, Form};
use crate::subscribing;

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

/// Names and what was put in.
type Sent = BTreeMap<String, String>;

/// `GET /f/{form}`: shows it. Looking changes nothing.
pub(crate) async fn show(
    state: Data<State>,
    id: web::Path<String>,
    language: Language,
    request: HttpRequest,
) -> Result<HttpResponse, Error> {
    let Some(form) = linked(&state, &id).await? else {
        return Ok(nothing(language));
    };
    if !form.active {
        return Ok(closed(&form));
    }
    let mut sent = Sent::new();
    let mut query = url::form_urlencoded::parse(request.query_string().as_bytes()).into_owned();
    // Whoever leads people here may say which visitor it is.
    let visitor = query.find(|(name, _)| name == ANONYMOUS_ID);
    sent.extend(visitor);
    Ok(page_of(&form, StatusCode::OK, &sent, &[]))
}

/// The form that a link names, of whatever workspace.
async fn linked(state: &State, id: &str) -> Result<Option<Form>, Error> {
    let Ok(id) = id.parse::<FormId>() else {
        return Ok(None);
    };
    let db = &state.host.db;
    db.run(move |conn| Ok(forms::linked(conn, id)?)).await
}

/// `POST /f/{form}`: takes it. The answer is the same whether the person is known or not.
pub(crate) async fn act(
    state: Data<State>,
    id: web::Path<String>,
    language: Language,
    request: HttpRequest,
    origin: Origin,
    body: Body,
) -> Result<HttpResponse, Error> {
    let sent = sent(&request, &body.0)?;
    let program = is_program(&request);
    let form = match linked(&state, &id).await? {
        Some(form) => form,
        None if program => return Err(Error::NoForm),
        None => return Ok(nothing(language)),
    };
    if !form.active {
        return match program {
            true => Err(Error::FormClosed(form.id)),
            false => Ok(closed(&form)),
        };
    }
    if !may_send(&form, &request, &state.post.public_url) {
        return Err(Error::OriginNotAllowed);
    }
    if request.content_type() == JSON {
        let unknown = form::unknown(&form.fields.0, &sent);
        if !unknown.is_empty() {
            return Err(InvalidInput::fields(unknown).into());
        }
    }
    let given = match form::read(&form.fields.0, &form.wording, &sent) {
        Ok(given) => given,
        Err(wrong) if program => {
            let told = wrong.iter().map(|wrong| wrong.told(&form.wording));
            return Err(InvalidInput::fields(told.collect()).into());
        }
        Err(wrong) => {
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            return Ok(page_of(&form, status, &sent, &wrong));
        }
    };
    if !form::is_trapped(&sent) {
        let (form, from, now) = (form.clone(), origin.address, state.host.clock.now());
        let taking = state.host.db.transaction(move |conn| {
            Ok::<_, Error>(subscribing::take(conn, &form, given, from, now)?)
        });
        taking.await?;
    }
    Ok(match program {
        true => told(&form),
        false => thanks(&form),
    })
}

/// What was sent, as a form of a page or as JSON.
fn sent(request: &HttpRequest, body: &[u8]) -> Result<Sent, Error> {
    match request.content_type().to_ascii_lowercase().as_str() {
        FORM => {
            let pairs = url::form_urlencoded::parse(body).into_owned();
            Ok(pairs.collect())
        }
        JSON => Ok(parse_json(body)?),
        _ => Err(Error::NotAForm),
    }
}

/// Whether the answer is for a program.
fn is_program(request: &HttpRequest) -> bool {
    let accept = request.headers().get("accept");
    let accept = accept.and_then(|value| value.to_str().ok());
    request.content_type() == JSON || accept.is_some_and(|accept| accept.contains(JSON))
}

/// Whether a page of that origin may send the form. Browsers say it truthfully; a program has
/// none, or says what it likes.
fn may_send(form: &Form, request: &HttpRequest, public_url: &Url) -> bool {
    let text = |name: &str| {
        let value = request.headers().get(name);
        value.and_then(|value| value.to_str().ok())
    };
    let own = public_url.origin().ascii_serialization();
    let listed = |origin: &str| {
        let mut allowed = form.origins.iter().chain([&own]);
        allowed.any(|allowed| allowed.eq_ignore_ascii_case(origin))
    };
    form.origins.is_empty()
        || text("sec-fetch-site") == Some("same-origin")
        || text("origin").is_none_or(listed)
}

/// The page of a form, with what was put in and what is wrong with it.
fn page_of(form: &Form, status: StatusCode, sent: &Sent, wrong: &[Wrong]) -> HttpResponse {
    let words = words_of(&form.language);
    let text = form.text.as_deref().map_or_else(String::new, paragraph);
    let alert = match wrong.is_empty() {
        true => String::new(),
        false => format!("<p role=\"alert\"><strong>{}</strong></p>", words.check),
    };
    let blank = Inputs { sent, wrong, words };
    let email = blank.line(EMAIL, words.email, "email", "email", true);
    let asked: String = form
        .fields
        .0
        .iter()
        .map(|field| blank.asked(field))
        .collect();
    let consent = blank.consent(&form.wording);
    let visitor = sent.get(ANONYMOUS_ID).map_or_else(String::new, |id| {
        let id = escape(id);
        format!("<input type=\"hidden\" name=\"{ANONYMOUS_ID}\" value=\"{id}\">")
    });
    let button = escape(form.button.as_deref().unwrap_or(words.button));
    let body = format!(
        "{text}{alert}<form method=\"post\">{email}{asked}{consent}{visitor}\
         <div class=\"nobody\" aria-hidden=\"true\"><label>{} <input type=\"text\" name=\"{TRAP}\" \
         tabindex=\"-1\" autocomplete=\"off\"></label></div>\
         <p><button type=\"submit\">{button}</button></p></form>",
        words.leave_empty
    );
    let target = form
        .redirect_url
        .as_deref()
        .and_then(|url| Url::parse(url).ok());
    let target = target.map(|url| url.origin().ascii_serialization());
    Page::new(words.language, status, &form.title, &body)
        .leads_to(target.as_deref())
        .named_to_itself()
        .answer()
}

pub(super) fn paragraph(text: &str) -> String {
    format!("<p class=\"text\">{}</p>", escape(text))
}

/// The fields of a page.
struct Inputs<'a> {
    sent: &'a Sent,
    wrong: &'a [Wrong],
    words: &'static Words,
}

impl Inputs<'_> {
    fn asked(&self, field: &form::Field) -> String {
        let part = Part::of(&field.field);
        let kind = match part {
            Some(Part::Phone) => "tel",
            _ => "text",
        };
        let complete = part.map_or("on", Part::autocomplete);
        self.line(&field.field, &field.label, kind, complete, field.required)
    }

    fn line(&self, name: &str, label: &str, kind: &str, complete: &str, needed: bool) -> String {
        let value = escape(self.sent.get(name).map_or("", String::as_str));
        let (told, marks) = self.told(name);
        let (label, name) = (escape(label), escape(name));
        let (hint, required) = match needed {
            true => (String::new(), " required"),
            false => (format!(" ({})", self.words.optional), ""),
        };
        format!(
            "<label>{label}{hint}{told}<input type=\"{kind}\" name=\"{name}\" value=\"{value}\" \
             autocomplete=\"{complete}\" maxlength=\"254\"{required}{marks}></label>"
        )
    }

    fn consent(&self, wording: &str) -> String {
        let agreed = self.sent.get(CONSENT).is_some_and(|text| text == wording);
        let checked = if agreed { " checked" } else { "" };
        let (wording, (told, marks)) = (escape(wording), self.told(CONSENT));
        format!(
            "<label>{told}<input type=\"checkbox\" name=\"{CONSENT}\" value=\"{wording}\" \
             required{checked}{marks}> {wording}</label>"
        )
    }

    /// What is wrong with an answer, and what marks its field.
    fn told(&self, name: &str) -> (String, &'static str) {
        match self.wrong.iter().find(|wrong| wrong.name == name) {
            Some(wrong) => {
                let why = self.words.wrong(&wrong.why);
                let why = format!("<span class=\"wrong\">{}</span>", escape(&why));
                (why, " aria-invalid=\"true\"")
            }
            None => (String::new(), ""),
        }
    }
}

/// What a program is told when a form was taken.
fn told(form: &Form) -> HttpResponse {
    let (_, message) = success(form);
    HttpResponse::Accepted()
        .insert_header(("cache-control", "no-store"))
        .json(json!({
            "message": message,
            "redirect_url": form.redirect_url,
            "confirmation": form.double_opt_in,
        }))
}

/// What a person sees, or where they are led.
fn thanks(form: &Form) -> HttpResponse {
    if let Some(url) = &form.redirect_url {
        return HttpResponse::SeeOther()
            .insert_header(("location", url.as_str()))
            .insert_header(("cache-control", "no-store"))
            .finish();
    }
    let (title, message) = success(form);
    spoken(
        words_of(&form.language),
        StatusCode::OK,
        title,
        &paragraph(message),
    )
}

fn success(form: &Form) -> (&str, &str) {
    let words = words_of(&form.language);
    let (title, message) = match form.double_opt_in {
        true => (words.look_title, words.look),
        false => (words.thanks_title, words.thanks),
    };
    (title, form.success_message.as_deref().unwrap_or(message))
}

pub(super) fn spoken(words: &Words, status: StatusCode, title: &str, body: &str) -> HttpResponse {
    page(words.language, status, title, body)
}

fn closed(form: &Form) -> HttpResponse {
    let words = words_of(&form.language);
    let (status, body) = (StatusCode::GONE, paragraph(words.closed));
    spoken(words, status, words.closed_title, &body)
}

fn nothing(language: Language) -> HttpResponse {
    let words = words(language);
    let (status, body) = (StatusCode::NOT_FOUND, paragraph(words.nothing));
    spoken(words, status, words.nothing_title, &body)
}
