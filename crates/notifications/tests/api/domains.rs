//! `/api/v1/domains`: keys made, records checked, mails signed.

use common::auth::Role;
use common::dto::standing::DomainStanding;
use common::ids::WorkspaceId;
use serde_json::{Value, json};
use testkit::{Zone, eventually};

use crate::support::{Post, World, person, setup};

async fn world(zone: &Zone) -> World {
    let post = Post::start();
    let dns = zone.address.to_string();
    let app = setup(&post).with("DNS_SERVER", dns).start().await;
    World { app, post }
}

async fn made(world: &World, body: Value) -> Value {
    let owner = world.app.as_role(Role::Owner);
    let made = owner.post("/api/v1/domains").json(&body).send().await;
    made.assert_status(201).json()
}

async fn posted(world: &World, domain: &Value, verb: &str) -> Value {
    let path = format!(
        "/api/v1/domains/{}/{verb}",
        domain["id"].as_str().expect("an id")
    );
    let owner = world.app.as_role(Role::Owner);
    owner.post(path).send().await.assert_status(200).json()
}

async fn standing(world: &World, name: &str) -> DomainStanding {
    let workspace = world.app.workspace;
    let path = format!("/internal/domains/{name}?workspace_id={workspace}");
    let answer = world.campaigns().get(path).send().await;
    answer.assert_status(200).json()
}

fn records<'d>(domain: &'d Value, purpose: &str) -> Vec<&'d Value> {
    let all = domain["records"].as_array().expect("records");
    all.iter()
        .filter(|record| record["purpose"] == purpose)
        .collect()
}

fn publish(zone: &Zone, domain: &Value) {
    for record in domain["records"].as_array().expect("records") {
        let text = |field: &str| record[field].as_str().expect("a text");
        match text("value").split_once(' ') {
            Some((preference, host)) if text("type") == "MX" => {
                let preference = preference.parse().expect("a number");
                zone.mx(text("name"), preference, &format!("{host}."));
            }
            _ if record["status"] != "ok" => zone.txt(text("name"), text("value")),
            _ => {}
        }
    }
}

/// The selectors that the newest mail to an address is signed under.
async fn selectors(world: &World, address: &str) -> Vec<String> {
    let campaign = world.campaign().await;
    campaign.hand_over(&[person(address)]).await;
    let mail = world.post.mail_to(address).await;
    let signatures = mail
        .headers
        .iter()
        .filter(|(name, _)| name == "DKIM-Signature");
    let selector = |(_, value): &(String, String)| {
        let tag = value.split("s=").nth(1).expect("a selector");
        tag.split(';').next().unwrap_or_default().to_owned()
    };
    signatures.map(selector).collect()
}

#[actix_web::test]
async fn a_domain_is_authenticated_once_its_records_are_seen() {
    let zone = Zone::start();
    let world = world(&zone).await;
    let domain = made(&world, json!({ "name": "Sender.Example" })).await;
    assert_eq!(domain["name"], "sender.example");
    assert_eq!(domain["authenticated"], false);
    let kinds = ["dkim", "dkim", "spf", "dmarc"];
    let listed = domain["records"].as_array().expect("records");
    assert_eq!(listed.len(), kinds.len(), "what comes back goes elsewhere");
    assert!(
        listed
            .iter()
            .zip(kinds)
            .all(|(record, kind)| record["purpose"] == kind)
    );
    assert!(listed.iter().all(|record| record["status"] == "unchecked"));

    let checked = posted(&world, &domain, "check").await;
    let listed = checked["records"].as_array().expect("records");
    assert!(
        listed.iter().all(|record| record["status"] == "missing"),
        "{checked}"
    );
    let stand = standing(&world, "sender.example").await;
    assert!(stand.known && !stand.authenticated);
    assert_eq!(stand.lacking.len(), 3, "{stand:?}");

    publish(&zone, &checked);
    let checked = posted(&world, &domain, "check").await;
    let listed = checked["records"].as_array().expect("records");
    assert!(
        listed.iter().all(|record| record["status"] == "ok"),
        "{checked}"
    );
    assert_eq!(checked["authenticated"], true);
    assert_eq!(listed[0]["found"][0], listed[0]["value"]);
    assert!(standing(&world, "sender.example").await.authenticated);
    assert_eq!(
        standing(&world, "other.example").await,
        DomainStanding::default()
    );

    zone.remove("_dmarc.sender.example");
    let checked = posted(&world, &domain, "check").await;
    assert_eq!(checked["authenticated"], false);
    assert_eq!(
        standing(&world, "sender.example").await.lacking,
        ["_dmarc.sender.example"]
    );
}

#[actix_web::test]
async fn spf_and_mx_are_those_of_the_return_path_and_alignment_is_told() {
    let zone = Zone::start();
    let post = Post::start();
    let app = setup(&post)
        .with("DNS_SERVER", zone.address.to_string())
        .with("BOUNCE_DOMAIN", "bounces.sender.example")
        .start()
        .await;
    let world = World { app, post };
    let ours = made(
        &world,
        json!({ "name": "news.sender.example", "signing": "ed25519" }),
    )
    .await;
    let other = made(
        &world,
        json!({ "name": "else.example", "signing": "ed25519" }),
    )
    .await;
    zone.txt("news.sender.example", "v=spf1 mx -all");
    zone.txt("else.example", "v=spf1 mx -all");
    for (domain, aligned) in [(&ours, true), (&other, false)] {
        let checked = posted(&world, domain, "check").await;
        for purpose in ["spf", "return_path"] {
            let record = records(&checked, purpose)[0];
            assert_eq!(record["name"], "bounces.sender.example");
            assert_eq!(record["status"], "missing", "{record}");
        }
        assert_eq!(records(&checked, "spf")[0]["aligned"], aligned);
    }
    publish(&zone, &ours);
    let checked = posted(&world, &ours, "check").await;
    for purpose in ["spf", "return_path"] {
        assert_eq!(records(&checked, purpose)[0]["status"], "ok", "{checked}");
    }
}

#[actix_web::test]
async fn a_domain_that_is_made_twice_at_once_is_made_once() {
    let zone = Zone::start();
    let world = world(&zone).await;
    let owner = world.app.as_role(Role::Owner);
    let body = json!({ "name": "sender.example" });
    let make = || owner.post("/api/v1/domains").json(&body).send();
    let (first, second) = tokio::join!(make(), make());
    let (made, refused) = match first.status {
        201 => (first, second),
        _ => (second, first),
    };
    made.assert_status(201);
    refused.assert_error(409, "domain_taken");
}

#[actix_web::test]
async fn mails_are_signed_with_both_keys_and_new_keys_wait_for_their_records() {
    let zone = Zone::start();
    let world = world(&zone).await;
    assert!(selectors(&world, "a@example.com").await.is_empty());
    let domain = made(&world, json!({ "name": "sender.example" })).await;
    let names = |domain: &Value, signs: bool| {
        let of_keys = records(domain, "dkim");
        let chosen = of_keys
            .into_iter()
            .filter(|record| record["signs"] == signs);
        let selector = |record: &Value| {
            let name = record["name"].as_str().expect("a name");
            name.split('.').next().expect("a selector").to_owned()
        };
        chosen.map(selector).collect::<Vec<_>>()
    };
    let first = names(&domain, true);
    assert_eq!(first.len(), 2);
    assert_eq!(selectors(&world, "b@example.com").await, first);

    let rotated = posted(&world, &domain, "rotate").await;
    let waiting = names(&rotated, false);
    assert_eq!((names(&rotated, true), waiting.len()), (first.clone(), 2));
    posted(&world, &domain, "check").await;
    assert_eq!(selectors(&world, "c@example.com").await, first);

    publish(&zone, &rotated);
    let checked = posted(&world, &domain, "check").await;
    assert_eq!(names(&checked, true), waiting);
    assert!(names(&checked, false).is_empty());
    assert_eq!(selectors(&world, "d@example.com").await, waiting);
}

#[actix_web::test]
async fn a_running_campaign_notices_new_keys_within_seconds() {
    let zone = Zone::start();
    let world = world(&zone).await;
    let campaign = world.campaign().await;
    campaign.hand_over(&[person("first@example.com")]).await;
    let mail = world.post.mail_to("first@example.com").await;
    let is_signed = |mail: &mailbox::Mail| {
        mail.headers
            .iter()
            .any(|(name, _)| name == "DKIM-Signature")
    };
    assert!(!is_signed(&mail));
    made(
        &world,
        json!({ "name": "sender.example", "signing": "ed25519" }),
    )
    .await;
    let number = std::cell::Cell::new(0);
    eventually("mails of the campaign are signed", || async {
        number.set(number.get() + 1);
        let address = format!("later{}@example.com", number.get());
        campaign.hand_over(&[person(&address)]).await;
        is_signed(&world.post.mail_to(&address).await)
    })
    .await;
}

#[actix_web::test]
async fn without_an_answer_of_the_dns_a_record_stays_as_it_was() {
    // Nobody listens there any more.
    let gone = std::net::UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let address = gone.local_addr().expect("it is bound").to_string();
    drop(gone);
    let post = Post::start();
    let app = setup(&post).with("DNS_SERVER", address).start().await;
    let world = World { app, post };
    let domain = made(
        &world,
        json!({ "name": "sender.example", "signing": "rsa" }),
    )
    .await;
    let checked = posted(&world, &domain, "check").await;
    let records = checked["records"].as_array().expect("records");
    assert_eq!(records.len(), 3);
    assert!(
        records.iter().all(|record| record["status"] == "unchecked"),
        "{checked}"
    );
}

#[actix_web::test]
async fn domains_are_of_one_workspace_and_names_are_checked() {
    let zone = Zone::start();
    let world = world(&zone).await;
    let owner = world.app.as_role(Role::Owner);
    let domain = made(
        &world,
        json!({ "name": "münchen.example", "signing": "ed25519" }),
    )
    .await;
    assert_eq!(domain["name"], "xn--mnchen-3ya.example");
    let path = format!("/api/v1/domains/{}", domain["id"].as_str().expect("an id"));
    let again = json!({ "name": "MÜNCHEN.example." });
    let again = owner.post("/api/v1/domains").json(&again);
    again.send().await.assert_error(409, "domain_taken");
    for name in [
        "",
        "localhost",
        "10.0.0.1",
        "a b.example",
        "x_y.example",
        "a..b",
    ] {
        let body = json!({ "name": name });
        let refused = owner.post("/api/v1/domains").json(&body).send().await;
        refused.assert_error(422, "invalid_input");
    }
    let listed: Value = owner
        .get("/api/v1/domains")
        .send()
        .await
        .assert_status(200)
        .json();
    assert_eq!(listed["items"][0], domain);
    for query in ["limit=0", "cursor=%21"] {
        let path = format!("/api/v1/domains?{query}");
        owner
            .get(path)
            .send()
            .await
            .assert_error(422, "invalid_input");
    }

    let other = world.app.as_role_in(WorkspaceId::new(), Role::Owner);
    other
        .get(&path)
        .send()
        .await
        .assert_error(404, "domain_not_found");
    other
        .delete(&path)
        .send()
        .await
        .assert_error(404, "domain_not_found");
    for verb in ["rotate", "check"] {
        let request = other.post(format!("{path}/{verb}"));
        request.send().await.assert_error(404, "domain_not_found");
    }
    let marketer = world.app.as_role(Role::Marketer);
    marketer.get(&path).send().await.assert_status(200);
    marketer
        .delete(&path)
        .send()
        .await
        .assert_error(403, "scope_missing");
    let inner = format!(
        "/internal/domains/x.example?workspace_id={}",
        world.app.workspace
    );
    assert_eq!(marketer.get(inner).send().await.status, 403);
    assert_eq!(
        standing(&world, "localhost").await,
        DomainStanding::default()
    );

    owner.delete(&path).send().await.assert_status(204);
    owner
        .get(&path)
        .send()
        .await
        .assert_error(404, "domain_not_found");
}
