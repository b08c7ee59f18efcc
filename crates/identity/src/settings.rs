//! identity's settings.

use std::str::FromStr;

use chassis::settings::{Base, Environment, Reader};
use common::auth::Service;
use common::values::{EmailAddress, Secret};
use url::Url;

use crate::domain::Password;

/// What identity needs to know to start.
#[derive(Debug)]
pub struct Settings {
    pub base: Base,
    /// Made when there is nobody yet.
    pub first_owner: Option<FirstOwner>,
    pub registration: Registration,
    /// Who sends our mails, and what their links begin with. Without them there are no mails.
    pub notifications_url: Option<Url>,
    pub public_url: Option<Url>,
    /// Whose changes are taken over into the audit trail, beside notifications' and our own.
    pub leads_url: Option<Url>,
    pub campaigns_url: Option<Url>,
    pub analytics_url: Option<Url>,
}

/// Whom to make owner of the first workspace.
#[derive(Clone, Debug)]
pub struct FirstOwner {
    pub email: EmailAddress,
    pub password: Secret,
}

/// Whether a stranger may open a workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registration {
    Open,
    Closed,
}

impl FromStr for Registration {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "open" => Ok(Self::Open),
            "closed" => Ok(Self::Closed),
            _ => Err("must be open or closed"),
        }
    }
}

impl Settings {
    /// Reads the common settings, `CLARION_OWNER_EMAIL`, `CLARION_OWNER_PASSWORD`,
    /// `IDENTITY_REGISTRATION` (closed in production unless it says otherwise),
    /// `NOTIFICATIONS_URL`, `CLARION_PUBLIC_URL`, `LEADS_URL`, `CAMPAIGNS_URL` and
    /// `ANALYTICS_URL`.
    pub fn read(read: &mut Reader<'_>, default_port: u16) -> Self {
        let base = Base::read(read, Service::Identity, default_port);
        let default = match base.environment {
            Environment::Prod => Registration::Closed,
            Environment::Local | Environment::Dev => Registration::Open,
        };
        Self {
            first_owner: first_owner(read),
            registration: read.or("IDENTITY_REGISTRATION", default),
            notifications_url: read.optional("NOTIFICATIONS_URL"),
            public_url: read.optional("CLARION_PUBLIC_URL"),
            leads_url: read.optional("LEADS_URL"),
            campaigns_url: read.optional("CAMPAIGNS_URL"),
            analytics_url: read.optional("ANALYTICS_URL"),
            base,
        }
    }
}

fn first_owner(read: &mut Reader<'_>) -> Option<FirstOwner> {
    let email: Option<EmailAddress> = read.optional("CLARION_OWNER_EMAIL");
    let password = read.optional_secret("CLARION_OWNER_PASSWORD");
    match (email, password) {
        (Some(email), Some(password)) => {
            if let Err(why) = Password::parse(password.expose()) {
                read.refuse("CLARION_OWNER_PASSWORD", why);
            }
            Some(FirstOwner { email, password })
        }
        (Some(_), None) => {
            read.refuse(
                "CLARION_OWNER_PASSWORD",
                "must be set with CLARION_OWNER_EMAIL",
            );
            None
        }
        _ => None,
    }
}
