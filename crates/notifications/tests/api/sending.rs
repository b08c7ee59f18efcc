//! Which sender a message goes through, how fast, and what happens when one does not work.

use std::time::Instant;

use chrono::TimeDelta;
use common::auth::Role;
use mailbox::{Faults, Refusal, Stage};
use notifications::Notifications;
use serde_json::{Value, json};
use testkit::{Servers, Setup, TestService, eventually};

use crate::support::{Post, World, person, setup};

/// Makes `post` a sender of the test's workspace; `more` is added to what it needs.
async fn sender(app: &TestService<Notifications>, name: &str, post: &Post, more: Value) -> String {
    let mut body = json!({
        "name": name, "host": post.address.ip().to_string(), "port": post.address.port(),
        "tls": "none", "connections": 2,
    });
    for (key, value) in more.as_object().expect("members") {
        body[key] = value.clone();
    }
    let owner = app.as_role(Role::Owner);
    let made = owner
        .post("/api/v1/senders")
        .json(&body)
        .send()
        .await
        .assert_status(201);
    made.json::<Value>()["id"]
        .as_str()
        .expect("an id")
        .to_owned()
}

fn people(count: usize, domain: &str) -> Vec<common::dto::audience::Recipient> {
    (0..count)
        .map(|n| person(&format!("p{n}@{domain}")))
        .collect()
}

fn away() -> Faults {
    Faults {
        away: true,
        ..Faults::default()
    }
}

#[actix_web::test]
async fn a_senders_domain_the_campaigns_choice_and_priority_decide_who_sends() {
    let world = World::start().await;
    let [shop, all, late] = [Post::start(), Post::start(), Post::start()];
    sender(&world.app, "Late", &late, json!({ "priority": 200 })).await;
    sender(&world.app, "All", &all, json!({ "priority": 100 })).await;
    let domains = json!({ "domains": ["shop.example"], "priority": 300 });
    sender(&world.app, "Shop", &shop, domains).await;
    let off = json!({ "enabled": false, "priority": 1 });
    sender(&world.app, "Off", &world.post, off).await;
    let chosen = sender(
        &world.app,
        "Chosen",
        &world.post,
        json!({ "priority": 900 }),
    )
    .await;

    let usual = world.campaign().await;
    usual.hand_over(&[person("usual@example.com")]).await;
    all.mail_to("usual@example.com").await;
    let of_shop = world
        .campaign_with(|snapshot| snapshot["from"]["email"] = json!("ada@SHOP.example"))
        .await;
    of_shop.hand_over(&[person("shop@example.com")]).await;
    shop.mail_to("shop@example.com").await;
    let choosy = world
        .campaign_with(|snapshot| snapshot["sender_id"] = json!(chosen))
        .await;
    choosy.hand_over(&[person("choosy@example.com")]).await;
    world.post.mail_to("choosy@example.com").await;
    assert_eq!(
        (shop.count(), all.count(), late.count(), world.post.count()),
        (1, 1, 0, 1)
    );
}

#[actix_web::test]
async fn another_sender_takes_over_from_a_dead_one_and_nothing_is_lost_or_doubled() {
    let world = World::start().await;
    let (first, second) = (Post::start(), Post::start());
    sender(&world.app, "First", &first, json!({ "priority": 1 })).await;
    sender(&world.app, "Second", &second, json!({ "priority": 2 })).await;
    let campaign = world.campaign().await;
    campaign.hand_over(&people(60, "example.com")).await;
    eventually("the first one sends", || async { first.count() > 5 }).await;
    first.handle.set_faults(away());
    campaign.hand_over(&people(120, "other.example")).await;
    campaign.order("complete").await;

    let settlement = campaign.until("settled", |s| s.settled).await;

    assert_eq!(
        settlement.accepted + settlement.ambiguous,
        180,
        "{settlement:?}"
    );
    let (one, two) = (first.count(), second.count());
    assert!(two > 0 && world.post.count() == 0, "{one} and {two}");
    let doubles = first.handle.stats().duplicates + second.handle.stats().duplicates;
    assert_eq!(doubles, 0);
    let sent = one + two;
    assert!(
        sent >= 180 - settlement.ambiguous.unsigned_abs() && sent <= 180,
        "{one} and {two}"
    );
}

#[actix_web::test]
async fn the_installations_server_takes_over_when_no_other_works_and_gives_way_again() {
    let world = World::start().await;
    let own = Post::start();
    own.handle.set_faults(away());
    sender(&world.app, "Own", &own, json!({})).await;
    let campaign = world.campaign().await;
    campaign.hand_over(&[person("a@example.com")]).await;
    world.post.mail_to("a@example.com").await;
    own.handle.set_faults(Faults::default());
    eventually("it is used again", || async {
        let next = person(&format!("{}@example.com", uuid()));
        campaign.hand_over(&[next]).await;
        own.count() > 0
    })
    .await;
}

fn uuid() -> String {
    common::ids::LeadId::new().to_string()
}

#[actix_web::test]
async fn a_warm_up_holds_and_the_rest_is_due_the_next_day() {
    let world = World::start().await;
    let own = Post::start();
    let today = world.app.clock.now().date_naive();
    let plan = json!({ "warm_up": { "start": today, "daily": [5, 1000] } });
    let id = sender(&world.app, "New", &own, plan).await;
    let campaign = world.campaign().await;
    campaign.hand_over(&people(12, "example.com")).await;
    campaign.order("complete").await;

    campaign
        .until("today's are sent", |s| s.accepted == 5)
        .await;
    eventually("the others are due tomorrow", || async {
        let pending = campaign.messages("pending").await;
        let tomorrow = (today + chrono::Days::new(1)).to_string();
        let due = |message: &Value| {
            let at = message["next_attempt_at"].as_str().unwrap_or_default();
            at.starts_with(&tomorrow)
        };
        pending.len() == 7 && (pending.iter().all(due) || campaign.limits().await == ["warm_up"])
    })
    .await;
    assert_eq!(
        (own.count(), world.post.count()),
        (5, 0),
        "nobody evades the plan"
    );
    let owner = world.app.as_role(Role::Owner);
    let path = format!("/api/v1/senders/{id}");
    let seen: Value = owner.get(&path).send().await.json();
    assert_eq!(seen["cap_today"], 5);

    world.app.clock.advance(TimeDelta::days(1));
    // Whoever changes a sender has everything looked at again; else it takes a minute.
    let owner = world.app.as_role(Role::Owner);
    let change = owner.patch(&path).json(&json!({ "priority": 3 }));
    change.send().await.assert_status(200);
    let settlement = campaign.until("all are sent", |s| s.settled).await;
    assert_eq!((settlement.accepted, own.count()), (12, 12));
}

#[actix_web::test]
async fn a_domains_rate_holds_while_another_domain_flows() {
    let post = Post::start();
    let app = setup(&post).system_clock().start().await;
    let world = World { app, post };
    let own = Post::start();
    let rates = json!({ "domain_rates": { "slow.example": 10 } });
    sender(&world.app, "Own", &own, rates).await;
    let campaign = world.campaign().await;
    let mut audience = people(100, "slow.example");
    audience.extend(people(150, "fast.example"));
    let began = Instant::now();
    campaign.hand_over(&audience).await;

    let to = |domain: &str| {
        let filter = mailbox::Filter {
            to: Some(format!("@{domain}")),
            limit: Some(500),
            ..mailbox::Filter::default()
        };
        own.handle.list(&filter).items.len()
    };
    eventually("the other domain is served", || async {
        to("fast.example") == 150
    })
    .await;
    let (slow, seconds) = (to("slow.example") as f64, began.elapsed().as_secs_f64());
    assert!(slow <= seconds * 10.0 + 2.0, "{slow} in {seconds} s");
    assert!(
        slow < 90.0,
        "the fast ones did not wait for the slow ones: {slow}"
    );
    eventually("what limits it is told", || async {
        campaign.limits().await.contains(&"domain_rate".to_owned())
    })
    .await;
    eventually("they come at their own pace", || async {
        to("slow.example") == 100
    })
    .await;
    let seconds = began.elapsed().as_secs_f64();
    assert!(seconds > 9.0, "100 at 10 a second took {seconds} s");
}

#[actix_web::test]
async fn a_reply_that_asks_for_less_halves_the_domains_rate_and_it_grows_back() {
    let world = World::start().await;
    let own = Post::start();
    let rates = json!({ "domain_rates": { "busy.example": 8 } });
    let id = sender(&world.app, "Own", &own, rates).await;
    let campaign = world.campaign().await;
    campaign.hand_over(&[person("busy+1@busy.example")]).await;
    let path = format!("/api/v1/senders/{id}");
    let slowed = || async {
        let owner = world.app.as_role(Role::Owner);
        let seen: Value = owner.get(&path).send().await.json();
        seen["slowed"][0]["per_second"].as_f64()
    };
    eventually("it is slowed down", || async { slowed().await.is_some() }).await;
    // Or the next try would be told the same.
    campaign.order("pause").await;
    let first = slowed().await.expect("slowed");
    assert!(
        (1.9..=2.1).contains(&first),
        "{first}: half of the least that is assumed"
    );
    world.app.clock.advance(TimeDelta::seconds(60));
    let grown = slowed().await.expect("still slow");
    assert!(grown > first, "{grown}");
    world.app.clock.advance(TimeDelta::seconds(600));
    assert_eq!(slowed().await, None, "as before");
}

/// Waits for `count` more messages; answers how many came and how long that took.
async fn more(post: &Post, count: u64) -> (u64, f64) {
    // The clock is read around the counting: whatever was counted came in that time.
    let (began, before) = (Instant::now(), post.count());
    eventually("some more are sent", || async {
        post.count() >= before + count
    })
    .await;
    let came = post.count() - before;
    (came, began.elapsed().as_secs_f64())
}

#[actix_web::test]
async fn two_replicas_keep_one_rate_together_with_redis_and_without() {
    const RATE: f64 = 100.0;
    // What may be ahead of the rate: a full bucket and, of each replica, a helping and what its
    // connections hold.
    const AHEAD: f64 = RATE / 10.0 + 2.0 * (RATE / 20.0 + 2.0);
    let mut servers = Servers::private();
    let post = Post::start();
    let replica = |servers| {
        Setup::on(servers)
            .system_clock()
            .with("SMTP_URL", post.url())
            .with("SMTP_TIMEOUT_SECONDS", "2")
    };
    let app: TestService<Notifications> = replica(&servers).start().await;
    let other: TestService<Notifications> = replica(&servers).beside(&app).start().await;
    let own = Post::start();
    let id = sender(&app, "Own", &own, json!({ "per_second": RATE })).await;
    let world = World {
        app,
        post: Post::start(),
    };
    let campaign = world.campaign().await;
    campaign.hand_over(&people(1_500, "example.com")).await;
    eventually("it is being sent", || async { own.count() > 20 }).await;

    let (came, took) = more(&own, 300).await;
    assert!(came as f64 <= RATE * took + AHEAD, "{came} in {took} s");

    servers.redis.stop_immediate();
    let (came, took) = more(&own, 150).await;
    assert!(
        came as f64 <= RATE * took + AHEAD,
        "{came} in {took} s without redis"
    );
    let speed = campaign.speed().await;
    let told = speed["per_second"].as_f64().expect("a number");
    assert!(told > 0.0 && told <= RATE + AHEAD / 10.0, "{speed}");
    assert!(
        campaign.limits().await.contains(&"sender_rate".to_owned()),
        "{speed}"
    );
    eventually("operators see speed and limit", || async {
        let metrics = world.app.anonymous().get("/metrics").send().await.text();
        let of_sender = |name: &str| {
            let line = |line: &&str| line.starts_with(name) && line.contains(&id);
            let found = metrics.lines().find(line)?;
            found.rsplit(' ').next()?.parse::<f64>().ok()
        };
        let speed = of_sender("clarion_sender_messages_per_second");
        speed.is_some_and(|speed| speed > 0.0)
            && of_sender("clarion_sender_limit_per_second") == Some(RATE)
    })
    .await;
    drop(other);
}

#[actix_web::test]
async fn a_sender_that_refuses_everything_costs_nobody_and_is_tried_again() {
    let world = World::start().await;
    let refuse = Some(Refusal {
        stage: Stage::Mail,
        code: 550,
    });
    world.post.handle.set_faults(Faults {
        refuse,
        ..Faults::default()
    });
    let campaign = world.campaign().await;
    campaign.hand_over(&people(20, "example.com")).await;
    campaign.order("complete").await;
    let owner = world.app.as_role(Role::Owner);
    eventually("the reason is told", || async {
        let sender: Value = owner.get("/api/v1/senders/default").send().await.json();
        let reason = sender["unreachable"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        reason.contains("refuses everything") && reason.contains("550")
    })
    .await;
    eventually("the campaign says so", || async {
        campaign.limits().await == ["sender_unavailable"]
    })
    .await;
    let told = |kind: &str| world.app.events().iter().any(|event| event == kind);
    eventually("campaigns hears of it", || async { told("campaign.held") }).await;
    assert_eq!(campaign.settlement().await.pending, 20);
    assert!(!told("campaign.released"));

    world.post.handle.set_faults(Faults::default());
    let settlement = campaign.until("it goes on by itself", |s| s.settled).await;
    assert_eq!(settlement.accepted, 20);
    eventually("and of its end", || async { told("campaign.released") }).await;
    let messages = campaign.messages("accepted").await;
    assert!(
        messages.iter().all(|message| message["attempts"] == 1),
        "it cost nobody a try"
    );
}
