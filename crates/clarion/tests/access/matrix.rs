//! Every route of every service, times every role, times one's own and a foreign workspace. The
//! routes come from the services' documents and sources, what each needs stands in `routes.txt`;
//! one that is not listed there fails.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use analytics::Analytics;
use campaigns::Campaigns;
use common::auth::{Role, Scope};
use leads::Leads;
use notifications::Notifications;
use reqwest::Method;
use serde_json::{Map, Value, json};
use testkit::{Client, Response};

use crate::world::{Person, World};

/// What a route asks of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    Scope(Scope),
    /// Anybody with a token of the workspace; the route looks at who it is.
    SignedIn,
    /// Nobody in particular: sign-in, links in mails, tracking.
    Open,
    /// A write key, which is no token.
    WriteKey,
    /// A service of this installation.
    Services,
}

impl Need {
    fn parse(text: &str) -> Self {
        match text {
            "signed-in" => Self::SignedIn,
            "open" => Self::Open,
            "write-key" => Self::WriteKey,
            "services" => Self::Services,
            scope => Self::Scope(Scope::parse(scope).unwrap_or_else(|| panic!("{scope}?"))),
        }
    }
}

/// The list: `METHOD path need`, `-` for a method where all of a path are alike.
fn listed() -> BTreeMap<(String, String), Need> {
    let lines = include_str!("routes.txt").lines();
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let read = |line: &str| {
        let words: Vec<_> = line.split_whitespace().collect();
        let [method, path, need] = words[..] else {
            panic!("{line}");
        };
        ((method.to_owned(), path.to_owned()), Need::parse(need))
    };
    lines.map(read).collect()
}

/// The paths that a service's sources name.
fn in_sources() -> BTreeSet<String> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let files = [
        "identity/src/routes.rs",
        "leads/src/routes.rs",
        "campaigns/src/routes.rs",
        "notifications/src/routes.rs",
        "analytics/src/routes.rs",
        "chassis/src/http/server.rs",
    ];
    let texts = files.map(|file| std::fs::read_to_string(crates.join(file)).expect(file));
    let literals = texts
        .iter()
        .flat_map(|text| text.split('"').skip(1).step_by(2));
    literals
        .filter(|literal| literal.starts_with('/') && literal.len() > 1)
        // A pattern in a path is its name to a document.
        .map(|literal| literal.replace(":.*", ""))
        .collect()
}

/// One operation of a service's document.
struct Operation {
    service: String,
    method: String,
    path: String,
    body: Option<Value>,
}

/// A body that the schema allows, as small as can be.
fn example(schema: &Value, document: &Value, depth: usize) -> Value {
    if let Some(name) = schema["$ref"].as_str() {
        let pointer = name.trim_start_matches('#');
        let found = document.pointer(pointer).unwrap_or(&Value::Null);
        return example(found, document, depth + 1);
    }
    for one in ["oneOf", "anyOf"] {
        let options = schema[one].as_array().into_iter().flatten();
        if let Some(option) = options.into_iter().find(|option| option["type"] != "null") {
            return example(option, document, depth + 1);
        }
    }
    if let Some(all) = schema["allOf"].as_array() {
        let parts = all.iter().map(|part| example(part, document, depth + 1));
        let members = parts.filter_map(|part| part.as_object().cloned()).flatten();
        return Value::Object(members.collect());
    }
    if let Some(value) = schema["enum"].as_array().and_then(|values| values.first()) {
        return value.clone();
    }
    if !schema["const"].is_null() {
        return schema["const"].clone();
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds.first().and_then(Value::as_str),
        kind => kind.as_str(),
    };
    match (kind, schema["format"].as_str()) {
        (Some("string"), Some("email")) => json!("somebody@example.com"),
        (Some("string"), Some("uuid")) => json!(uuid::Uuid::now_v7()),
        (Some("string"), Some("date-time")) => json!("2031-01-01T00:00:00Z"),
        (Some("string"), Some("uri")) => json!("https://example.com/x"),
        (Some("string"), Some("password")) => json!(crate::world::PASSWORD),
        (Some("string"), _) => json!("a text"),
        (Some("integer" | "number"), _) => schema.get("minimum").cloned().unwrap_or(json!(1)),
        (Some("boolean"), _) => json!(false),
        (Some("array"), _) if depth < 8 => json!([example(&schema["items"], document, depth + 1)]),
        (Some("array"), _) => json!([]),
        (Some("object"), _) => {
            let required = schema["required"].as_array().into_iter().flatten();
            let member = |name: &Value| {
                let name = name.as_str()?.to_owned();
                let value = example(&schema["properties"][&name], document, depth + 1);
                Some((name, value))
            };
            Value::Object(required.filter_map(member).collect::<Map<_, _>>())
        }
        _ => json!({}),
    }
}

/// Bodies that a schema alone does not tell, and of what there is to steal.
fn body_of(method: &str, path: &str) -> Option<Value> {
    let rule = json!({ "field": "status", "op": "eq", "value": "new" });
    Some(match (method, path) {
        ("POST", "/api/v1/leads") => json!({ "email": "lead@example.com" }),
        ("POST", "/api/v1/lists") => json!({ "name": "A list" }),
        ("POST", "/api/v1/segments") => json!({ "name": "A segment", "rule": rule }),
        ("POST", "/api/v1/segments/preview") => json!({ "rule": rule }),
        ("POST", "/api/v1/suppressions") => {
            json!({ "address": "no@example.com", "reason": "manual" })
        }
        ("POST", "/api/v1/campaigns") => json!({ "name": "A campaign" }),
        ("POST", "/api/v1/campaigns/{id}/test") => json!({ "to": ["x@example.com"] }),
        ("POST", "/api/v1/domains") => json!({ "name": "mail.example.com" }),
        ("POST", "/api/v1/webhooks") => {
            json!({ "url": "https://93.184.216.34/hook", "events": ["lead.created"] })
        }
        ("POST", "/api/v1/api-keys") => json!({ "name": "A key", "scopes": ["leads:read"] }),
        ("POST", "/api/v1/roles") => json!({ "name": "A role", "scopes": ["leads:read"] }),
        ("POST", "/api/v1/invitations") => {
            json!({ "email": "new@example.com", "role": "customer" })
        }
        ("POST", "/api/v1/users") => json!({
            "name": "Somebody", "email": "some@example.com", "password": crate::world::PASSWORD,
            "role": "customer",
        }),
        ("POST", "/api/v1/senders") => json!({ "name": "A server", "host": "mail.example.com" }),
        ("POST", "/api/v1/write-keys") => json!({ "name": "A site" }),
        ("POST", "/api/v1/messages") => json!({
            "to": "x@example.com", "subject": "Hi", "content": { "format": "text", "body": "Hi" },
        }),
        ("PUT", "/api/v1/workspaces/current") => json!({ "name": "My workspace" }),
        ("POST", "/api/v1/logout") => return Some(Value::Null),
        _ => return None,
    })
}

fn operations(service: &str, document: &Value) -> Vec<Operation> {
    let paths = document["paths"].as_object().expect("paths");
    let mut found = Vec::new();
    for (path, item) in paths {
        for (method, operation) in item.as_object().expect("operations") {
            let method = method.to_uppercase();
            let schema = operation.pointer("/requestBody/content/application~1json/schema");
            let generated = schema.map(|schema| example(schema, document, 0));
            found.push(Operation {
                service: service.to_owned(),
                body: body_of(&method, path)
                    .or(generated)
                    .filter(|body| !body.is_null()),
                method,
                path: path.clone(),
            });
        }
    }
    // What signs somebody out comes last.
    found.sort_by_key(|operation| (operation.path == "/api/v1/logout", operation.path.clone()));
    found
}

impl Operation {
    fn key(&self) -> (String, String) {
        (self.method.clone(), self.path.clone())
    }

    /// The path with every name filled.
    fn filled(&self, with: impl Fn(&str, &str) -> String) -> String {
        let mut path = String::new();
        let mut rest = self.path.as_str();
        while let Some((before, after)) = rest.split_once('{') {
            path.push_str(before);
            let (name, after) = after.split_once('}').expect("a name ends");
            let value = with(path.trim_end_matches('/'), name);
            path.push_str(&value);
            rest = after;
        }
        path + rest
    }

    async fn ask(&self, client: &Client, path: &str) -> Response {
        let method = Method::from_bytes(self.method.as_bytes()).expect("a method");
        let request = client.request(method, path);
        match (&self.body, self.path.as_str()) {
            (_, "/api/v1/leads/imports") if self.method == "POST" => {
                let csv = request.header("content-type", "text/csv");
                csv.body("email\nimported@example.com\n").send().await
            }
            (Some(body), _) => request.json(body).send().await,
            (None, _) => request.send().await,
        }
    }
}

fn code(answer: &Response) -> String {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    body["code"].as_str().unwrap_or_default().to_owned()
}

/// A stream that never ends is asked only by those who may not have it.
const ENDLESS: &str = "/api/v1/live";

#[actix_web::test]
async fn every_route_answers_those_who_may_and_nobody_else() {
    let world = World::start().await;
    let leads = world.service::<Leads>().await;
    let campaigns = world.service::<Campaigns>().await;
    let notifications = world.service::<Notifications>().await;
    let analytics = world.service::<Analytics>().await;
    let urls = BTreeMap::from([
        ("identity".to_owned(), world.identity.url()),
        ("leads".to_owned(), leads.url()),
        ("campaigns".to_owned(), campaigns.url()),
        ("notifications".to_owned(), notifications.url()),
        ("analytics".to_owned(), analytics.url()),
    ]);
    let list = listed();
    let mut all = Vec::new();
    for (service, url) in &urls {
        let document = Client::new(url.clone(), None).get("/openapi.json");
        let document: Value = document.send().await.assert_status(200).json();
        all.extend(operations(service, &document));
    }
    no_route_is_missing(&all, &list);

    let ada = world.register("ada@example.com").await;
    let eve = world.register("eve@example.com").await;
    let at = |person: &Person, operation: &Operation| person.at(urls[&operation.service].clone());
    let mut wrong: Vec<String> = Vec::new();

    // What there is in a workspace, to be reached from another one.
    let mut seeds: BTreeMap<String, String> = BTreeMap::new();
    for operation in all
        .iter()
        .filter(|one| one.method == "POST" && !one.path.contains('{'))
    {
        if matches!(list[&operation.key()], Need::Scope(_)) {
            let made = operation.ask(&at(&ada, operation), &operation.path).await;
            let body: Value = serde_json::from_slice(&made.body).unwrap_or_default();
            if let Some(id) = body["id"].as_str().filter(|_| made.status < 300) {
                seeds.insert(operation.path.clone(), id.to_owned());
            }
        }
    }
    for needed in [
        "leads",
        "lists",
        "segments",
        "campaigns",
        "domains",
        "webhooks",
        "api-keys",
        "roles",
        "users",
        "invitations",
        "write-keys",
        "messages",
        "suppressions",
        "leads/imports",
    ] {
        let path = format!("/api/v1/{needed}");
        assert!(seeds.contains_key(&path), "{needed}: {seeds:?}");
    }
    let seed = |collection: &str, name: &str| {
        let collection = match name {
            "lead_id" => "/api/v1/leads",
            _ => collection,
        };
        let random = || uuid::Uuid::now_v7().to_string();
        seeds.get(collection).cloned().unwrap_or_else(random)
    };
    let with_token = |need: Need| matches!(need, Need::Scope(_) | Need::SignedIn);
    for operation in all.iter().filter(|one| with_token(list[&one.key()])) {
        let path = operation.filled(seed);
        if operation.path == "/api/v1/logout" || operation.path == ENDLESS {
            continue;
        }
        let answer = operation.ask(&at(&eve, operation), &path).await;
        let shown = format!("{} {path} from another workspace", operation.method);
        if operation.path.contains('{') && answer.status < 300 {
            wrong.push(format!("{shown}: {}", answer.status));
        }
        if operation.path.contains('{') && answer.status >= 500 {
            wrong.push(format!("{shown}: {}", answer.text()));
        }
        let text = answer.text();
        if answer.status < 300 && seeds.values().any(|id| text.contains(id.as_str())) {
            wrong.push(format!("{shown} shows an id of it"));
        }
    }
    // It is all still there.
    for operation in all
        .iter()
        .filter(|one| one.method == "GET" && one.path.ends_with("/{id}"))
    {
        let collection = operation.path.trim_end_matches("/{id}");
        if let Some(id) = seeds.get(collection) {
            let path = format!("{collection}/{id}");
            let answer = operation.ask(&at(&ada, operation), &path).await;
            if answer.status != 200 {
                wrong.push(format!("{path} is gone or spoilt: {}", answer.text()));
            }
        }
    }

    // Roles, the weakest first. Ids are of nothing, so that nobody's work is in another's way.
    let custom = json!({ "name": "Nothing", "scopes": [] });
    let custom: Value = ada
        .at(world.identity.url())
        .post("/api/v1/roles")
        .json(&custom)
        .send()
        .await
        .assert_status(201)
        .json();
    let nothing = world.member(&ada, "customer").await;
    ada.at(world.identity.url())
        .put(format!("/api/v1/users/{}", nothing.id))
        .json(&json!({ "role": "custom", "role_id": custom["id"] }))
        .send()
        .await
        .assert_status(200);
    let nothing = world.login(&nothing.email).await;
    let mut people = vec![(Role::Custom, nothing)];
    for role in [
        Role::Customer,
        Role::Analyst,
        Role::Marketer,
        Role::Admin,
        Role::Owner,
    ] {
        people.push((role, world.member(&ada, role.as_str()).await));
    }
    let (mut asked, mut refused) = (0, 0);
    for operation in &all {
        let need = list[&operation.key()];
        let path = operation.filled(|_, _| uuid::Uuid::now_v7().to_string());
        let shown = format!("{} {}", operation.method, operation.path);
        if with_token(need) {
            let anonymous = Client::new(urls[&operation.service].clone(), None);
            let answer = operation.ask(&anonymous, &path).await;
            if answer.status != 401 {
                wrong.push(format!("{shown} without a token: {}", answer.text()));
            }
        }
        let Need::Scope(scope) = need else { continue };
        for (role, person) in &people {
            let may = role.scopes().contains(scope);
            if may && operation.path == ENDLESS {
                continue;
            }
            let answer = operation.ask(&at(person, operation), &path).await;
            let says_no = answer.status == 403 && code(&answer) == "scope_missing";
            (asked, refused) = (asked + 1, refused + usize::from(says_no));
            if says_no == may || answer.status == 401 || answer.status >= 500 {
                wrong.push(format!("{shown} ({scope}) by {role}: {}", answer.text()));
            }
        }
    }
    // Nobody but services gets behind the doors that are theirs.
    for ((_, path), _) in list.iter().filter(|(_, need)| **need == Need::Services) {
        let path = path.replace("{id}", &uuid::Uuid::now_v7().to_string());
        let path = path.replace("{name}", "example.com");
        for url in urls.values() {
            for method in [Method::GET, Method::POST, Method::PUT] {
                let owner = people.last().expect("the owner").1.at(url.clone());
                let answer = owner
                    .request(method.clone(), format!("{path}?after=0"))
                    .json(&json!({}));
                let answer = answer.send().await;
                if !matches!(answer.status, 401 | 403 | 404 | 405) {
                    wrong.push(format!("{method} {path} by an owner: {}", answer.text()));
                }
            }
        }
    }
    println!(
        "{} routes, {asked} requests by roles, {refused} refused",
        all.len()
    );
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// Fails on an operation or a path that the list does not know, and on one that is only listed.
fn no_route_is_missing(all: &[Operation], list: &BTreeMap<(String, String), Need>) {
    let documented: BTreeSet<_> = all.iter().map(Operation::key).collect();
    let paths: BTreeSet<_> = documented.iter().map(|(_, path)| path.clone()).collect();
    let missing: Vec<_> = documented
        .iter()
        .filter(|key| !list.contains_key(*key))
        .map(|(method, path)| format!("{method} {path}"))
        .collect();
    assert!(
        missing.is_empty(),
        "not in routes.txt:\n{}",
        missing.join("\n")
    );
    let sources = in_sources();
    let whole = |path: &str| ("-".to_owned(), path.to_owned());
    let unlisted: Vec<_> = sources
        .iter()
        .filter(|path| !paths.contains(*path) && !list.contains_key(&whole(path)))
        .collect();
    assert!(unlisted.is_empty(), "not in routes.txt: {unlisted:?}");
    let gone: Vec<_> = list
        .keys()
        .filter(|key| match key.0.as_str() {
            "-" => !sources.contains(&key.1),
            _ => !documented.contains(*key),
        })
        .collect();
    assert!(gone.is_empty(), "only in routes.txt: {gone:?}");
}
