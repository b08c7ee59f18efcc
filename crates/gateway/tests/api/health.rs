use common::auth::Role;
use serde_json::{Value, json};

use crate::support::{App, Upstream, all_at};

#[actix_web::test]
async fn the_whole_is_well_when_every_part_is() {
    let upstream = Upstream::start();
    let app: App = all_at(&upstream)
        .with("MAILBOX_URL", upstream.url())
        .start()
        .await;
    let health: Value = app
        .anonymous()
        .get("/health")
        .send()
        .await
        .assert_status(200)
        .json();
    assert_eq!(health["status"], "ok", "{health}");
    let parts = health["parts"].as_object().expect("parts");
    let names: Vec<_> = parts.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "analytics",
            "campaigns",
            "identity",
            "leads",
            "mailbox",
            "notifications"
        ]
    );
    assert!(
        parts
            .values()
            .all(|part| part["took_ms"].as_f64().is_some_and(|ms| ms > 0.0))
    );
    app.anonymous()
        .get("/health/ready")
        .send()
        .await
        .assert_status(200);
    app.anonymous()
        .get("/health/live")
        .send()
        .await
        .assert_status(200);
    app.anonymous()
        .head("/health/live")
        .send()
        .await
        .assert_status(200);
}

#[actix_web::test]
async fn whoever_is_outside_gets_no_figures_and_no_parts() {
    let upstream = Upstream::start();
    let app: App = all_at(&upstream)
        .with("GATEWAY_TRUSTED_PROXIES", "127.0.0.1")
        .start()
        .await;
    let from = |address: &'static str, path: &'static str| {
        let request = app.anonymous().get(path);
        request.header("x-forwarded-for", address).send()
    };
    for outside in ["203.0.113.9", "2001:db8::1"] {
        let metrics = from(outside, "/metrics").await;
        metrics.assert_error(404, "route_not_found");
        let health: Value = from(outside, "/health").await.assert_status(200).json();
        assert_eq!(
            (&health["status"], &health["parts"]),
            (&"ok".into(), &json!({}))
        );
    }
    for inside in ["10.1.2.3", "fd00::1", "192.168.0.9"] {
        from(inside, "/metrics").await.assert_status(200);
        let health: Value = from(inside, "/health").await.assert_status(200).json();
        assert!(health["parts"]["leads"].is_object(), "{health}");
    }
    // Who is inside may be said, and then nobody else is.
    let app: App = all_at(&upstream)
        .with("GATEWAY_INSIDE", "203.0.113.0/24")
        .start()
        .await;
    let metrics = app.anonymous().get("/metrics").send().await;
    metrics.assert_error(404, "route_not_found");
}

#[actix_web::test]
async fn the_missing_part_is_named() {
    let upstream = Upstream::start();
    let app: App = all_at(&upstream)
        .with("ANALYTICS_URL", "http://127.0.0.1:1")
        .start()
        .await;
    let health: Value = app
        .anonymous()
        .get("/health")
        .send()
        .await
        .assert_status(200)
        .json();
    assert_eq!(health["status"], "degraded");
    assert_eq!(health["parts"]["analytics"]["ok"], false);
    assert_eq!(
        health["parts"]["analytics"]["detail"],
        "analytics does not answer at the moment"
    );
    assert_eq!(health["parts"]["leads"]["ok"], true);
    let ready = app
        .anonymous()
        .get("/health/ready")
        .send()
        .await
        .assert_status(503);
    assert_eq!(ready.json::<Value>()["waiting_for"][0], "analytics");
}

#[actix_web::test]
async fn without_any_part_the_whole_is_down() {
    // The stand-ins of other services know nothing of health.
    let app: App = testkit::Setup::default().start().await;
    let health: Value = app
        .anonymous()
        .get("/health")
        .send()
        .await
        .assert_status(503)
        .json();
    assert_eq!(health["status"], "down");
    assert_eq!(
        health["parts"]["leads"]["detail"],
        "it answered 404 Not Found"
    );
}

#[actix_web::test]
async fn requests_are_counted_by_route() {
    let upstream = Upstream::start();
    let app = crate::support::with_leads(&upstream).await;
    let owner = app.as_role(Role::Owner);
    for id in 0..3 {
        owner
            .get(format!("/api/v1/leads/{id}"))
            .send()
            .await
            .assert_status(200);
    }
    let text = app
        .anonymous()
        .get("/metrics")
        .send()
        .await
        .assert_status(200)
        .text();
    let line = text
        .lines()
        .find(|line| line.contains("_count{") && line.contains("route=\"/api/v1/leads\""))
        .unwrap_or_else(|| panic!("{text}"));
    assert!(
        line.ends_with(" 3") && line.contains("status=\"200\""),
        "{line}"
    );
}
