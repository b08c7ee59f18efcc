//! The dashboard's files through the gateway. Where it was not built, a page says so.

use crate::support::{App, Upstream, all_at};

const BROWSER: &str = "text/html,application/xhtml+xml,*/*;q=0.8";

#[actix_web::test]
async fn a_browser_gets_a_page_and_a_program_gets_json() {
    let upstream = Upstream::start();
    let app: App = all_at(&upstream).start().await;
    let client = app.anonymous();
    let page = client.get("/").header("accept", BROWSER).send().await;
    let page = page.assert_status(200);
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(!policy.contains("script-src 'unsafe-inline'"), "{policy}");
    assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
    let json = client.get("/").send().await.assert_status(200);
    assert_eq!(json.header("content-type"), Some("application/json"));
    assert_eq!(json.header("vary"), Some("accept"));
    assert!(upstream.seen().is_empty());
}

#[actix_web::test]
async fn only_the_paths_of_screens_are_answered_by_the_page() {
    let upstream = Upstream::start();
    let app: App = all_at(&upstream).start().await;
    let client = app.anonymous();
    let screen = client
        .get("/campaigns/7")
        .header("accept", BROWSER)
        .send()
        .await;
    match dashboard::is_built() {
        false => {
            screen.assert_error(404, "route_not_found");
        }
        true => {
            let screen = screen.assert_status(200);
            assert_eq!(screen.header("cache-control"), Some("no-cache"));
            let etag = screen.header("etag").expect("an ETag").to_owned();
            let again = client.get("/campaigns/7").header("if-none-match", &etag);
            assert!(again.send().await.assert_status(304).body.is_empty());
            let small = client.get("/").header("accept", BROWSER);
            let small = small.header("accept-encoding", "br").send().await;
            let small = small.assert_status(200);
            assert_eq!(small.header("content-encoding"), Some("br"));
            assert_ne!(small.header("etag"), Some(etag.as_str()));
        }
    }
    for path in [
        "/nothing",
        "/assets/none.js",
        "/internal/events",
        "/api/v1/x",
        "/index.html",
    ] {
        let answer = client.get(path).header("accept", BROWSER).send().await;
        answer.assert_error(404, "route_not_found");
    }
    let write = client.post("/campaigns").send().await;
    write.assert_error(404, "route_not_found");
}
