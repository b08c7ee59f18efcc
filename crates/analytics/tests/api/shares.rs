//! Links that show reports to whoever has them.

use chrono::Duration;
use common::auth::Role;
use common::{CampaignId, WorkspaceId};
use serde_json::{Value, json};
use testkit::Response;

use crate::support::{App, Mail, browse, count, sent};

async fn create(app: &App, body: Value) -> Response {
    let owner = app.as_role(Role::Owner);
    owner
        .post("/api/v1/analytics/shares")
        .json(&body)
        .send()
        .await
}

/// A share: its id, and the path of its link.
async fn share(app: &App, body: Value) -> (String, String) {
    let made: Value = create(app, body).await.assert_status(201).json();
    let url = made["url"].as_str().expect("a link");
    let path = url
        .strip_prefix("http://clarion.test")
        .expect("our own")
        .to_owned();
    (made["id"].as_str().expect("an id").to_owned(), path)
}

#[tokio::test]
async fn whoever_has_the_link_sees_what_it_shows() {
    let app = App::start().await;
    let campaign = CampaignId::new();
    browse(&app, &Mail::of(&app, campaign).link(&app, 0)).await;
    sent(&app, json!({ "type": "view", "anonymous_id": "a" })).await;
    app.clock.advance(Duration::seconds(1));
    let reports = json!(["overview", "links"]);
    let (_, path) = share(
        &app,
        json!({ "name": " Spring ", "campaign_id": campaign, "reports": reports }),
    )
    .await;
    let visitor = app.anonymous();
    let shown = visitor.get(&path).send().await.assert_status(200);
    assert_eq!(shown.header("cache-control"), Some("no-store"));
    assert_eq!(shown.header("x-robots-tag"), Some("noindex"));
    let shown: Value = shown.json();
    assert_eq!(
        (&shown["name"], &shown["campaign_id"]),
        (&json!("Spring"), &json!(campaign))
    );
    assert!(
        shown["id"].is_null() && !shown.to_string().contains("workspace"),
        "{shown}"
    );
    let overview: Value = visitor
        .get(format!("{path}/overview"))
        .send()
        .await
        .assert_status(200)
        .json();
    assert_eq!(
        (&overview["events"], &overview["clicks"]),
        (&json!(1), &json!(1))
    );
    let links: Value = visitor
        .get(format!("{path}/links?limit=1"))
        .send()
        .await
        .assert_status(200)
        .json();
    assert_eq!(links["items"].as_array().map(Vec::len), Some(1));
    for report in ["devices", "funnel", "export", "x"] {
        let answer = visitor.get(format!("{path}/{report}")).send().await;
        answer.assert_error(404, "link_not_found");
    }
    assert_eq!(
        count(
            &app,
            &format!("shares WHERE hash::text LIKE '%{}%'", &path[3..20])
        ),
        0
    );
}

#[tokio::test]
async fn all_reports_of_a_workspace_can_be_shown() {
    let app = App::start().await;
    sent(&app, json!({ "type": "view", "anonymous_id": "a" })).await;
    app.clock.advance(Duration::seconds(1));
    let (_, path) = share(&app, json!({ "name": "All" })).await;
    for report in [
        "overview",
        "timeseries?interval=day&timezone=Asia/Kolkata",
        "links",
        "devices",
        "channels",
    ] {
        app.anonymous()
            .get(format!("{path}/{report}"))
            .send()
            .await
            .assert_status(200);
    }
    let devices: Value = app
        .anonymous()
        .get(format!("{path}/devices"))
        .send()
        .await
        .json();
    assert_eq!(devices["items"][0]["views"], 1);
}

#[tokio::test]
async fn nothing_outside_of_its_period_is_shown() {
    let app = App::start().await;
    let at = |days: i64| app.clock.now() - Duration::days(days);
    let view = |days: i64| json!({ "type": "view", "anonymous_id": "a", "occurred_at": at(days) });
    sent(&app, json!({ "events": [view(1), view(5), view(9)] })).await;
    let body = json!({ "name": "A week", "from": at(7), "to": at(3) });
    let (_, path) = share(&app, body).await;
    let get = |query: &str| {
        app.anonymous()
            .get(format!("{path}/overview{query}"))
            .send()
    };
    let time = |days: i64| at(days).format("%Y-%m-%dT%H:%M:%SZ").to_string();
    let all: Value = get(&format!("?from={}&to={}", time(30), time(0)))
        .await
        .assert_status(200)
        .json();
    assert_eq!((&all["views"], &all["from"]), (&json!(1), &json!(at(7))));
    let later = get(&format!("?from={}&to={}", time(2), time(0))).await;
    assert_eq!(
        later.assert_error(422, "invalid_input").errors[0].pointer,
        "query/from"
    );
    for query in ["?campaign_id=x", "?from=yesterday", "?timezone=Mars"] {
        let answer = app
            .anonymous()
            .get(format!("{path}/timeseries{query}"))
            .send()
            .await;
        answer.assert_error(422, "invalid_input");
    }
}

#[tokio::test]
async fn a_link_ends_when_it_expires_or_is_deleted() {
    let app = App::start().await;
    let expires_at = app.clock.now() + Duration::hours(1);
    let (_, short) = share(&app, json!({ "name": "Short", "expires_at": expires_at })).await;
    let (id, long) = share(&app, json!({ "name": "Long" })).await;
    app.clock.advance(Duration::hours(1));
    let get = |path: String| app.anonymous().get(path).send();
    for path in [short.clone(), format!("{short}/overview")] {
        get(path).await.assert_error(404, "link_not_found");
    }
    get(long.clone()).await.assert_status(200);
    let owner = app.as_role(Role::Owner);
    let path = format!("/api/v1/analytics/shares/{id}");
    let theirs = app.as_role_in(WorkspaceId::new(), Role::Owner);
    theirs
        .delete(&path)
        .send()
        .await
        .assert_error(404, "share_not_found");
    owner.delete(&path).send().await.assert_status(204);
    owner
        .delete(&path)
        .send()
        .await
        .assert_error(404, "share_not_found");
    get(long).await.assert_error(404, "link_not_found");
    for token in ["nothing".to_owned(), short[3..].chars().rev().collect()] {
        get(format!("/s/{token}"))
            .await
            .assert_error(404, "link_not_found");
    }
}

#[tokio::test]
async fn shares_are_listed_without_their_links_and_made_by_whoever_may() {
    let app = App::start().await;
    for name in ["a", "b"] {
        share(&app, json!({ "name": name })).await;
    }
    let analyst = app.as_role(Role::Analyst);
    let listed = analyst
        .get("/api/v1/analytics/shares?limit=1")
        .send()
        .await
        .assert_status(200);
    assert!(!listed.text().contains("/s/"), "{}", listed.text());
    let listed: Value = listed.json();
    assert_eq!(listed["items"][0]["name"], "a");
    assert!(listed["next_cursor"].is_string());
    let body = json!({ "name": "x" });
    analyst
        .post("/api/v1/analytics/shares")
        .json(&body)
        .send()
        .await
        .assert_error(403, "scope_missing");
    app.as_role(Role::Customer)
        .get("/api/v1/analytics/shares")
        .send()
        .await
        .assert_error(403, "scope_missing");
    let now = app.clock.now();
    let body = json!({
        "name": "", "from": now, "to": now, "reports": ["overview", "people"], "expires_at": now,
    });
    let problem = create(&app, body).await.assert_error(422, "invalid_input");
    let named: Vec<_> = problem
        .errors
        .iter()
        .map(|error| error.pointer.as_str())
        .collect();
    assert_eq!(named, ["/name", "/from", "/reports/1", "/expires_at"]);
    let late = create(
        &app,
        json!({ "name": "x", "expires_at": now + Duration::days(400), "reports": [] }),
    )
    .await;
    let problem = late.assert_error(422, "invalid_input");
    let named: Vec<_> = problem
        .errors
        .iter()
        .map(|error| error.pointer.as_str())
        .collect();
    assert_eq!(named, ["/reports", "/expires_at"]);
}
