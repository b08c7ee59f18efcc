//! The body of `POST /api/v1/messages`: JSON, or a form with files, which go into Postgres as they
//! arrive.

use actix_multipart::{Field, Multipart, MultipartError};
use actix_web::http::StatusCode;
use actix_web::http::header::ContentDisposition;
use actix_web::{FromRequest, HttpRequest, web};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chassis::InvalidInput;
use chassis::http::{Json, parse_json};
use common::FieldError;
use futures::StreamExt;
use serde::Deserialize;
use utoipa::ToSchema;

use super::transactional::NewMessage;
use crate::Error;
use crate::attachments::Incoming;
use crate::domain::attachment::Label;

/// The largest `message` of a form, in bytes; as large as a body of JSON may be.
const MAX_MESSAGE: usize = 2 << 20;

/// A file in the message itself.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = notifications::InlineAttachment)]
pub(crate) struct InlineAttachment {
    /// A name without a path, in one line.
    filename: String,
    /// `application/octet-stream` when absent.
    #[serde(default)]
    content_type: Option<String>,
    /// In base64.
    content: String,
}

/// A message with files, in this order or another.
#[derive(Debug, ToSchema)]
#[schema(as = notifications::MessageForm)]
#[expect(dead_code, reason = "describes a multipart body in the API's document")]
pub(crate) struct MessageForm {
    message: NewMessage,
    /// As many as there are files, each with a file name and a content type.
    #[schema(value_type = Vec<String>, format = "binary")]
    attachment: Vec<String>,
}

/// Reads what a request asks for; its files are taken in by then.
pub(crate) async fn read(
    request: &HttpRequest,
    body: web::Payload,
    incoming: &mut Incoming,
) -> Result<NewMessage, Error> {
    let mut message = match is_form(request) {
        true => form(Multipart::new(request.headers(), body), incoming).await?,
        false => {
            let mut body = body.into_inner();
            Json::<NewMessage>::from_request(request, &mut body)
                .await?
                .0
        }
    };
    for file in std::mem::take(&mut message.attachments) {
        inline(file, incoming).await?;
    }
    Ok(message)
}

fn is_form(request: &HttpRequest) -> bool {
    let header = request.headers().get("content-type");
    let header = header.and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = header.split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("multipart/form-data")
}

async fn inline(file: InlineAttachment, incoming: &mut Incoming) -> Result<(), Error> {
    let index = incoming.count();
    let label = Label::new(&file.filename, file.content_type.as_deref(), index)?;
    let content = STANDARD.decode(&file.content).map_err(|_| {
        InvalidInput::field(format!("/attachments/{index}/content"), "is not base64")
    })?;
    incoming.begin(label).await?;
    incoming.write(&content).await?;
    incoming.end().await
}

async fn form(mut form: Multipart, incoming: &mut Incoming) -> Result<NewMessage, Error> {
    let mut message = None;
    while let Some(field) = form.next().await {
        let mut field = field.map_err(malformed)?;
        let name = field.name().unwrap_or_default().to_owned();
        match name.as_str() {
            "attachment" => file(&mut field, incoming).await?,
            "message" if message.is_none() => {
                let text = field.bytes(MAX_MESSAGE).await;
                let text = text.map_err(|_| InvalidInput {
                    status: StatusCode::PAYLOAD_TOO_LARGE,
                    code: "body_too_large",
                    fields: vec![FieldError::new(
                        "message",
                        format!("is larger than {MAX_MESSAGE} bytes"),
                    )],
                })?;
                message = Some(parse_json(&text.map_err(malformed)?)?);
            }
            "message" => return Err(InvalidInput::field("message", "appears twice").into()),
            name => return Err(InvalidInput::field(name, "is not expected here").into()),
        }
    }
    Ok(message.ok_or_else(|| InvalidInput::field("message", "is missing"))?)
}

async fn file(field: &mut Field, incoming: &mut Incoming) -> Result<(), Error> {
    let filename = field.content_disposition().and_then(filename);
    let content_type = field.content_type().map(ToString::to_string);
    let label = Label::new(
        &filename.unwrap_or_default(),
        content_type.as_deref(),
        incoming.count(),
    )?;
    incoming.begin(label).await?;
    while let Some(bytes) = field.next().await {
        incoming.write(&bytes.map_err(malformed)?).await?;
    }
    incoming.end().await
}

/// The name as its sender spelled it; one that says its charset goes before one that does not.
fn filename(disposition: &ContentDisposition) -> Option<String> {
    let extended = disposition.get_filename_ext();
    let extended = extended.and_then(|name| String::from_utf8(name.value.clone()).ok());
    extended.or_else(|| disposition.get_filename().map(str::to_owned))
}

fn malformed(error: MultipartError) -> InvalidInput {
    InvalidInput {
        status: StatusCode::BAD_REQUEST,
        code: "malformed_body",
        fields: vec![FieldError::new(
            "",
            format!("the form cannot be read: {error}"),
        )],
    }
}
