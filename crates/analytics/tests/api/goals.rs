//! `/api/v1/analytics/goals`

use chrono::Duration;
use common::WorkspaceId;
use common::auth::Role;
use serde_json::{Value, json};
use testkit::Response;

use crate::support::{App, count, sent};

const GOALS: &str = "/api/v1/analytics/goals";

async fn create(app: &App, body: Value) -> Response {
    app.as_role(Role::Owner)
        .post(GOALS)
        .json(&body)
        .send()
        .await
}

async fn created(app: &App, body: Value) -> String {
    let goal: Value = create(app, body).await.assert_status(201).json();
    goal["id"].as_str().expect("an id").to_owned()
}

/// (name, reached, people) of each.
async fn report(app: &App) -> Value {
    let analyst = app.as_role(Role::Analyst);
    let answer: Value = analyst.get(GOALS).send().await.assert_status(200).json();
    let items = answer["items"].as_array().expect("items").iter();
    items
        .map(|item| json!([item["name"], item["reached"], item["people"]]))
        .collect()
}

#[tokio::test]
async fn goals_are_reached_by_the_events_that_they_say() {
    let app = App::start().await;
    created(
        &app,
        json!({ "name": "Signed up", "type": "track", "event": "Signed Up" }),
    )
    .await;
    created(
        &app,
        json!({ "name": " Thanked ", "type": "view", "url_prefix": "https://shop.example/thanks" }),
    )
    .await;
    created(
        &app,
        json!({ "name": "Nobody", "type": "track", "event": "Nothing" }),
    )
    .await;
    created(
        &app,
        json!({ "name": "Demo", "type": "goal", "event": "demo" }),
    )
    .await;
    for (who, event) in [
        ("a", json!({ "type": "track", "name": "Signed Up" })),
        ("a", json!({ "type": "track", "name": "Signed Up" })),
        ("b", json!({ "type": "track", "name": "Signed Up" })),
        ("b", json!({ "type": "track", "name": "Signed Off" })),
        (
            "a",
            json!({ "type": "view", "url": "https://shop.example/thanks?order=1" }),
        ),
        (
            "a",
            json!({ "type": "view", "url": "https://shop.example/" }),
        ),
        ("c", json!({ "type": "goal", "name": "demo" })),
        ("c", json!({ "type": "goal", "name": "call" })),
    ] {
        let mut event = event;
        event["anonymous_id"] = who.into();
        assert_eq!(sent(&app, event).await, (1, 0, 0));
    }
    app.clock.advance(Duration::seconds(1));
    assert_eq!(
        report(&app).await,
        json!([
            ["Signed up", 3, 2],
            ["Thanked", 1, 1],
            ["Nobody", 0, 0],
            ["Demo", 1, 1],
            ["call", 1, 1]
        ]),
    );
}

#[tokio::test]
async fn a_goal_is_written_read_changed_and_deleted() {
    let app = App::start().await;
    let id = created(
        &app,
        json!({ "name": "Bought", "type": "track", "event": "Order" }),
    )
    .await;
    let path = format!("{GOALS}/{id}");
    let owner = app.as_role(Role::Owner);
    let goal: Value = owner.get(&path).send().await.assert_status(200).json();
    assert_eq!(
        (
            &goal["name"],
            &goal["type"],
            &goal["event"],
            &goal["url_prefix"]
        ),
        (
            &json!("Bought"),
            &json!("track"),
            &json!("Order"),
            &Value::Null
        )
    );
    let change = json!({ "event": null, "url_prefix": "https://a.example/" });
    let changed: Value = owner
        .patch(&path)
        .json(&change)
        .send()
        .await
        .assert_status(200)
        .json();
    assert_eq!(
        (&changed["name"], &changed["event"], &changed["url_prefix"]),
        (&json!("Bought"), &Value::Null, &json!("https://a.example/"))
    );
    assert_eq!(owner.get(&path).send().await.json::<Value>(), changed);
    // Nobody else sees it, or may change it.
    let theirs = app.as_role_in(WorkspaceId::new(), Role::Owner);
    theirs
        .get(&path)
        .send()
        .await
        .assert_error(404, "goal_not_found");
    theirs
        .patch(&path)
        .json(&json!({ "name": "x" }))
        .send()
        .await
        .assert_error(404, "goal_not_found");
    theirs
        .delete(&path)
        .send()
        .await
        .assert_error(404, "goal_not_found");
    let analyst = app.as_role(Role::Analyst);
    analyst.get(&path).send().await.assert_status(200);
    let customer = app.as_role(Role::Customer);
    customer
        .delete(&path)
        .send()
        .await
        .assert_error(403, "scope_missing");
    owner.delete(&path).send().await.assert_status(204);
    owner
        .delete(&path)
        .send()
        .await
        .assert_error(404, "goal_not_found");
    owner
        .get(&path)
        .send()
        .await
        .assert_error(404, "goal_not_found");
    assert_eq!(report(&app).await, json!([]));
}

#[tokio::test]
async fn what_is_no_goal_is_refused_field_by_field() {
    let app = App::start().await;
    for (body, field) in [
        (json!({ "name": " ", "type": "view" }), "/name"),
        (json!({ "name": "x".repeat(201), "type": "view" }), "/name"),
        (json!({ "name": "x", "type": "" }), "/type"),
        (
            json!({ "name": "x", "type": "view", "event": "" }),
            "/event",
        ),
        (
            json!({ "name": "x", "type": "view", "url_prefix": "a\nb" }),
            "/url_prefix",
        ),
    ] {
        let problem = create(&app, body).await.assert_error(422, "invalid_input");
        assert_eq!(problem.errors[0].pointer, field, "{problem:?}");
    }
    create(&app, json!({ "name": "x" }))
        .await
        .assert_error(422, "invalid_input");
    create(&app, json!({ "name": "x", "type": "view", "color": 1 }))
        .await
        .assert_error(422, "invalid_input");
    assert_eq!(count(&app, "goals"), 0);
    for number in 0..100 {
        created(
            &app,
            json!({ "name": format!("g{number}"), "type": "view" }),
        )
        .await;
    }
    create(&app, json!({ "name": "one more", "type": "view" }))
        .await
        .assert_error(409, "too_many_goals");
}

#[tokio::test]
async fn who_changes_goals_stands_in_the_trail_and_who_reaches_them_does_not() {
    let app = App::start().await;
    let goal = json!({ "name": "Demo", "type": "goal", "event": "demo" });
    let id = created(&app, goal).await;
    sent(&app, json!({ "type": "goal", "name": "demo" })).await;
    let owner = app.as_role(Role::Owner);
    let gone = owner.delete(format!("{GOALS}/{id}")).send().await;
    gone.assert_status(204);
    let entries = chassis::audit::waiting(&mut app.connect()).expect("it can be read");
    let said: Vec<_> = entries
        .iter()
        .map(|entry| (&*entry.action, &*entry.resource, &*entry.resource_id))
        .collect();
    assert_eq!(said, [("insert", "goals", &*id), ("delete", "goals", &*id)]);
}
