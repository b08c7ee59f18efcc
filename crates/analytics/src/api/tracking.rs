//! The links and pixels of mails: `GET /c/{token}` and `GET /o/{token}.gif`.
//!
//! A hit is recorded durably before it is answered. Whoever follows a link is sent on in any case:
//! while the database is away the hit waits in memory and is counted as late; when even that is
//! full it is counted as lost, and logged.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, route};
use chrono::{DateTime, Duration, Utc};
use common::token::{self, MailToken, Purpose};
use serde_json::json;

use super::{State, Visitor};
use crate::domain::device;
use crate::domain::event::{CANARY, CLICK, Event, OPEN, RawJson};
use crate::domain::utm::Utm;
use crate::domain::verdict::{Facts, HitKind, judge};
use crate::pipeline::Recorded;

/// A transparent GIF of one pixel.
const PIXEL: &[u8; 43] = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff\x21\xf9\x04\x01\x00\x00\x00\x00\x2c\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02\x44\x01\x00\x3b";

/// What a hit weighs in the queue besides its texts.
const HIT_BYTES: usize = 512;

/// Where a bad link leads. It says no more than that it is bad.
const BAD_LINK: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
<meta name=\"viewport\" content=\"width=device-width\"><meta name=\"robots\" content=\"noindex\">\
<title>This link is not valid</title>\
<body style=\"font-family:system-ui;max-width:32rem;margin:20vh auto;padding:0 1rem\">\
<h1>This link is not valid</h1><p>It may be incomplete or too old. Please open the mail again \
and follow the link there.</p></body></html>";

/// Where the link leads that nobody sees: whoever is here is no person.
const NOTHING_HERE: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
<meta name=\"robots\" content=\"noindex\"><title>Nothing here</title>\
<p>There is nothing to see here.</p></html>";

#[utoipa::path(
    get,
    tag = "analytics",
    operation_id = "analytics_click",
    params(("token" = String, Path, description = "The signed token of a link")),
    responses(
        (status = 302, description = "On to the link's destination"),
        (status = 200, description = "An empty page: of the link that nobody sees"),
        (status = 404, description = "A page that says that the link is not valid"),
    )
)]
#[route("/c/{token}", method = "GET", method = "HEAD")]
pub(crate) async fn click(
    state: Data<State>,
    request: HttpRequest,
    token: Path<String>,
) -> HttpResponse {
    let token = state.open_token(Purpose::Click, &token);
    if let Some(token) = token.as_ref().filter(|token| token.link == token::CANARY) {
        state.record(Hit::Canary, &request, token.clone()).await;
        return nothing_here();
    }
    let Some((token, destination)) = token.and_then(|token| {
        let destination = destination(&token.url)?;
        Some((token, destination))
    }) else {
        return bad_link();
    };
    state.record(Hit::Click, &request, token).await;
    HttpResponse::Found()
        .insert_header(("location", destination))
        .insert_header(("cache-control", "no-store"))
        .insert_header(("referrer-policy", "no-referrer"))
        .insert_header(("x-robots-tag", "noindex"))
        .finish()
}

#[utoipa::path(
    get,
    tag = "analytics",
    operation_id = "analytics_open",
    params(("token" = String, Path, description = "The signed token of a mail")),
    responses((status = 200, description = "One transparent pixel", content_type = "image/gif"))
)]
#[route("/o/{token}.gif", method = "GET", method = "HEAD")]
pub(crate) async fn open(
    state: Data<State>,
    request: HttpRequest,
    token: Path<String>,
) -> HttpResponse {
    if let Some(token) = state.open_token(Purpose::Open, &token) {
        state.record(Hit::Open, &request, token).await;
    }
    HttpResponse::Ok()
        .content_type("image/gif")
        .insert_header(("cache-control", "no-store"))
        .insert_header(("x-content-type-options", "nosniff"))
        .body(&PIXEL[..])
}

fn bad_link() -> HttpResponse {
    page(HttpResponse::NotFound(), BAD_LINK)
}

fn nothing_here() -> HttpResponse {
    page(HttpResponse::Ok(), NOTHING_HERE)
}

fn page(mut answer: HttpResponseBuilder, text: &'static str) -> HttpResponse {
    answer
        .content_type("text/html; charset=utf-8")
        .insert_header(("cache-control", "no-store"))
        .insert_header((
            "content-security-policy",
            "default-src 'none'; style-src 'unsafe-inline'",
        ))
        .insert_header(("x-content-type-options", "nosniff"))
        .insert_header(("x-robots-tag", "noindex"))
        .body(text)
}

/// What was followed or loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hit {
    Click,
    Open,
    /// The link that nobody sees.
    Canary,
}

impl Hit {
    /// The type of its event.
    fn name(self) -> &'static str {
        match self {
            Self::Click => CLICK,
            Self::Open => OPEN,
            Self::Canary => CANARY,
        }
    }

    fn kind(self) -> HitKind {
        match self {
            Self::Click | Self::Canary => HitKind::Click,
            Self::Open => HitKind::Open,
        }
    }
}

/// A destination as a header can carry it. What is ASCII stays byte for byte; other characters
/// are written as URLs write them. Only schemes that leave the browser in charge are followed.
fn destination(url: &str) -> Option<String> {
    const SCHEMES: [&str; 5] = ["http:", "https:", "mailto:", "tel:", "sms:"];
    let scheme = url.split_once(':')?.0.to_ascii_lowercase() + ":";
    if !SCHEMES.contains(&scheme.as_str()) || url.chars().any(|c| c.is_control()) {
        return None;
    }
    if url.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Some(url.to_owned());
    }
    url::Url::parse(url).ok().map(String::from)
}

impl State {
    /// The token, if it is genuine, for this purpose, and not too old.
    fn open_token(&self, purpose: Purpose, text: &str) -> Option<MailToken> {
        let token = self.keyring.open(purpose, text).ok()?;
        let age = self.host.clock.now() - token.issued_at;
        (age <= Duration::days(self.link_days)).then_some(token)
    }

    /// Records a hit: durably when this returns, unless it is counted as late or lost.
    async fn record(&self, hit: Hit, request: &HttpRequest, token: MailToken) {
        let visitor = Visitor::of(request, &self.data_centres);
        let now = self.host.clock.now();
        let judgement = judge(&Facts {
            canary: hit == Hit::Canary,
            ..visitor.facts(hit.kind(), Some(token.issued_at), now)
        });
        let name = hit.name();
        let verdict = judgement.verdict.as_str();
        self.counters.hits.with_label_values(&[name, verdict]).inc();
        let message = token.message_id;
        let event = self.hit(hit, &visitor, token, now).judged(judgement);
        let bytes = HIT_BYTES + event.url.as_ref().map_or(0, String::len);
        match self.pipeline.hits.record(event, bytes).await {
            Ok(Recorded::Durably) => {}
            Ok(Recorded::Later) => self.counters.hits_late.with_label_values(&[name]).inc(),
            Err(why) => {
                self.counters.hits_lost.with_label_values(&[name]).inc();
                tracing::error!(message.id = %message, kind = name, %why, "a hit was answered but not recorded");
            }
        }
    }

    fn hit(&self, hit: Hit, visitor: &Visitor, token: MailToken, now: DateTime<Utc>) -> Event {
        let mut event = Event::new(token.workspace_id, hit.name(), now);
        event.campaign_id = token.campaign_id;
        event.lead_id = token.lead_id;
        event.message_id = Some(token.message_id);
        if hit != Hit::Open {
            event.link = Some(token.link.into());
        }
        if hit == Hit::Click {
            event.url = Some(token.url);
        }
        // Postgres takes no NUL, and a header may hold one only in theory.
        let user_agent = visitor.user_agent.replace('\0', "");
        event.user_agent = Some(user_agent).filter(|text| !text.is_empty());
        event.ip = self
            .address
            .keep(&visitor.address, now.date_naive(), &self.salt);
        let mut facts = json!({
            "head": visitor.head,
            "prefetch": visitor.announced_prefetch,
            "since_issue_ms": (now - token.issued_at).num_milliseconds(),
        });
        if visitor.data_centre {
            facts["data_centre"] = true.into();
        }
        event.properties = Some(RawJson(facts.to_string()));
        event.device = device::class(&visitor.user_agent);
        event.country = self.countries.of(&visitor.address);
        if let Some(url) = &event.url {
            event.came_by(Utm::of_url(url));
        }
        event.recognise();
        event
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ascii_destinations_stay_byte_for_byte() {
        for url in [
            "https://a.example/b?c=d&e=%C3%A9#f|g",
            "HTTPS://A.example",
            "mailto:ada@example.com?subject=Hi",
            "http://a.example/{{x}}",
        ] {
            assert_eq!(destination(url).as_deref(), Some(url));
        }
    }

    #[test]
    fn other_characters_are_written_as_in_urls() {
        let written = destination("https://müller.example/ä b?q=ü#ö");
        assert_eq!(
            written.as_deref(),
            Some("https://xn--mller-kva.example/%C3%A4%20b?q=%C3%BC#%C3%B6")
        );
    }

    #[test]
    fn what_is_no_destination_leads_nowhere() {
        for url in [
            "",
            "a.example",
            "javascript:alert(1)",
            "data:text/html,x",
            "https://a.example/\r\nSet-Cookie: x=1",
            "https://a.example/\u{85}",
        ] {
            assert_eq!(destination(url), None, "{url:?}");
        }
    }
}
