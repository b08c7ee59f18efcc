//! What a mail server's password must not do: let a campaign fail quietly, or show up in a log.

use common::auth::Role;
use common::ids::{CampaignId, WorkspaceId};
use data_encoding::BASE64;
use notifications::Notifications;
use serde_json::{Value, json};
use testkit::{Database, Issuer, Servers, eventually};

use crate::kill::Process;
use crate::senders::guarded;
use crate::support::{person, snapshot};

/// The passwords of the installation's server and of a workspace's own.
const PASSWORDS: [&str; 2] = ["swordfish-of-all", "swordfish-of-one"];

#[actix_web::test]
async fn a_password_that_is_refused_holds_campaigns_visibly_and_is_in_no_log() {
    let database = Database::new::<Notifications>(Servers::shared());
    let server = guarded("nobody's");
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("log");
    let settings = [
        (
            "SMTP_URL",
            format!("smtp://robot:{}@{server}?tls=none", PASSWORDS[0]),
        ),
        ("CLARION_LOG", "trace".into()),
    ];
    let file = std::fs::File::create(&log).expect("a new file");
    let process = Process::with(&database, &settings, file).await;
    let (workspace, id) = (WorkspaceId::new(), CampaignId::new());
    let now = chrono::Utc::now().timestamp();
    let token = Issuer::shared().user(workspace, Role::Owner, now);
    let sender = json!({
        "name": "Own", "host": server.ip().to_string(), "port": server.port(), "tls": "none",
        "user": "ada", "password": PASSWORDS[1],
    });
    let owner = process.client.with_token(token);
    let made = owner.post("/api/v1/senders").json(&sender).send().await;
    made.assert_status(201);
    let campaign = format!("/internal/campaigns/{id}");
    let put = process.client.put(&campaign).json(&snapshot(workspace));
    put.send().await.assert_status(204);
    let page = json!({
        "workspace_id": workspace, "recipients": [{ "recipient": person("grace@example.com") }],
    });
    let path = format!("{campaign}/recipients");
    let handed = process.client.post(path).json(&page).send().await;
    handed.assert_status(200);

    eventually("the campaign says why nothing goes", || async {
        let path = format!("{campaign}/speed?workspace_id={workspace}");
        let speed: Value = process.client.get(path).send().await.json();
        let limits = speed["limited_by"].as_array().expect("a list").clone();
        limits.iter().any(|limit| {
            let detail = limit["detail"].as_str().unwrap_or_default();
            limit["kind"] == "sender_unavailable" && detail.contains("535 5.7.8")
        })
    })
    .await;
    eventually("campaigns hears of it", || async {
        let kinds = chassis::outbox::kinds(&mut database.connect()).expect("the outbox");
        kinds.iter().any(|kind| kind == "campaign.held")
    })
    .await;

    let log = std::fs::read_to_string(&log).expect("it is text");
    assert!(log.contains("535 5.7.8"), "the reason is there");
    for password in PASSWORDS {
        let spoken = |user: &str| BASE64.encode(format!("\0{user}\0{password}").as_bytes());
        for secret in [password.to_owned(), spoken("robot"), spoken("ada")] {
            assert!(!log.contains(&secret), "{secret} is in the log");
        }
    }
}
