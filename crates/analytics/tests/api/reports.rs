//! What is answered about what was recorded.

use chrono::{Duration, TimeZone, Utc};
use common::auth::{Role, Service};
use common::events::{LeadSubscribed, LeadUnsubscribed};
use common::{CampaignId, FormId, LeadId, ListId, WorkspaceId};
use serde_json::{Value, json};
use testkit::{Response, eventually};

use crate::support::{App, BROWSER, Mail, browse, engagement, engagement_in, figures, sent, visit};

async fn report(app: &App, path: &str) -> Response {
    app.as_role(Role::Analyst)
        .get(format!("/api/v1/analytics/{path}"))
        .send()
        .await
}

async fn answered(app: &App, path: &str) -> Value {
    report(app, path).await.assert_status(200).json()
}

#[tokio::test]
async fn a_campaigns_report_counts_hits_and_different_people() {
    let app = App::start().await;
    let campaign = CampaignId::new();
    let (ada, bob) = (Mail::of(&app, campaign), Mail::of(&app, campaign));
    for _ in 0..3 {
        browse(&app, &ada.pixel(&app)).await;
        browse(&app, &ada.link(&app, 0)).await;
    }
    browse(&app, &bob.link(&app, 0)).await;
    visit(&app, &bob.link(&app, 1), "curl/8.5.0").await;
    browse(&app, &Mail::of(&app, CampaignId::new()).pixel(&app)).await;

    let found = engagement(&app, campaign).await;
    assert_eq!(figures(found.opens), (3, 0, 1));
    // Bob's two links came at once.
    assert_eq!(figures(found.clicks), (3, 2, 1));
    let links: Vec<_> = found
        .links
        .iter()
        .map(|link| (link.url.as_str(), figures(link.hits)))
        .collect();
    assert_eq!(
        links,
        [
            ("https://shop.example/0", (3, 1, 1)),
            ("https://shop.example/1", (0, 1, 0))
        ]
    );
    assert_eq!(figures(found.unsubscribes), (0, 0, 0));
    assert_eq!(figures(found.complaints), (0, 0, 0));
}

#[tokio::test]
async fn another_workspaces_campaign_has_no_engagement() {
    let app = App::start().await;
    let mail = Mail::of(&app, CampaignId::new());
    browse(&app, &mail.link(&app, 0)).await;
    let found = engagement_in(&app, WorkspaceId::new(), mail.campaign).await;
    assert_eq!(found, Default::default());
    let theirs = app.as_role_in(WorkspaceId::new(), Role::Owner);
    let overview = theirs.get("/api/v1/analytics/overview").send().await;
    assert_eq!(overview.json::<Value>()["events"], 0);
    let links: Value = theirs.get("/api/v1/analytics/links").send().await.json();
    assert_eq!(links["items"], json!([]));
}

#[tokio::test]
async fn only_services_read_the_internal_report() {
    let app = App::start().await;
    let path = format!(
        "/internal/campaigns/{}/engagement?workspace_id={}",
        CampaignId::new(),
        app.workspace
    );
    app.anonymous()
        .get(&path)
        .send()
        .await
        .assert_error(401, "token_missing");
    app.as_role(Role::Owner)
        .get(&path)
        .send()
        .await
        .assert_error(403, "services_only");
    let service = app.as_service(Service::Campaigns);
    let without = path.split('?').next().expect("a path");
    service
        .get(without)
        .send()
        .await
        .assert_error(422, "invalid_input");
}

#[tokio::test]
async fn an_unsubscribe_is_counted_once_for_its_campaign() {
    let app = App::start().await;
    let mail = Mail::of(&app, CampaignId::new());
    let fact = |campaign_id| LeadUnsubscribed {
        lead_id: mail.lead,
        email: "ada@example.com".into(),
        list_ids: Vec::new(),
        campaign_id,
        message_id: Some(mail.message),
        at: app.clock.now(),
    };
    app.peer(Service::Leads)
        .tell(app.workspace, &fact(Some(mail.campaign)));
    app.peer(Service::Leads).tell(app.workspace, &fact(None));
    eventually("both unsubscribes are in", || async {
        answered(
            &app,
            "overview?from=2020-01-01T00:00:00Z&to=2100-01-01T00:00:00Z",
        )
        .await["unsubscribes"]
            == 2
    })
    .await;
    let found = engagement(&app, mail.campaign).await;
    assert_eq!(figures(found.unsubscribes), (1, 0, 1));
}

#[tokio::test]
async fn a_subscription_by_a_form_is_a_goal_of_a_person_who_was_a_visitor() {
    let app = App::start().await;
    let views = json!({ "events": [
        { "type": "view", "anonymous_id": "v-1" }, { "type": "view", "anonymous_id": "v-2" },
    ]});
    sent(&app, views).await;
    let fact = |lead_id, anonymous_id: Option<&str>| LeadSubscribed {
        lead_id,
        email: format!("{lead_id}@example.com"),
        list_ids: vec![ListId::new()],
        form_id: FormId::new(),
        form: "Footer".into(),
        anonymous_id: anonymous_id.map(str::to_owned),
        at: app.clock.now(),
    };
    let leads = app.peer(Service::Leads);
    leads.tell(app.workspace, &fact(LeadId::new(), Some("v-1")));
    leads.tell(app.workspace, &fact(LeadId::new(), None));
    let period = "from=2020-01-01T00:00:00Z&to=2100-01-01T00:00:00Z";
    eventually("both have reached the goal", || async {
        answered(&app, &format!("overview?{period}")).await["conversions"] == 2
    })
    .await;
    let exactly = answered(&app, &format!("overview?{period}&uniques=exact")).await;
    assert_eq!(
        exactly["visitors"], 3,
        "the first visitor is the first lead"
    );
    let goals = answered(&app, &format!("goals?{period}")).await;
    assert_eq!(goals["items"][0]["name"], "Subscribed", "{goals}");
}

#[tokio::test]
async fn the_overview_counts_people_and_names_machines() {
    let app = App::start().await;
    let lead = LeadId::new();
    let events = json!({ "events": [
        { "type": "view", "anonymous_id": "a" }, { "type": "view", "anonymous_id": "a" },
        { "type": "view", "lead_id": lead }, { "type": "goal", "lead_id": lead },
        { "type": "view", "anonymous_id": "old", "occurred_at": app.clock.now() - Duration::days(40) },
    ]});
    sent(&app, events).await;
    visit(
        &app,
        &Mail::of(&app, CampaignId::new()).pixel(&app),
        "curl/8.5.0",
    )
    .await;
    app.clock.advance(Duration::seconds(1));
    let overview = answered(&app, "overview").await;
    for (name, value) in [
        ("events", 5),
        ("views", 3),
        ("clicks", 0),
        ("opens", 0),
        ("visitors", 2),
        ("conversions", 1),
        ("machine", 1),
        ("unsubscribes", 0),
    ] {
        assert_eq!(overview[name], value, "{name} in {overview}");
    }
    assert_eq!(overview["revenue"], json!([]));
    let from = (app.clock.now() - Duration::days(60)).format("%Y-%m-%dT%H:%M:%SZ");
    assert_eq!(
        answered(&app, &format!("overview?from={from}")).await["views"],
        4
    );
}

#[tokio::test]
async fn a_campaign_narrows_every_report() {
    let app = App::start().await;
    let campaign = CampaignId::new();
    browse(&app, &Mail::of(&app, campaign).link(&app, 0)).await;
    browse(&app, &Mail::of(&app, CampaignId::new()).link(&app, 1)).await;
    app.clock.advance(Duration::seconds(1));
    let only = format!("campaign_id={campaign}");
    assert_eq!(
        answered(&app, &format!("overview?{only}")).await["clicks"],
        1
    );
    let links = answered(&app, &format!("links?{only}")).await;
    assert_eq!(
        links["items"],
        json!([{ "url": "https://shop.example/0", "human": 1, "machine": 0, "unique": 1 }])
    );
    let series = answered(&app, &format!("timeseries?{only}&interval=week")).await;
    let clicks: i64 = series["points"]
        .as_array()
        .expect("points")
        .iter()
        .map(|point| point["clicks"].as_i64().unwrap_or(0))
        .sum();
    assert_eq!(clicks, 1);
    assert_eq!(
        answered(&app, "links?limit=1").await["items"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
}

#[tokio::test]
async fn a_time_series_has_a_point_for_every_interval() {
    let app = App::start().await;
    let day = Utc
        .with_ymd_and_hms(2026, 3, 1, 0, 0, 0)
        .single()
        .expect("a time");
    let at = |hours: i64| json!({ "type": "view", "anonymous_id": "a", "occurred_at": day + Duration::hours(hours) });
    sent(&app, json!({ "events": [at(0), at(1), at(25), at(72)] })).await;
    let period = "from=2026-03-01T00:00:00Z&to=2026-03-04T00:00:00Z";
    let views = |series: Value| -> Vec<(String, i64)> {
        let points = series["points"].as_array().expect("points").clone();
        let view = |point: Value| {
            (
                point["at"].as_str().unwrap_or("").to_owned(),
                point["views"].as_i64().unwrap_or(-1),
            )
        };
        points.into_iter().map(view).collect()
    };
    let days = views(answered(&app, &format!("timeseries?{period}")).await);
    let expected = [
        ("2026-03-01T00:00:00Z", 2),
        ("2026-03-02T00:00:00Z", 1),
        ("2026-03-03T00:00:00Z", 0),
    ];
    assert_eq!(days, expected.map(|(at, n)| (at.to_owned(), n)));
    let hours = views(answered(&app, &format!("timeseries?{period}&interval=hour")).await);
    assert_eq!(
        (hours.len(), hours[1].1, hours[25].1, hours[26].1),
        (72, 1, 1, 0)
    );
    let weeks = views(answered(&app, &format!("timeseries?{period}&interval=week")).await);
    let expected = [("2026-02-23T00:00:00Z", 2), ("2026-03-02T00:00:00Z", 1)];
    assert_eq!(weeks, expected.map(|(at, n)| (at.to_owned(), n)));
}

#[tokio::test]
async fn a_question_without_an_answer_is_refused() {
    let app = App::start().await;
    for (path, pointer) in [
        (
            "overview?from=2026-02-01T00:00:00Z&to=2026-01-01T00:00:00Z",
            "query/from",
        ),
        ("overview?from=-0044-03-15T00:00:00Z", "query/from"),
        ("overview?from=yesterday", "query"),
        ("overview?color=red", "query"),
        ("overview?campaign_id=x", "query"),
        ("timeseries?interval=month", "query"),
        (
            "timeseries?interval=hour&from=2020-01-01T00:00:00Z",
            "query/interval",
        ),
        ("links?limit=0", "query/limit"),
        ("links?limit=501", "query/limit"),
    ] {
        let problem = report(&app, path).await.assert_error(422, "invalid_input");
        assert_eq!(problem.errors[0].pointer, pointer, "{path}");
    }
    let customer = app.as_role(Role::Customer);
    for path in ["overview", "timeseries", "links"] {
        let path = format!("/api/v1/analytics/{path}");
        customer
            .get(path)
            .send()
            .await
            .assert_error(403, "scope_missing");
    }
}

#[tokio::test]
async fn a_pages_visits_are_those_of_people() {
    let app = App::start().await;
    let visit = |page: &str, user_agent: &str| {
        let request = app.anonymous().post(format!("/visits/{page}"));
        request.header("user-agent", user_agent).send()
    };
    for expected in 1..=3 {
        let answer = visit("spring-sale", BROWSER).await.assert_status(200);
        assert_eq!(answer.json::<Value>(), json!({ "visits": expected }));
    }
    let machine = visit("spring-sale", "curl/8.5.0").await.json::<Value>();
    assert_eq!(machine, json!({ "visits": 3 }));
    let theirs = format!("spring-sale?workspace_id={}", app.workspace);
    assert_eq!(
        visit(&theirs, BROWSER).await.json::<Value>(),
        json!({ "visits": 1 })
    );
    for page in ["a%00b", "a%20b", &"x".repeat(101)] {
        visit(page, BROWSER)
            .await
            .assert_error(422, "invalid_input");
    }
}

#[tokio::test]
async fn visitors_are_counted_one_by_one_where_that_is_asked_for() {
    let app = App::start().await;
    let events: Vec<Value> = (0..3000)
        .map(|n| json!({ "type": "view", "anonymous_id": format!("v{}", n % 1500) }))
        .collect();
    for part in events.chunks(500) {
        assert_eq!(sent(&app, json!({ "events": part })).await, (500, 0, 0));
    }
    app.clock.advance(Duration::seconds(1));
    let analyst = app.as_role(Role::Analyst);
    let visitors = async |query: &str| -> i64 {
        let path = format!("/api/v1/analytics/overview{query}");
        let answer: Value = analyst.get(path).send().await.assert_status(200).json();
        answer["visitors"].as_i64().expect("a number")
    };
    assert_eq!(visitors("?uniques=exact").await, 1500);
    let about = visitors("?uniques=sketch").await;
    assert!((1350..=1650).contains(&about), "{about}");
    assert_eq!(visitors("").await, about);
    let answer = analyst.get("/api/v1/analytics/overview?uniques=all").send();
    answer.await.assert_error(422, "invalid_input");
}
