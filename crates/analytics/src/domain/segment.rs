//! Messages as Segment's libraries write them, as events of ours.
//!
//! <https://segment.com/docs/connections/sources/catalog/libraries/server/http-api/>. What a field
//! is not understood in is named; fields that we do not know are passed over, because libraries
//! add some with every release.

use std::borrow::Cow;

use chrono::{DateTime, Duration, Utc};
use common::{FieldError, WorkspaceId, WriteKeyId};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::domain::device;
use crate::domain::event::{Event, IDENTIFY, RawJson, Said, VIEW};
use crate::domain::json;
use crate::domain::money::{self, Amount};
use crate::domain::parse::{self, Refused};
use crate::domain::utm::{self, Utm};
use crate::domain::verdict::{Facts, HitKind, judge};
use crate::domain::visitor::Visitor;

/// The most bytes of one message.
const MAX_MESSAGE: usize = 32 * 1024;
/// The most messages of a batch.
pub const MAX_BATCH: usize = 5000;
const MAX_ID: usize = 256;
const MAX_URL: usize = 2048;
/// A sender's clock that is off by more than this is corrected.
const SKEW_S: i64 = 60;

/// The kinds of message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Identify,
    Track,
    Page,
    Screen,
    Group,
    Alias,
}

impl Kind {
    /// What an event of this kind is called here: pages are views like any other.
    fn name(self) -> &'static str {
        match self {
            Self::Identify => IDENTIFY,
            Self::Track => "track",
            Self::Page => VIEW,
            Self::Screen => "screen",
            Self::Group => "group",
            Self::Alias => "alias",
        }
    }

    fn read(text: &str) -> Option<Self> {
        Some(match text {
            "identify" => Self::Identify,
            "track" => Self::Track,
            "page" => Self::Page,
            "screen" => Self::Screen,
            "group" => Self::Group,
            "alias" => Self::Alias,
            _ => return None,
        })
    }
}

/// Where messages came from, and when.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    pub workspace: WorkspaceId,
    pub source: WriteKeyId,
    pub now: DateTime<Utc>,
    /// The user agent of the request, where a browser sent it.
    pub browser: Option<&'a str>,
    /// What is kept of the address of whoever sent it, where that is the person.
    pub address: Option<&'a str>,
    /// The country of that address.
    pub country: Option<&'a str>,
    /// Whether that address is a data centre's.
    pub data_centre: bool,
    /// Who a browser is that does not say it, for a day.
    pub visitor_of_day: Option<&'a str>,
}

/// A request as it came: one message or a batch.
#[derive(Debug)]
pub struct Envelope<'a> {
    pub write_key: Option<String>,
    messages: Vec<&'a RawValue>,
    sent_at: Option<DateTime<Utc>>,
    is_batch: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Outer<'a> {
    #[serde(borrow)]
    write_key: Option<&'a RawValue>,
    #[serde(borrow)]
    sent_at: Option<&'a RawValue>,
    #[serde(borrow)]
    batch: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    message_id: Option<&'a RawValue>,
    #[serde(borrow)]
    user_id: Option<&'a RawValue>,
    #[serde(borrow)]
    anonymous_id: Option<&'a RawValue>,
    #[serde(borrow)]
    previous_id: Option<&'a RawValue>,
    #[serde(borrow)]
    group_id: Option<&'a RawValue>,
    #[serde(borrow)]
    event: Option<&'a RawValue>,
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    category: Option<&'a RawValue>,
    #[serde(borrow)]
    timestamp: Option<&'a RawValue>,
    #[serde(borrow)]
    original_timestamp: Option<&'a RawValue>,
    #[serde(borrow)]
    properties: Option<&'a RawValue>,
    #[serde(borrow)]
    traits: Option<&'a RawValue>,
    #[serde(borrow)]
    context: Option<&'a RawValue>,
}

/// Why nothing of a request can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    #[error("the body is not JSON: {0}")]
    NotJson(String),
    #[error("the body must be an object{0}")]
    NotObject(&'static str),
    #[error("a batch holds at most {MAX_BATCH} messages")]
    TooMany,
}

/// Reads the outside of a body.
pub fn envelope(text: &str, batch: bool) -> Result<Envelope<'_>, Unusable> {
    let whole: &RawValue = serde_json::from_str(text).map_err(|error| not_json(&error))?;
    let outer: Outer<'_> = serde_json::from_str(whole.get()).map_err(|error| not_json(&error))?;
    let messages = match (batch, outer.batch) {
        (false, _) => vec![whole],
        (true, Some(batch)) => serde_json::from_str(batch.get())
            .map_err(|_| Unusable::NotObject(" whose `batch` is a list of messages"))?,
        (true, None) => return Err(Unusable::NotObject(" with a `batch`")),
    };
    if messages.len() > MAX_BATCH {
        return Err(Unusable::TooMany);
    }
    let sent_at = outer.sent_at.and_then(|raw| string(raw).ok().flatten());
    Ok(Envelope {
        write_key: outer
            .write_key
            .and_then(|raw| serde_json::from_str(raw.get()).ok()),
        sent_at: sent_at.and_then(|text| time(&text)),
        messages,
        is_batch: batch,
    })
}

fn not_json(error: &serde_json::Error) -> Unusable {
    match error.is_data() {
        true => Unusable::NotObject(""),
        false => Unusable::NotJson(error.to_string()),
    }
}

impl Envelope<'_> {
    /// Its messages as events, and what is wrong with the others. `kind` is what the path says.
    pub fn events(&self, kind: Option<Kind>, origin: &Origin<'_>) -> parse::Parsed {
        let mut parsed = parse::Parsed::default();
        for (index, raw) in self.messages.iter().enumerate() {
            match message(raw.get(), kind, self.sent_at, origin) {
                Ok(event) => parsed.events.push(event),
                Err(fields) => parsed.rejected.push(Refused { index, fields }),
            }
        }
        parsed
    }

    /// How a refusal names its place.
    pub fn detail(&self, refused: &Refused) -> String {
        let at = match self.is_batch {
            true => format!("batch/{}", refused.index),
            false => String::new(),
        };
        let sentence = |field: &FieldError| {
            let place = format!("{at}{}", field.pointer);
            format!("{} {}", place.trim_start_matches('/'), field.detail)
        };
        let sentences: Vec<_> = refused.fields.iter().map(sentence).collect();
        sentences.join("; ")
    }
}

/// Reads the fields of one message and remembers all that is wrong.
#[derive(Default)]
struct Reader {
    bad: Vec<FieldError>,
}

impl Reader {
    fn refuse(&mut self, pointer: &str, detail: impl Into<String>) {
        self.bad.push(FieldError::new(pointer, detail));
    }

    /// A text, or a number as text; libraries send both as ids.
    fn text(&mut self, pointer: &str, raw: Option<&RawValue>) -> Option<String> {
        match string(raw?) {
            Ok(None) => None,
            Ok(Some(text)) if text.is_empty() => None,
            Ok(Some(text)) if text.chars().count() > MAX_ID => {
                self.refuse(pointer, format!("must have at most {MAX_ID} characters"));
                None
            }
            Ok(Some(text)) if text.contains('\0') => {
                self.refuse(pointer, "must not contain a NUL character");
                None
            }
            Ok(Some(text)) => Some(text.into_owned()),
            Err(()) => {
                self.refuse(pointer, "must be a text");
                None
            }
        }
    }

    /// An object, as it is kept and as it is looked into.
    fn object(&mut self, pointer: &str, raw: Option<&RawValue>) -> Option<(RawJson, Value)> {
        let kept = match json::checked(raw?.get()) {
            Ok(kept) => kept,
            Err(why) => {
                self.refuse(pointer, why);
                return None;
            }
        };
        let value = serde_json::from_str(&kept.0).ok()?;
        (kept.0.len() > 2).then_some((kept, value))
    }

    fn time(&mut self, pointer: &str, raw: Option<&RawValue>) -> Option<DateTime<Utc>> {
        let text = self.text(pointer, raw)?;
        let at = time(&text);
        if at.is_none() {
            self.refuse(pointer, "must be a time in ISO 8601");
        }
        at
    }
}

/// A JSON string, or a number as its digits; null is nothing.
fn string(raw: &RawValue) -> Result<Option<Cow<'_, str>>, ()> {
    let text = raw.get();
    match text.as_bytes().first() {
        Some(b'"') => serde_json::from_str::<String>(text)
            .map(|text| Some(Cow::Owned(text)))
            .map_err(|_| ()),
        Some(b'-' | b'0'..=b'9') => Ok(Some(Cow::Borrowed(text))),
        Some(b'n') => Ok(None),
        _ => Err(()),
    }
}

/// RFC 3339, also without a zone, which then is UTC.
fn time(text: &str) -> Option<DateTime<Utc>> {
    let zoned = DateTime::parse_from_rfc3339(text).map(|at| at.to_utc());
    let bare = || text.parse::<chrono::NaiveDateTime>().map(|at| at.and_utc());
    zoned.or_else(|_| bare()).ok()
}

fn message(
    text: &str,
    path: Option<Kind>,
    sent_at: Option<DateTime<Utc>>,
    origin: &Origin<'_>,
) -> Result<Event, Vec<FieldError>> {
    if text.len() > MAX_MESSAGE {
        return Err(vec![FieldError::new("", "must be at most 32768 bytes")]);
    }
    let message: Message<'_> =
        serde_json::from_str(text).map_err(|_| vec![FieldError::new("", "must be an object")])?;
    let mut read = Reader::default();
    let kind = path.or_else(|| kind(&mut read, message.kind));
    let Some(kind) = kind else {
        return Err(read.bad);
    };
    let event = fill(&mut read, kind, &message, sent_at, origin);
    match read.bad.is_empty() {
        true => Ok(event),
        false => Err(read.bad),
    }
}

fn kind(read: &mut Reader, raw: Option<&RawValue>) -> Option<Kind> {
    let kind = read.text("/type", raw).and_then(|text| Kind::read(&text));
    if kind.is_none() && read.bad.is_empty() {
        read.refuse(
            "/type",
            "must be identify, track, page, screen, group or alias",
        );
    }
    kind
}

fn fill(
    read: &mut Reader,
    kind: Kind,
    message: &Message<'_>,
    sent_at: Option<DateTime<Utc>>,
    origin: &Origin<'_>,
) -> Event {
    let mut event = Event::new(origin.workspace, kind.name(), origin.now);
    event.source_id = Some(origin.source);
    if let Some(id) = read.text("/messageId", message.message_id) {
        (event.id, event.id_given) = (parse::given_id(&id), true);
    }
    event.user_id = read.text("/userId", message.user_id);
    event.anonymous_id = read.text("/anonymousId", message.anonymous_id);
    if event.user_id.is_none() && event.anonymous_id.is_none() && read.bad.is_empty() {
        event.anonymous_id = origin.visitor_of_day.map(str::to_owned);
    }
    event.name = name(read, kind, message);
    event.occurred_at = occurred_at(read, message, sent_at, origin.now);
    let body = match kind {
        Kind::Identify | Kind::Group => read.object("/traits", message.traits),
        _ => read.object("/properties", message.properties),
    };
    let context = read.object("/context", message.context);
    let (properties, facts) = body.unzip();
    let (context, surroundings) = context.unzip();
    let (facts, surroundings) = (facts.unwrap_or_default(), surroundings.unwrap_or_default());
    (event.properties, event.context) = (properties, context);
    event.url = url(&facts, &surroundings);
    event.came_by(campaign(&surroundings, event.url.as_deref()));
    if kind == Kind::Track {
        event.brought(amount(event.name.as_deref(), &facts));
    }
    whose(read, kind, message, &facts, &surroundings, &mut event);
    by_whom(&mut event, &surroundings, origin);
    event
}

/// What tells events of one kind apart.
fn name(read: &mut Reader, kind: Kind, message: &Message<'_>) -> Option<String> {
    let needed = |read: &mut Reader, pointer: &str, raw| {
        let text = read.text(pointer, raw);
        if text.is_none() {
            read.refuse(pointer, "is missing");
        }
        text
    };
    match kind {
        Kind::Track => needed(read, "/event", message.event),
        Kind::Group => needed(read, "/groupId", message.group_id),
        Kind::Page | Kind::Screen => {
            let name = read.text("/name", message.name);
            name.or_else(|| read.text("/category", message.category))
        }
        Kind::Identify | Kind::Alias => None,
    }
}

/// When it happened by our clock: a sender's clock that is far off is off by as much as its
/// `sentAt` is.
fn occurred_at(
    read: &mut Reader,
    message: &Message<'_>,
    sent_at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> DateTime<Utc> {
    let said = read.time("/timestamp", message.timestamp);
    let said = said.or_else(|| read.time("/originalTimestamp", message.original_timestamp));
    let Some(said) = said else { return now };
    let skew = sent_at.map_or(Duration::zero(), |sent| now - sent);
    let at = match skew.num_seconds().abs() > SKEW_S {
        true => said.checked_add_signed(skew).unwrap_or(said),
        false => said,
    };
    if !parse::plausible(at, now) {
        read.refuse("/timestamp", "must be after 1999 and at most a day ahead");
    }
    at
}

fn text_at<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer)?.as_str()
}

/// The page it happened on.
fn url(facts: &Value, surroundings: &Value) -> Option<String> {
    let url = text_at(facts, "/url").or_else(|| text_at(surroundings, "/page/url"))?;
    let fits = !url.is_empty() && url.len() <= MAX_URL && !url.chars().any(char::is_control);
    fits.then(|| url.to_owned())
}

/// What the library found in the page's URL, else what we find.
fn campaign(surroundings: &Value, url: Option<&str>) -> Utm {
    let value = |name: &str| {
        let text = text_at(surroundings, &format!("/campaign/{name}"));
        text.and_then(utm::value_of)
    };
    let told = Utm {
        source: value("source"),
        medium: value("medium"),
        campaign: value("name"),
    };
    match (told == Utm::default(), url) {
        (true, Some(url)) => Utm::of_url(url),
        _ => told,
    }
}

/// What a track brought in; a refunded order takes back.
fn amount(name: Option<&str>, facts: &Value) -> Option<Amount> {
    let amount = money::major(facts)?;
    Some(match name {
        Some("Order Refunded") => Amount {
            minor: amount.minor.saturating_abs().saturating_neg(),
            ..amount
        },
        _ => amount,
    })
}

/// Whose event it is, and what it says about who is who.
fn whose(
    read: &mut Reader,
    kind: Kind,
    message: &Message<'_>,
    facts: &Value,
    surroundings: &Value,
    event: &mut Event,
) {
    let workspace = event.workspace_id;
    event.recognise();
    let user = event
        .user_id
        .as_deref()
        .map(|id| Visitor::user(workspace, id));
    match kind {
        Kind::Alias => {
            let former = read.text("/previousId", message.previous_id);
            if former.is_none() {
                read.refuse("/previousId", "is missing");
            }
            match (former, user) {
                (Some(former), Some(user)) => {
                    event.anonymous_id = event.anonymous_id.take().or(Some(former.clone()));
                    let former = [
                        Visitor::anonymous(workspace, &former),
                        Visitor::user(workspace, &former),
                    ];
                    event.said = Some(Box::new(Said::Renamed { former, user }));
                }
                (_, None) => read.refuse("/userId", "is missing"),
                _ => {}
            }
        }
        _ if event.visitor.is_none() => {
            read.refuse("/userId", "is missing, and so is anonymousId");
        }
        Kind::Identify => {
            let anonymous = event.anonymous_id.as_deref();
            let email = facts.get("email");
            let email = email.or_else(|| surroundings.pointer("/traits/email"));
            event.said = Some(Box::new(Said::Identified {
                anonymous: anonymous.map(|id| Visitor::anonymous(workspace, id)),
                user,
                lead: None,
                email: email.and_then(parse::address),
            }));
        }
        _ => {}
    }
}

/// The person's browser or device, and whether a person it is. A server that tells of somebody
/// says nothing about either, and is believed.
fn by_whom(event: &mut Event, surroundings: &Value, origin: &Origin<'_>) {
    let told = text_at(surroundings, "/userAgent").or(origin.browser);
    let Some(user_agent) = told.map(|text| text.replace('\0', "")) else {
        return;
    };
    let user_agent: String = user_agent.chars().take(512).collect();
    event.device = device::class(&user_agent);
    let judgement = judge(&Facts {
        kind: HitKind::View,
        head: false,
        user_agent: &user_agent,
        announced_prefetch: false,
        data_centre: origin.data_centre,
        canary: false,
        since_issue: None,
    });
    (event.verdict, event.reasons) = (judgement.verdict, judgement.reasons);
    event.user_agent = Some(user_agent);
    event.ip = origin.address.map(str::to_owned);
    event.country = origin.country.map(str::to_owned);
}

#[cfg(test)]
#[path = "segment_tests.rs"]
mod tests;
