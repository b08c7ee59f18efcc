use common::auth::Service;
use common::dto::audience::{AudienceCount, AudiencePage, Gap, Standing};
use common::{LeadId, ListId, SegmentId, WorkspaceId};
use serde_json::{Value, json};

use crate::support::{App, given_lead, given_list, given_segment, join, marketer, start};

async fn ask<T: serde::de::DeserializeOwned>(app: &App, what: &str, body: Value) -> T {
    let campaigns = app.as_service(Service::Campaigns);
    let sent = campaigns
        .post(format!("/internal/audience/{what}"))
        .json(&body)
        .send()
        .await;
    sent.assert_status(200).json()
}

fn query(app: &App, audience: &Value) -> Value {
    json!({ "workspace_id": app.workspace, "audience": audience, "as_of": app.clock.now() })
}

/// Everybody in an audience, in pages of `limit`: address and standing.
async fn everybody(app: &App, audience: &Value, limit: i64) -> Vec<(String, Standing)> {
    let (mut found, mut after) = (Vec::new(), Value::Null);
    loop {
        let body = json!({ "query": query(app, audience), "after": after, "limit": limit });
        let page: AudiencePage = ask(app, "page", body).await;
        assert!(page.items.len() as i64 <= limit);
        found.extend(
            page.items
                .into_iter()
                .map(|item| (item.email, item.standing)),
        );
        match page.next {
            Some(next) => after = json!(next),
            None => return found,
        }
    }
}

async fn given_people(app: &App, count: usize) -> Vec<Value> {
    let mut people = Vec::new();
    for n in 0..count {
        let body = json!({ "email": format!("p{n}@example.com"), "score": n, "first_name": if n % 2 == 0 { "Ada" } else { "" } });
        people.push(given_lead(app, body).await);
    }
    people
}

fn named(expected: &[(usize, Standing)]) -> Vec<(String, Standing)> {
    expected
        .iter()
        .map(|(n, standing)| (format!("p{n}@example.com"), *standing))
        .collect()
}

#[actix_web::test]
async fn an_audience_is_its_lists_and_segments_each_person_once() {
    use Standing::{Sendable, Suppressed, Unsubscribed};
    let app = start().await;
    let people = given_people(&app, 10).await;
    let (news, offers) = (
        given_list(&app, "News").await,
        given_list(&app, "Offers").await,
    );
    for (n, list, status) in [
        (0, &news, "confirmed"),
        (1, &news, "unconfirmed"),
        (2, &news, "unsubscribed"),
        (2, &offers, "confirmed"),
        (3, &offers, "unsubscribed"),
        (4, &news, "confirmed"),
    ] {
        join(&app, list, &people[n], status).await;
    }
    let high = given_segment(&app, json!({ "field": "score", "op": "gte", "value": 7 })).await;
    let nine = given_segment(&app, json!({ "field": "score", "op": "eq", "value": 9 })).await;
    let suppression = json!({ "address": "P4@example.com", "reason": "manual" });
    marketer(&app)
        .post("/api/v1/suppressions")
        .json(&suppression)
        .send()
        .await
        .assert_status(201);

    let audience =
        json!({ "list_ids": [news, offers], "segment_ids": [high], "exclude_segment_ids": [nine] });
    let expected = named(&[
        (0, Sendable),
        (1, Unsubscribed),
        (2, Sendable),
        (3, Unsubscribed),
        (4, Suppressed),
        (7, Sendable),
        (8, Sendable),
    ]);
    for limit in [1, 2, 3, 7, 100] {
        assert_eq!(
            everybody(&app, &audience, limit).await,
            expected,
            "pages of {limit}"
        );
    }
    let count: AudienceCount = ask(&app, "count", query(&app, &audience)).await;
    assert_eq!(
        count,
        AudienceCount {
            count: 7,
            sendable: 4
        }
    );

    // Membership of a list that is not aimed at does not matter.
    let only_news = json!({ "list_ids": [news] });
    let expected = named(&[
        (0, Sendable),
        (1, Unsubscribed),
        (2, Unsubscribed),
        (4, Suppressed),
    ]);
    assert_eq!(everybody(&app, &only_news, 2).await, expected);
    let only_segment = json!({ "segment_ids": [high, nine] });
    assert_eq!(
        everybody(&app, &only_segment, 2).await,
        named(&[(7, Sendable), (8, Sendable), (9, Sendable)])
    );
    assert_eq!(everybody(&app, &json!({}), 2).await, []);
    let nobody: AudienceCount = ask(&app, "count", query(&app, &json!({}))).await;
    assert_eq!(nobody, AudienceCount::default());
}

#[actix_web::test]
async fn who_comes_later_is_not_in_it() {
    let app = start().await;
    let people = given_people(&app, 2).await;
    let list = given_list(&app, "News").await;
    join(&app, &list, &people[0], "confirmed").await;
    let everyone = given_segment(&app, json!({ "all": [] })).await;
    let as_of = app.clock.now();
    app.clock.advance(chrono::Duration::seconds(1));
    join(&app, &list, &people[1], "confirmed").await;
    given_lead(&app, json!({ "email": "late@example.com" })).await;

    for (audience, expected) in [
        (json!({ "list_ids": [list] }), 1),
        (json!({ "segment_ids": [everyone] }), 2),
    ] {
        let query = json!({ "workspace_id": app.workspace, "audience": audience, "as_of": as_of });
        let count: AudienceCount = ask(&app, "count", query.clone()).await;
        let body = json!({ "query": query, "after": null, "limit": 10 });
        let page: AudiencePage = ask(&app, "page", body).await;
        assert_eq!(
            (count.count, page.items.len()),
            (expected, expected as usize)
        );
    }
}

#[actix_web::test]
async fn a_recipient_carries_what_templates_need() {
    let app = start().await;
    let body = json!({
        "email": "ada@example.com", "first_name": "Ada", "timezone": "Europe/London", "tags": ["vip"],
        "attributes": { "plan": { "name": "pro" } },
    });
    given_lead(&app, body).await;
    let everyone = given_segment(&app, json!({ "all": [] })).await;
    let query = query(&app, &json!({ "segment_ids": [everyone] }));
    let page: AudiencePage = ask(
        &app,
        "page",
        json!({ "query": query, "after": null, "limit": 10 }),
    )
    .await;
    let ada = &page.items[0];
    assert_eq!(ada.timezone.as_deref(), Some("Europe/London"));
    let lead: Value = ada.lead.read().expect("well-formed");
    assert_eq!(lead["first_name"], "Ada");
    assert_eq!(lead["attributes"]["plan"]["name"], "pro");
    assert_eq!(lead["tags"], json!(["vip"]));
    assert!(lead["company"].is_null());
}

#[actix_web::test]
async fn gaps_count_the_sendable_without_a_value() {
    let app = start().await;
    let people = given_people(&app, 6).await;
    let list = given_list(&app, "News").await;
    for person in &people {
        join(&app, &list, person, "confirmed").await;
    }
    join(&app, &list, &people[1], "unsubscribed").await;
    let variables = ["first_name", "email", "nickname", "attributes.plan", "tags"];
    let body =
        json!({ "query": query(&app, &json!({ "list_ids": [list] })), "variables": variables });
    let gaps: Vec<Gap> = ask(&app, "gaps", body).await;
    let missing: Vec<_> = gaps
        .iter()
        .map(|gap| (gap.variable.as_str(), gap.missing))
        .collect();
    let expected = [
        ("first_name", 2),
        ("email", 0),
        ("nickname", 5),
        ("attributes.plan", 5),
        ("tags", 5),
    ];
    assert_eq!(missing, expected);
    assert_eq!(json!(gaps[0].sample), people[3]["id"]);
    assert_eq!(gaps[1].sample, None);
}

#[actix_web::test]
async fn what_does_not_exist_is_no_audience() {
    let app = start().await;
    let list = given_list(&app, "News").await;
    let campaigns = app.as_service(Service::Campaigns);
    let refused = async |query: Value, code: &str| {
        for (what, body) in [
            ("count", query.clone()),
            ("page", json!({ "query": query, "after": null, "limit": 1 })),
            ("gaps", json!({ "query": query, "variables": [] })),
        ] {
            let sent = campaigns
                .post(format!("/internal/audience/{what}"))
                .json(&body)
                .send()
                .await;
            sent.assert_error(404, code);
        }
    };
    refused(
        query(&app, &json!({ "list_ids": [ListId::new()] })),
        "list_not_found",
    )
    .await;
    let unknown = json!({ "list_ids": [list], "exclude_segment_ids": [SegmentId::new()] });
    refused(query(&app, &unknown), "segment_not_found").await;
    let mut foreign = query(&app, &json!({ "list_ids": [list] }));
    foreign["workspace_id"] = json!(WorkspaceId::new());
    refused(foreign, "list_not_found").await;

    let query = query(&app, &json!({ "list_ids": [list] }));
    for limit in [0, 5_001] {
        let body = json!({ "query": query, "after": LeadId::new(), "limit": limit });
        let sent = campaigns
            .post("/internal/audience/page")
            .json(&body)
            .send()
            .await;
        sent.assert_error(422, "invalid_input");
    }
    let body = json!({ "query": query, "variables": vec!["x"; 201] });
    campaigns
        .post("/internal/audience/gaps")
        .json(&body)
        .send()
        .await
        .assert_error(422, "invalid_input");
}

#[actix_web::test]
async fn leads_are_found_by_their_addresses() {
    let app = start().await;
    let ada = given_lead(&app, json!({ "email": "Ada@Example.com" })).await;
    let ask = |workspace: WorkspaceId, emails: Vec<&str>| {
        let analytics = app.as_service(Service::Analytics);
        let body = json!({ "workspace_id": workspace, "emails": emails });
        analytics
            .post("/internal/leads/by-email")
            .json(&body)
            .send()
    };
    let found =
        |answer: testkit::Response| answer.assert_status(200).json::<Value>()["items"].clone();
    let both = ask(app.workspace, vec!["ada@example.COM", "bob@example.com"]).await;
    assert_eq!(
        found(both),
        json!([{ "email": "ada@example.COM", "lead_id": ada["id"] }])
    );
    let theirs = ask(WorkspaceId::new(), vec!["ada@example.com"]).await;
    assert_eq!(found(theirs), json!([]));
    let many = ask(app.workspace, vec!["a@example.com"; 501]).await;
    assert_eq!(
        many.assert_error(422, "invalid_input").errors[0].pointer,
        "/emails"
    );
    let owner = app.as_role(common::auth::Role::Owner);
    let body = json!({ "workspace_id": app.workspace, "emails": [] });
    let refused = owner
        .post("/internal/leads/by-email")
        .json(&body)
        .send()
        .await;
    refused.assert_error(403, "services_only");
}
