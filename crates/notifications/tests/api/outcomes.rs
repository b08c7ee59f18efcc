//! How messages end, and what follows from it.

use chrono::Duration;
use common::auth::{Role, Service as Name};
use common::dto::audience::Standing;
use common::events::{LeadDeleted, LeadUnsubscribed, SuppressionAdded};
use serde_json::json;
use testkit::eventually;

use crate::support::{World, person};

#[actix_web::test]
async fn a_page_handed_over_twice_changes_nothing() {
    let world = World::start().await;
    let campaign = world.campaign().await;
    let people = [person("a@example.com"), person("b@example.com")];

    assert_eq!(campaign.hand_over(&people).await, 2);
    assert_eq!(campaign.hand_over(&people).await, 0);
    campaign.order("complete").await;

    let settlement = campaign.until("settled", |s| s.settled).await;
    assert_eq!(settlement.audience, 2);
    assert_eq!(
        campaign.hand_over(&people).await,
        0,
        "also when they are settled"
    );
    assert_eq!(world.post.count(), 2);
}

#[actix_web::test]
async fn an_address_that_does_not_exist_is_rejected_and_told() {
    let world = World::start().await;
    let campaign = world.campaign().await;
    campaign.hand_over(&[person("hard+1@example.com")]).await;
    campaign.order("complete").await;

    let settlement = campaign.until("settled", |s| s.settled).await;

    assert_eq!((settlement.rejected, settlement.accepted), (1, 0));
    let messages = campaign.messages("rejected").await;
    let reply = messages[0]["smtp_reply"]
        .as_str()
        .expect("the reply is kept");
    assert!(reply.starts_with("550 "), "{reply}");
    assert_eq!(messages[0]["attempts"], 1);
    assert!(world.app.events().contains(&"address.bounced".to_owned()));
}

#[actix_web::test]
async fn a_soft_refusal_is_tried_again_when_its_pause_is_over() {
    let world = World::start().await;
    let campaign = world.campaign().await;
    campaign.hand_over(&[person("soft+1@example.com")]).await;
    campaign.order("complete").await;

    for (attempts, pause_s) in [(1, 30), (2, 120)] {
        let tried = || async { campaign.messages("pending").await[0]["attempts"] == attempts };
        eventually("an attempt is counted", tried).await;
        let message = &campaign.messages("pending").await[0];
        assert!(
            message["smtp_reply"]
                .as_str()
                .is_some_and(|reply| reply.starts_with('4')),
            "{message}"
        );
        assert!(!campaign.settlement().await.settled);
        world.app.clock.advance(Duration::seconds(pause_s));
    }

    campaign
        .until("it is accepted in the end", |s| {
            s.accepted == 1 && s.settled
        })
        .await;
    assert_eq!(world.post.count(), 1);
}

#[actix_web::test]
async fn a_full_mailbox_is_no_bounce() {
    let world = World::start().await;
    let campaign = world.campaign().await;
    campaign.hand_over(&[person("full+1@example.com")]).await;
    eventually("it was tried", || async {
        let pending = campaign.messages("pending").await;
        let rejected = campaign.messages("rejected").await;
        !rejected.is_empty()
            || pending
                .first()
                .is_some_and(|message| message["attempts"] == 1)
    })
    .await;
    assert!(!world.app.events().contains(&"address.bounced".to_owned()));
}

#[actix_web::test]
async fn people_who_must_not_be_mailed_are_counted_and_not_mailed() {
    let world = World::start().await;
    let campaign = world.campaign().await;
    let mut people = [
        person("a@example.com"),
        person("b@example.com"),
        person("c@example.com"),
        person("no address"),
    ];
    people[1].standing = Standing::Suppressed;
    people[2].standing = Standing::Unsubscribed;
    assert_eq!(campaign.hand_over(&people).await, 4);
    campaign.order("complete").await;

    let settlement = campaign.until("settled", |s| s.settled).await;

    assert_eq!(
        (
            settlement.accepted,
            settlement.suppressed,
            settlement.skipped
        ),
        (1, 2, 1)
    );
    assert_eq!(world.post.count(), 1);
    let skipped = campaign.messages("skipped").await;
    assert_eq!(skipped[0]["reason"], "the address must contain an @");
}

#[actix_web::test]
async fn a_person_the_template_lacks_data_for_is_skipped_with_the_reason() {
    let world = World::start().await;
    let campaign = world.campaign().await;
    let mut nameless = person("a@example.com");
    nameless.lead = json!({ "email": "a@example.com" }).into();
    campaign
        .hand_over(&[nameless, person("b@example.com")])
        .await;
    campaign.order("complete").await;

    let settlement = campaign.until("settled", |s| s.settled).await;

    assert_eq!((settlement.accepted, settlement.skipped), (1, 1));
    let skipped = campaign.messages("skipped").await;
    assert!(
        skipped[0]["reason"]
            .as_str()
            .is_some_and(|why| why.contains("lead.first_name")),
        "{skipped:?}"
    );
}

#[actix_web::test]
async fn who_leaves_between_hand_over_and_sending_gets_nothing() {
    let world = World::start().await;
    let campaign = world.campaign().await;
    campaign.order("pause").await;
    let people = [
        person("stays@example.com"),
        person("Leaves@example.com"),
        person("blocked@example.com"),
        person("gone@example.com"),
    ];
    campaign.hand_over(&people).await;
    campaign.order("complete").await;
    let leads = world.app.peer(Name::Leads);
    let left = LeadUnsubscribed {
        lead_id: people[1].lead_id,
        email: people[1].email.clone(),
        list_ids: Vec::new(),
        campaign_id: None,
        message_id: None,
        at: world.app.clock.now() + Duration::seconds(1),
    };
    leads.tell(world.app.workspace, &left);
    let blocked = SuppressionAdded {
        address: "Blocked@Example.com".into(),
        reason: "complaint".into(),
    };
    leads.tell(world.app.workspace, &blocked);
    let gone = LeadDeleted {
        lead_id: people[3].lead_id,
        email: people[3].email.clone(),
    };
    leads.tell(world.app.workspace, &gone);
    campaign
        .until("the deleted one is skipped at once", |s| s.skipped == 1)
        .await;

    campaign.order("resume").await;
    let settlement = campaign.until("settled", |s| s.settled).await;

    assert_eq!(
        (
            settlement.accepted,
            settlement.suppressed,
            settlement.skipped
        ),
        (1, 2, 1)
    );
    assert_eq!(world.post.count(), 1);
    let reasons: Vec<_> = campaign
        .messages("suppressed")
        .await
        .iter()
        .map(|m| m["reason"].clone())
        .collect();
    assert!(
        reasons.contains(&json!("unsubscribed")) && reasons.contains(&json!("complaint")),
        "{reasons:?}"
    );
    let erased = &campaign.messages("skipped").await[0];
    assert_eq!(erased["to"], "erased");
}

#[actix_web::test]
async fn an_unsubscription_before_the_campaign_does_not_count_against_a_new_consent() {
    let world = World::start().await;
    let old = world.campaign().await;
    let someone = person("back@example.com");
    let left = LeadUnsubscribed {
        lead_id: someone.lead_id,
        email: someone.email.clone(),
        list_ids: Vec::new(),
        campaign_id: Some(old.id),
        message_id: None,
        at: world.app.clock.now(),
    };
    world.app.peer(Name::Leads).tell(world.app.workspace, &left);
    old.hand_over(std::slice::from_ref(&someone)).await;
    world.app.clock.advance(Duration::seconds(10));
    let new = world.campaign().await;
    new.hand_over(&[someone]).await;
    new.until("the new campaign reaches them", |s| s.accepted == 1)
        .await;
    assert_eq!(
        world.post.count() - u64::try_from(old.settlement().await.accepted).expect("small"),
        1
    );
}

#[actix_web::test]
async fn a_message_waits_for_its_own_time() {
    let world = World::start().await;
    let campaign = world.campaign().await;
    let later = world.app.clock.now() + Duration::hours(3);
    let page = json!([
        { "recipient": person("now@example.com") },
        { "recipient": person("later@example.com"), "not_before": later },
    ]);
    campaign.hand_over_json(page).await;
    campaign.order("complete").await;
    campaign
        .until("the first is sent", |s| s.accepted == 1)
        .await;
    assert_eq!(campaign.settlement().await.pending, 1);

    world.app.clock.advance(Duration::hours(3));
    campaign
        .until("the second is sent", |s| s.settled && s.accepted == 2)
        .await;
}

#[actix_web::test]
async fn a_paused_campaign_sends_nothing_and_a_resumed_one_goes_on() {
    let world = World::start().await;
    let campaign = world.campaign().await;
    campaign.order("pause").await;
    campaign.hand_over(&[person("a@example.com")]).await;
    campaign.order("complete").await;
    let other = world.campaign().await;
    other.hand_over(&[person("b@example.com")]).await;
    other
        .until("another campaign is sent meanwhile", |s| s.accepted == 1)
        .await;
    assert_eq!(campaign.settlement().await.pending, 1);
    assert_eq!(world.post.count(), 1);

    campaign.order("resume").await;
    campaign.until("it is sent", |s| s.settled).await;
    assert_eq!(world.post.count(), 2);
}

#[actix_web::test]
async fn a_cancelled_campaign_skips_what_waits_and_stays_cancelled() {
    let world = World::start().await;
    let campaign = world.campaign().await;
    campaign.order("pause").await;
    campaign
        .hand_over(&[person("a@example.com"), person("b@example.com")])
        .await;
    campaign.order("complete").await;
    campaign.order("cancel").await;

    let settlement = campaign.until("all are skipped", |s| s.settled).await;

    assert_eq!((settlement.skipped, settlement.pending), (2, 0));
    assert_eq!(campaign.messages("skipped").await[0]["reason"], "cancelled");
    assert_eq!(world.post.count(), 0);
    let resume = world
        .campaigns()
        .post(format!("/internal/campaigns/{}/resume", campaign.id))
        .json(&json!({ "workspace_id": world.app.workspace }));
    resume.send().await.assert_error(409, "campaign_cancelled");
    let retry = json!({ "campaign_id": campaign.id, "outcome": "rejected" });
    let marketer = world.app.as_role(Role::Marketer);
    marketer
        .post("/api/v1/messages/retry")
        .json(&retry)
        .send()
        .await
        .assert_error(409, "campaign_cancelled");
}
