//! `GET /v/{token}`: a mail, shown in a browser.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use common::token::MailToken;

use crate::delivery::{Letter, Links};
use crate::store::claims::{Claimed, Kind};
use crate::store::messages::{self, Message};
use crate::store::moves::Held;
use crate::store::{campaigns, people, snapshots};
use crate::{AppState, Error};

/// The mail may style itself and show pictures; it runs nothing, sends nothing and is framed
/// nowhere, so it cannot act for whoever is signed in on this origin.
const POLICY: &str = "default-src 'none'; img-src https: http: data:; style-src 'unsafe-inline'; \
                      font-src https:; form-action 'none'; base-uri 'none'; frame-ancestors 'none'; sandbox \
                      allow-popups allow-popups-to-escape-sandbox allow-top-navigation-by-user-activation";

/// Shows the mail that the token was made for.
#[tracing::instrument(name = "view.show", skip_all)]
pub(crate) async fn show(
    state: Data<AppState>,
    token: Path<String>,
) -> Result<HttpResponse, Error> {
    let Ok(token) = state.links.open_view(&token) else {
        return Ok(page(StatusCode::NOT_FOUND, GONE.into()));
    };
    let links = state.links.clone();
    let shown = state
        .db
        .run(move |conn| {
            let Some(message) = messages::find(conn, token.workspace_id, token.message_id)? else {
                return Ok(None);
            };
            let snapshot_id = match message.campaign_id {
                Some(id) => campaigns::find(conn, token.workspace_id, id)?
                    .map(|campaign| campaign.snapshot_id),
                None => message.snapshot_id,
            };
            let snapshot = snapshot_id
                .map(|id| snapshots::find(conn, token.workspace_id, id))
                .transpose()?;
            let name = people::workspace_name(conn, token.workspace_id)?;
            let Some(snapshot) = snapshot.flatten() else {
                return Ok(None);
            };
            let html = Letter::new(snapshot, message.campaign_id, name)
                .and_then(|letter| render(&letter, &token, message, &links));
            Ok::<_, Error>(html.ok())
        })
        .await?;
    Ok(match shown {
        Some(html) => page(StatusCode::OK, html),
        None => page(StatusCode::NOT_FOUND, GONE.into()),
    })
}

/// No click and no open is counted: who looks here has done so already.
fn render(
    letter: &Letter,
    token: &MailToken,
    message: Message,
    links: &Links,
) -> Result<String, String> {
    let variables = message.variables.ok_or("its data is gone")?;
    let claimed = Claimed {
        of: Held {
            workspace_id: token.workspace_id.0,
            id: message.id.0,
            campaign_id: message.campaign_id.map(|id| id.0),
            lead_id: message.lead_id.map(|id| id.0),
            bundle: uuid::Uuid::nil(),
            place: 0,
            lease: uuid::Uuid::nil(),
        },
        kind: Kind::parse(&message.kind),
        snapshot_id: message.snapshot_id.unwrap_or_default(),
        policy: Default::default(),
        began_at: None,
        address: message.address,
        variables,
        attempts: 0,
        attachments: Vec::new(),
    };
    let rendered = letter.show(&claimed, &links.personal(token))?;
    Ok(rendered.html.unwrap_or_else(|| {
        let text = rendered.text.replace('&', "&amp;").replace('<', "&lt;");
        format!("<!doctype html><meta charset=\"utf-8\"><pre style=\"white-space:pre-wrap\">{text}</pre>")
    }))
}

const GONE: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Not available</title>\
                    <p>This mail cannot be shown any more.</p></html>";

fn page(status: StatusCode, html: String) -> HttpResponse {
    HttpResponse::build(status)
        .content_type("text/html; charset=utf-8")
        .insert_header(("content-security-policy", POLICY))
        .insert_header(("x-content-type-options", "nosniff"))
        .insert_header(("referrer-policy", "no-referrer"))
        .insert_header(("cache-control", "private, no-store"))
        .insert_header(("x-robots-tag", "noindex"))
        .body(html)
}
