//! What a client sent, as events: each by itself, so that a bad one costs no good one.
//!
//! The body is cut into events without building it in memory; each event is then read straight
//! into its fields. Only a refusal takes the slow way, to say which field it was.

use std::borrow::Cow;
use std::fmt;

use chassis::InvalidInput;
use chrono::{DateTime, Duration, TimeZone, Utc};
use common::values::EmailAddress;
use common::{CampaignId, EventId, FieldError, LeadId, WorkspaceId};
use serde::Deserialize;
use serde::de::{Error as _, IgnoredAny, MapAccess, Visitor as Reads};
use serde_json::Value;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::domain::event::{Event, IDENTIFY, REFUND, RawJson, Said};
use crate::domain::json;
use crate::domain::money::{self, Amount};
use crate::domain::utm::Utm;
use crate::domain::visitor::Visitor;

/// The most events of one request.
pub const MAX_EVENTS: usize = 1000;
const MAX_URL: usize = 2048;
const MAX_NAME: usize = 128;
const MAX_TYPE: usize = 64;

/// The namespace of ids that are not UUIDs: an event's id is then the UUIDv5 of the client's.
const ID_NAMESPACE: Uuid = Uuid::from_u128(0x5f1c_61b2_6d0e_4b8c_9d4e_3a37_9b0c_55a1);

/// The events of one request, and what was wrong with the others.
#[derive(Debug, Default)]
pub struct Parsed {
    pub events: Vec<Event>,
    pub rejected: Vec<Refused>,
}

/// An event that cannot be taken.
#[derive(Debug)]
pub struct Refused {
    pub index: usize,
    /// Pointers from the event's own root.
    pub fields: Vec<FieldError>,
}

impl Refused {
    /// One sentence that names every field by its place in the body.
    pub fn detail(&self) -> String {
        let sentence =
            |field: &FieldError| format!("events/{}{} {}", self.index, field.pointer, field.detail);
        let sentences: Vec<_> = self.fields.iter().map(sentence).collect();
        sentences.join("; ")
    }
}

/// Reads a body: one event, or `{"events": […]}`. An error means that nothing of it can be used;
/// a single event that is bad is such an error.
pub fn body(
    bytes: &[u8],
    workspace: WorkspaceId,
    now: DateTime<Utc>,
) -> Result<Parsed, InvalidInput> {
    let text = std::str::from_utf8(bytes).map_err(|_| malformed("is not UTF-8"))?;
    // Nothing that has `events` can be read as one event.
    if let Some(written) = written(text) {
        let event = event(written, workspace, now).map_err(InvalidInput::fields)?;
        return Ok(Parsed {
            events: vec![event],
            rejected: Vec::new(),
        });
    }
    let top: Top<'_> = serde_json::from_str(text).map_err(|error| unusable(&error))?;
    let Top::Many(raw) = top else {
        return Err(InvalidInput::fields(vec![bad_field(text)]));
    };
    if raw.len() > MAX_EVENTS {
        let detail = format!("must hold at most {MAX_EVENTS} events");
        return Err(InvalidInput::field("/events", detail));
    }
    let mut parsed = Parsed {
        events: Vec::with_capacity(raw.len()),
        rejected: Vec::new(),
    };
    for (index, raw) in raw.into_iter().enumerate() {
        let read = match written(raw.get()) {
            Some(written) => event(written, workspace, now),
            None => Err(vec![bad_field(raw.get())]),
        };
        match read {
            Ok(event) => parsed.events.push(event),
            Err(fields) => parsed.rejected.push(Refused { index, fields }),
        }
    }
    Ok(parsed)
}

fn malformed(detail: impl fmt::Display) -> InvalidInput {
    InvalidInput {
        status: actix_web::http::StatusCode::BAD_REQUEST,
        code: "malformed_body",
        fields: vec![FieldError::new("", format!("the body {detail}"))],
    }
}

fn unusable(error: &serde_json::Error) -> InvalidInput {
    if !error.is_data() {
        return malformed(format!("is not JSON: {error}"));
    }
    let text = sentence(error);
    let pointer = if text.contains("expected a list") {
        "/events"
    } else {
        ""
    };
    InvalidInput::field(pointer, text)
}

/// serde's sentence without its position, which means nothing inside one event.
fn sentence(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" at line ") {
        Some((sentence, _)) => sentence.to_owned(),
        None => text,
    }
}

/// The outer shape of a body.
enum Top<'a> {
    One,
    Many(Vec<&'a RawValue>),
}

impl<'de> Deserialize<'de> for Top<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TopVisitor)
    }
}

struct TopVisitor;

impl<'de> Reads<'de> for TopVisitor {
    type Value = Top<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event or {\"events\": […]}")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        match map.next_key::<Cow<'de, str>>()?.as_deref() {
            Some("events") => {}
            Some(_) => {
                // What is wrong with it as one event is said elsewhere; here it only has to be
                // JSON to its end.
                map.next_value::<IgnoredAny>()?;
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                return Ok(Top::One);
            }
            None => return Ok(Top::One),
        }
        let List(events) = map.next_value()?;
        match map.next_key::<Cow<'de, str>>()? {
            None => Ok(Top::Many(events)),
            Some(key) => Err(A::Error::custom(format!(
                "unknown field `{key}` beside `events`"
            ))),
        }
    }
}

struct List<'a>(Vec<&'a RawValue>);

impl<'de> Deserialize<'de> for List<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Items;
        impl<'de> Reads<'de> for Items {
            type Value = List<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of events")
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(
                self,
                mut items: A,
            ) -> Result<Self::Value, A::Error> {
                let mut raw = Vec::with_capacity(128);
                while let Some(item) = items.next_element()? {
                    raw.push(item);
                }
                Ok(List(raw))
            }
        }
        deserializer.deserialize_any(Items)
    }
}

/// One event as clients write it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written<'a> {
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    occurred_at: Option<DateTime<Utc>>,
    campaign_id: Option<CampaignId>,
    lead_id: Option<LeadId>,
    #[serde(borrow)]
    anonymous_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    user_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    url: Option<Cow<'a, str>>,
    #[serde(borrow)]
    properties: Option<&'a RawValue>,
}

/// Reads an event. A list of its fields' values is none, which serde would take as well.
fn written(text: &str) -> Option<Written<'_>> {
    let object = text.trim_start().starts_with('{');
    object.then(|| serde_json::from_str(text).ok()).flatten()
}

fn event(
    written: Written<'_>,
    workspace: WorkspaceId,
    now: DateTime<Utc>,
) -> Result<Event, Vec<FieldError>> {
    let mut bad = Vec::new();
    check(&written, now, &mut bad);
    let properties = match written.properties.map(|raw| json::checked(raw.get())) {
        Some(Err(why)) => {
            bad.push(FieldError::new("/properties", why));
            None
        }
        Some(Ok(properties)) => Some(properties),
        None => None,
    };
    if !bad.is_empty() {
        return Err(bad);
    }
    let mut event = Event::new(workspace, written.kind.into_owned(), now);
    if let Some(id) = written.id.as_deref() {
        (event.id, event.id_given) = (given_id(id), true);
    }
    event.occurred_at = written.occurred_at.unwrap_or(now);
    event.campaign_id = written.campaign_id;
    event.lead_id = written.lead_id;
    event.anonymous_id = written.anonymous_id.map(Cow::into_owned);
    event.user_id = written.user_id.map(Cow::into_owned);
    event.name = written.name.map(Cow::into_owned);
    event.url = written.url.map(Cow::into_owned);
    if let Some(url) = event.url.as_deref().filter(|url| url.contains("utm_")) {
        event.came_by(Utm::of_url(url));
    }
    event.recognise();
    if let Some(properties) = &properties {
        read_properties(&mut event, &properties.0);
    }
    if event.kind == IDENTIFY {
        identify(&mut event, properties.as_ref());
    }
    event.properties = properties;
    Ok(event)
}

/// Most events bring no money, and their properties are not looked into.
fn read_properties(event: &mut Event, text: &str) {
    if !text.contains("\"amount\"") {
        return;
    }
    let amount = serde_json::from_str(text)
        .ok()
        .and_then(|value| money::minor(&value));
    event.brought(amount.map(|amount| match event.kind == REFUND {
        true => Amount {
            minor: amount.minor.saturating_abs().saturating_neg(),
            ..amount
        },
        false => amount,
    }));
}

fn identify(event: &mut Event, properties: Option<&RawJson>) {
    let workspace = event.workspace_id;
    let anonymous = event.anonymous_id.as_deref();
    let email = properties.and_then(|text| serde_json::from_str::<Value>(&text.0).ok());
    event.said = Some(Box::new(Said::Identified {
        anonymous: anonymous.map(|id| Visitor::anonymous(workspace, id)),
        user: event
            .user_id
            .as_deref()
            .map(|id| Visitor::user(workspace, id)),
        lead: event.lead_id,
        email: email.and_then(|properties| address(properties.get("email")?)),
    }));
}

/// An e-mail address as people are found by it.
pub fn address(value: &Value) -> Option<String> {
    let address = EmailAddress::parse(value.as_str()?).ok()?;
    Some(address.key())
}

/// The id of an event by the text that its sender gave it.
pub fn given_id(text: &str) -> EventId {
    let derived = || Uuid::new_v5(&ID_NAMESPACE, text.as_bytes());
    EventId(Uuid::parse_str(text).unwrap_or_else(|_| derived()))
}

/// Reads a refused event once more, to say which field it was.
fn bad_field(text: &str) -> FieldError {
    let mut json = serde_json::Deserializer::from_str(text);
    match serde_path_to_error::deserialize::<_, Written<'_>>(&mut json) {
        Ok(_) => FieldError::new("", "must be an object"),
        Err(error) => {
            let path = error.path().to_string();
            let sentence = sentence(error.inner());
            match sentence.strip_prefix("missing field `") {
                Some(name) => {
                    FieldError::new(format!("/{}", name.trim_end_matches('`')), "is missing")
                }
                None if path == "." || sentence.starts_with("unknown field") => {
                    FieldError::new("", sentence)
                }
                None => FieldError::new(format!("/{path}"), sentence),
            }
        }
    }
}

fn check(written: &Written<'_>, now: DateTime<Utc>, bad: &mut Vec<FieldError>) {
    let mut refuse = |pointer: &str, detail: String| bad.push(FieldError::new(pointer, detail));
    if !is_type(&written.kind) {
        let detail = format!("must be 1 to {MAX_TYPE} ASCII letters, digits or _ . : -");
        refuse("/type", detail);
    }
    let texts = [
        ("/id", &written.id, MAX_NAME),
        ("/anonymous_id", &written.anonymous_id, MAX_NAME),
        ("/user_id", &written.user_id, MAX_NAME),
        ("/name", &written.name, MAX_NAME),
        ("/url", &written.url, MAX_URL),
    ];
    for (pointer, text, most) in texts {
        let Some(text) = text else { continue };
        if text.is_empty() || text.chars().count() > most {
            refuse(pointer, format!("must have 1 to {most} characters"));
        } else if text.chars().any(char::is_control) {
            refuse(
                pointer,
                "must not contain NUL or other control characters".into(),
            );
        }
    }
    if written.occurred_at.is_some_and(|at| !plausible(at, now)) {
        let detail = "must be after 1999 and at most a day ahead";
        refuse("/occurred_at", detail.into());
    }
}

fn is_type(kind: &str) -> bool {
    (1..=MAX_TYPE).contains(&kind.len())
        && kind
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_.:-".contains(&b))
}

/// Reports find an event by the day it was received, so it must not lie far ahead of it.
pub fn plausible(at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    let earliest = Utc.with_ymd_and_hms(2000, 1, 1, 0, 0, 0).single();
    at <= now + Duration::days(1) && earliest.is_some_and(|earliest| at >= earliest)
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
