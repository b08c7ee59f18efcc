//! The mails that identity has notifications send, caught on their way.

use common::auth::Service;
use common::dto::dispatch::HouseMail;
use serde_json::json;
use testkit::eventually;
use wiremock::matchers::path;
use wiremock::{Mock, ResponseTemplate};

use crate::support::App;

/// Takes mails from now on.
pub(crate) async fn take(app: &App) {
    let taken = ResponseTemplate::new(202).set_body_json(json!({ "id": uuid::Uuid::now_v7() }));
    Mock::given(path("/internal/messages"))
        .respond_with(taken)
        .mount(&app.peer(Service::Notifications).server)
        .await;
}

/// All mails to this address so far, oldest first.
pub(crate) async fn all(app: &App, to: &str) -> Vec<HouseMail> {
    let server = &app.peer(Service::Notifications).server;
    let requests = server.received_requests().await.expect("it records");
    let mails = requests
        .iter()
        .filter(|request| request.url.path() == "/internal/messages")
        .map(|request| request.body_json::<HouseMail>().expect("a mail"));
    mails.filter(|mail| mail.to.as_str() == to).collect()
}

/// Waits for the `count`th mail to this address.
pub(crate) async fn nth(app: &App, to: &str, count: usize) -> HouseMail {
    eventually("the mail", || async { all(app, to).await.len() >= count }).await;
    all(app, to).await.swap_remove(count - 1)
}

/// The secret in a mail's link.
pub(crate) fn secret(mail: &HouseMail) -> String {
    let url = mail.data["url"].as_str().expect("a link");
    let secret = url.strip_prefix("http://clarion.test/a/").expect(url);
    assert!(secret.len() > 40, "{secret}");
    secret.to_owned()
}

#[actix_web::test]
async fn an_address_is_confirmed_by_the_mail_to_it_once() {
    let app = App::start().await;
    take(&app).await;
    let ada = crate::support::register(&app, "ada@example.com").await;
    let own = |field: &'static str| {
        let client = ada.client.clone();
        let path = ada.path();
        async move {
            let body: serde_json::Value = client.get(path).send().await.json();
            body[field].clone()
        }
    };
    assert_eq!(own("email_verified").await, false);
    let mail = nth(&app, "ada@example.com", 1).await;
    assert!(mail.subject.contains("confirm"), "{}", mail.subject);
    let verify = |token: &str| {
        app.anonymous()
            .post("/api/v1/email/verify")
            .json(&json!({ "token": token }))
            .send()
    };
    verify("clm_nothing")
        .await
        .assert_error(422, "link_invalid");
    verify(&secret(&mail)).await.assert_status(204);
    assert_eq!(own("email_verified").await, true);
    verify(&secret(&mail))
        .await
        .assert_error(422, "link_invalid");
    // Asking again sends nothing to somebody whose address is confirmed.
    ada.client
        .post("/api/v1/email/verification")
        .send()
        .await
        .assert_status(202);
    app.anonymous()
        .post("/api/v1/email/verification")
        .send()
        .await
        .assert_error(401, "token_missing");
    assert_eq!(all(&app, "ada@example.com").await.len(), 1);
}

#[actix_web::test]
async fn a_link_is_of_the_address_it_was_sent_to_and_expires() {
    let app = App::start().await;
    take(&app).await;
    let ada = crate::support::register(&app, "ada@example.com").await;
    let first = secret(&nth(&app, "ada@example.com", 1).await);
    ada.client
        .put(ada.path())
        .json(&json!({ "email": "ada@elsewhere.example", "current_password": crate::support::PASSWORD }))
        .send()
        .await
        .assert_status(200);
    let verify = |token: String| {
        app.anonymous()
            .post("/api/v1/email/verify")
            .json(&json!({ "token": token }))
            .send()
    };
    verify(first).await.assert_error(422, "link_invalid");
    // The old address hears of it, the new one is asked.
    let notice = nth(&app, "ada@example.com", 2).await;
    assert!(
        notice.data["what"]
            .as_str()
            .expect("it says what")
            .contains("email address")
    );
    let second = secret(&nth(&app, "ada@elsewhere.example", 1).await);
    app.clock.advance(chrono::Duration::hours(72));
    verify(second).await.assert_error(422, "link_invalid");
}

#[actix_web::test]
async fn the_pages_behind_the_links_act_by_their_button_only() {
    let app = App::start().await;
    take(&app).await;
    let ada = crate::support::register(&app, "ada@example.com").await;
    let link = format!("/a/{}", secret(&nth(&app, "ada@example.com", 1).await));
    for _ in 0..2 {
        let page = app.anonymous().get(&link).send().await.assert_status(200);
        assert!(
            page.text().contains("<form method=\"post\">"),
            "{}",
            page.text()
        );
        let policy = page.header("content-security-policy").expect("a policy");
        assert!(policy.contains("default-src 'none'"), "{policy}");
    }
    let before: serde_json::Value = ada.client.get(ada.path()).send().await.json();
    assert_eq!(before["email_verified"], false);
    let none: [(&str, &str); 0] = [];
    app.anonymous()
        .post(&link)
        .form(&none)
        .send()
        .await
        .assert_status(200);
    let after: serde_json::Value = ada.client.get(ada.path()).send().await.json();
    assert_eq!(after["email_verified"], true);
    for answer in [
        app.anonymous().get(&link).send().await,
        app.anonymous().post(&link).form(&none).send().await,
        app.anonymous().get("/a/x").send().await,
    ] {
        assert!(
            answer
                .assert_status(404)
                .text()
                .contains("not valid any more")
        );
    }
}

#[actix_web::test]
async fn mails_and_their_pages_speak_the_language_of_the_browser() {
    const GERMAN: (&str, &str) = ("accept-language", "de-AT,de;q=0.9,en;q=0.5");
    let app = App::start().await;
    take(&app).await;
    let body =
        json!({ "name": "Ada", "email": "ada@example.com", "password": crate::support::PASSWORD });
    let register = app.anonymous().post("/api/v1/register").json(&body);
    let answer = register.header(GERMAN.0, GERMAN.1).send().await;
    let ada = crate::support::Person::of(&app, &answer.assert_status(201));
    let asked = nth(&app, "ada@example.com", 1).await;
    assert!(asked.subject.contains("bestätige"), "{}", asked.subject);
    assert!(asked.text.starts_with("Hallo"), "{}", asked.text);

    let shown = |link: String, accept: &'static str| {
        let app = &app;
        async move {
            let asking = app.anonymous().get(&link).header("accept-language", accept);
            asking.send().await
        }
    };
    let link = format!("/a/{}", secret(&asked));
    for (accept, tag, title) in [
        (GERMAN.1, "de", "Bestätige deine E-Mail-Adresse"),
        ("en-GB", "en", "Confirm your email address"),
        ("fr", "en", "Confirm your email address"),
    ] {
        let page = shown(link.clone(), accept).await.assert_status(200);
        assert_eq!(page.header("content-language"), Some(tag));
        assert!(page.text().contains(&format!("<html lang=\"{tag}\">")));
        assert!(page.text().contains(title), "{}", page.text());
    }
    let gone = shown("/a/x".into(), "de").await.assert_status(404);
    assert!(gone.text().contains("gilt nicht mehr"), "{}", gone.text());

    // A new password, whose page says in German why it refuses one.
    let forgot = app.anonymous().post("/api/v1/password/forgot");
    let forgot = forgot.json(&json!({ "email": "ada@example.com" }));
    let forgot = forgot.header(GERMAN.0, GERMAN.1).send().await;
    forgot.assert_status(202);
    let reset = nth(&app, "ada@example.com", 2).await;
    assert_eq!(reset.subject, "Ein neues Passwort für Clarion");
    let post = |password: &'static str| {
        let request = app.anonymous().post(format!("/a/{}", secret(&reset)));
        let request = request.form(&[("password", password)]);
        request.header(GERMAN.0, GERMAN.1).send()
    };
    let refused = post("short").await.assert_status(422);
    assert!(
        refused
            .text()
            .contains("Das Passwort muss 8 bis 128 Zeichen lang sein."),
        "{}",
        refused.text()
    );
    let set = post("a wholly new password").await.assert_status(200);
    assert!(set.text().contains("Erledigt"), "{}", set.text());
    let notice = nth(&app, "ada@example.com", 3).await;
    assert_eq!(notice.data["what"], "wurde dein Passwort geändert");

    // An invitation is in the language of whoever invites, its page in the reader's.
    let again = crate::support::login(&app, "ada@example.com", "a wholly new password").await;
    let ada = crate::support::Person {
        client: crate::support::Person::of(&app, &again.assert_status(200)).client,
        ..ada
    };
    let invite = ada.client.post("/api/v1/invitations");
    let invite = invite.json(&json!({ "email": "bob@example.com", "role": "analyst" }));
    let invite = invite.header(GERMAN.0, GERMAN.1).send().await;
    invite.assert_status(201);
    let invited = nth(&app, "bob@example.com", 1).await;
    assert!(
        invited.subject.starts_with("Einladung"),
        "{}",
        invited.subject
    );
    let link = format!("/a/{}", secret(&invited));
    let page = shown(link.clone(), "de").await.assert_status(200);
    assert!(page.text().contains("Dein Name"), "{}", page.text());
    let page = shown(link, "en").await.assert_status(200);
    assert!(page.text().contains("Your name"), "{}", page.text());
}
