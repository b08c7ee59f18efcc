//! Transactional mail with files.

use common::auth::{Role, Service as Name};
use common::events::LeadDeleted;
use common::ids::LeadId;
use diesel::prelude::*;
use mailbox::Faults;
use notifications::Notifications;
use serde_json::{Value, json};
use testkit::{Response, TestService, eventually};

use crate::support::{Post, World, setup};

/// A file of a form: its disposition's file name, its content type, its bytes.
type File<'f> = (&'f str, &'f str, &'f [u8]);

fn message(to: &str) -> Value {
    json!({
        "to": to,
        "subject": "Invoice {{ data.number }}",
        "content": { "format": "html", "body": "<p>Dear {{ data.name }}, see the file.</p>" },
        "data": { "number": 7, "name": "Ada" },
    })
}

fn part(out: &mut Vec<u8>, head: &str, content: &[u8]) {
    out.extend_from_slice(format!("--limit\r\n{head}\r\n\r\n").as_bytes());
    out.extend_from_slice(content);
    out.extend_from_slice(b"\r\n");
}

fn form(message: &Value, files: &[File<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    let head = "Content-Disposition: form-data; name=\"message\"\r\nContent-Type: application/json";
    part(&mut out, head, message.to_string().as_bytes());
    for (name, kind, content) in files {
        let head = format!(
            "Content-Disposition: form-data; name=\"attachment\"; {name}\r\nContent-Type: {kind}"
        );
        part(&mut out, &head, content);
    }
    out.extend_from_slice(b"--limit--\r\n");
    out
}

async fn send(app: &TestService<Notifications>, key: &str, body: Vec<u8>) -> Response {
    app.as_role(Role::Marketer)
        .post("/api/v1/messages")
        .header("Idempotency-Key", key)
        .header("content-type", "multipart/form-data; boundary=limit")
        .body(body)
        .send()
        .await
}

async fn show(app: &TestService<Notifications>, id: &Value) -> Value {
    let path = format!("/api/v1/messages/{}", id.as_str().expect("an id"));
    let client = app.as_role(Role::Marketer);
    client.get(path).send().await.assert_status(200).json()
}

/// How many files and pieces of files the database holds.
fn kept(app: &TestService<Notifications>) -> (i64, i64) {
    #[derive(QueryableByName)]
    struct Counts {
        #[diesel(sql_type = diesel::sql_types::Int8)]
        files: i64,
        #[diesel(sql_type = diesel::sql_types::Int8)]
        pieces: i64,
    }
    let counts: Counts = diesel::sql_query(
        "SELECT (SELECT count(*) FROM attachments) AS files,
                (SELECT count(*) FROM attachment_chunks) AS pieces",
    )
    .get_result(&mut app.connect())
    .expect("it can be counted");
    (counts.files, counts.pieces)
}

#[actix_web::test]
async fn a_form_with_files_arrives_whole_and_its_bytes_do_not_stay() {
    let world = World::start().await;
    let bytes: Vec<u8> = (0..=255).cycle().take(700_000).collect();
    let files: [File<'_>; 3] = [
        ("filename=\"invoice 7.pdf\"", "application/pdf", &bytes),
        (
            "filename*=UTF-8''Gr%C3%BC%C3%9Fe.txt",
            "text/plain; charset=utf-8",
            b"Hi",
        ),
        ("filename=empty.bin", "application/octet-stream", b""),
    ];
    let body = form(&message("ada@example.com"), &files);
    let sent: Value = send(&world.app, "k1", body).await.assert_status(202).json();

    let mail = world.post.mail_to("ada@example.com").await;
    assert_eq!(mail.summary.subject.as_deref(), Some("Invoice 7"));
    assert!(
        mail.html
            .as_ref()
            .is_some_and(|html| html.contains("Dear Ada"))
    );
    let arrived: Vec<_> = mail
        .attachments
        .iter()
        .map(|file| (file.name.as_deref(), file.content_type.as_str(), file.size))
        .collect();
    let wanted = [
        (Some("invoice 7.pdf"), "application/pdf", 700_000),
        (Some("Grüße.txt"), "text/plain", 2),
        (Some("empty.bin"), "application/octet-stream", 0),
    ];
    assert_eq!(arrived, wanted);
    eventually("the bytes are deleted", || async {
        kept(&world.app) == (0, 0)
    })
    .await;
    let shown = show(&world.app, &sent["id"]).await;
    assert_eq!(shown["outcome"], "accepted");
    assert_eq!(shown["attachments"][0]["filename"], "invoice 7.pdf");
    assert_eq!(shown["attachments"][0]["size"], 700_000);
}

#[actix_web::test]
async fn files_in_the_message_itself_arrive_and_bad_ones_are_named() {
    let world = World::start().await;
    let post = |attachments: Value| {
        let mut body = message("ada@example.com");
        body["attachments"] = attachments;
        let marketer = world.app.as_role(Role::Marketer);
        async move { marketer.post("/api/v1/messages").json(&body).send().await }
    };
    let file = |name: &str, kind: &str, content: &str| json!({ "filename": name, "content_type": kind, "content": content });
    for (bad, pointer) in [
        (
            file("../a.txt", "text/plain", "SGk="),
            "/attachments/0/filename",
        ),
        (
            file("a\r\nBcc: eve@example.com", "text/plain", "SGk="),
            "/attachments/0/filename",
        ),
        (
            file("a.txt", "text/plain\r\nBcc: x", "SGk="),
            "/attachments/0/content_type",
        ),
        (
            file("a.eml", "message/rfc822", "SGk="),
            "/attachments/0/content_type",
        ),
        (
            file("a.txt", "text/plain", "no base64!"),
            "/attachments/0/content",
        ),
    ] {
        let problem = post(json!([bad])).await.assert_error(422, "invalid_input");
        assert_eq!(problem.errors[0].pointer, pointer);
    }
    assert_eq!(world.post.count(), 0);
    let two = json!([file("a.txt", "text/plain", "SGk="), { "filename": "b", "content": "" }]);
    post(two).await.assert_status(202);
    let mail = world.post.mail_to("ada@example.com").await;
    let names: Vec<_> = mail
        .attachments
        .iter()
        .map(|file| file.name.as_deref())
        .collect();
    assert_eq!(names, [Some("a.txt"), Some("b")]);
    eventually("nothing is left", || async { kept(&world.app) == (0, 0) }).await;
}

#[actix_web::test]
async fn what_is_too_much_is_refused_by_its_limit_and_leaves_nothing() {
    let post = Post::start();
    let app: TestService<Notifications> = setup(&post)
        .with("ATTACHMENT_MAX_MIB", "1")
        .with("ATTACHMENTS_MAX_MIB", "2")
        .with("ATTACHMENTS_MAX_FILES", "3")
        .start()
        .await;
    let (large, mib, half) = (vec![0; (1 << 20) + 1], vec![0; 1 << 20], vec![0; 1 << 19]);
    let file = |bytes: &'static [u8]| ("filename=a", "a/b", bytes);
    let [large, mib, half] = [large, mib, half].map(|bytes| file(Vec::leak(bytes)));
    for (files, code, pointer) in [
        (vec![half, large], "attachment_too_large", "/attachments/1"),
        (
            vec![mib, half, mib],
            "attachments_too_large",
            "/attachments",
        ),
        (vec![file(b""); 4], "too_many_attachments", "/attachments"),
    ] {
        let body = form(&message("ada@example.com"), &files);
        let problem = send(&app, "k", body).await.assert_error(413, code);
        assert_eq!(problem.errors[0].pointer, pointer);
    }
    // Refused for another reason, with its files taken in already.
    let mut missing = message("ada@example.com");
    missing["data"] = json!({});
    let body = form(&missing, &[half]);
    send(&app, "k", body)
        .await
        .assert_error(422, "missing_variable");
    eventually("nothing is left", || async { kept(&app) == (0, 0) }).await;
    let body = form(&message("ada@example.com"), &[mib, mib]);
    send(&app, "k", body).await.assert_status(202);
    assert_eq!(post.mail_to("ada@example.com").await.attachments.len(), 2);
    assert_eq!(post.count(), 1);
}

#[actix_web::test]
async fn a_form_that_cannot_be_read_says_why() {
    let world = World::start().await;
    let whole = form(&message("ada@example.com"), &[("filename=a", "a/b", b"x")]);
    let text = String::from_utf8(whole).expect("text");
    for (body, status, code) in [
        (
            text.replace("name=\"message\"", "name=\"mail\""),
            422,
            "invalid_input",
        ),
        (
            text.replace("name=\"attachment\"", "name=\"message\""),
            422,
            "invalid_input",
        ),
        (text.replace("\"to\"", "\"whom\""), 422, "invalid_input"),
        (
            text.replace("\"subject\":", "subject:"),
            400,
            "malformed_body",
        ),
        (text.replace("--limit--\r\n", ""), 400, "malformed_body"),
        (text.replace("; filename=a", ""), 422, "invalid_input"),
        ("--limit--\r\n".to_owned(), 422, "invalid_input"),
    ] {
        let answer = send(&world.app, "k", body.into_bytes()).await;
        answer.assert_error(status, code);
    }
    eventually("nothing is left", || async { kept(&world.app) == (0, 0) }).await;
    assert_eq!(world.post.count(), 0);
}

#[actix_web::test]
async fn a_key_covers_the_files() {
    let world = World::start().await;
    let with = |content: &'static [u8], name: &'static str| {
        form(&message("ada@example.com"), &[(name, "a/b", content)])
    };
    let first: Value = send(&world.app, "k", with(b"one", "filename=a"))
        .await
        .assert_status(202)
        .json();
    let again: Value = send(&world.app, "k", with(b"one", "filename=a"))
        .await
        .assert_status(202)
        .json();
    assert_eq!(first, again);
    for other in [with(b"two", "filename=a"), with(b"one", "filename=b")] {
        send(&world.app, "k", other)
            .await
            .assert_error(422, "idempotency_key_reused");
    }
    world.post.mail_to("ada@example.com").await;
    eventually("nothing is left", || async { kept(&world.app) == (0, 0) }).await;
    assert_eq!(world.post.count(), 1);
}

#[actix_web::test]
async fn files_go_with_the_person_they_go_to() {
    let post = Post::start();
    let app: TestService<Notifications> = setup(&post).system_clock().start().await;
    post.handle.set_faults(Faults {
        away: true,
        ..Faults::default()
    });
    let body = form(
        &message("Ada@example.com"),
        &[("filename=a", "a/b", b"secret")],
    );
    let hers: Value = send(&app, "k1", body).await.assert_status(202).json();
    let body = form(
        &message("grace@example.com"),
        &[("filename=a", "a/b", b"other")],
    );
    send(&app, "k2", body).await.assert_status(202);
    assert_eq!(kept(&app), (2, 2));
    let gone = LeadDeleted {
        lead_id: LeadId::new(),
        email: "ada@example.com".into(),
    };
    app.peer(Name::Leads).tell(app.workspace, &gone);
    eventually("her file is deleted", || async { kept(&app) == (1, 1) }).await;
    eventually("her mail is skipped", || async {
        show(&app, &hers["id"]).await["outcome"] == "skipped"
    })
    .await;
    post.handle.set_faults(Faults::default());
    post.mail_to("grace@example.com").await;
    assert_eq!(post.count(), 1);
}

#[actix_web::test]
async fn more_than_memory_has_room_for_waits_and_arrives() {
    let post = Post::start();
    let app: TestService<Notifications> = setup(&post)
        .with("ATTACHMENTS_MEMORY_MIB", "16")
        .system_clock()
        .start()
        .await;
    let bytes = vec![b'x'; 3 << 20];
    for number in 0..4 {
        let to = format!("p{number}@example.com");
        let body = form(&message(&to), &[("filename=a", "a/b", &bytes)]);
        send(&app, &to, body).await.assert_status(202);
    }
    let marketer = app.as_role(Role::Marketer);
    let plain = marketer
        .post("/api/v1/messages")
        .json(&message("plain@example.com"));
    plain.send().await.assert_status(202);
    post.mail_to("plain@example.com").await;
    for number in 0..4 {
        let mail = post.mail_to(&format!("p{number}@example.com")).await;
        assert_eq!(mail.attachments[0].size, 3 << 20);
    }
    assert_eq!(post.count(), 5);
}
