//! The table: which service answers a path, and on what terms.

mod file;
mod quantity;
mod route;
mod watch;

use std::collections::BTreeMap;
use std::sync::Arc;

use actix_web::http::Method;
use tokio_rustls::rustls::ClientConfig;

pub(crate) use file::{BadTable, DEFAULT};
pub(crate) use route::{Auth, CacheRule, Canary, Cors, Per, Priority, Route};
pub(crate) use watch::watch;

use crate::upstream::{Pool, Pools};

/// The methods that resources here have; CONNECT, TRACE and inventions are refused.
pub(crate) const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// A table as it was read. It never changes; a new one takes its place.
#[derive(Debug)]
pub(crate) struct Table {
    /// The longest prefix first; of one prefix, those for some methods first.
    routes: Vec<Route>,
    pools: Pools,
    /// The pools that describe themselves at `/openapi.json`.
    documented: Vec<Arc<Pool>>,
}

impl Table {
    /// Reads a table, and says everything that is wrong with it. Places that it does not name come
    /// from `urls`; those with `https://` are spoken to by `tls`. Pools of `known` that stay where
    /// they are stay as they are.
    pub(crate) fn read(
        text: &str,
        urls: &BTreeMap<String, String>,
        tls: Option<&Arc<ClientConfig>>,
        known: &Pools,
    ) -> Result<Self, BadTable> {
        file::read(text, urls, tls, known)
    }

    fn new(mut routes: Vec<Route>, pools: Pools, documented: Vec<Arc<Pool>>) -> Self {
        routes.sort_by_key(|route| {
            (
                std::cmp::Reverse(route.prefix.len()),
                route.methods.is_empty(),
            )
        });
        for (index, route) in routes.iter_mut().enumerate() {
            route.index = index;
        }
        Self {
            routes,
            pools,
            documented,
        }
    }

    /// The line for `path`.
    pub(crate) fn find(&self, method: &Method, path: &str) -> Option<&Route> {
        self.routes.iter().find(|route| {
            is_below(path, &route.prefix)
                && (route.methods.is_empty() || route.methods.contains(method))
        })
    }

    pub(crate) fn routes(&self) -> &[Route] {
        &self.routes
    }

    pub(crate) fn pools(&self) -> &Pools {
        &self.pools
    }

    pub(crate) fn documented(&self) -> &[Arc<Pool>] {
        &self.documented
    }

    /// A pool that this installation has.
    pub(crate) fn pool(&self, name: &str) -> Option<&Arc<Pool>> {
        self.pools.get(name).filter(|pool| pool.exists())
    }
}

fn is_below(path: &str, prefix: &str) -> bool {
    let (path, prefix) = (path.as_bytes(), prefix.as_bytes());
    path.starts_with(prefix) && matches!(path.get(prefix.len()), None | Some(b'/'))
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

    fn table() -> Table {
        Table::read(DEFAULT, &BTreeMap::new(), None, &Pools::new()).expect("the table is good")
    }

    fn part(path: &str) -> Option<String> {
        let table = table();
        let route = table.find(&Method::GET, path)?;
        Some(route.pool.name().to_owned())
    }

    #[test]
    fn a_prefix_ends_at_a_slash() {
        for (path, name) in [
            ("/api/v1/leads", Some("leads")),
            ("/api/v1/leads/7/timeline", Some("leads")),
            ("/api/v1/leadsx", None),
            ("/v1/track", Some("analytics")),
            ("/v/abc", Some("notifications")),
            ("/vx", None),
        ] {
            assert_eq!(part(path).as_deref(), name, "{path}");
        }
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
        let table = table();
        let limit = |path: &str| table.find(&Method::GET, path).expect("a route").body_limit;
        assert_eq!(limit("/api/v1/leads/imports"), 2 << 30);
        assert_eq!(limit("/api/v1/leads/1"), 2 << 20);
    }

    #[test]
    fn only_forms_with_files_may_be_larger_and_only_where_they_are_taken() {
        let table = table();
        let limit = |path: &str, kind: &str| {
            let route = table.find(&Method::POST, path).expect("a route");
            route.terms(kind).limit
        };
        let form = "Multipart/Form-Data; boundary=x";
        assert_eq!(limit("/api/v1/messages", form), 64 << 20);
        assert_eq!(limit("/api/v1/messages", "application/json"), 2 << 20);
        assert_eq!(limit("/api/v1/messages/retry", form), 2 << 20);
        assert_eq!(limit("/api/v1/leads", form), 2 << 20);
        assert_eq!(limit("/api/v1/leads/imports", form), 2 << 30);
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
