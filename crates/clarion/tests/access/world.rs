//! Services that trust a real identity, each on a port of its own.

use std::sync::Arc;

use chassis::Service;
use gateway::Gateway;
use identity::Identity;
use serde_json::{Value, json};
use testkit::{Client, Servers, Setup, TestService};

pub(crate) const PASSWORD: &str = "seven lonely lighthouses";

/// Somebody who is signed in with tokens.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) id: String,
    pub(crate) email: String,
    pub(crate) access: String,
    pub(crate) refresh: String,
}

impl Person {
    pub(crate) fn of(answer: &Value) -> Self {
        let text = |pointer: &str| {
            let value = answer.pointer(pointer).and_then(Value::as_str);
            value.expect(pointer).to_owned()
        };
        Self {
            id: text("/user/id"),
            email: text("/user/email"),
            access: text("/access_token"),
            refresh: text("/refresh_token"),
        }
    }

    /// Themselves, at this server.
    pub(crate) fn at(&self, url: impl Into<String>) -> Client {
        Client::new(url, Some(self.access.clone()))
    }
}

/// An identity and the servers it stands on.
pub(crate) struct World {
    pub(crate) identity: TestService<Identity>,
    servers: Option<Arc<Servers>>,
    redis: Option<String>,
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::on(None).await
    }

    /// On servers that the test may stop.
    pub(crate) async fn on(servers: Option<Arc<Servers>>) -> Self {
        let setup = match &servers {
            Some(servers) => Setup::on(servers),
            None => Setup::default(),
        };
        let identity = setup.system_clock().start().await;
        Self {
            identity,
            servers,
            redis: None,
        }
    }

    /// With an identity that was set up for the test.
    pub(crate) fn of(identity: TestService<Identity>) -> Self {
        Self {
            identity,
            servers: None,
            redis: None,
        }
    }

    /// With the Redis at this address, which the test may stop.
    pub(crate) async fn with_redis(url: &str) -> Self {
        let setup = Setup::default().system_clock();
        Self {
            identity: setup.with("REDIS_URL", url).start().await,
            servers: None,
            redis: Some(url.to_owned()),
        }
    }

    fn setup(&self) -> Setup<'_> {
        let setup = match &self.servers {
            Some(servers) => Setup::on(servers),
            None => Setup::default(),
        };
        let setup = match &self.redis {
            Some(url) => setup.with("REDIS_URL", url),
            None => setup,
        };
        setup
            .system_clock()
            .with("IDENTITY_URL", self.identity.url())
    }

    /// Another replica of identity.
    pub(crate) async fn another_identity(&self) -> TestService<Identity> {
        self.setup().beside(&self.identity).start().await
    }

    pub(crate) async fn service<S: Service>(&self) -> TestService<S> {
        self.setup()
            .with("SMTP_URL", "smtp://127.0.0.1:1?tls=none")
            .with("CLARION_DATA_KEY", "a key of the tests, long enough")
            .start()
            .await
    }

    pub(crate) async fn replica<S: Service>(&self, of: &TestService<S>) -> TestService<S> {
        self.setup()
            .with("SMTP_URL", "smtp://127.0.0.1:1?tls=none")
            .beside(of)
            .start()
            .await
    }

    /// A gateway in front of these services, given as `NAME_URL` and where.
    pub(crate) async fn gateway(&self, parts: &[(&str, String)]) -> TestService<Gateway> {
        let setup = parts.iter().fold(self.setup(), |setup, (key, url)| {
            setup.with(key, url.clone())
        });
        setup.start().await
    }

    pub(crate) async fn register(&self, email: &str) -> Person {
        let body = json!({ "name": "Ada", "email": email, "password": PASSWORD });
        let answer = self
            .identity
            .anonymous()
            .post("/api/v1/register")
            .json(&body)
            .send()
            .await
            .assert_status(201);
        Person::of(&answer.json())
    }

    pub(crate) async fn login(&self, email: &str) -> Person {
        let body = json!({ "email": email, "password": PASSWORD });
        let answer = self
            .identity
            .anonymous()
            .post("/api/v1/login")
            .json(&body)
            .send()
            .await
            .assert_status(200);
        Person::of(&answer.json())
    }

    /// A new member with `role`, added by `by`.
    pub(crate) async fn member(&self, by: &Person, role: &str) -> Person {
        let email = format!("{role}-{}@example.com", uuid::Uuid::new_v4().simple());
        let body = json!({ "name": role, "email": email, "password": PASSWORD, "role": role });
        by.at(self.identity.url())
            .post("/api/v1/users")
            .json(&body)
            .send()
            .await
            .assert_status(201);
        self.login(&email).await
    }
}

/// A browser that is signed in through a gateway.
#[derive(Clone, Debug)]
pub(crate) struct Browser {
    pub(crate) cookie: String,
    pub(crate) csrf: String,
}

impl Browser {
    pub(crate) async fn sign_in(gateway: &str, email: &str) -> Self {
        let answer = Client::new(gateway, None)
            .post("/api/v1/session")
            .json(&json!({ "email": email, "password": PASSWORD }))
            .send()
            .await
            .assert_status(201);
        let set = answer.header("set-cookie").expect("a cookie");
        let cookie = set.split(';').next().expect("its pair").to_owned();
        let body: Value = answer.json();
        let csrf = body["csrf_token"].as_str().expect("a token").to_owned();
        Self { cookie, csrf }
    }

    pub(crate) async fn get(&self, gateway: &str, path: &str) -> testkit::Response {
        let request = Client::new(gateway, None).get(path);
        request.header("cookie", &self.cookie).send().await
    }

    pub(crate) async fn post(&self, gateway: &str, path: &str, body: &Value) -> testkit::Response {
        let request = Client::new(gateway, None).post(path).json(body);
        request
            .header("cookie", &self.cookie)
            .header("x-csrf-token", &self.csrf)
            .send()
            .await
    }
}
