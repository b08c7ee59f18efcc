//! Who is who: anonymous visitors, people that senders know, and leads.

use analytics::domain::visitor::Visitor;
use common::LeadId;
use common::auth::{Role, Service};
use common::dto::people::{LeadFound, LeadsByEmail, LeadsFound};
use common::events::{LeadCreated, LeadDeleted, LeadsImported};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::BigInt;
use serde_json::{Value, json};
use testkit::{Setup, eventually};
use wiremock::matchers::{method, path};
use wiremock::{Mock, Request, ResponseTemplate};

use crate::support::{App, count, sent, write_key};

#[derive(QueryableByName)]
struct Person {
    #[diesel(sql_type = BigInt)]
    person: i64,
}

/// Who a visitor is.
fn person(app: &App, visitor: Visitor) -> Visitor {
    let sql = format!(
        "SELECT person FROM person_links WHERE visitor = {}",
        visitor.0
    );
    let found: Option<Person> = sql_query(sql)
        .get_result(&mut app.connect())
        .optional()
        .expect("links can be read");
    found.map_or(visitor, |row| Visitor(row.person))
}

fn anonymous(app: &App, id: &str) -> Visitor {
    Visitor::anonymous(app.workspace, id)
}

fn user(app: &App, id: &str) -> Visitor {
    Visitor::user(app.workspace, id)
}

async fn batch(app: &App, key: &str, messages: Value) {
    let body = json!({ "writeKey": key, "batch": messages });
    let request = app.anonymous().post("/v1/batch").json(&body);
    request.send().await.assert_status(200);
}

/// leads knows these people.
async fn leads_knows(app: &App, known: &[(&str, LeadId)]) {
    let known: Vec<(String, LeadId)> = known
        .iter()
        .map(|(email, id)| ((*email).to_owned(), *id))
        .collect();
    let answer = move |request: &Request| {
        let asked: LeadsByEmail = request.body_json().expect("a question");
        let found = known
            .iter()
            .filter(|(email, _)| asked.emails.contains(email));
        let items = found.map(|(email, lead_id)| LeadFound {
            email: email.clone(),
            lead_id: *lead_id,
        });
        ResponseTemplate::new(200).set_body_json(LeadsFound {
            items: items.collect(),
        })
    };
    Mock::given(method("POST"))
        .and(path("/internal/leads/by-email"))
        .respond_with(answer)
        .mount(&app.peer(Service::Leads).server)
        .await;
}

#[tokio::test]
async fn an_anonymous_visitor_becomes_who_it_says_it_is() {
    let app = App::start().await;
    let (_, key) = write_key(&app, json!({ "name": "Shop" })).await;
    batch(
        &app,
        &key,
        json!([
            { "type": "page", "anonymousId": "phone" },
            { "type": "page", "anonymousId": "laptop" },
            { "type": "identify", "anonymousId": "phone", "userId": "ada" },
            { "type": "track", "userId": "ada", "event": "x" },
        ]),
    )
    .await;
    assert_eq!(person(&app, anonymous(&app, "phone")), user(&app, "ada"));
    assert_eq!(
        person(&app, anonymous(&app, "laptop")),
        anonymous(&app, "laptop")
    );
    batch(
        &app,
        &key,
        json!([
            { "type": "identify", "anonymousId": "laptop", "userId": "ada" },
            { "type": "identify", "anonymousId": "laptop", "userId": "bob" },
        ]),
    )
    .await;
    assert_eq!(
        person(&app, anonymous(&app, "laptop")),
        user(&app, "ada"),
        "bob only borrowed it"
    );
}

#[tokio::test]
async fn an_alias_takes_everything_along() {
    let app = App::start().await;
    let (_, key) = write_key(&app, json!({ "name": "Shop" })).await;
    batch(
        &app,
        &key,
        json!([
            { "type": "identify", "anonymousId": "phone", "userId": "old" },
            { "type": "alias", "previousId": "old", "userId": "new" },
            { "type": "alias", "previousId": "tablet", "userId": "new" },
        ]),
    )
    .await;
    for visitor in [
        anonymous(&app, "phone"),
        user(&app, "old"),
        anonymous(&app, "tablet"),
    ] {
        assert_eq!(person(&app, visitor), user(&app, "new"));
    }
    batch(
        &app,
        &key,
        json!([{ "type": "alias", "previousId": "new", "userId": "newest" }]),
    )
    .await;
    assert_eq!(person(&app, anonymous(&app, "phone")), user(&app, "newest"));
    let steps = "person_links l JOIN person_links m ON m.visitor = l.person";
    assert_eq!(count(&app, steps), 0, "a row names the person itself");
}

#[tokio::test]
async fn an_event_of_ours_may_say_who_it_is_too() {
    let app = App::start().await;
    let (ada, lead) = (anonymous(&app, "a"), LeadId::new());
    let identify =
        json!({ "type": "identify", "anonymous_id": "a", "user_id": "ada", "lead_id": lead });
    assert_eq!(sent(&app, identify).await, (1, 0, 0));
    assert_eq!(person(&app, ada), Visitor::lead(app.workspace, lead));
    assert_eq!(
        person(&app, user(&app, "ada")),
        Visitor::lead(app.workspace, lead)
    );
    let other = json!({ "type": "view", "anonymous_id": "b", "user_id": "bob" });
    assert_eq!(sent(&app, other).await, (1, 0, 0));
    assert_eq!(person(&app, anonymous(&app, "b")), anonymous(&app, "b"));
}

#[tokio::test]
async fn an_address_makes_a_visitor_a_lead() {
    let app = App::start().await;
    let (ada, bob) = (LeadId::new(), LeadId::new());
    leads_knows(&app, &[("ada@example.com", ada)]).await;
    let (_, key) = write_key(&app, json!({ "name": "Shop" })).await;
    batch(&app, &key, json!([
        { "type": "identify", "anonymousId": "a", "userId": "ada", "traits": { "email": "Ada@Example.com" } },
        { "type": "identify", "anonymousId": "b", "traits": { "email": "bob@example.com" } },
        { "type": "identify", "anonymousId": "c", "traits": { "email": "no address" } },
    ])).await;
    let lead = Visitor::lead(app.workspace, ada);
    eventually("the lead is found", || async {
        person(&app, anonymous(&app, "a")) == lead
    })
    .await;
    assert_eq!(person(&app, user(&app, "ada")), lead);
    assert_eq!(count(&app, "person_emails"), 2);
    // Another device tells the same address: nobody needs to be asked again.
    batch(&app, &key, json!([
        { "type": "identify", "anonymousId": "d", "userId": "ada2", "traits": { "email": "ada@example.com" } },
    ])).await;
    assert_eq!(person(&app, anonymous(&app, "d")), lead);
    // Bob becomes a lead later.
    let created = LeadCreated {
        lead_id: bob,
        email: "Bob@example.com".into(),
    };
    app.peer(Service::Leads).tell(app.workspace, &created);
    let lead = Visitor::lead(app.workspace, bob);
    eventually("the new lead is known", || async {
        person(&app, anonymous(&app, "b")) == lead
    })
    .await;
}

#[tokio::test]
async fn an_import_makes_us_ask_again() {
    let app = App::start().await;
    let (_, key) = write_key(&app, json!({ "name": "Shop" })).await;
    leads_knows(&app, &[]).await;
    batch(
        &app,
        &key,
        json!([
            { "type": "identify", "userId": "ada", "traits": { "email": "ada@example.com" } },
        ]),
    )
    .await;
    let asked = || async { count(&app, "person_emails WHERE asked_at IS NOT NULL") == 1 };
    eventually("leads was asked", asked).await;
    let ada = LeadId::new();
    app.peer(Service::Leads).server.reset().await;
    leads_knows(&app, &[("ada@example.com", ada)]).await;
    let feed = Setup::default()
        .beside(&app)
        .start::<analytics::Analytics>()
        .await;
    leads_knows(&feed, &[("ada@example.com", ada)]).await;
    let imported = LeadsImported {
        import_id: common::ImportId::new(),
        created: 1,
        updated: 0,
        rejected: 0,
    };
    feed.peer(Service::Leads).tell(app.workspace, &imported);
    let lead = Visitor::lead(app.workspace, ada);
    eventually("the imported lead is found", || async {
        person(&app, user(&app, "ada")) == lead
    })
    .await;
}

#[tokio::test]
async fn a_lead_that_is_deleted_is_nobody_in_particular() {
    let app = App::start().await;
    let ada = LeadId::new();
    let identify = json!({ "type": "identify", "anonymous_id": "a", "lead_id": ada });
    assert_eq!(sent(&app, identify).await, (1, 0, 0));
    let with_address = json!({ "type": "identify", "user_id": "ada", "properties": { "email": "ada@example.com" } });
    assert_eq!(sent(&app, with_address).await, (1, 0, 0));
    let deleted = LeadDeleted {
        lead_id: ada,
        email: "Ada@example.com".into(),
    };
    app.peer(Service::Leads).tell(app.workspace, &deleted);
    let gone = || async { count(&app, "person_links") == 0 && count(&app, "person_emails") == 0 };
    eventually("nothing connects them", gone).await;
}

#[tokio::test]
async fn replicas_that_hear_of_the_same_people_at_once_agree() {
    let app = App::start().await;
    let replica = Setup::default().beside(&app).start().await;
    let (_, key) = write_key(&app, json!({ "name": "Shop" })).await;
    // A chain of names, told in pieces to both: in the end all are the last.
    let renames = (0..40).map(|n| {
        let app = if n % 2 == 0 { &app } else { &replica };
        let (previous, user) = (format!("u{n}"), format!("u{}", n + 1));
        let key = &key;
        async move {
            batch(
                app,
                key,
                json!([{ "type": "alias", "previousId": previous, "userId": user }]),
            )
            .await;
        }
    });
    futures::future::join_all(renames).await;
    let people = "(SELECT DISTINCT person FROM person_links) p";
    assert_eq!(count(&app, people), 1);
    let flat =
        "person_links l JOIN person_links m ON m.visitor = l.person AND m.person <> m.visitor";
    assert_eq!(count(&app, flat), 0);
    let analyst = app
        .as_role(Role::Analyst)
        .get("/api/v1/analytics/overview")
        .send()
        .await;
    analyst.assert_status(200);
}
