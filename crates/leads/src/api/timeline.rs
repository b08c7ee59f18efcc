//! `GET /leads/{id}/timeline`

use actix_web::web::Data;
use chassis::auth::Caller;
use chassis::http::{Json, Path};
use chrono::{DateTime, Utc};
use common::LeadId;
use common::auth::Scope;
use common::page::Page;
use diesel::PgConnection;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::error::Error;
use crate::state::State;
use crate::store::consents::Entry;
use crate::store::leads::{Lead, Reactions};
use crate::store::submissions::Submission;
use crate::store::suppressions::Suppression;
use crate::store::{consents, leads, submissions, suppressions};

/// Most lines of the consent ledger that are shown.
const MAX_CONSENTS: i64 = 500;
/// Most forms that are shown.
const MAX_SUBMISSIONS: i64 = 100;

/// Something that happened to a person.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = leads::TimelineItem)]
pub(crate) struct TimelineItem {
    at: DateTime<Utc>,
    /// `created`, `imported`, `submitted` (a form), `consent`, `unsubscribed`, `suppressed`,
    /// `last_open`, `last_click` or `updated`.
    kind: &'static str,
    #[schema(value_type = Object)]
    detail: Value,
}

impl TimelineItem {
    fn new(at: DateTime<Utc>, kind: &'static str, detail: Value) -> Self {
        Self { at, kind, detail }
    }
}

/// `GET /leads/{id}/timeline`: newest first.
#[utoipa::path(
    get, path = "/api/v1/leads/{id}/timeline", tag = "leads", operation_id = "leads_timeline",
    params(("id" = LeadId, Path, description = "The lead")),
    responses(
        (status = 200, description = "What happened to the lead, newest first", body = Page<TimelineItem>),
        (status = 404, description = "No such lead", body = common::Problem),
    )
)]
pub(crate) async fn get(
    state: Data<State>,
    caller: Caller,
    id: Path<LeadId>,
) -> Result<Json<Page<TimelineItem>>, Error> {
    caller.require(Scope::LeadsRead)?;
    let (workspace, id) = (caller.workspace, id.into_inner());
    let items = state
        .host
        .db
        .run(move |conn| {
            let lead = leads::find(conn, workspace, id)?.ok_or(Error::LeadNotFound(id))?;
            gather(conn, &lead)
        })
        .await?;
    Ok(Json(Page {
        items,
        next_cursor: None,
    }))
}

fn gather(conn: &mut PgConnection, lead: &Lead) -> Result<Vec<TimelineItem>, Error> {
    let workspace = lead.workspace_id;
    let mut items = vec![born(lead)];
    if lead.updated_at > lead.created_at {
        let detail = json!({ "version": lead.version });
        items.push(TimelineItem::new(lead.updated_at, "updated", detail));
    }
    let sent = submissions::of_lead(conn, workspace, lead.id, MAX_SUBMISSIONS)?;
    items.extend(sent.into_iter().rev().map(submitted));
    let entries = consents::of_lead(conn, workspace, lead.id, MAX_CONSENTS)?;
    items.extend(entries.into_iter().rev().map(consent));
    let suppression = suppressions::find(conn, workspace, &lead.email_key)?;
    items.extend(suppression.map(suppressed));
    let reactions = leads::reactions(conn, workspace, lead.id)?;
    items.extend(reactions.into_iter().flat_map(reacted));
    // What happened in one moment stays in order.
    items.sort_by_key(|item| item.at);
    items.reverse();
    Ok(items)
}

fn born(lead: &Lead) -> TimelineItem {
    match lead.import_id {
        Some(import) => {
            TimelineItem::new(lead.created_at, "imported", json!({ "import_id": import }))
        }
        None => TimelineItem::new(lead.created_at, "created", json!({})),
    }
}

/// What somebody sent in a form, and from where it was sent and confirmed.
fn submitted(sent: Submission) -> TimelineItem {
    let detail = json!({
        "form_id": sent.form_id,
        "answers": sent.answers.0,
        "wording": sent.wording,
        "sent_from": sent.sent_from,
        "confirmed_from": sent.confirmed_from,
        "confirmed_at": sent.confirmed_at,
    });
    TimelineItem::new(sent.submitted_at, "submitted", detail)
}

fn consent(entry: Entry) -> TimelineItem {
    let kind = match entry.status.as_str() {
        "unsubscribed" => "unsubscribed",
        _ => "consent",
    };
    let detail = json!({
        "list_id": entry.list_id,
        "status": entry.status,
        "method": entry.method,
        "actor": entry.actor,
        "wording": entry.wording,
    });
    TimelineItem::new(entry.at, kind, detail)
}

fn suppressed(row: Suppression) -> TimelineItem {
    TimelineItem::new(
        row.created_at,
        "suppressed",
        json!({ "reason": row.reason }),
    )
}

fn reacted(reactions: Reactions) -> impl Iterator<Item = TimelineItem> {
    let open = reactions
        .last_open_at
        .map(|at| TimelineItem::new(at, "last_open", json!({ "opens": reactions.opens })));
    let click = reactions
        .last_click_at
        .map(|at| TimelineItem::new(at, "last_click", json!({ "clicks": reactions.clicks })));
    open.into_iter().chain(click)
}
