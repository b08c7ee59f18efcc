//! Workers that end, lose their lease, or cannot write.

use chrono::Duration;
use diesel::RunQueryDsl;
use mailbox::Faults;
use notifications::Notifications;
use testkit::{Setup, TestService, eventually};

use crate::support::{Post, World, person, setup};

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
    bundle: String,
}

fn held(app: &TestService<Notifications>) -> Vec<Held> {
    diesel::sql_query("SELECT id::text AS bundle FROM bundles WHERE lease IS NOT NULL")
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
        sql("UPDATE bundles SET lease = gen_random_uuid() WHERE begun > B'0'::bit(256)") == 1
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
    let taken = diesel::sql_query(
        "UPDATE bundles AS b SET lease = gen_random_uuid(), due_at = $1,
                begun = set_bit(begun, array_position(members, m.id) - 1, 1)
         FROM messages AS m WHERE m.bundle_id = b.id AND m.address = 'begun@example.com'",
    )
    .bind::<diesel::sql_types::Timestamptz, _>(until)
    .execute(&mut world.app.connect());
    assert_eq!(taken, Ok(1));
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

#[actix_web::test]
async fn a_move_that_postgres_refuses_holds_up_no_other() {
    let world = World::start().await;
    for statement in [
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'refused'; END $$",
        "CREATE TRIGGER refuse BEFORE UPDATE ON messages FOR EACH ROW
         WHEN (new.state = 'accepted' AND new.address = 'bad@example.com') EXECUTE FUNCTION refuse()",
    ] {
        diesel::sql_query(statement)
            .execute(&mut world.app.connect())
            .expect("its own schema");
    }
    let campaign = world.campaign().await;
    let people = ["bad@example.com", "a@example.com", "b@example.com"].map(person);
    campaign.hand_over(&people).await;
    campaign.order("complete").await;
    campaign
        .until("the others are settled", |s| s.accepted == 2)
        .await;
    world.post.mail_to("bad@example.com").await;

    world.app.clock.advance(Duration::seconds(61));
    let settlement = campaign
        .until("the lease of the bad one ends", |s| s.settled)
        .await;
    assert_eq!((settlement.accepted, settlement.ambiguous), (2, 1));
    assert_eq!(world.post.handle.stats().duplicates, 0);
}

#[actix_web::test]
async fn messages_whose_content_is_gone_are_skipped() {
    let world = World::start().await;
    let campaign = world.campaign().await;
    diesel::sql_query("DELETE FROM snapshots")
        .execute(&mut world.app.connect())
        .expect("its own schema");
    campaign.hand_over(&[person("a@example.com")]).await;
    campaign.order("complete").await;
    let settlement = campaign.until("settled", |s| s.settled).await;
    assert_eq!(settlement.skipped, 1);
    let reason = &campaign.messages("skipped").await[0]["reason"];
    assert_eq!(reason, "its content is gone");
}

#[actix_web::test]
async fn a_lease_is_renewed_while_a_slow_server_takes_its_time() {
    let world = World::start().await;
    world.post.handle.set_faults(Faults {
        delay_ms: 1_500,
        ..Faults::default()
    });
    let campaign = world.campaign().await;
    campaign.hand_over(&[person("a@example.com")]).await;
    campaign.order("complete").await;
    let left = || async { seconds_left(&world) };
    eventually("it is held", || async { left().await.is_some() }).await;
    for _ in 0..3 {
        world.app.clock.advance(Duration::seconds(21));
        // Either it is renewed, or the answer came first.
        eventually("the lease is long again", || async {
            left().await.is_none_or(|seconds| seconds > 25)
        })
        .await;
    }
    let settlement = campaign.until("settled", |s| s.settled).await;
    assert_eq!((settlement.accepted, settlement.ambiguous), (1, 0));
}

/// How long the lease of the only message holds, if it is held.
fn seconds_left(world: &World) -> Option<i64> {
    #[derive(diesel::QueryableByName)]
    struct Until {
        #[diesel(sql_type = diesel::sql_types::Timestamptz)]
        due_at: chrono::DateTime<chrono::Utc>,
    }
    let held: Vec<Until> = diesel::sql_query("SELECT due_at FROM bundles WHERE lease IS NOT NULL")
        .load(&mut world.app.connect())
        .expect("the ledger can be read");
    let until = held.first()?.due_at;
    Some((until - world.app.clock.now()).num_seconds())
}

#[actix_web::test]
async fn a_pause_stops_a_campaign_in_the_middle() {
    let world = World::start().await;
    world.post.handle.set_faults(Faults {
        delay_ms: 5,
        ..Faults::default()
    });
    let campaign = world.campaign().await;
    let people: Vec<_> = (0..300)
        .map(|n| person(&format!("p{n}@example.com")))
        .collect();
    campaign.hand_over(&people).await;
    campaign.order("complete").await;
    campaign.until("it has begun", |s| s.accepted > 20).await;

    campaign.order("pause").await;
    eventually("what was in hand is given back", || async {
        held(&world.app).is_empty()
    })
    .await;

    let paused = campaign.settlement().await;
    assert!(paused.pending > 0 && paused.ambiguous == 0, "{paused:?}");
    assert_eq!(
        world.post.count(),
        u64::try_from(paused.accepted).expect("few")
    );
    campaign.order("resume").await;
    let settlement = campaign.until("settled", |s| s.settled).await;
    assert_eq!(settlement.accepted, 300);
    assert_eq!(world.post.handle.stats().duplicates, 0);
}
