//! `GET /t.js`: what a site embeds to send its page views.

use actix_web::{HttpRequest, HttpResponse, get};

/// The script, as it is sent.
const SCRIPT: &str = include_str!("t.js");

#[utoipa::path(
    tag = "analytics",
    operation_id = "analytics_snippet",
    security(()),
    responses((
        status = 200,
        description = "A script for `<script defer src=\"…/t.js\" data-key=\"wk_…\"></script>`. It sets a cookie with `data-cookie` only, and does nothing for whoever sends `Sec-GPC: 1`",
        content_type = "text/javascript", body = String,
    ))
)]
#[get("/t.js")]
pub(crate) async fn snippet(request: HttpRequest) -> HttpResponse {
    // Whoever does not want to be followed does not even get the script.
    let script = match opted_out(&request) {
        true => "/* Sec-GPC: nothing is sent. */",
        false => SCRIPT,
    };
    HttpResponse::Ok()
        .content_type("text/javascript; charset=utf-8")
        .insert_header(("cache-control", "public, max-age=3600"))
        .insert_header(("vary", "sec-gpc"))
        .insert_header(("x-content-type-options", "nosniff"))
        .body(script)
}

/// Global Privacy Control: <https://www.w3.org/TR/gpc/>.
fn opted_out(request: &HttpRequest) -> bool {
    let header = request.headers().get("sec-gpc");
    header.is_some_and(|value| value.as_bytes() == b"1")
}
