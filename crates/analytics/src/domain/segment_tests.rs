//! What libraries send, and what becomes of it.

use super::*;
use crate::domain::verdict::Verdict;
use chrono::TimeZone;
use proptest::prelude::*;
use serde_json::json;

fn now() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 3, 1, 12, 0, 0)
        .single()
        .expect("a time")
}

fn origin() -> Origin<'static> {
    Origin {
        workspace: WorkspaceId(uuid::Uuid::from_u128(7)),
        source: WriteKeyId(uuid::Uuid::from_u128(8)),
        now: now(),
        browser: None,
        country: None,
        data_centre: false,
        address: None,
        visitor_of_day: None,
    }
}

fn one(kind: Kind, body: Value) -> Result<Event, Vec<FieldError>> {
    message(&body.to_string(), Some(kind), None, &origin())
}

fn good(kind: Kind, body: Value) -> Event {
    one(kind, body.clone()).unwrap_or_else(|bad| panic!("{body}: {bad:?}"))
}

fn pointers(kind: Kind, body: Value) -> Vec<String> {
    let bad = one(kind, body.clone()).expect_err(&body.to_string());
    bad.into_iter().map(|field| field.pointer).collect()
}

#[test]
fn every_kind_becomes_an_event_of_ours() {
    for (kind, body, name, called) in [
        (
            Kind::Track,
            json!({ "userId": "u", "event": "Signed Up" }),
            "track",
            Some("Signed Up"),
        ),
        (
            Kind::Page,
            json!({ "anonymousId": "a", "name": "Home" }),
            "view",
            Some("Home"),
        ),
        (
            Kind::Page,
            json!({ "anonymousId": "a", "category": "Docs" }),
            "view",
            Some("Docs"),
        ),
        (Kind::Screen, json!({ "userId": 7 }), "screen", None),
        (Kind::Identify, json!({ "userId": "u" }), "identify", None),
        (
            Kind::Group,
            json!({ "userId": "u", "groupId": "g" }),
            "group",
            Some("g"),
        ),
        (
            Kind::Alias,
            json!({ "userId": "u", "previousId": "a" }),
            "alias",
            None,
        ),
    ] {
        let event = good(kind, body);
        assert_eq!((event.kind.as_ref(), event.name.as_deref()), (name, called));
        assert!(event.visitor.is_some() && !event.id_given);
        assert_eq!(event.verdict, Verdict::Human);
    }
}

#[test]
fn what_is_missing_or_wrong_is_named() {
    for (kind, body, expected) in [
        (Kind::Track, json!({ "userId": "u" }), vec!["/event"]),
        (Kind::Track, json!({ "event": "x" }), vec!["/userId"]),
        (Kind::Track, json!({}), vec!["/event", "/userId"]),
        (Kind::Group, json!({ "userId": "u" }), vec!["/groupId"]),
        (Kind::Alias, json!({ "userId": "u" }), vec!["/previousId"]),
        (Kind::Alias, json!({ "previousId": "u" }), vec!["/userId"]),
        (
            Kind::Identify,
            json!({ "userId": {} }),
            vec!["/userId", "/userId"],
        ),
        (
            Kind::Page,
            json!({ "userId": "u", "properties": [] }),
            vec!["/properties"],
        ),
        (
            Kind::Page,
            json!({ "userId": "u", "context": "x" }),
            vec!["/context"],
        ),
        (
            Kind::Page,
            json!({ "userId": "u", "timestamp": "soon" }),
            vec!["/timestamp"],
        ),
        (
            Kind::Page,
            json!({ "userId": "u", "timestamp": "2026-04-01T00:00:00Z" }),
            vec!["/timestamp"],
        ),
        (
            Kind::Page,
            json!({ "userId": "x".repeat(257) }),
            vec!["/userId", "/userId"],
        ),
        (
            Kind::Page,
            json!({ "userId": "a\u{0}" }),
            vec!["/userId", "/userId"],
        ),
        (
            Kind::Page,
            json!({ "userId": "u", "properties": { "a": "\u{0}" } }),
            vec!["/properties"],
        ),
        (
            Kind::Page,
            json!({ "userId": "u", "properties": { "a": "x".repeat(33_000) } }),
            vec![""],
        ),
    ] {
        assert_eq!(pointers(kind, body.clone()), expected, "{body}");
    }
    let unknown = message(r#"{"type":"dance","userId":"u"}"#, None, None, &origin());
    assert_eq!(unknown.expect_err("no such kind")[0].pointer, "/type");
}

#[test]
fn fields_of_later_releases_are_passed_over() {
    let event = good(
        Kind::Track,
        json!({
            "userId": "u", "event": "x", "integrations": { "All": true }, "_metadata": { "a": 1 }, "channel": "s",
        }),
    );
    assert_eq!(event.properties, None);
}

#[test]
fn a_clock_that_is_far_off_is_corrected_by_what_it_says_now_is() {
    let at = |timestamp: &str, sent: Option<&str>| {
        let body = json!({ "userId": "u", "timestamp": timestamp }).to_string();
        let sent = sent.and_then(time);
        message(&body, Some(Kind::Screen), sent, &origin())
            .expect("good")
            .occurred_at
    };
    // An hour slow: what happened ten minutes before sending did so ten minutes ago.
    let corrected = at("2026-03-01T10:50:00Z", Some("2026-03-01T11:00:00Z"));
    assert_eq!(corrected, now() - Duration::minutes(10));
    let near = at("2026-03-01T11:50:00.5Z", Some("2026-03-01T11:59:10Z"));
    assert_eq!(
        near,
        now() - Duration::minutes(10) + Duration::milliseconds(500)
    );
    assert_eq!(
        at("2026-03-01T13:50:00+02:00", None),
        now() - Duration::minutes(10)
    );
    assert_eq!(
        at("2026-03-01T11:50:00", None),
        now() - Duration::minutes(10)
    );
}

#[test]
fn pages_say_where_people_came_from() {
    let event = good(
        Kind::Page,
        json!({ "anonymousId": "a", "context": {
            "page": { "url": "https://shop.example/?utm_source=x" },
            "campaign": { "source": "news", "medium": "email", "name": "spring" },
        }}),
    );
    assert_eq!(
        event.url.as_deref(),
        Some("https://shop.example/?utm_source=x")
    );
    assert_eq!(event.utm_source.as_deref(), Some("news"));
    assert_eq!(event.utm_campaign.as_deref(), Some("spring"));
    let event = good(
        Kind::Page,
        json!({
            "anonymousId": "a", "properties": { "url": "https://shop.example/?utm_source=x" },
        }),
    );
    assert_eq!(event.utm_source.as_deref(), Some("x"));
}

#[test]
fn orders_bring_and_refunds_take_back() {
    let event = |name: &str| {
        let properties = json!({ "revenue": 12.5, "currency": "EUR" });
        good(
            Kind::Track,
            json!({ "userId": "u", "event": name, "properties": properties }),
        )
    };
    let completed = event("Order Completed");
    assert_eq!(
        (completed.amount, completed.currency.as_deref()),
        (Some(1250), Some("EUR"))
    );
    assert_eq!(event("Order Refunded").amount, Some(-1250));
}

#[test]
fn browsers_are_judged_and_servers_believed() {
    let by = |user_agent: Option<&str>, browser| {
        let context = user_agent.map(|name| json!({ "userAgent": name }));
        let body = json!({ "userId": "u", "context": context }).to_string();
        let origin = Origin {
            browser,
            ..origin()
        };
        message(&body, Some(Kind::Page), None, &origin)
            .expect("good")
            .verdict
    };
    assert_eq!(by(None, None), Verdict::Human);
    assert_eq!(by(Some("Googlebot/2.1"), None), Verdict::Bot);
    assert_eq!(
        by(None, Some("Mozilla/5.0 (X11) HeadlessChrome/131.0.0.0")),
        Verdict::Bot
    );
}

#[test]
fn identify_and_alias_say_who_is_who() {
    let workspace = origin().workspace;
    let event = good(
        Kind::Identify,
        json!({
            "userId": "u", "anonymousId": "a", "traits": { "email": "Ada@Example.com" },
        }),
    );
    let said = Said::Identified {
        anonymous: Some(Visitor::anonymous(workspace, "a")),
        user: Some(Visitor::user(workspace, "u")),
        lead: None,
        email: Some("ada@example.com".into()),
    };
    assert_eq!(event.said, Some(Box::new(said)));
    let bad = good(
        Kind::Identify,
        json!({ "userId": "u", "traits": { "email": 7 } }),
    );
    assert!(matches!(
        *bad.said.expect("said"),
        Said::Identified { email: None, .. }
    ));
    let alias = good(Kind::Alias, json!({ "userId": "u", "previousId": "a" }));
    assert!(
        matches!(*alias.said.expect("said"), Said::Renamed { user, .. }
        if user == Visitor::user(workspace, "u"))
    );
}

#[test]
fn a_body_that_cannot_be_used_says_why() {
    for (text, batch, expected) in [
        ("", false, "not JSON"),
        ("{\"batch\":[}", true, "not JSON"),
        ("[1]", false, "must be an object"),
        ("{}", true, "with a `batch`"),
        ("{\"batch\":{}}", true, "list of messages"),
    ] {
        let error = envelope(text, batch).expect_err(text).to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
    let many = vec!["{}"; MAX_BATCH + 1].join(",");
    assert_eq!(
        envelope(&format!("{{\"batch\":[{many}]}}"), true).expect_err("many"),
        Unusable::TooMany
    );
}

proptest! {
    #[test]
    fn no_input_panics(text in "\\PC{0,200}") {
        for batch in [false, true] {
            if let Ok(envelope) = envelope(&text, batch) {
                envelope.events(None, &origin());
            }
        }
        message(&format!(r#"{{"userId":{text},"context":{text}}}"#), Some(Kind::Page), None, &origin()).ok();
    }
}
