use common::auth::Role;
use serde_json::Value;

use crate::support::{App, Upstream, all_at};

#[actix_web::test]
async fn the_overview_has_every_part_that_answers_and_names_the_others() {
    let upstream = Upstream::start();
    let app: App = all_at(&upstream)
        .with("ANALYTICS_URL", "http://127.0.0.1:1")
        .with("IDENTITY_URL", testkit::Issuer::shared().url())
        .start()
        .await;
    let overview: Value = app
        .as_role(Role::Owner)
        .get("/api/v1/overview")
        .send()
        .await
        .assert_status(200)
        .json();
    for (part, uri) in [
        ("campaigns", "/api/v1/campaigns?limit=5"),
        ("messages", "/api/v1/messages?limit=5"),
        ("lists", "/api/v1/lists?limit=50"),
    ] {
        assert_eq!(overview["parts"][part]["uri"], uri, "{overview}");
    }
    let missing = overview["missing"].as_array().expect("a list");
    assert_eq!(missing.len(), 1, "{overview}");
    assert_eq!(missing[0]["part"], "analytics");
    assert_eq!(missing[0]["code"], "unavailable");
    let seen = upstream.seen();
    for request in &seen {
        let token = request.header("authorization").expect("the caller's");
        assert!(token.starts_with("Bearer ey"), "{request:?}");
        assert!(request.header("x-request-id").is_some());
    }
}

#[actix_web::test]
async fn the_overview_is_for_those_who_may_see_it() {
    let upstream = Upstream::start();
    let app: App = all_at(&upstream).start().await;
    let nobody = app.anonymous().get("/api/v1/overview").send().await;
    nobody.assert_error(401, "token_missing");
    let write = app
        .as_role(Role::Owner)
        .post("/api/v1/overview")
        .send()
        .await;
    write.assert_error(405, "method_not_allowed");
    assert!(upstream.seen().is_empty());
}
