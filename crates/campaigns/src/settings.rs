//! From environment variables to types.

use chassis::settings::{Base, Environment, Reader};
use common::auth::Service as Name;
use url::Url;

/// Everything the service needs to start.
#[derive(Debug)]
pub struct Settings {
    pub base: Base,
    pub leads: Url,
    pub notifications: Url,
    pub analytics: Url,
    pub rules: Rules,
}

/// How strict the pre-flight is.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Whether a sending domain without DKIM is an error instead of a warning.
    pub require_authenticated_domain: bool,
    /// Whether links to private addresses are fetched; otherwise they are only named, so that
    /// nobody can make this server look around in its own network.
    pub check_private_links: bool,
}

impl Settings {
    /// Reads `LEADS_URL`, `NOTIFICATIONS_URL`, `ANALYTICS_URL`, `REQUIRE_AUTHENTICATED_DOMAIN`
    /// (true in production) and `CHECK_PRIVATE_LINKS` (false).
    pub fn read(read: &mut Reader<'_>) -> Self {
        let base = Base::read(read, Name::Campaigns, 8082);
        let strict = base.environment == Environment::Prod;
        Self {
            base,
            leads: read.peer("LEADS_URL"),
            notifications: read.peer("NOTIFICATIONS_URL"),
            analytics: read.peer("ANALYTICS_URL"),
            rules: Rules {
                require_authenticated_domain: read.or("REQUIRE_AUTHENTICATED_DOMAIN", strict),
                check_private_links: read.or("CHECK_PRIVATE_LINKS", false),
            },
        }
    }
}
