//! What is being written, as somebody would get it, and how many would.

use std::collections::BTreeMap;

use actix_web::HttpResponse;
use actix_web::web::{self, Data};
use chassis::Unavailable;
use chassis::auth::Caller;
use chassis::http::Json;
use common::auth::Scope;
use common::dto::audience::{Audience, AudienceCount, AudienceQuery};
use common::dto::dispatch::{AmbiguousPolicy, Content};
use common::json::RawJson;
use content::{Compiled, Context, Need, Problem, RenderError, Rendered};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::lifecycle::sample;
use crate::State;
use crate::domain::campaign::{Campaign, Draft};
use crate::domain::content::compile;
use crate::error::Error;

/// A mail in the making. Nothing of it is stored.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = campaigns::PreviewMail)]
pub(crate) struct PreviewMail {
    #[serde(default)]
    name: String,
    #[serde(default)]
    subject: String,
    #[serde(default)]
    preheader: String,
    content: Content,
    /// Rendered for the first person of it, or for a made-up one.
    #[serde(default)]
    audience: Audience,
}

/// The mail as it would arrive, or what keeps it from being rendered.
#[derive(Debug, Default, Serialize, utoipa::ToSchema)]
#[schema(as = campaigns::Preview)]
pub(crate) struct Preview {
    subject: Option<String>,
    preheader: Option<String>,
    html: Option<String>,
    text: Option<String>,
    /// The person it is rendered for, as templates see them.
    #[schema(value_type = Object)]
    lead: Value,
    /// The variables in use; true where each recipient must have a value.
    variables: BTreeMap<String, bool>,
    problems: Vec<Finding>,
    warnings: Vec<Finding>,
}

/// A place in what was written, and what is wrong there.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = campaigns::PreviewFinding)]
pub(crate) struct Finding {
    /// The field as a JSON pointer, where one is at fault.
    pointer: Option<&'static str>,
    line: Option<usize>,
    column: Option<usize>,
    detail: String,
}

impl From<&Problem> for Finding {
    fn from(problem: &Problem) -> Self {
        Self {
            pointer: Some(problem.field.pointer()),
            line: problem.line,
            column: problem.column,
            detail: problem.message.clone(),
        }
    }
}

/// `POST /campaigns/preview`
#[utoipa::path(
    post, path = "/api/v1/campaigns/preview", operation_id = "campaigns_preview", tag = "campaigns",
    request_body = PreviewMail,
    responses(
        (status = 200, description = "The mail, or what is wrong with it", body = Preview),
        (status = 404, description = "A list or segment of the audience does not exist", body = common::Problem),
        (status = 503, description = "The audience cannot be asked", body = common::Problem),
    )
)]
pub(crate) async fn preview(
    state: Data<State>,
    caller: Caller,
    body: Json<PreviewMail>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::CampaignsRead)?;
    let body = body.into_inner();
    let draft = Draft {
        name: body.name,
        subject: body.subject,
        preheader: body.preheader,
        from: None,
        reply_to: None,
        content: Some(body.content),
        audience: body.audience,
        budget: None,
        schedule: None,
        ambiguous: AmbiguousPolicy::default(),
        sender_id: None,
        utm: None,
    };
    let campaign = Campaign::new(caller.workspace, draft, state.host.clock.now());
    let lead = sample(&state, &campaign).await?;
    // A large mail takes a while; others are not to wait for it.
    let preview = web::block(move || look(&campaign, &lead)).await;
    Ok(HttpResponse::Ok().json(preview.map_err(|_| Unavailable::new("campaigns"))?))
}

/// `POST /campaigns/audience`
#[utoipa::path(
    post, path = "/api/v1/campaigns/audience", operation_id = "campaigns_audience", tag = "campaigns",
    request_body = Audience,
    responses(
        (status = 200, description = "How many people that is now, and how many of them may be mailed", body = AudienceCount),
        (status = 404, description = "A list or segment does not exist", body = common::Problem),
        (status = 503, description = "The audience cannot be asked", body = common::Problem),
    )
)]
pub(crate) async fn audience(
    state: Data<State>,
    caller: Caller,
    body: Json<Audience>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::CampaignsRead)?;
    let query = AudienceQuery {
        workspace_id: caller.workspace,
        audience: body.into_inner(),
        as_of: state.host.clock.now(),
    };
    let count = match query.audience.is_empty() {
        true => AudienceCount::default(),
        false => state.peers.count(&query).await?,
    };
    Ok(HttpResponse::Ok().json(count))
}

/// Compiles and renders; the recipient's own links lead nowhere.
fn look(campaign: &Campaign, lead: &RawJson) -> Preview {
    let draft = &campaign.draft;
    let mut preview = Preview {
        lead: lead.read().unwrap_or_default(),
        ..Preview::default()
    };
    let Some(written) = &draft.content else {
        return preview;
    };
    let compiled = match compile(&draft.subject, &draft.preheader, written) {
        Ok(compiled) => compiled,
        Err(problems) => {
            preview.problems = problems.iter().map(Finding::from).collect();
            return preview;
        }
    };
    preview.warnings = compiled.warnings().iter().map(Finding::from).collect();
    let variables = compiled.variables().into_iter();
    preview.variables = variables
        .map(|(name, need)| (name.to_owned(), need == Need::Required))
        .collect();
    match render(&compiled, campaign, lead) {
        Ok(mail) => {
            preview.subject = Some(mail.subject);
            preview.preheader = mail.preheader;
            preview.html = mail.html;
            preview.text = Some(mail.text);
        }
        Err(error) => preview.problems.push(Finding {
            pointer: None,
            line: None,
            column: None,
            detail: error.to_string(),
        }),
    }
    preview
}

fn render(
    compiled: &Compiled,
    campaign: &Campaign,
    lead: &RawJson,
) -> Result<Rendered, RenderError> {
    let draft = &campaign.draft;
    let link = |name: &str| format!("https://preview.invalid/{name}");
    let context = Context::new()
        .with("lead", lead)
        .with(
            "campaign",
            json!({ "id": campaign.id, "name": draft.name, "subject": draft.subject }),
        )
        .with(
            "workspace",
            json!({ "id": campaign.workspace_id, "name": "" }),
        )
        .with("unsubscribe_url", link("unsubscribe"))
        .with("preferences_url", link("preferences"))
        .with("view_url", link("view"));
    compiled.render(&context)
}
