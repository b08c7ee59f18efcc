//! The mail server away, hanging up, or saying nothing; workers that lose their lease.

use chrono::Duration;
use common::auth::Role;
use diesel::RunQueryDsl;
use mailbox::{DropEvery, DropWhen, Faults, Refusal, Stage};
use notifications::Notifications;
use serde_json::{Value, json};
use testkit::{Setup, TestService, eventually};

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
    campaign
        .until("the answer is lost or came first", |s| s.settled)
        .await;
    if campaign.settlement().await.ambiguous == 0 {
        // It was sent before the fault was set: nothing to try again.
        return;
    }
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
async fn a_stopped_service_gives_back_what_it_holds() {
    let mut world = World::start().await;
    world.post.handle.set_faults(Faults {
        away: true,
        ..Faults::default()
    });
    let people: Vec<_> = (0..40)
        .map(|n| person(&format!("p{n}@example.com")))
        .collect();
    world.campaign().await.hand_over(&people).await;
    world.app.stop();
    let held: Vec<Held> = held(&world.app);
    assert!(held.is_empty(), "{held:?}");

    world.post.handle.set_faults(Faults::default());
    let app = setup(&world.post)
        .beside(&world.app)
        .start::<Notifications>()
        .await;
    eventually("another replica sends all of them", || async {
        world.post.count() == 40
    })
    .await;
    assert_eq!(world.post.handle.stats().duplicates, 0);
    drop(app);
}

#[derive(Debug, diesel::QueryableByName)]
struct Held {
    #[diesel(sql_type = diesel::sql_types::Text)]
    #[expect(dead_code, reason = "printed when the test fails")]
    state: String,
}

fn held(app: &TestService<Notifications>) -> Vec<Held> {
    diesel::sql_query("SELECT state FROM messages WHERE lease IS NOT NULL")
        .load(&mut app.connect())
        .expect("the ledger can be read")
}

#[actix_web::test]
async fn a_lease_that_another_worker_took_over_settles_nothing() {
    // A worker that hangs in the content of a message …
    let world = World::start().await;
    let campaign = world.campaign().await;
    campaign.hand_over(&[person("slow+1@example.com")]).await;
    campaign.order("complete").await;
    let sql = |text: &str| {
        diesel::sql_query(text)
            .execute(&mut world.app.connect())
            .expect("SQL")
    };
    eventually("it is being sent", || async {
        // … while somebody else takes the message over.
        sql("UPDATE messages SET lease = gen_random_uuid() WHERE state = 'sending'") == 1
    })
    .await;
    world.post.mail_to("slow+1@example.com").await;

    let pending = campaign.settlement().await;
    assert_eq!(
        (pending.pending, pending.accepted),
        (1, 0),
        "the first worker's word counts no more"
    );
    world.app.clock.advance(Duration::seconds(61));
    let settlement = campaign
        .until("its new holder is gone too", |s| s.settled)
        .await;
    assert_eq!(settlement.ambiguous, 1);
    assert_eq!(world.post.count(), 1);
}

#[actix_web::test]
async fn messages_of_a_killed_worker_are_sent_or_ambiguous() {
    let world = World::start().await;
    let campaign = world.campaign().await;
    campaign.order("pause").await;
    campaign
        .hand_over(&[person("claimed@example.com"), person("begun@example.com")])
        .await;
    campaign.order("complete").await;
    let until = world.app.clock.now() + Duration::seconds(60);
    for (state, address) in [
        ("claimed", "claimed@example.com"),
        ("sending", "begun@example.com"),
    ] {
        let taken = diesel::sql_query(
            "UPDATE messages SET state = $1, lease = gen_random_uuid(), due_at = $2 WHERE address = $3",
        )
        .bind::<diesel::sql_types::Text, _>(state)
        .bind::<diesel::sql_types::Timestamptz, _>(until)
        .bind::<diesel::sql_types::Text, _>(address)
        .execute(&mut world.app.connect());
        assert_eq!(taken, Ok(1));
    }
    campaign.order("resume").await;
    assert_eq!(campaign.settlement().await.pending, 2);

    world.app.clock.advance(Duration::seconds(61));
    let settlement = campaign.until("both are resolved", |s| s.settled).await;

    assert_eq!((settlement.accepted, settlement.ambiguous), (1, 1));
    assert_eq!(
        campaign.messages("ambiguous").await[0]["to"],
        "begun@example.com"
    );
    world.post.mail_to("claimed@example.com").await;
    assert_eq!(world.post.count(), 1);
}

#[actix_web::test]
async fn two_replicas_send_everything_once() {
    let world = World::start().await;
    let second = setup(&world.post)
        .beside(&world.app)
        .start::<Notifications>()
        .await;
    let campaign = world.campaign().await;
    let people: Vec<_> = (0..300)
        .map(|n| person(&format!("p{n}@example.com")))
        .collect();
    campaign.hand_over(&people).await;
    campaign.order("complete").await;

    let settlement = campaign.until("settled", |s| s.settled).await;

    assert_eq!(settlement.accepted, 300);
    let stats = world.post.handle.stats();
    assert_eq!((stats.messages, stats.duplicates), (300, 0));
    let settled = world
        .app
        .events()
        .iter()
        .filter(|kind| *kind == "campaign.settled")
        .count();
    assert_eq!(settled, 1);
    drop(second);
}

#[actix_web::test]
async fn a_message_costs_no_commit_of_its_own() {
    let world = {
        let post = Post::start();
        let app = setup(&post).with("SMTP_CONNECTIONS", "16").start().await;
        World { app, post }
    };
    let campaign = world.campaign().await;
    let people: Vec<_> = (0..500)
        .map(|n| person(&format!("p{n}@example.com")))
        .collect();
    campaign.hand_over(&people).await;
    campaign.order("complete").await;
    campaign.until("settled", |s| s.settled).await;

    let metrics = world.app.anonymous().get("/metrics").send().await.text();
    let value = |what: &str| {
        let line = metrics
            .lines()
            .find(|line| line.starts_with("clarion_ledger_writes_total") && line.contains(what));
        let number = line
            .and_then(|line| line.rsplit(' ').next())
            .and_then(|number| number.parse::<u64>().ok());
        number.unwrap_or_else(|| panic!("{what} in {metrics}"))
    };
    let (groups, begins, ends) = (value("groups"), value("begins"), value("ends"));
    assert_eq!((begins, ends), (500, 500));
    assert!(groups < 300, "{groups} transactions for 500 messages");
    assert!(
        metrics
            .contains("clarion_messages_total{outcome=\"accepted\",service=\"notifications\"} 500"),
        "{metrics}"
    );
}

#[actix_web::test]
async fn a_ledger_that_cannot_be_written_for_a_while_forgets_nothing() {
    let servers: &'static testkit::Servers = Box::leak(Box::new(testkit::Servers::private()));
    let post = Post::start();
    let app = Setup::on(servers)
        .with("SMTP_URL", post.url())
        .with("SMTP_CONNECTIONS", "4")
        .start::<Notifications>()
        .await;
    let world = World { app, post };
    world.post.handle.set_faults(Faults {
        delay_ms: 5,
        ..Faults::default()
    });
    let campaign = world.campaign().await;
    let people: Vec<_> = (0..400)
        .map(|n| person(&format!("p{n}@example.com")))
        .collect();
    campaign.hand_over(&people).await;
    campaign.order("complete").await;
    eventually("the first mails are out", || async {
        world.post.count() > 40
    })
    .await;

    // Every connection of the service dies in the middle of its work.
    for _ in 0..5 {
        let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                    WHERE datname = current_database() AND pid <> pg_backend_pid()";
        diesel::sql_query(kill)
            .execute(&mut world.app.connect())
            .expect("its own role may");
    }

    let settlement = campaign.until("settled all the same", |s| s.settled).await;
    assert_eq!((settlement.accepted, settlement.ambiguous), (400, 0));
    assert_eq!(world.post.handle.stats().duplicates, 0);
}
