use std::collections::BTreeSet;

use chrono::Duration;
use common::auth::Service;
use common::events::{CampaignHeld, CampaignReleased, CampaignSettled};
use serde_json::{Value, json};
use testkit::eventually;
use wiremock::matchers::{path, path_regex};
use wiremock::{Mock, ResponseTemplate};

use crate::stage::{AUDIENCE, Stage, id};

#[actix_web::test]
async fn everybody_is_handed_over_once_and_the_campaign_finishes_when_it_is_settled() {
    let stage = Stage::new().await;
    let campaign = stage.started().await;
    eventually("the dispatch is complete", || async {
        !stage.told("/complete").await.is_empty()
    })
    .await;
    let handed = stage.handed().await;
    assert_eq!(handed.len(), AUDIENCE);
    assert_eq!(handed.iter().collect::<BTreeSet<_>>().len(), AUDIENCE);
    assert_eq!(stage.get(campaign).await["status"], "running");

    let event = CampaignSettled {
        campaign_id: campaign,
    };
    stage
        .app
        .peer(Service::Notifications)
        .tell(stage.app.workspace, &event);
    eventually("it is finished", || async {
        stage.get(campaign).await["status"] == "finished"
    })
    .await;
    assert_eq!(
        stage.app.events(),
        ["campaign.started", "campaign.finished"]
    );
}

#[actix_web::test]
async fn a_campaign_that_no_mail_server_takes_runs_on_and_says_why() {
    let stage = Stage::new().await;
    let campaign_id = stage.started().await;
    let (notifications, workspace) = (stage.app.peer(Service::Notifications), stage.app.workspace);
    let held = CampaignHeld {
        campaign_id,
        reason: "535 who are you".into(),
        since: stage.app.clock.now(),
    };
    notifications.tell(workspace, &held);
    eventually("it says why it stands still", || async {
        let seen = stage.get(campaign_id).await;
        seen["held"]["reason"] == "535 who are you" && seen["status"] == "running"
    })
    .await;
    notifications.tell(workspace, &CampaignReleased { campaign_id });
    eventually("it goes on", || async {
        stage.get(campaign_id).await["held"].is_null()
    })
    .await;

    stage
        .act(campaign_id, "pause", &json!({}))
        .await
        .assert_status(200);
    notifications.tell(workspace, &held);
    notifications.tell(workspace, &CampaignSettled { campaign_id });
    eventually("the news was read", || async {
        stage.get(campaign_id).await["status"] == "finished"
    })
    .await;
    assert!(
        stage.get(campaign_id).await["held"].is_null(),
        "a pause is a pause"
    );
}

#[actix_web::test]
async fn the_mail_server_that_was_chosen_is_handed_over_with_the_content() {
    let stage = Stage::new().await;
    let (first, chosen) = (uuid::Uuid::now_v7(), uuid::Uuid::now_v7());
    let mut body = stage.ready();
    body["sender_id"] = json!(first);
    let made = stage.create(&body).await;
    assert_eq!(made["sender_id"], json!(first));
    let campaign = id(&made);
    let patch = |body: Value| {
        let path = format!("/api/v1/campaigns/{campaign}");
        stage.marketer.patch(path).json(&body).send()
    };
    let emptied: Value = patch(json!({ "sender_id": null })).await.json();
    assert!(emptied["sender_id"].is_null());
    let set: Value = patch(json!({ "sender_id": chosen })).await.json();
    assert_eq!(set["sender_id"], json!(chosen));
    let start = json!({ "accept_warnings": true });
    stage
        .act(campaign, "start", &start)
        .await
        .assert_status(200);
    let snapshot = path(format!("/internal/campaigns/{campaign}"));
    let server = &stage.app.peer(Service::Notifications).server;
    eventually("notifications knows", || async {
        let requests = server.received_requests().await.unwrap_or_default();
        let put = requests
            .iter()
            .find(|request| wiremock::Match::matches(&snapshot, request));
        put.and_then(|request| request.body_json::<Value>().ok())
            .is_some_and(|body| body["sender_id"] == json!(chosen))
    })
    .await;
}

#[actix_web::test]
async fn what_is_added_to_links_is_handed_over_with_the_content() {
    let stage = Stage::new().await;
    let mut body = stage.ready();
    for bad in [
        json!({ "source": "" }),
        json!({ "source": "news", "campaign": "a\nb" }),
        json!({ "source": "x".repeat(101) }),
    ] {
        body["utm"] = bad;
        let answer = stage.marketer.post("/api/v1/campaigns").json(&body).send();
        let problem = answer.await.assert_error(422, "invalid_input");
        assert!(problem.errors[0].pointer.starts_with("/utm"), "{problem:?}");
    }
    body["utm"] = json!({ "source": "news" });
    let made = stage.create(&body).await;
    assert_eq!(made["utm"], json!({ "source": "news", "medium": "email" }));
    let campaign = id(&made);
    let patch = |body: Value| {
        let path = format!("/api/v1/campaigns/{campaign}");
        stage.marketer.patch(path).json(&body).send()
    };
    let emptied: Value = patch(json!({ "utm": null })).await.json();
    assert!(emptied["utm"].is_null());
    patch(json!({ "utm": {} }))
        .await
        .assert_error(422, "invalid_input");
    let utm = json!({ "source": "news", "medium": "mail", "campaign": "spring" });
    let set: Value = patch(json!({ "utm": utm })).await.json();
    assert_eq!(set["utm"], utm);
    let start = json!({ "accept_warnings": true });
    stage
        .act(campaign, "start", &start)
        .await
        .assert_status(200);
    let snapshot = path(format!("/internal/campaigns/{campaign}"));
    let server = &stage.app.peer(Service::Notifications).server;
    eventually("notifications knows", || async {
        let requests = server.received_requests().await.unwrap_or_default();
        let put = requests
            .iter()
            .find(|request| wiremock::Match::matches(&snapshot, request));
        put.and_then(|request| request.body_json::<Value>().ok())
            .is_some_and(|body| body["utm"] == utm)
    })
    .await;
}

#[actix_web::test]
async fn the_cursor_waits_for_a_page_that_is_not_acknowledged() {
    let stage = Stage::new().await;
    let server = &stage.app.peer(Service::Notifications).server;
    Mock::given(path_regex("/recipients$"))
        .respond_with(ResponseTemplate::new(503))
        .up_to_n_times(3)
        .with_priority(1)
        .mount(server)
        .await;
    stage.started().await;
    eventually("the first page was refused", || async {
        !stage.handed().await.is_empty()
    })
    .await;
    eventually("the dispatch is complete", || async {
        stage.app.clock.advance(Duration::seconds(10));
        !stage.told("/complete").await.is_empty()
    })
    .await;
    let handed: BTreeSet<_> = stage.handed().await.into_iter().collect();
    assert_eq!(handed.len(), AUDIENCE, "the refused page came again");
}

#[actix_web::test]
async fn warnings_block_until_they_are_accepted() {
    let stage = Stage::new().await;
    let campaign = id(&stage.create(&stage.ready()).await);
    let problem = stage
        .act(campaign, "start", &json!({}))
        .await
        .assert_error(409, "preflight_warnings");
    assert_eq!(problem.errors[0].pointer, "preflight/domain");
    assert!(stage.app.events().is_empty());
    stage
        .act(campaign, "start", &json!({ "accept_warnings": true }))
        .await
        .assert_status(200);
}

#[actix_web::test]
async fn an_unauthenticated_domain_is_an_error_where_it_is_required() {
    let setup = testkit::Setup::default().with("REQUIRE_AUTHENTICATED_DOMAIN", "true");
    let stage = Stage::with(setup).await;
    let campaign = id(&stage.create(&stage.ready()).await);
    let start = json!({ "accept_warnings": true });
    stage
        .act(campaign, "start", &start)
        .await
        .assert_error(422, "preflight_failed");
}

#[actix_web::test]
async fn a_variable_without_a_value_for_somebody_blocks_the_start() {
    let stage = Stage::new().await;
    let gap = json!([{ "variable": "first_name", "missing": 7, "sample": null }]);
    Mock::given(path("/internal/audience/gaps"))
        .respond_with(ResponseTemplate::new(200).set_body_json(gap))
        .mount(&stage.app.peer(Service::Leads).server)
        .await;
    let campaign = id(&stage.create(&stage.ready()).await);
    let start = json!({ "accept_warnings": true });
    let problem = stage
        .act(campaign, "start", &start)
        .await
        .assert_error(422, "preflight_failed");
    assert!(
        problem
            .detail
            .contains("lead.first_name is empty for 7 recipients"),
        "{problem:?}"
    );
    assert_eq!(stage.get(campaign).await["status"], "draft");
    let seen: Value = stage
        .act(campaign, "preflight", &json!({}))
        .await
        .assert_status(200)
        .json();
    assert_eq!(seen["ok"], false);
}

#[actix_web::test]
async fn without_audience_or_sender_nothing_starts() {
    let stage = Stage::new().await;
    let mut body = stage.ready();
    body["audience"] = json!({});
    body["from"] = Value::Null;
    let campaign = id(&stage.create(&body).await);
    let start = json!({ "accept_warnings": true });
    let problem = stage
        .act(campaign, "start", &start)
        .await
        .assert_error(422, "preflight_failed");
    let named: Vec<_> = problem
        .errors
        .iter()
        .map(|error| error.pointer.as_str())
        .collect();
    assert_eq!(named, ["preflight/sender", "preflight/audience"]);
}

#[actix_web::test]
async fn an_audience_that_leads_does_not_know_is_named() {
    let stage = Stage::new().await;
    let problem = json!({
        "status": 404, "code": "list_not_found", "title": "x", "detail": "list 7 does not exist"
    });
    Mock::given(path("/internal/audience/count"))
        .respond_with(ResponseTemplate::new(404).set_body_json(problem))
        .with_priority(1)
        .mount(&stage.app.peer(Service::Leads).server)
        .await;
    let campaign = id(&stage.create(&stage.ready()).await);
    let start = json!({ "accept_warnings": true });
    let refused = stage
        .act(campaign, "start", &start)
        .await
        .assert_error(422, "preflight_failed");
    assert_eq!(refused.errors[0].pointer, "preflight/audience");
    assert_eq!(refused.errors[0].detail, "list 7 does not exist");
}

#[actix_web::test]
async fn a_start_that_is_repeated_with_its_key_starts_once() {
    let stage = Stage::new().await;
    let campaign = id(&stage.create(&stage.ready()).await);
    let start = || {
        stage
            .marketer
            .post(format!("/api/v1/campaigns/{campaign}/start"))
            .header("idempotency-key", "once")
            .json(&json!({ "accept_warnings": true }))
    };
    let first: Value = start().send().await.assert_status(200).json();
    let again: Value = start().send().await.assert_status(200).json();
    assert_eq!(first, again);
    assert_eq!(stage.app.events(), ["campaign.started"]);
    let plain = json!({ "accept_warnings": true });
    stage
        .act(campaign, "start", &plain)
        .await
        .assert_error(409, "wrong_status");
}

#[actix_web::test]
async fn pause_resume_and_cancel_are_passed_on() {
    let stage = Stage::new().await;
    let campaign = stage.started().await;
    let none = json!({});
    stage
        .act(campaign, "resume", &none)
        .await
        .assert_error(409, "wrong_status");
    stage.act(campaign, "pause", &none).await.assert_status(200);
    eventually("notifications pauses", || async {
        !stage.told("/pause").await.is_empty()
    })
    .await;
    stage
        .act(campaign, "resume", &none)
        .await
        .assert_status(200);
    stage
        .act(campaign, "cancel", &none)
        .await
        .assert_status(200);
    eventually("notifications cancels", || async {
        !stage.told("/cancel").await.is_empty()
    })
    .await;
    stage
        .act(campaign, "cancel", &none)
        .await
        .assert_error(409, "wrong_status");
}

#[actix_web::test]
async fn content_that_notifications_refuses_pauses_the_campaign_and_says_why() {
    let stage = Stage::new().await;
    let problem = json!({
        "status": 422, "code": "invalid_template", "title": "x", "detail": "line 3 is wrong"
    });
    Mock::given(wiremock::matchers::method("PUT"))
        .respond_with(ResponseTemplate::new(422).set_body_json(problem))
        .mount(&stage.app.peer(Service::Notifications).server)
        .await;
    let campaign = stage.started().await;
    eventually("it is paused", || async {
        stage.get(campaign).await["status"] == "paused"
    })
    .await;
    let reason = stage.get(campaign).await["paused_reason"]
        .as_str()
        .expect("a reason")
        .to_owned();
    assert!(reason.contains("line 3 is wrong"), "{reason}");
}

#[actix_web::test]
async fn a_scheduled_campaign_starts_when_its_time_has_come() {
    let stage = Stage::new().await;
    let mut body = stage.ready();
    let at = stage.app.clock.now() + Duration::hours(2);
    body["schedule"] = json!({ "at": at.to_rfc3339() });
    let campaign = id(&stage.create(&body).await);
    let planned: Value = stage
        .act(campaign, "start", &json!({ "accept_warnings": true }))
        .await
        .assert_status(200)
        .json();
    assert_eq!(planned["status"], "scheduled");
    stage.app.clock.advance(Duration::hours(1));
    assert!(stage.handed().await.is_empty());
    stage.app.clock.advance(Duration::minutes(61));
    eventually("it runs", || async {
        stage.get(campaign).await["status"] == "running"
    })
    .await;
    eventually("all are handed over", || async {
        stage.handed().await.len() == AUDIENCE
    })
    .await;
}

#[actix_web::test]
async fn a_scheduled_campaign_whose_audience_is_gone_is_held_back_visibly() {
    let stage = Stage::new().await;
    let mut body = stage.ready();
    let at = stage.app.clock.now() + Duration::hours(2);
    body["schedule"] = json!({ "at": at.to_rfc3339() });
    let campaign = id(&stage.create(&body).await);
    stage
        .act(campaign, "start", &json!({ "accept_warnings": true }))
        .await
        .assert_status(200);
    Mock::given(path("/internal/audience/count"))
        .respond_with(
            ResponseTemplate::new(200).set_body_json(json!({ "count": 0, "sendable": 0 })),
        )
        .with_priority(1)
        .mount(&stage.app.peer(Service::Leads).server)
        .await;
    stage.app.clock.advance(Duration::hours(3));
    eventually("it is held back", || async {
        stage.get(campaign).await["status"] == "paused"
    })
    .await;
    assert_eq!(
        stage.get(campaign).await["paused_reason"],
        "nobody is in the audience"
    );
}

#[actix_web::test]
async fn a_schedule_in_the_recipients_zone_holds_each_mail_until_it_is_time_there() {
    let stage = Stage::new().await;
    let mut body = stage.ready();
    // Nine in the morning in Tokyo is midnight UTC. Dispatch begins 14 hours before nine UTC: of the
    // day after tomorrow that is never yet, whatever the hour is now.
    let day = (stage.app.clock.now() + Duration::days(2)).date_naive();
    body["schedule"] = json!({ "at": format!("{day}T09:00:00"), "timezone": "recipient" });
    let campaign = id(&stage.create(&body).await);
    stage
        .act(campaign, "start", &json!({ "accept_warnings": true }))
        .await
        .assert_status(200);
    stage.app.clock.advance(Duration::days(2));
    eventually("all are handed over", || async {
        stage.handed().await.len() == AUDIENCE
    })
    .await;
    let first = &stage.told("/recipients").await[0]["recipients"][0];
    assert_eq!(first["not_before"], format!("{day}T00:00:00Z"));
}
