//! Signing keys are replaced under load, by the command, and no request notices.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use leads::Leads;
use serde_json::{Value, json};
use testkit::{Client, eventually};

use crate::world::{Person, World};

/// Between two renewals of one worker; together they stay below the gateway's limit for sign-ins.
const EVERY: Duration = Duration::from_millis(500);

fn kid(token: &str) -> String {
    let head = token.split('.').next().expect("a header");
    let head = URL_SAFE_NO_PAD.decode(head).expect("base64url");
    let head: Value = serde_json::from_slice(&head).expect("JSON");
    head["kid"].as_str().expect("a kid").to_owned()
}

/// Renews its tokens and uses them, until told to stop.
async fn work(
    identity: String,
    gateway: String,
    mut person: Person,
    stop: Arc<AtomicBool>,
    count: Arc<AtomicUsize>,
) -> Person {
    // Past the gateway, which limits how often somebody signs in.
    let anonymous = Client::new(identity, None);
    let first = person.at(gateway.clone());
    while !stop.load(Ordering::Relaxed) {
        let renewed: Value = anonymous
            .post("/api/v1/token/refresh")
            .json(&json!({ "refresh_token": person.refresh }))
            .send()
            .await
            .assert_status(200)
            .json();
        let text = |name: &str| renewed[name].as_str().expect(name).to_owned();
        person.access = text("access_token");
        person.refresh = text("refresh_token");
        let renewed_at = Instant::now();
        // The fresh token, and one that an older key signed, for as long as renewals are limited.
        while renewed_at.elapsed() < EVERY {
            for client in [&person.at(gateway.clone()), &first] {
                client.get("/api/v1/leads").send().await.assert_status(200);
            }
            count.fetch_add(2, Ordering::Relaxed);
        }
        count.fetch_add(1, Ordering::Relaxed);
    }
    person
}

#[actix_web::test]
async fn keys_are_rotated_under_load_and_no_request_fails() {
    let world = World::start().await;
    let second = world.another_identity().await;
    let leads = world.service::<Leads>().await;
    let gateway = world.gateway(&[("LEADS_URL", leads.url())]).await;
    let ada = world.register("ada@example.com").await;
    let before = kid(&ada.access);
    let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::default());
    let mut workers = Vec::new();
    for at in 0..4 {
        let person = world.login(&ada.email).await;
        let identity = [world.identity.url(), second.url()][at % 2].clone();
        let work = work(
            identity,
            gateway.url(),
            person,
            Arc::clone(&stop),
            Arc::clone(&count),
        );
        workers.push(actix_web::rt::spawn(work));
    }
    let rotated = Command::new(env!("CARGO_BIN_EXE_clarion"))
        .args([
            "keys",
            "rotate",
            "--database-url",
            world.identity.database.url.expose(),
        ])
        .output()
        .expect("the binary starts");
    let said = String::from_utf8_lossy(&rotated.stdout).into_owned();
    assert!(
        rotated.status.success(),
        "{}",
        String::from_utf8_lossy(&rotated.stderr)
    );
    assert!(
        said.contains(" signs from ") && said.contains("; 1 before it retire"),
        "{said}"
    );
    let after = said.split(' ').next().expect("a kid").to_owned();

    eventually("the new key signs", || async {
        kid(&world.login(&ada.email).await.access) == after
    })
    .await;
    // Also after the old one has retired.
    tokio::time::sleep(Duration::from_secs(12)).await;
    stop.store(true, Ordering::Relaxed);
    for worker in workers {
        let person = worker.await.expect("no request failed");
        assert_eq!(kid(&person.access), after);
    }
    assert_ne!(before, after);
    println!(
        "{} requests during a rotation, none failed",
        count.load(Ordering::Relaxed)
    );
    // What the old key signed is still taken, by both replicas of identity too.
    let own = format!("/api/v1/users/{}", ada.id);
    for url in [world.identity.url(), second.url()] {
        ada.at(url).get(&own).send().await.assert_status(200);
    }
}
