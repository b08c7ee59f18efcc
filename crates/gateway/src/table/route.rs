//! One line of the table.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::Method;
use serde::Deserialize;

use crate::limits::Rule;
use crate::upstream::Pool;

/// What a route asks of the caller, and what becomes of their credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Cors {
    /// Those that the settings list.
    #[default]
    Listed,
    /// All: what any web site embeds.
    Everybody,
}

/// Who is refused first when there is too much to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Priority {
    Low,
    #[default]
    Normal,
    High,
}

/// Whom a limit or a kept answer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Per {
    /// The user or the key; without credentials the address.
    Caller,
    Workspace,
    Address,
    Everybody,
}

/// How long an answer may be given again, and to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CacheRule {
    pub(crate) age: Duration,
    pub(crate) per: Per,
}

/// Another pool that gets a part of the requests.
#[derive(Clone, Debug)]
pub(crate) struct Canary {
    pub(crate) pool: Arc<Pool>,
    /// Of a hundred callers, so many; always the same ones.
    pub(crate) percent: u8,
    /// A request with this header goes there in any case.
    pub(crate) header: Option<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct Route {
    /// Its place in the table.
    pub(crate) index: usize,
    /// Matches the path itself and everything below it.
    pub(crate) prefix: String,
    /// Only for these; none is all.
    pub(crate) methods: Vec<Method>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) canary: Option<Canary>,
    pub(crate) auth: Auth,
    pub(crate) cors: Cors,
    /// The largest body, in bytes.
    pub(crate) body_limit: u64,
    /// Until when the part must begin to answer, where the usual time is too short.
    pub(crate) timeout: Option<Duration>,
    /// The same two for a form with files, where the route takes one.
    pub(crate) forms: Option<Terms>,
    /// How often an idempotent request may be repeated.
    pub(crate) retries: u32,
    pub(crate) limits: Vec<Arc<Rule>>,
    pub(crate) cache: Option<CacheRule>,
    pub(crate) priority: Priority,
    /// Texts may be packed. Not where an answer holds a secret beside what a client chose.
    pub(crate) compress: bool,
    /// A part that this installation may be without.
    pub(crate) optional: bool,
}

/// What a body may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) limit: u64,
    pub(crate) timeout: Option<Duration>,
}

impl Route {
    /// What holds for a body of this type.
    pub(crate) fn terms(&self, content_type: &str) -> Terms {
        let is_form = self.forms.is_some() && {
            let essence = content_type.split(';').next().unwrap_or_default();
            essence.trim().eq_ignore_ascii_case("multipart/form-data")
        };
        self.forms.filter(|_| is_form).unwrap_or(Terms {
            limit: self.body_limit,
            timeout: self.timeout,
        })
    }
}
