//! Contents, compiled once and kept, and the making of one message from them.

use std::collections::HashMap;
use std::sync::Arc;

use chassis::sealing::Vault;
use chassis::{Db, Unavailable};
use chrono::{DateTime, Utc};
use common::dto::dispatch::CampaignSnapshot;
use common::ids::{CampaignId, WorkspaceId};
use common::json::RawJson;
use common::values::EmailAddress;
use content::{Compiled, Context, Parts, Prepared, Problem, RenderError, Rendered, Tracking};
use serde_json::json;
use uuid::Uuid;

use super::lane::Ready;
use super::links::{Links, Personal};
use super::outlets::Route;
use super::signing::Signing;
use crate::domain::utm::Parameters;
use crate::store::claims::{Claimed, Kind};
use crate::store::{people, snapshots};
use mail::mime::{self, Bulk, Mail, Unsubscribe};
use mail::smtp::Envelope;

/// Most contents kept at a time.
const KEPT: usize = 64;

/// Compiles a content, or tells everything that is wrong with it.
pub(crate) fn compile(snapshot: &CampaignSnapshot) -> Result<Compiled, Vec<Problem>> {
    Compiled::compile(Parts {
        subject: &snapshot.subject,
        preheader: Some(snapshot.preheader.as_str()).filter(|text| !text.is_empty()),
        source: &snapshot.content,
    })
}

/// Makes a transactional message of a content and throws it away; all variables that it cannot do
/// without are named at once.
pub(crate) fn try_out(
    compiled: &Compiled,
    snapshot: &CampaignSnapshot,
    data: &RawJson,
) -> Result<(), RenderError> {
    let mut context = Context::new()
        .with("data", data)
        .with("campaign", about_campaign(snapshot, None))
        .with("workspace", about_workspace(snapshot.workspace_id, ""));
    for name in ["unsubscribe_url", "preferences_url", "view_url"] {
        context.set(name, "https://link.invalid/");
    }
    match compiled.render(&context) {
        Err(RenderError::MissingVariables { field, variables }) => {
            let mut all = compiled.absent(&context);
            all.extend(variables);
            all.sort();
            all.dedup();
            Err(RenderError::MissingVariables {
                field,
                variables: all,
            })
        }
        rendered => rendered.map(drop),
    }
}

fn about_campaign(snapshot: &CampaignSnapshot, id: Option<&str>) -> Prepared {
    json!({ "id": id, "name": snapshot.name, "subject": snapshot.subject }).into()
}

fn about_workspace(id: WorkspaceId, name: &str) -> Prepared {
    json!({ "id": id, "name": name }).into()
}

/// A content with all that is the same in each of its messages.
#[derive(Debug)]
pub(crate) struct Letter {
    snapshot: CampaignSnapshot,
    compiled: Compiled,
    campaign: Prepared,
    campaign_id: String,
    workspace: Prepared,
    workspace_id: String,
    workspace_name: String,
    list_id: String,
    shown_again: bool,
    route: Arc<Route>,
    signing: Signing,
    utm: Parameters,
}

impl Letter {
    pub(crate) fn new(
        snapshot: CampaignSnapshot,
        campaign: Option<CampaignId>,
        workspace_name: String,
    ) -> Result<Self, String> {
        let compiled = compile(&snapshot).map_err(|problems| {
            let texts: Vec<_> = problems.iter().map(ToString::to_string).collect();
            texts.join("; ")
        })?;
        let (workspace, id) = (snapshot.workspace_id, campaign.map(|id| id.to_string()));
        let domain = mime::ascii_domain(&snapshot.from.email);
        Ok(Self {
            campaign: about_campaign(&snapshot, id.as_deref()),
            campaign_id: id.unwrap_or_default(),
            workspace: about_workspace(workspace, &workspace_name),
            workspace_id: workspace.to_string(),
            list_id: format!("{}.{domain}", workspace.0.simple()),
            route: Arc::new(Route {
                chosen: snapshot.sender_id,
                domain,
            }),
            shown_again: compiled.variables().contains_key("view_url"),
            signing: Signing::default(),
            utm: snapshot
                .utm
                .as_ref()
                .map(|utm| Parameters::of(utm, &snapshot.name))
                .unwrap_or_default(),
            workspace_name,
            compiled,
            snapshot,
        })
    }

    /// Looks whether other keys sign now; most often it was looked a moment ago.
    async fn refresh(&self, db: &Db, vault: &Vault) -> Result<(), LoadError> {
        if !self.signing.is_due() {
            return Ok(());
        }
        let domain = mime::ascii_domain(&self.snapshot.from.email);
        self.signing
            .refresh(db, vault, self.snapshot.workspace_id, domain)
            .await
    }

    /// The message as it is read in a browser: nothing in it is counted.
    pub(crate) fn show(&self, message: &Claimed, personal: &Personal) -> Result<Rendered, String> {
        let context = self.context(message, personal);
        self.compiled
            .render(&context)
            .map_err(|error| error.to_string())
    }

    fn context(&self, message: &Claimed, personal: &Personal) -> Context {
        let name = match message.kind {
            Kind::Transactional => "data",
            Kind::Campaign | Kind::Test => "lead",
        };
        Context::new()
            .with(name, &message.variables)
            .with("campaign", &self.campaign)
            .with("workspace", &self.workspace)
            .with("unsubscribe_url", personal.unsubscribe.as_str())
            .with("preferences_url", personal.preferences.as_str())
            .with("view_url", personal.view.as_str())
    }

    /// Makes one message, or says why it cannot be made for this person. `files` are the bytes of
    /// its attachments, in their order.
    pub(crate) fn make(
        &self,
        message: &Claimed,
        files: &[Vec<u8>],
        links: &Links,
        now: DateTime<Utc>,
    ) -> Result<Ready, String> {
        let to =
            EmailAddress::parse(&message.address).map_err(|why| format!("the address {why}"))?;
        let token = Links::token(message, now);
        let sender = links.return_path(&token);
        let sender = sender.as_ref().unwrap_or(&self.snapshot.from.email);
        let envelope = Envelope::new(sender, &to).map_err(|error| error.to_string())?;
        let (_, domain) = envelope.to().rsplit_once('@').unwrap_or_default();
        let domain = domain.to_ascii_lowercase();
        let personal = links.personal(&token);
        let context = self.context(message, &personal);
        let mut rewrite =
            |url: &str, index: usize| Some(links.click(&token, &self.utm.added_to(url), index));
        let tracking = match message.kind {
            // A receipt or a password link tells nobody that it was read.
            Kind::Transactional => Tracking::default(),
            Kind::Campaign | Kind::Test => Tracking {
                links: Some(&mut rewrite),
                pixel: Some(&personal.pixel),
                // What a test mail's scanner does counts for nobody.
                canary: personal
                    .canary
                    .as_deref()
                    .filter(|_| message.kind == Kind::Campaign),
            },
        };
        let rendered = self
            .compiled
            .render_tracked(&context, tracking)
            .map_err(|error| error.to_string())?;
        let attachments: Vec<_> = message
            .attachments
            .iter()
            .zip(files)
            .map(|(attachment, content)| mime::Attachment {
                filename: &attachment.filename,
                content_type: &attachment.content_type,
                content,
            })
            .collect();
        let mail = Mail {
            id: message.id(),
            from: &self.snapshot.from,
            to: &to,
            reply_to: self.snapshot.reply_to.as_ref(),
            date: now,
            subject: &rendered.subject,
            text: &rendered.text,
            html: rendered.html.as_deref(),
            bulk: self.bulk(message.kind, &personal),
            attachments: &attachments,
        };
        Ok(Ready {
            of: message.of,
            policy: message.policy,
            attempts: message.attempts,
            address: message.address.clone(),
            envelope,
            domain,
            content: self.signing.sign(mime::build(&mail), now),
            shown_again: self.shown_again,
            route: Arc::clone(&self.route),
            _room: None,
        })
    }

    fn bulk<'l>(&'l self, kind: Kind, personal: &'l Personal) -> Bulk<'l> {
        match kind {
            Kind::Transactional => Bulk::Automatic,
            Kind::Campaign | Kind::Test => Bulk::Campaign {
                unsubscribe: Unsubscribe {
                    url: &personal.unsubscribe,
                    mailto: personal.leave.as_ref().map(EmailAddress::as_str),
                },
                feedback: [&self.campaign_id, &self.workspace_id, kind.as_str()],
                list_name: &self.workspace_name,
                list_id: &self.list_id,
            },
        }
    }
}

/// A content that cannot be used any more (a template engine that became stricter) ends each of
/// its messages with this reason.
pub(super) type Found = Result<Arc<Letter>, Arc<str>>;

type Key = (WorkspaceId, Uuid, Option<CampaignId>);

/// The contents of the campaigns in work, the least recently used forgotten first.
#[derive(Debug)]
pub(super) struct Letters {
    vault: Vault,
    kept: HashMap<Key, (Found, u64)>,
    uses: u64,
}

impl Letters {
    pub(super) fn new(vault: Vault) -> Self {
        Self {
            vault,
            kept: HashMap::new(),
            uses: 0,
        }
    }

    pub(super) async fn of(&mut self, db: &Db, message: &Claimed) -> Result<Found, LoadError> {
        let key = (message.workspace(), message.snapshot_id, message.campaign());
        self.uses += 1;
        if let Some((found, used)) = self.kept.get_mut(&key) {
            *used = self.uses;
            if let Ok(letter) = found {
                letter.refresh(db, &self.vault).await?;
            }
            return Ok(found.clone());
        }
        let found = load(db, key).await?;
        if let Ok(letter) = &found {
            letter.refresh(db, &self.vault).await?;
        }
        if self.kept.len() >= KEPT {
            let oldest = self
                .kept
                .iter()
                .min_by_key(|(_, (_, used))| *used)
                .map(|(key, _)| *key);
            oldest.map(|key| self.kept.remove(&key));
        }
        self.kept.insert(key, (found.clone(), self.uses));
        Ok(found)
    }
}

/// Why a content cannot be had now.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    #[error(transparent)]
    Query(#[from] diesel::result::Error),
}

/// Reads and compiles on a blocking thread: compiling can take a while.
async fn load(db: &Db, (workspace, snapshot, campaign): Key) -> Result<Found, LoadError> {
    db.run(move |conn| {
        let name = people::workspace_name(conn, workspace)?;
        people::know_workspace(conn, workspace)?;
        let Some(snapshot) = snapshots::find(conn, workspace, snapshot)? else {
            return Ok(Err("its content is gone".into()));
        };
        Ok(match Letter::new(snapshot, campaign, name) {
            Ok(letter) => Ok(Arc::new(letter)),
            Err(why) => Err(why.into()),
        })
    })
    .await
}
