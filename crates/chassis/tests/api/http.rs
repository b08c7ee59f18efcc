use common::auth::Role;
use common::{LeadId, Problem};
use serde_json::{Value, json};
use testkit::{Client, Response, TestService};

use crate::probe::{Probe, texts};

async fn post(client: &Client, path: &str, body: impl Into<Vec<u8>>) -> Response {
    let request = client.post(path).header("content-type", "application/json");
    request.body(body.into()).send().await
}

#[actix_web::test]
async fn a_body_that_is_not_json_is_a_400() {
    let app = TestService::<Probe>::start().await;
    let owner = app.as_role(Role::Owner);
    for body in [
        "",
        "{",
        "{\"text\": \"a\"} x",
        "{'text': 'a'}",
        "\u{feff}{}",
        "{\"text\": NaN}",
    ] {
        let problem = post(&owner, "/api/v1/notes", body)
            .await
            .assert_error(400, "malformed_body");
        assert!(
            !problem.detail.is_empty() && !problem.request_id.is_empty(),
            "{body:?}"
        );
    }
    let invalid_utf8 = b"{\"text\": \"\xff\xfe\"}".to_vec();
    let answer = post(&owner, "/api/v1/notes", invalid_utf8).await;
    assert!([400, 422].contains(&answer.status), "{}", answer.text());
    assert!(texts(&mut app.connect()).is_empty());
}

#[actix_web::test]
async fn every_refused_field_is_named() {
    let app = TestService::<Probe>::start().await;
    let owner = app.as_role(Role::Owner);
    let cases = [
        (json!({ "text": 7 }), "/text"),
        (json!({ "text": null }), "/text"),
        (json!({ "text": "a", "tags": ["x", 1] }), "/tags/1"),
        (json!({ "text": "" }), "/text"),
        (json!({ "text": "x".repeat(101) }), "/text"),
        (
            json!({ "text": "a", "tags": ["1", "2", "3", "4"] }),
            "/tags",
        ),
        (json!({ "text": "a\u{0}b" }), "/text"),
        (json!({ "text": "a", "tags": ["b\u{0}"] }), "/tags/0"),
    ];
    for (body, pointer) in cases {
        let answer = post(&owner, "/api/v1/notes", body.to_string()).await;
        let problem = answer.assert_error(422, "invalid_input");
        let named: Vec<_> = problem.errors.iter().map(|e| e.pointer.as_str()).collect();
        assert_eq!(named, [pointer], "{body}");
    }
    for body in [
        json!({}),
        json!({ "text": "a", "admin": true }),
        json!([]),
        json!("text"),
    ] {
        let answer = post(&owner, "/api/v1/notes", body.to_string()).await;
        let problem = answer.assert_error(422, "invalid_input");
        assert_eq!(problem.errors.len(), 1, "{body}");
    }
    assert!(texts(&mut app.connect()).is_empty() && app.events().is_empty());
}

#[actix_web::test]
async fn all_bad_fields_are_named_at_once() {
    let app = TestService::<Probe>::start().await;
    let body = json!({ "text": "", "tags": ["1", "2", "3", "4"] });
    let answer = post(&app.as_role(Role::Owner), "/api/v1/notes", body.to_string()).await;
    let problem = answer.assert_error(422, "invalid_input");
    let named: Vec<_> = problem.errors.iter().map(|e| e.pointer.as_str()).collect();
    assert_eq!(named, ["/tags", "/text"]);
}

#[actix_web::test]
async fn deep_nesting_is_refused_and_the_service_lives() {
    let app = TestService::<Probe>::start().await;
    for depth in [1_000, 10_000, 500_000] {
        let body = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let problem = post(&app.anonymous(), "/any", body).await;
        let problem = problem.assert_error(422, "invalid_input");
        assert!(
            problem.detail.contains("nested too deeply"),
            "{}",
            problem.detail
        );
    }
    let fine: Value = post(&app.anonymous(), "/any", "[[1]]")
        .await
        .assert_status(200)
        .json();
    assert_eq!(fine, json!([[1]]));
}

#[actix_web::test]
async fn a_query_names_what_is_wrong_with_it() {
    let app = TestService::<Probe>::start().await;
    let owner = app.as_role(Role::Owner);
    let fine = owner
        .get("/api/v1/notes?q=a%20b")
        .send()
        .await
        .assert_status(200);
    assert_eq!(fine.text(), "a b");
    for query in ["?admin=1", "?q=%00", "?q=a&q=b"] {
        let answer = owner.get(format!("/api/v1/notes{query}")).send().await;
        let problem = answer.assert_error(422, "invalid_input");
        assert!(
            problem.errors[0].pointer.starts_with("query"),
            "{problem:?}"
        );
    }
}

#[actix_web::test]
async fn a_form_is_read_strictly() {
    const FORM: &str = "application/x-www-form-urlencoded";
    let app = TestService::<Probe>::start().await;
    let visitor = app.anonymous();
    let send = async |kind: &str, body: Vec<u8>| {
        let request = visitor.post("/form").header("content-type", kind);
        request.body(body).send().await
    };
    let fine = send(
        "Application/x-www-form-urlencoded; charset=utf-8",
        b"q=a+%C3%A4".into(),
    )
    .await;
    assert_eq!(fine.assert_status(200).text(), "a \u{e4}");
    for kind in ["application/json", "text/plain", "multipart/form-data"] {
        let problem = send(kind, b"q=a".into()).await.assert_error(415, "no_form");
        assert_eq!(problem.errors[0].pointer, "header/Content-Type");
    }
    for body in ["q=a&admin=1", "q=%00", "q=a\0", "q=a&q=b"] {
        let answer = send(FORM, body.into()).await;
        answer.assert_error(422, "invalid_input");
    }
    let answer = send(FORM, b"q=\xff".into()).await;
    answer.assert_error(400, "malformed_body");
    let answer = send(FORM, vec![b'a'; 3_000_000]).await;
    answer.assert_error(413, "body_too_large");
}

#[actix_web::test]
async fn an_id_that_is_none_names_nothing() {
    let app = TestService::<Probe>::start().await;
    let owner = app.as_role(Role::Owner);
    for id in ["7", "%00", "..%2f..%2fetc", &"a".repeat(5000)] {
        let answer = owner.get(format!("/api/v1/notes/{id}")).send().await;
        answer.assert_error(404, "not_found");
    }
    let id = LeadId::new();
    let answer = owner.get(format!("/api/v1/notes/{id}")).send().await;
    assert_eq!(answer.header("etag"), Some("\"7\""));
    assert_eq!(answer.assert_status(200).text(), format!("{id} None"));
}

#[actix_web::test]
async fn if_match_is_a_version_or_a_mistake() {
    let app = TestService::<Probe>::start().await;
    let path = format!("/api/v1/notes/{}", LeadId::new());
    let ask = |value: &'static str| {
        let request = app
            .as_role(Role::Owner)
            .get(&path)
            .header("if-match", value);
        request.send()
    };
    assert!(ask("\"7\"").await.text().ends_with("Some(7)"));
    assert!(ask("*").await.text().ends_with("None"));
    for bad in ["seven", "\"\"", "\"1\", \"2\""] {
        let problem = ask(bad).await.assert_error(422, "invalid_input");
        assert_eq!(problem.errors[0].pointer, "header/If-Match");
    }
}

#[actix_web::test]
async fn what_has_no_route_is_a_problem_too() {
    let app = TestService::<Probe>::start().await;
    let anonymous = app.anonymous();
    for path in [
        "/",
        "/api/v1/nothing",
        "/api/v1/notes/",
        "/%00",
        "/internal",
    ] {
        anonymous
            .get(path)
            .send()
            .await
            .assert_error(404, "route_not_found");
    }
}

#[actix_web::test]
async fn a_method_that_a_resource_lacks_is_a_problem_too() {
    let app = TestService::<Probe>::start().await;
    let path = format!("/api/v1/notes/{}", LeadId::new());
    let answer = app.as_role(Role::Owner).delete(&path).send().await;
    let problem: Problem = answer.assert_error(405, "method_not_allowed");
    assert!(!problem.request_id.is_empty());
}

#[actix_web::test]
async fn a_request_keeps_its_id_and_a_bad_one_gets_a_new_one() {
    let app = TestService::<Probe>::start().await;
    let ask = |id: &'static str| {
        let request = app.anonymous().get("/nowhere").header("x-request-id", id);
        request.send()
    };
    assert_eq!(ask("abc-1").await.json::<Problem>().request_id, "abc-1");
    let replaced = ask("<script>").await.json::<Problem>().request_id;
    assert!(replaced.parse::<uuid::Uuid>().is_ok(), "{replaced}");
}
