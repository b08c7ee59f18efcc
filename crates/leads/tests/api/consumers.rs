use common::auth::Service;
use common::events::{
    AddressBounced, AddressComplained, Engagement, EngagementKind, EngagementRecorded,
    MessageDeclined,
};
use common::{LeadId, MessageId};
use serde_json::json;
use testkit::eventually;
use uuid::Uuid;

use crate::support::{fields, get, given_lead, id, start};

#[actix_web::test]
async fn an_address_that_bounced_is_suppressed() {
    let app = start().await;
    let bounce = |address: &str| AddressBounced {
        address: address.into(),
        lead_id: None,
        message_id: Some(MessageId::new()),
        reply: "550 5.1.1 no such user".into(),
    };
    let peer = app.peer(Service::Notifications);
    peer.tell(app.workspace, &bounce("not an address"));
    peer.tell(app.workspace, &bounce("Gone@example.com"));
    peer.tell(app.workspace, &bounce("gone@example.com"));
    eventually("the address is suppressed", || async {
        let page = get(&app, "/api/v1/suppressions").await;
        fields(&page, "reason") == ["hard_bounce"]
    })
    .await;
    assert_eq!(app.events(), ["suppression.added"]);
}

#[actix_web::test]
async fn an_address_that_complained_is_suppressed_for_that() {
    let app = start().await;
    let complaint = |address: &str| AddressComplained {
        address: address.into(),
        lead_id: None,
        campaign_id: None,
        message_id: None,
        at: app.clock.now(),
    };
    let peer = app.peer(Service::Notifications);
    peer.tell(app.workspace, &complaint("not an address"));
    peer.tell(app.workspace, &complaint("Angry@example.com"));
    peer.tell(app.workspace, &complaint("angry@example.com"));
    eventually("the address is suppressed", || async {
        let page = get(&app, "/api/v1/suppressions").await;
        fields(&page, "reason") == ["complaint"]
    })
    .await;
    assert_eq!(app.events(), ["suppression.added"]);
}

#[actix_web::test]
async fn who_writes_to_the_address_that_unsubscribes_is_unsubscribed() {
    let app = start().await;
    let lead = given_lead(&app, json!({ "email": "ada@example.com" })).await;
    let declined = |lead_id: LeadId| MessageDeclined {
        message_id: MessageId::new(),
        lead_id,
        campaign_id: None,
        at: app.clock.now(),
    };
    let told_before = app.events().len();
    let peer = app.peer(Service::Notifications);
    peer.tell(app.workspace, &declined(LeadId::new()));
    for _ in 0..2 {
        peer.tell(app.workspace, &declined(id(&lead).parse().expect("an id")));
    }
    eventually("the address is suppressed", || async {
        let page = get(&app, "/api/v1/suppressions").await;
        fields(&page, "reason") == ["unsubscribe"]
    })
    .await;
    let told = app.events().split_off(told_before);
    assert_eq!(told, ["suppression.added", "lead.unsubscribed"]);
}

#[actix_web::test]
async fn opens_and_clicks_are_counted_and_change_no_version() {
    let app = start().await;
    let lead = given_lead(&app, json!({ "email": "ada@example.com" })).await;
    let now = app.clock.now();
    let item = |lead_id: LeadId, kind, minutes| Engagement {
        lead_id,
        campaign_id: None,
        kind,
        at: now - chrono::Duration::minutes(minutes),
    };
    let ada: LeadId = id(&lead).parse().expect("an id");
    let recorded = |items| EngagementRecorded {
        batch_id: Uuid::now_v7(),
        items,
    };
    let peer = app.peer(Service::Analytics);
    let (open, click) = (EngagementKind::Open, EngagementKind::Click);
    peer.tell(
        app.workspace,
        &recorded(vec![
            item(ada, open, 5),
            item(ada, open, 3),
            item(LeadId::new(), open, 1),
        ]),
    );
    peer.tell(
        app.workspace,
        &recorded(vec![item(ada, click, 2), item(ada, open, 9)]),
    );

    let path = format!("/api/v1/leads/{}/timeline", id(&lead));
    eventually("both batches are in", || async {
        get(&app, &path).await["items"]
            .as_array()
            .is_some_and(|items| items.len() == 3)
    })
    .await;
    let timeline = get(&app, &path).await;
    let detail = |kind: &str| {
        let items = timeline["items"].as_array().expect("items");
        items
            .iter()
            .find(|item| item["kind"] == kind)
            .cloned()
            .expect(kind)
    };
    assert_eq!(detail("last_open")["detail"]["opens"], 3);
    assert_eq!(
        detail("last_open")["at"],
        json!(now - chrono::Duration::minutes(3))
    );
    assert_eq!(detail("last_click")["detail"]["clicks"], 1);
    assert_eq!(
        get(&app, &format!("/api/v1/leads/{}", id(&lead))).await,
        lead
    );
}
