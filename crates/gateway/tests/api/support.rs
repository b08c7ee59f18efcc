//! Stand-ins for services, and raw sockets.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use actix_web::web::{self, Data};
use actix_web::{App as Server, HttpRequest, HttpResponse, HttpServer};
use bytes::Bytes;
use common::dto::access::{Credential, IssuedToken};
use futures::StreamExt;
use gateway::Gateway;
use serde_json::{Value, json};
use testkit::{Setup, TestService};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;

pub(crate) type App = TestService<Gateway>;

/// One request as a service saw it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) uri: String,
    pub(crate) headers: HashMap<String, Vec<String>>,
    pub(crate) body: Vec<u8>,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let values = self.headers.get(name)?;
        assert_eq!(values.len(), 1, "{name} came once: {values:?}");
        Some(values[0].as_str())
    }
}

/// A service that notes what it is asked.
#[derive(Clone, Debug)]
pub(crate) struct Upstream {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    seen: Mutex<Vec<Seen>>,
    /// Bytes of bodies that have arrived, also of those that have not ended.
    received: AtomicUsize,
    go: Notify,
}

impl Upstream {
    pub(crate) fn start() -> Self {
        let state = Arc::new(State::default());
        let (sender, receiver) = mpsc::channel();
        let shared = Data::from(Arc::clone(&state));
        std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let server = HttpServer::new(move || {
                    Server::new()
                        .app_data(shared.clone())
                        .default_service(web::to(answer))
                })
                .workers(1)
                .disable_signals()
                .bind(("127.0.0.1", 0))
                .expect("a free port");
                sender.send(server.addrs()[0]).expect("the test waits");
                server.run().await.expect("it serves until the end");
            });
        });
        let address = receiver.recv().expect("it says where it listens");
        Self { address, state }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        let seen = self.state.seen.lock();
        seen.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The only request it saw.
    pub(crate) fn only(&self) -> Seen {
        let seen = self.seen();
        assert_eq!(seen.len(), 1, "{seen:?}");
        seen[0].clone()
    }

    pub(crate) fn asked(&self, path: &str) -> usize {
        self.seen().iter().filter(|seen| seen.uri == path).count()
    }

    pub(crate) fn received(&self) -> usize {
        self.state.received.load(Ordering::SeqCst)
    }

    /// Lets a waiting `/events` go on.
    pub(crate) fn go(&self) {
        self.state.go.notify_one();
    }
}

/// Notes the request and answers by the end of its path; otherwise with what it got.
async fn answer(state: Data<State>, request: HttpRequest, mut body: web::Payload) -> HttpResponse {
    if request.path().ends_with("/early") {
        return HttpResponse::UnprocessableEntity().body("no");
    }
    let mut whole = Vec::new();
    // Behind an upgrade there is no body, but whatever comes until the connection ends.
    let upgrade = request.headers().contains_key("upgrade");
    while !upgrade && let Some(Ok(chunk)) = body.next().await {
        state.received.fetch_add(chunk.len(), Ordering::SeqCst);
        whole.extend_from_slice(&chunk);
    }
    let mut headers: HashMap<String, Vec<String>> = HashMap::new();
    for (name, value) in request.headers() {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        headers.entry(name.to_string()).or_default().push(value);
    }
    let seen = Seen {
        method: request.method().to_string(),
        uri: request.uri().to_string(),
        headers,
        body: whole,
    };
    let echo = json!({ "method": seen.method, "uri": seen.uri, "length": seen.body.len() });
    let given = seen.body.clone();
    state
        .seen
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(seen);
    match request.path() {
        "/health" | "/health/ready" => healthy(),
        "/openapi.json" => HttpResponse::Ok().json(document(request.connection_info().host())),
        "/internal/service-token" => issued("service", None),
        "/internal/exchange" => exchange(&given),
        path => match path.rsplit('/').next().unwrap_or_default() {
            "slow" => futures::future::pending().await,
            "events" => events(state),
            "text" => HttpResponse::Ok()
                .content_type("application/json")
                .body(format!("\"{}\"", "all the same ".repeat(1_000))),
            "tagged" => HttpResponse::Ok()
                .content_type("application/json")
                .insert_header(("etag", "\"7\""))
                .body(format!("\"{}\"", "all the same ".repeat(1_000))),
            "rows" => rows(state),
            "large" => HttpResponse::Ok().body(vec![b'x'; 300_000]),
            "nothing" => HttpResponse::NoContent().finish(),
            "page" => HttpResponse::Ok()
                .content_type("text/html")
                .body("<p>hello</p>"),
            "hops" => HttpResponse::Ok()
                .insert_header(("keep-alive", "timeout=5"))
                .insert_header(("x-request-id", "theirs"))
                .insert_header(("access-control-allow-origin", "*"))
                .append_header(("set-cookie", "a=1"))
                .append_header(("set-cookie", "b=2"))
                .insert_header(("etag", "\"7\""))
                .json(json!({})),
            "refused" => HttpResponse::UnprocessableEntity().json(json!({ "code": "theirs" })),
            _ => HttpResponse::Ok().json(echo),
        },
    }
}

fn healthy() -> HttpResponse {
    HttpResponse::Ok().json(json!({
        "status": "ok", "service": "stub", "version": "0",
        "parts": { "postgres": { "ok": true, "required": true, "took_ms": 0.1 } }
    }))
}

/// A document with one path, named after the port, so that every stand-in has another one.
fn document(host: &str) -> Value {
    let port = host.rsplit(':').next().unwrap_or_default();
    json!({
        "openapi": "3.1.0", "info": { "title": "stub", "version": "0" },
        "paths": { format!("/api/v1/{port}"): {
            "get": { "operationId": format!("get_{port}"), "responses": {} }
        } },
        "components": { "schemas": { "Problem": { "type": "object" } } },
    })
}

fn issued(token: &str, csrf: Option<&str>) -> HttpResponse {
    HttpResponse::Ok().json(IssuedToken {
        access_token: token.to_owned(),
        expires_in: 600,
        csrf_token: csrf.map(str::to_owned),
    })
}

fn exchange(body: &[u8]) -> HttpResponse {
    match serde_json::from_slice(body) {
        Ok(Credential::ApiKey(key)) if key == "clk_good" => issued("exchanged", None),
        Ok(Credential::Session(cookie)) if cookie == "good" => issued("session", Some("csrf-1")),
        _ => HttpResponse::UnprocessableEntity().json(json!({
            "status": 422, "code": "credential_invalid", "title": "", "detail": "no"
        })),
    }
}

/// One event at once, the second when the test says so.
fn events(state: Data<State>) -> HttpResponse {
    let first = futures::stream::iter([Ok::<_, actix_web::Error>(Bytes::from("data: 1\n\n"))]);
    let second = futures::stream::once(async move {
        state.go.notified().await;
        Ok(Bytes::from("data: 2\n\n"))
    });
    HttpResponse::Ok()
        .content_type("text/event-stream")
        .streaming(Box::pin(first.chain(second)))
}

/// A first row at once, and many more when the test says so.
fn rows(state: Data<State>) -> HttpResponse {
    let first = futures::stream::iter([Ok::<_, actix_web::Error>(Bytes::from("id,email\n"))]);
    let rest = futures::stream::once(async move {
        state.go.notified().await;
        Ok(Bytes::from("1,ada@example.com\n".repeat(10_000)))
    });
    HttpResponse::Ok()
        .content_type("text/csv")
        .streaming(Box::pin(first.chain(rest)))
}

/// A gateway whose `leads` is `upstream`.
pub(crate) async fn with_leads(upstream: &Upstream) -> App {
    Setup::default()
        .with("LEADS_URL", upstream.url())
        .start()
        .await
}

/// A gateway behind which every service is `upstream`.
pub(crate) fn all_at(upstream: &Upstream) -> Setup<'static> {
    let names = [
        "IDENTITY",
        "LEADS",
        "CAMPAIGNS",
        "NOTIFICATIONS",
        "ANALYTICS",
    ];
    names.into_iter().fold(Setup::default(), |setup, name| {
        setup.with(&format!("{name}_URL"), upstream.url())
    })
}

/// Sends bytes as they are and reads until the other side closes.
pub(crate) async fn raw(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    tokio::time::timeout(Duration::from_secs(20), read)
        .await
        .expect("the connection is closed")
        .ok();
    String::from_utf8_lossy(&answer).into_owned()
}

/// A table of routes as a file, which can be written anew.
#[derive(Debug)]
pub(crate) struct Routes(tempfile::NamedTempFile);

impl Routes {
    pub(crate) fn new(text: &str) -> Self {
        let routes = Self(tempfile::NamedTempFile::new().expect("a temporary file"));
        routes.write(text);
        routes
    }

    pub(crate) fn path(&self) -> String {
        self.0.path().display().to_string()
    }

    pub(crate) fn write(&self, text: &str) {
        std::fs::write(self.0.path(), text).expect("it is written");
    }
}
