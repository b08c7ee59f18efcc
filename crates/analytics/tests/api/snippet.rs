//! `GET /t.js`, in a browser.

use std::process::Command;

use actix_web::{App as Server, HttpResponse, HttpServer, web};
use serde_json::json;
use testkit::{Setup, eventually};

use crate::support::{App, BROWSER, count, write_key};

/// A site with one page, which holds `html`.
struct Site {
    url: String,
    handle: actix_web::dev::ServerHandle,
}

impl Site {
    fn start(html: String) -> Self {
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let page = move || {
                    let html = html.clone();
                    let page = web::to(move || {
                        let html = html.clone();
                        async move { HttpResponse::Ok().content_type("text/html").body(html) }
                    });
                    Server::new().default_service(page)
                };
                let server = HttpServer::new(page).workers(1).disable_signals();
                let server = server.bind(("127.0.0.1", 0)).expect("a free port");
                let address = server.addrs()[0];
                let running = server.run();
                sender
                    .send((address, running.handle()))
                    .expect("the test waits");
                running.await.expect("it serves");
            });
        });
        let (address, handle) = receiver.recv().expect("it listens");
        let url = format!("http://{address}");
        Self { url, handle }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        drop(self.handle.stop(false));
    }
}

/// Looks at a page as a person with a browser; answers what the page made of itself.
async fn look(url: String) -> String {
    let browser = tokio::task::spawn_blocking(move || {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let profile = format!("--user-data-dir={}", folder.path().display());
        let user_agent = format!("--user-agent={BROWSER}");
        let has = |name: &str| Command::new(name).arg("--version").output().is_ok();
        let browser = match has("chromium") {
            true => "chromium",
            false => "google-chrome",
        };
        let output = Command::new(browser)
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
            ])
            .args([
                &profile,
                &user_agent,
                "--virtual-time-budget=5000",
                "--dump-dom",
                &url,
            ])
            .output()
            .expect("a browser runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    });
    browser.await.expect("it ends")
}

fn page(app: &App, key: &str, attributes: &str, before: &str, after: &str) -> String {
    let url = app.url();
    format!(
        "<!doctype html><title>Shop</title><body><script>{before}</script>
         <script src=\"{url}/t.js\" data-key=\"{key}\" {attributes}></script>
         <script>{after}; document.body.append('cookie: [' + document.cookie + ']')</script>"
    )
}

#[tokio::test]
async fn the_script_is_small_and_whoever_opted_out_gets_none() {
    let app = App::start().await;
    let script = app.anonymous().get("/t.js").send().await.assert_status(200);
    assert_eq!(
        script.header("content-type"),
        Some("text/javascript; charset=utf-8")
    );
    assert_eq!(script.header("vary"), Some("sec-gpc"));
    assert!(script.text().contains("clarion"));
    use std::io::Write;
    use std::process::Stdio;
    let mut gzip = Command::new("gzip")
        .arg("-c")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("gzip");
    gzip.stdin
        .take()
        .expect("piped")
        .write_all(&script.body)
        .expect("it reads");
    let packed = gzip.wait_with_output().expect("it ends").stdout.len();
    assert!(packed < 3 * 1024, "{packed} bytes");
    let none = app
        .anonymous()
        .get("/t.js")
        .header("sec-gpc", "1")
        .send()
        .await
        .assert_status(200);
    assert!(!none.text().contains("fetch"), "{}", none.text());
}

#[tokio::test]
async fn a_page_is_viewed_without_a_cookie() {
    let app: App = Setup::default().system_clock().start().await;
    let (_, key) = write_key(&app, json!({ "name": "Shop" })).await;
    let after =
        "clarion.track('Looked', { n: 1 }); history.pushState({}, '', '/next?utm_source=self')";
    let site = Site::start(page(&app, &key, "", "", after));
    let shown = look(format!("{}/?utm_source=news", site.url)).await;
    assert!(shown.contains("cookie: []"), "{shown}");
    let views = || async { count(&app, "events WHERE type = 'view'") == 2 };
    eventually("both pages are viewed", views).await;
    let tracked = || async { count(&app, "events WHERE type = 'track' AND name = 'Looked'") == 1 };
    eventually("something was tracked", tracked).await;
    assert_eq!(
        count(
            &app,
            "events WHERE utm_source = 'news' AND verdict = 'human' AND device = 'desktop'"
        ),
        2
    );
    assert_eq!(count(&app, "events WHERE utm_source = 'self'"), 1);
    assert_eq!(
        count(
            &app,
            "(SELECT DISTINCT visitor FROM events WHERE visitor IS NOT NULL) v"
        ),
        1
    );
    assert_eq!(count(&app, "events WHERE anonymous_id NOT LIKE 'day:%'"), 0);
}

#[tokio::test]
async fn a_cookie_is_set_where_the_page_allows_it() {
    let app: App = Setup::default().system_clock().start().await;
    let (_, key) = write_key(&app, json!({ "name": "Shop" })).await;
    let site = Site::start(page(&app, &key, "data-cookie", "", ""));
    let shown = look(site.url.clone()).await;
    assert!(shown.contains("cookie: [_clarion="), "{shown}");
    let viewed = || async { count(&app, "events WHERE type = 'view'") == 1 };
    eventually("the page is viewed", viewed).await;
    assert_eq!(count(&app, "events WHERE length(anonymous_id) = 36"), 1);
}

#[tokio::test]
async fn nothing_is_sent_of_whoever_opted_out() {
    let app: App = Setup::default().system_clock().start().await;
    let (_, key) = write_key(&app, json!({ "name": "Shop" })).await;
    let opted_out = "Object.defineProperty(navigator, 'globalPrivacyControl', { value: true })";
    let site = Site::start(page(
        &app,
        &key,
        "data-cookie",
        opted_out,
        "clarion.track('x')",
    ));
    let shown = look(site.url.clone()).await;
    assert!(shown.contains("cookie: []"), "{shown}");
    assert_eq!(count(&app, "events"), 0);
}
