use actix_web::{
    Error, HttpResponse,
    error::InternalError,
    http::{StatusCode, header::CONTENT_TYPE},
};
use serde_json::json;

/// The request cannot be understood.
pub(super) fn bad(cause: &dyn std::fmt::Display) -> Error {
    refuse(StatusCode::BAD_REQUEST, "bad_request", &cause.to_string())
}

pub(super) fn unknown_mail() -> Error {
    refuse(
        StatusCode::NOT_FOUND,
        "mail_not_found",
        "there is no such mail",
    )
}

pub(super) fn no_html() -> Error {
    refuse(
        StatusCode::NOT_FOUND,
        "no_html",
        "this mail has no HTML part",
    )
}

/// Something failed on this side; the cause goes to the log.
pub(super) fn broken(cause: &dyn std::fmt::Display) -> Error {
    tracing::error!(error = %cause, "the mailbox could not answer");
    let detail = "something went wrong on our side";
    refuse(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
}

fn refuse(status: StatusCode, code: &str, detail: &str) -> Error {
    let title = status.canonical_reason().unwrap_or_default();
    let body = json!({
        "type": "about:blank",
        "title": title,
        "status": status.as_u16(),
        "code": code,
        "detail": detail,
    });
    let response = HttpResponse::build(status)
        .insert_header((CONTENT_TYPE, "application/problem+json"))
        .body(body.to_string());
    InternalError::from_response(detail.to_owned(), response).into()
}
