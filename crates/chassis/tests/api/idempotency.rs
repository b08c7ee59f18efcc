use chrono::Duration;
use common::WorkspaceId;
use common::auth::Role;
use serde_json::json;
use testkit::{Client, Response, TestService};

use crate::probe::{NoteView, Probe, texts};

async fn post(client: &Client, key: &str, text: &str) -> Response {
    client
        .post("/api/v1/notes")
        .header("idempotency-key", key)
        .json(&json!({ "text": text }))
        .send()
        .await
}

#[actix_web::test]
async fn a_repeated_request_gets_the_first_answer_and_does_nothing() {
    let app = TestService::<Probe>::start().await;
    let owner = app.as_role(Role::Owner);
    let first: NoteView = post(&owner, "k1", "once").await.assert_status(201).json();
    let again: NoteView = post(&owner, "k1", "once").await.assert_status(201).json();
    assert_eq!(first, again);
    assert_eq!(texts(&mut app.connect()), ["once"]);
    assert_eq!(app.events().len(), 1);
}

#[actix_web::test]
async fn a_key_belongs_to_one_request_and_one_workspace() {
    let app = TestService::<Probe>::start().await;
    let owner = app.as_role(Role::Owner);
    post(&owner, "k1", "one").await.assert_status(201);
    let reused = post(&owner, "k1", "another").await;
    let problem = reused.assert_error(422, "idempotency_key_reused");
    assert_eq!(problem.errors[0].pointer, "header/Idempotency-Key");

    let stranger = app.as_role_in(WorkspaceId::new(), Role::Owner);
    post(&stranger, "k1", "another").await.assert_status(201);
    assert_eq!(texts(&mut app.connect()), ["one", "another"]);
}

#[actix_web::test]
async fn eight_at_once_have_one_effect_and_one_answer() {
    let app = TestService::<Probe>::start().await;
    let owner = app.as_role(Role::Owner);
    let all = futures::future::join_all((0..8).map(|_| post(&owner, "k1", "once"))).await;
    let answers: Vec<NoteView> = all
        .into_iter()
        .map(|answer| answer.assert_status(201).json())
        .collect();
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    assert_eq!(texts(&mut app.connect()), ["once"]);
    assert_eq!(app.events().len(), 1);
}

#[actix_web::test]
async fn a_refusal_is_not_remembered_and_leaves_nothing() {
    let app = TestService::<Probe>::start().await;
    let owner = app.as_role(Role::Owner);
    for _ in 0..2 {
        let refused = post(&owner, "k1", "refuse me").await;
        refused.assert_error(409, "note_refused");
    }
    post(&owner, "k1", "accept me").await.assert_status(201);
    assert_eq!(texts(&mut app.connect()), ["accept me"]);
}

#[actix_web::test]
async fn a_key_must_be_printable_and_short() {
    let app = TestService::<Probe>::start().await;
    let owner = app.as_role(Role::Owner);
    for key in ["", "two words", &"k".repeat(256), "schlüssel"] {
        let problem = post(&owner, key, "x")
            .await
            .assert_error(422, "invalid_input");
        assert_eq!(
            problem.errors[0].pointer, "header/Idempotency-Key",
            "{key:?}"
        );
    }
    assert!(texts(&mut app.connect()).is_empty());
}

#[actix_web::test]
async fn old_keys_are_forgotten() {
    let app = TestService::<Probe>::start().await;
    let owner = app.as_role(Role::Owner);
    post(&owner, "k1", "once").await.assert_status(201);
    let mut conn = app.connect();
    let now = app.clock.now();
    let prune = |conn: &mut _, before| chassis::idempotency::prune(conn, before).unwrap();
    assert_eq!(prune(&mut conn, now - Duration::days(1)), 0);
    assert_eq!(prune(&mut conn, now + Duration::seconds(1)), 1);
    post(&owner, "k1", "another").await.assert_status(201);
}
