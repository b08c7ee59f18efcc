use actix_web::{
    Error, HttpResponse,
    http::header,
    web::{Data, Path, block},
};
use uuid::Uuid;

use super::{
    html::{Text, page},
    json, problem,
};
use crate::{Attachment, Handle, Mail};

/// What the HTML of a mail may do: be looked at. It loads nothing from anywhere, so that looking
/// at a mail here does not count as an open.
const HTML_POLICY: &str =
    "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'; frame-ancestors 'self'";

/// `GET /mailbox/{id}`
pub(super) async fn show(handle: Data<Handle>, id: Path<Uuid>) -> Result<HttpResponse, Error> {
    let mail = json::open(&handle, id.into_inner()).await?;
    let title = mail.summary.subject.as_deref().unwrap_or("(no subject)");
    Ok(page(title, &body(&mail, title)))
}

/// `GET /mailbox/{id}/html`
pub(super) async fn html_part(handle: Data<Handle>, id: Path<Uuid>) -> Result<HttpResponse, Error> {
    let mail = json::open(&handle, id.into_inner()).await?;
    let html = mail.html.ok_or_else(problem::no_html)?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_SECURITY_POLICY, HTML_POLICY))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::X_FRAME_OPTIONS, "SAMEORIGIN"))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .content_type("text/html; charset=utf-8")
        .body(html))
}

/// `GET /mailbox/{id}/raw`
pub(super) async fn raw(handle: Data<Handle>, id: Path<Uuid>) -> Result<HttpResponse, Error> {
    let id = id.into_inner();
    let read = block(move || handle.raw(id))
        .await
        .map_err(|error| problem::broken(&error))?;
    let raw = read
        .map_err(|error| problem::broken(&error))?
        .ok_or_else(problem::unknown_mail)?;
    Ok(HttpResponse::Ok()
        .insert_header((
            header::CONTENT_SECURITY_POLICY,
            "sandbox; default-src 'none'",
        ))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .content_type("text/plain; charset=utf-8")
        .body(raw))
}

fn body(mail: &Mail, title: &str) -> String {
    let id = mail.summary.id;
    format!(
        "<header><h1><a href=\"/mailbox\">Mailbox</a></h1>\
         <p class=\"count\"><a href=\"/mailbox/{id}/raw\">Source</a> \
         <a href=\"/mailbox/messages/{id}.json\">JSON</a></p></header>\
         <main class=\"mail\"><h2>{title}</h2>{facts}{html}{text}{links}{attachments}{headers}</main>",
        title = Text(title),
        facts = facts(mail),
        html = frame(mail),
        text = text(mail),
        links = links(&mail.links),
        attachments = attachments(&mail.attachments),
        headers = headers(&mail.headers),
    )
}

fn facts(mail: &Mail) -> String {
    let summary = &mail.summary;
    let sender = if summary.mail_from.is_empty() {
        "<>"
    } else {
        &summary.mail_from
    };
    let rows = [
        ("From", summary.from.clone().unwrap_or_default()),
        ("To", summary.to.clone().unwrap_or_default()),
        (
            "Envelope",
            format!("{sender} → {}", summary.rcpt_to.join(", ")),
        ),
        (
            "Received",
            summary
                .received_at
                .format("%Y-%m-%d %H:%M:%S UTC")
                .to_string(),
        ),
        ("Size", format!("{} octets", summary.size)),
    ];
    let rows = rows
        .iter()
        .map(|(name, value)| format!("<dt>{name}</dt><dd>{}</dd>", Text(value)));
    format!("<dl>{}</dl>", rows.collect::<String>())
}

fn frame(mail: &Mail) -> String {
    if mail.html.is_none() {
        return String::new();
    }
    let id = mail.summary.id;
    format!(
        "<h3>HTML</h3><iframe sandbox=\"\" title=\"HTML of this mail\" referrerpolicy=\"no-referrer\" \
         src=\"/mailbox/{id}/html\"></iframe>"
    )
}

fn text(mail: &Mail) -> String {
    match &mail.text {
        Some(text) => format!("<h3>Text</h3><pre>{}</pre>", Text(text)),
        None => String::new(),
    }
}

/// The links of the HTML part, to be followed from here: in the frame they lead nowhere.
fn links(links: &[String]) -> String {
    let web = |link: &&String| {
        let link = link.to_ascii_lowercase();
        link.starts_with("http://") || link.starts_with("https://")
    };
    let items: String = links
        .iter()
        .filter(web)
        .map(|link| {
            let link = Text(link);
            format!("<li><a href=\"{link}\" target=\"_blank\" rel=\"noopener noreferrer\">{link}</a></li>")
        })
        .collect();
    section("Links", &items)
}

fn attachments(attachments: &[Attachment]) -> String {
    let items: String = attachments
        .iter()
        .map(|attachment| {
            let name = Text(attachment.name.as_deref().unwrap_or("(no name)"));
            let kind = Text(&attachment.content_type);
            format!(
                "<li>{name} <span class=\"more\">{kind}, {} octets</span></li>",
                attachment.size
            )
        })
        .collect();
    section("Attachments", &items)
}

fn section(title: &str, items: &str) -> String {
    if items.is_empty() {
        String::new()
    } else {
        format!("<h3>{title}</h3><ul>{items}</ul>")
    }
}

fn headers(headers: &[(String, String)]) -> String {
    let rows: String = headers
        .iter()
        .map(|(name, value)| format!("<tr><th>{}</th><td>{}</td></tr>", Text(name), Text(value)))
        .collect();
    format!("<details><summary>Headers</summary><table class=\"headers\">{rows}</table></details>")
}
