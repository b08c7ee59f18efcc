//! Segment's HTTP API, for its libraries as they are: `/v1/{identify,track,page,screen,group,
//! alias,batch,import}`, the browser's one-letter paths, and a project's settings.
//!
//! What was answered with success is committed, as everywhere here. Errors are what these
//! libraries read: `{"code", "message"}`.

use std::pin::Pin;
use std::sync::Arc;

use actix_web::dev::{Decompress, Payload};
use actix_web::http::StatusCode;
use actix_web::web::{Bytes, Data, ServiceConfig};
use actix_web::{FromRequest, HttpRequest, HttpResponse, web};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;
use chassis::Fault;
use futures::StreamExt;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::State;
use super::ingest::{RejectedView, store};
use crate::domain::address;
use crate::domain::parse::Refused;
use crate::domain::segment::{self, Kind, Origin, Unusable};
use crate::domain::write_key::WriteKey;
use crate::error::Error;
use crate::pipeline::Receipt;

/// The largest body, unpacked.
const MAX_BODY: usize = 2 * 1024 * 1024;

/// What was taken. Libraries look at the status only.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = analytics::SegmentReceipt)]
pub struct SegmentReceipt {
    pub success: bool,
    pub accepted: usize,
    pub duplicates: usize,
    /// Messages that cannot be taken; the others were.
    pub rejected: Vec<RejectedView>,
}

/// How these paths say no.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = analytics::SegmentError)]
pub struct SegmentError {
    pub code: String,
    pub message: String,
}

/// Why a request was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("the body is larger than {MAX_BODY} bytes")]
    TooLarge,
    #[error("the body broke off or cannot be unpacked")]
    Broken,
    #[error("this Content-Encoding is not known here; use gzip")]
    Encoding,
    #[error(transparent)]
    Unusable(#[from] Unusable),
    #[error("{0}")]
    Invalid(String),
    #[error("a write key is missing: send it as the user name of basic auth, or as `writeKey`")]
    NoKey,
    #[error("the write key is not valid")]
    BadKey,
    #[error("pages of this origin may not send with this write key")]
    BadOrigin,
    #[error(transparent)]
    Fault(#[from] Error),
}

impl Refusal {
    fn kind(&self) -> (StatusCode, &'static str) {
        match self {
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"),
            Self::Broken => (StatusCode::BAD_REQUEST, "malformed_body"),
            Self::Encoding => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_encoding"),
            Self::Unusable(_) => (StatusCode::BAD_REQUEST, "malformed_body"),
            Self::Invalid(_) => (StatusCode::BAD_REQUEST, "invalid_event"),
            Self::NoKey => (StatusCode::UNAUTHORIZED, "write_key_missing"),
            Self::BadKey => (StatusCode::UNAUTHORIZED, "write_key_invalid"),
            Self::BadOrigin => (StatusCode::FORBIDDEN, "origin_not_allowed"),
            Self::Fault(error) => error.kind(),
        }
    }
}

impl actix_web::ResponseError for Refusal {
    fn status_code(&self) -> StatusCode {
        self.kind().0
    }

    fn error_response(&self) -> HttpResponse {
        let (status, code) = self.kind();
        let mut response = HttpResponse::build(status);
        if let Self::Fault(error) = self {
            if status.is_server_error() {
                tracing::error!(%error, "messages could not be taken");
            }
            if let Some(seconds) = error.retry_after_s() {
                response.insert_header(("retry-after", seconds.to_string()));
            }
        }
        response.json(SegmentError {
            code: code.to_owned(),
            message: self.to_string(),
        })
    }
}

/// A body, unpacked.
#[derive(Debug)]
pub(crate) struct Unpacked(BytesMut);

impl FromRequest for Unpacked {
    type Error = Refusal;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Refusal>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let known = match request.headers().get("content-encoding") {
            None => true,
            Some(name) => [&b"gzip"[..], b"x-gzip", b"deflate", b"identity", b""]
                .contains(&name.as_bytes().to_ascii_lowercase().as_slice()),
        };
        let stream = Decompress::from_headers(payload.take(), request.headers());
        Box::pin(async move {
            match known {
                true => collect(stream).await.map(Self),
                false => Err(Refusal::Encoding),
            }
        })
    }
}

/// Gathers a body up to the limit, however small it was packed.
async fn collect(
    mut stream: impl futures::Stream<Item = Result<Bytes, actix_web::error::PayloadError>> + Unpin,
) -> Result<BytesMut, Refusal> {
    let mut body = BytesMut::new();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|_| Refusal::Broken)?;
        if body.len() + chunk.len() > MAX_BODY {
            return Err(Refusal::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// What a path takes.
#[derive(Clone, Copy, Debug)]
enum Takes {
    One(Kind),
    Batch,
}

/// Adds the paths, each with its letter.
pub(crate) fn routes(config: &mut ServiceConfig) {
    let paths = [
        (["identify", "i"], Takes::One(Kind::Identify)),
        (["track", "t"], Takes::One(Kind::Track)),
        (["page", "p"], Takes::One(Kind::Page)),
        (["screen", "s"], Takes::One(Kind::Screen)),
        (["group", "g"], Takes::One(Kind::Group)),
        (["alias", "a"], Takes::One(Kind::Alias)),
        (["batch", "b"], Takes::Batch),
        (["import", "import"], Takes::Batch),
    ];
    for (names, takes) in paths {
        for name in names {
            let handler = move |state: Data<State>, request: HttpRequest, body: Unpacked| async move {
                take(&state, &request, &body, takes).await
            };
            config.route(&format!("/v1/{name}"), web::post().to(handler));
        }
    }
    config.route("/v1/projects/{write_key}/settings", web::get().to(settings));
}

async fn take(
    state: &State,
    request: &HttpRequest,
    body: &Unpacked,
    takes: Takes,
) -> Result<HttpResponse, Refusal> {
    let text =
        std::str::from_utf8(&body.0).map_err(|_| Unusable::NotJson("it is not UTF-8".into()))?;
    // The key may be in the body, but whoever has one need not send JSON to be told of another.
    let of_header = key_of_header(request);
    let envelope = segment::envelope(text, matches!(takes, Takes::Batch))?;
    let key = of_header.or_else(|| envelope.write_key.as_deref().map(str::to_owned));
    let key = key_for(state, request, &key.ok_or(Refusal::NoKey)?).await?;
    let browser = browser(request);
    let now = state.host.clock.now();
    let forwarded = header(request, "x-forwarded-for").unwrap_or_default();
    let (address, day) = (super::address(request, forwarded), now.date_naive());
    let kept = browser
        .as_ref()
        .and_then(|_| state.address.keep(&address, day, &state.salt));
    let country = browser.as_ref().and_then(|_| state.countries.of(&address));
    let visitor_of_day = browser.as_ref().map(|user_agent| {
        let who = format!("{} {address} {user_agent}", key.workspace_id);
        address::visitor_of_day(&who, day, &state.salt)
    });
    let origin = Origin {
        workspace: key.workspace_id,
        source: key.id,
        now,
        browser: browser.as_deref(),
        address: kept.as_deref(),
        country: country.as_deref(),
        data_centre: browser.is_some() && state.data_centres.contain_text(&address),
        visitor_of_day: visitor_of_day.as_deref(),
    };
    let kind = match takes {
        Takes::One(kind) => Some(kind),
        Takes::Batch => None,
    };
    let parsed = envelope.events(kind, &origin);
    let rejected: Vec<_> = parsed
        .rejected
        .iter()
        .map(|refused| rejected(&envelope, refused))
        .collect();
    if parsed.events.is_empty()
        && let Some(first) = rejected.first()
    {
        state.count(Receipt::default(), rejected.len());
        return Err(Refusal::Invalid(first.detail.clone()));
    }
    let receipt = match parsed.events.is_empty() {
        true => Receipt::default(),
        false => store(state, parsed.events, body.0.len())
            .await
            .map_err(Error::from)?,
    };
    state.count(receipt, rejected.len());
    Ok(HttpResponse::Ok().json(SegmentReceipt {
        success: true,
        accepted: receipt.accepted,
        duplicates: receipt.duplicates,
        rejected,
    }))
}

fn rejected(envelope: &segment::Envelope<'_>, refused: &Refused) -> RejectedView {
    RejectedView {
        index: refused.index,
        code: "invalid_event".into(),
        detail: envelope.detail(refused),
    }
}

fn header<'a>(request: &'a HttpRequest, name: &str) -> Option<&'a str> {
    request.headers().get(name)?.to_str().ok()
}

/// The user name of basic auth (RFC 7617); libraries send no password.
fn key_of_header(request: &HttpRequest) -> Option<String> {
    let (scheme, value) = header(request, "authorization")?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(value.trim()).ok()?).ok()?;
    let key = decoded.split(':').next()?.to_owned();
    Some(key).filter(|key| !key.is_empty())
}

/// The key, if it is good and the page that sends may use it.
async fn key_for(
    state: &State,
    request: &HttpRequest,
    text: &str,
) -> Result<Arc<WriteKey>, Refusal> {
    let key = state.keys.find(&state.host, text).await?;
    let key = key.ok_or(Refusal::BadKey)?;
    match key.allows(header(request, "origin")) {
        true => Ok(key),
        false => Err(Refusal::BadOrigin),
    }
}

/// The user agent, where a person's browser sends for itself: it says from which page.
fn browser(request: &HttpRequest) -> Option<String> {
    header(request, "origin")?;
    let name = header(request, "user-agent").unwrap_or_default();
    Some(name.to_owned())
}

/// `GET /v1/projects/{write_key}/settings`: where a library of a browser or a phone sends to.
async fn settings(
    state: Data<State>,
    request: HttpRequest,
    key: web::Path<String>,
) -> Result<HttpResponse, Refusal> {
    let key = key_for(&state, &request, &key).await?;
    let host = state.public_host();
    Ok(HttpResponse::Ok()
        .insert_header(("cache-control", "public, max-age=60"))
        .json(json!({
            "integrations": { "Segment.io": {
                "apiKey": key.key,
                "apiHost": format!("{host}/v1"),
                "protocol": state.public_scheme(),
                "unbundledIntegrations": [],
                "addBundledMetadata": true,
                "maybeBundledConfigIds": {},
                "versionSettings": { "version": "4.4.7", "componentTypes": ["browser"] },
            }},
            "plan": {
                "track": { "__default": { "enabled": true, "integrations": {} } },
                "identify": { "__default": { "enabled": true } },
                "group": { "__default": { "enabled": true } },
            },
            "edgeFunction": {},
            "analyticsNextEnabled": true,
            "middlewareSettings": {},
            "enabledMiddleware": {},
            "metrics": { "sampleRate": 0 },
            "legacyVideoPluginsEnabled": false,
            "remotePlugins": [],
        })))
}

/// What the paths are documented by: they share their handler.
pub(crate) mod document {
    #![expect(dead_code, reason = "these functions only carry documentation")]

    use super::{SegmentError, SegmentReceipt};

    macro_rules! documented {
        ($($name:ident = $path:literal, $id:literal, $what:literal;)+) => {$(
            #[utoipa::path(
                post, path = $path, tag = "analytics", operation_id = $id, description = $what,
                security(("write_key" = [])),
                request_body(content = Object, content_type = "application/json"),
                responses(
                    (status = 200, description = "Everything but what is in `rejected` is stored durably", body = SegmentReceipt),
                    (status = 400, description = "Nothing of it can be taken", body = SegmentError),
                    (status = 401, description = "The write key is missing, unknown or revoked", body = SegmentError),
                    (status = 403, description = "The page's origin may not use this key", body = SegmentError),
                    (status = 413, description = "The body is too large", body = SegmentError),
                    (status = 429, description = "Too much is waiting; nothing was taken", body = SegmentError),
                    (status = 503, description = "The database is away", body = SegmentError),
                )
            )]
            pub(crate) fn $name() {}
        )+};
    }

    documented! {
        identify = "/v1/identify", "analytics_segment_identify", "Who somebody is. Also `/v1/i`.";
        track = "/v1/track", "analytics_segment_track", "Something that somebody did. Also `/v1/t`.";
        page = "/v1/page", "analytics_segment_page", "A page that somebody saw. Also `/v1/p`.";
        screen = "/v1/screen", "analytics_segment_screen", "A screen of an app that somebody saw. Also `/v1/s`.";
        group = "/v1/group", "analytics_segment_group", "What somebody belongs to. Also `/v1/g`.";
        alias = "/v1/alias", "analytics_segment_alias", "That two ids are one person. Also `/v1/a`.";
        batch = "/v1/batch", "analytics_segment_batch", "Messages of any kind. Also `/v1/b`.";
        import = "/v1/import", "analytics_segment_import", "Messages of the past.";
    }

    #[utoipa::path(
        get, path = "/v1/projects/{write_key}/settings", tag = "analytics",
        operation_id = "analytics_segment_settings",
        description = "What a library of a browser or a phone asks for before it sends.",
        security(()),
        params(("write_key" = String, Path, description = "The write key")),
        responses(
            (status = 200, description = "Where to send to", body = Object),
            (status = 401, description = "The write key is unknown or revoked", body = SegmentError),
            (status = 403, description = "The page's origin may not use this key", body = SegmentError),
        )
    )]
    pub(crate) fn settings() {}
}
