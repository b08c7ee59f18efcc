//! `/api/v1/campaigns`: write, read, list, copy and delete.

use actix_web::HttpResponse;
use actix_web::web::Data;
use chassis::InvalidInput;
use chassis::auth::Caller;
use chassis::http::{IfMatch, Path, Query, Valid, etag};
use chrono::{DateTime, Utc};
use common::auth::Scope;
use common::dto::audience::Audience;
use common::dto::dispatch::{AmbiguousPolicy, Content, Mailbox, Utm};
use common::page::Page;
use common::values::{EmailAddress, Money};
use common::{CampaignId, FieldError, SenderId, TemplateId, WorkspaceId};
use garde::Validate;
use serde::{Deserialize, Deserializer, Serialize};

use super::bad_query;
use crate::State;
use crate::domain::campaign::{Campaign, Draft, Held, Status};
use crate::domain::content;
use crate::domain::schedule::Schedule;
use crate::error::Error;
use crate::store::{campaigns, templates};

/// A new campaign; only the name is needed to begin.
#[derive(Debug, Deserialize, Validate, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
#[schema(as = campaigns::CreateCampaign)]
pub(crate) struct CreateCampaign {
    #[garde(length(min = 1, max = 200))]
    name: String,
    #[serde(default)]
    #[garde(length(max = 1000), custom(one_line))]
    subject: String,
    #[serde(default)]
    #[garde(length(max = 1000), custom(one_line))]
    preheader: String,
    #[garde(custom(sender_name))]
    from: Option<Mailbox>,
    reply_to: Option<EmailAddress>,
    content: Option<Content>,
    /// Copies subject, preheader and content where they are not given.
    template_id: Option<TemplateId>,
    #[serde(default)]
    audience: Audience,
    #[garde(custom(positive))]
    budget: Option<Money>,
    schedule: Option<Schedule>,
    #[serde(default)]
    ambiguous: AmbiguousPolicy,
    /// The mail server to use rather than others, as long as it works.
    sender_id: Option<SenderId>,
    /// What is added to the links of its mails; nothing when absent.
    #[garde(custom(tags))]
    utm: Option<Utm>,
}

/// Changes to a draft: what is absent stays, what is null is emptied.
#[derive(Debug, Deserialize, Validate, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
#[schema(as = campaigns::UpdateCampaign)]
pub(crate) struct UpdateCampaign {
    #[garde(inner(length(min = 1, max = 200)))]
    name: Option<String>,
    #[garde(inner(length(max = 1000)), custom(one_line_if_given))]
    subject: Option<String>,
    #[garde(inner(length(max = 1000)), custom(one_line_if_given))]
    preheader: Option<String>,
    #[serde(default, deserialize_with = "given")]
    from: Option<Option<Mailbox>>,
    #[serde(default, deserialize_with = "given")]
    reply_to: Option<Option<EmailAddress>>,
    #[serde(default, deserialize_with = "given")]
    content: Option<Option<Content>>,
    audience: Option<Audience>,
    #[serde(default, deserialize_with = "given")]
    budget: Option<Option<Money>>,
    #[serde(default, deserialize_with = "given")]
    schedule: Option<Option<Schedule>>,
    ambiguous: Option<AmbiguousPolicy>,
    #[serde(default, deserialize_with = "given")]
    sender_id: Option<Option<SenderId>>,
    #[serde(default, deserialize_with = "given")]
    #[garde(custom(tags_if_given))]
    utm: Option<Option<Utm>>,
}

/// Tells an explicit null from an absent field.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    value: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(value).map(Some)
}

/// A line break in a header field would begin a header of the writer's choice.
fn one_line(text: &str, _: &()) -> garde::Result {
    match text.chars().any(char::is_control) {
        true => Err(garde::Error::new(
            "must not contain line breaks or control characters",
        )),
        false => Ok(()),
    }
}

fn one_line_if_given(text: &Option<String>, context: &()) -> garde::Result {
    text.as_deref()
        .map_or(Ok(()), |text| one_line(text, context))
}

fn sender_name(from: &Option<Mailbox>, context: &()) -> garde::Result {
    from.as_ref()
        .map_or(Ok(()), |from| one_line(&from.name, context))
}

/// Most letters of a UTM parameter.
const MAX_TAG: usize = 100;

fn tags(utm: &Option<Utm>, _: &()) -> garde::Result {
    let Some(utm) = utm else { return Ok(()) };
    let optional = [&utm.campaign, &utm.term, &utm.content];
    let optional = optional.into_iter().filter_map(|text| text.as_deref());
    let needed = [utm.source.as_str(), utm.medium.as_str()];
    for text in needed.into_iter().chain(optional) {
        let length = text.trim().chars().count();
        if !(1..=MAX_TAG).contains(&length) || text.chars().any(char::is_control) {
            return Err(garde::Error::new(format!(
                "each part must have 1 to {MAX_TAG} letters and no line breaks"
            )));
        }
    }
    Ok(())
}

fn tags_if_given(utm: &Option<Option<Utm>>, context: &()) -> garde::Result {
    utm.as_ref().map_or(Ok(()), |utm| tags(utm, context))
}

fn positive(budget: &Option<Money>, _: &()) -> garde::Result {
    match budget {
        Some(budget) if budget.amount < 0 => Err(garde::Error::new("must not be negative")),
        _ => Ok(()),
    }
}

/// A campaign, as it is answered.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = campaigns::CampaignView)]
pub(crate) struct CampaignView {
    id: CampaignId,
    name: String,
    subject: String,
    preheader: String,
    from: Option<Mailbox>,
    reply_to: Option<EmailAddress>,
    content: Option<Content>,
    audience: Audience,
    budget: Option<Money>,
    schedule: Option<Schedule>,
    ambiguous: AmbiguousPolicy,
    sender_id: Option<SenderId>,
    /// What is added to the links of its mails.
    utm: Option<Utm>,
    status: Status,
    /// Why it stands still, when nobody paused it.
    paused_reason: Option<String>,
    /// Why no mail server takes anything of it, though it runs; it goes on by itself.
    held: Option<Held>,
    /// The ETag without its quotes.
    version: i64,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<Campaign> for CampaignView {
    fn from(campaign: Campaign) -> Self {
        let draft = campaign.draft;
        Self {
            id: campaign.id,
            name: draft.name,
            subject: draft.subject,
            preheader: draft.preheader,
            from: draft.from,
            reply_to: draft.reply_to,
            content: draft.content,
            audience: draft.audience,
            budget: draft.budget,
            schedule: draft.schedule,
            ambiguous: draft.ambiguous,
            sender_id: draft.sender_id,
            utm: draft.utm,
            status: campaign.status,
            paused_reason: campaign.paused_reason,
            held: campaign.held,
            version: campaign.version,
            started_at: campaign.started_at,
            finished_at: campaign.finished_at,
            created_at: campaign.created_at,
            updated_at: campaign.updated_at,
        }
    }
}

/// `?status=&limit=&cursor=`
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListCampaigns {
    status: Option<Status>,
    /// 1 to 500; 50 when absent.
    limit: Option<i64>,
    cursor: Option<String>,
}

pub(crate) fn answer(campaign: Campaign) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header(etag(campaign.version))
        .json(CampaignView::from(campaign))
}

/// Checks what the types alone cannot: templates compile, times make sense.
fn check(draft: &Draft, now: DateTime<Utc>) -> Result<(), InvalidInput> {
    if let Some(schedule) = &draft.schedule {
        let refuse =
            |field: &str, why: &str| InvalidInput::field(format!("/schedule/{field}"), why);
        let when = schedule
            .when()
            .map_err(|(field, why)| refuse(field, &why))?;
        if when.latest() < now {
            return Err(refuse("at", "must be in the future"));
        }
    }
    match &draft.content {
        Some(written) => content::check(&draft.subject, &draft.preheader, written),
        None => Ok(()),
    }
}

/// `POST /campaigns`
#[utoipa::path(
    post, path = "/api/v1/campaigns", operation_id = "campaigns_create", tag = "campaigns",
    request_body = CreateCampaign,
    responses(
        (status = 201, description = "The new draft", body = CampaignView),
        (status = 422, description = "Fields that cannot be used", body = common::Problem),
    )
)]
#[tracing::instrument(name = "campaigns.create", skip_all)]
pub(crate) async fn create(
    state: Data<State>,
    caller: Caller,
    body: Valid<CreateCampaign>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::CampaignsWrite)?;
    let (workspace, now, body) = (caller.workspace, state.host.clock.now(), body.into_inner());
    let campaign = state
        .host
        .db
        .transaction(move |conn| {
            let draft = draft(conn, workspace, body)?;
            check(&draft, now)?;
            let campaign = Campaign::new(workspace, draft, now);
            campaigns::insert(conn, &campaign)?;
            Ok::<_, Error>(campaign)
        })
        .await?;
    Ok(HttpResponse::Created()
        .insert_header(("location", format!("/api/v1/campaigns/{}", campaign.id)))
        .insert_header(etag(campaign.version))
        .json(CampaignView::from(campaign)))
}

fn draft(
    conn: &mut diesel::PgConnection,
    workspace: WorkspaceId,
    body: CreateCampaign,
) -> Result<Draft, Error> {
    let mut draft = Draft {
        name: body.name,
        subject: body.subject,
        preheader: body.preheader,
        from: body.from,
        reply_to: body.reply_to,
        content: body.content,
        audience: body.audience,
        budget: body.budget,
        schedule: body.schedule,
        ambiguous: body.ambiguous,
        sender_id: body.sender_id,
        utm: body.utm,
    };
    let Some(id) = body.template_id else {
        return Ok(draft);
    };
    let template = templates::get(conn, workspace, id)?.ok_or_else(|| {
        InvalidInput::fields(vec![FieldError::new(
            "/template_id",
            "is not a template of this workspace",
        )])
    })?;
    if draft.subject.is_empty() {
        draft.subject = template.subject;
    }
    if draft.preheader.is_empty() {
        draft.preheader = template.preheader;
    }
    draft.content.get_or_insert(template.content.0);
    Ok(draft)
}

/// `GET /campaigns`
#[utoipa::path(
    get, path = "/api/v1/campaigns", operation_id = "campaigns_list", tag = "campaigns",
    params(ListCampaigns),
    responses((status = 200, description = "A page, newest first", body = Page<CampaignView>))
)]
pub(crate) async fn list(
    state: Data<State>,
    caller: Caller,
    query: Query<ListCampaigns>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::CampaignsRead)?;
    let ListCampaigns {
        status,
        limit,
        cursor,
    } = query.into_inner();
    let limit = common::page::limit(limit).map_err(bad_query("limit"))?;
    let before = cursor
        .as_deref()
        .map(common::page::decode_cursor)
        .transpose();
    let before: Option<CampaignId> = before.map_err(bad_query("cursor"))?;
    let workspace = caller.workspace;
    let rows = state
        .host
        .db
        .run(move |conn| {
            Ok::<_, Error>(campaigns::page(conn, workspace, status, before, limit + 1)?)
        })
        .await?;
    let page = Page::from_rows(rows, limit, |campaign| campaign.id, CampaignView::from);
    Ok(HttpResponse::Ok().json(page))
}

/// The campaign, or that it does not exist.
pub(crate) async fn find(
    state: &State,
    caller: &Caller,
    id: CampaignId,
) -> Result<Campaign, Error> {
    let workspace = caller.workspace;
    let find = move |conn: &mut _| campaigns::get(conn, workspace, id)?.ok_or(Error::NotFound(id));
    state.host.db.run(find).await
}

/// `GET /campaigns/{id}`
#[utoipa::path(
    get, path = "/api/v1/campaigns/{id}", operation_id = "campaigns_get", tag = "campaigns",
    params(("id" = CampaignId, Path, description = "The campaign")),
    responses(
        (status = 200, description = "The campaign", body = CampaignView),
        (status = 404, description = "There is none", body = common::Problem),
    )
)]
pub(crate) async fn get(
    state: Data<State>,
    caller: Caller,
    id: Path<CampaignId>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::CampaignsRead)?;
    Ok(answer(find(&state, &caller, id.into_inner()).await?))
}

/// `PATCH /campaigns/{id}`
#[utoipa::path(
    patch, path = "/api/v1/campaigns/{id}", operation_id = "campaigns_update", tag = "campaigns",
    params(("id" = CampaignId, Path, description = "The campaign")),
    request_body = UpdateCampaign,
    responses(
        (status = 200, description = "The campaign as it is now", body = CampaignView),
        (status = 404, description = "There is none", body = common::Problem),
        (status = 409, description = "It is not a draft any more", body = common::Problem),
        (status = 412, description = "Somebody else changed it", body = common::Problem),
        (status = 422, description = "Fields that cannot be used", body = common::Problem),
    )
)]
#[tracing::instrument(name = "campaigns.update", skip_all, fields(campaign.id = %id.0))]
pub(crate) async fn update(
    state: Data<State>,
    caller: Caller,
    id: Path<CampaignId>,
    seen: IfMatch,
    body: Valid<UpdateCampaign>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::CampaignsWrite)?;
    let (workspace, id, now) = (caller.workspace, id.into_inner(), state.host.clock.now());
    let body = body.into_inner();
    let edited = state
        .host
        .db
        .transaction(move |conn| {
            let campaign = campaigns::lock(conn, workspace, id)?.ok_or(Error::NotFound(id))?;
            if seen.0.is_some_and(|version| version != campaign.version) {
                return Err(Error::Changed(campaign.version));
            }
            let draft = body.apply(campaign.draft.clone());
            check(&draft, now)?;
            let edited = campaign.edited(draft, now)?;
            campaigns::update(conn, &edited)?;
            Ok(edited)
        })
        .await?;
    Ok(answer(edited))
}

impl UpdateCampaign {
    fn apply(self, draft: Draft) -> Draft {
        Draft {
            name: self.name.unwrap_or(draft.name),
            subject: self.subject.unwrap_or(draft.subject),
            preheader: self.preheader.unwrap_or(draft.preheader),
            from: self.from.unwrap_or(draft.from),
            reply_to: self.reply_to.unwrap_or(draft.reply_to),
            content: self.content.unwrap_or(draft.content),
            audience: self.audience.unwrap_or(draft.audience),
            budget: self.budget.unwrap_or(draft.budget),
            schedule: self.schedule.unwrap_or(draft.schedule),
            ambiguous: self.ambiguous.unwrap_or(draft.ambiguous),
            sender_id: self.sender_id.unwrap_or(draft.sender_id),
            utm: self.utm.unwrap_or(draft.utm),
        }
    }
}

/// `DELETE /campaigns/{id}`: drafts only; what was sent stays on record.
#[utoipa::path(
    delete, path = "/api/v1/campaigns/{id}", operation_id = "campaigns_delete", tag = "campaigns",
    params(("id" = CampaignId, Path, description = "The campaign")),
    responses(
        (status = 204, description = "It is gone"),
        (status = 404, description = "There is none", body = common::Problem),
        (status = 409, description = "It is not a draft", body = common::Problem),
    )
)]
pub(crate) async fn delete(
    state: Data<State>,
    caller: Caller,
    id: Path<CampaignId>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::CampaignsWrite)?;
    let (workspace, id) = (caller.workspace, id.into_inner());
    state
        .host
        .db
        .transaction(move |conn| {
            let campaign = campaigns::lock(conn, workspace, id)?.ok_or(Error::NotFound(id))?;
            match campaigns::delete_draft(conn, workspace, id)? {
                true => Ok(()),
                false => Err(Error::WrongStatus {
                    status: campaign.status,
                    verb: "deleted",
                }),
            }
        })
        .await?;
    Ok(HttpResponse::NoContent().finish())
}

/// `POST /campaigns/{id}/duplicate`
#[utoipa::path(
    post, path = "/api/v1/campaigns/{id}/duplicate", operation_id = "campaigns_duplicate", tag = "campaigns",
    params(("id" = CampaignId, Path, description = "The campaign")),
    responses(
        (status = 201, description = "A draft with the same content", body = CampaignView),
        (status = 404, description = "There is none", body = common::Problem),
    )
)]
pub(crate) async fn duplicate(
    state: Data<State>,
    caller: Caller,
    id: Path<CampaignId>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::CampaignsWrite)?;
    let copy = find(&state, &caller, id.into_inner())
        .await?
        .duplicated(state.host.clock.now());
    let stored = copy.clone();
    state
        .host
        .db
        .run(move |conn| Ok::<_, Error>(campaigns::insert(conn, &stored)?))
        .await?;
    Ok(HttpResponse::Created()
        .insert_header(etag(copy.version))
        .json(CampaignView::from(copy)))
}
