use common::CampaignId;
use common::auth::Service;
use common::dto::dispatch::Settlement;
use common::dto::report::{CampaignEngagement, Hits};
use serde_json::{Value, json};
use testkit::eventually;
use wiremock::matchers::path;
use wiremock::{Mock, ResponseTemplate};

use crate::stage::{AUDIENCE, Stage, id};

async fn play_ledger(stage: &Stage, campaign: CampaignId, accepted: i64, pending: i64) {
    let ledger = Settlement {
        accepted,
        pending,
        audience: accepted + pending,
        ..Settlement::default()
    };
    Mock::given(path(format!("/internal/campaigns/{campaign}/settlement")))
        .respond_with(ResponseTemplate::new(200).set_body_json(ledger))
        .mount(&stage.app.peer(Service::Notifications).server)
        .await;
}

async fn part(stage: &Stage, campaign: CampaignId, part: &str) -> Value {
    let path = format!("/api/v1/campaigns/{campaign}/{part}");
    stage
        .marketer
        .get(path)
        .send()
        .await
        .assert_status(200)
        .json()
}

#[actix_web::test]
async fn the_settlement_sums_while_the_audience_is_still_being_handed_over() {
    let stage = Stage::new().await;
    // Notifications takes no page, so that nobody is handed over.
    Mock::given(wiremock::matchers::path_regex("/recipients$"))
        .respond_with(ResponseTemplate::new(503))
        .with_priority(1)
        .mount(&stage.app.peer(Service::Notifications).server)
        .await;
    let campaign = stage.started().await;
    play_ledger(&stage, campaign, 100, 20).await;
    let seen = part(&stage, campaign, "settlement").await;
    assert_eq!(seen["audience"], AUDIENCE);
    assert_eq!(seen["accepted"], 100);
    assert_eq!(seen["pending"], AUDIENCE - 100);
    assert_eq!(seen["settled"], false);
}

#[actix_web::test]
async fn once_all_are_handed_over_the_ledger_alone_counts() {
    let stage = Stage::new().await;
    let campaign = stage.started().await;
    play_ledger(&stage, campaign, 4_400, 0).await;
    eventually("it is settled", || async {
        part(&stage, campaign, "settlement").await["settled"] == true
    })
    .await;
    assert_eq!(
        part(&stage, campaign, "settlement").await["audience"],
        4_400
    );
}

#[actix_web::test]
async fn a_draft_has_an_empty_settlement() {
    let stage = Stage::new().await;
    let campaign = id(&stage.create(&json!({ "name": "x" })).await);
    assert_eq!(
        part(&stage, campaign, "settlement").await,
        json!(Settlement::default())
    );
}

#[actix_web::test]
async fn the_speed_is_what_notifications_says_and_nothing_before_the_start() {
    let stage = Stage::new().await;
    let draft = id(&stage.create(&json!({ "name": "x" })).await);
    let refused = json!({
        "status": 404, "code": "campaign_not_found", "title": "Not Found", "detail": "no such campaign"
    });
    let speed = |campaign| path(format!("/internal/campaigns/{campaign}/speed"));
    let server = &stage.app.peer(Service::Notifications).server;
    Mock::given(speed(draft))
        .respond_with(ResponseTemplate::new(404).set_body_json(refused))
        .mount(server)
        .await;
    let seen = part(&stage, draft, "speed").await;
    assert_eq!(seen["limited_by"][0]["kind"], "nothing");
    let campaign = stage.started().await;
    let limited = json!({
        "per_second": 12.5,
        "limited_by": [{ "kind": "domain_rate", "sender": "A", "domain": "b.example",
                         "detail": "slowly", "until": null }],
    });
    Mock::given(speed(campaign))
        .respond_with(ResponseTemplate::new(200).set_body_json(&limited))
        .mount(server)
        .await;
    assert_eq!(part(&stage, campaign, "speed").await, limited);
}

#[actix_web::test]
async fn a_report_joins_settlement_and_engagement() {
    let stage = Stage::new().await;
    let campaign = stage.started().await;
    play_ledger(&stage, campaign, 10, 0).await;
    let opens = Hits {
        human: 4,
        machine: 2,
        unique: 3,
    };
    let engagement = CampaignEngagement {
        opens,
        ..CampaignEngagement::default()
    };
    Mock::given(path(format!("/internal/campaigns/{campaign}/engagement")))
        .respond_with(ResponseTemplate::new(200).set_body_json(engagement))
        .mount(&stage.app.peer(Service::Analytics).server)
        .await;
    let report = part(&stage, campaign, "report").await;
    assert_eq!(report["accepted"], 10);
    assert_eq!(report["opens"], json!(opens));
    assert_eq!(report["missing"], json!([]));
}

#[actix_web::test]
async fn without_analytics_the_report_says_what_is_missing() {
    let stage = Stage::new().await;
    let campaign = stage.started().await;
    play_ledger(&stage, campaign, 10, 0).await;
    let report = part(&stage, campaign, "report").await;
    assert_eq!(report["accepted"], 10);
    assert_eq!(report["opens"], Value::Null);
    assert_eq!(report["missing"], json!(["analytics"]));
}
