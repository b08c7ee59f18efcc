use std::collections::HashSet;

use testkit::Setup;

use crate::load::Load;
use crate::replica::Replica;
use crate::support::{App, Routes};

/// What goes as often as this machine can, up to this.
const PER_SECOND: u64 = 2_000;
const GET: &str = "GET /u/token HTTP/1.1\r\nHost: x\r\n\r\n";

async fn over(replicas: &[&Replica]) -> (App, Routes) {
    let urls: Vec<_> = replicas
        .iter()
        .map(|it| format!("{:?}", it.url()))
        .collect();
    let routes = Routes::new(&format!(
        "[pools.leads]\nreplicas = [{}]\n\
         [[routes]]\nprefix = \"/u\"\npool = \"leads\"\nauth = \"open\"\n",
        urls.join(", ")
    ));
    let app = Setup::default()
        .with("GATEWAY_ROUTES_FILE", routes.path())
        .start()
        .await;
    (app, routes)
}

#[actix_web::test]
async fn requests_go_to_every_replica() {
    let (one, two) = (Replica::start("one").await, Replica::start("two").await);
    let (app, _routes) = over(&[&one, &two]).await;
    let mut names = HashSet::new();
    for _ in 0..10 {
        names.insert(app.anonymous().get("/u/x").send().await.text());
    }
    assert_eq!(names.len(), 2, "{names:?}");
    assert_eq!((one.requests(), two.requests()), (5, 5), "each in its turn");
}

#[actix_web::test]
async fn a_replica_that_is_killed_under_load_costs_no_request() {
    let (one, two) = (Replica::start("one").await, Replica::start("two").await);
    let (app, _routes) = over(&[&one, &two]).await;
    let load = Load::start(app.address, GET, PER_SECOND);
    load.pass(1_000).await;
    assert!(one.requests() > 100 && two.requests() > 100);
    let address = one.address;
    one.kill().await;
    load.pass(2_000).await;
    let one = Replica::start_at("one", address).await;
    testkit::eventually("the replica that came back is asked again", || async {
        one.requests() > 100
    })
    .await;
    let failures = load.failures().await;
    assert!(
        failures.is_empty(),
        "{} {:?}",
        failures.len(),
        failures.first()
    );
}

#[actix_web::test]
async fn replicas_that_are_restarted_one_after_the_other_cost_no_request() {
    let names = ["one", "two", "three"];
    let mut replicas = Vec::new();
    for name in names {
        replicas.push(Replica::start(name).await);
    }
    let (app, _routes) = over(&replicas.iter().collect::<Vec<_>>()).await;
    let post = GET.replace("GET", "POST");
    let (reads, writes) = (
        Load::start(app.address, GET, PER_SECOND / 2),
        Load::start(app.address, &post, PER_SECOND / 2),
    );
    for name in names {
        reads.pass(500).await;
        let old = replicas.remove(0);
        let address = old.address;
        // As a service of ours stops: readiness fails first, until nobody asks it any more.
        old.give_notice();
        loop {
            let before = old.requests();
            reads.pass(200).await;
            if old.requests() == before {
                break;
            }
        }
        old.stop().await;
        replicas.push(Replica::start_at(name, address).await);
        testkit::eventually("the new one is asked", || async {
            replicas.last().is_some_and(|it| it.requests() > 20)
        })
        .await;
    }
    let mut failures = reads.failures().await;
    failures.extend(writes.failures().await);
    assert!(
        failures.is_empty(),
        "{} {:?}",
        failures.len(),
        failures.first()
    );
}

#[actix_web::test]
async fn the_only_replica_that_closes_its_connections_costs_no_read() {
    let only = Replica::start("only").await;
    let (app, _routes) = over(&[&only]).await;
    let address = only.address;
    app.anonymous().get("/u/x").send().await.assert_status(200);
    only.stop().await;
    let again = Replica::start_at("only", address).await;
    for _ in 0..3 {
        app.anonymous().get("/u/x").send().await.assert_status(200);
    }
    assert_eq!(again.requests(), 3);
    again.kill().await;
    app.anonymous()
        .get("/u/x")
        .send()
        .await
        .assert_error(503, "unavailable");
}

#[actix_web::test]
async fn a_name_is_as_many_replicas_as_it_has_addresses() {
    let only = Replica::start("only").await;
    let routes = Routes::new(&format!(
        "[pools.leads]\nreplicas = [\"http://localhost:{}\"]\n\
         [[routes]]\nprefix = \"/u\"\npool = \"leads\"\nauth = \"open\"\n",
        only.address.port()
    ));
    let app: App = Setup::default()
        .with("GATEWAY_ROUTES_FILE", routes.path())
        .start()
        .await;
    // It was looked up before anybody could ask.
    app.anonymous().get("/u/x").send().await.assert_status(200);
}
