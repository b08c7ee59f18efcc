use serde_json::Value;

use crate::support::{App, Upstream, all_at};

#[actix_web::test]
async fn the_documents_of_all_services_become_one() {
    let parts: Vec<_> = (0..4).map(|_| Upstream::start()).collect();
    let app: App = all_at(&parts[0])
        .with("LEADS_URL", parts[1].url())
        .with("CAMPAIGNS_URL", parts[2].url())
        .with("NOTIFICATIONS_URL", parts[3].url())
        .with("ANALYTICS_URL", "http://127.0.0.1:1")
        .start()
        .await;
    let document: Value = app
        .anonymous()
        .get("/api/v1/openapi.json")
        .send()
        .await
        .assert_status(200)
        .json();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["servers"][0]["url"], "http://clarion.test");
    assert_eq!(
        document["paths"].as_object().map(|paths| paths.len()),
        Some(5),
        "one of each service, and ours"
    );
    assert_eq!(document["x-missing"], serde_json::json!(["analytics"]));
}

#[actix_web::test]
async fn documents_are_shown_unless_the_operator_says_no() {
    let upstream = Upstream::start();
    let app: App = all_at(&upstream)
        .with("GATEWAY_DOCS", "false")
        .start()
        .await;
    for path in ["/docs", "/docs/", "/api/v1/openapi.json", "/openapi.json"] {
        let hidden = app.anonymous().get(path).send().await;
        hidden.assert_error(404, "route_not_found");
    }
    let root = app.anonymous().get("/").send().await.assert_status(200);
    assert!(!root.text().contains("/docs"), "{}", root.text());
}

#[actix_web::test]
async fn names_that_clash_are_not_merged() {
    let upstream = Upstream::start();
    let app: App = all_at(&upstream).start().await;
    app.anonymous()
        .get("/api/v1/openapi.json")
        .send()
        .await
        .assert_error(500, "internal");
}

#[actix_web::test]
async fn the_documentation_needs_nobody_else() {
    let upstream = Upstream::start();
    let app: App = all_at(&upstream).start().await;
    let client = app.anonymous();
    let redirect = client.get("/docs").send().await.assert_status(308);
    assert_eq!(redirect.header("location"), Some("/docs/"));
    let page = client.get("/docs/").send().await.assert_status(200);
    assert!(
        page.header("content-type")
            .is_some_and(|kind| kind.starts_with("text/html"))
    );
    assert!(
        page.header("content-security-policy")
            .is_some_and(|policy| policy.contains("'self'"))
    );
    assert!(!page.text().contains("https://"), "nothing from elsewhere");
    for file in [
        "swagger-ui-bundle.js",
        "swagger-ui.css",
        "swagger-initializer.js",
    ] {
        assert!(page.text().contains(file), "{file}");
        let script = client
            .get(format!("/docs/{file}"))
            .send()
            .await
            .assert_status(200);
        assert!(!script.body.is_empty());
    }
    let start = client.get("/docs/swagger-initializer.js").send().await;
    assert!(start.text().contains("/api/v1/openapi.json"));
    client
        .get("/docs/nothing.js")
        .send()
        .await
        .assert_error(404, "route_not_found");
}

#[actix_web::test]
async fn the_root_says_where_things_are() {
    let upstream = Upstream::start();
    let app: App = all_at(&upstream)
        .with("MAILBOX_URL", upstream.url())
        .start()
        .await;
    let links: Value = app
        .anonymous()
        .get("/")
        .send()
        .await
        .assert_status(200)
        .json();
    assert_eq!(links["links"]["Health"], "/health");
    assert_eq!(links["links"]["Mailbox: what was sent"], "/mailbox");
    assert!(upstream.seen().is_empty());
}

#[test]
fn bad_settings_are_named() {
    use chassis::Service;
    let source = chassis::settings::Source::default()
        .with("CLARION_CORS_ORIGINS", "*")
        .with("LEADS_URL", "leads")
        .with("CLARION_HTTP_ADDR", "8080");
    let mut read = source.reader();
    let settings = gateway::Gateway::settings(&mut read);
    let text = read.finish(settings).expect_err("bad").to_string();
    for key in [
        "CLARION_CORS_ORIGINS",
        "LEADS_URL",
        "CLARION_HTTP_ADDR",
        "IDENTITY_URL",
        "CLARION_SERVICE_SECRET",
    ] {
        assert!(text.contains(key), "{key} in {text}");
    }
    assert!(!text.contains("DATABASE_URL"), "{text}");
}

#[actix_web::test]
async fn a_service_below_a_path_is_refused_at_the_start() {
    use chassis::Service;
    for url in ["ftp://leads:8083", "http://leads:8083/below"] {
        let mut source = chassis::settings::Source::default()
            .with("GATEWAY_HTTP_ADDR", "127.0.0.1:0")
            .with("CLARION_SERVICE_SECRET", "x");
        for name in ["IDENTITY", "CAMPAIGNS", "NOTIFICATIONS", "ANALYTICS"] {
            source = source.with(&format!("{name}_URL"), "http://127.0.0.1:1");
        }
        let source = source.with("LEADS_URL", url);
        let mut read = source.reader();
        let settings = gateway::Gateway::settings(&mut read);
        let settings = read.finish(settings).expect("readable");
        let error = gateway::Gateway::bind(settings).await.expect_err(url);
        assert!(error.to_string().contains("LEADS_URL"), "{error}");
    }
}
