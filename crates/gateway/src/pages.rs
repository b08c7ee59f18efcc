//! What the gateway answers itself: where things are, health, metrics, and the documents.

use std::sync::Arc;

use actix_web::http::Method;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

use crate::error::Error;
use crate::gate::Gate;
use crate::{health, openapi};

/// Swagger UI runs its own scripts and styles, and asks us for the document.
const DOCS_POLICY: &str = "default-src 'none'; script-src 'self'; \
     style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(crate) async fn answer(gate: &Gate, request: &HttpRequest) -> Result<HttpResponse, Error> {
    let path = request.path();
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Err(if is_own(path) {
            Error::ReadOnly
        } else {
            Error::NoRoute
        });
    }
    match path {
        "/" => Ok(root(gate, request)),
        "/health" => Ok(health::parts(gate).await),
        "/health/live" => Ok(HttpResponse::Ok().json(json!({ "status": "ok" }))),
        "/health/ready" => Ok(health::ready(gate).await),
        "/metrics" => Ok(gate.shared.metrics.answer()),
        "/openapi.json" | "/api/v1/openapi.json" => openapi::document(gate).await,
        "/docs" => Ok(to_docs()),
        _ => match path.strip_prefix("/docs/") {
            Some(file) => docs(file),
            None => Err(Error::NoRoute),
        },
    }
}

fn is_own(path: &str) -> bool {
    let below = ["/health", "/docs"];
    matches!(
        path,
        "/" | "/metrics" | "/openapi.json" | "/api/v1/openapi.json"
    ) || below.iter().any(|own| path.starts_with(own))
}

fn to_docs() -> HttpResponse {
    HttpResponse::PermanentRedirect()
        .insert_header((header::LOCATION, "/docs/"))
        .finish()
}

/// A file of Swagger UI, which is compiled in: it works without the internet.
fn docs(file: &str) -> Result<HttpResponse, Error> {
    let config = utoipa_swagger_ui::Config::from("/api/v1/openapi.json");
    let found = utoipa_swagger_ui::serve(file, Arc::new(config));
    let file = found.ok().flatten().ok_or(Error::NoRoute)?;
    Ok(HttpResponse::Ok()
        .content_type(file.content_type)
        .insert_header((header::CONTENT_SECURITY_POLICY, DOCS_POLICY))
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .body(file.bytes.into_owned()))
}

/// Where things are, for a person or a program that only knows our address.
fn root(gate: &Gate, request: &HttpRequest) -> HttpResponse {
    let mut links = vec![
        ("Documentation of the API", "/docs/"),
        ("OpenAPI document", "/api/v1/openapi.json"),
        ("Health", "/health"),
        ("Metrics", "/metrics"),
    ];
    let mailbox = crate::routes::Part::Mailbox;
    if gate.shared.upstreams.parts().any(|part| part == mailbox) {
        links.push(("Mailbox: what was sent", "/mailbox"));
    }
    let accepts = request.headers().get(header::ACCEPT);
    let html = accepts
        .and_then(|value| HeaderValue::to_str(value).ok())
        .is_some_and(|value| value.contains("text/html"));
    if !html {
        let links: serde_json::Map<_, _> = links
            .into_iter()
            .map(|(name, path)| (name.to_owned(), json!(path)))
            .collect();
        return HttpResponse::Ok().json(json!({ "name": "Clarion", "links": links }));
    }
    let items: String = links
        .iter()
        .map(|(name, path)| format!("<li><a href=\"{path}\">{name}</a></li>"))
        .collect();
    HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .body(format!(
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width\"><title>Clarion</title>\
             <style>body{{font:16px/1.6 system-ui,sans-serif;max-width:40rem;margin:3rem auto;\
             padding:0 1rem}}</style><h1>Clarion</h1>\
             <p>Campaigns, leads, analytics and revenue in one stack.</p><ul>{items}</ul></html>"
        ))
}
