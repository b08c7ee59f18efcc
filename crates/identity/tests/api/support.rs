//! What the tests of identity have in common.

use identity::Identity;
use serde_json::{Value, json};
use testkit::{Client, Response, TestService};

pub(crate) type App = TestService<Identity>;

pub(crate) const PASSWORD: &str = "correct horse battery";

/// Somebody who is signed in.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) id: String,
    pub(crate) email: String,
    pub(crate) access: String,
    pub(crate) refresh: String,
    pub(crate) client: Client,
}

impl Person {
    /// Reads the answer of a registration or a sign-in.
    pub(crate) fn of(app: &App, answer: &Response) -> Self {
        let body: Value = answer.json();
        let text = |pointer: &str| {
            let value = body.pointer(pointer).and_then(Value::as_str);
            value.expect(pointer).to_owned()
        };
        let access = text("/access_token");
        Self {
            id: text("/user/id"),
            email: text("/user/email"),
            refresh: text("/refresh_token"),
            client: Client::new(app.url(), Some(access.clone())),
            access,
        }
    }

    pub(crate) fn path(&self) -> String {
        format!("/api/v1/users/{}", self.id)
    }
}

/// Opens a workspace whose owner has this address.
pub(crate) async fn register(app: &App, email: &str) -> Person {
    let answer = app
        .anonymous()
        .post("/api/v1/register")
        .json(&json!({ "name": "Ada", "email": email, "password": PASSWORD }))
        .send()
        .await
        .assert_status(201);
    Person::of(app, &answer)
}

pub(crate) async fn login(app: &App, email: &str, password: &str) -> Response {
    app.anonymous()
        .post("/api/v1/login")
        .json(&json!({ "email": email, "password": password }))
        .send()
        .await
}

/// A new member with `role`, added by `by` and signed in.
pub(crate) async fn member(app: &App, by: &Person, role: &str) -> Person {
    let email = format!("{role}-{}@example.com", uuid::Uuid::new_v4().simple());
    by.client
        .post("/api/v1/users")
        .json(&json!({ "name": role, "email": email, "password": PASSWORD, "role": role }))
        .send()
        .await
        .assert_status(201);
    let answer = login(app, &email, PASSWORD).await.assert_status(200);
    Person::of(app, &answer)
}
