//! The table of routes as a file.

use testkit::Setup;

use crate::load::Load;
use crate::replica::Replica;
use crate::support::{App, Routes, Upstream};

fn one_route(url: &str, more: &str) -> String {
    format!(
        "[pools.one]\nreplicas = [\"{url}\"]\n[limits.few]\nper = \"address\"\nrate = \"1/h\"\nburst = 3\n\
         [[routes]]\nprefix = \"/x\"\npool = \"one\"\nauth = \"open\"\n{more}\n"
    )
}

async fn with(routes: &Routes) -> App {
    Setup::default()
        .with("GATEWAY_ROUTES_FILE", routes.path())
        .start()
        .await
}

#[actix_web::test]
async fn a_table_that_changes_is_taken_without_dropping_a_request() {
    let (old, new) = (Replica::start("old").await, Replica::start("new").await);
    let routes = Routes::new(&one_route(&old.url(), ""));
    let app = with(&routes).await;
    let load = Load::start(app.address, "GET /x HTTP/1.1\r\nHost: x\r\n\r\n", 1_000);
    load.pass(200).await;
    assert_eq!(new.requests(), 0);
    // A table with a mistake is not taken.
    routes.write("[pools.one]\n[[routes]]\nprefix = 7\n");
    load.pass(1_500).await;
    let before = old.requests();
    load.pass(100).await;
    assert!(old.requests() > before);
    routes.write(&one_route(&new.url(), ""));
    testkit::eventually("the new table is taken", || async { new.requests() > 100 }).await;
    let failures = load.failures().await;
    assert!(failures.is_empty(), "{failures:?}");
}

#[actix_web::test]
async fn a_table_with_mistakes_is_refused_at_the_start_with_all_of_them() {
    use chassis::Service;
    let routes = Routes::new(
        "[pools.one]\nreplicas = [\"https://x\", \"ftp://x\"]\n[[routes]]\nprefix = \"x\"\npool = \"two\"\nauth = \"open\"\n",
    );
    let mut source = chassis::settings::Source::default()
        .with("GATEWAY_HTTP_ADDR", "127.0.0.1:0")
        .with("CLARION_SERVICE_SECRET", "x")
        .with("GATEWAY_ROUTES_FILE", routes.path());
    for name in [
        "IDENTITY",
        "CAMPAIGNS",
        "LEADS",
        "NOTIFICATIONS",
        "ANALYTICS",
    ] {
        source = source.with(&format!("{name}_URL"), "http://127.0.0.1:1");
    }
    let mut read = source.reader();
    let settings = gateway::Gateway::settings(&mut read);
    let settings = read.finish(settings).expect("readable");
    let error = gateway::Gateway::bind(settings)
        .await
        .expect_err("a bad table");
    let text = error.to_string();
    for what in [
        "https://x needs CLARION_TLS_CA",
        "ftp://x must be http://",
        "prefix must begin",
        "no pool two",
    ] {
        assert!(text.contains(what), "{what} in {text}");
    }
}

#[actix_web::test]
async fn a_limit_is_told_and_kept() {
    let upstream = Upstream::start();
    let routes = Routes::new(&one_route(&upstream.url(), "limits = [\"few\"]"));
    let app = with(&routes).await;
    for left in (0..3).rev() {
        let answer = app.anonymous().get("/x").send().await.assert_status(200);
        let expected = format!("\"few\";r={left};t=");
        let told = answer.header("ratelimit").expect("it is told").to_owned();
        assert!(told.starts_with(&expected), "{told}");
        assert_eq!(
            answer.header("ratelimit-policy"),
            Some("\"few\";q=3;w=10800")
        );
    }
    let refused = app.anonymous().get("/x").send().await;
    let wait: u64 = refused
        .header("retry-after")
        .and_then(|it| it.parse().ok())
        .expect("when to come again");
    assert!((3_590..=3_600).contains(&wait), "{wait}");
    assert!(
        refused
            .header("ratelimit")
            .is_some_and(|it| it.starts_with("\"few\";r=0;"))
    );
    refused.assert_error(429, "rate_limited");
    assert_eq!(upstream.seen().len(), 3);
}

#[actix_web::test]
async fn gateways_share_what_they_allow_and_need_no_redis_for_it() {
    let upstream = Upstream::start();
    let routes = Routes::new(
        &one_route(&upstream.url(), "limits = [\"few\"]").replace("burst = 3", "burst = 40"),
    );
    let servers = testkit::Servers::private();
    let one: App = Setup::on(&servers)
        .with("GATEWAY_ROUTES_FILE", routes.path())
        .start()
        .await;
    let two: App = Setup::on(&servers)
        .with("GATEWAY_ROUTES_FILE", routes.path())
        .start()
        .await;
    for _ in 0..30 {
        one.anonymous().get("/x").send().await.assert_status(200);
    }
    // What the other one allowed is heard of soon, and then 10 are left for both.
    let mut allowed = 30;
    while two.anonymous().get("/x").send().await.status == 200 {
        allowed += 1;
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert!((40..=50).contains(&allowed), "{allowed}");
    servers.redis.stop();
    // Without Redis each counts for itself, and nobody waits for it.
    two.anonymous()
        .get("/x")
        .send()
        .await
        .assert_error(429, "rate_limited");
    let began = std::time::Instant::now();
    while one.anonymous().get("/x").send().await.status == 200 {}
    assert!(began.elapsed() < std::time::Duration::from_secs(30));
}

#[actix_web::test]
async fn the_chosen_few_see_the_canary_always() {
    let (old, new) = (Upstream::start(), Upstream::start());
    let routes = Routes::new(&format!(
        "[pools.old]\nreplicas = [\"{}\"]\n[pools.new]\nreplicas = [\"{}\"]\n\
         [[routes]]\nprefix = \"/x\"\npool = \"old\"\nauth = \"needed\"\n\
         canary = {{ pool = \"new\", percent = 30, header = \"X-Canary\" }}\n",
        old.url(),
        new.url()
    ));
    let app = with(&routes).await;
    let mut chosen = 0;
    for _ in 0..60 {
        let client = app.as_role(common::auth::Role::Owner);
        let before = new.seen().len();
        for _ in 0..3 {
            client.get("/x").send().await.assert_status(200);
        }
        let seen = new.seen().len() - before;
        assert!(seen == 0 || seen == 3, "a caller sees one version: {seen}");
        chosen += usize::from(seen == 3);
    }
    // 18 of 60 are expected; so far away from that it is never by chance.
    assert!((3..=40).contains(&chosen), "{chosen}");
    let (before, client) = (new.seen().len(), app.as_role(common::auth::Role::Owner));
    client
        .get("/x")
        .header("x-canary", "1")
        .send()
        .await
        .assert_status(200);
    assert_eq!(new.seen().len(), before + 1);
}

#[actix_web::test]
async fn what_matters_least_is_refused_first() {
    let upstream = Upstream::start();
    let line = |prefix: &str, priority: &str| {
        format!(
            "[[routes]]\nprefix = \"{prefix}\"\npool = \"one\"\nauth = \"open\"\npriority = \"{priority}\"\n"
        )
    };
    let routes = Routes::new(&format!(
        "[pools.one]\nreplicas = [\"{}\"]\n{}{}{}",
        upstream.url(),
        line("/low", "low"),
        line("/normal", "normal"),
        line("/high", "high")
    ));
    let app: App = Setup::default()
        .with("GATEWAY_ROUTES_FILE", routes.path())
        .with("GATEWAY_MOST_IN_HAND", "10")
        .start()
        .await;
    let ask = |path: &'static str| app.anonymous().get(path).send();
    let mut waiting = Vec::new();
    let wait = |count: usize, waiting: &mut Vec<_>| {
        for _ in 0..count {
            waiting.push(tokio::spawn(app.anonymous().get("/high/slow").try_send()));
        }
    };
    wait(5, &mut waiting);
    testkit::eventually("five are in hand", || async { upstream.seen().len() >= 5 }).await;
    let refused = ask("/low").await;
    assert_eq!(refused.header("retry-after"), Some("1"));
    refused.assert_error(503, "overloaded");
    ask("/normal").await.assert_status(200);
    wait(3, &mut waiting);
    testkit::eventually("eight are in hand", || async {
        upstream.asked("/high/slow") >= 8
    })
    .await;
    ask("/normal").await.assert_error(503, "overloaded");
    ask("/high").await.assert_status(200);
    waiting.iter().for_each(tokio::task::JoinHandle::abort);
}

#[actix_web::test]
async fn a_hangup_has_the_table_read_again_although_its_file_looks_the_same() {
    let (old, new) = (Replica::start("old").await, Replica::start("new").await);
    let text = |replica: &Replica| one_route(&replica.url(), "");
    let routes = Routes::new(&text(&old));
    let app = with(&routes).await;
    let load = Load::start(app.address, "GET /x HTTP/1.1\r\nHost: x\r\n\r\n", 500);
    load.pass(100).await;
    // Once this is taken, the file is watched, and the signal is listened to.
    routes.write(&text(&new));
    testkit::eventually("the new table is taken", || async { new.requests() > 10 }).await;
    // The same length and the same time: nobody who only looks at that sees it.
    let path = std::path::PathBuf::from(routes.path());
    let known = std::fs::metadata(&path).expect("it is there");
    let beside = path.with_extension("next");
    // By a name, which is looked up before anybody is sent there.
    let named = format!("http://localhost:{}", old.address.port());
    let named = one_route(&named, "");
    let padding = text(&new).len().saturating_sub(named.len());
    let same = format!("{named}{}", " ".repeat(padding));
    std::fs::write(&beside, &same).expect("a new file");
    let file = std::fs::File::options().write(true).open(&beside);
    let file = file.expect("it was written");
    file.set_modified(known.modified().expect("a time"))
        .expect("it is ours");
    assert_eq!(same.len() as u64, known.len());
    std::fs::rename(&beside, &path).expect("it takes its place");
    let before = old.requests();
    load.pass(1_000).await;
    assert_eq!(old.requests(), before, "it was read without being asked");
    nix::sys::signal::raise(nix::sys::signal::Signal::SIGHUP).expect("it is heard");
    testkit::eventually("the table is read", || async {
        old.requests() > before + 10
    })
    .await;
    let failures = load.failures().await;
    assert!(failures.is_empty(), "{failures:?}");
}
