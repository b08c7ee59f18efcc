//! `POST /api/v1/messages`: one mail that a program sends to one person.

use std::sync::Arc;

use actix_web::web::{self, Data};
use actix_web::{HttpRequest, HttpResponse};
use chassis::auth::{Caller, ServiceCaller};
use chassis::http::{Json, idempotency_key};
use chassis::idempotency::{self, IdempotencyKey};
use chassis::{InvalidInput, Unavailable, audit};
use common::auth::Scope;
use common::dto::dispatch::{
    AmbiguousPolicy, CampaignSnapshot, Content, ContentFormat, HouseMail, Mailbox,
};
use common::dto::template::TemplateCopy;
use common::ids::{MessageId, TemplateId, WorkspaceId};
use common::json::RawJson;
use common::values::EmailAddress;
use content::RenderError;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::check;
use super::upload::{self, InlineAttachment, MessageForm};
use crate::attachments::{Incoming, Print};
use crate::delivery;
use crate::domain::attachment::Attachment;
use crate::domain::transactional::{Origin, Words, in_template};
use crate::store::claims::Kind;
use crate::store::handover::{self, Single};
use crate::store::snapshots;
use crate::store::templates::{self, Known};
use crate::{AppState, Error};

/// A transactional message.
#[derive(Debug, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = notifications::NewMessage)]
pub(crate) struct NewMessage {
    to: EmailAddress,
    /// Jinja, as the content. The template's own when absent.
    #[serde(default)]
    subject: Option<String>,
    /// What it says; either this or `template_id`.
    #[serde(default)]
    content: Option<Content>,
    /// A template of `/api/v1/templates`, as it is now: a later change does not reach this message.
    #[serde(default)]
    template_id: Option<TemplateId>,
    /// What subject and content may print, as `data.*`; at most 64 KiB. What they print must be in
    /// it.
    #[serde(default)]
    data: Map<String, Value>,
    /// The installation's own address when absent.
    #[serde(default)]
    from: Option<Mailbox>,
    #[serde(default)]
    reply_to: Option<EmailAddress>,
    /// Files within the usual limit of a body; larger ones go in a form.
    #[serde(default, skip_serializing)]
    pub(super) attachments: Vec<InlineAttachment>,
}

/// What two requests with the same `Idempotency-Key` must have in common: files count by their
/// hashes.
#[derive(Serialize)]
struct Request<'r> {
    #[serde(flatten)]
    message: &'r NewMessage,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    files: Vec<Print<'r>>,
}

#[derive(Debug, Deserialize, Serialize, utoipa::ToSchema)]
#[schema(as = notifications::MessageRef)]
pub(crate) struct MessageRef {
    id: MessageId,
}

/// `POST /api/v1/messages`
#[utoipa::path(
    post, path = "/api/v1/messages", tag = "notifications", operation_id = "notifications_messages_create",
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition harmless")),
    request_body(description = "A message, or a form with a message and files", content(
        (NewMessage = "application/json"), (MessageForm = "multipart/form-data"))),
    responses(
        (status = 202, description = "It is in the ledger and will be sent", body = MessageRef),
        (status = 413, description = "The files are too large or too many: `attachment_too_large`, \
            `attachments_too_large`, `too_many_attachments`", body = common::Problem),
        (status = 422, description = "The message cannot be sent like this: `invalid_input`, `template_not_found`, \
            `missing_variable`", body = common::Problem),
        (status = 503, description = "The template is not known here yet and campaigns does not answer",
            body = common::Problem),
    )
)]
#[tracing::instrument(name = "messages.create", skip_all)]
pub(crate) async fn create(
    state: Data<AppState>,
    caller: Caller,
    request: HttpRequest,
    body: web::Payload,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::MessagesSend)?;
    let workspace = caller.workspace;
    let mut incoming = Incoming::new(&state.db, &state.clock, workspace, state.attachments);
    let message = upload::read(&request, body, &mut incoming).await?;
    let asked = Request {
        message: &message,
        files: incoming.prints(),
    };
    let key = idempotency_key(&request, &asked)?;
    let files = incoming.files().to_vec();
    let by = Some(audit::Request::of(&caller, &request));
    let answer = accept(&state, workspace, by, key, message, files).await?;
    state.wake.ring();
    Ok(HttpResponse::Accepted().json(answer))
}

/// `POST /internal/messages`: a mail of the installation itself.
#[tracing::instrument(name = "messages.of_the_house", skip_all)]
pub(crate) async fn of_the_house(
    state: Data<AppState>,
    _caller: ServiceCaller,
    request: HttpRequest,
    body: Json<HouseMail>,
) -> Result<HttpResponse, Error> {
    let mail = body.into_inner();
    // Its text may hold a new secret at each try, the key alone says whether it is the same.
    let key = IdempotencyKey::new(&mail.key.to_string(), request.path(), &mail.to)?;
    let message = NewMessage {
        to: mail.to,
        subject: Some(mail.subject),
        content: Some(Content {
            format: ContentFormat::Text,
            body: mail.text,
            text: None,
        }),
        template_id: None,
        data: mail.data,
        from: None,
        reply_to: None,
        attachments: Vec::new(),
    };
    let nobody = WorkspaceId(uuid::Uuid::nil());
    let answer = accept(&state, nobody, None, Some(key), message, Vec::new()).await?;
    state.wake.ring();
    Ok(HttpResponse::Accepted().json(answer))
}

/// Puts a message into the ledger, once per key, and into the trail who sent it.
async fn accept(
    state: &AppState,
    workspace: WorkspaceId,
    by: Option<audit::Request>,
    key: Option<IdempotencyKey>,
    message: NewMessage,
    files: Vec<Attachment>,
) -> Result<MessageRef, Error> {
    let NewMessage {
        to,
        subject,
        content,
        template_id,
        data,
        from,
        reply_to,
        attachments: _,
    } = message;
    let subject_given = subject.is_some();
    let words = match Origin::of(content, template_id, subject.as_deref(), &data)? {
        Origin::Content(content) => Words::inline(subject, content),
        Origin::Template(id) => match look_up(state, workspace, id, key.clone()).await? {
            Found::Answer(answer) => return Ok(answer),
            Found::Template(copy) => Words::of_template(subject, copy)?,
        },
    };
    let snapshot = CampaignSnapshot {
        workspace_id: workspace,
        name: String::new(),
        subject: words.subject,
        preheader: words.preheader,
        from: from.unwrap_or_else(|| Mailbox {
            name: String::new(),
            email: state.from.clone(),
        }),
        reply_to,
        content: words.content,
        ambiguous: AmbiguousPolicy::Resend,
        sender_id: None,
        utm: None,
    };
    // A large content takes a while.
    let tried = web::block(move || {
        let data = RawJson::from(Value::Object(data));
        try_out(&snapshot, &data).map(|()| (snapshot, data))
    });
    let tried = tried
        .await
        .map_err(|error| Unavailable::because("rendering", error))?;
    let (snapshot, data) = tried.map_err(|error| match (error, template_id) {
        (Error::Invalid(invalid), Some(_)) => in_template(invalid, subject_given).into(),
        (error, _) => error,
    })?;
    let (now, partitions) = (state.clock.now(), Arc::clone(&state.partitions));
    state
        .db
        .transaction(move |conn| {
            idempotency::once(conn, workspace, key.as_ref(), now, |conn| {
                let single = Single {
                    kind: Kind::Transactional,
                    to: &to,
                    snapshot_id: snapshots::keep(conn, &snapshot, now)?,
                    variables: &data,
                    attachments: &files,
                };
                let id = handover::add_single(conn, &partitions, workspace, &single, now)?;
                if let Some(by) = &by {
                    // Not to whom: that goes when the person does.
                    let what = json!({ "kind": "transactional" });
                    audit::note(conn, by, "messages", id.0, &what)?;
                }
                Ok::<_, Error>(MessageRef { id })
            })
        })
        .await
}

/// What there is for a request that names a template.
enum Found {
    Template(TemplateCopy),
    /// It is a repetition: the template may be another by now, or gone.
    Answer(MessageRef),
}

async fn look_up(
    state: &AppState,
    workspace: WorkspaceId,
    id: TemplateId,
    key: Option<IdempotencyKey>,
) -> Result<Found, Error> {
    let (answer, known) = state
        .db
        .run(move |conn| {
            let answer = idempotency::answered::<MessageRef, Error>(conn, workspace, key.as_ref())?;
            Ok::<_, Error>((answer, templates::find(conn, workspace, id)?))
        })
        .await?;
    match (answer, known) {
        (Some(answer), _) => Ok(Found::Answer(answer)),
        (None, Some(Known::Copy(copy))) => Ok(Found::Template(copy)),
        (None, Some(Known::Deleted)) => Err(Error::NoTemplate(id)),
        (None, None) => Ok(Found::Template(state.templates.ask(workspace, id).await?)),
    }
}

/// Makes the message once, so that whatever stands in its way is told before it is accepted.
fn try_out(snapshot: &CampaignSnapshot, data: &RawJson) -> Result<(), Error> {
    let compiled = check(snapshot, "")?;
    delivery::try_out(&compiled, snapshot, data).map_err(|error| {
        let (code, detail) = (error.code(), error.to_string());
        let pointer = match error {
            RenderError::MissingVariables { variables, .. } => {
                return Error::MissingVariables(variables);
            }
            RenderError::DataTooLarge => "/data",
            RenderError::TooExpensive { field }
            | RenderError::TooLarge { field, .. }
            | RenderError::Failed { field, .. } => field.pointer(),
        };
        let invalid = InvalidInput::field(pointer, detail);
        InvalidInput { code, ..invalid }.into()
    })
}
