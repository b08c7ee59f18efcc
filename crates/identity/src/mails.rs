//! Mails to people of this installation: jobs, so that a request neither waits for a mail nor
//! tells by its time whether there is somebody to write to.

use std::sync::Arc;

use chassis::client::{Peer, PeerError};
use chassis::http::Language;
use chassis::jobs::{Done, Job, Runner};
use chrono::{DateTime, Duration as Span, Utc};
use common::dto::dispatch::HouseMail;
use common::values::EmailAddress;
use common::{InvitationId, UserId, WorkspaceId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use url::Url;
use uuid::Uuid;

use crate::domain::User;
use crate::error::Error;
use crate::state::State;
use crate::store::mail_tokens::{self, MailToken, Purpose};
use crate::store::{invitations, members, workspaces};
use crate::tokens;

/// How long a secret in a mail works.
const VERIFY_HOURS: i64 = 72;
const RESET_MINUTES: i64 = 10;
/// Somebody who asks again so soon gets no second mail.
const AGAIN_S: i64 = 60;

/// Who sends mails for us, and what their links begin with.
#[derive(Clone, Debug)]
pub(crate) struct Post {
    pub(crate) notifications: Arc<Peer>,
    pub(crate) public_url: Url,
}

/// Asks somebody to show that mails reach them.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Verify {
    pub(crate) user_id: UserId,
    #[serde(default)]
    language: Language,
    key: Uuid,
}

impl Verify {
    pub(crate) fn of(user_id: UserId, language: Language) -> Self {
        let key = Uuid::now_v7();
        Self {
            user_id,
            language,
            key,
        }
    }
}

impl Job for Verify {
    const KIND: &'static str = "mail.verify";
}

/// Somebody asks for a new password of whoever has this address, if anybody does.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Reset {
    email_key: String,
    #[serde(default)]
    language: Language,
    key: Uuid,
}

impl Reset {
    pub(crate) fn of(email_key: String, language: Language) -> Self {
        let key = Uuid::now_v7();
        Self {
            email_key,
            language,
            key,
        }
    }
}

impl Job for Reset {
    const KIND: &'static str = "mail.reset";

    fn unique_key(&self) -> Option<String> {
        Some(self.email_key.clone())
    }
}

/// Sends an invitation, in the language of whoever invites: nobody knows another one yet.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Invite {
    workspace_id: WorkspaceId,
    invitation_id: InvitationId,
    #[serde(default)]
    language: Language,
    key: Uuid,
}

impl Invite {
    pub(crate) fn of(
        workspace_id: WorkspaceId,
        invitation_id: InvitationId,
        language: Language,
    ) -> Self {
        let key = Uuid::now_v7();
        Self {
            workspace_id,
            invitation_id,
            language,
            key,
        }
    }
}

impl Job for Invite {
    const KIND: &'static str = "mail.invite";
}

/// Tells somebody what happened to their account.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Notice {
    to: String,
    what: News,
    at: DateTime<Utc>,
    #[serde(default)]
    language: Language,
    key: Uuid,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum News {
    PasswordChanged,
    EmailChanged,
    SecondFactorOn,
    SecondFactorOff,
    Linked,
    Unlinked,
}

impl News {
    fn sentence(self, language: Language) -> &'static str {
        let (english, german) = match self {
            Self::PasswordChanged => ("your password was changed", "wurde dein Passwort geändert"),
            Self::EmailChanged => (
                "the email address of your account was changed to another one",
                "wurde die E-Mail-Adresse deines Kontos durch eine andere ersetzt",
            ),
            Self::SecondFactorOn => (
                "a second factor was added to your account",
                "kam ein zweiter Faktor zu deinem Konto hinzu",
            ),
            Self::SecondFactorOff => (
                "the second factor of your account was removed",
                "wurde der zweite Faktor deines Kontos entfernt",
            ),
            Self::Linked => (
                "another way to sign in was linked to your account",
                "wurde eine weitere Art der Anmeldung mit deinem Konto verknüpft",
            ),
            Self::Unlinked => (
                "a way to sign in was removed from your account",
                "wurde eine Art der Anmeldung von deinem Konto entfernt",
            ),
        };
        language.pick(english, german)
    }
}

impl Notice {
    pub(crate) fn to(user: &User, what: News, language: Language, at: DateTime<Utc>) -> Self {
        Self {
            to: user.email.clone(),
            what,
            at,
            language,
            key: Uuid::now_v7(),
        }
    }
}

impl Job for Notice {
    const KIND: &'static str = "mail.notice";
}

/// Runs the jobs above.
pub(crate) fn runner(state: &State) -> Runner {
    let (first, second, third, fourth) =
        (state.clone(), state.clone(), state.clone(), state.clone());
    Runner::new(&state.host)
        .on(move |job: Verify, attempt| {
            let state = first.clone();
            async move { ended(verify(&state, job).await, attempt) }
        })
        .on(move |job: Reset, attempt| {
            let state = second.clone();
            async move { ended(reset(&state, job).await, attempt) }
        })
        .on(move |job: Invite, attempt| {
            let state = third.clone();
            async move { ended(invite(&state, job).await, attempt) }
        })
        .on(move |job: Notice, attempt| {
            let state = fourth.clone();
            async move { ended(notice(&state, job).await, attempt) }
        })
}

/// What cannot be sent now is tried for a day; what was refused will be refused again.
fn ended(sent: Result<(), MailError>, attempt: u32) -> Done {
    match sent {
        Ok(()) => Done::Done,
        Err(MailError::Peer(PeerError::Refused(problem))) => Done::GiveUp(problem.detail),
        Err(error @ MailError::NoPost) => Done::GiveUp(error.to_string()),
        Err(error) => Done::again_for_a_day(attempt, error.to_string()),
    }
}

#[derive(Debug, thiserror::Error)]
enum MailError {
    #[error("NOTIFICATIONS_URL and CLARION_PUBLIC_URL are not set: no mails are sent")]
    NoPost,
    #[error(transparent)]
    Ours(#[from] Error),
    #[error(transparent)]
    Peer(#[from] PeerError),
}

async fn verify(state: &State, job: Verify) -> Result<(), MailError> {
    let now = state.now();
    let (secret, hash) = tokens::opaque("clm_")?;
    let found = state
        .host
        .db
        .transaction(move |conn| {
            let user = members::by_id(conn, job.user_id)?;
            let Some(user) = user.filter(|user| user.email_verified_at.is_none()) else {
                return Ok::<_, Error>(None);
            };
            let token = token_of(&user, hash, Purpose::Verify, Span::hours(VERIFY_HOURS), now);
            mail_tokens::replace(conn, &token)?;
            Ok(Some(user))
        })
        .await?;
    let Some(user) = found else { return Ok(()) };
    let letter = Letter {
        subject: job.language.pick(
            "Please confirm your email address",
            "Bitte bestätige deine E-Mail-Adresse",
        ),
        text: job.language.pick(
            "Hello {{ data.name }},\n\nplease confirm that this is your address:\n\n\
             {{ data.url }}\n\nThe link works for three days. If you did not register at \
             Clarion, ignore this mail.\n",
            "Hallo {{ data.name }},\n\nbitte bestätige, dass das deine Adresse ist:\n\n\
             {{ data.url }}\n\nDer Link gilt drei Tage. Hast du dich nicht bei Clarion \
             angemeldet, dann übergehe diese Mail.\n",
        ),
        data: json!({ "name": user.name }),
    };
    send(state, job.key, &user.email, letter, Some(&secret)).await
}

async fn reset(state: &State, job: Reset) -> Result<(), MailError> {
    let now = state.now();
    let (secret, hash) = tokens::opaque("clm_")?;
    let found = state
        .host
        .db
        .transaction(move |conn| {
            let Some(user) = members::by_email(conn, &job.email_key)? else {
                return Ok::<_, Error>(None);
            };
            let last = mail_tokens::made_at(conn, user.id, Purpose::Reset)?;
            if last.is_some_and(|at| now - at < Span::seconds(AGAIN_S)) {
                return Ok(None);
            }
            let lasts = Span::minutes(RESET_MINUTES);
            let token = token_of(&user, hash, Purpose::Reset, lasts, now);
            mail_tokens::replace(conn, &token)?;
            Ok(Some(user))
        })
        .await?;
    let Some(user) = found else { return Ok(()) };
    let letter = Letter {
        subject: job.language.pick(
            "A new password for Clarion",
            "Ein neues Passwort für Clarion",
        ),
        text: job.language.pick(
            "Hello {{ data.name }},\n\nsomebody, hopefully you, asked for a new password. Choose \
             it here:\n\n{{ data.url }}\n\nThe link works for ten minutes and once. If it was \
             not you, ignore this mail: your password stays as it is.\n",
            "Hallo {{ data.name }},\n\njemand, hoffentlich du, hat um ein neues Passwort gebeten. \
             Wähle es hier:\n\n{{ data.url }}\n\nDer Link gilt zehn Minuten und einmal. \
             Warst du es nicht, dann übergehe diese Mail: Dein Passwort bleibt, wie es ist.\n",
        ),
        data: json!({ "name": user.name }),
    };
    let sent = send(state, job.key, &user.email, letter, Some(&secret)).await;
    if sent.is_err() {
        // Nobody got it: the next try is not too soon.
        let forget = state.host.db.run(move |conn| {
            Ok::<_, Error>(mail_tokens::forget(conn, user.id, Purpose::Reset.as_str())?)
        });
        forget.await?;
    }
    sent
}

async fn invite(state: &State, job: Invite) -> Result<(), MailError> {
    let (secret, hash) = tokens::opaque("cli_")?;
    let found = state
        .host
        .db
        .transaction(move |conn| {
            let (workspace, id) = (job.workspace_id, job.invitation_id);
            let invitation = invitations::find(conn, workspace, id)?;
            let workspace = workspaces::find(conn, workspace)?;
            let found = invitation.zip(workspace);
            if let Some((invitation, workspace)) = &found {
                invitations::set_hash(conn, workspace.id, invitation.id, &hash)?;
            }
            Ok::<_, Error>(found)
        })
        .await?;
    let Some((invitation, workspace)) = found else {
        return Ok(());
    };
    let letter = Letter {
        subject: job.language.pick(
            "You are invited to {{ data.workspace }}",
            "Einladung zu {{ data.workspace }}",
        ),
        text: job.language.pick(
            "Hello,\n\nyou are invited to work in {{ data.workspace }} at Clarion. Accept it \
             here:\n\n{{ data.url }}\n\nThe link works for a week. If you do not know what this \
             is about, ignore this mail.\n",
            "Hallo,\n\ndu bist eingeladen, bei Clarion in {{ data.workspace }} mitzuarbeiten. Nimm \
             die Einladung hier an:\n\n{{ data.url }}\n\nDer Link gilt eine Woche. Weißt du nicht, \
             worum es geht, dann übergehe diese Mail.\n",
        ),
        data: json!({ "workspace": workspace.name }),
    };
    send(state, job.key, &invitation.email, letter, Some(&secret)).await
}

async fn notice(state: &State, job: Notice) -> Result<(), MailError> {
    let at = job.at.format("%Y-%m-%d %H:%M UTC").to_string();
    let letter = Letter {
        subject: job.language.pick(
            "A change of your Clarion account",
            "Eine Änderung an deinem Clarion-Konto",
        ),
        text: job.language.pick(
            "Hello,\n\nat {{ data.at }} {{ data.what }}.\n\nIf it was not you, ask for a new \
             password at once and tell an owner of your workspace.\n",
            "Hallo,\n\num {{ data.at }} {{ data.what }}.\n\nWarst du es nicht, dann fordere \
             sofort ein neues Passwort an und sage es jemandem, dem dein Arbeitsbereich gehört.\n",
        ),
        data: json!({ "at": at, "what": job.what.sentence(job.language) }),
    };
    send(state, job.key, &job.to, letter, None).await
}

fn token_of(
    user: &User,
    hash: Vec<u8>,
    purpose: Purpose,
    lasts: Span,
    now: DateTime<Utc>,
) -> MailToken {
    MailToken {
        hash,
        kind: purpose.as_str().to_owned(),
        user_id: user.id,
        email_key: user.email_key.clone(),
        created_at: now,
        expires_at: now + lasts,
    }
}

/// What a mail says, and what its variables stand for.
struct Letter {
    subject: &'static str,
    text: &'static str,
    data: Value,
}

/// Hands a mail to notifications, once per key. A secret becomes a link to its page.
async fn send(
    state: &State,
    key: Uuid,
    to: &str,
    letter: Letter,
    secret: Option<&str>,
) -> Result<(), MailError> {
    let post = state.post.as_ref().ok_or(MailError::NoPost)?;
    let mut data = match letter.data {
        Value::Object(data) => data,
        _ => Map::new(),
    };
    if let Some(secret) = secret {
        let base = post.public_url.as_str().trim_end_matches('/');
        data.insert("url".into(), json!(format!("{base}/a/{secret}")));
    }
    let mail = HouseMail {
        key,
        to: EmailAddress::parse(to).map_err(Error::internal)?,
        subject: letter.subject.to_owned(),
        text: letter.text.to_owned(),
        data,
    };
    let sent: Result<Value, _> = post.notifications.post("/internal/messages", &mail).await;
    Ok(sent.map(|_| ())?)
}
