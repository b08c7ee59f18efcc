//! `/lists/{id}/members`

use actix_web::HttpResponse;
use actix_web::web::Data;
use chassis::auth::Caller;
use chassis::http::{Json, Path, Query};
use chassis::outbox;
use chrono::{DateTime, Utc};
use common::auth::Scope;
use common::events::LeadUnsubscribed;
use common::page::Page;
use common::values::EmailAddress;
use common::{LeadId, ListId, WorkspaceId};
use diesel::PgConnection;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Check, paging};
use crate::domain::lead;
use crate::error::Error;
use crate::state::State;
use crate::store::consents::Consent;
use crate::store::leads::Lead;
use crate::store::members::Member;
use crate::store::{self, lists};

/// How a person can stand to a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = leads::MemberStatus)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MemberStatus {
    Unconfirmed,
    #[default]
    Confirmed,
    Unsubscribed,
}

impl MemberStatus {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Unconfirmed => "unconfirmed",
            Self::Confirmed => "confirmed",
            Self::Unsubscribed => "unsubscribed",
        }
    }
}

/// Who is added: a lead by its id, or by its address.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = leads::AddMember)]
#[serde(deny_unknown_fields)]
pub(crate) struct AddMember {
    #[serde(default)]
    lead_id: Option<LeadId>,
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    status: MemberStatus,
    /// The sentence the person agreed to; it goes into the consent ledger.
    #[serde(default)]
    wording: Option<String>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = leads::UpdateMember)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateMember {
    status: MemberStatus,
    /// The sentence the person agreed to; it goes into the consent ledger.
    #[serde(default)]
    wording: Option<String>,
}

/// A person on a list.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = leads::MemberView)]
pub(crate) struct MemberView {
    list_id: ListId,
    lead_id: LeadId,
    email: String,
    status: String,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<(Member, String)> for MemberView {
    fn from((member, email): (Member, String)) -> Self {
        Self {
            list_id: member.list_id,
            lead_id: member.lead_id,
            email,
            status: member.status,
            created_at: member.created_at,
            updated_at: member.updated_at,
        }
    }
}

/// A list that a person is on.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = leads::Membership)]
pub(crate) struct Membership {
    list_id: ListId,
    /// The list's name.
    name: String,
    status: String,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<(Member, String)> for Membership {
    fn from((member, name): (Member, String)) -> Self {
        Self {
            list_id: member.list_id,
            name,
            status: member.status,
            created_at: member.created_at,
            updated_at: member.updated_at,
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct MemberQuery {
    status: Option<MemberStatus>,
    /// 1 to 500; 50 when absent.
    limit: Option<i64>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// `GET /lists/{id}/members`: oldest lead first.
#[utoipa::path(
    get, path = "/api/v1/lists/{id}/members", tag = "leads", operation_id = "leads_members_list",
    params(("id" = ListId, Path, description = "The list"), MemberQuery),
    responses(
        (status = 200, description = "Members", body = Page<MemberView>),
        (status = 404, description = "No such list", body = common::Problem),
    )
)]
pub(crate) async fn list(
    state: Data<State>,
    caller: Caller,
    id: Path<ListId>,
    query: Query<MemberQuery>,
) -> Result<Json<Page<MemberView>>, Error> {
    caller.require(Scope::LeadsRead)?;
    let (workspace, id) = (caller.workspace, id.into_inner());
    let (limit, after) = paging(query.limit, query.cursor.as_deref())?;
    let status = query.status.map(MemberStatus::as_str);
    let rows = state
        .host
        .db
        .run(move |conn| {
            lists::find(conn, workspace, id)?.ok_or(Error::ListNotFound(id))?;
            let rows = store::members::page(conn, workspace, id, status, after, limit + 1)?;
            Ok::<_, Error>(rows)
        })
        .await?;
    let key = |(member, _): &(Member, String)| member.lead_id;
    Ok(Json(Page::from_rows(rows, limit, key, MemberView::from)))
}

/// `GET /leads/{id}/lists`: how a person stands to each list, by the lists' names.
#[utoipa::path(
    get, path = "/api/v1/leads/{id}/lists", tag = "leads", operation_id = "leads_lists_of",
    params(("id" = LeadId, Path, description = "The lead")),
    responses(
        (status = 200, description = "The lists the lead is on, or has left", body = Page<Membership>),
        (status = 404, description = "No such lead", body = common::Problem),
    )
)]
pub(crate) async fn of_lead(
    state: Data<State>,
    caller: Caller,
    id: Path<LeadId>,
) -> Result<Json<Page<Membership>>, Error> {
    caller.require(Scope::LeadsRead)?;
    let (workspace, id) = (caller.workspace, id.into_inner());
    let rows = state
        .host
        .db
        .run(move |conn| {
            store::leads::find(conn, workspace, id)?.ok_or(Error::LeadNotFound(id))?;
            Ok::<_, Error>(store::members::of_lead(conn, workspace, id)?)
        })
        .await?;
    Ok(Json(Page {
        items: rows.into_iter().map(Membership::from).collect(),
        next_cursor: None,
    }))
}

/// `POST /lists/{id}/members`
#[utoipa::path(
    post, path = "/api/v1/lists/{id}/members", tag = "leads", operation_id = "leads_members_add",
    params(("id" = ListId, Path, description = "The list")),
    request_body = AddMember,
    responses(
        (status = 201, description = "How the person stands to the list now", body = MemberView),
        (status = 404, description = "No such list or lead", body = common::Problem),
        (status = 422, description = "Fields were refused", body = common::Problem),
    )
)]
pub(crate) async fn add(
    state: Data<State>,
    caller: Caller,
    id: Path<ListId>,
    body: Json<AddMember>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::LeadsWrite)?;
    let (list, body, mut check) = (id.into_inner(), body.into_inner(), Check::default());
    let given_email = body.email.as_deref().map(EmailAddress::parse).transpose();
    let email = check.take("/email", given_email).flatten();
    if body.lead_id.is_some() == body.email.is_some() {
        check.refuse("/lead_id", "is needed, or else email, and not both");
    }
    let wording = wording(&mut check, body.wording);
    check.finish()?;
    let change = Change::new(&state, &caller, list, body.status, wording);
    let view = state
        .host
        .db
        .transaction(move |conn| {
            let id = match (body.lead_id, email) {
                (Some(id), _) => id,
                (None, email) => lead_of(conn, change.workspace, email)?,
            };
            change.apply(conn, id)
        })
        .await?;
    Ok(HttpResponse::Created().json(view))
}

fn lead_of(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    email: Option<EmailAddress>,
) -> Result<LeadId, Error> {
    let email = email.ok_or_else(|| Error::AddressNotFound(String::new()))?;
    store::leads::find_by_key(conn, workspace, &email.key())?
        .map(|lead| lead.id)
        .ok_or_else(|| Error::AddressNotFound(email.into()))
}

fn wording(check: &mut Check, given: Option<String>) -> Option<String> {
    let line = lead::line(&given.unwrap_or_default(), 2_000);
    check.take("/wording", line).flatten()
}

/// `PATCH /lists/{id}/members/{lead_id}`
#[utoipa::path(
    patch, path = "/api/v1/lists/{id}/members/{lead_id}", tag = "leads", operation_id = "leads_members_update",
    params(("id" = ListId, Path, description = "The list"), ("lead_id" = LeadId, Path, description = "The lead")),
    request_body = UpdateMember,
    responses(
        (status = 200, description = "How the person stands to the list now", body = MemberView),
        (status = 404, description = "No such list or member", body = common::Problem),
    )
)]
pub(crate) async fn update(
    state: Data<State>,
    caller: Caller,
    ids: Path<(ListId, LeadId)>,
    body: Json<UpdateMember>,
) -> Result<Json<MemberView>, Error> {
    caller.require(Scope::LeadsWrite)?;
    let ((list, id), body, mut check) = (ids.into_inner(), body.into_inner(), Check::default());
    let wording = wording(&mut check, body.wording);
    check.finish()?;
    let change = Change::new(&state, &caller, list, body.status, wording);
    let view = state
        .host
        .db
        .transaction(move |conn| {
            lists::find(conn, change.workspace, list)?.ok_or(Error::ListNotFound(list))?;
            let member = store::members::find(conn, change.workspace, list, id)?;
            member.ok_or(Error::MemberNotFound(id))?;
            change.apply(conn, id)
        })
        .await?;
    Ok(Json(view))
}

/// `DELETE /lists/{id}/members/{lead_id}`
#[utoipa::path(
    delete, path = "/api/v1/lists/{id}/members/{lead_id}", tag = "leads", operation_id = "leads_members_remove",
    params(("id" = ListId, Path, description = "The list"), ("lead_id" = LeadId, Path, description = "The lead")),
    responses(
        (status = 204, description = "The person is not on the list any more"),
        (status = 404, description = "No such list or member", body = common::Problem),
    )
)]
pub(crate) async fn remove(
    state: Data<State>,
    caller: Caller,
    ids: Path<(ListId, LeadId)>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::LeadsWrite)?;
    let (list, id) = ids.into_inner();
    let change = Change::new(&state, &caller, list, MemberStatus::Unsubscribed, None);
    state
        .host
        .db
        .transaction(move |conn| {
            let workspace = change.workspace;
            lists::find(conn, workspace, list)?.ok_or(Error::ListNotFound(list))?;
            store::leads::lock(conn, workspace, id)?.ok_or(Error::MemberNotFound(id))?;
            match store::members::remove(conn, workspace, list, &change.consent(id))? {
                true => Ok(()),
                false => Err(Error::MemberNotFound(id)),
            }
        })
        .await?;
    Ok(HttpResponse::NoContent().finish())
}

/// A change of standing that a caller of the API asks for.
struct Change {
    workspace: WorkspaceId,
    list: ListId,
    status: MemberStatus,
    actor: String,
    wording: Option<String>,
    now: DateTime<Utc>,
}

impl Change {
    fn new(
        state: &State,
        caller: &Caller,
        list: ListId,
        status: MemberStatus,
        wording: Option<String>,
    ) -> Self {
        Self {
            workspace: caller.workspace,
            list,
            status,
            actor: caller.subject.to_string(),
            wording,
            now: state.host.clock.now(),
        }
    }

    fn consent(&self, lead: LeadId) -> Consent<'_> {
        Consent {
            lead,
            at: self.now,
            actor: &self.actor,
            method: "api",
            wording: self.wording.as_deref(),
        }
    }

    fn apply(&self, conn: &mut PgConnection, id: LeadId) -> Result<MemberView, Error> {
        lists::keep(conn, self.workspace, self.list)?.ok_or(Error::ListNotFound(self.list))?;
        let lead = store::leads::lock(conn, self.workspace, id)?.ok_or(Error::LeadNotFound(id))?;
        let (consent, status) = (self.consent(id), self.status.as_str());
        let changed = store::members::set(conn, self.workspace, self.list, status, &consent)?;
        if changed && self.status == MemberStatus::Unsubscribed {
            outbox::push(conn, self.workspace, &self.unsubscribed(&lead))?;
        }
        let member = store::members::find(conn, self.workspace, self.list, id)?;
        let member = member.ok_or(Error::MemberNotFound(id))?;
        Ok((member, lead.email).into())
    }

    fn unsubscribed(&self, lead: &Lead) -> LeadUnsubscribed {
        LeadUnsubscribed {
            lead_id: lead.id,
            email: lead.email.clone(),
            list_ids: vec![self.list],
            campaign_id: None,
            message_id: None,
            at: self.now,
        }
    }
}
