//! The process killed in the middle of its work.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use common::WorkspaceId;
use common::auth::Service as Name;
use common::dto::dispatch::Settlement;
use common::ids::CampaignId;
use diesel::RunQueryDsl;
use mailbox::Faults;
use notifications::Notifications;
use serde_json::json;
use testkit::{Client, Database, Issuer, Servers, eventually};

use crate::support::{Post, person, snapshot};

const CONNECTIONS: i64 = 4;
const PEOPLE: usize = 400;

/// The service as a process of its own.
pub(crate) struct Process {
    child: Child,
    pub(crate) client: Client,
}

impl Process {
    async fn start(database: &Database, post: &Post) -> Self {
        let connections = CONNECTIONS.to_string();
        let settings = [
            ("SMTP_URL", post.url()),
            ("SMTP_CONNECTIONS", connections),
            ("CLARION_LOG", "error".into()),
        ];
        Self::with(database, &settings, Stdio::null()).await
    }

    /// With more settings than every process needs, and where its log goes.
    pub(crate) async fn with(
        database: &Database,
        settings: &[(&str, String)],
        log: impl Into<Stdio>,
    ) -> Self {
        let address = {
            let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
            free.local_addr().expect("an address")
        };
        let (issuer, nobody) = (Issuer::shared(), "http://127.0.0.1:9");
        let child = Command::new(env!("CARGO_BIN_EXE_notifications"))
            .env_clear()
            .current_dir("/")
            .env("NOTIFICATIONS_HTTP_ADDR", address.to_string())
            .env("DATABASE_URL", database.url.expose())
            .env("DATABASE_POOL", "4")
            .env("IDENTITY_URL", issuer.url())
            .env("LEADS_URL", nobody)
            .env("CLARION_PUBLIC_URL", "http://clarion.test")
            .env("CLARION_SERVICE_SECRET", "s")
            .env("CLARION_LINK_SECRET", "l")
            .envs(settings.iter().map(|(key, value)| (key, value)))
            .stderr(log)
            .stdout(Stdio::null())
            .spawn()
            .expect("the binary starts");
        let token = issuer.service(Name::Campaigns, chrono::Utc::now().timestamp());
        let client = Client::new(format!("http://{address}"), Some(token));
        let process = Self { child, client };
        eventually("the process is ready", || async {
            let ready = process.client.get("/health/ready").try_send().await;
            ready.is_ok_and(|answer| answer.status == 200)
        })
        .await;
        process
    }

    /// `kill -9`
    fn kill(&mut self) {
        self.child.kill().expect("it is ours");
        self.child.wait().expect("it ends");
    }

    async fn settlement(&self, workspace: WorkspaceId, id: CampaignId) -> Settlement {
        let path = format!("/internal/campaigns/{id}/settlement?workspace_id={workspace}");
        self.client.get(path).send().await.assert_status(200).json()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[actix_web::test]
async fn killed_again_and_again_it_loses_nobody_and_mails_nobody_twice() {
    const KILLS: u64 = 4;
    let (database, post) = (
        Database::new::<Notifications>(Servers::shared()),
        Post::start(),
    );
    post.handle.set_faults(Faults {
        delay_ms: 2,
        ..Faults::default()
    });
    let mut process = Process::start(&database, &post).await;
    let (workspace, id) = (WorkspaceId::new(), CampaignId::new());
    let campaign = format!("/internal/campaigns/{id}");
    process
        .client
        .put(&campaign)
        .json(&snapshot(workspace))
        .send()
        .await
        .assert_status(204);
    let recipients: Vec<_> = (0..PEOPLE)
        .map(|n| json!({ "recipient": person(&format!("p{n}@example.com")) }))
        .collect();
    let page = json!({ "workspace_id": workspace, "recipients": recipients });
    let order = json!({ "workspace_id": workspace });
    process
        .client
        .post(format!("{campaign}/recipients"))
        .json(&page)
        .send()
        .await
        .assert_status(200);
    process
        .client
        .post(format!("{campaign}/complete"))
        .json(&order)
        .send()
        .await
        .assert_status(204);

    for round in 1..=KILLS {
        let reached = round * PEOPLE as u64 / (KILLS + 2);
        eventually("some more mails are out", || async {
            post.count() >= reached
        })
        .await;
        process.kill();
        // The leases of the dead end in their time; let it have passed.
        diesel::sql_query(
            "UPDATE bundles SET due_at = due_at - interval '1 hour' WHERE lease IS NOT NULL",
        )
        .execute(&mut database.connect())
        .expect("the ledger can be written");
        process = Process::start(&database, &post).await;
    }
    eventually("everybody is settled", || async {
        process.settlement(workspace, id).await.settled
    })
    .await;

    let (settlement, stats) = (process.settlement(workspace, id).await, post.handle.stats());
    assert_eq!(settlement.audience, PEOPLE as i64);
    assert_eq!(
        settlement.accepted + settlement.ambiguous,
        PEOPLE as i64,
        "{settlement:?}"
    );
    assert!(
        settlement.ambiguous <= CONNECTIONS * KILLS as i64,
        "{settlement:?}"
    );
    assert_eq!(stats.duplicates, 0, "{settlement:?}");
    let received = i64::try_from(stats.distinct_recipients).expect("few");
    assert!(
        (settlement.accepted..=settlement.audience).contains(&received),
        "{settlement:?} {stats:?}"
    );
}
