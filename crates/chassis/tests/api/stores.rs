//! Postgres and Redis over TLS, believed by the same authority as services are.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

use chassis::Db;
use chassis::bell::Ringer;
use chassis::redis::Redis;
use chassis::tls::Authority as Believed;
use common::auth::Role;
use common::values::Secret;
use diesel::RunQueryDsl;
use laptop::{Postgres, PostgresOptions};
use serde_json::json;
use testkit::{Authority, Certificate, Servers, Setup, TestService, eventually};

use crate::probe::Probe;

#[derive(diesel::QueryableByName)]
struct Secure {
    #[diesel(sql_type = diesel::sql_types::Bool)]
    ssl: bool,
}

/// A Postgres that shows this certificate.
fn postgres(folder: &Path, certificate: &Certificate) -> Postgres {
    let mut options = PostgresOptions::new(folder.join("data"));
    options.durable = false;
    // Its folder must be empty at the first start, and the key belong to whom it runs as.
    Postgres::start(options.clone()).expect("it starts").stop();
    let owner = std::fs::metadata(&options.data_dir).expect("a folder");
    let files = [
        ("ssl_cert_file", certificate.certificate()),
        ("ssl_key_file", certificate.key()),
    ];
    for (setting, from) in files {
        let into = options.data_dir.join(setting);
        std::fs::copy(from, &into).expect("copied");
        let only_owner = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(&into, only_owner).expect("one's own file");
        chown(&into, Some(owner.uid()), Some(owner.gid())).expect("handed over");
        let value = into.display().to_string();
        options.settings.push((setting.to_owned(), value));
    }
    options.settings.push(("ssl".into(), "on".into()));
    Postgres::start(options).expect("it starts with TLS")
}

#[actix_web::test]
async fn postgres_is_spoken_to_over_tls_and_its_certificate_is_checked() {
    let folder = tempfile::tempdir().expect("a folder");
    let (ours, others) = (Authority::new("inside"), Authority::new("other"));
    let server = postgres(folder.path(), &ours.certificate(&["localhost"]));
    let db = |host: &str, authority: &Authority| {
        let url = format!(
            "postgres://clarion@{host}:{}/postgres?sslmode=verify-full&sslrootcert={}",
            server.port(),
            authority.file()
        );
        // A pool tries for longer than a test waits; one connection says why.
        Db::new(&Secret::new(url), "public", 1, Ringer::default())
    };
    let mut conn = db("localhost", &ours).connect().expect("it is believed");
    let secure = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    let secure: Secure = diesel::sql_query(secure)
        .get_result(&mut conn)
        .expect("a row");
    assert!(secure.ssl);
    db("localhost", &ours).ping().await.expect("the pool, too");
    let mut conn = db("localhost", &ours)
        .connect_pq("")
        .expect("without Diesel");
    let ensure = "SELECT 1 / ssl::int FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    assert_eq!(conn.run(ensure), Ok(()));
    for (host, authority, reason) in [
        ("localhost", &others, "certificate verify failed"),
        ("127.0.0.1", &ours, "does not match host name"),
    ] {
        let db = db(host, authority);
        for refused in [db.connect().err(), db.connect_pq("").err()] {
            let refused = refused.expect("not believed");
            let cause = refused.cause.map(|cause| cause.to_string());
            let cause = cause.unwrap_or_default();
            assert!(cause.contains(reason), "{cause}");
        }
    }
    server.stop();
}

#[actix_web::test]
async fn redis_is_spoken_to_over_tls_and_its_certificate_is_checked() {
    let (ours, others) = (Authority::new("inside"), Authority::new("other"));
    let plain = ([127, 0, 0, 1], Servers::shared().redis.port()).into();
    let secure = ours.certificate(&["localhost"]).before(plain).await;
    let redis = |host: &str, authority: Option<&Authority>| {
        let believed = authority.map(|it| Believed::open(it.path()).expect("a certificate"));
        let url = Secret::new(format!("rediss://{host}:{}", secure.port()));
        Redis::new(&url, believed.as_ref()).expect("a URL")
    };
    redis("localhost", Some(&ours))
        .ping()
        .await
        .expect("it is believed");
    let apart = redis("localhost", Some(&ours)).apart().expect("a pool");
    apart.ping().await.expect("the same");
    for (host, authority, reason) in [
        ("localhost", Some(&others), "UnknownIssuer"),
        ("localhost", None, "UnknownIssuer"),
        ("127.0.0.1", Some(&ours), "not valid for name"),
    ] {
        let refused = redis(host, authority)
            .ping()
            .await
            .expect_err("not believed");
        let cause = refused.cause.map(|cause| cause.to_string());
        let cause = cause.unwrap_or_default();
        assert!(cause.contains(reason), "{cause}");
    }
}

#[actix_web::test]
async fn a_service_works_with_redis_over_tls() {
    let authority = Authority::new("inside");
    let plain = ([127, 0, 0, 1], Servers::shared().redis.port()).into();
    let secure = authority.certificate(&["localhost"]).before(plain).await;
    let url = format!("rediss://localhost:{}", secure.port());
    let app: TestService<Probe> = Setup::default()
        .with("CLARION_TLS_CA", authority.file())
        .with("REDIS_URL", url)
        .start()
        .await;
    eventually("it finds its Redis", || async {
        let health = app.anonymous().get("/health").send().await;
        let health: serde_json::Value = health.json();
        health["parts"]["redis"]["ok"] == json!(true)
    })
    .await;
    let note = app.as_role(Role::Owner).post("/api/v1/notes");
    let note = note.json(&json!({ "text": "with a bell" })).send().await;
    note.assert_status(201);
}
