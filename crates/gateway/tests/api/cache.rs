//! Answers that are given again, where the table says so.

use common::auth::Role;
use testkit::Setup;

use crate::support::{App, Routes, Upstream};

fn routes(upstream: &Upstream) -> Routes {
    Routes::new(&format!(
        "[pools.leads]\nreplicas = [\"{}\"]\n\
         [[routes]]\nprefix = \"/all\"\npool = \"leads\"\nauth = \"open\"\n\
         cache = {{ age = \"1h\", per = \"everybody\" }}\n\
         [[routes]]\nprefix = \"/ours\"\npool = \"leads\"\nauth = \"needed\"\n\
         cache = {{ age = \"1h\", per = \"workspace\" }}\n",
        upstream.url()
    ))
}

async fn with(routes: &Routes) -> App {
    Setup::default()
        .with("GATEWAY_ROUTES_FILE", routes.path())
        .start()
        .await
}

/// A path of this test alone: all tests share one Redis.
fn path(root: &str) -> String {
    format!("{root}/{}", uuid::Uuid::now_v7())
}

/// Asks until the answer is given again.
async fn warm(app: &App, path: &str) -> testkit::Response {
    app.anonymous().get(path).send().await.assert_status(200);
    let again = || async { app.anonymous().get(path).send().await };
    testkit::eventually("the answer is kept", || async {
        again().await.header("age").is_some()
    })
    .await;
    again().await
}

#[actix_web::test]
async fn an_answer_is_given_again_by_every_gateway() {
    let upstream = Upstream::start();
    let routes = routes(&upstream);
    let (one, two) = (with(&routes).await, with(&routes).await);
    let path = path("/all");
    let first = warm(&one, &path).await;
    let asked = upstream.asked(&path);
    let second = two.anonymous().get(&path).send().await.assert_status(200);
    assert_eq!(first.body, second.body);
    assert_eq!(second.header("content-type"), Some("application/json"));
    assert_eq!(
        upstream.asked(&path),
        asked,
        "the service is not asked again"
    );
    // Who has it already needs no second copy.
    let tag = second.header("etag").expect("a tag").to_owned();
    for known in [tag.as_str(), "\"other\", *", &format!("W/{tag}")] {
        let answer = two
            .anonymous()
            .get(&path)
            .header("if-none-match", known)
            .send()
            .await;
        let expected = if known.contains("other") { 200 } else { 304 };
        assert_eq!(answer.status, expected, "{known}");
    }
    // Whoever wants it fresh gets it fresh, and another path is another answer.
    two.anonymous()
        .get(&path)
        .header("cache-control", "no-cache")
        .send()
        .await
        .assert_status(200);
    assert_eq!(upstream.asked(&path), asked + 1);
    two.anonymous()
        .get(format!("{path}?x"))
        .send()
        .await
        .assert_status(200);
    two.anonymous().post(&path).send().await.assert_status(200);
    assert_eq!(upstream.asked(&path), asked + 2);
}

#[actix_web::test]
async fn an_event_of_the_service_makes_its_answers_old() {
    let upstream = Upstream::start();
    let app = with(&routes(&upstream)).await;
    let path = path("/all");
    warm(&app, &path).await;
    let asked = upstream.asked(&path);
    let url = common::values::Secret::new(testkit::Servers::shared().redis.url());
    let redis = chassis::redis::Redis::new(&url, None).expect("a URL");
    testkit::eventually("the service is asked again", || async {
        let mut connection = redis.get().await.expect("Redis");
        let mut ring = deadpool_redis::redis::cmd("PUBLISH");
        ring.arg("clarion:bell:leads").arg("");
        let rung: Result<i64, _> = ring.query_async(&mut connection).await;
        rung.expect("Redis answers");
        app.anonymous().get(&path).send().await.assert_status(200);
        upstream.asked(&path) > asked
    })
    .await;
}

#[actix_web::test]
async fn nobody_gets_an_answer_that_was_for_somebody_else() {
    let upstream = Upstream::start();
    let app = with(&routes(&upstream)).await;
    let path = path("/ours");
    let owner = app.as_role(Role::Owner);
    owner.get(&path).send().await.assert_status(200);
    let again = || async { app.as_role(Role::Owner).get(&path).send().await };
    testkit::eventually("the answer is kept", || async {
        again().await.header("age").is_some()
    })
    .await;
    let asked = upstream.asked(&path);
    again().await.assert_status(200);
    assert_eq!(
        upstream.asked(&path),
        asked,
        "colleagues with the same rights share it"
    );
    app.as_role(Role::Analyst)
        .get(&path)
        .send()
        .await
        .assert_status(200);
    assert_eq!(
        upstream.asked(&path),
        asked + 1,
        "other rights, another answer"
    );
    let elsewhere = app.as_role_in(common::WorkspaceId::new(), Role::Owner);
    elsewhere.get(&path).send().await.assert_status(200);
    assert_eq!(upstream.asked(&path), asked + 2);
    app.anonymous()
        .get(&path)
        .send()
        .await
        .assert_error(401, "token_missing");
}

#[actix_web::test]
async fn without_redis_the_service_is_asked() {
    let upstream = Upstream::start();
    let routes = routes(&upstream);
    let app: App = Setup::default()
        .with("GATEWAY_ROUTES_FILE", routes.path())
        .with("REDIS_URL", "redis://127.0.0.1:1")
        .start()
        .await;
    for number in 1..4 {
        app.anonymous()
            .get("/all/x")
            .send()
            .await
            .assert_status(200);
        assert_eq!(upstream.asked("/all/x"), number);
    }
}
