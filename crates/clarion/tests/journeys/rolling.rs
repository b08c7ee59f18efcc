//! Every service is replaced by a new process of itself while people work: nobody notices.
//!
//! Processes of their own, as images run them, behind one gateway. Among each other they reach
//! whoever is current through a door that forwards connections, as a cluster's service does.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use analytics::Analytics;
use campaigns::Campaigns;
use diesel::RunQueryDsl;
use diesel::sql_types::BigInt;
use identity::Identity;
use leads::Leads;
use mailbox::Mailbox;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use notifications::Notifications;
use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Authority, Certificate, Client, Database, Servers, eventually};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::platform::OWNER;

const SERVICES: [&str; 5] = [
    "identity",
    "campaigns",
    "leads",
    "notifications",
    "analytics",
];
/// How long a service says that it is about to stop before it does; the gateway asks each second.
const NOTICE: &str = "3";
const WORKERS: usize = 6;

/// A service in a process of its own. It is killed when the test ends before it does.
struct Process {
    child: Child,
    address: SocketAddr,
}

impl Process {
    fn start(service: &str, address: SocketAddr, settings: &BTreeMap<String, String>) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_clarion"))
            .args(["serve", service])
            .env_clear()
            .current_dir("/")
            .envs(settings)
            .env(
                format!("{}_HTTP_ADDR", service.to_uppercase()),
                address.to_string(),
            )
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("the binary starts");
        Self { child, address }
    }

    async fn until_ready(&self, speech: &Speech) {
        let client = speech.client(self.address);
        eventually("the process is ready", || async {
            let ready = client.get("/health/ready").try_send().await;
            ready.is_ok_and(|answer| answer.status == 200)
        })
        .await;
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().cast_signed());
        kill(pid, signal).expect("it runs");
    }

    /// As an orchestrator stops it; answers how it ended.
    async fn stop(mut self) -> Option<i32> {
        self.signal(Signal::SIGTERM);
        let mut code = None;
        eventually("the process ends", || {
            code = self.child.try_wait().expect("it is ours");
            let ended = code.is_some();
            async move { ended }
        })
        .await;
        code.and_then(|status| status.code())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Already gone is as good.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// How services are spoken to: openly, or over TLS by a certificate that all of them show.
enum Speech {
    Open,
    Secure(Box<Authority>, Certificate),
}

impl Speech {
    /// Where its processes listen; tests do not meet there.
    fn host(&self) -> &'static str {
        match self {
            Self::Open => "127.0.0.2",
            Self::Secure(..) => "127.0.0.3",
        }
    }

    fn url(&self, address: SocketAddr) -> String {
        match self {
            Self::Open => format!("http://{address}"),
            Self::Secure(..) => format!("https://{address}"),
        }
    }

    fn client(&self, address: SocketAddr) -> Client {
        match self {
            Self::Open => Client::new(self.url(address), None),
            Self::Secure(authority, _) => Client::over(authority.client(), self.url(address), None),
        }
    }

    fn settings(&self) -> Vec<(String, String)> {
        let Self::Secure(authority, certificate) = self else {
            return Vec::new();
        };
        let shown = SERVICES.iter().flat_map(|service| {
            let name = service.to_uppercase();
            [
                (format!("{name}_TLS_CERTIFICATE"), certificate.certificate()),
                (format!("{name}_TLS_KEY"), certificate.key()),
            ]
        });
        let believed = ("CLARION_TLS_CA".to_owned(), authority.file());
        shown.chain([believed]).collect()
    }
}

/// Where the others find a service: it forwards connections to whichever process is current.
#[derive(Clone)]
struct Door {
    address: SocketAddr,
    behind: Arc<Mutex<SocketAddr>>,
}

impl Door {
    async fn open(behind: SocketAddr) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let behind = Arc::new(Mutex::new(behind));
        let current = Arc::clone(&behind);
        tokio::spawn(async move {
            while let Ok((mut inside, _)) = listener.accept().await {
                let to = *current.lock().unwrap_or_else(PoisonError::into_inner);
                tokio::spawn(async move {
                    // A connection that breaks is told to both sides by its end.
                    if let Ok(mut outside) = tokio::net::TcpStream::connect(to).await {
                        tokio::io::copy_bidirectional(&mut inside, &mut outside)
                            .await
                            .ok();
                    }
                });
            }
        });
        Self { address, behind }
    }

    fn lead_to(&self, address: SocketAddr) {
        *self.behind.lock().unwrap_or_else(PoisonError::into_inner) = address;
    }
}

/// Addresses that stay free until somebody listens there: connections of other tests leave from
/// 127.0.0.1, and take a port of that alone.
fn free_addresses(host: &str, count: usize) -> Vec<SocketAddr> {
    let bind = |_| TcpListener::bind((host, 0)).expect("a free port");
    let held: Vec<_> = (0..count).map(bind).collect();
    let address = |free: &TcpListener| free.local_addr().expect("its address");
    held.iter().map(address).collect()
}

/// People at work: requests of every service, reads and writes, that must all succeed.
struct Work {
    done: Arc<AtomicUsize>,
    stop: CancellationToken,
    running: JoinSet<(Vec<String>, usize)>,
}

impl Work {
    fn start(client: &Client) -> Self {
        let (done, stop) = (Arc::new(AtomicUsize::new(0)), CancellationToken::new());
        let mut running = JoinSet::new();
        for worker in 0..WORKERS {
            running.spawn(work(
                client.clone(),
                worker,
                Arc::clone(&done),
                stop.clone(),
            ));
        }
        Self {
            done,
            stop,
            running,
        }
    }

    async fn pass(&self, count: usize) {
        let goal = self.done.load(Ordering::SeqCst) + count;
        eventually("requests are answered", || async {
            self.done.load(Ordering::SeqCst) >= goal
        })
        .await;
    }

    /// What failed, and how many leads were made.
    async fn end(mut self) -> (Vec<String>, usize) {
        self.stop.cancel();
        let (mut failures, mut made) = (Vec::new(), 0);
        while let Some(found) = self.running.join_next().await {
            let (failed, leads) = found.expect("no panic");
            failures.extend(failed);
            made += leads;
        }
        (failures, made)
    }
}

/// One round after another, until told to stop.
async fn work(
    client: Client,
    worker: usize,
    done: Arc<AtomicUsize>,
    stop: CancellationToken,
) -> (Vec<String>, usize) {
    let (mut failures, mut made) = (Vec::new(), 0);
    for round in 0.. {
        let email = format!("p{worker}-{round}@example.com");
        let steps = [
            (
                Method::POST,
                "/api/v1/leads",
                Some(json!({ "email": email })),
            ),
            (Method::GET, "/api/v1/leads?limit=5", None),
            (
                Method::POST,
                "/api/v1/campaigns",
                Some(json!({ "name": email })),
            ),
            (Method::GET, "/api/v1/campaigns?limit=5", None),
            (Method::GET, "/api/v1/messages?limit=5", None),
            (Method::GET, "/api/v1/senders", None),
            (
                Method::POST,
                "/api/v1/analytics",
                Some(json!({ "type": "view" })),
            ),
            (Method::GET, "/api/v1/analytics/overview", None),
            (Method::GET, "/api/v1/users", None),
            (Method::GET, "/api/v1/overview", None),
        ];
        for (method, path, body) in steps {
            if stop.is_cancelled() {
                return (failures, made);
            }
            let request = client.request(method.clone(), path);
            let request = match &body {
                Some(body) => request.json(body),
                None => request,
            };
            match request.try_send().await {
                Ok(answer) if answer.status < 300 => {
                    made += usize::from(body.is_some() && path == "/api/v1/leads");
                    let whole: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
                    let missing = whole["missing"].as_array().is_some_and(|it| !it.is_empty());
                    if path == "/api/v1/overview" && missing {
                        failures.push(format!("a part is missing: {}", whole["missing"]));
                    }
                }
                Ok(answer) => failures.push(format!(
                    "{method} {path}: {} {}",
                    answer.status,
                    answer.text()
                )),
                Err(error) => failures.push(format!("{method} {path}: {error}")),
            }
            done.fetch_add(1, Ordering::SeqCst);
        }
    }
    (failures, made)
}

#[derive(diesel::QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// The table that is compiled in, with replicas by their addresses.
fn routes(replicas: &BTreeMap<&str, [SocketAddr; 2]>, speech: &Speech) -> String {
    let mut text = include_str!("../../../gateway/src/table/routes.toml").to_owned();
    for (service, both) in replicas {
        let [first, second] = both.map(|address| speech.url(address));
        let pool = format!("[pools.{service}]\n");
        let named = format!("{pool}replicas = [\"{first}\", \"{second}\"]\n");
        assert!(text.contains(&pool), "{service}");
        text = text.replacen(&pool, &named, 1);
    }
    text
}

fn mail_server() -> (SocketAddr, CancellationToken) {
    let (sender, receiver) = std::sync::mpsc::channel();
    let stop = CancellationToken::new();
    let token = stop.clone();
    std::thread::spawn(move || {
        actix_web::rt::System::new().block_on(async move {
            let settings = mailbox::Settings {
                http_addr: None,
                ..mailbox::Settings::default()
            };
            let mailbox = Mailbox::bind(settings).await.expect("it binds");
            sender.send(mailbox.smtp_addr()).expect("somebody waits");
            mailbox.run(token).await.expect("it runs until it is told");
        });
    });
    (receiver.recv().expect("it says where it listens"), stop)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_service_is_replaced_under_load_and_no_request_fails() {
    replace_every_service(Speech::Open).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_holds_when_all_of_them_speak_tls() {
    let authority = Authority::new("inside");
    let certificate = authority.certificate(&["127.0.0.1", "127.0.0.3"]);
    replace_every_service(Speech::Secure(Box::new(authority), certificate)).await;
}

async fn replace_every_service(speech: Speech) {
    let servers = Servers::shared();
    let databases = BTreeMap::from([
        ("identity", Database::new::<Identity>(servers)),
        ("campaigns", Database::new::<Campaigns>(servers)),
        ("leads", Database::new::<Leads>(servers)),
        ("notifications", Database::new::<Notifications>(servers)),
        ("analytics", Database::new::<Analytics>(servers)),
    ]);
    let (mails, stop_mails) = mail_server();
    let free = free_addresses(speech.host(), 2 * SERVICES.len() + 1);
    let (own, pairs) = free.split_last().expect("there are some");
    let (pairs, _) = pairs.as_chunks::<2>();
    let replicas: BTreeMap<_, _> = SERVICES.into_iter().zip(pairs.iter().copied()).collect();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("routes.toml");
    std::fs::write(&file, routes(&replicas, &speech)).expect("a new file");

    let mut settings: BTreeMap<String, String> = [
        ("REDIS_URL", servers.redis.url()),
        ("SMTP_URL", format!("smtp://{mails}?tls=none")),
        ("DATABASE_POOL", "4".into()),
        ("HTTP_WORKERS", "1".into()),
        ("STOP_NOTICE_SECONDS", NOTICE.into()),
        ("CLARION_SERVICE_SECRET", "a secret of the tests".into()),
        ("CLARION_LINK_SECRET", "another secret of the tests".into()),
        ("CLARION_PUBLIC_URL", "http://clarion.test".into()),
        ("CLARION_OWNER_EMAIL", OWNER.0.into()),
        ("CLARION_OWNER_PASSWORD", OWNER.1.into()),
        ("CLARION_LOG", "error".into()),
        ("GATEWAY_ROUTES_FILE", file.to_string_lossy().into_owned()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into();
    settings.extend(speech.settings());
    let mut doors = BTreeMap::new();
    for service in SERVICES {
        let door = Door::open(replicas[service][0]).await;
        let key = format!("{}_URL", service.to_uppercase());
        settings.insert(key, speech.url(door.address));
        doors.insert(service, door);
    }
    let start = |service: &str, at: usize| {
        let mut settings = settings.clone();
        let url = databases[service].url.expose().to_owned();
        settings.insert("DATABASE_URL".into(), url);
        Process::start(service, replicas[service][at], &settings)
    };
    let mut current = BTreeMap::new();
    for service in SERVICES {
        current.insert(service, start(service, 0));
    }
    let gateway = Process::start("gateway", *own, &settings);
    for process in current.values() {
        process.until_ready(&speech).await;
    }
    gateway.until_ready(&Speech::Open).await;

    let url = format!("http://{}", gateway.address);
    let login = json!({ "email": OWNER.0, "password": OWNER.1 });
    let tokens: Value = Client::new(&url, None)
        .post("/api/v1/login")
        .json(&login)
        .send()
        .await
        .assert_status(200)
        .json();
    let token = tokens["access_token"].as_str().expect("a token").to_owned();
    let client = Client::new(&url, Some(token));
    let work = Work::start(&client);
    work.pass(100).await;
    let mut ends = Vec::new();
    for service in SERVICES {
        let fresh = start(service, 1);
        fresh.until_ready(&speech).await;
        doors[service].lead_to(fresh.address);
        let old = current.insert(service, fresh).expect("it ran");
        ends.push((service, old.stop().await));
        work.pass(100).await;
    }
    // The operator asks for the table to be read again: that is no reason to drop anything either.
    gateway.signal(Signal::SIGHUP);
    work.pass(200).await;
    let (failures, made) = work.end().await;
    assert!(
        failures.is_empty(),
        "{} failed: {:#?}",
        failures.len(),
        &failures[..failures.len().min(10)]
    );
    for (service, code) in ends {
        assert_eq!(code, Some(0), "{service}");
    }
    // Each was made once.
    let count: Count = diesel::sql_query("SELECT count(*) FROM leads")
        .get_result(&mut databases["leads"].connect())
        .expect("the table is there");
    assert_eq!(usize::try_from(count.count), Ok(made));
    assert!(made > 10, "{made}");
    for (service, process) in current {
        assert_eq!(process.stop().await, Some(0), "{service}");
    }
    assert_eq!(gateway.stop().await, Some(0));
    stop_mails.cancel();
}

#[test]
fn a_service_that_does_not_exist_is_not_served() {
    let output = Command::new(env!("CARGO_BIN_EXE_clarion"))
        .args(["serve", "commerce"])
        .output()
        .expect("the binary starts");
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("possible values: gateway, identity"),
        "{said}"
    );
}
