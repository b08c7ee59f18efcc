//! What the environment says.

use chassis::settings::{Base, Reader};
use common::token::Keyring;
use url::Url;

/// The settings of this service; see the crate's README for their names.
#[derive(Debug)]
pub struct Settings {
    pub base: Base,
    pub notifications: Url,
    pub analytics: Url,
    /// What links in mails begin with.
    pub public_url: Url,
    /// Signs and opens the tokens in mails; the same in every service that makes links.
    pub keys: Keyring,
    /// The largest CSV that may be uploaded, in bytes.
    pub import_limit: u64,
}

impl Settings {
    pub(crate) fn read(read: &mut Reader<'_>, base: Base) -> Self {
        Self {
            base,
            notifications: read.peer("NOTIFICATIONS_URL"),
            analytics: read.peer("ANALYTICS_URL"),
            public_url: read.url("CLARION_PUBLIC_URL"),
            keys: Keyring::new(read.secret("CLARION_LINK_SECRET")),
            import_limit: read.or("LEADS_IMPORT_LIMIT_MB", 1024_u64) * 1024 * 1024,
        }
    }
}
