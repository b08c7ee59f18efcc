//! What is left of a lead who was deleted.

use analytics::jobs::maintain::{Past, drop_old};
use analytics::jobs::{erase, roll_up};
use chrono::Duration;
use common::auth::{Role, Service};
use common::events::LeadDeleted;
use common::{CampaignId, LeadId};
use serde_json::{Value, json};
use testkit::eventually;

use crate::support::{App, Mail, browse, count, engagement, figures, sent};

async fn overview(app: &App) -> Value {
    let analyst = app.as_role(Role::Analyst);
    let answer = analyst.get("/api/v1/analytics/overview").send().await;
    answer.assert_status(200).json()
}

#[tokio::test]
async fn events_of_a_deleted_lead_say_nothing_of_it_and_count_as_before() {
    let app = App::start().await;
    let campaign = CampaignId::new();
    let (ada, bob) = (Mail::of(&app, campaign), Mail::of(&app, campaign));
    // On a day whose events are in the default partition, on another day, and today.
    app.clock.advance(Duration::days(-20));
    let mut early = json!({ "type": "view", "anonymous_id": "device", "url": "https://shop.example/?email=ada@example.com#me" });
    early["properties"] = json!({ "plan": "gold" });
    sent(&app, early).await;
    app.clock.advance(Duration::days(20));
    sent(
        &app,
        json!({ "type": "identify", "anonymous_id": "device", "lead_id": ada.lead }),
    )
    .await;
    for mail in [&ada, &bob] {
        browse(&app, &mail.pixel(&app)).await;
        browse(&app, &mail.link(&app, 0)).await;
    }
    let order = json!({ "type": "track", "name": "Order", "user_id": "bob", "properties": { "amount": 5, "currency": "EUR" } });
    sent(&app, order).await;
    app.clock.advance(Duration::seconds(1));
    let mut conn = app.connect();
    roll_up::all(&mut conn, app.clock.now()).expect("it counts");
    let (before, clicks) = (
        overview(&app).await,
        engagement(&app, campaign).await.clicks,
    );
    assert_eq!(figures(clicks), (2, 0, 2));
    let rows = count(&app, "events");

    let deleted = LeadDeleted {
        lead_id: ada.lead,
        email: "ada@example.com".into(),
    };
    app.peer(Service::Leads).tell(app.workspace, &deleted);
    let of = |lead: LeadId| format!("events WHERE lead_id = '{lead}'");
    eventually("nothing names the lead", async || {
        count(&app, &of(ada.lead)) == 0 && count(&app, "erasures") == 0
    })
    .await;

    assert_eq!(count(&app, "events"), rows, "all of them are still there");
    assert_eq!(count(&app, &of(bob.lead)), 2, "others are not touched");
    let said =
        "events WHERE type IN ('open', 'click') AND message_id IS NULL AND user_agent IS NULL
        AND ip IS NULL AND properties IS NULL AND lead_id IS NOT NULL";
    assert_eq!(count(&app, said), 2);
    let device = "events WHERE type = 'view' AND anonymous_id IS NULL AND properties IS NULL
        AND lead_id IS NULL AND url = 'https://shop.example/'";
    assert_eq!(count(&app, device), 1, "what its device did, too");
    assert_eq!(count(&app, "events WHERE anonymous_id = 'device'"), 0);
    assert_eq!(
        count(&app, "events WHERE user_id = 'bob' AND amount = 5"),
        1
    );
    for _ in 0..2 {
        assert_eq!(overview(&app).await, before);
        let clicks = engagement(&app, campaign).await.clicks;
        assert_eq!(figures(clicks), (2, 0, 2));
        roll_up::all(&mut conn, app.clock.now()).expect("it counts");
    }
    // A person stays one person: mail and device have the same stand-in.
    let people = "(SELECT DISTINCT visitor FROM events WHERE user_id IS NULL) p";
    assert_eq!(count(&app, people), 2);
    erase::all(&mut conn).expect("nothing is left to do");
}

#[tokio::test]
async fn days_that_were_set_aside_say_nothing_of_a_deleted_lead_either() {
    let app = App::start().await;
    let ada = LeadId::new();
    let event = json!({ "type": "view", "lead_id": ada, "properties": { "plan": "gold" } });
    sent(&app, event).await;
    sent(&app, json!({ "type": "view", "user_id": "bob" })).await;
    app.clock.advance(Duration::days(3));
    let mut conn = app.connect();
    drop_old(&mut conn, app.clock.now(), 2, Past::Detach).expect("days are set aside");
    let past = format!(
        "past_events_{}",
        (app.clock.now() - Duration::days(3)).format("%Y%m%d")
    );
    let known = format!("{past} WHERE lead_id = '{ada}' OR properties IS NOT NULL");
    assert_eq!(count(&app, &known), 1);

    let deleted = LeadDeleted {
        lead_id: ada,
        email: "ada@example.com".into(),
    };
    app.peer(Service::Leads).tell(app.workspace, &deleted);
    eventually("nothing names the lead", async || count(&app, &known) == 0).await;
    assert_eq!(count(&app, &past), 2, "all of them are still there");
    let bob = format!("{past} WHERE user_id = 'bob'");
    assert_eq!(count(&app, &bob), 1, "others are not touched");
}
