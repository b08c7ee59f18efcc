//! The mail server away, hanging up, or saying nothing.

use chrono::Duration;
use common::auth::Role;
use mailbox::{DropEvery, DropWhen, Faults, Refusal, Stage};
use serde_json::{Value, json};
use testkit::eventually;

use crate::support::{Post, World, person, setup};

#[actix_web::test]
async fn mail_waits_while_the_server_is_away_and_goes_out_when_it_is_back() {
    let world = World::start().await;
    world.post.handle.set_faults(Faults {
        away: true,
        ..Faults::default()
    });
    let campaign = world.campaign().await;
    campaign
        .hand_over(&[person("a@example.com"), person("b@example.com")])
        .await;
    campaign.order("complete").await;
    let owner = world.app.as_role(Role::Owner);
    eventually("the sender is known to be unreachable", || async {
        let senders: Value = owner
            .get("/api/v1/senders")
            .send()
            .await
            .assert_status(200)
            .json();
        senders["items"][0]["unreachable"].is_string()
    })
    .await;
    assert_eq!(campaign.settlement().await.pending, 2);

    world.post.handle.set_faults(Faults::default());

    let settlement = campaign.until("it is sent by itself", |s| s.settled).await;
    assert_eq!(settlement.accepted, 2);
    let messages = campaign.messages("accepted").await;
    assert!(
        messages.iter().all(|message| message["attempts"] == 1),
        "an absence costs no attempt"
    );
}

#[actix_web::test]
async fn a_server_that_greets_with_421_costs_no_attempt() {
    let world = World::start().await;
    let refuse = Some(Refusal {
        stage: Stage::Connect,
        code: 421,
    });
    world.post.handle.set_faults(Faults {
        refuse,
        ..Faults::default()
    });
    let campaign = world.campaign().await;
    campaign.hand_over(&[person("a@example.com")]).await;
    let owner = world.app.as_role(Role::Owner);
    eventually("the sender says why", || async {
        let senders: Value = owner.get("/api/v1/senders").send().await.json();
        senders["items"][0]["unreachable"]
            .as_str()
            .is_some_and(|why| why.contains("421"))
    })
    .await;
    world.post.handle.set_faults(Faults::default());
    campaign.until("it is sent", |s| s.accepted == 1).await;
    assert_eq!(campaign.messages("accepted").await[0]["attempts"], 1);
}

#[actix_web::test]
async fn a_lost_answer_is_ambiguous_listed_and_never_sent_again_by_itself() {
    let world = World::start().await;
    let campaign = world.campaign().await;
    campaign
        .hand_over(&[
            person("drop+1@example.com"),
            person("dropafter+2@example.com"),
            person("c@example.com"),
        ])
        .await;
    campaign.order("complete").await;

    let settlement = campaign.until("settled", |s| s.settled).await;

    assert_eq!((settlement.accepted, settlement.ambiguous), (1, 2));
    let listed = campaign.messages("ambiguous").await;
    let mut names: Vec<_> = listed
        .iter()
        .map(|message| message["to"].as_str().expect("an address"))
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["drop+1@example.com", "dropafter+2@example.com"]);
    world.app.clock.advance(Duration::days(2));
    let other = world.campaign().await;
    other.hand_over(&[person("d@example.com")]).await;
    other.until("later mail is sent", |s| s.accepted == 1).await;
    assert_eq!(
        world.post.count(),
        3,
        "c, d and the one that was stored without an answer"
    );
}

#[actix_web::test]
async fn the_operator_may_send_the_ambiguous_again_with_the_same_message_id() {
    let world = World::start().await;
    let campaign = world.campaign().await;
    campaign.order("pause").await;
    campaign.hand_over(&[person("a@example.com")]).await;
    let drop = Some(DropEvery {
        nth: 1,
        when: DropWhen::BeforeReply,
    });
    world.post.handle.set_faults(Faults {
        drop,
        ..Faults::default()
    });
    campaign.order("complete").await;
    campaign.order("resume").await;
    campaign
        .until("the answer is lost", |s| s.ambiguous == 1)
        .await;
    world.post.handle.set_faults(Faults::default());
    let marketer = world.app.as_role(Role::Marketer);
    let retry = json!({ "campaign_id": campaign.id, "outcome": "ambiguous" });
    let answer: Value = marketer
        .post("/api/v1/messages/retry")
        .json(&retry)
        .send()
        .await
        .assert_status(200)
        .json();
    assert_eq!(answer["retried"], 1);

    campaign
        .until("it is accepted", |s| s.settled && s.accepted == 1)
        .await;
    let mails = world.post.handle.list(&mailbox::Filter::default()).items;
    assert_eq!(mails.len(), 2);
    assert_eq!(mails[0].message_id, mails[1].message_id);
}

#[actix_web::test]
async fn a_campaign_that_asks_for_it_resends_what_is_unknown() {
    let world = World::start().await;
    let campaign = world
        .campaign_with(|snapshot| snapshot["ambiguous"] = json!("resend"))
        .await;
    campaign.hand_over(&[person("drop+1@example.com")]).await;
    eventually("an attempt is counted and it waits", || async {
        let pending = campaign.messages("pending").await;
        pending
            .first()
            .is_some_and(|message| message["attempts"] == 1)
    })
    .await;
    assert_eq!(campaign.settlement().await.ambiguous, 0);
}

#[actix_web::test]
async fn a_server_that_hangs_before_the_content_has_no_message() {
    let world = World::start().await;
    world.post.handle.set_faults(Faults {
        hang: true,
        ..Faults::default()
    });
    let campaign = world.campaign().await;
    campaign.hand_over(&[person("a@example.com")]).await;
    let owner = world.app.as_role(Role::Owner);
    eventually("the time runs out", || async {
        let senders: Value = owner.get("/api/v1/senders").send().await.json();
        senders["items"][0]["unreachable"]
            .as_str()
            .is_some_and(|why| why.contains("in time"))
    })
    .await;
    assert_eq!(campaign.settlement().await.ambiguous, 0);
    world.post.handle.set_faults(Faults::default());
    campaign.until("it is sent", |s| s.accepted == 1).await;
}

#[actix_web::test]
async fn a_break_makes_one_message_ambiguous_and_the_one_announced_with_it_is_sent() {
    let post = Post::start();
    let app = setup(&post).with("SMTP_CONNECTIONS", "1").start().await;
    let world = World { app, post };
    let campaign = world.campaign().await;
    // On one connection, so that each but the last is followed by another.
    let mut people: Vec<_> = (0..20)
        .map(|number| person(&format!("a{number}@example.com")))
        .collect();
    people.insert(10, person("drop+1@example.com"));
    people.insert(15, person("dropafter+1@example.com"));
    campaign.hand_over(&people).await;
    let settled = campaign.until("all is known", |s| s.pending == 0).await;
    assert_eq!((settled.accepted, settled.ambiguous), (20, 2));
    let stats = world.post.handle.stats();
    assert_eq!((stats.messages, stats.distinct_recipients), (21, 21));
    assert_eq!(stats.duplicates, 0);
}
