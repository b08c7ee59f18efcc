//! identity's settings.

use std::str::FromStr;

use chassis::sealing::Vault;
use chassis::settings::{Base, Environment, Reader};
use common::auth::Service;
use common::values::{EmailAddress, Secret};
use url::{Host, Url};

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
    /// Who else vouches for people.
    pub oidc: Option<Oidc>,
    /// What seals the secrets that the database keeps.
    pub vault: Vault,
}

/// An OpenID provider that knows this installation as its client.
#[derive(Clone, Debug)]
pub struct Oidc {
    /// Exactly as the provider writes it.
    pub issuer: String,
    pub client_id: String,
    pub client_secret: Secret,
    /// What people call it.
    pub name: String,
}

impl Oidc {
    /// Whether nobody on the way can listen: TLS, or this machine.
    pub(crate) fn is_safe(url: &Url) -> bool {
        let here = match url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        url.scheme() == "https" || (url.scheme() == "http" && here)
    }

    fn read(read: &mut Reader<'_>, public_url: Option<&Url>) -> Option<Self> {
        let issuer: String = read.optional("IDENTITY_OIDC_ISSUER")?;
        match Url::parse(&issuer) {
            Ok(url) if url.query().or(url.fragment()).is_some() || !Self::is_safe(&url) => {
                let why = "must be an https URL without a query (http on this machine only)";
                read.refuse("IDENTITY_OIDC_ISSUER", why);
            }
            Ok(_) if public_url.is_none() => {
                read.refuse(
                    "CLARION_PUBLIC_URL",
                    "must be set with IDENTITY_OIDC_ISSUER",
                );
            }
            Ok(_) => {}
            Err(error) => read.refuse("IDENTITY_OIDC_ISSUER", error),
        }
        let client_id: Option<String> = read.optional("IDENTITY_OIDC_CLIENT_ID");
        let client_secret = read.optional_secret("IDENTITY_OIDC_CLIENT_SECRET");
        for (name, missing) in [
            ("IDENTITY_OIDC_CLIENT_ID", client_id.is_none()),
            ("IDENTITY_OIDC_CLIENT_SECRET", client_secret.is_none()),
        ] {
            if missing {
                read.refuse(name, "must be set with IDENTITY_OIDC_ISSUER");
            }
        }
        Some(Self {
            issuer,
            client_id: client_id?,
            client_secret: client_secret?,
            name: read.or("IDENTITY_OIDC_NAME", "single sign-on".to_owned()),
        })
    }
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
    /// `NOTIFICATIONS_URL`, `CLARION_PUBLIC_URL`, `LEADS_URL`, `CAMPAIGNS_URL`, `ANALYTICS_URL`,
    /// and `IDENTITY_OIDC_ISSUER` with `IDENTITY_OIDC_CLIENT_ID`, `IDENTITY_OIDC_CLIENT_SECRET`
    /// and `IDENTITY_OIDC_NAME`.
    pub fn read(read: &mut Reader<'_>, default_port: u16) -> Self {
        let base = Base::read(read, Service::Identity, default_port);
        let default = match base.environment {
            Environment::Prod => Registration::Closed,
            Environment::Local | Environment::Dev => Registration::Open,
        };
        let public_url = read.optional("CLARION_PUBLIC_URL");
        let vault = Vault::read(read, Service::Identity, &base.service_secret);
        Self {
            oidc: Oidc::read(read, public_url.as_ref()),
            first_owner: first_owner(read),
            registration: read.or("IDENTITY_REGISTRATION", default),
            notifications_url: read.optional_peer("NOTIFICATIONS_URL"),
            public_url,
            vault,
            leads_url: read.optional_peer("LEADS_URL"),
            campaigns_url: read.optional_peer("CAMPAIGNS_URL"),
            analytics_url: read.optional_peer("ANALYTICS_URL"),
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
