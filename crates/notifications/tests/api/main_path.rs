//! From snapshot to settlement.

use common::token::Purpose;
use testkit::eventually;

use crate::support::{World, person};

#[actix_web::test]
async fn a_campaign_is_sent_and_settled() {
    let world = World::start().await;
    let campaign = world.campaign().await;
    let people: Vec<_> = (0..50)
        .map(|n| person(&format!("p{n}@example.com")))
        .collect();
    assert_eq!(campaign.hand_over(&people).await, 50);
    campaign.order("complete").await;

    let settlement = campaign.until("everybody is sent to", |s| s.settled).await;

    assert_eq!((settlement.audience, settlement.accepted), (50, 50));
    assert_eq!(world.post.count(), 50);
    let mail = world.post.mail_to("p7@example.com").await;
    assert_eq!(mail.summary.subject.as_deref(), Some("Hello Grace"));
    let html = mail.html.expect("an HTML part");
    assert!(html.contains("Dear Grace"));
    let click = html
        .split('"')
        .find(|part| part.contains("/c/"))
        .expect("a tracked link");
    let token = world.token(click, "/c/", Purpose::Click);
    assert_eq!(token.url, "https://shop.example/?a=1&b=2");
    let hidden = html
        .split("<a href=\"")
        .find(|part| part.contains("display:none"))
        .and_then(|part| part.split('"').next())
        .expect("a link that nobody sees");
    let canary = world.token(hidden, "/c/", Purpose::Click);
    assert_eq!(
        (canary.link, canary.url.as_str()),
        (common::token::CANARY, "")
    );
    assert!(
        !mail.text.unwrap_or_default().contains(hidden),
        "in HTML only"
    );
    assert_eq!(token.lead_id, Some(people[7].lead_id));
    eventually("the campaign's event is told once", || async {
        let events = world.app.events();
        events
            .iter()
            .filter(|kind| *kind == "campaign.settled")
            .count()
            == 1
    })
    .await;
    assert!(world.app.events().contains(&"message.settled".to_owned()));
}
