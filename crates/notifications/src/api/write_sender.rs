//! The body that makes or changes a sender.

use std::collections::BTreeMap;

use chassis::InvalidInput;
use chassis::sealing::Vault;
use chrono::{DateTime, Utc};
use common::FieldError;
use common::ids::{SenderId, WorkspaceId};
use mail::smtp::Tls;
use serde::{Deserialize, Deserializer};

use crate::domain::sender as rules;
use crate::domain::warm_up::WarmUp;
use crate::store::senders::Sender;

/// A new sender, or changes to one: what is absent stays, what is null is emptied. A new one needs
/// `name` and `host`.
#[derive(Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = notifications::WriteSender)]
pub(crate) struct WriteSender {
    name: Option<String>,
    host: Option<String>,
    /// When absent: 465 with `implicit` TLS, else 25.
    port: Option<u16>,
    /// `none`, `opportunistic`, `required` or `implicit`. When absent: `required` with a password
    /// that leaves this machine, else `opportunistic`.
    tls: Option<String>,
    /// Given together with `password`.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    user: Option<Option<String>>,
    /// Kept sealed and never shown. It must be given again when host, port or TLS change.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    password: Option<Option<String>>,
    /// 100 when absent.
    priority: Option<i32>,
    domains: Option<Vec<String>>,
    /// 1 to 64; 4 when absent.
    connections: Option<u8>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<f64>)]
    per_second: Option<Option<f64>>,
    domain_rates: Option<BTreeMap<String, f64>>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<WarmUp>)]
    warm_up: Option<Option<WarmUp>>,
    enabled: Option<bool>,
}

impl std::fmt::Debug for WriteSender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WriteSender")
    }
}

/// Tells an explicit null from an absent member.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    value: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(value).map(Some)
}

/// A sender before anything is said about it.
pub(super) fn blank(workspace_id: WorkspaceId, now: DateTime<Utc>) -> Sender {
    Sender {
        workspace_id,
        id: SenderId::new(),
        name: String::new(),
        host: String::new(),
        port: 0,
        tls: String::new(),
        username: None,
        password: None,
        priority: 100,
        domains: Vec::new(),
        connections: 4,
        per_second: None,
        domain_rates: serde_json::json!({}),
        warm_up: None,
        enabled: true,
        version: 0,
        created_at: now,
        updated_at: now,
    }
}

/// What is said about user and password.
enum Credentials {
    Unchanged,
    None,
    Set(String, String),
}

impl WriteSender {
    /// The sender as it is after this, or everything that is wrong with it.
    pub(super) fn applied(
        self,
        before: &Sender,
        vault: &Vault,
        now: DateTime<Utc>,
    ) -> Result<Sender, InvalidInput> {
        let mut wrong = Vec::new();
        let mut sender = before.clone();
        if let Some(name) = &self.name {
            sender.name = name.trim().to_owned();
        }
        refuse(&mut wrong, "/name", rules::line(&sender.name, 200));
        self.limit(&mut sender, &mut wrong);
        let credentials = self.credentials(before, &mut wrong);
        self.place(&mut sender, &credentials, &mut wrong);
        let place = |sender: &Sender| (sender.host.clone(), sender.port, sender.tls.clone());
        // Or whoever may edit senders could have the password said to a server of their own.
        let unseen = before.password.is_some() && matches!(credentials, Credentials::Unchanged);
        if unseen && place(before) != place(&sender) {
            let detail = "must be given again when host, port or tls change";
            wrong.push(FieldError::new("/password", detail));
        }
        if !wrong.is_empty() {
            return Err(InvalidInput::fields(wrong));
        }
        match credentials {
            Credentials::Unchanged => {}
            Credentials::None => (sender.username, sender.password) = (None, None),
            Credentials::Set(user, password) => {
                sender.password = Some(vault.seal(password.as_bytes()));
                sender.username = Some(user);
            }
        }
        sender.version += 1;
        sender.updated_at = now;
        Ok(sender)
    }

    fn credentials(&self, before: &Sender, wrong: &mut Vec<FieldError>) -> Credentials {
        let (user, password) = match (&self.user, &self.password) {
            (None, None) => return Credentials::Unchanged,
            (None | Some(None), Some(None)) | (Some(None), None) => return Credentials::None,
            (Some(user), None) if *user == before.username => return Credentials::Unchanged,
            (user, password) => (
                user.clone().unwrap_or_else(|| before.username.clone()),
                password.clone().flatten(),
            ),
        };
        for (pointer, text) in [("/user", &user), ("/password", &password)] {
            let text = text.as_deref().unwrap_or_default();
            if text.is_empty() || text.len() > 1_000 || text.contains(['\0', '\r', '\n']) {
                let detail = "must be given with the other, in one line of at most 1000 octets";
                wrong.push(FieldError::new(pointer, detail));
            }
        }
        Credentials::Set(user.unwrap_or_default(), password.unwrap_or_default())
    }

    /// Where it is and how it is reached.
    fn place(&self, sender: &mut Sender, credentials: &Credentials, wrong: &mut Vec<FieldError>) {
        if let Some(host) = &self.host {
            sender.host.clone_from(host);
        }
        refuse(wrong, "/host", rules::host(&sender.host));
        if let Some(tls) = &self.tls {
            sender.tls.clone_from(tls);
        } else if sender.tls.is_empty() {
            let with_password = matches!(credentials, Credentials::Set(..));
            sender.tls = Tls::usual(with_password, &sender.host).as_str().to_owned();
        }
        let tls = Tls::parse(&sender.tls);
        if tls.is_none() {
            let detail = "must be none, opportunistic, required or implicit";
            wrong.push(FieldError::new("/tls", detail));
        }
        match self.port {
            Some(0) => wrong.push(FieldError::new("/port", "must be between 1 and 65535")),
            Some(port) => sender.port = port.into(),
            None if sender.port == 0 && tls == Some(Tls::Implicit) => sender.port = 465,
            None if sender.port == 0 => sender.port = 25,
            None => {}
        }
    }

    /// What limits it and when it is used.
    fn limit(&self, sender: &mut Sender, wrong: &mut Vec<FieldError>) {
        if let Some(per_second) = self.per_second {
            let checked = per_second.map_or(Ok(()), rules::rate);
            refuse(wrong, "/per_second", checked);
            sender.per_second = per_second;
        }
        if let Some(connections) = self.connections {
            if !(1..=64).contains(&connections) {
                wrong.push(FieldError::new("/connections", "must be between 1 and 64"));
            }
            sender.connections = connections.into();
        }
        if let Some(domains) = &self.domains {
            sender.domains = rules::domains(domains, wrong);
        }
        if let Some(rates) = &self.domain_rates {
            sender.domain_rates = serde_json::json!(rules::domain_rates(rates, wrong));
        }
        if let Some(plan) = &self.warm_up {
            rules::warm_up(plan.as_ref(), wrong);
            sender.warm_up = plan.as_ref().map(|plan| serde_json::json!(plan));
        }
        sender.priority = self.priority.unwrap_or(sender.priority);
        sender.enabled = self.enabled.unwrap_or(sender.enabled);
    }
}

fn refuse(wrong: &mut Vec<FieldError>, pointer: &str, checked: Result<(), impl ToString>) {
    if let Err(why) = checked {
        wrong.push(FieldError::new(pointer, why.to_string()));
    }
}
