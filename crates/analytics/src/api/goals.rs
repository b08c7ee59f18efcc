//! `/api/v1/analytics/goals`: what people are to do, and how many did.

use actix_web::web::{self, Data};
use actix_web::{HttpResponse, delete, get, patch, post};
use chassis::InvalidInput;
use chassis::auth::Caller;
use chassis::http::{Json, Path, Query};
use chassis::reads::Read;
use chrono::{DateTime, Utc};
use common::auth::Scope;
use common::{FieldError, GoalId};
use serde::{Deserialize, Deserializer, Serialize};

use super::State;
use super::answers::PeopleQuery;
use crate::domain::goal::Goal;
use crate::error::Error;
use crate::store::{answers, goals};

const MAX_NAME: usize = 200;
const MAX_EVENT: usize = 256;
const MAX_URL: usize = 2048;

/// A new goal.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = analytics::CreateGoal)]
pub struct CreateGoal {
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// Events of this type reach it, such as `view`, `track` or `goal`.
    #[serde(rename = "type")]
    kind: String,
    /// Only those of this name.
    event: Option<String>,
    /// Only those with a URL that begins so.
    url_prefix: Option<String>,
}

/// Changes of a goal: what is absent stays, what is null is emptied.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = analytics::ChangeGoal)]
pub struct ChangeGoal {
    name: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(default, deserialize_with = "given")]
    event: Option<Option<String>>,
    #[serde(default, deserialize_with = "given")]
    url_prefix: Option<Option<String>>,
}

/// Tells an explicit null from an absent field.
fn given<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(value).map(Some)
}

/// A goal of the workspace.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = analytics::GoalDefinition)]
pub struct GoalDefinition {
    id: GoalId,
    name: String,
    #[serde(rename = "type")]
    kind: String,
    event: Option<String>,
    url_prefix: Option<String>,
    created_at: DateTime<Utc>,
}

impl From<Goal> for GoalDefinition {
    fn from(goal: Goal) -> Self {
        Self {
            id: goal.id,
            name: goal.name,
            kind: goal.kind,
            event: goal.event,
            url_prefix: goal.url_prefix,
            created_at: goal.created_at,
        }
    }
}

/// A goal, and how often it was reached.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = analytics::Goal)]
pub struct GoalView {
    /// Absent: nobody set it; events of the type `goal` tell of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<GoalId>,
    /// Of a goal that nobody set, the `name` of its events; empty for those without.
    pub name: String,
    pub reached: i64,
    pub people: i64,
}

#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = analytics::Goals)]
pub struct GoalsView {
    /// Those of the workspace, oldest first, also where nobody reached them; then what else events
    /// of the type `goal` tell of, those reached most first.
    pub items: Vec<GoalView>,
}

/// Everything that is wrong with a goal.
fn check(goal: &Goal) -> Result<(), InvalidInput> {
    let mut bad = Vec::new();
    let mut text = |pointer: &str, text: Option<&str>, most: usize| {
        let proper = |text: &str| {
            (1..=most).contains(&text.chars().count()) && !text.chars().any(char::is_control)
        };
        if text.is_some_and(|text| !proper(text)) {
            let detail = format!("must have 1 to {most} characters and no line breaks");
            bad.push(FieldError::new(pointer, detail));
        }
    };
    text("/name", Some(goal.name.trim()), MAX_NAME);
    text("/type", Some(&goal.kind), MAX_EVENT);
    text("/event", goal.event.as_deref(), MAX_EVENT);
    text("/url_prefix", goal.url_prefix.as_deref(), MAX_URL);
    match bad.is_empty() {
        true => Ok(()),
        false => Err(InvalidInput::fields(bad)),
    }
}

#[utoipa::path(
    tag = "analytics",
    operation_id = "analytics_goals",
    params(PeopleQuery),
    responses(
        (status = 200, description = "Which goals were reached, how often and by how many people", body = GoalsView, headers(("X-Clarion-Staleness-Ms" = Option<u64>, description = "How old the answer is at most; absent when the database itself answered"))),
        (status = 422, description = "The query cannot be answered", body = common::Problem),
    )
)]
#[get("/api/v1/analytics/goals")]
pub(crate) async fn report(
    state: Data<State>,
    caller: Caller,
    query: Query<PeopleQuery>,
) -> Result<Read<GoalsView>, Error> {
    caller.require(Scope::AnalyticsRead)?;
    let report = query.report();
    let period = report.period(caller.workspace, state.host.clock.now())?;
    let most = report.most()?;
    let answer = state
        .reads
        .run(move |conn| {
            let set = goals::all(conn, period.workspace)?;
            let reached = goals::reached(conn, period, &set)?;
            let others = answers::goals(conn, period, most)?;
            Ok::<_, Error>((set, reached, others))
        })
        .await?;
    Ok(answer.map(|(set, reached, others)| {
        // Events that a goal of the workspace counts are not told of twice.
        let is_set = |name: &str| {
            let counts = |goal: &Goal| {
                let event = goal.event.as_deref();
                goal.kind == "goal" && goal.url_prefix.is_none() && event.is_none_or(|e| e == name)
            };
            set.iter().any(counts)
        };
        let others: Vec<GoalView> = others
            .into_iter()
            .filter(|goal| !is_set(&goal.name))
            .map(|goal| GoalView {
                id: None,
                name: goal.name,
                reached: goal.reached,
                people: goal.people,
            })
            .collect();
        let own = set.iter().zip(reached).map(|(goal, reached)| GoalView {
            id: Some(goal.id),
            name: goal.name.clone(),
            reached: reached.reached,
            people: reached.people,
        });
        GoalsView {
            items: own.chain(others).collect(),
        }
    }))
}

#[utoipa::path(
    tag = "analytics",
    operation_id = "analytics_goals_create",
    request_body = CreateGoal,
    responses(
        (status = 201, description = "The goal", body = GoalDefinition),
        (status = 409, description = "There are as many as there may be", body = common::Problem),
        (status = 422, description = "Fields were refused", body = common::Problem),
    )
)]
#[post("/api/v1/analytics/goals")]
pub(crate) async fn create(
    state: Data<State>,
    caller: Caller,
    body: Json<CreateGoal>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::AnalyticsWrite)?;
    let body = body.into_inner();
    let goal = Goal {
        workspace_id: caller.workspace,
        id: GoalId::new(),
        name: body.name.trim().to_owned(),
        kind: body.kind,
        event: body.event,
        url_prefix: body.url_prefix,
        created_by: caller.subject.to_string(),
        created_at: state.host.clock.now(),
    };
    check(&goal)?;
    let goal = state
        .host
        .db
        .transaction(move |conn| match goals::insert(conn, &goal)? {
            true => Ok(goal),
            false => Err(Error::TooManyGoals),
        })
        .await?;
    Ok(HttpResponse::Created()
        .insert_header(("location", format!("/api/v1/analytics/goals/{}", goal.id)))
        .json(GoalDefinition::from(goal)))
}

#[utoipa::path(
    tag = "analytics",
    operation_id = "analytics_goals_get",
    params(("id" = GoalId, Path, description = "The goal")),
    responses(
        (status = 200, description = "The goal", body = GoalDefinition),
        (status = 404, description = "No goal of this workspace", body = common::Problem),
    )
)]
#[get("/api/v1/analytics/goals/{id}")]
pub(crate) async fn read(
    state: Data<State>,
    caller: Caller,
    id: Path<GoalId>,
) -> Result<web::Json<GoalDefinition>, Error> {
    caller.require(Scope::AnalyticsRead)?;
    let id = id.into_inner();
    let goal = state
        .host
        .db
        .run(move |conn| Ok::<_, Error>(goals::find(conn, caller.workspace, id)?))
        .await?;
    Ok(web::Json(goal.ok_or(Error::GoalNotFound(id))?.into()))
}

#[utoipa::path(
    tag = "analytics",
    operation_id = "analytics_goals_change",
    params(("id" = GoalId, Path, description = "The goal")),
    request_body = ChangeGoal,
    responses(
        (status = 200, description = "The goal as it is now", body = GoalDefinition),
        (status = 404, description = "No goal of this workspace", body = common::Problem),
        (status = 422, description = "Fields were refused", body = common::Problem),
    )
)]
#[patch("/api/v1/analytics/goals/{id}")]
pub(crate) async fn change(
    state: Data<State>,
    caller: Caller,
    id: Path<GoalId>,
    body: Json<ChangeGoal>,
) -> Result<web::Json<GoalDefinition>, Error> {
    caller.require(Scope::AnalyticsWrite)?;
    let (id, body) = (id.into_inner(), body.into_inner());
    let goal = state
        .host
        .db
        .transaction(move |conn| {
            let known = goals::find(conn, caller.workspace, id)?.ok_or(Error::GoalNotFound(id))?;
            let name = body.name.map(|name| name.trim().to_owned());
            let goal = Goal {
                name: name.unwrap_or(known.name),
                kind: body.kind.unwrap_or(known.kind),
                event: body.event.unwrap_or(known.event),
                url_prefix: body.url_prefix.unwrap_or(known.url_prefix),
                ..known
            };
            check(&goal)?;
            match goals::change(conn, &goal)? {
                true => Ok(goal),
                false => Err(Error::GoalNotFound(id)),
            }
        })
        .await?;
    Ok(web::Json(goal.into()))
}

#[utoipa::path(
    tag = "analytics",
    operation_id = "analytics_goals_delete",
    params(("id" = GoalId, Path, description = "The goal")),
    responses(
        (status = 204, description = "It is gone; the events that reached it stay"),
        (status = 404, description = "No goal of this workspace", body = common::Problem),
    )
)]
#[delete("/api/v1/analytics/goals/{id}")]
pub(crate) async fn delete(
    state: Data<State>,
    caller: Caller,
    id: Path<GoalId>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::AnalyticsWrite)?;
    let id = id.into_inner();
    let known = state
        .host
        .db
        .transaction(move |conn| Ok::<_, Error>(goals::delete(conn, caller.workspace, id)?))
        .await?;
    match known {
        true => Ok(HttpResponse::NoContent().finish()),
        false => Err(Error::GoalNotFound(id)),
    }
}
