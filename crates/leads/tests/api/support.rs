//! What the tests share.

use ::leads::Leads;
use common::auth::Role;
use diesel::prelude::*;
use serde_json::{Value, json};
use testkit::{Client, Response, TestService, eventually};

pub(crate) type App = TestService<Leads>;

pub(crate) async fn start() -> App {
    App::start().await
}

/// A person who may work with leads.
pub(crate) fn marketer(app: &App) -> Client {
    app.as_role(Role::Marketer)
}

pub(crate) fn id(value: &Value) -> String {
    value["id"].as_str().expect("it has an id").to_owned()
}

pub(crate) async fn given_lead(app: &App, body: Value) -> Value {
    let sent = marketer(app).post("/api/v1/leads").json(&body).send().await;
    sent.assert_status(201).json()
}

pub(crate) async fn given_list(app: &App, name: &str) -> String {
    let body = json!({ "name": name });
    let sent = marketer(app).post("/api/v1/lists").json(&body).send().await;
    id(&sent.assert_status(201).json())
}

pub(crate) async fn given_segment(app: &App, rule: Value) -> String {
    let body = json!({ "name": "A segment", "rule": rule });
    let sent = marketer(app).post("/api/v1/segments").json(&body).send();
    id(&sent.await.assert_status(201).json())
}

pub(crate) async fn join(app: &App, list: &str, lead: &Value, status: &str) {
    let body = json!({ "lead_id": lead["id"], "status": status });
    let path = format!("/api/v1/lists/{list}/members");
    let sent = marketer(app).post(path).json(&body).send().await;
    sent.assert_status(201);
}

pub(crate) async fn get(app: &App, path: &str) -> Value {
    let sent = marketer(app).get(path).send().await;
    sent.assert_status(200).json()
}

/// Sends a CSV; `query` begins with `?` or is empty.
pub(crate) async fn upload(app: &App, query: &str, csv: impl Into<Vec<u8>>) -> Response {
    let path = format!("/api/v1/leads/imports{query}");
    let request = marketer(app).post(path).header("content-type", "text/csv");
    request.body(csv.into()).send().await
}

/// Waits until an import has ended, and answers how.
pub(crate) async fn ended(app: &App, import: &str) -> Value {
    let path = format!("/api/v1/leads/imports/{import}");
    eventually("the import ends", || async {
        let status = get(app, &path).await["status"].clone();
        status != "queued" && status != "running"
    })
    .await;
    get(app, &path).await
}

/// Imports a CSV and answers how it went.
pub(crate) async fn import(app: &App, query: &str, csv: impl Into<Vec<u8>>) -> Value {
    let accepted: Value = upload(app, query, csv).await.assert_status(202).json();
    ended(app, &id(&accepted)).await
}

/// The counts of an import: rows, created, updated, unchanged, rejected.
pub(crate) fn counts(import: &Value) -> [i64; 5] {
    ["rows", "created", "updated", "unchanged", "rejected"]
        .map(|name| import[name].as_i64().expect("a count"))
}

/// The values of `field` in the items of a page, in order.
pub(crate) fn fields(page: &Value, field: &str) -> Vec<String> {
    let items = page["items"].as_array().expect("a page");
    let text = |item: &Value| item[field].as_str().unwrap_or_default().to_owned();
    items.iter().map(text).collect()
}

/// How many rows a table has.
pub(crate) fn rows(app: &App, table: &str) -> i64 {
    #[derive(QueryableByName)]
    struct Count {
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        count: i64,
    }
    let query = diesel::sql_query(format!("SELECT count(*) AS count FROM {table}"));
    query
        .get_result::<Count>(&mut app.connect())
        .expect("a table")
        .count
}
