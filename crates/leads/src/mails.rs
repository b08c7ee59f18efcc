//! Mails that ask people to confirm what they sent in a form: jobs, so that sending a form takes as
//! long for an address that is known as for one that is not.

use std::sync::Arc;

use chassis::Unavailable;
use chassis::client::{Peer, PeerError};
use chassis::jobs::{Done, Job};
use common::dto::dispatch::HouseMail;
use common::token::ConfirmToken;
use common::values::EmailAddress;
use common::{SubmissionId, WorkspaceId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use url::Url;
use uuid::Uuid;

use crate::domain::words::words_of;
use crate::state::State;
use crate::store::{forms, leads, submissions};

/// Who sends mails for us, and what their links begin with.
#[derive(Clone, Debug)]
pub(crate) struct Post {
    pub(crate) notifications: Arc<Peer>,
    pub(crate) public_url: Url,
}

/// Asks whoever has the address.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Confirm {
    workspace_id: WorkspaceId,
    submission_id: SubmissionId,
    key: Uuid,
}

impl Confirm {
    pub(crate) fn of(workspace_id: WorkspaceId, submission_id: SubmissionId) -> Self {
        let key = Uuid::now_v7();
        Self {
            workspace_id,
            submission_id,
            key,
        }
    }
}

impl Job for Confirm {
    const KIND: &'static str = "mail.confirm";
}

#[derive(Debug, thiserror::Error)]
enum MailError {
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    #[error(transparent)]
    Query(#[from] diesel::result::Error),
    #[error("the lead has no address that mails can go to: {0}")]
    Address(#[from] common::values::Invalid),
    #[error(transparent)]
    Peer(#[from] PeerError),
}

/// What cannot be sent now is tried for a day; what was refused will be refused again.
pub(crate) async fn run(state: State, job: Confirm, attempt: u32) -> Done {
    match ask(&state, &job).await {
        Ok(()) => Done::Done,
        Err(MailError::Peer(PeerError::Refused(problem))) => Done::GiveUp(problem.detail),
        Err(error @ MailError::Address(_)) => Done::GiveUp(error.to_string()),
        Err(error) => Done::again_for_a_day(attempt, error.to_string()),
    }
}

async fn ask(state: &State, job: &Confirm) -> Result<(), MailError> {
    let (workspace, id) = (job.workspace_id, job.submission_id);
    let found = state
        .host
        .db
        .run(move |conn| {
            let Some(sent) = submissions::find(conn, workspace, id)? else {
                return Ok::<_, MailError>(None);
            };
            let lead = leads::find(conn, workspace, sent.lead_id)?;
            let form = forms::find(conn, workspace, sent.form_id)?;
            Ok(lead.zip(form).map(|(lead, form)| (sent, lead, form)))
        })
        .await?;
    // Whoever is gone is not asked, and neither is anybody for a form that is.
    let Some((sent, lead, form)) = found.filter(|(sent, _, _)| sent.confirmed_at.is_none()) else {
        return Ok(());
    };
    let token = state.keys.seal_confirmation(&ConfirmToken {
        workspace_id: workspace,
        submission_id: id,
        issued_at: state.host.clock.now(),
    });
    let base = state.post.public_url.as_str().trim_end_matches('/');
    let words = words_of(&form.language);
    let mut data = Map::new();
    let mut say = |name: &str, text: String| data.insert(name.into(), json!(text));
    say("title", form.title);
    say("wording", sent.wording);
    say("url", format!("{base}/f/confirm/{token}"));
    let mail = HouseMail {
        key: job.key,
        to: EmailAddress::parse(&lead.email)?,
        subject: words.subject.to_owned(),
        text: words.mail.to_owned(),
        data,
    };
    let post = &state.post.notifications;
    let sent: Result<Value, _> = post.post("/internal/messages", &mail).await;
    Ok(sent.map(|_| ())?)
}
