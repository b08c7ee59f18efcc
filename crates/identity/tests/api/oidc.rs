//! Signing in with an OpenID provider, which is `testkit`'s.

use chrono::Duration;
use serde_json::{Value, json};
use testkit::{Client, OidcProvider, Response, Servers, Setup, Wrong};

use crate::support::{App, PASSWORD, Person, login, register};

const HTML: (&str, &str) = ("accept", "text/html,application/xhtml+xml");
const SESSION: &str = "__Host-clarion_session";
const BINDING: &str = "__Host-clarion_oidc";

fn setup(provider: &OidcProvider) -> Setup<'static> {
    with(Setup::default(), provider)
}

fn with<'a>(setup: Setup<'a>, provider: &OidcProvider) -> Setup<'a> {
    setup
        .with("IDENTITY_OIDC_ISSUER", provider.issuer())
        .with("IDENTITY_OIDC_CLIENT_ID", OidcProvider::CLIENT_ID)
        .with("IDENTITY_OIDC_CLIENT_SECRET", OidcProvider::CLIENT_SECRET)
        .with("IDENTITY_OIDC_NAME", "Example ID")
}

async fn world() -> (OidcProvider, App) {
    let provider = OidcProvider::start();
    let app = setup(&provider).start().await;
    (provider, app)
}

/// A browser: the cookies that it was given.
#[derive(Clone, Default)]
struct Browser(Vec<(String, String)>);

impl Browser {
    fn take(&mut self, answer: &Response) {
        for value in answer.headers.get_all("set-cookie") {
            let text = value.to_str().expect("ASCII");
            for part in ["HttpOnly", "Secure", "SameSite=Lax", "Path=/"] {
                assert!(text.contains(part), "{part} in {text}");
            }
            let (name, value) = text
                .split(';')
                .next()
                .and_then(|pair| pair.split_once('='))
                .expect("a pair");
            self.0.retain(|(known, _)| known != name);
            if !value.is_empty() {
                self.0.push((name.to_owned(), value.to_owned()));
            }
        }
    }

    fn header(&self) -> String {
        let pairs: Vec<_> = self
            .0
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        pairs.join("; ")
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    async fn get(&mut self, app: &App, path: &str) -> Response {
        self.get_as(app, path, "*/*").await
    }

    async fn get_as(&mut self, app: &App, path: &str, accept: &str) -> Response {
        let request = app.anonymous().get(path).header("cookie", &self.header());
        let answer = request.header("accept", accept).send().await;
        self.take(&answer);
        answer
    }

    /// To the provider; its address.
    async fn begin(&mut self, app: &App) -> String {
        let answer = self
            .get(app, "/api/v1/oidc/start?return_to=/campaigns")
            .await;
        let answer = answer.assert_status(303);
        answer.header("location").expect("an address").to_owned()
    }

    /// To the provider and back: the address of ours.
    async fn away(&mut self, app: &App, provider: &OidcProvider) -> String {
        let url = self.begin(app).await;
        ours(&provider.consent(&url).await)
    }

    /// To the provider and back to us.
    async fn sign_in(&mut self, app: &App, provider: &OidcProvider) -> Response {
        let back = self.away(app, provider).await;
        self.get(app, &back).await
    }

    async fn session(&mut self, app: &App) -> Value {
        self.get(app, "/api/v1/session")
            .await
            .assert_status(200)
            .json()
    }

    async fn code(&mut self, app: &App, code: &str) -> Response {
        let answer = app
            .anonymous()
            .post("/api/v1/oidc/second-factor")
            .header("cookie", &self.header())
            .form(&json!({ "code": code }))
            .send()
            .await;
        self.take(&answer);
        answer
    }
}

/// The path of our address that the provider sends a browser to.
fn ours(url: &str) -> String {
    let path = url.strip_prefix("http://clarion.test").expect(url);
    assert!(path.starts_with("/api/v1/oidc/callback?"), "{path}");
    path.to_owned()
}

/// Links somebody who is signed in, as their dashboard does.
async fn link(app: &App, provider: &OidcProvider, person: &Person) -> (Browser, Response) {
    let mut browser = Browser::default();
    let body = json!({ "email": person.email, "password": PASSWORD });
    let session = app
        .anonymous()
        .post("/api/v1/session")
        .json(&body)
        .send()
        .await;
    browser.take(&session.assert_status(201));
    let back = begin_link(app, provider, &mut browser).await;
    let answer = browser.get(app, &back).await;
    (browser, answer)
}

/// What the gateway makes of a browser's request: a token of its session.
async fn token(app: &App, browser: &Browser) -> Client {
    use common::auth::Service;
    use common::dto::access::{Credential, IssuedToken};
    let cookie = browser
        .0
        .iter()
        .find(|(name, _)| name == SESSION)
        .expect("a session");
    let issued: IssuedToken = crate::api_keys::service(app, Service::Gateway)
        .await
        .post("/internal/exchange")
        .json(&Credential::Session(cookie.1.clone()))
        .send()
        .await
        .assert_status(200)
        .json();
    Client::new(app.url(), Some(issued.access_token))
}

async fn begin_link(app: &App, provider: &OidcProvider, browser: &mut Browser) -> String {
    let answer = token(app, browser)
        .await
        .post("/api/v1/oidc/links")
        .header("cookie", &browser.header())
        .json(&json!({ "return_to": "/settings" }))
        .send()
        .await
        .assert_status(201);
    browser.take(&answer);
    let body: Value = answer.json();
    ours(
        &provider
            .consent(body["authorization_url"].as_str().expect("an address"))
            .await,
    )
}

async fn links(person: &Person) -> Vec<Value> {
    let answer = person.client.get("/api/v1/oidc/links").send().await;
    let body: Value = answer.assert_status(200).json();
    body["items"].as_array().expect("items").clone()
}

#[actix_web::test]
async fn somebody_new_opens_a_workspace_and_comes_again() {
    let (provider, app) = world().await;
    let offered: Value = app.anonymous().get("/api/v1/oidc").send().await.json();
    assert_eq!(offered, json!({ "enabled": true, "name": "Example ID" }));
    let mut browser = Browser::default();
    let answer = browser.sign_in(&app, &provider).await.assert_status(303);
    assert_eq!(answer.header("location"), Some("/campaigns"));
    assert!(
        browser.has(SESSION) && !browser.has(BINDING),
        "{}",
        browser.header()
    );
    let seen = browser.session(&app).await;
    assert_eq!(seen["user"]["email"], "ada@example.com");
    assert_eq!(seen["user"]["name"], "Ada Lovelace");
    assert_eq!(seen["user"]["role"], "owner");
    assert_eq!(seen["user"]["email_verified"], true);
    // No password is theirs.
    for password in ["!", "", PASSWORD] {
        login(&app, "ada@example.com", password)
            .await
            .assert_error(401, "wrong_credentials");
    }
    // The provider's name for them counts, whatever their address is by now.
    provider.person(|person| person.email = Some("ada@elsewhere.example".into()));
    let mut again = Browser::default();
    again.sign_in(&app, &provider).await.assert_status(303);
    let later = again.session(&app).await;
    assert_eq!(later["user"]["id"], seen["user"]["id"]);
    assert_ne!(again.header(), browser.header());
    assert_eq!(app.events(), ["workspace.created", "user.created"]);
}

#[actix_web::test]
async fn the_trail_says_who_signed_up() {
    let (provider, app) = world().await;
    let mut browser = Browser::default();
    browser.sign_in(&app, &provider).await.assert_status(303);
    let id = browser.session(&app).await["user"]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let client = token(&app, &browser).await;
    testkit::eventually("the trail", || async {
        let trail = client.get("/api/v1/audit").send().await.assert_status(200);
        let trail: Value = trail.json();
        let items = trail["items"].as_array().expect("items").clone();
        let of = |resource: &str| {
            items
                .iter()
                .find(|item| item["resource"] == resource)
                .cloned()
                .unwrap_or_default()
        };
        let link = of("external_identities");
        link["actor"] == format!("user:{id}") && of("workspaces")["actor"] == link["actor"]
    })
    .await;
}

#[actix_web::test]
async fn an_address_alone_lets_nobody_into_an_account() {
    let (provider, app) = world().await;
    register(&app, "ada@example.com").await;
    let mut browser = Browser::default();
    browser
        .sign_in(&app, &provider)
        .await
        .assert_error(409, "link_first");
    assert!(!browser.has(SESSION), "{}", browser.header());
    provider.person(|person| person.email = Some(" ADA@example.com".trim().into()));
    browser
        .sign_in(&app, &provider)
        .await
        .assert_error(409, "link_first");
    let back = browser.away(&app, &provider).await;
    let page = browser.get_as(&app, &back, HTML.1).await.assert_status(409);
    assert!(
        page.text()
            .contains("There is an account with your email address"),
        "{}",
        page.text()
    );
    // Nor into a new one, when the provider does not know that it is theirs.
    for change in [
        |person: &mut testkit::Vouched| person.email_verified = false,
        |person: &mut testkit::Vouched| (person.email, person.email_verified) = (None, true),
        |person: &mut testkit::Vouched| person.email = Some("no address".into()),
    ] {
        provider.person(|person| person.email = Some("new@example.com".into()));
        provider.person(change);
        browser
            .sign_in(&app, &provider)
            .await
            .assert_error(403, "email_not_vouched_for");
    }
    assert_eq!(app.events(), ["workspace.created", "user.created"]);
}

#[actix_web::test]
async fn nobody_new_comes_in_where_registration_is_closed() {
    let provider = OidcProvider::start();
    let app: App = setup(&provider)
        .with("IDENTITY_REGISTRATION", "closed")
        .with("CLARION_OWNER_EMAIL", "owner@example.com")
        .with("CLARION_OWNER_PASSWORD", PASSWORD)
        .start()
        .await;
    let mut browser = Browser::default();
    browser
        .sign_in(&app, &provider)
        .await
        .assert_error(403, "registration_closed");
    let owner = Person::of(
        &app,
        &login(&app, "owner@example.com", PASSWORD)
            .await
            .assert_status(200),
    );
    let (_, linked) = link(&app, &provider, &owner).await;
    linked.assert_status(303);
    browser.sign_in(&app, &provider).await.assert_status(303);
    assert_eq!(browser.session(&app).await["user"]["id"], owner.id.as_str());
}

#[actix_web::test]
async fn somebody_signed_in_links_themselves_and_unlinks() {
    let (provider, app) = world().await;
    crate::mails::take(&app).await;
    provider.person(|person| person.email = Some("other@example.com".into()));
    let ada = register(&app, "ada@example.com").await;
    let (mut browser, answer) = link(&app, &provider, &ada).await;
    assert_eq!(
        answer.assert_status(303).header("location"),
        Some("/settings")
    );
    let known = links(&ada).await;
    assert_eq!(known.len(), 1, "{known:?}");
    assert_eq!(known[0]["email"], "other@example.com");
    assert_eq!(known[0]["issuer"], provider.issuer());
    let notice = crate::mails::nth(&app, &ada.email, 2).await;
    assert!(
        notice.data["what"]
            .as_str()
            .is_some_and(|what| what.contains("linked")),
        "{notice:?}"
    );
    // Once more changes nothing.
    let back = begin_link(&app, &provider, &mut browser).await;
    browser.get(&app, &back).await.assert_status(303);
    assert_eq!(links(&ada).await.len(), 1);
    let mut other = Browser::default();
    other.sign_in(&app, &provider).await.assert_status(303);
    assert_eq!(other.session(&app).await["user"]["id"], ada.id.as_str());

    // What somebody is known by is nobody else's.
    let eve = register(&app, "eve@example.com").await;
    let (_, refused) = link(&app, &provider, &eve).await;
    refused.assert_error(409, "linked_elsewhere");
    let path = format!(
        "/api/v1/oidc/links/{}",
        known[0]["id"].as_str().expect("an id")
    );
    eve.client
        .delete(&path)
        .send()
        .await
        .assert_error(404, "link_not_found");
    ada.client.delete(&path).send().await.assert_status(204);
    ada.client
        .delete(&path)
        .send()
        .await
        .assert_error(404, "link_not_found");
    assert!(links(&ada).await.is_empty());
    // The address is another one: they are somebody new.
    other.sign_in(&app, &provider).await.assert_status(303);
    assert_ne!(other.session(&app).await["user"]["id"], ada.id.as_str());
}

#[actix_web::test]
async fn the_last_way_in_is_not_removed() {
    let (provider, app) = world().await;
    let mut browser = Browser::default();
    browser.sign_in(&app, &provider).await.assert_status(303);
    let client = token(&app, &browser).await;
    let listed: Value = client
        .get("/api/v1/oidc/links")
        .send()
        .await
        .assert_status(200)
        .json();
    let path = format!(
        "/api/v1/oidc/links/{}",
        listed["items"][0]["id"].as_str().expect("an id")
    );
    client
        .delete(&path)
        .send()
        .await
        .assert_error(409, "last_way_in");
    let mut again = Browser::default();
    again.sign_in(&app, &provider).await.assert_status(303);
}

#[actix_web::test]
async fn a_link_is_made_only_while_whoever_asked_is_signed_in() {
    let (provider, app) = world().await;
    let (ada, eve) = (
        register(&app, "a@example.com").await,
        register(&app, "eve@example.com").await,
    );
    let mut browser = Browser::default();
    let body = |person: &Person| json!({ "email": person.email, "password": PASSWORD });
    let session = app
        .anonymous()
        .post("/api/v1/session")
        .json(&body(&ada))
        .send()
        .await;
    browser.take(&session.assert_status(201));
    let back = begin_link(&app, &provider, &mut browser).await;
    // Somebody else signs in meanwhile.
    let session = app
        .anonymous()
        .post("/api/v1/session")
        .json(&body(&eve))
        .send()
        .await;
    browser.take(&session.assert_status(201));
    browser
        .get(&app, &back)
        .await
        .assert_error(401, "session_missing");
    let mut gone = browser.clone();
    let back = begin_link(&app, &provider, &mut browser).await;
    gone.0.retain(|(name, _)| name == BINDING);
    gone.get(&app, &back)
        .await
        .assert_error(401, "session_missing");
    assert!(links(&ada).await.is_empty() && links(&eve).await.is_empty());
    // A key is nobody, and a program has no browser to come back with.
    let key = crate::api_keys::token_of_key(&app, &ada, &["users:read"]).await;
    let program = Client::new(app.url(), Some(key));
    let asked = program
        .post("/api/v1/oidc/links")
        .json(&json!({}))
        .send()
        .await;
    asked.assert_error(403, "people_only");
    program
        .get("/api/v1/oidc/links")
        .send()
        .await
        .assert_error(403, "people_only");
}

#[actix_web::test]
async fn a_second_factor_is_asked_for_as_with_a_password() {
    let (provider, app) = world().await;
    let ada = register(&app, "ada@example.com").await;
    let (_, codes) = crate::second_factor::enrol(&app, &ada).await;
    let mut browser = Browser::default();
    let body = json!({ "email": ada.email, "password": PASSWORD, "code": codes[0] });
    let session = app
        .anonymous()
        .post("/api/v1/session")
        .json(&body)
        .send()
        .await;
    browser.take(&session.assert_status(201));
    let back = begin_link(&app, &provider, &mut browser).await;
    browser.get(&app, &back).await.assert_status(303);

    let mut browser = Browser::default();
    browser
        .code(&app, &codes[1])
        .await
        .assert_error(422, "sign_in_lost");
    let page = browser.sign_in(&app, &provider).await.assert_status(200);
    assert!(
        page.text()
            .contains("action=\"/api/v1/oidc/second-factor\""),
        "{}",
        page.text()
    );
    assert!(!browser.has(SESSION), "{}", browser.header());
    let as_json = app.anonymous().post("/api/v1/oidc/second-factor");
    let as_json = as_json.header("cookie", &browser.header());
    let as_json = as_json.json(&json!({ "code": codes[1] })).send().await;
    as_json.assert_error(415, "no_form");
    // Another browser has not come this far.
    let mut other = Browser::default();
    other.begin(&app).await;
    other
        .code(&app, &codes[1])
        .await
        .assert_error(422, "sign_in_lost");
    browser
        .code(&app, "000000")
        .await
        .assert_error(401, "code_wrong");
    assert!(!browser.has(SESSION), "{}", browser.header());
    let mut used = browser.clone();
    let done = browser.code(&app, &codes[1]).await.assert_status(303);
    assert_eq!(done.header("location"), Some("/campaigns"));
    assert_eq!(browser.session(&app).await["user"]["id"], ada.id.as_str());
    used.code(&app, &codes[2])
        .await
        .assert_error(422, "sign_in_lost");

    // It waits ten minutes, and wrong ones are counted with those of the password.
    let mut late = Browser::default();
    late.sign_in(&app, &provider).await.assert_status(200);
    app.clock.advance(Duration::seconds(599));
    // One was wrong while enrolling, one above.
    for _ in 0..8 {
        late.code(&app, "000000")
            .await
            .assert_error(401, "code_wrong");
    }
    late.code(&app, &codes[2])
        .await
        .assert_error(429, "too_many_attempts");
    app.clock.advance(Duration::seconds(1));
    late.code(&app, &codes[2])
        .await
        .assert_error(422, "sign_in_lost");
}

#[actix_web::test]
async fn what_the_provider_says_must_be_true_in_every_part() {
    let (provider, app) = world().await;
    for wrong in [
        Wrong::Nonce,
        Wrong::NoNonce,
        Wrong::Audience,
        Wrong::SecondAudience,
        Wrong::OtherParty,
        Wrong::Issuer,
        Wrong::Expired,
        Wrong::IssuedLongAgo,
        Wrong::FromTheFuture,
        Wrong::AlgNone,
        Wrong::AlgHmac,
        Wrong::AlgConfusion,
        Wrong::ForgedKey,
        Wrong::UnknownKey,
        Wrong::EditedClaims,
        Wrong::Subject,
        Wrong::NotAToken,
        Wrong::NoToken,
        Wrong::IssParameter,
    ] {
        provider.does_wrong(wrong);
        let mut browser = Browser::default();
        let answer = browser.sign_in(&app, &provider).await;
        assert!(!browser.has(SESSION), "{wrong:?}: {}", browser.header());
        assert_eq!(answer.status, 401, "{wrong:?}: {}", answer.text());
        answer.assert_error(401, "id_token_wrong");
    }
    assert!(app.events().is_empty(), "{:?}", app.events());
    provider.does_wrong(None);
    Browser::default()
        .sign_in(&app, &provider)
        .await
        .assert_status(303);
}

#[actix_web::test]
async fn nobody_finishes_what_another_browser_began() {
    let (provider, app) = world().await;
    let (mut victim, mut attacker) = (Browser::default(), Browser::default());
    let back = attacker.away(&app, &provider).await;
    victim.begin(&app).await;
    // The attacker's answer in the victim's browser would sign them in as the attacker.
    victim
        .get(&app, &back)
        .await
        .assert_error(422, "sign_in_lost");
    // Seen once, it is used up for everybody.
    attacker
        .get(&app, &back)
        .await
        .assert_error(422, "sign_in_lost");
    Browser::default()
        .get(&app, &back)
        .await
        .assert_error(422, "sign_in_lost");
    let (mine, theirs) = (
        attacker.away(&app, &provider).await,
        victim.away(&app, &provider).await,
    );
    let code = |path: &str| {
        let url = url::Url::parse(&format!("http://clarion.test{path}")).expect("an address");
        let code = url.query_pairs().find(|(name, _)| name == "code");
        code.expect("a code").1.into_owned()
    };
    // Somebody else's code does not fit to what this browser began.
    let injected = mine.replace(&code(&mine), &code(&theirs));
    attacker
        .get(&app, &injected)
        .await
        .assert_error(401, "provider_says_no");
    for path in ["", "?code=x", "?state=x&code=x", "?state=x"] {
        let path = format!("/api/v1/oidc/callback{path}");
        attacker
            .get(&app, &path)
            .await
            .assert_error(422, "sign_in_lost");
    }
    assert!(app.events().is_empty(), "{:?}", app.events());
}

#[actix_web::test]
async fn a_code_works_once_and_a_sign_in_lasts_ten_minutes() {
    let (provider, app) = world().await;
    let mut browser = Browser::default();
    let (first, second) = (
        browser.away(&app, &provider).await,
        browser.away(&app, &provider).await,
    );
    let value = |path: &str, wanted: &str| {
        let url = url::Url::parse(&format!("http://clarion.test{path}")).expect("an address");
        let pair = url.query_pairs().find(|(name, _)| name == wanted);
        pair.expect("it is there").1.into_owned()
    };
    // Both tabs of one browser come back.
    let mut tab = browser.clone();
    browser.get(&app, &first).await.assert_status(303);
    let reused = second.replace(&value(&second, "code"), &value(&first, "code"));
    tab.get(&app, &reused)
        .await
        .assert_error(401, "provider_says_no");
    assert_eq!(provider.codes_refused(), 1);
    let third = tab.away(&app, &provider).await;
    app.clock.advance(Duration::seconds(600));
    tab.get(&app, &third)
        .await
        .assert_error(422, "sign_in_lost");
}

#[actix_web::test]
async fn somebody_who_says_no_at_the_provider_is_told_so() {
    let (provider, app) = world().await;
    provider.does_wrong(Wrong::Denied);
    let mut browser = Browser::default();
    let back = browser.away(&app, &provider).await;
    let page = browser.get_as(&app, &back, HTML.1).await.assert_status(401);
    assert!(
        page.text()
            .contains("The identity provider does not let you in."),
        "{}",
        page.text()
    );
    assert!(page.header("content-security-policy").is_some());
}

#[actix_web::test]
async fn a_provider_that_is_away_is_said_to_be() {
    let (provider, app) = world().await;
    let mut browser = Browser::default();
    let back = browser.away(&app, &provider).await;
    provider.does_wrong(Wrong::TokenEndpoint);
    let refused = browser.get(&app, &back).await;
    assert_eq!(refused.header("retry-after"), Some("1"));
    let problem = refused.assert_error(503, "unavailable");
    assert!(problem.detail.contains("identity provider"), "{problem:?}");
    provider.does_wrong(None);
    let back = browser.away(&app, &provider).await;
    provider.stop().await;
    browser
        .get(&app, &back)
        .await
        .assert_error(503, "unavailable");
    // What it said of itself holds on; the person sees that it does not answer.
    app.clock.advance(Duration::hours(2));
    browser.begin(&app).await;

    let app: App = setup(&provider).start().await;
    let start = app.anonymous().get("/api/v1/oidc/start").send().await;
    start.assert_error(503, "unavailable");
    // Everybody else goes on.
    register(&app, "ada@example.com").await;
}

#[actix_web::test]
async fn a_provider_that_says_it_is_another_one_is_not_asked() {
    let (provider, app) = world().await;
    provider.does_wrong(Wrong::Discovery);
    let start = app.anonymous().get("/api/v1/oidc/start").send().await;
    start.assert_error(503, "unavailable");
}

#[actix_web::test]
async fn new_keys_are_read_when_they_sign_and_not_for_every_forgery() {
    let (provider, app) = world().await;
    Browser::default()
        .sign_in(&app, &provider)
        .await
        .assert_status(303);
    Browser::default()
        .sign_in(&app, &provider)
        .await
        .assert_status(303);
    assert_eq!(provider.keys_read(), 1);
    app.clock.advance(Duration::seconds(30));
    provider.rotate();
    Browser::default()
        .sign_in(&app, &provider)
        .await
        .assert_status(303);
    assert_eq!(provider.keys_read(), 2);
    provider.does_wrong(Wrong::UnknownKey);
    for _ in 0..5 {
        Browser::default()
            .sign_in(&app, &provider)
            .await
            .assert_error(401, "id_token_wrong");
    }
    assert_eq!(provider.keys_read(), 2, "they were read a moment ago");
    app.clock.advance(Duration::seconds(10));
    Browser::default()
        .sign_in(&app, &provider)
        .await
        .assert_error(401, "id_token_wrong");
    assert_eq!(provider.keys_read(), 3);
}

#[actix_web::test]
async fn without_a_provider_nothing_of_it_is_there() {
    let app = App::start().await;
    let offered: Value = app.anonymous().get("/api/v1/oidc").send().await.json();
    assert_eq!(offered, json!({ "enabled": false, "name": null }));
    for path in ["start", "callback?state=x&code=y"] {
        let asked = app
            .anonymous()
            .get(format!("/api/v1/oidc/{path}"))
            .send()
            .await;
        asked.assert_error(404, "no_provider");
    }
    let ada = register(&app, "ada@example.com").await;
    let asked = ada
        .client
        .post("/api/v1/oidc/links")
        .json(&json!({}))
        .send()
        .await;
    asked.assert_error(404, "no_provider");
}

#[actix_web::test]
async fn nobody_is_sent_to_another_site_afterwards() {
    let (_provider, app) = world().await;
    for page in [
        "//evil.example",
        "https://evil.example/",
        "/%5Cevil.example",
        "evil",
    ] {
        let path = format!("/api/v1/oidc/start?return_to={page}");
        let problem = app
            .anonymous()
            .get(path)
            .send()
            .await
            .assert_error(422, "invalid_input");
        assert_eq!(problem.errors[0].pointer, "return_to", "{problem:?}");
    }
}

#[actix_web::test]
async fn without_redis_nobody_is_sent_away_and_nobody_comes_back() {
    let mut servers = Servers::private();
    let provider = OidcProvider::start();
    let app: App = with(Setup::default(), &provider)
        .with("REDIS_URL", servers.redis.url())
        .start()
        .await;
    let mut browser = Browser::default();
    let back = browser.away(&app, &provider).await;
    servers.redis.stop_immediate();
    browser
        .get(&app, &back)
        .await
        .assert_error(503, "unavailable");
    browser
        .get(&app, "/api/v1/oidc/start")
        .await
        .assert_error(503, "unavailable");
}

#[actix_web::test]
async fn who_has_no_password_sets_up_a_second_factor_after_signing_in() {
    let (provider, app) = world().await;
    let mut browser = Browser::default();
    browser.sign_in(&app, &provider).await.assert_status(303);
    let begin = async || {
        let client = token(&app, &browser).await;
        let request = client.post("/api/v1/second-factor").json(&json!({}));
        request.send().await
    };
    begin().await.assert_status(201);
    app.clock.advance(Duration::minutes(11));
    begin().await.assert_error(403, "proof_needed");
    // Whoever has a password must show it.
    let eve = register(&app, "eve@example.com").await;
    let refused = eve.client.post("/api/v1/second-factor").json(&json!({}));
    let problem = refused.send().await.assert_error(422, "invalid_input");
    assert_eq!(problem.errors[0].pointer, "/current_password");
}
