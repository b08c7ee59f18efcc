//! Segment's paths, by hand. What its libraries make of them is in `clients`.

use common::WorkspaceId;
use common::auth::Role;
use serde_json::{Value, json};
use testkit::{Response, Setup, eventually};

use crate::faults::{Stall, queued};
use crate::support::{App, BROWSER, count, write_key};

const PATHS: [(&str, &str, &str); 6] = [
    ("identify", "i", "identify"),
    ("track", "t", "track"),
    ("page", "p", "view"),
    ("screen", "s", "screen"),
    ("group", "g", "group"),
    ("alias", "a", "alias"),
];

/// A message that every kind is content with.
fn message(n: usize) -> Value {
    json!({
        "userId": "u", "previousId": "a", "groupId": "g", "event": "x", "messageId": format!("m{n}"),
    })
}

async fn key(app: &App) -> String {
    write_key(app, json!({ "name": "Shop" })).await.1
}

fn basic(key: &str) -> String {
    use base64::Engine;
    let text = base64::engine::general_purpose::STANDARD.encode(format!("{key}:"));
    format!("Basic {text}")
}

async fn post(app: &App, path: &str, key: &str, body: impl Into<String>) -> Response {
    let request = app
        .anonymous()
        .post(path)
        .header("authorization", &basic(key));
    request.body(body.into()).send().await
}

fn refused(answer: &Response) -> (u16, String) {
    let body: Value = answer.json();
    assert!(
        body["message"]
            .as_str()
            .is_some_and(|text| !text.is_empty()),
        "{body}"
    );
    assert_eq!(
        body.as_object().map(|members| members.len()),
        Some(2),
        "{body}"
    );
    (
        answer.status,
        body["code"].as_str().unwrap_or_default().to_owned(),
    )
}

#[tokio::test]
async fn every_path_and_its_letter_take_a_message() {
    let app = App::start().await;
    let key = key(&app).await;
    for (n, (path, letter, kind)) in PATHS.into_iter().enumerate() {
        for (n, name) in [(n, path), (n + 100, letter)] {
            let answer = post(&app, &format!("/v1/{name}"), &key, message(n).to_string()).await;
            let receipt: Value = answer.assert_status(200).json();
            assert_eq!(
                receipt,
                json!({ "success": true, "accepted": 1, "duplicates": 0, "rejected": [] })
            );
        }
        assert_eq!(
            count(
                &app,
                &format!("events WHERE type = '{kind}' AND visitor IS NOT NULL")
            ),
            2
        );
    }
    let of_source = format!(
        "events WHERE workspace_id = '{}' AND source_id IS NOT NULL",
        app.workspace
    );
    assert_eq!(count(&app, &of_source), 12);
}

#[tokio::test]
async fn batches_tell_what_they_could_not_take() {
    let app = App::start().await;
    let key = key(&app).await;
    let batch = json!({ "batch": [
        { "type": "track", "userId": "u", "event": "x" },
        { "type": "track", "userId": "u" },
        { "type": "dance", "userId": "u" },
        7,
        { "type": "page", "anonymousId": "a" },
    ]});
    for path in ["/v1/batch", "/v1/b", "/v1/import"] {
        let receipt: Value = post(&app, path, &key, batch.to_string())
            .await
            .assert_status(200)
            .json();
        assert_eq!(
            (&receipt["accepted"], &receipt["success"]),
            (&json!(2), &json!(true))
        );
        let details: Vec<_> = receipt["rejected"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|refused| {
                (
                    refused["index"].as_u64(),
                    refused["detail"].as_str().unwrap_or_default(),
                )
            })
            .collect();
        assert_eq!(details[0], (Some(1), "batch/1/event is missing"));
        assert!(
            details[1].1.starts_with("batch/2/type must be"),
            "{details:?}"
        );
        assert_eq!(details[2], (Some(3), "batch/3 must be an object"));
    }
    let nothing = post(&app, "/v1/batch", &key, json!({ "batch": [] }).to_string()).await;
    assert_eq!(nothing.assert_status(200).json::<Value>()["accepted"], 0);
    let all_bad = post(
        &app,
        "/v1/batch",
        &key,
        json!({ "batch": [{}] }).to_string(),
    )
    .await;
    assert_eq!(refused(&all_bad), (400, "invalid_event".into()));
    assert_eq!(count(&app, "events"), 6);
}

#[tokio::test]
async fn a_message_id_counts_once_whichever_path_it_takes() {
    let app = App::start().await;
    let key = key(&app).await;
    let owner = app.as_role(Role::Owner);
    let native = json!({ "id": "m1", "type": "view" });
    owner
        .post("/api/v1/analytics")
        .json(&native)
        .send()
        .await
        .assert_status(202);
    let batch = json!({ "batch": [
        { "type": "page", "userId": "u", "messageId": "m1" },
        { "type": "page", "userId": "u", "messageId": "m2" },
        { "type": "page", "userId": "u", "messageId": "m2" },
    ]});
    let receipt: Value = post(&app, "/v1/batch", &key, batch.to_string())
        .await
        .json();
    assert_eq!(
        (&receipt["accepted"], &receipt["duplicates"]),
        (&json!(1), &json!(2))
    );
    assert_eq!(count(&app, "events"), 2);
}

#[tokio::test]
async fn keys_come_by_basic_auth_or_in_the_body() {
    let app = App::start().await;
    let (key, stranger) = (
        key(&app).await,
        analytics::domain::write_key::generate(WorkspaceId::new()),
    );
    let body = |key: Value| json!({ "writeKey": key, "userId": "u", "event": "x" }).to_string();
    let plain = |body: String| {
        let request = app
            .anonymous()
            .post("/v1/t")
            .header("content-type", "text/plain");
        request.body(body).send()
    };
    plain(body(json!(key))).await.assert_status(200);
    assert_eq!(
        refused(&plain(body(json!(stranger))).await),
        (401, "write_key_invalid".into())
    );
    assert_eq!(
        refused(&plain(body(json!("x"))).await),
        (401, "write_key_invalid".into())
    );
    assert_eq!(
        refused(&plain(body(json!(7))).await),
        (401, "write_key_missing".into())
    );
    assert_eq!(
        refused(&plain(message(1).to_string()).await),
        (401, "write_key_missing".into())
    );
    let by = |authorization: &str| {
        let request = app
            .anonymous()
            .post("/v1/track")
            .header("authorization", authorization);
        request.body(message(1).to_string()).send()
    };
    by(&basic(&key)).await.assert_status(200);
    for (authorization, code) in [
        (basic(&stranger), "write_key_invalid"),
        (basic(""), "write_key_missing"),
        ("Basic %%%".to_owned(), "write_key_missing"),
        (format!("Bearer {key}"), "write_key_missing"),
    ] {
        assert_eq!(
            refused(&by(&authorization).await),
            (401, code.into()),
            "{authorization}"
        );
    }
    assert_eq!(count(&app, "events"), 2);
}

#[tokio::test]
async fn bodies_may_be_packed_and_are_bounded_unpacked() {
    let app = App::start().await;
    let key = key(&app).await;
    let packed = |body: &[u8], encoding: &str| {
        let request = app
            .anonymous()
            .post("/v1/batch")
            .header("authorization", &basic(&key));
        request
            .header("content-encoding", encoding)
            .body(body.to_vec())
            .send()
    };
    let batch = json!({ "batch": (0..500).map(|n| {
        json!({ "type": "track", "userId": "u", "event": "x", "messageId": format!("m{n}") })
    }).collect::<Vec<_>>() })
    .to_string();
    packed(&gzip(batch.as_bytes()), "gzip")
        .await
        .assert_status(200);
    assert_eq!(count(&app, "events"), 500);
    let huge = gzip(&vec![b' '; 3 * 1024 * 1024]);
    assert!(huge.len() < 10_000);
    assert_eq!(
        refused(&packed(&huge, "gzip").await),
        (413, "body_too_large".into())
    );
    let broken = packed(b"this is no gzip", "gzip").await;
    assert_eq!(refused(&broken), (400, "malformed_body".into()));
    let brotli = packed(batch.as_bytes(), "br").await;
    assert_eq!(refused(&brotli), (415, "unsupported_encoding".into()));
    let plain = post(&app, "/v1/batch", &key, " ".repeat(3 * 1024 * 1024)).await;
    assert_eq!(refused(&plain), (413, "body_too_large".into()));
    for body in ["", "{", "[]", "{\"batch\":7}"] {
        let answer = post(&app, "/v1/batch", &key, body).await;
        assert_eq!(refused(&answer), (400, "malformed_body".into()), "{body}");
    }
    assert_eq!(count(&app, "events"), 500);
}

/// `gzip`'s output, by the program itself.
fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    use std::process::{Command, Stdio};
    let mut child = Command::new("gzip")
        .arg("-c")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("gzip is everywhere");
    let mut stdin = child.stdin.take().expect("it is piped");
    let bytes = bytes.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&bytes).expect("it reads"));
    let output = child.wait_with_output().expect("it ends");
    writer.join().expect("all is written");
    output.stdout
}

#[tokio::test]
async fn a_full_queue_and_a_database_that_is_away_say_when_to_come_back() {
    let app: App = Setup::default()
        .with("ANALYTICS_QUEUE_ROWS", "1")
        .start()
        .await;
    let key = key(&app).await;
    let stall = Stall::of(&app);
    let first = post(&app, "/v1/track", &key, message(1).to_string());
    let second = async {
        queued(&app, "events", 1).await;
        let answer = post(&app, "/v1/track", &key, message(2).to_string()).await;
        assert_eq!(answer.header("retry-after"), Some("1"));
        assert_eq!(refused(&answer), (429, "queue_full".into()));
        stall.end();
    };
    let (first, ()) = futures::join!(first, second);
    first.assert_status(200);
    assert_eq!(count(&app, "events"), 1);
}

#[tokio::test]
async fn nobody_finds_a_key_while_the_database_is_away() {
    let mut servers = testkit::Servers::private();
    let app: App = Setup::on(&servers).start().await;
    let key = key(&app).await;
    servers.postgres.stop_immediate();
    let away = async || {
        post(&app, "/v1/track", &key, message(1).to_string())
            .await
            .status
            == 503
    };
    eventually("it says that the database is away", away).await;
    let answer = post(&app, "/v1/track", &key, message(1).to_string()).await;
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(refused(&answer), (503, "unavailable".into()));
    servers
        .postgres
        .start_again()
        .expect("Postgres starts again");
    let back = async || {
        post(&app, "/v1/track", &key, message(1).to_string())
            .await
            .status
            == 200
    };
    eventually("it takes messages again", back).await;
}

#[tokio::test]
async fn a_library_learns_where_to_send_to() {
    let app = App::start().await;
    let key = key(&app).await;
    let get = |key: &str| {
        app.anonymous()
            .get(format!("/v1/projects/{key}/settings"))
            .send()
    };
    let settings: Value = get(&key).await.assert_status(200).json();
    let segment = &settings["integrations"]["Segment.io"];
    assert_eq!(segment["apiKey"], json!(key));
    assert_eq!(
        (&segment["apiHost"], &segment["protocol"]),
        (&json!("clarion.test/v1"), &json!("http"))
    );
    assert_eq!(settings["plan"]["track"]["__default"]["enabled"], true);
    assert_eq!(
        refused(&get("nothing").await),
        (401, "write_key_invalid".into())
    );
}

#[tokio::test]
async fn a_browsers_page_views_are_kept_with_what_it_says_of_itself() {
    let app = App::start().await;
    let key = key(&app).await;
    let body = json!({
        "writeKey": key, "anonymousId": "a", "properties": { "title": "Shop" },
        "context": { "page": { "url": "https://shop.example/?utm_source=news&utm_medium=email&utm_campaign=spring" } },
    });
    for user_agent in [BROWSER, "Googlebot/2.1"] {
        let request = app
            .anonymous()
            .post("/v1/p")
            .header("content-type", "text/plain");
        let request = request
            .header("origin", "https://shop.example")
            .header("user-agent", user_agent);
        request
            .body(body.to_string())
            .send()
            .await
            .assert_status(200);
    }
    let kept = "events WHERE type = 'view' AND anonymous_id = 'a' AND utm_source = 'news'
        AND utm_medium = 'email' AND utm_campaign = 'spring' AND properties ->> 'title' = 'Shop'
        AND url LIKE 'https://shop.example/%' AND length(ip) = 24";
    assert_eq!(
        count(
            &app,
            &format!("{kept} AND verdict = 'human' AND device = 'desktop'")
        ),
        1
    );
    assert_eq!(count(&app, &format!("{kept} AND verdict = 'bot'")), 1);
}

#[tokio::test]
async fn a_browser_that_does_not_say_who_it_is_is_somebody_for_a_day() {
    let app = App::start().await;
    let key = key(&app).await;
    let body = json!({ "writeKey": key, "properties": {} }).to_string();
    let view = |user_agent: &str, origin: Option<&str>| {
        let request = app
            .anonymous()
            .post("/v1/p")
            .header("user-agent", user_agent);
        let request = match origin {
            Some(origin) => request.header("origin", origin),
            None => request,
        };
        request.body(body.clone()).send()
    };
    let shop = Some("https://shop.example");
    for _ in 0..2 {
        view(BROWSER, shop).await.assert_status(200);
    }
    view(
        "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0",
        shop,
    )
    .await
    .assert_status(200);
    let visitors = "(SELECT DISTINCT visitor FROM events WHERE anonymous_id LIKE 'day:%') v";
    assert_eq!(count(&app, visitors), 2);
    app.clock.advance(chrono::Duration::days(1));
    view(BROWSER, shop).await.assert_status(200);
    assert_eq!(count(&app, visitors), 3);
    // A server has to say whom it tells of.
    assert_eq!(
        refused(&view(BROWSER, None).await),
        (400, "invalid_event".into())
    );
}
