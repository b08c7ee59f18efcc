//! `POST /visits/{page}`: the counter of a landing page.

use actix_web::web::{self, Data};
use actix_web::{HttpRequest, post};
use chassis::InvalidInput;
use chassis::http::{Path, Query};
use common::WorkspaceId;
use serde::{Deserialize, Serialize};

use super::{State, Visitor};
use crate::domain::verdict::{HitKind, Verdict, judge};
use crate::error::Error;

#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = analytics::Visits)]
pub struct Visits {
    /// Visits by people, this one included.
    pub visits: i64,
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct WhosePage {
    /// Whose page it is. Pages of no workspace share one set of names.
    workspace_id: Option<WorkspaceId>,
}

#[utoipa::path(
    tag = "analytics",
    operation_id = "analytics_visit",
    params(("page" = String, Path, description = "The page's name"), WhosePage),
    responses(
        (status = 200, description = "The page's visits", body = Visits),
        (status = 422, description = "The name cannot be used", body = common::Problem),
    )
)]
#[post("/visits/{page}")]
pub(crate) async fn visit(
    state: Data<State>,
    request: HttpRequest,
    page: Path<String>,
    query: Query<WhosePage>,
) -> Result<web::Json<Visits>, Error> {
    let page = page.into_inner();
    check(&page)?;
    let now = state.host.clock.now();
    let judgement =
        judge(&Visitor::of(&request, &state.data_centres).facts(HitKind::View, None, now));
    let by = i64::from(judgement.verdict == Verdict::Human);
    let workspace = query.workspace_id.unwrap_or(WorkspaceId(uuid::Uuid::nil()));
    let visits = state.visits.count(workspace, &page, by).await?;
    Ok(web::Json(Visits { visits }))
}

fn check(page: &str) -> Result<(), InvalidInput> {
    let allowed = |c: char| c.is_alphanumeric() || "-_.~".contains(c);
    match (1..=100).contains(&page.chars().count()) && page.chars().all(allowed) {
        true => Ok(()),
        false => Err(InvalidInput::field(
            "path/page",
            "must be 1 to 100 letters, digits or - _ . ~",
        )),
    }
}
