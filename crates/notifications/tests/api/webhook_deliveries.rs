//! Deliveries: tried again, given up, lost and found, never doubled, and never led astray.

use std::collections::HashMap;
use std::time::Duration;

use chrono::TimeDelta;
use common::auth::Service as Name;
use common::events::{CampaignStarted, EngagementRecorded, WorkspaceCreated};
use common::ids::{CampaignId, WorkspaceId};
use diesel::prelude::*;
use diesel::sql_query;
use notifications::Notifications;
use serde_json::{Value, json};
use testkit::{TestService, eventually};
use uuid::Uuid;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::support::{Post, setup};
use crate::webhooks::{Hooked, header};

fn ids(requests: &[wiremock::Request]) -> Vec<String> {
    let id = |request| header(request, "webhook-id").to_owned();
    requests.iter().map(id).collect()
}

/// Does `wanted` state belong to the delivery, after so many attempts?
fn is(wanted: &'static str, attempts: i64) -> impl Fn(&Value) -> bool {
    move |delivery| delivery["state"] == wanted && delivery["attempts"] == attempts
}

#[actix_web::test]
async fn events_of_every_service_reach_those_who_want_them_and_nobody_else() {
    let hooked = Hooked::start().await;
    let (all, _) = hooked.hook(&["*"]).await;
    let (campaigns, _) = hooked.hook(&["campaign.started"]).await;
    let app = &hooked.app;
    let (campaign_id, batch_id) = (CampaignId::new(), Uuid::now_v7());
    let workspace_id = app.workspace;
    let name = String::from("Spring");
    let named = name.clone();
    let started = CampaignStarted { campaign_id, name };
    let other = app.peer(Name::Campaigns);
    other.tell(WorkspaceId::new(), &started);
    other.tell(app.workspace, &started);
    let engaged = EngagementRecorded {
        batch_id,
        items: Vec::new(),
    };
    app.peer(Name::Analytics).tell(app.workspace, &engaged);
    let created = WorkspaceCreated {
        workspace_id,
        name: named,
    };
    app.peer(Name::Leads).tell(app.workspace, &created);
    let body = json!({
        "to": "grace@shop.example", "subject": "Hello",
        "content": { "format": "html", "body": "<p>Hello</p>" },
    });
    let sent = hooked.owner().post("/api/v1/messages").json(&body);
    sent.send().await.assert_status(202);
    eventually("four deliveries", || async {
        let deliveries = hooked.deliveries(&all).await;
        deliveries
            .iter()
            .filter(|d| d["state"] == "delivered")
            .count()
            == 4
    })
    .await;
    let mut kinds: Vec<String> = hooked
        .deliveries(&all)
        .await
        .iter()
        .map(|delivery| delivery["event_type"].to_string())
        .collect();
    kinds.sort();
    let wanted = [
        "campaign.started",
        "engagement.recorded",
        "message.settled",
        "workspace.created",
    ];
    assert_eq!(kinds, wanted.map(|kind| format!("\"{kind}\"")));
    assert_eq!(hooked.deliveries(&campaigns).await.len(), 1);
    assert_eq!(hooked.post.count(), 1);
}

#[actix_web::test]
async fn an_endpoint_that_fails_is_tried_for_more_than_a_day() {
    let hooked = Hooked::answering(ResponseTemplate::new(500).set_body_string("oh\0no")).await;
    let (path, _) = hooked.hook(&["lead.created"]).await;
    hooked.tell();
    let minutes = [0.0, 5.5, 33.0, 132.0, 330.0, 660.0, 660.0];
    for (attempts, longest) in (1..).zip(minutes) {
        let delivery = hooked
            .until("it failed once more", &path, is("pending", attempts))
            .await;
        assert_eq!(delivery["status"], 500);
        assert_eq!(delivery["answer"], "oh\u{fffd}no");
        let next: chrono::DateTime<chrono::Utc> =
            serde_json::from_value(delivery["next_attempt_at"].clone()).expect("a time");
        let pause = next - hooked.app.clock.now();
        if attempts > 1 {
            let longest = TimeDelta::seconds((longest * 60.0) as i64);
            assert!(pause <= longest && pause * 110 / 100 >= longest - TimeDelta::seconds(1));
        } else {
            assert!((5_000..=5_500).contains(&pause.num_milliseconds()));
        }
        hooked.app.clock.advance(pause);
    }
    let failed = hooked.until("it is given up", &path, is("failed", 8)).await;
    assert_eq!(failed["next_attempt_at"], Value::Null);
    let received = hooked.received().await;
    assert_eq!(received.len(), 8);
    let same = ids(&received);
    assert!(
        same.iter().all(|id| *id == same[0]),
        "the same id each time"
    );
    let webhook = hooked.show(&path).await;
    assert_eq!(webhook["enabled"], true);
    assert!(webhook["failing_since"].is_string());
    let listed = hooked
        .show(&format!("{path}/deliveries?state=failed"))
        .await;
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(1));
    let listed = hooked
        .show(&format!("{path}/deliveries?state=delivered"))
        .await;
    assert_eq!(listed["items"], json!([]));

    // It is delivered after all, by hand.
    hooked
        .answer(ResponseTemplate::new(200).set_body_string("thanks"))
        .await;
    let id = failed["id"].as_str().expect("an id");
    let again = format!("{path}/deliveries/{id}/redeliver");
    hooked.owner().post(&again).send().await.assert_status(202);
    let delivered = hooked.until("it is delivered", &path, is("delivered", 1));
    assert_eq!(delivered.await["answer"], "thanks");
    assert_eq!(ids(&hooked.received().await), [id]);
    let webhook = hooked.show(&path).await;
    assert_eq!(webhook["failing_since"], Value::Null);
}

#[actix_web::test]
async fn an_endpoint_that_is_gone_is_disabled_at_once_and_somebody_is_told() {
    let hooked = Hooked::answering(ResponseTemplate::new(410)).await;
    let watcher = MockServer::start().await;
    let taken = Mock::given(any()).respond_with(ResponseTemplate::new(200));
    taken.mount(&watcher).await;
    let (other, _) = hooked.hook_at(&watcher.uri(), &["webhook.disabled"]).await;
    let (path, _) = hooked.hook(&["lead.created"]).await;
    hooked.tell();
    let failed = hooked.until("it failed", &path, is("failed", 1)).await;
    let webhook = hooked.show(&path).await;
    assert_eq!(webhook["enabled"], false);
    assert_eq!(webhook["disabled_reason"], "it answered 410 Gone");
    assert_eq!(hooked.app.events(), ["webhook.disabled"]);
    let told = hooked
        .until("others are told", &other, is("delivered", 1))
        .await;
    assert_eq!(told["payload"]["data"]["webhook_id"], webhook["id"]);

    let owner = hooked.owner();
    let again = format!(
        "{path}/deliveries/{}/redeliver",
        failed["id"].as_str().expect("an id")
    );
    owner
        .post(&again)
        .send()
        .await
        .assert_error(409, "webhook_disabled");
    let test = format!("{path}/test");
    owner
        .post(&test)
        .send()
        .await
        .assert_error(409, "webhook_disabled");
    let on = owner.patch(&path).json(&json!({ "enabled": true }));
    on.send().await.assert_status(200);
    hooked.answer(ResponseTemplate::new(204)).await;
    owner.post(&test).send().await.assert_status(202);
    let tested = hooked
        .until("the trial arrives", &path, is("delivered", 1))
        .await;
    assert_eq!(tested["event_type"], "webhook.test");
    let unknown = format!("{path}/deliveries/{}/redeliver", Uuid::now_v7());
    owner
        .post(&unknown)
        .send()
        .await
        .assert_error(404, "delivery_not_found");
}

#[actix_web::test]
async fn an_endpoint_that_fails_for_five_days_is_disabled() {
    let hooked = Hooked::answering(ResponseTemplate::new(503)).await;
    let (path, _) = hooked.hook(&["lead.created"]).await;
    hooked.tell();
    hooked.until("it failed", &path, is("pending", 1)).await;
    hooked.app.clock.advance(TimeDelta::days(4));
    hooked
        .until("it failed again", &path, is("pending", 2))
        .await;
    assert_eq!(hooked.show(&path).await["enabled"], true);
    hooked.app.clock.advance(TimeDelta::days(1));
    hooked.until("it is given up", &path, is("failed", 3)).await;
    let webhook = hooked.show(&path).await;
    assert_eq!(webhook["disabled_reason"], "it failed for five days");
    assert_eq!(hooked.app.events(), ["webhook.disabled"]);
    hooked.tell();
    hooked.app.clock.advance(TimeDelta::days(1));
    let (watch, _) = hooked.hook(&["lead.created"]).await;
    hooked.tell();
    hooked
        .until("the feed went on", &watch, is("pending", 1))
        .await;
    assert_eq!(
        hooked.deliveries(&path).await.len(),
        1,
        "nothing more is kept for it"
    );
}

#[actix_web::test]
async fn a_redirect_is_not_followed() {
    let secret = MockServer::start().await;
    let answer = ResponseTemplate::new(307).insert_header("location", secret.uri());
    let hooked = Hooked::answering(answer).await;
    let (path, _) = hooked.hook(&["lead.created"]).await;
    hooked.tell();
    let delivery = hooked.until("it failed", &path, is("pending", 1)).await;
    assert_eq!(delivery["status"], 307);
    let problem = delivery["problem"].as_str().expect("a problem");
    assert!(problem.ends_with("redirects are not followed"), "{problem}");
    let received = secret.received_requests().await.expect("it remembers");
    assert!(received.is_empty());
}

#[actix_web::test]
async fn a_webhook_that_leads_into_this_network_by_now_is_not_posted_to() {
    let hooked = Hooked::start().await;
    let strict = setup(&hooked.post).beside(&hooked.app);
    let (address, _) = hooked.hook(&["lead.created"]).await;
    let port = hooked.endpoint.address().port();
    let (name, _) = hooked
        .hook_at(&format!("http://localhost:{port}/"), &["lead.created"])
        .await;
    let mut hooked = hooked;
    hooked.app.stop();
    let app: TestService<Notifications> = strict.start().await;
    let mut conn = app.connect();
    let hooks = "UPDATE webhooks SET description = 'x' WHERE enabled";
    assert_eq!(sql_query(hooks).execute(&mut conn), Ok(2));
    let owner = app.as_role_in(hooked.app.workspace, common::auth::Role::Owner);
    for path in [&address, &name] {
        let test = owner.post(format!("{path}/test")).send().await;
        test.assert_status(202);
        let list = format!("{path}/deliveries");
        eventually("it is refused", || async {
            let page: Value = owner.get(&list).send().await.json();
            page["items"][0]["problem"] == "its URL leads into a private network"
        })
        .await;
    }
    assert!(hooked.received().await.is_empty());
}

#[actix_web::test]
async fn what_a_dead_worker_held_is_delivered_when_its_lease_has_run_out() {
    let hooked = Hooked::answering(ResponseTemplate::new(500)).await;
    let (path, _) = hooked.hook(&["lead.created"]).await;
    hooked.tell();
    let first = hooked.until("it failed", &path, is("pending", 1)).await;
    let now = hooked.app.clock.now();
    let held = format!(
        "UPDATE webhook_deliveries SET next_at = '{now}', lease = gen_random_uuid(),
             lease_until = '{}'",
        now + TimeDelta::seconds(60)
    );
    hooked.answer(ResponseTemplate::new(204)).await;
    let held = sql_query(held).execute(&mut hooked.app.connect());
    assert_eq!(held, Ok(1));
    // Another endpoint's delivery shows that workers passed over this one.
    let (other, _) = hooked.hook(&["lead.created"]).await;
    let test = format!("{other}/test");
    hooked.owner().post(&test).send().await.assert_status(202);
    hooked
        .until("the other's arrives", &other, is("delivered", 1))
        .await;
    assert_eq!(hooked.received().await.len(), 1);
    hooked.app.clock.advance(TimeDelta::seconds(60));
    hooked.until("it is found", &path, is("delivered", 2)).await;
    let received = ids(&hooked.received().await);
    assert_eq!(
        received[1..],
        [first["id"].as_str().expect("an id").to_owned()]
    );
}

#[actix_web::test]
async fn two_workers_never_post_the_same_twice() {
    let hooked = Hooked::start().await;
    let second = setup(&hooked.post)
        .with("WEBHOOKS_ALLOW_PRIVATE", "true")
        .beside(&hooked.app);
    let _second: TestService<Notifications> = second.start().await;
    let (path, _) = hooked.hook(&["lead.created"]).await;
    for _ in 0..200 {
        hooked.tell();
    }
    let waiting = format!("{path}/deliveries?state=delivered&limit=500");
    eventually("all are delivered", || async {
        let page = hooked.show(&waiting).await;
        page["items"]
            .as_array()
            .is_some_and(|items| items.len() == 200)
    })
    .await;
    let mut times = HashMap::new();
    for id in ids(&hooked.received().await) {
        *times.entry(id).or_insert(0) += 1;
    }
    assert_eq!(times.len(), 200);
    assert!(times.values().all(|times| *times == 1), "{times:?}");
}

#[actix_web::test]
async fn a_slow_endpoint_holds_nobody_else_up() {
    let post = Post::start();
    let setup = setup(&post)
        .with("WEBHOOKS_ALLOW_PRIVATE", "true")
        .with("WEBHOOKS_TIMEOUT_SECONDS", "30");
    let hooked = Hooked {
        app: setup.start().await,
        endpoint: MockServer::start().await,
        post,
    };
    let slow = ResponseTemplate::new(200).set_delay(Duration::from_secs(600));
    hooked.answer(slow).await;
    hooked.hook(&["lead.created"]).await;
    for _ in 0..100 {
        hooked.tell();
    }
    hooked.until_received(8).await;
    let quick = MockServer::start().await;
    let taken = Mock::given(any()).respond_with(ResponseTemplate::new(200));
    taken.mount(&quick).await;
    let (path, _) = hooked.hook_at(&quick.uri(), &["lead.created"]).await;
    hooked.tell();
    hooked
        .until("it is delivered", &path, is("delivered", 1))
        .await;
    assert_eq!(hooked.received().await.len(), 8, "its own bound");
    let metrics = hooked.app.anonymous().get("/metrics").send().await.text();
    assert!(metrics.contains("webhook_attempts_total{"), "{metrics}");
}

#[actix_web::test]
async fn an_endpoint_that_does_not_answer_or_is_not_there_is_tried_again() {
    let post = Post::start();
    let setup = setup(&post)
        .with("WEBHOOKS_ALLOW_PRIVATE", "true")
        .with("WEBHOOKS_TIMEOUT_SECONDS", "0.2");
    let hooked = Hooked {
        app: setup.start().await,
        endpoint: MockServer::start().await,
        post,
    };
    let late = ResponseTemplate::new(200).set_delay(Duration::from_secs(600));
    hooked.answer(late).await;
    let (silent, _) = hooked.hook(&["lead.created"]).await;
    let (absent, _) = hooked
        .hook_at("http://127.0.0.1:9/", &["lead.created"])
        .await;
    hooked.tell();
    let delivery = hooked.until("it failed", &silent, is("pending", 1)).await;
    assert_eq!(delivery["problem"], "it did not answer in time");
    let delivery = hooked.until("it failed", &absent, is("pending", 1)).await;
    assert_eq!(delivery["problem"], "it cannot be connected to");
    assert_eq!(delivery["status"], Value::Null);
}

#[actix_web::test]
async fn only_the_beginning_of_an_answer_is_kept() {
    let long = ResponseTemplate::new(200).set_body_string("a".repeat(1 << 20));
    let hooked = Hooked::answering(long).await;
    let (path, _) = hooked.hook(&["lead.created"]).await;
    hooked.tell();
    let delivery = hooked
        .until("it is delivered", &path, is("delivered", 1))
        .await;
    assert_eq!(delivery["answer"].as_str().map(str::len), Some(4096));
}

#[actix_web::test]
async fn old_deliveries_are_deleted_and_pages_go_on() {
    let hooked = Hooked::start().await;
    let (path, _) = hooked.hook(&["lead.created"]).await;
    for _ in 0..5 {
        hooked.tell();
    }
    let delivered = format!("{path}/deliveries?state=delivered");
    eventually("all are delivered", || async {
        let page = hooked.show(&delivered).await;
        page["items"]
            .as_array()
            .is_some_and(|items| items.len() == 5)
    })
    .await;
    let first = hooked.show(&format!("{path}/deliveries?limit=3")).await;
    let cursor = first["next_cursor"].as_str().expect("more follow");
    let next = format!("{path}/deliveries?limit=3&cursor={cursor}");
    let rest = hooked.show(&next).await;
    assert_eq!(rest["items"].as_array().map(Vec::len), Some(2));
    let owner = hooked.owner();
    for odd in ["limit=0", "cursor=x", "state=lost"] {
        let odd = owner.get(format!("{path}/deliveries?{odd}")).send().await;
        odd.assert_error(422, "invalid_input");
    }
    hooked.app.clock.advance(TimeDelta::days(31));
    eventually("they are deleted", || async {
        hooked.deliveries(&path).await.is_empty()
    })
    .await;
}

#[actix_web::test]
async fn what_waits_for_a_webhook_that_is_disabled_by_hand_ends() {
    let hooked = Hooked::answering(ResponseTemplate::new(500)).await;
    let (path, _) = hooked.hook(&["lead.created"]).await;
    hooked.tell();
    hooked.until("it failed", &path, is("pending", 1)).await;
    let off = hooked
        .owner()
        .patch(&path)
        .json(&json!({ "enabled": false }));
    off.send().await.assert_status(200);
    let delivery = hooked.deliveries(&path).await.swap_remove(0);
    assert_eq!(delivery["state"], "failed");
    assert_eq!(delivery["problem"], "the webhook was disabled");
    assert!(
        hooked.app.events().is_empty(),
        "who did it need not be told"
    );
}
