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

/// What a mail's links lead to, in the order of its HTML.
fn destinations(world: &World, html: &str) -> Vec<String> {
    let targets = html.split("href=\"").skip(1);
    let targets = targets.filter_map(|rest| rest.split('"').next());
    let opened = targets.map(|target| match target.contains("/c/") {
        true => world.token(target, "/c/", Purpose::Click).url,
        false => target.to_owned(),
    });
    opened.filter(|url| !url.is_empty()).collect()
}

const LINKS: &str = "<a href=\"https://a.example/p?x=1&amp;y=%C3%A9&amp;y=2#part|2\">1</a>\
    <a href=\"https://müller.example/ä b?q=ü#ö\">2</a>\
    <a href=\"https://b.example/{{ lead.first_name }}?n={{ lead.first_name|urlencode }}\">3</a>\
    <a href=\"HTTP://c.example\">4</a>\
    <a href=\"mailto:ada@example.com?subject=Hi%20there&amp;body=a\">5</a>\
    <a href=\"tel:+49123\">6</a><a href=\"#top\">7</a>";

#[actix_web::test]
async fn destinations_survive_byte_for_byte_and_get_what_is_to_be_added() {
    let world = World::start().await;
    let people = [person("ada@example.com")];
    let body = serde_json::json!({ "format": "html", "body": LINKS });
    let plain = world
        .campaign_with(|snapshot| snapshot["content"] = body.clone())
        .await;
    plain.hand_over(&people).await;
    let mail = world.post.mail_to("ada@example.com").await;
    assert_eq!(
        destinations(&world, &mail.html.expect("an HTML part")),
        [
            "https://a.example/p?x=1&y=%C3%A9&y=2#part|2",
            "https://müller.example/ä b?q=ü#ö",
            "https://b.example/Grace?n=Grace",
            "HTTP://c.example",
            "mailto:ada@example.com?subject=Hi%20there&amp;body=a",
            "tel:+49123",
            "#top",
        ]
    );
    let people = [person("bob@example.com")];
    let tagged = world
        .campaign_with(|snapshot| {
            snapshot["content"] = body;
            snapshot["utm"] = serde_json::json!({ "source": "news", "campaign": "spring sale" });
        })
        .await;
    tagged.hand_over(&people).await;
    let mail = world.post.mail_to("bob@example.com").await;
    let utm = "utm_source=news&utm_medium=email&utm_campaign=spring%20sale";
    assert_eq!(
        destinations(&world, &mail.html.expect("an HTML part")),
        [
            format!("https://a.example/p?x=1&y=%C3%A9&y=2&{utm}#part|2"),
            format!("https://müller.example/ä b?q=ü&{utm}#ö"),
            format!("https://b.example/Grace?n=Grace&{utm}"),
            format!("HTTP://c.example?{utm}"),
            "mailto:ada@example.com?subject=Hi%20there&amp;body=a".to_owned(),
            "tel:+49123".to_owned(),
            "#top".to_owned(),
        ]
    );
}
