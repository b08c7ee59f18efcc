//! The table: which part answers a path, and on what terms.

use std::time::Duration;

use actix_web::http::Method;

/// Whoever stands behind the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Identity,
    Campaigns,
    Leads,
    Notifications,
    Analytics,
    Mailbox,
}

impl Part {
    pub(crate) const ALL: [Self; 6] = [
        Self::Identity,
        Self::Campaigns,
        Self::Leads,
        Self::Notifications,
        Self::Analytics,
        Self::Mailbox,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Campaigns => "campaigns",
            Self::Leads => "leads",
            Self::Notifications => "notifications",
            Self::Analytics => "analytics",
            Self::Mailbox => "mailbox",
        }
    }
}

/// What a route asks of the caller, and what becomes of their credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Auth {
    /// A credential is needed.
    Needed,
    /// A credential is checked if there is one.
    Optional,
    /// For everybody; credentials are not passed on.
    Open,
    /// The part has a way of its own (write keys, signatures): `Authorization` goes through.
    Own,
    /// For everybody, and the part reads the session cookie itself.
    Session,
}

/// Which pages of other origins may use a route from a browser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cors {
    /// Those that the settings list.
    Listed,
    /// All: what any web site embeds.
    Everybody,
}

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Route {
    /// Matches the path itself and everything below it.
    pub(crate) prefix: &'static str,
    pub(crate) part: Part,
    pub(crate) auth: Auth,
    pub(crate) cors: Cors,
    /// The largest body, in bytes.
    pub(crate) body_limit: u64,
    /// Until when the part must begin to answer, where the usual time is too short.
    pub(crate) timeout: Option<Duration>,
    /// The same two for a form with files, where the route takes one.
    forms: Option<Terms>,
}

/// What a body may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) limit: u64,
    pub(crate) timeout: Option<Duration>,
}

const MIB: u64 = 1024 * 1024;
/// The methods that resources here have; CONNECT, TRACE and inventions are refused.
pub(crate) const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

const fn route(prefix: &'static str, part: Part, auth: Auth) -> Route {
    Route {
        prefix,
        part,
        auth,
        cors: Cors::Listed,
        body_limit: 2 * MIB,
        timeout: None,
        forms: None,
    }
}

impl Route {
    const fn bodies_up_to(self, body_limit: u64) -> Self {
        Self { body_limit, ..self }
    }

    const fn forms_up_to(self, limit: u64, seconds: u64) -> Self {
        let timeout = Some(Duration::from_secs(seconds));
        let forms = Some(Terms { limit, timeout });
        Self { forms, ..self }
    }

    /// What holds for a body of this type.
    pub(crate) fn terms(&self, content_type: &str) -> Terms {
        let essence = content_type.split(';').next().unwrap_or_default();
        let is_form = essence.trim().eq_ignore_ascii_case("multipart/form-data");
        self.forms.filter(|_| is_form).unwrap_or(Terms {
            limit: self.body_limit,
            timeout: self.timeout,
        })
    }

    const fn within(self, seconds: u64) -> Self {
        let timeout = Some(Duration::from_secs(seconds));
        Self { timeout, ..self }
    }

    const fn for_every_page(self) -> Self {
        let cors = Cors::Everybody;
        Self { cors, ..self }
    }
}

/// Every public path. The longest prefix wins; what is not below any does not exist.
pub(crate) const TABLE: &[Route] = {
    use Auth::*;
    use Part::*;
    &[
        route("/api/v1/register", Identity, Open),
        route("/api/v1/login", Identity, Open),
        route("/api/v1/token", Identity, Open),
        route("/api/v1/logout", Identity, Optional),
        route("/api/v1/session", Identity, Session),
        route("/api/v1/sessions", Identity, Needed),
        route("/api/v1/users", Identity, Needed),
        route("/api/v1/invitations", Identity, Optional),
        route("/api/v1/api-keys", Identity, Needed),
        route("/api/v1/workspaces", Identity, Needed),
        route("/api/v1/audit", Identity, Needed),
        route("/api/v1/.well-known", Identity, Open).for_every_page(),
        route("/api/v1/leads", Leads, Needed),
        route("/api/v1/leads/imports", Leads, Needed)
            .bodies_up_to(2048 * MIB)
            .within(3600),
        route("/api/v1/leads/export", Leads, Needed).within(300),
        route("/api/v1/lists", Leads, Needed),
        route("/api/v1/segments", Leads, Needed),
        route("/api/v1/forms", Leads, Needed),
        route("/api/v1/suppressions", Leads, Needed),
        route("/u", Leads, Open),
        route("/p", Leads, Open),
        route("/f", Leads, Open).for_every_page(),
        route("/api/v1/campaigns", Campaigns, Needed).within(60),
        route("/api/v1/templates", Campaigns, Needed),
        route("/api/v1/messages", Notifications, Needed).forms_up_to(64 * MIB, 300),
        route("/api/v1/messages/retry", Notifications, Needed),
        route("/api/v1/senders", Notifications, Needed),
        route("/api/v1/domains", Notifications, Needed),
        route("/api/v1/webhooks", Notifications, Needed),
        route("/api/v1/hooks", Notifications, Needed),
        route("/v", Notifications, Open),
        route("/hooks", Notifications, Own),
        route("/api/v1/analytics", Analytics, Needed).bodies_up_to(16 * MIB),
        route("/api/v1/live", Analytics, Needed),
        route("/api/v1/write-keys", Analytics, Needed),
        route("/c", Analytics, Open),
        route("/o", Analytics, Open),
        route("/s", Analytics, Open),
        route("/t.js", Analytics, Open).for_every_page(),
        route("/visits", Analytics, Open).for_every_page(),
        route("/v1", Analytics, Own)
            .bodies_up_to(16 * MIB)
            .for_every_page(),
        route("/mailbox", Mailbox, Open),
    ]
};

/// The line for `path`.
pub(crate) fn find(path: &str) -> Option<&'static Route> {
    TABLE
        .iter()
        .filter(|route| is_below(path, route.prefix))
        .max_by_key(|route| route.prefix.len())
}

fn is_below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

pub(crate) fn knows(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET
            | Method::HEAD
            | Method::POST
            | Method::PUT
            | Method::PATCH
            | Method::DELETE
            | Method::OPTIONS
    )
}

/// Whether carrying a request out twice does what once does (RFC 9110 §9.2.2).
pub(crate) fn is_idempotent(method: &Method) -> bool {
    !matches!(*method, Method::POST | Method::PATCH)
}

/// Whether a request only reads (RFC 9110 §9.2.1).
pub(crate) fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Whether a path can be passed on: nothing in it may mean another path to somebody behind us.
pub(crate) fn is_plain(path: &str) -> bool {
    let mut segments = path.split('/');
    let dots = |segment: &str| {
        let segment = segment.to_ascii_lowercase().replace("%2e", ".");
        segment == "." || segment == ".."
    };
    let tricky = |text: &str| {
        let text = text.to_ascii_lowercase();
        text.contains("%00") || text.contains("%5c") || text.contains('\\')
    };
    // Most paths have nothing of the kind, and allocate nothing.
    let suspicious = path.contains(['%', '\\']) || path.contains("/.");
    !suspicious || !(segments.any(dots) || tricky(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(path: &str) -> Option<Part> {
        find(path).map(|route| route.part)
    }

    #[test]
    fn a_prefix_ends_at_a_slash() {
        assert_eq!(part("/api/v1/leads"), Some(Part::Leads));
        assert_eq!(part("/api/v1/leads/7/timeline"), Some(Part::Leads));
        assert_eq!(part("/api/v1/leadsx"), None);
        assert_eq!(part("/v1/track"), Some(Part::Analytics));
        assert_eq!(part("/v/abc"), Some(Part::Notifications));
        assert_eq!(part("/vx"), None);
    }

    #[test]
    fn what_is_internal_or_unknown_has_no_route() {
        for path in [
            "/internal",
            "/internal/events",
            "/%69nternal/events",
            "//internal",
            "/x",
        ] {
            assert_eq!(part(path), None, "{path}");
        }
    }

    #[test]
    fn the_longest_prefix_wins() {
        let imports = find("/api/v1/leads/imports").expect("a route");
        assert_eq!(imports.body_limit, 2 << 30);
        let leads = find("/api/v1/leads/1").expect("a route");
        assert_eq!(leads.body_limit, 2 << 20);
    }

    #[test]
    fn only_forms_with_files_may_be_larger_and_only_where_they_are_taken() {
        let limit = |path: &str, kind: &str| find(path).expect("a route").terms(kind).limit;
        let form = "Multipart/Form-Data; boundary=x";
        assert_eq!(limit("/api/v1/messages", form), 64 << 20);
        assert_eq!(limit("/api/v1/messages", "application/json"), 2 << 20);
        assert_eq!(limit("/api/v1/messages/retry", form), 2 << 20);
        assert_eq!(limit("/api/v1/leads", form), 2 << 20);
        assert_eq!(limit("/api/v1/leads/imports", form), 2 << 30);
    }

    #[test]
    fn no_prefix_is_listed_twice() {
        let mut prefixes: Vec<_> = TABLE.iter().map(|route| route.prefix).collect();
        prefixes.sort_unstable();
        let count = prefixes.len();
        prefixes.dedup();
        assert_eq!(prefixes.len(), count);
    }

    #[test]
    fn paths_that_climb_are_not_plain() {
        for path in [
            "/u/../internal/events",
            "/u/%2e%2E/internal",
            "/u/.%2e/internal",
            "/u/./x",
            "/u/a\\b",
            "/u/a%5Cb",
            "/u/a%00",
            "/u/..",
        ] {
            assert!(!is_plain(path), "{path}");
        }
        for path in [
            "/",
            "/api/v1/.well-known/jwks.json",
            "/u/a.b..c",
            "/f/J%C3%B6rg",
        ] {
            assert!(is_plain(path), "{path}");
        }
    }
}
