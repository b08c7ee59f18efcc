//! Segment's own libraries, as they are published, against this service: what they say they sent
//! is what is stored, whatever happened on the way.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use actix_web::{App as Server, HttpRequest, HttpResponse, HttpServer, web};
use common::EventId;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Text, Uuid as SqlUuid};
use futures::StreamExt;
use serde_json::json;
use testkit::Setup;

use crate::support::{App, write_key};

/// <https://pypi.org/project/segment-analytics-python/>
const PYTHON: &str = "segment-analytics-python==2.4.0";
/// <https://www.npmjs.com/package/@segment/analytics-node>
const NODE: &str = "@segment/analytics-node@3.1.0";

/// How many messages a library sends.
const MESSAGES: usize = 10_002;

/// Sends messages of every type and prints `id type` for each.
const PYTHON_SCRIPT: &str = r#"
import sys
from segment.analytics.client import Client
host, key, packed, count, timeout = sys.argv[1:6]
failed = []
client = Client(key, host=host, gzip=packed == "gzip", timeout=float(timeout),
                max_queue_size=100000, upload_interval=0.1, max_retries=50,
                on_error=lambda error, items: failed.append(str(error)))
for n in range(int(count) // 6):
    user, anonymous = f"user {n}", f"anonymous {n}"
    for sent in [
        client.identify(user, {"plan": "gold é", "n": n}, anonymous_id=anonymous),
        client.track(user, "Order Completed", {"revenue": n + 0.5, "currency": "EUR"}),
        client.page(user, "Docs", "Start", {"url": "https://shop.example/?utm_source=x"}),
        client.screen(user, "Main", "Home"),
        client.group(user, f"group {n % 7}", {"seats": 5}),
        client.alias(anonymous, user),
    ]:
        assert sent[0]
        print(sent[1]["messageId"], sent[1]["type"])
client.shutdown()
client.flush()
assert not failed, failed[:3]
"#;

const NODE_SCRIPT: &str = r#"
const { Analytics } = require("@segment/analytics-node");
const { gzipSync } = require("zlib");
const [host, writeKey, packed, count, timeout] = process.argv.slice(2);
const pack = (url, options) => fetch(url, {
    ...options,
    headers: { ...options.headers, "Content-Encoding": "gzip" },
    body: gzipSync(options.body),
});
const analytics = new Analytics({
    host, writeKey, maxRetries: 50, flushAt: 100, flushInterval: 100,
    httpRequestTimeout: Number(timeout) * 1000,
    ...(packed === "gzip" ? { httpClient: pack } : {}),
});
const failed = [], lines = [];
analytics.on("error", (error) => failed.push(error));
(async () => {
    const done = (error, context) => {
        if (error) failed.push(error);
        lines.push(`${context.event.messageId} ${context.event.type}`);
    };
    for (let n = 0; n < Number(count) / 6; n++) {
        const userId = `user ${n}`, anonymousId = `anonymous ${n}`;
        analytics.identify({ userId, anonymousId, traits: { plan: "gold é", n } }, done);
        analytics.track({ userId, event: "Order Completed", properties: { revenue: n + 0.5 } }, done);
        analytics.page({ userId, name: "Start", properties: { url: "https://shop.example/" } }, done);
        analytics.screen({ userId, name: "Home" }, done);
        analytics.group({ userId, groupId: `group ${n % 7}` }, done);
        analytics.alias({ userId, previousId: anonymousId }, done);
    }
    await analytics.flush({ close: true, timeout: 600000 });
    if (failed.length) { console.error(failed.slice(0, 3)); process.exit(1); }
    console.log(lines.join("\n"));
})();
"#;

/// A Python with the library; installed once per target folder.
fn python() -> Command {
    static INSTALLED: OnceLock<PathBuf> = OnceLock::new();
    let python = INSTALLED.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("segment-analytics-python");
        let (python, done) = (folder.join("bin/python"), folder.join("installed"));
        if std::fs::read_to_string(&done).ok().as_deref() != Some(PYTHON) {
            ran(Command::new("python3")
                .args(["-m", "venv", "--clear"])
                .arg(&folder));
            ran(Command::new(&python).args(["-m", "pip", "install", "--quiet", PYTHON]));
            std::fs::write(done, PYTHON).expect("the folder can be written");
        }
        python
    });
    let mut command = Command::new(python);
    command.args(["-c", PYTHON_SCRIPT]);
    command
}

/// Node with the library; installed once per target folder.
fn node() -> Command {
    static INSTALLED: OnceLock<PathBuf> = OnceLock::new();
    let folder = INSTALLED.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("segment-analytics-node");
        let done = folder.join("installed");
        if std::fs::read_to_string(&done).ok().as_deref() != Some(NODE) {
            std::fs::create_dir_all(&folder).expect("a new folder");
            std::fs::write(folder.join("package.json"), "{}").expect("a new file");
            let mut npm = Command::new("npm");
            npm.args(["install", "--silent", "--no-audit", "--no-fund", NODE]);
            ran(npm.current_dir(&folder));
            std::fs::write(done, NODE).expect("the folder can be written");
        }
        folder
    });
    let script = folder.join(format!("send-{}.js", std::process::id()));
    std::fs::write(&script, NODE_SCRIPT).expect("a new file");
    let mut command = Command::new("node");
    command.arg(script);
    command
}

fn ran(command: &mut Command) -> Output {
    let output = command.output().expect("it can be run");
    let told = String::from_utf8_lossy(&output.stderr);
    let program = command.get_program();
    assert!(output.status.success(), "{program:?}: {told:.2000}");
    output
}

/// Lets a library send to `url`; what it says it sent, with the type of each.
async fn sent(mut library: Command, url: &str, key: &str, packed: &str, timeout: &str) -> Sent {
    library.args([url, key, packed, &MESSAGES.to_string(), timeout]);
    let output = tokio::task::spawn_blocking(move || ran(&mut library));
    let output = output.await.expect("it runs");
    let text = String::from_utf8(output.stdout).expect("text");
    let line = |line: &str| {
        let (id, kind) = line.split_once(' ').expect("an id and a type");
        let kind = if kind == "page" { "view" } else { kind };
        (analytics::domain::parse::given_id(id), kind.to_owned())
    };
    let sent: Sent = text.lines().map(line).collect();
    assert_eq!(sent.len(), MESSAGES, "every message has an id of its own");
    sent
}

type Sent = BTreeMap<EventId, String>;

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = SqlUuid)]
    id: EventId,
    #[diesel(sql_type = Text)]
    kind: String,
}

/// What is stored, each row; a row that is there twice fails.
fn stored(app: &App) -> Sent {
    let rows: Vec<Row> = sql_query("SELECT id, type AS kind FROM events")
        .load(&mut app.connect())
        .expect("events can be read");
    let count = rows.len();
    let stored: Sent = rows.into_iter().map(|row| (row.id, row.kind)).collect();
    assert_eq!(stored.len(), count, "stored twice");
    stored
}

fn assert_same(app: &App, sent: &Sent) {
    let stored = stored(app);
    let missing = sent
        .iter()
        .filter(|(id, kind)| stored.get(id) != Some(kind));
    let foreign = stored.keys().filter(|id| !sent.contains_key(id));
    assert_eq!(
        (missing.count(), foreign.count()),
        (0, 0),
        "of {} sent",
        sent.len()
    );
}

async fn started() -> (App, String) {
    let app: App = Setup::default().system_clock().start().await;
    let (_, key) = write_key(&app, json!({ "name": "library" })).await;
    (app, key)
}

#[tokio::test]
async fn the_python_library_delivers_everything_plain() {
    let (app, key) = started().await;
    let sent = sent(python(), &app.url(), &key, "plain", "60").await;
    assert_same(&app, &sent);
}

#[tokio::test]
async fn the_python_library_delivers_everything_packed_and_through_faults() {
    let (app, key) = started().await;
    let road = Road::to(&app.url());
    let sent = sent(python(), &road.url, &key, "gzip", "2").await;
    assert_same(&app, &sent);
    road.assert_rough();
}

#[tokio::test]
async fn the_node_library_delivers_everything_packed() {
    let (app, key) = started().await;
    let sent = sent(node(), &app.url(), &key, "gzip", "60").await;
    assert_same(&app, &sent);
}

#[tokio::test]
async fn the_node_library_delivers_everything_plain_and_through_faults() {
    let (app, key) = started().await;
    let road = Road::to(&app.url());
    let sent = sent(node(), &road.url, &key, "plain", "2").await;
    assert_same(&app, &sent);
    road.assert_rough();
}

/// A way to the service on which requests and answers get lost.
struct Road {
    url: String,
    handle: actix_web::dev::ServerHandle,
    state: web::Data<RoadState>,
}

struct RoadState {
    target: String,
    http: reqwest::Client,
    passed: AtomicUsize,
    faults: [AtomicUsize; 4],
}

/// The number of requests in a row of which the first are met by a fault each.
const ROUND: usize = 12;

impl Road {
    fn to(target: &str) -> Self {
        let state = web::Data::new(RoadState {
            target: target.to_owned(),
            http: chassis::client::http(),
            passed: AtomicUsize::new(0),
            faults: Default::default(),
        });
        let (shared, (sender, receiver)) = (state.clone(), std::sync::mpsc::channel());
        std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let server = HttpServer::new(move || {
                    let server = Server::new().app_data(shared.clone());
                    server.default_service(web::to(pass))
                });
                let server = server.workers(1).disable_signals();
                let server = server.bind(("127.0.0.1", 0)).expect("a free port");
                let address = server.addrs()[0];
                let running = server.run();
                sender
                    .send((address, running.handle()))
                    .expect("the test waits");
                running.await.expect("it serves");
            });
        });
        let (address, handle) = receiver.recv().expect("it listens");
        let url = format!("http://{address}");
        Self { url, handle, state }
    }

    /// Every kind of fault happened.
    fn assert_rough(&self) {
        for fault in &self.state.faults {
            assert!(fault.load(Ordering::Relaxed) > 0, "{:?}", self.state.faults);
        }
    }
}

impl Drop for Road {
    fn drop(&mut self) {
        // Answers that never come must not keep it.
        drop(self.handle.stop(false));
    }
}

async fn pass(
    state: web::Data<RoadState>,
    request: HttpRequest,
    mut payload: web::Payload,
) -> HttpResponse {
    // As it came: what is packed stays so.
    let mut body = Vec::new();
    while let Some(chunk) = payload.next().await {
        body.extend_from_slice(&chunk.expect("it is sent whole"));
    }
    let turn = state.passed.fetch_add(1, Ordering::Relaxed) % ROUND;
    if let Some(fault) = state.faults.get(turn) {
        fault.fetch_add(1, Ordering::Relaxed);
    }
    match turn {
        // It never arrives.
        0 => HttpResponse::InternalServerError().json(json!({ "code": "x", "message": "x" })),
        1 => HttpResponse::TooManyRequests()
            .insert_header(("retry-after", "1"))
            .json(json!({ "code": "x", "message": "x" })),
        // It arrives, and nobody hears of it.
        2 => {
            forward(&state, &request, body).await;
            std::future::pending().await
        }
        3 => {
            forward(&state, &request, body).await;
            HttpResponse::BadGateway().finish()
        }
        _ => forward(&state, &request, body).await,
    }
}

async fn forward(state: &RoadState, request: &HttpRequest, body: Vec<u8>) -> HttpResponse {
    let url = format!("{}{}", state.target, request.uri());
    let mut onward = state.http.post(url).body(body);
    for name in [
        "authorization",
        "content-type",
        "content-encoding",
        "user-agent",
    ] {
        if let Some(value) = request.headers().get(name) {
            onward = onward.header(name, value.as_bytes());
        }
    }
    let answer = onward.send().await.expect("the service answers");
    let status = actix_web::http::StatusCode::from_u16(answer.status().as_u16());
    let body = answer.bytes().await.expect("it answers whole");
    HttpResponse::build(status.expect("a status")).body(body)
}
