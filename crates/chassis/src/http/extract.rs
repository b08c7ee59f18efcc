//! Extractors that refuse what they cannot use, and name it.

use std::future::{Future, Ready, ready};
use std::ops::Deref;
use std::pin::Pin;

use actix_web::body::BoxBody;
use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::{FromRequest, HttpMessage, HttpRequest, HttpResponse, Responder, web};
use bytes::BytesMut;
use common::FieldError;
use futures::StreamExt;
use garde::Validate;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::InvalidInput;
use crate::idempotency::IdempotencyKey;

/// The largest JSON body a service takes, whatever the gateway lets through.
const DEFAULT_LIMIT: usize = 2 * 1024 * 1024;
const FORM: &str = "application/x-www-form-urlencoded";

/// A JSON body, deserialised strictly: unknown fields are refused by the types themselves, NUL
/// characters here, because Postgres cannot store them.
#[derive(Clone, Copy, Debug)]
pub struct Json<T>(pub T);

/// A JSON body that also passed its own rules (`garde`); every broken rule is named.
#[derive(Clone, Copy, Debug)]
pub struct Valid<T>(pub T);

impl<T> Json<T> {
    pub fn into_inner(self) -> T {
        self.0
    }
}

/// A handler may answer with what it may take.
impl<T: Serialize> Responder for Json<T> {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        HttpResponse::Ok().json(self.0)
    }
}

impl<T> Valid<T> {
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> Deref for Json<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> Deref for Valid<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// A body as it came, for a handler that parses it itself; up to the same size as [`Json`].
#[derive(Clone, Debug)]
pub struct Body(pub BytesMut);

type Extraction<T> = Pin<Box<dyn Future<Output = Result<T, InvalidInput>>>>;

impl FromRequest for Body {
    type Error = InvalidInput;
    type Future = Extraction<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (payload, announced) = (payload.take(), announced_length(request));
        Box::pin(async move { collect(payload, announced).await.map(Self) })
    }
}

impl<T: DeserializeOwned + 'static> FromRequest for Json<T> {
    type Error = InvalidInput;
    type Future = Extraction<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (payload, announced) = (payload.take(), announced_length(request));
        Box::pin(async move { parse_json(&collect(payload, announced).await?).map(Self) })
    }
}

impl<T: DeserializeOwned + Validate<Context = ()> + 'static> FromRequest for Valid<T> {
    type Error = InvalidInput;
    type Future = Extraction<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let body = Json::<T>::from_request(request, payload);
        Box::pin(async move {
            let Json(value) = body.await?;
            value.validate().map_err(|report| refused(&report))?;
            Ok(Self(value))
        })
    }
}

fn announced_length(request: &HttpRequest) -> Option<usize> {
    request
        .headers()
        .get("content-length")?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

/// Reads a body up to the limit; a larger one is refused before it is read, when it says so.
async fn collect(mut payload: Payload, announced: Option<usize>) -> Result<BytesMut, InvalidInput> {
    if announced.is_some_and(|length| length > DEFAULT_LIMIT) {
        return Err(too_large());
    }
    let mut body = BytesMut::with_capacity(announced.unwrap_or(1024));
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|error| malformed(format!("the body broke off: {error}")))?;
        if body.len() + chunk.len() > DEFAULT_LIMIT {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn too_large() -> InvalidInput {
    InvalidInput {
        status: StatusCode::PAYLOAD_TOO_LARGE,
        code: "body_too_large",
        fields: vec![FieldError::new(
            "",
            format!("the body is larger than {DEFAULT_LIMIT} bytes"),
        )],
    }
}

fn malformed(detail: String) -> InvalidInput {
    InvalidInput {
        status: StatusCode::BAD_REQUEST,
        code: "malformed_body",
        fields: vec![FieldError::new("", detail)],
    }
}

/// Reads JSON as [`Json`] does, for a handler that gets it in another way than as the body.
pub fn parse_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, InvalidInput> {
    if body.windows(6).any(|window| window == b"\\u0000") {
        let value: Value = parse_plain(body)?;
        let fields = nul_strings(&value, String::new());
        if !fields.is_empty() {
            return Err(InvalidInput::fields(fields));
        }
    }
    parse_plain(body)
}

fn parse_plain<T: DeserializeOwned>(body: &[u8]) -> Result<T, InvalidInput> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let pointer = pointer(error.path());
        match error.inner() {
            cause if cause.is_data() => InvalidInput::field(pointer, plain(cause)),
            cause if cause.to_string().starts_with("recursion limit") => {
                InvalidInput::field(pointer, "is nested too deeply")
            }
            cause => malformed(format!("the body is not JSON: {cause}")),
        }
    })?;
    json.end()
        .map_err(|cause| malformed(format!("the body is not JSON: {cause}")))?;
    Ok(value)
}

/// serde's sentence without its position, which means nothing to a person with a form.
fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ")
        .map_or(text.clone(), |(sentence, _)| sentence.to_owned())
}

/// A path in the body as a JSON pointer (RFC 6901).
fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    path.iter()
        .map(|segment| match segment {
            Segment::Seq { index } => format!("/{index}"),
            Segment::Map { key } => format!("/{}", escape(key)),
            Segment::Enum { variant } => format!("/{}", escape(variant)),
            Segment::Unknown => String::new(),
        })
        .collect()
}

fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

fn nul_strings(value: &Value, at: String) -> Vec<FieldError> {
    let nul = |text: &str| text.contains('\0');
    let refuse = |at: &str| FieldError::new(at, "must not contain a NUL character");
    match value {
        Value::String(text) if nul(text) => vec![refuse(&at)],
        Value::Array(items) => items
            .iter()
            .enumerate()
            .flat_map(|(index, item)| nul_strings(item, format!("{at}/{index}")))
            .collect(),
        Value::Object(members) => members
            .iter()
            .flat_map(|(key, item)| match nul(key) {
                true => vec![refuse(&at)],
                false => nul_strings(item, format!("{at}/{}", escape(key))),
            })
            .collect(),
        _ => Vec::new(),
    }
}

fn refused(report: &garde::Report) -> InvalidInput {
    let fields = report.iter().map(|(path, error)| {
        let path = path.to_string().replace('[', ".").replace(']', "");
        let pointer: String = path
            .split('.')
            .filter(|part| !part.is_empty())
            .map(|part| format!("/{part}"))
            .collect();
        FieldError::new(pointer, error.to_string())
    });
    let mut fields: Vec<_> = fields.collect();
    fields.sort_by(|a, b| a.pointer.cmp(&b.pointer));
    InvalidInput::fields(fields)
}

/// A query string; what is wrong with it is named.
#[derive(Clone, Copy, Debug)]
pub struct Query<T>(pub T);

impl<T> Query<T> {
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> Deref for Query<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: DeserializeOwned> FromRequest for Query<T> {
    type Error = InvalidInput;
    type Future = Ready<Result<Self, InvalidInput>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(pairs(request.query_string(), "query").map(Self))
    }
}

/// What a form of HTML sends without files (`application/x-www-form-urlencoded`).
#[derive(Clone, Copy, Debug)]
pub struct Form<T>(pub T);

impl<T> Form<T> {
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T: DeserializeOwned + 'static> FromRequest for Form<T> {
    type Error = InvalidInput;
    type Future = Extraction<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let is_form = request.content_type().eq_ignore_ascii_case(FORM);
        let (payload, announced) = (payload.take(), announced_length(request));
        Box::pin(async move {
            if !is_form {
                return Err(InvalidInput {
                    status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
                    code: "no_form",
                    fields: vec![FieldError::new(
                        "header/Content-Type",
                        format!("must be {FORM}"),
                    )],
                });
            }
            let body = collect(payload, announced).await?;
            let text = std::str::from_utf8(&body)
                .map_err(|_| malformed("the body is not UTF-8".to_owned()))?;
            pairs(text, "").map(Self)
        })
    }
}

/// Names and values of a query or a form; `place` is where an error says that they stand.
fn pairs<T: DeserializeOwned>(text: &str, place: &str) -> Result<T, InvalidInput> {
    if text.contains("%00") || text.contains('\0') {
        return Err(InvalidInput::field(
            place,
            "must not contain a NUL character",
        ));
    }
    let parsed = web::Query::<T>::from_query(text).map_err(|error| {
        let detail = error.to_string();
        let detail = detail
            .strip_prefix("Query deserialize error: ")
            .unwrap_or(&detail);
        InvalidInput::field(place, detail)
    });
    parsed.map(web::Query::into_inner)
}

/// An id in the path. What is not an id names nothing that exists.
#[derive(Clone, Copy, Debug)]
pub struct Path<T>(pub T);

impl<T> Path<T> {
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T: DeserializeOwned> FromRequest for Path<T> {
    type Error = InvalidInput;
    type Future = Ready<Result<Self, InvalidInput>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let mut nothing = Payload::None;
        let parsed = web::Path::<T>::from_request(request, &mut nothing).into_inner();
        ready(
            parsed
                .map(|path| Self(path.into_inner()))
                .map_err(|_| InvalidInput {
                    status: StatusCode::NOT_FOUND,
                    code: "not_found",
                    fields: vec![FieldError::new("path", "is not an id of anything")],
                }),
        )
    }
}

/// `If-Match` on an edit (RFC 9110 §13.1.1): the version the caller has seen. Absent: last wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IfMatch(pub Option<i64>);

impl FromRequest for IfMatch {
    type Error = InvalidInput;
    type Future = Ready<Result<Self, InvalidInput>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let Some(header) = request.headers().get("if-match") else {
            return ready(Ok(Self(None)));
        };
        let text = header.to_str().unwrap_or_default();
        let version = text.trim_matches('"').parse();
        ready(match (text, version) {
            ("*", _) => Ok(Self(None)),
            (_, Ok(version)) => Ok(Self(Some(version))),
            _ => Err(InvalidInput::field(
                "header/If-Match",
                "is not an ETag of this resource",
            )),
        })
    }
}

/// The request's `Idempotency-Key`, bound to its path and body.
pub fn idempotency_key(
    request: &HttpRequest,
    body: &impl serde::Serialize,
) -> Result<Option<IdempotencyKey>, InvalidInput> {
    let Some(header) = request.headers().get("idempotency-key") else {
        return Ok(None);
    };
    let key = header.to_str().unwrap_or_default();
    IdempotencyKey::new(key, request.path(), body).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize, Validate)]
    #[serde(deny_unknown_fields)]
    struct Body {
        #[garde(length(max = 3))]
        name: String,
        #[garde(inner(range(max = 9)))]
        items: Vec<u8>,
    }

    fn refusal(body: &str) -> InvalidInput {
        parse_json::<Body>(body.as_bytes()).expect_err(body)
    }

    #[test]
    fn the_field_is_named() {
        assert_eq!(
            refusal(r#"{"name": 7, "items": []}"#).fields[0].pointer,
            "/name"
        );
        assert_eq!(
            refusal(r#"{"name": "a", "items": [1, "x"]}"#).fields[0].pointer,
            "/items/1"
        );
        assert_eq!(
            refusal(r#"{"name": "a\u0000", "items": []}"#).fields[0].pointer,
            "/name"
        );
    }

    #[test]
    fn an_unknown_field_is_refused() {
        let error = refusal(r#"{"name": "a", "items": [], "admin": true}"#);
        assert!(error.fields[0].detail.contains("`admin`"), "{error}");
    }

    #[test]
    fn what_is_not_json_is_a_400() {
        for body in ["", "{", "{\"name\":\"a\",\"items\":[]} x", "\u{feff}"] {
            assert_eq!(refusal(body).status, StatusCode::BAD_REQUEST, "{body:?}");
        }
    }

    #[test]
    fn ten_thousand_levels_are_too_deep() {
        let body = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        let error = parse_json::<Value>(body.as_bytes()).expect_err("too deep");
        assert!(error.to_string().contains("nested too deeply"));
    }

    #[test]
    fn an_escaped_backslash_before_u0000_is_no_nul() {
        let body = r#"{"name": "\\u0", "items": []}"#.replace("u0", "u0000");
        let error = refusal_or_value(&body);
        assert!(error.is_ok(), "{error:?}");
    }

    fn refusal_or_value(body: &str) -> Result<Body, InvalidInput> {
        parse_json(body.as_bytes())
    }

    #[test]
    fn every_broken_rule_is_named() {
        let body: Body = parse_json(br#"{"name": "long", "items": [1, 10]}"#).expect("well-formed");
        let error = refused(&body.validate().expect_err("two rules are broken"));
        let pointers: Vec<_> = error
            .fields
            .iter()
            .map(|field| field.pointer.as_str())
            .collect();
        assert_eq!(pointers, ["/items/1", "/name"]);
    }
}
