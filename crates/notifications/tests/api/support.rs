//! A notifications service, the mailbox it sends to, and short ways to say things.

use std::net::SocketAddr;
use std::time::Duration;

use common::auth::Service as Name;
use common::dto::audience::{Recipient, Standing};
use common::dto::dispatch::Settlement;
use common::ids::{CampaignId, LeadId, WorkspaceId};
use common::token::{Keyring, Purpose};
use mailbox::{Mail, Mailbox};
use notifications::Notifications;
use serde_json::{Value, json};
use testkit::{Client, Setup, TestService, eventually};
use tokio_util::sync::CancellationToken;

/// How long a mail may take to arrive.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A mailbox in a thread of its own; it ends with the test.
pub(crate) struct Post {
    pub(crate) handle: mailbox::Handle,
    pub(crate) address: SocketAddr,
    stop: CancellationToken,
}

impl Post {
    pub(crate) fn start() -> Self {
        let (sender, receiver) = std::sync::mpsc::channel();
        let stop = CancellationToken::new();
        let token = stop.clone();
        std::thread::spawn(move || {
            let system = actix_web::rt::System::new();
            system.block_on(async move {
                let settings = mailbox::Settings {
                    http_addr: None,
                    slow: Duration::from_millis(200),
                    ..mailbox::Settings::default()
                };
                let mailbox = Mailbox::bind(settings).await.expect("the mailbox binds");
                sender
                    .send((mailbox.handle(), mailbox.smtp_addr()))
                    .expect("the test waits");
                mailbox.run(token).await.expect("the mailbox runs");
            });
        });
        let (handle, address) = receiver.recv().expect("the mailbox starts");
        Self {
            handle,
            address,
            stop,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("smtp://{}", self.address)
    }

    /// How many messages it has taken in.
    pub(crate) fn count(&self) -> u64 {
        self.handle.stats().messages
    }

    pub(crate) async fn mail_to(&self, address: &str) -> Mail {
        let mail = self.handle.wait_for_mail_to(address, PATIENCE).await;
        mail.unwrap_or_else(|| panic!("no mail to {address}"))
    }
}

impl Drop for Post {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A service and its mailbox.
pub(crate) struct World {
    pub(crate) app: TestService<Notifications>,
    pub(crate) post: Post,
}

/// The settings that make a service send to `post`, quickly noticing what goes wrong.
pub(crate) fn setup(post: &Post) -> Setup<'static> {
    Setup::default()
        .with("SMTP_URL", post.url())
        .with("SMTP_CONNECTIONS", "4")
        .with("SMTP_TIMEOUT_SECONDS", "2")
}

impl World {
    pub(crate) async fn start() -> Self {
        let post = Post::start();
        let app = setup(&post).start().await;
        Self { app, post }
    }

    pub(crate) fn campaigns(&self) -> Client {
        self.app.as_service(Name::Campaigns)
    }

    /// A running campaign that nobody was handed over to yet.
    pub(crate) async fn campaign(&self) -> Campaign<'_> {
        self.campaign_with(|_| {}).await
    }

    pub(crate) async fn campaign_with(&self, change: impl FnOnce(&mut Value)) -> Campaign<'_> {
        let id = CampaignId::new();
        let mut snapshot = snapshot(self.app.workspace);
        change(&mut snapshot);
        let path = format!("/internal/campaigns/{id}");
        self.campaigns()
            .put(path)
            .json(&snapshot)
            .send()
            .await
            .assert_status(204);
        Campaign { world: self, id }
    }

    /// The path below which a link leads, opened as a token.
    pub(crate) fn token(
        &self,
        url: &str,
        path: &str,
        purpose: Purpose,
    ) -> common::token::MailToken {
        let keys: Keyring = self.app.links();
        let token = url
            .rsplit_once(path)
            .unwrap_or_else(|| panic!("{path} in {url}"))
            .1;
        keys.open(purpose, token).expect("a token of ours")
    }
}

pub(crate) fn snapshot(workspace: WorkspaceId) -> Value {
    json!({
        "workspace_id": workspace,
        "name": "Spring",
        "subject": "Hello {{ lead.first_name }}",
        "from": { "name": "Ada", "email": "ada@sender.example" },
        "content": {
            "format": "html",
            "body": "<html><body><p>Dear {{ lead.first_name }}</p>\
                     <a href=\"https://shop.example/?a=1&amp;b=2\">Shop</a>\
                     <a href=\"{{ unsubscribe_url }}\">Leave</a>\
                     <a href=\"{{ view_url }}\">View</a></body></html>",
        },
    })
}

pub(crate) fn person(address: &str) -> Recipient {
    Recipient {
        lead_id: LeadId::new(),
        email: address.to_owned(),
        timezone: None,
        standing: Standing::Sendable,
        lead: json!({ "first_name": "Grace", "email": address }).into(),
    }
}

/// A campaign of a test.
pub(crate) struct Campaign<'w> {
    world: &'w World,
    pub(crate) id: CampaignId,
}

impl<'w> Campaign<'w> {
    /// One that this world's ledger has from before.
    pub(crate) fn known(world: &'w World, id: CampaignId) -> Self {
        Self { world, id }
    }
}

impl Campaign<'_> {
    pub(crate) async fn hand_over(&self, people: &[Recipient]) -> i64 {
        let recipients: Vec<_> = people
            .iter()
            .map(|person| json!({ "recipient": person }))
            .collect();
        self.hand_over_json(json!(recipients)).await
    }

    pub(crate) async fn hand_over_json(&self, recipients: Value) -> i64 {
        let body = json!({ "workspace_id": self.world.app.workspace, "recipients": recipients });
        let path = format!("/internal/campaigns/{}/recipients", self.id);
        let answer = self
            .world
            .campaigns()
            .post(path)
            .json(&body)
            .send()
            .await
            .assert_status(200);
        answer.json::<Value>()["added"].as_i64().expect("a number")
    }

    pub(crate) async fn order(&self, order: &str) {
        let path = format!("/internal/campaigns/{}/{order}", self.id);
        let body = json!({ "workspace_id": self.world.app.workspace });
        self.world
            .campaigns()
            .post(path)
            .json(&body)
            .send()
            .await
            .assert_status(204);
    }

    pub(crate) async fn settlement(&self) -> Settlement {
        let path = format!(
            "/internal/campaigns/{}/settlement?workspace_id={}",
            self.id, self.world.app.workspace
        );
        let settlement: Settlement = self
            .world
            .campaigns()
            .get(path)
            .send()
            .await
            .assert_status(200)
            .json();
        assert_eq!(
            settlement.audience,
            settlement.sum(),
            "it sums at every moment"
        );
        settlement
    }

    /// How fast it is sent and what limits it.
    pub(crate) async fn speed(&self) -> Value {
        let path = format!(
            "/internal/campaigns/{}/speed?workspace_id={}",
            self.id, self.world.app.workspace
        );
        let answer = self.world.campaigns().get(path).send().await;
        answer.assert_status(200).json()
    }

    /// The kinds of what limits its speed.
    pub(crate) async fn limits(&self) -> Vec<String> {
        let speed = self.speed().await;
        let limits = speed["limited_by"].as_array().expect("a list");
        let kind = |limit: &Value| limit["kind"].as_str().expect("a kind").to_owned();
        limits.iter().map(kind).collect()
    }

    /// Waits until the settlement is as wanted, and answers it.
    pub(crate) async fn until(
        &self,
        what: &str,
        holds: impl Fn(&Settlement) -> bool,
    ) -> Settlement {
        eventually(what, || async { holds(&self.settlement().await) }).await;
        self.settlement().await
    }

    /// Its messages with this outcome, as the API lists them.
    pub(crate) async fn messages(&self, outcome: &str) -> Vec<Value> {
        let path = format!("/api/v1/messages?campaign_id={}&outcome={outcome}", self.id);
        let client = self.world.app.as_role(common::auth::Role::Marketer);
        let page: Value = client.get(path).send().await.assert_status(200).json();
        page["items"].as_array().expect("a list").clone()
    }
}
