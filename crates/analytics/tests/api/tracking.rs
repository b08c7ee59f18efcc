//! Links and pixels of mails, and whose hits they are.

use std::collections::BTreeSet;

use analytics::domain::event::Event;
use analytics::jobs::tell;
use analytics::schema::events;
use analytics::store::bursts;
use chrono::Duration;
use common::events::{EngagementKind, EngagementRecorded};
use common::token::{Keyring, Purpose};
use common::values::Secret;
use common::{CampaignId, LeadId, MessageId, WorkspaceId};
use diesel::connection::SimpleConnection;
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Jsonb};
use serde_json::json;
use testkit::Setup;

use crate::support::{
    App, BROWSER, Mail, browse, count, engagement, figures, verdicts, visit, write_key,
};

#[tokio::test]
async fn a_click_is_recorded_and_sent_on() {
    let app = App::start().await;
    let mail = Mail::of(&app, CampaignId::new());
    let answer = browse(&app, &mail.link(&app, 3)).await.assert_status(302);
    assert_eq!(answer.header("location"), Some("https://shop.example/3"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
    let row = format!(
        "events WHERE type = 'click' AND workspace_id = '{}' AND campaign_id = '{}' AND lead_id = '{}'
         AND message_id = '{}' AND link = 3 AND url = 'https://shop.example/3' AND verdict = 'human'
         AND user_agent = '{BROWSER}' AND length(ip) = 24
         AND properties = '{{\"head\": false, \"prefetch\": false, \"since_issue_ms\": 60000}}'",
        mail.workspace, mail.campaign, mail.lead, mail.message
    );
    assert_eq!(count(&app, &row), 1);
}

#[tokio::test]
async fn destinations_survive_byte_for_byte() {
    let app = App::start().await;
    let mail = Mail::of(&app, CampaignId::new());
    for url in [
        "https://a.example/p?x=1&y=%C3%A9&y=2#part|2",
        "http://a.example",
        "mailto:ada@example.com?subject=Hi%20there",
    ] {
        let path = format!("/c/{}", mail.token(&app, Purpose::Click, 0, url));
        let answer = browse(&app, &path).await.assert_status(302);
        assert_eq!(answer.header("location"), Some(url));
    }
}

#[tokio::test]
async fn a_bad_token_leads_nowhere_and_records_nothing() {
    let app = App::start().await;
    let mail = Mail::of(&app, CampaignId::new());
    let good = mail.token(&app, Purpose::Click, 0, "https://shop.example/");
    let foreign = Keyring::new(Secret::new("another installation's"));
    let opened = app.links().open(Purpose::Click, &good).expect("it is ours");
    let old = Mail {
        made_at: app.clock.now() - Duration::days(731),
        ..mail
    };
    let mut bent = good.clone();
    bent.replace_range(40..41, if &good[40..41] == "A" { "B" } else { "A" });
    for (why, token) in [
        ("nonsense", "nonsense".to_owned()),
        ("cut off", good[..good.len() - 4].to_owned()),
        ("bent", bent),
        ("foreign", foreign.seal(Purpose::Click, &opened)),
        (
            "an open's",
            mail.token(&app, Purpose::Open, 0, "https://shop.example/"),
        ),
        (
            "an unsubscribe's",
            mail.token(&app, Purpose::Unsubscribe, 0, "https://shop.example/"),
        ),
        (
            "too old",
            old.token(&app, Purpose::Click, 0, "https://shop.example/"),
        ),
        (
            "a script",
            mail.token(&app, Purpose::Click, 0, "javascript:alert(1)"),
        ),
        (
            "two headers",
            mail.token(&app, Purpose::Click, 0, "https://a.example/\r\nx-a: b"),
        ),
    ] {
        let answer = browse(&app, &format!("/c/{token}")).await;
        assert_eq!(
            (answer.status, answer.header("location")),
            (404, None),
            "{why}"
        );
        assert!(answer.text().contains("not valid"), "{why}");
    }
    assert_eq!(count(&app, "events"), 0);
}

#[tokio::test]
async fn a_pixel_is_always_shown_and_only_a_good_one_recorded() {
    let app = App::start().await;
    let mail = Mail::of(&app, CampaignId::new());
    let click = mail.token(&app, Purpose::Click, 0, "https://shop.example/");
    for path in [
        mail.pixel(&app),
        "/o/nonsense.gif".into(),
        format!("/o/{click}.gif"),
    ] {
        let answer = browse(&app, &path).await.assert_status(200);
        assert_eq!(answer.header("content-type"), Some("image/gif"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.body.len(), 43);
    }
    assert_eq!(count(&app, "events"), 1);
    assert_eq!(count(&app, "events WHERE type = 'open' AND url IS NULL"), 1);
}

#[tokio::test]
async fn machines_are_recorded_as_what_they_are() {
    let app = App::start().await;
    let campaign = CampaignId::new();
    let new = || Mail::of(&app, campaign);
    let fresh = Mail {
        made_at: app.clock.now() - Duration::seconds(1),
        ..new()
    };
    browse(&app, &fresh.link(&app, 0)).await.assert_status(302);
    visit(&app, &new().link(&app, 0), "BarracudaCentral/2.0")
        .await
        .assert_status(302);
    visit(&app, &new().pixel(&app), "Mozilla/5.0")
        .await
        .assert_status(200);
    visit(&app, &new().link(&app, 0), "")
        .await
        .assert_status(302);
    let head = app
        .anonymous()
        .head(new().link(&app, 0))
        .header("user-agent", BROWSER)
        .send()
        .await;
    assert_eq!(head.header("location"), Some("https://shop.example/0"));
    let pixel = app
        .anonymous()
        .head(new().pixel(&app))
        .header("user-agent", BROWSER)
        .send()
        .await;
    assert_eq!(
        (pixel.status, pixel.header("content-length")),
        (200, Some("43"))
    );
    for (name, value) in [
        ("sec-purpose", "prefetch;prerender"),
        ("purpose", "prefetch"),
        ("x-moz", "prefetch"),
    ] {
        let path = new().link(&app, 0);
        let request = app
            .anonymous()
            .get(path)
            .header("user-agent", BROWSER)
            .header(name, value);
        request.send().await.assert_status(302);
    }
    for (reason, verdict, times) in [
        ("too_fast", "scanner", 1),
        ("known_scanner", "scanner", 1),
        ("apple_mail_privacy", "prefetch", 1),
        ("no_user_agent", "bot", 1),
        ("head_request", "scanner", 2),
        ("prefetch_header", "prefetch", 3),
    ] {
        let rows = format!(
            "events WHERE verdict = '{verdict}' AND reasons = '{{{reason}}}' AND rules_version = 2"
        );
        assert_eq!(count(&app, &rows), times, "{reason}");
    }
    let report = engagement(&app, campaign).await;
    assert_eq!(figures(report.clicks), (0, 7, 0));
    assert_eq!(figures(report.opens), (0, 2, 0));
    assert!(
        app.events().is_empty(),
        "no machine's hit is told to others"
    );
}

#[tokio::test]
async fn an_open_by_an_image_proxy_is_a_persons() {
    let app = App::start().await;
    let mail = Mail::of(&app, CampaignId::new());
    let proxy =
        "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)";
    visit(&app, &mail.pixel(&app), proxy)
        .await
        .assert_status(200);
    assert_eq!(
        figures(engagement(&app, mail.campaign).await.opens),
        (1, 0, 1)
    );
    assert_eq!(verdicts(&app)[0].reasons, ["image_proxy"]);
}

#[tokio::test]
async fn several_links_at_once_turn_earlier_clicks_into_a_scanners() {
    let app = App::start().await;
    let campaign = CampaignId::new();
    let (scanned, read) = (Mail::of(&app, campaign), Mail::of(&app, campaign));
    browse(&app, &scanned.link(&app, 0))
        .await
        .assert_status(302);
    browse(&app, &read.link(&app, 0)).await.assert_status(302);
    assert_eq!(figures(engagement(&app, campaign).await.clicks), (2, 0, 2));
    app.clock.advance(Duration::milliseconds(400));
    browse(&app, &scanned.link(&app, 1))
        .await
        .assert_status(302);
    app.clock.advance(Duration::milliseconds(400));
    browse(&app, &scanned.link(&app, 2))
        .await
        .assert_status(302);
    browse(&app, &read.link(&app, 0)).await.assert_status(302);
    app.clock.advance(Duration::seconds(5));
    browse(&app, &scanned.link(&app, 1))
        .await
        .assert_status(302);

    let report = engagement(&app, campaign).await;
    assert_eq!(figures(report.clicks), (3, 3, 2), "{:?}", verdicts(&app));
    let burst = "events WHERE verdict = 'scanner' AND reasons = '{link_burst}'";
    assert_eq!(count(&app, burst), 3);
}

#[tokio::test]
async fn a_burst_is_found_across_replicas() {
    let app = App::start().await;
    let replica = Setup::default().beside(&app).start().await;
    let mails: Vec<_> = (0..20).map(|_| Mail::of(&app, CampaignId::new())).collect();
    let hits = mails
        .iter()
        .flat_map(|mail| [(&app, mail, 0), (&replica, mail, 1)]);
    let hits = hits.map(|(app, mail, link)| async move {
        browse(app, &mail.link(app, link)).await.assert_status(302)
    });
    futures::future::join_all(hits).await;
    assert_eq!(count(&app, "events WHERE reasons = '{link_burst}'"), 40);
}

/// Rows of the events that are read to compare clicks of these mails with earlier ones, besides those.
fn looked_at(conn: &mut PgConnection, app: &App, mails: &[MessageId]) -> i64 {
    let read = sql::<BigInt>(
        "SELECT (sum(seq_tup_read) + sum(idx_tup_fetch))::bigint
         FROM pg_stat_xact_user_tables WHERE relname LIKE 'events%'",
    );
    let clicks: Vec<Event> = mails
        .iter()
        .map(|mail| {
            let mut click = Event::new(app.workspace, "click", app.clock.now());
            click.message_id = Some(*mail);
            click
        })
        .collect();
    let looked = conn.transaction(|conn| {
        let before: i64 = read.clone().get_result(conn)?;
        let found = bursts::around(conn, &clicks.iter().collect::<Vec<_>>())?;
        let after: i64 = read.get_result(conn)?;
        QueryResult::Ok(after - before - found.len() as i64)
    });
    looked.expect("they are looked up")
}

/// Postgres plans with what it last saw of a day: nothing, a few events, or far fewer than there are.
#[tokio::test]
async fn clicks_are_compared_with_those_of_their_mails_alone() {
    let app = App::start().await;
    let now = app.clock.now();
    let mut conn = app.connect();
    let strange = [MessageId::new(), MessageId::new()];
    assert_eq!(looked_at(&mut conn, &app, &strange), 0);
    // With so many, one index has a level more than the other, and seems to cost more.
    for (workspace, step) in [
        (app.workspace, "40 ms"),
        (WorkspaceId::new(), "0.5 ms"),
        (WorkspaceId::new(), "0.5 ms"),
        (app.workspace, "0.5 ms"),
    ] {
        let clicks = format!(
            "INSERT INTO events (workspace_id, id, type, occurred_at, received_at, message_id, link,
                 verdict, reasons, rules_version)
             SELECT '{workspace}', gen_random_uuid(), 'click', at, at, gen_random_uuid(), 0, 'human', '{{}}', 2
             FROM generate_series('{now}'::timestamptz - interval '4 s', '{now}', '{step}') AS at"
        );
        conn.batch_execute(&clicks).expect("they are written");
        let mails: Vec<MessageId> = events::table
            .filter(events::workspace_id.eq(app.workspace))
            .order(events::received_at.desc())
            .select(events::message_id.assume_not_null())
            .limit(30)
            .load(&mut conn)
            .expect("they are there");
        assert_eq!(looked_at(&mut conn, &app, &mails), 0, "known before");
        let mut anew = app.connect();
        assert_eq!(looked_at(&mut anew, &app, &mails), 0, "unknown");
        anew.batch_execute("ANALYZE events").expect("it is known");
        assert_eq!(looked_at(&mut conn, &app, &mails), 0, "known");
    }
}

#[derive(QueryableByName)]
struct Told {
    #[diesel(sql_type = Jsonb)]
    data: serde_json::Value,
}

/// Tells others of the clicks that they may be told of so much later: the clock of the service
/// stands still, so that it does not tell them itself meanwhile.
fn tell(app: &App, later: Duration) {
    let told = |conn: &mut PgConnection| tell::round(conn, app.clock.now() + later);
    let mut conn = app.connect();
    while conn.transaction(told).expect("clicks are told of") {}
}

/// Who was told to have done what with which campaign, in order.
fn told(app: &App) -> Vec<(LeadId, Option<CampaignId>, EngagementKind)> {
    let told: Vec<Told> = sql_query("SELECT data FROM outbox ORDER BY seq")
        .load(&mut app.connect())
        .expect("the outbox can be read");
    let told = told.into_iter().flat_map(|row| {
        let event: EngagementRecorded = serde_json::from_value(row.data).expect("an engagement");
        event.items
    });
    told.map(|item| (item.lead_id, item.campaign_id, item.kind))
        .collect()
}

#[tokio::test]
async fn what_people_did_is_told_to_the_other_services() {
    let app = App::start().await;
    let mail = Mail::of(&app, CampaignId::new());
    browse(&app, &mail.pixel(&app)).await;
    browse(&app, &mail.link(&app, 0)).await;
    assert_eq!(app.events(), ["engagement.recorded"]);
    tell(&app, Duration::milliseconds(1_999));
    assert_eq!(app.events(), ["engagement.recorded"], "it is too early");
    tell(&app, Duration::seconds(2));
    assert_eq!(app.events(), ["engagement.recorded", "engagement.recorded"]);
    let campaign = Some(mail.campaign);
    assert_eq!(
        told(&app),
        [
            (mail.lead, campaign, EngagementKind::Open),
            (mail.lead, campaign, EngagementKind::Click)
        ]
    );
    assert_eq!(count(&app, "held_clicks"), 0);
}

#[tokio::test]
async fn nobody_is_told_of_the_first_click_of_a_scanner() {
    let app = App::start().await;
    let campaign = CampaignId::new();
    let (scanned, read) = (Mail::of(&app, campaign), Mail::of(&app, campaign));
    browse(&app, &scanned.link(&app, 0)).await;
    browse(&app, &read.link(&app, 0)).await;
    assert_eq!(count(&app, "held_clicks"), 2);
    app.clock.advance(Duration::milliseconds(900));
    browse(&app, &scanned.link(&app, 1)).await;
    browse(&app, &read.link(&app, 0)).await;
    tell(&app, Duration::seconds(2));
    let click = (read.lead, Some(campaign), EngagementKind::Click);
    assert_eq!(told(&app), [click, click]);
}

#[tokio::test]
async fn replicas_tell_of_each_click_once() {
    let app = App::start().await;
    for _ in 0..20 {
        browse(&app, &Mail::of(&app, CampaignId::new()).link(&app, 0)).await;
    }
    let later = Duration::seconds(2);
    let now = app.clock.now() + later;
    let (mut one, mut other) = (app.connect(), app.connect());
    one.begin_test_transaction().expect("it begins");
    assert_eq!(tell::round(&mut one, now), Ok(true));
    // What one replica has taken and not told yet, another neither takes nor waits for.
    let taken = other.transaction(|conn| tell::round(conn, now));
    assert_eq!(taken, Ok(false));
    drop(one);
    tell(&app, later);
    let told = told(&app);
    let leads: BTreeSet<_> = told.iter().map(|(lead, ..)| *lead).collect();
    assert_eq!((told.len(), leads.len()), (20, 20));
}

#[tokio::test]
async fn a_test_mails_hits_belong_to_no_campaign() {
    let app = App::start().await;
    let token = common::token::MailToken {
        workspace_id: app.workspace,
        campaign_id: None,
        lead_id: None,
        message_id: MessageId::new(),
        issued_at: app.clock.now() - Duration::minutes(1),
        link: 0,
        url: "https://shop.example/".into(),
    };
    let path = format!("/c/{}", app.links().seal(Purpose::Click, &token));
    browse(&app, &path).await.assert_status(302);
    assert_eq!(
        count(&app, "events WHERE campaign_id IS NULL AND lead_id IS NULL"),
        1
    );
    assert!(app.events().is_empty());
}

#[tokio::test]
async fn addresses_are_kept_as_the_operator_says() {
    for (policy, kept) in [
        ("full", "ip = '203.0.113.9'"),
        ("drop", "ip IS NULL"),
        ("hash", "ip ~ '^[0-9a-f]{24}$'"),
    ] {
        let app: App = Setup::default()
            .with("ANALYTICS_ADDRESSES", policy)
            .start()
            .await;
        let mail = Mail::of(&app, CampaignId::new());
        let request = app
            .anonymous()
            .get(mail.pixel(&app))
            .header("user-agent", BROWSER);
        request
            .header("x-forwarded-for", "10.0.0.1, 203.0.113.9")
            .send()
            .await;
        assert_eq!(count(&app, &format!("events WHERE {kept}")), 1, "{policy}");
    }
}

#[tokio::test]
async fn a_rotated_secret_still_opens_the_links_of_old_mails() {
    let app: App = Setup::default()
        .with("CLARION_LINK_SECRET", "the new one")
        .with("CLARION_LINK_SECRET_OLD", "links of the tests")
        .start()
        .await;
    let mail = Mail::of(&app, CampaignId::new());
    browse(&app, &mail.link(&app, 0)).await.assert_status(302);
}

#[tokio::test]
async fn whoever_follows_what_nobody_sees_is_a_scanner_with_all_it_followed() {
    let app = App::start().await;
    let campaign = CampaignId::new();
    let (scanned, read) = (Mail::of(&app, campaign), Mail::of(&app, campaign));
    browse(&app, &scanned.link(&app, 0))
        .await
        .assert_status(302);
    browse(&app, &read.link(&app, 0)).await.assert_status(302);
    assert_eq!(figures(engagement(&app, campaign).await.clicks), (2, 0, 2));
    app.clock.advance(Duration::seconds(20));
    let canary = scanned.token(&app, Purpose::Click, common::token::CANARY, "");
    let answer = browse(&app, &format!("/c/{canary}")).await;
    let answer = answer.assert_status(200);
    assert_eq!(answer.header("location"), None);
    assert_eq!(answer.header("x-robots-tag"), Some("noindex"));
    app.clock.advance(Duration::seconds(30));
    browse(&app, &scanned.link(&app, 1))
        .await
        .assert_status(302);
    app.clock.advance(Duration::hours(1));
    browse(&app, &scanned.link(&app, 1))
        .await
        .assert_status(302);

    let report = engagement(&app, campaign).await;
    assert_eq!(figures(report.clicks), (2, 2, 2), "{:?}", verdicts(&app));
    let marked = "events WHERE verdict = 'scanner' AND reasons = '{canary_link}'";
    assert_eq!(count(&app, marked), 3);
    assert_eq!(
        count(&app, "events WHERE type = 'canary' AND url IS NULL"),
        1
    );
    let urls: Vec<_> = report.links.iter().map(|link| link.url.as_str()).collect();
    assert_eq!(urls, ["https://shop.example/0", "https://shop.example/1"]);
    // Judged anew, nothing changes.
    let (from, to) = (chrono::NaiveDate::MIN, chrono::NaiveDate::MAX);
    let again = analytics::rescore::rescore(&mut app.connect(), from, to, |_, _| {});
    assert_eq!(again.expect("hits are judged").changed, 0);
}

#[tokio::test]
async fn hits_from_data_centres_are_no_persons() {
    let file = std::env::temp_dir().join(format!("data-centres-{}", MessageId::new()));
    std::fs::write(&file, "# of a test\n203.0.113.0/24\n").expect("writable");
    let app: App = Setup::default()
        .with("ANALYTICS_DATACENTER_RANGES_FILE", file.to_string_lossy())
        .start()
        .await;
    std::fs::remove_file(&file).expect("one's own file");
    let campaign = CampaignId::new();
    for address in ["203.0.113.9", "198.51.100.9"] {
        let request = app.anonymous().get(Mail::of(&app, campaign).link(&app, 0));
        let request = request.header("user-agent", BROWSER);
        let request = request.header("x-forwarded-for", address);
        request.send().await.assert_status(302);
    }
    assert_eq!(figures(engagement(&app, campaign).await.clicks), (1, 1, 1));
    let marked =
        "events WHERE reasons = '{data_centre}' AND properties @> '{\"data_centre\": true}'";
    assert_eq!(count(&app, marked), 1);
    // A browser on somebody's pages is judged alike; a server that sends from there is believed.
    let (_, key) = write_key(&app, json!({ "name": "Shop" })).await;
    let page = async |address: &str, origin: Option<&str>| {
        let body = json!({ "writeKey": key, "anonymousId": "a", "name": "home" });
        let request = app.anonymous().post("/v1/page").json(&body);
        let request = request.header("x-forwarded-for", address);
        let request = request.header("user-agent", BROWSER);
        let request = match origin {
            Some(origin) => request.header("origin", origin),
            None => request,
        };
        request.send().await.assert_status(200);
    };
    page("203.0.113.9", Some("https://shop.example")).await;
    page("198.51.100.9", Some("https://shop.example")).await;
    page("203.0.113.9", None).await;
    let views = "events WHERE type = 'view' AND name = 'home'";
    assert_eq!(count(&app, views), 3);
    let machines = format!("{views} AND verdict = 'scanner' AND reasons = '{{data_centre}}'");
    assert_eq!(count(&app, &machines), 1);
    // The address is not kept, but that it was one of those.
    let (from, to) = (chrono::NaiveDate::MIN, chrono::NaiveDate::MAX);
    let again = analytics::rescore::rescore(&mut app.connect(), from, to, |_, _| {});
    assert_eq!(again.expect("hits are judged").changed, 0);
    let visit = async |address: &str| -> i64 {
        let request = app.anonymous().post("/visits/landing");
        let request = request.header("user-agent", BROWSER);
        let answer = request.header("x-forwarded-for", address).send().await;
        let answer: serde_json::Value = answer.assert_status(200).json();
        answer["visits"].as_i64().expect("a number")
    };
    assert_eq!(visit("203.0.113.9").await, 0);
    assert_eq!(visit("198.51.100.9").await, 1);
}
