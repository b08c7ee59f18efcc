//! What the gateway answers itself: where things are, health, metrics, and the documents.

use std::rc::Rc;
use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::http::{Method, header};
use serde_json::json;

use crate::error::Error;
use crate::gate::Gate;
use crate::request::Request;
use crate::{health, openapi, overview};

/// Swagger UI runs its own scripts and styles, and asks us for the document.
const DOCS_POLICY: &str = "default-src 'none'; script-src 'self'; \
     style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The answer to what is below no line of the table.
pub(crate) async fn answer(gate: &Rc<Gate>, request: &Request<'_>) -> Result<HttpResponse, Error> {
    let path = request.path();
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Err(if is_own(path) {
            Error::ReadOnly
        } else {
            Error::NoRoute
        });
    }
    match path {
        "/" if !wants_page(request) => Ok(root(gate)),
        "/health" if is_inside(gate, request) => Ok(health::parts(gate).await),
        "/health" => Ok(health::whole(gate).await),
        "/health/live" => Ok(HttpResponse::Ok().json(json!({ "status": "ok" }))),
        "/health/ready" => Ok(health::ready(gate).await),
        "/metrics" if is_inside(gate, request) => Ok(gate.shared.metrics.answer()),
        "/api/v1/overview" => overview::answer(gate, request).await,
        path if is_document(path) => documents(gate, path).await,
        _ => dashboard_at(gate, request),
    }
}

/// Whether a request comes from where figures are looked at; others find none.
fn is_inside(gate: &Gate, request: &Request<'_>) -> bool {
    gate.shared.inside.contain(request.from.address)
}

fn is_document(path: &str) -> bool {
    matches!(path, "/openapi.json" | "/api/v1/openapi.json" | "/docs") || path.starts_with("/docs/")
}

/// What the API says of itself, where the operator shows it.
async fn documents(gate: &Rc<Gate>, path: &str) -> Result<HttpResponse, Error> {
    if !gate.shared.docs {
        return Err(Error::NoRoute);
    }
    match path.strip_prefix("/docs") {
        None => openapi::document(gate).await,
        Some("") => Ok(to_docs()),
        Some(file) => docs(file.trim_start_matches('/')),
    }
}

fn is_own(path: &str) -> bool {
    let below = ["/health", "/docs"];
    matches!(
        path,
        "/" | "/metrics" | "/openapi.json" | "/api/v1/openapi.json" | "/api/v1/overview"
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

/// Whether somebody looks at us with a browser.
fn wants_page(request: &Request<'_>) -> bool {
    text(request, "accept").contains("text/html")
}

fn text<'a>(request: &Request<'a>, name: &str) -> &'a str {
    request.text(name).unwrap_or_default()
}

/// A file or a screen of the dashboard, or what stands in for it where it was not built.
fn dashboard_at(gate: &Gate, request: &Request<'_>) -> Result<HttpResponse, Error> {
    let encodings = text(request, "accept-encoding");
    let Some(file) = dashboard::find(request.path(), encodings) else {
        return match request.path() {
            "/" => Ok(without_dashboard(gate)),
            _ => Err(Error::NoRoute),
        };
    };
    let known = text(request, "if-none-match");
    let mut response = match known.split(',').any(|tag| tag.trim() == file.etag) {
        true => HttpResponse::NotModified(),
        false => HttpResponse::Ok(),
    };
    response
        .content_type(file.content_type)
        .insert_header((header::CACHE_CONTROL, file.cache_control))
        .insert_header((header::ETAG, file.etag))
        .insert_header((header::VARY, "accept, accept-encoding"));
    if let Some(encoding) = file.encoding {
        response.insert_header((header::CONTENT_ENCODING, encoding));
    }
    if let Some(policy) = file.policy {
        response.insert_header((header::CONTENT_SECURITY_POLICY, policy));
    }
    Ok(response.body(file.bytes.into_owned()))
}

fn links(gate: &Gate) -> Vec<(&'static str, &'static str)> {
    let mut links = Vec::new();
    if gate.shared.docs {
        links.push(("Documentation of the API", "/docs/"));
        links.push(("OpenAPI document", "/api/v1/openapi.json"));
    }
    links.push(("Health", "/health"));
    links.push(("Metrics", "/metrics"));
    if gate.view().table.pool("mailbox").is_some() {
        links.push(("Mailbox: what was sent", "/mailbox"));
    }
    links
}

/// Where things are, for a program that only knows our address.
fn root(gate: &Gate) -> HttpResponse {
    let links: serde_json::Map<_, _> = links(gate)
        .into_iter()
        .map(|(name, path)| (name.to_owned(), json!(path)))
        .collect();
    HttpResponse::Ok()
        .insert_header((header::VARY, "accept"))
        .json(json!({ "name": "Clarion", "links": links }))
}

/// The same for a person, where the dashboard was not built.
fn without_dashboard(gate: &Gate) -> HttpResponse {
    let items: String = links(gate)
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
             <p>This build has no dashboard: it was made without Node. The API is all here.</p>\
             <ul>{items}</ul></html>"
        ))
}
