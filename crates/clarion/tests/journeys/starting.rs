//! Starting and stopping: what is asked for is there, what cannot work says so in one line.

use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::platform::Launch;

#[tokio::test(flavor = "multi_thread")]
async fn what_was_stored_is_there_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let platform = Launch::in_folder(folder.path()).start();
    let lead = json!({ "email": "ada@example.com" });
    platform
        .owner()
        .await
        .post("/api/v1/leads")
        .json(&lead)
        .send()
        .await
        .assert_status(201);
    assert_eq!(platform.stop(), Some(0));
    let platform = Launch::in_folder(folder.path()).start();
    let listed: Value = platform
        .owner()
        .await
        .get("/api/v1/leads")
        .send()
        .await
        .assert_status(200)
        .json();
    assert_eq!(listed["items"][0]["email"], "ada@example.com");
}

/// Processes that are alive and were started for `folder`, by their command lines.
fn alive_in(folder: &str) -> Vec<String> {
    let entries = std::fs::read_dir("/proc").expect("procfs").flatten();
    let lines = entries.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| line.contains(folder))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_a_stop_nor_a_kill_leaves_a_process_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let name = folder.path().to_string_lossy().into_owned();
    let platform = Launch::in_folder(folder.path()).start();
    assert!(
        !alive_in(&name).is_empty(),
        "Postgres names its data folder"
    );
    assert_eq!(platform.stop(), Some(0));
    assert_eq!(alive_in(&name), Vec::<String>::new());

    Launch::in_folder(folder.path()).start().kill();
    let deadline = Instant::now() + Duration::from_secs(15);
    while !alive_in(&name).is_empty() {
        assert!(
            Instant::now() < deadline,
            "left behind: {:?}",
            alive_in(&name)
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_is_healthy_and_documented() {
    let folder = tempfile::tempdir().expect("a folder");
    let platform = Launch::in_folder(folder.path()).start();
    let anonymous = testkit::Client::new(&platform.url, None);
    let health: Value = anonymous
        .get("/health")
        .send()
        .await
        .assert_status(200)
        .json();
    assert_eq!(health["status"], "ok", "{health}");
    let api: Value = anonymous
        .get("/api/v1/openapi.json")
        .send()
        .await
        .assert_status(200)
        .json();
    for path in [
        "/api/v1/campaigns",
        "/api/v1/leads",
        "/api/v1/analytics",
        "/api/v1/register",
        "/api/v1/messages",
    ] {
        assert!(api["paths"].get(path).is_some(), "{path} is documented");
    }
    for path in ["/docs/", "/metrics", "/mailbox"] {
        anonymous.get(path).send().await.assert_status(200);
    }
    anonymous
        .get("/internal/events")
        .send()
        .await
        .assert_status(404);
}

fn one_line(stderr: &str) -> String {
    let lines: Vec<_> = stderr
        .lines()
        .filter(|line| line.starts_with("clarion: "))
        .collect();
    assert_eq!(lines.len(), 1, "{stderr}");
    lines[0].to_owned()
}

#[test]
fn a_taken_port_is_one_clear_line() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("its address").to_string();
    let folder = tempfile::tempdir().expect("a folder");
    let (code, stderr) = Launch::in_folder(folder.path())
        .with("CLARION_HTTP_ADDR", &address)
        .fail();
    assert_eq!(code, Some(1));
    assert!(one_line(&stderr).contains(&address), "{stderr}");
}

#[test]
fn a_damaged_data_folder_is_one_clear_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let postgres = folder.path().join("data/postgres");
    std::fs::create_dir_all(&postgres).expect("a folder");
    std::fs::write(postgres.join("something"), "else").expect("writable");
    let (code, stderr) = Launch::in_folder(folder.path()).fail();
    assert_eq!(code, Some(1));
    assert!(one_line(&stderr).contains("PG_VERSION"), "{stderr}");
}

#[test]
fn a_wrong_database_url_is_one_clear_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = "postgres://nobody:secret@127.0.0.1:1/none";
    let (code, stderr) = Launch::in_folder(folder.path())
        .with("DATABASE_URL", url)
        .fail();
    assert_eq!(code, Some(1));
    let line = one_line(&stderr);
    assert!(line.contains("cannot connect to the database"), "{line}");
    assert!(!line.contains("secret"), "{line}");
}

#[test]
fn a_missing_binary_is_one_clear_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let (code, stderr) = Launch::in_folder(folder.path())
        .with("PATH", "/nowhere")
        .fail();
    assert_eq!(code, Some(1));
    assert!(one_line(&stderr).contains("not found"), "{stderr}");
}

#[test]
fn every_bad_setting_is_named_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let launch = Launch::in_folder(folder.path())
        .with("CLARION_HTTP_ADDR", "here")
        .with("CLARION_ENV", "moon");
    let (code, stderr) = launch.fail();
    assert_eq!(code, Some(1));
    let line = one_line(&stderr);
    assert!(
        line.contains("CLARION_HTTP_ADDR") && line.contains("CLARION_ENV"),
        "{line}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_asks_about_the_ledger_of_a_running_platform() {
    let folder = tempfile::tempdir().expect("a folder");
    let ledger = |words: &[&str]| {
        let asked = Command::new(env!("CARGO_BIN_EXE_clarion"))
            .arg("ledger")
            .args(words)
            .current_dir(folder.path())
            .env("CLARION_DATA_DIR", folder.path().join("data"))
            .env_remove("DATABASE_URL")
            .output()
            .expect("the binary starts");
        let said = String::from_utf8_lossy(&asked.stdout).into_owned();
        let complaint = String::from_utf8_lossy(&asked.stderr).into_owned();
        (asked.status.code(), said, complaint)
    };
    let (code, _, complaint) = ledger(&["status"]);
    assert_eq!(code, Some(1));
    assert!(
        complaint.contains("DATABASE_URL: must be set"),
        "{complaint}"
    );

    let platform = Launch::in_folder(folder.path()).start();
    let (code, said, complaint) = ledger(&["status"]);
    assert_eq!(code, Some(0), "{complaint}");
    assert_eq!(said, "not held\n0 messages wait to be sent\n");
    let (code, _, complaint) = ledger(&["release"]);
    assert_eq!(code, Some(1));
    assert!(complaint.contains("the ledger is not held"), "{complaint}");

    // As if the data were copied from another database.
    let copied = "UPDATE notifications.instance SET database_oid = 1";
    let psql = Command::new("psql")
        .args(["-XqAtc", copied, &postgres_url(&folder.path().join("data"))])
        .status()
        .expect("psql is installed");
    assert!(psql.success());
    testkit::eventually("it is held", || async {
        ledger(&["status"]).1.starts_with("held since ")
    })
    .await;
    let (code, said, complaint) = ledger(&["release", "--resend", "--by", "ada"]);
    assert_eq!(code, Some(0), "{complaint}");
    assert_eq!(said, "released by ada; 0 messages are ambiguous by this\n");
    let (_, said, _) = ledger(&["status"]);
    assert!(said.starts_with("not held\n"), "{said}");
    assert!(
        said.contains("released by ada (resend, 0 ambiguous)"),
        "{said}"
    );
    assert_eq!(platform.stop(), Some(0));
}

/// The private Postgres of a running platform.
fn postgres_url(data: &std::path::Path) -> String {
    laptop::Postgres::url_in(&data.join("postgres"), "clarion").expect("it runs")
}
