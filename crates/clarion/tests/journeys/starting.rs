//! Starting and stopping: what is asked for is there, what cannot work says so in one line.

use std::net::TcpListener;
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
