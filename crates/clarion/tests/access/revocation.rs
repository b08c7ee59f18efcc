//! What is revoked stops working everywhere within a second, and what Redis cannot tell is not
//! guessed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use leads::Leads;
use serde_json::{Value, json};
use testkit::{Client, Response, Servers, eventually};

use crate::world::{Browser, Person, World};

const SECOND: Duration = Duration::from_secs(1);

/// Asks until the answer is a refusal; how long that took, counted from `since`.
async fn refused_after<F: Future<Output = Response>>(
    since: Instant,
    mut ask: impl FnMut() -> F,
) -> Duration {
    loop {
        let answer = ask().await;
        if answer.status == 401 {
            return since.elapsed();
        }
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(since.elapsed() < 30 * SECOND, "it never stops working");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn middle(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

#[actix_web::test]
async fn a_revocation_takes_effect_at_every_replica_within_a_second() {
    let world = World::start().await;
    let second_identity = world.another_identity().await;
    let leads = world.service::<Leads>().await;
    let second_leads = world.replica(&leads).await;
    let first = world.gateway(&[("LEADS_URL", leads.url())]).await;
    let second = world.gateway(&[("LEADS_URL", second_leads.url())]).await;
    let ada = world.register("ada@example.com").await;
    let services = [leads.url(), second_leads.url()];
    let gateways = [first.url(), second.url()];
    let identities = [world.identity.url(), second_identity.url()];

    // A busy machine may delay one round; the middle one is what people see.
    let (mut tokens, mut keys, mut cookies, mut demotions) = (vec![], vec![], vec![], vec![]);
    for round in 0..5 {
        // A sign-in with tokens is ended at the other replica of identity.
        let person = world.login(&ada.email).await;
        let own = format!("/api/v1/users/{}", ada.id);
        let ask = |url: &String, path: &str| person.at(url.clone()).get(path).send();
        for url in services.iter().chain(&gateways) {
            ask(url, "/api/v1/leads").await.assert_status(200);
        }
        for url in &identities {
            ask(url, &own).await.assert_status(200);
        }
        let since = Instant::now();
        let ended = Client::new(identities[1].clone(), None)
            .post("/api/v1/logout")
            .json(&json!({ "refresh_token": person.refresh }))
            .send();
        ended.await.assert_status(204);
        let everywhere = services.iter().chain(&gateways);
        let everywhere = everywhere.map(|url| refused_after(since, || ask(url, "/api/v1/leads")));
        let at_home = identities
            .iter()
            .map(|url| refused_after(since, || ask(url, &own)));
        let (elsewhere, at_home) = tokio::join!(join_all(everywhere), join_all(at_home));
        tokens.extend(elsewhere.into_iter().chain(at_home).max());

        // A key is deleted.
        let key: Value = ada
            .at(identities[0].clone())
            .post("/api/v1/api-keys")
            .json(&json!({ "name": "a program", "scopes": ["leads:read"] }))
            .send()
            .await
            .assert_status(201)
            .json();
        let (id, text) = (key["id"].as_str(), key["key"].as_str().expect("a key"));
        let ask = |url: &String| {
            let client = Client::new(url.clone(), Some(text.to_owned()));
            client.get("/api/v1/leads").send()
        };
        for url in &gateways {
            ask(url).await.assert_status(200);
        }
        let since = Instant::now();
        ada.at(identities[round % 2].clone())
            .delete(format!("/api/v1/api-keys/{}", id.expect("an id")))
            .send()
            .await
            .assert_status(204);
        let gone = gateways.iter().map(|url| refused_after(since, || ask(url)));
        keys.extend(join_all(gone).await.into_iter().max());

        // A browser is signed out from the list of sessions.
        let browser = Browser::sign_in(&gateways[0], &ada.email).await;
        for url in &gateways {
            browser.get(url, "/api/v1/leads").await.assert_status(200);
        }
        let listed: Value = ada
            .at(identities[0].clone())
            .get("/api/v1/sessions")
            .send()
            .await
            .assert_status(200)
            .json();
        let id = listed["items"][0]["id"].as_str().expect("a session");
        assert_eq!(listed["items"][0]["kind"], "browser");
        let since = Instant::now();
        ada.at(identities[round % 2].clone())
            .delete(format!("/api/v1/sessions/{id}"))
            .send()
            .await
            .assert_status(204);
        let out = gateways
            .iter()
            .map(|url| refused_after(since, || browser.get(url, "/api/v1/leads")));
        cookies.extend(join_all(out).await.into_iter().max());

        // Somebody becomes less than they were: the token that says more is gone.
        let bob = world.member(&ada, "marketer").await;
        let ask = |url: &String| bob.at(url.clone()).get("/api/v1/leads").send();
        for url in services.iter().chain(&gateways) {
            ask(url).await.assert_status(200);
        }
        let since = Instant::now();
        ada.at(identities[0].clone())
            .put(format!("/api/v1/users/{}", bob.id))
            .json(&json!({ "role": "customer" }))
            .send()
            .await
            .assert_status(200);
        let everywhere = services.iter().chain(&gateways);
        let less = everywhere.map(|url| refused_after(since, || ask(url)));
        demotions.extend(join_all(less).await.into_iter().max());
    }
    for (what, times) in [
        ("sign-in", tokens),
        ("key", keys),
        ("session", cookies),
        ("role", demotions),
    ] {
        println!("revoked everywhere, by {what}: {times:?}");
        assert!(middle(times) < SECOND, "{what}");
    }
    // Nobody else was signed out.
    for url in services.iter().chain(&gateways) {
        let own = ada.at(url.clone()).get("/api/v1/leads").send();
        own.await.assert_status(200);
    }
}

#[actix_web::test]
async fn what_was_revoked_reaches_a_process_that_starts_later_and_a_redis_that_forgot() {
    let servers = Arc::new(Servers::private());
    let world = World::on(Some(Arc::clone(&servers))).await;
    let ada = world.register("ada@example.com").await;
    let bob = world.login(&ada.email).await;
    let signed_out = |person: &Person| json!({ "refresh_token": person.refresh });
    let client = world.identity.anonymous();
    let logout = |person: &Person| client.post("/api/v1/logout").json(&signed_out(person));
    logout(&ada).send().await.assert_status(204);
    let leads = world.service::<Leads>().await;
    let url = leads.url();
    let status = |person: &Person| person.at(url.clone()).get("/api/v1/leads").send();
    eventually("a late process hears of it", || async {
        status(&ada).await.status == 401
    })
    .await;
    // Redis forgets everything, and is told again.
    let mut redis = deadpool_redis::redis::Client::open(servers.redis.url())
        .expect("a URL")
        .get_connection()
        .expect("it answers");
    let _: () = deadpool_redis::redis::cmd("FLUSHALL")
        .query(&mut redis)
        .expect("it obeys");
    let second = world.replica(&leads).await;
    eventually("it is told again", || async {
        let ask = ada.at(second.url()).get("/api/v1/leads").send();
        ask.await.status == 401
    })
    .await;
    let ask = bob.at(second.url()).get("/api/v1/leads").send();
    ask.await.assert_status(200);
}

#[actix_web::test]
async fn without_redis_nobody_signs_in_or_writes_by_session_and_tokens_go_on() {
    let mut servers = Servers::private();
    let redis_url = servers.redis.url();
    let world = World::with_redis(&redis_url).await;
    let leads = world.service::<Leads>().await;
    let gateway = world.gateway(&[("LEADS_URL", leads.url())]).await;
    let ada = world.register("ada@example.com").await;
    let browser = Browser::sign_in(&gateway.url(), &ada.email).await;
    let lead = |name: &str| json!({ "email": format!("{name}@example.com") });
    let path = "/api/v1/leads";
    browser.get(&gateway.url(), path).await.assert_status(200);
    let written = browser.post(&gateway.url(), path, &lead("one")).await;
    written.assert_status(201);

    servers.redis.stop_immediate();
    let refused = browser.post(&gateway.url(), path, &lead("two")).await;
    refused.assert_error(503, "unavailable");
    for start in ["/api/v1/login", "/api/v1/session"] {
        let body = json!({ "email": ada.email, "password": crate::world::PASSWORD });
        let refused = Client::new(gateway.url(), None).post(start).json(&body);
        refused.send().await.assert_error(503, "unavailable");
    }
    let stranger =
        json!({ "name": "Eve", "email": "eve@example.com", "password": crate::world::PASSWORD });
    let refused = Client::new(gateway.url(), None)
        .post("/api/v1/register")
        .json(&stranger);
    refused.send().await.assert_error(503, "unavailable");
    let by_token = ada.at(gateway.url());
    let seen: Value = by_token.get(path).send().await.assert_status(200).json();
    assert_eq!(seen["items"].as_array().map(Vec::len), Some(1));
    let written = by_token.post(path).json(&lead("three")).send();
    written.await.assert_status(201);
    // Whom it is signed out without Redis is signed out for good once it is back.
    let logout = Client::new(gateway.url(), None)
        .post("/api/v1/logout")
        .json(&json!({ "refresh_token": ada.refresh }));
    logout.send().await.assert_status(204);
    servers.redis.start_again().expect("Redis starts again");
    eventually("it is told", || async {
        by_token.get(path).send().await.status == 401
    })
    .await;
}
