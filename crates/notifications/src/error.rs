//! The ways this service says no.

use actix_web::http::StatusCode;
use chassis::error::{auth_kind, query_kind};
use chassis::{Fault, InvalidInput, Unavailable, respond_with_problem};
use common::FieldError;
use common::auth::AuthError;
use common::ids::{CampaignId, DeliveryId, DomainId, MessageId, TemplateId, WebhookId};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("message {0} does not exist")]
    NoMessage(MessageId),
    #[error("campaign {0} is not known to delivery")]
    NoCampaign(CampaignId),
    #[error("campaign {0} was cancelled")]
    Cancelled(CampaignId),
    #[error("campaign {0} was handed over with another content already")]
    ContentDiffers(CampaignId),
    #[error("template {0} does not exist")]
    NoTemplate(TemplateId),
    #[error("the message prints what `data` does not hold: {}", .0.join(", "))]
    MissingVariables(Vec<String>),
    #[error("sender {0} does not exist")]
    NoSender(String),
    #[error("another sender of this workspace has this name")]
    SenderNameTaken,
    #[error("this sender belongs to the installation and is set by its operator")]
    SenderReadOnly,
    #[error("somebody else changed this sender since you read it")]
    SenderChanged,
    #[error("the sender's password cannot be read with the data keys in use: give it again")]
    SenderSealed,
    #[error("domain {0} does not exist")]
    NoDomain(DomainId),
    #[error("this workspace has this domain already")]
    DomainTaken,
    #[error("this hook does not exist")]
    NoHook,
    #[error("this is not signed by the provider, or too long ago")]
    HookForged,
    #[error("the hook's secret cannot be read with the data keys in use: make a new hook")]
    HookSealed,
    #[error("the provider cannot be asked at the moment whether it is the one who says this")]
    ProviderAway,
    #[error("something went wrong on our side")]
    NoRandomness,
    #[error("webhook {0} does not exist")]
    NoWebhook(WebhookId),
    #[error("this webhook has no delivery {0}")]
    NoDelivery(DeliveryId),
    #[error("this webhook is disabled: enable it first")]
    WebhookDisabled,
    #[error("somebody else changed this webhook since you read it")]
    WebhookChanged,
    #[error("a workspace has at most {0} webhooks")]
    TooManyWebhooks(i64),
    #[error(transparent)]
    Auth(#[from] AuthError),
    #[error(transparent)]
    Invalid(#[from] InvalidInput),
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    #[error("something went wrong on our side")]
    Query(#[from] diesel::result::Error),
}

impl Fault for Error {
    fn kind(&self) -> (StatusCode, &'static str) {
        match self {
            Self::NoMessage(_) => (StatusCode::NOT_FOUND, "message_not_found"),
            Self::NoCampaign(_) => (StatusCode::NOT_FOUND, "campaign_not_found"),
            Self::Cancelled(_) => (StatusCode::CONFLICT, "campaign_cancelled"),
            Self::ContentDiffers(_) => (StatusCode::CONFLICT, "campaign_content_differs"),
            Self::NoTemplate(_) => (StatusCode::UNPROCESSABLE_ENTITY, "template_not_found"),
            Self::MissingVariables(_) => (StatusCode::UNPROCESSABLE_ENTITY, "missing_variable"),
            Self::NoSender(_) => (StatusCode::NOT_FOUND, "sender_not_found"),
            Self::SenderNameTaken => (StatusCode::CONFLICT, "sender_name_taken"),
            Self::SenderReadOnly => (StatusCode::CONFLICT, "sender_read_only"),
            Self::SenderChanged => (StatusCode::PRECONDITION_FAILED, "version_mismatch"),
            Self::SenderSealed => (StatusCode::CONFLICT, "sender_password_unreadable"),
            Self::NoDomain(_) => (StatusCode::NOT_FOUND, "domain_not_found"),
            Self::DomainTaken => (StatusCode::CONFLICT, "domain_taken"),
            Self::NoHook => (StatusCode::NOT_FOUND, "hook_not_found"),
            Self::HookForged => (StatusCode::FORBIDDEN, "hook_signature_invalid"),
            Self::HookSealed => (StatusCode::SERVICE_UNAVAILABLE, "hook_secret_unreadable"),
            Self::ProviderAway => (StatusCode::SERVICE_UNAVAILABLE, "hook_provider_away"),
            Self::NoRandomness => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
            Self::NoWebhook(_) => (StatusCode::NOT_FOUND, "webhook_not_found"),
            Self::NoDelivery(_) => (StatusCode::NOT_FOUND, "delivery_not_found"),
            Self::WebhookDisabled => (StatusCode::CONFLICT, "webhook_disabled"),
            Self::WebhookChanged => (StatusCode::PRECONDITION_FAILED, "version_mismatch"),
            Self::TooManyWebhooks(_) => (StatusCode::CONFLICT, "too_many_webhooks"),
            Self::Auth(denied) => auth_kind(denied),
            Self::Invalid(invalid) => invalid.kind(),
            Self::Unavailable(away) => away.kind(),
            Self::Query(error) => query_kind(error),
        }
    }

    fn fields(&self) -> Vec<FieldError> {
        match self {
            Self::Invalid(invalid) => invalid.fields(),
            Self::NoTemplate(_) => vec![FieldError::new("/template_id", "does not exist")],
            Self::MissingVariables(paths) => paths.iter().map(|path| missing(path)).collect(),
            _ => Vec::new(),
        }
    }
}

/// Where a variable of a message should have been.
fn missing(path: &str) -> FieldError {
    match path.strip_prefix("data.") {
        Some(inside) => FieldError::new(
            format!("/data/{}", inside.replace('.', "/")),
            "is printed and has no value",
        ),
        None => FieldError::new(
            "/data",
            format!("`{path}` has no value: a transactional message prints `data.*`"),
        ),
    }
}

respond_with_problem!(Error);
