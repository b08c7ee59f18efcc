//! What every handler of identity may use.

use chassis::Host;
use chassis::sealing::Vault;
use chrono::{DateTime, Utc};
use common::values::Secret;

use crate::keys::Keys;
use crate::mails::Post;
use crate::oidc::Provider;
use crate::passwords::Passwords;
use crate::settings::Registration;

/// Clones share everything.
#[derive(Clone)]
pub(crate) struct State {
    pub(crate) host: Host,
    pub(crate) keys: Keys,
    pub(crate) passwords: Passwords,
    pub(crate) registration: Registration,
    pub(crate) service_secret: Secret,
    pub(crate) vault: Vault,
    /// None: no mails are sent.
    pub(crate) post: Option<Post>,
    /// None: people sign in here only.
    pub(crate) oidc: Option<Provider>,
}

impl State {
    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.host.clock.now()
    }
}
