use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chassis::feed::{Consumer, payload};
use chassis::{Clock, Host};
use common::WorkspaceId;
use common::auth::{Role, Service};
use common::events::{Envelope, Event as _, FeedPage, LeadCreated, WorkspaceCreated};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use testkit::{Setup, TestService, eventually};
use tokio_util::sync::CancellationToken;

use crate::probe::{Probe, clock, database, host, notes, tell, texts};

/// Writes a note of the event's name.
fn note(conn: &mut PgConnection, event: &Envelope) -> QueryResult<()> {
    let Some(told) = payload::<WorkspaceCreated>(event) else {
        return Ok(());
    };
    diesel::insert_into(notes::table)
        .values((
            notes::workspace_id.eq(event.workspaceid.0),
            notes::text.eq(told.name),
        ))
        .execute(conn)?;
    Ok(())
}

fn consumer(
    host: &Host,
    producer: &TestService<Probe>,
    effect: impl Fn(&mut PgConnection, &Envelope) -> QueryResult<()> + Send + Sync + 'static,
) -> Consumer {
    let peer = host.peer(Service::Commerce, producer.url().parse().expect("a URL"));
    Consumer::new(host, peer, effect)
}

async fn until_empty(consumer: &Consumer) {
    while consumer.step().await.expect("the feed answers") > 0 {}
}

fn tell_all(producer: &TestService<Probe>, count: usize) -> Vec<String> {
    let names: Vec<_> = (0..count).map(|number| format!("event {number}")).collect();
    let mut conn = producer.connect();
    for name in &names {
        tell(&mut conn, WorkspaceId::new(), name).expect("an event");
    }
    names
}

#[actix_web::test]
async fn two_replicas_of_a_consumer_let_each_event_take_effect_once() {
    let producer = TestService::<Probe>::start().await;
    let told = tell_all(&producer, 700);
    let own = database();
    let (one, two) = (
        host(&own, &clock(), None).await,
        host(&own, &clock(), None).await,
    );
    let (one, two) = (
        consumer(&one, &producer, note),
        consumer(&two, &producer, note),
    );
    futures::join!(until_empty(&one), until_empty(&two));
    assert_eq!(texts(&mut own.connect()), told);
}

#[actix_web::test]
async fn a_page_takes_effect_whole_or_not_at_all() {
    let producer = TestService::<Probe>::start().await;
    let told = tell_all(&producer, 5);
    let own = database();
    let host = host(&own, &clock(), None).await;
    let broken = Arc::new(AtomicBool::new(true));
    let still_broken = Arc::clone(&broken);
    let consumer = consumer(&host, &producer, move |conn, event| {
        note(conn, event)?;
        let last = texts(conn).len() == 5;
        match last && still_broken.load(Ordering::SeqCst) {
            true => Err(diesel::result::Error::NotFound),
            false => Ok(()),
        }
    });
    consumer.step().await.expect_err("the last effect fails");
    assert!(texts(&mut own.connect()).is_empty());

    broken.store(false, Ordering::SeqCst);
    until_empty(&consumer).await;
    assert_eq!(texts(&mut own.connect()), told);
}

#[actix_web::test]
async fn an_event_that_cannot_be_read_holds_nothing_up() {
    let producer = TestService::<Probe>::start().await;
    let mut conn = producer.connect();
    tell(&mut conn, WorkspaceId::new(), "before").unwrap();
    conn.batch_execute(
        "INSERT INTO outbox (id, workspace_id, kind, subject, data) VALUES
         (gen_random_uuid(), gen_random_uuid(), 'workspace.created', 'x', '{\"name\": 7}'),
         (gen_random_uuid(), gen_random_uuid(), 'of.another.kind', 'x', '{}')",
    )
    .unwrap();
    tell(&mut conn, WorkspaceId::new(), "after").unwrap();

    let own = database();
    let consumer = consumer(&host(&own, &clock(), None).await, &producer, note);
    until_empty(&consumer).await;
    assert_eq!(texts(&mut own.connect()), ["before", "after"]);
}

#[actix_web::test]
async fn an_envelope_says_who_what_where_and_which_request() {
    let producer = TestService::<Probe>::start().await;
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let sent = producer
        .as_role(Role::Owner)
        .post("/api/v1/notes")
        .header("traceparent", &format!("00-{trace}-b7ad6b7169203331-01"))
        .json(&serde_json::json!({ "text": "hello" }));
    sent.send().await.assert_status(201);

    let page: FeedPage = producer
        .as_service(Service::Commerce)
        .get("/internal/events?after=0&consumer=commerce")
        .send()
        .await
        .assert_status(200)
        .json();
    let event = &page.items[0].event;
    assert_eq!(event.kind, "workspace.created");
    assert_eq!(event.source, "/services/commerce");
    assert_eq!(event.workspaceid, producer.workspace);
    assert_eq!(event.subject, producer.workspace.to_string());
    assert!(
        event
            .traceparent
            .as_deref()
            .is_some_and(|parent| parent.contains(trace))
    );
    assert!(event.read::<LeadCreated>().is_none());
}

#[actix_web::test]
async fn the_feed_is_for_services_and_each_acknowledges_for_itself_only() {
    let producer = TestService::<Probe>::start().await;
    let feed = "/internal/events?after=0&consumer=leads";
    let owner = producer.as_role(Role::Owner).get(feed).send().await;
    owner.assert_error(403, "services_only");
    producer
        .anonymous()
        .get(feed)
        .send()
        .await
        .assert_error(401, "token_missing");

    let ahead = "/internal/events?after=1000000&consumer=leads";
    let other = producer
        .as_service(Service::Analytics)
        .get(ahead)
        .send()
        .await;
    let problem = other.assert_error(403, "not_your_feed_position");
    assert!(problem.detail.contains("analytics"), "{}", problem.detail);
    producer
        .as_service(Service::Leads)
        .get(feed)
        .send()
        .await
        .assert_status(200);
}

#[actix_web::test]
async fn kinds_that_are_passed_over_are_not_sent_and_hold_nothing_up() {
    let producer = TestService::<Probe>::start().await;
    tell_all(&producer, 600);
    let own = database();
    let host = host(&own, &clock(), None).await;
    let picky =
        consumer(&host, &producer, note).passing_over(&["probe.other", WorkspaceCreated::KIND]);
    until_empty(&picky).await;
    assert!(texts(&mut own.connect()).is_empty());

    let told = tell_all(&producer, 2);
    until_empty(&consumer(&host, &producer, note)).await;
    assert_eq!(texts(&mut own.connect()), told, "only what came after");
}

#[actix_web::test]
async fn a_consumer_runs_on_when_its_producer_comes_back() {
    let mut producer = Setup::default().system_clock().start::<Probe>().await;
    tell_all(&producer, 3);
    let own = database();
    let host = host(&own, &Clock::System, None).await;
    let (consumer, stop) = (consumer(&host, &producer, note), CancellationToken::new());
    producer.stop();
    consumer.step().await.expect_err("nobody answers");

    let address = producer.address.to_string();
    let running = tokio::spawn(consumer.run(stop.clone()));
    eventually("the failure is counted", || async {
        let families = host.metrics.registry.gather();
        families
            .iter()
            .any(|family| family.name() == "clarion_feed_failures_total")
    })
    .await;
    let _again = Setup::default()
        .system_clock()
        .beside(&producer)
        .with("COMMERCE_HTTP_ADDR", address)
        .start::<Probe>()
        .await;
    eventually("the events are taken in", || async {
        texts(&mut own.connect()).len() == 3
    })
    .await;
    stop.cancel();
    running.await.expect("it ends when it is told to");
}
