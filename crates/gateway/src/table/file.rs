//! The table as a file: read, checked, and everything that is wrong with it named at once.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::Method;
use chassis::tls::AUTHORITY;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;
use url::Url;

use super::quantity;
use super::route::{Auth, CacheRule, Canary, Cors, Per, Priority, Route, Terms};
use super::{Table, knows};
use crate::limits::Rule;
use crate::upstream::{Place, Pool, Pools, Secure};

/// The table that is compiled in.
pub(crate) const DEFAULT: &str = include_str!("routes.toml");
const BODY_LIMIT: u64 = 2 << 20;

/// Everything that is wrong with a table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("; "))]
pub(crate) struct BadTable(pub(crate) Vec<String>);

/// Lines stay unread at first: one that is wrong must not hide the next one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    pools: BTreeMap<String, toml::Value>,
    #[serde(default)]
    limits: BTreeMap<String, toml::Value>,
    #[serde(default)]
    routes: Vec<toml::Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PoolLine {
    #[serde(default)]
    replicas: Vec<String>,
    #[serde(default = "ready")]
    check: String,
    #[serde(default)]
    optional: bool,
    #[serde(default = "yes")]
    documents: bool,
}

fn ready() -> String {
    "/health/ready".to_owned()
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitLine {
    per: Per,
    rate: String,
    burst: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RouteLine {
    prefix: String,
    #[serde(default)]
    methods: Vec<String>,
    pool: String,
    auth: Auth,
    #[serde(default)]
    cors: Cors,
    body_limit: Option<String>,
    timeout: Option<String>,
    forms: Option<FormsLine>,
    #[serde(default = "once")]
    retries: u32,
    #[serde(default)]
    limits: Vec<String>,
    cache: Option<CacheLine>,
    #[serde(default)]
    priority: Priority,
    #[serde(default = "yes")]
    compress: bool,
    canary: Option<CanaryLine>,
}

fn once() -> u32 {
    1
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FormsLine {
    body_limit: String,
    timeout: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CacheLine {
    age: String,
    per: Per,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CanaryLine {
    pool: String,
    #[serde(default)]
    percent: u8,
    header: Option<String>,
}

/// Gathers what is wrong.
#[derive(Default)]
struct Check(Vec<String>);

impl Check {
    fn note(&mut self, place: &str, why: impl Display) {
        self.0.push(format!("{place}: {why}"));
    }

    fn take<T>(&mut self, place: &str, found: Result<T, impl Display>) -> Option<T> {
        found.map_err(|why| self.note(place, why)).ok()
    }

    fn time(&mut self, place: &str, text: Option<&str>) -> Option<Duration> {
        self.take(place, quantity::duration(text?))
    }

    fn size(&mut self, place: &str, text: Option<&str>) -> Option<u64> {
        self.take(place, quantity::bytes(text?))
    }

    /// What a line names, if it is there.
    fn find<T>(
        &mut self,
        place: &str,
        what: &str,
        name: &str,
        all: &BTreeMap<String, Arc<T>>,
    ) -> Option<Arc<T>> {
        let found = all.get(name).cloned();
        if found.is_none() {
            self.note(place, format!("there is no {what} {name}"));
        }
        found
    }

    fn line<T: DeserializeOwned>(&mut self, place: &str, value: toml::Value) -> Option<T> {
        let found = T::deserialize(value);
        let plain = found.map_err(|error| error.to_string().trim().replace('\n', " "));
        self.take(place, plain)
    }
}

pub(super) fn read(
    text: &str,
    urls: &BTreeMap<String, String>,
    tls: Option<&Arc<ClientConfig>>,
    known: &Pools,
) -> Result<Table, BadTable> {
    let file: File = toml::from_str(text)
        .map_err(|error| BadTable(vec![error.to_string().trim().replace('\n', " ")]))?;
    let mut check = Check::default();
    let (mut pools, mut documented, mut optional) = (Pools::new(), Vec::new(), Vec::new());
    for (name, value) in file.pools {
        let place = format!("pools.{name}");
        let Some(line) = check.line::<PoolLine>(&place, value) else {
            continue;
        };
        let pool = pool(&mut check, &place, &name, &line, (urls, tls), known);
        if line.documents {
            documented.push(Arc::clone(&pool));
        }
        if line.optional {
            optional.push(name.clone());
        }
        pools.insert(name, pool);
    }
    let mut limits = BTreeMap::new();
    for (name, value) in file.limits {
        let place = format!("limits.{name}");
        if let Some(rule) = limit(&mut check, &place, &name, value) {
            limits.insert(name, Arc::new(rule));
        }
    }
    let mut routes: Vec<Route> = Vec::new();
    for (number, value) in file.routes.into_iter().enumerate() {
        let prefix = value.get("prefix").and_then(toml::Value::as_str);
        let place = match prefix {
            Some(prefix) => format!("routes {prefix}"),
            None => format!("routes, number {}", number + 1),
        };
        let line = check.line::<RouteLine>(&place, value);
        let route = line.and_then(|line| route(&mut check, &place, line, &pools, &limits));
        let Some(mut route) = route else { continue };
        route.optional = optional.iter().any(|name| name == route.pool.name());
        let again = routes.iter().any(|other| clash(other, &route));
        if again {
            check.note(&place, "is listed twice");
        }
        routes.push(route);
    }
    if routes.is_empty() && check.0.is_empty() {
        check.note("routes", "there are none");
    }
    match check.0.is_empty() {
        true => Ok(Table::new(routes, pools, documented)),
        false => Err(BadTable(check.0)),
    }
}

fn clash(one: &Route, other: &Route) -> bool {
    one.prefix == other.prefix
        && ((one.methods.is_empty() && other.methods.is_empty())
            || one.methods.iter().any(|it| other.methods.contains(it)))
}

fn pool(
    check: &mut Check,
    place: &str,
    name: &str,
    line: &PoolLine,
    (urls, tls): (&BTreeMap<String, String>, Option<&Arc<ClientConfig>>),
    known: &Pools,
) -> Arc<Pool> {
    let mut places = Vec::new();
    let given = line.replicas.iter().map(String::as_str);
    let from_settings = urls.get(name).into_iter().map(String::as_str);
    let texts: Vec<&str> = match line.replicas.is_empty() {
        true => from_settings.collect(),
        false => given.collect(),
    };
    for text in texts {
        let place_name = match line.replicas.is_empty() {
            true => format!("{}_URL", name.to_uppercase()),
            false => place.to_owned(),
        };
        places.extend(check.take(&place_name, place_of(text, tls)));
    }
    if !line.check.starts_with('/') {
        check.note(place, "check must be a path");
    }
    let same = known.get(name);
    let same = same.filter(|pool| pool.places() == places && pool.check == line.check);
    let fresh = || Arc::new(Pool::new(name, places.clone(), &line.check));
    same.cloned().unwrap_or_else(fresh)
}

/// `http://host:port`, or the same with `https://`: services answer below their own root.
fn place_of(text: &str, tls: Option<&Arc<ClientConfig>>) -> Result<Place, String> {
    let bad = format!("{text} must be http:// or https:// with a host and a port, and no path");
    let url = Url::parse(text).map_err(|_| bad.clone())?;
    let known = matches!(url.scheme(), "http" | "https");
    let plain = known && url.path() == "/" && url.query().is_none();
    let host = url.host_str().filter(|_| plain).ok_or(bad)?.to_owned();
    let secure = (url.scheme() == "https").then(|| {
        let config = tls.ok_or(format!("{text} needs {AUTHORITY}, which is not set"))?;
        let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned());
        Ok::<_, String>(Secure {
            name: name.map_err(|error| format!("{text}: {error}"))?,
            config: Arc::clone(config),
        })
    });
    Ok(Place {
        host,
        port: url.port_or_known_default().unwrap_or(80),
        secure: secure.transpose()?,
    })
}

fn limit(check: &mut Check, place: &str, name: &str, value: toml::Value) -> Option<Rule> {
    let line: LimitLine = check.line(place, value)?;
    let (count, time) = check.take(place, quantity::rate(&line.rate))?;
    if line.burst == Some(0) {
        check.note(place, "burst must be 1 or more");
        return None;
    }
    Some(Rule::new(
        name,
        line.per,
        count,
        time,
        line.burst.unwrap_or(count),
    ))
}

fn route(
    check: &mut Check,
    place: &str,
    line: RouteLine,
    pools: &Pools,
    limits: &BTreeMap<String, Arc<Rule>>,
) -> Option<Route> {
    let before = check.0.len();
    prefix(check, place, &line.prefix);
    let methods = methods(check, place, &line.methods);
    let pool = check.find(place, "pool", &line.pool, pools);
    let canary = line
        .canary
        .and_then(|line| canary(check, place, line, pools));
    let rules = line.limits.iter();
    let rules = rules
        .filter_map(|name| check.find(place, "limit", name, limits))
        .collect();
    let timeout = check.time(place, line.timeout.as_deref());
    let body_limit = check
        .size(place, line.body_limit.as_deref())
        .unwrap_or(BODY_LIMIT);
    let forms = line.forms.and_then(|forms| {
        let timeout = check.time(place, forms.timeout.as_deref());
        let limit = check.size(place, Some(&forms.body_limit))?;
        Some(Terms { limit, timeout })
    });
    let cache = line.cache.and_then(|cache| {
        if cache.per == Per::Everybody && line.auth != Auth::Open {
            check.note(place, "an answer to a caller is not for everybody");
        }
        let (age, per) = (check.time(place, Some(&cache.age))?, cache.per);
        Some(CacheRule { age, per })
    });
    (check.0.len() == before).then_some(())?;
    Some(Route {
        index: 0,
        prefix: line.prefix,
        methods,
        pool: pool?,
        canary,
        auth: line.auth,
        cors: line.cors,
        body_limit,
        timeout,
        forms,
        retries: line.retries,
        limits: rules,
        cache,
        priority: line.priority,
        compress: line.compress,
        optional: false,
    })
}

fn prefix(check: &mut Check, place: &str, prefix: &str) {
    let proper = prefix.starts_with('/') && prefix.len() > 1 && !prefix.ends_with('/');
    if !proper || prefix.contains("//") {
        check.note(place, "prefix must begin with / and not end with it");
    }
    if prefix == "/internal" || prefix.starts_with("/internal/") {
        check.note(place, "what is internal is not for the public");
    }
}

fn methods(check: &mut Check, place: &str, names: &[String]) -> Vec<Method> {
    let mut methods = Vec::new();
    for name in names {
        match Method::from_bytes(name.as_bytes()) {
            Ok(method) if knows(&method) => methods.push(method),
            _ => check.note(place, format!("{name} is not a method here")),
        }
    }
    methods
}

fn canary(check: &mut Check, place: &str, line: CanaryLine, pools: &Pools) -> Option<Canary> {
    if line.percent > 100 || (line.percent == 0 && line.header.is_none()) {
        check.note(place, "canary needs a percent of 1 to 100, or a header");
    }
    Some(Canary {
        pool: check.find(place, "pool", &line.pool, pools)?,
        percent: line.percent,
        header: line.header.map(|name| name.to_ascii_lowercase()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(text: &str) -> Vec<String> {
        let read = read(text, &BTreeMap::new(), None, &Pools::new());
        read.expect_err("something is wrong").0
    }

    #[test]
    fn everything_that_is_wrong_is_named_with_its_line() {
        let text = r#"
            [pools.leads]
            replicas = ["https://a:1", "http://a:1/b", "ftp://a:1"]
            [pools.bad]
            nonsense = 1
            [limits.api]
            per = "caller"
            rate = "many"
            [[routes]]
            prefix = "/a/"
            pool = "nowhere"
            auth = "needed"
            body_limit = "2 MB"
            timeout = "soon"
            methods = ["GRAB"]
            limits = ["none"]
            [[routes]]
            prefix = "/b"
            pool = "leads"
            [[routes]]
            prefix = "/internal/x"
            pool = "leads"
            auth = "open"
            canary = { pool = "leads" }
            [[routes]]
            prefix = "/c"
            pool = "leads"
            auth = "needed"
            cache = { age = "1s", per = "everybody" }
        "#;
        let all = complaints(text);
        for (place, what) in [
            ("pools.leads", "https://a:1 needs CLARION_TLS_CA"),
            ("pools.leads", "ftp://a:1 must be http://"),
            ("pools.leads", "http://a:1/b must be http://"),
            ("pools.bad", "nonsense"),
            ("limits.api", "`many` is not a rate"),
            ("routes /a/", "prefix must begin"),
            ("routes /a/", "no pool nowhere"),
            ("routes /a/", "`2 MB` is not a size"),
            ("routes /a/", "`soon` is not a time"),
            ("routes /a/", "GRAB is not a method"),
            ("routes /a/", "no limit none"),
            ("routes /b", "auth"),
            ("routes /internal/x", "not for the public"),
            ("routes /internal/x", "canary needs"),
            ("routes /c", "not for everybody"),
        ] {
            let named = all
                .iter()
                .any(|it| it.starts_with(place) && it.contains(what));
            assert!(named, "{place}: {what} in {all:#?}");
        }
    }

    #[test]
    fn what_is_no_table_is_refused() {
        assert_eq!(complaints("routes = 3").len(), 1);
        assert_eq!(complaints("x = 3").len(), 1);
        assert!(complaints("")[0].contains("there are none"));
        let twice = "[pools.a]\n[[routes]]\nprefix = \"/a\"\npool = \"a\"\nauth = \"open\"\n";
        let twice = format!("{twice}[[routes]]\nprefix = \"/a\"\npool = \"a\"\nauth = \"open\"\n");
        assert!(complaints(&twice)[0].contains("twice"));
    }

    #[test]
    fn a_prefix_may_have_a_line_for_each_method() {
        let text = r#"
            [pools.a]
            [pools.b]
            [[routes]]
            prefix = "/x"
            pool = "a"
            auth = "open"
            [[routes]]
            prefix = "/x"
            methods = ["POST"]
            pool = "b"
            auth = "open"
        "#;
        let table = read(text, &BTreeMap::new(), None, &Pools::new()).expect("good");
        let pool = |method| {
            table
                .find(&method, "/x/1")
                .expect("a route")
                .pool
                .name()
                .to_owned()
        };
        assert_eq!(
            (pool(Method::GET), pool(Method::POST)),
            ("a".into(), "b".into())
        );
    }

    #[test]
    fn pools_that_stay_where_they_are_stay_as_they_are() {
        let urls = BTreeMap::from([("leads".to_owned(), "http://127.0.0.1:1".to_owned())]);
        let first = read(DEFAULT, &urls, None, &Pools::new()).expect("good");
        let second = read(DEFAULT, &urls, None, first.pools()).expect("good");
        assert!(Arc::ptr_eq(
            &first.pools()["leads"],
            &second.pools()["leads"]
        ));
        let third = read(DEFAULT, &BTreeMap::new(), None, first.pools()).expect("good");
        assert!(!third.pools()["leads"].exists());
    }
}
