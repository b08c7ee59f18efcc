//! Signing in with an OpenID provider, as a browser does it: through the gateway.

use serde_json::{Value, json};
use testkit::{Client, OidcProvider, Response, Servers, Setup};

use crate::world::{Browser, World};

fn cookies(answer: &Response) -> Vec<String> {
    let all = answer.headers.get_all("set-cookie").into_iter();
    let pairs = all.filter_map(|value| value.to_str().ok()?.split(';').next());
    pairs.map(str::to_owned).collect()
}

#[actix_web::test]
async fn a_browser_signs_in_with_a_provider_and_links_it() {
    let provider = OidcProvider::start();
    let setup = Setup::on(Servers::shared())
        .system_clock()
        .with("IDENTITY_OIDC_ISSUER", provider.issuer())
        .with("IDENTITY_OIDC_CLIENT_ID", OidcProvider::CLIENT_ID)
        .with("IDENTITY_OIDC_CLIENT_SECRET", OidcProvider::CLIENT_SECRET);
    let world = World::of(setup.start().await);
    let gateway = world.gateway(&[]).await;
    let (url, front) = (gateway.url(), Client::new(gateway.url(), None));
    // Their browser says that another site sent them back, and asks for a page.
    let come_back = async |to: &str, cookies: &str| {
        let path = to.strip_prefix("http://clarion.test").expect(to);
        let request = front.get(path).header("cookie", cookies);
        let request = request.header("sec-fetch-site", "cross-site");
        request.header("accept", "text/html").send().await
    };

    let ada = world.register("ada@example.com").await;
    let browser = Browser::sign_in(&url, &ada.email).await;
    let to_links = "/api/v1/oidc/links";
    // Another site cannot link anybody, nor without the session's token.
    let forged = front
        .post(to_links)
        .json(&json!({}))
        .header("cookie", &browser.cookie);
    forged.send().await.assert_error(403, "csrf_mismatch");
    let begun = browser
        .post(&url, to_links, &json!({}))
        .await
        .assert_status(201);
    let [binding] = &cookies(&begun)[..] else {
        panic!("one cookie");
    };
    let body: Value = begun.json();
    let away = body["authorization_url"].as_str().expect("an address");
    let back = provider.consent(away).await;
    let both = format!("{}; {binding}", browser.cookie);
    come_back(&back, &both).await.assert_status(303);
    let links: Value = browser.get(&url, to_links).await.assert_status(200).json();
    assert_eq!(links["items"][0]["email"], "ada@example.com");

    let start = front
        .get("/api/v1/oidc/start")
        .send()
        .await
        .assert_status(303);
    let away = start.header("location").expect("an address");
    let back = provider.consent(away).await;
    let done = come_back(&back, &cookies(&start)[0])
        .await
        .assert_status(303);
    let session = cookies(&done)
        .into_iter()
        .find(|pair| pair.starts_with("__Host-clarion_session="))
        .expect("a session");
    let seen = front.get("/api/v1/session").header("cookie", &session);
    let seen: Value = seen.send().await.assert_status(200).json();
    assert_eq!(seen["user"]["id"], ada.id.as_str());
    let users = front.get("/api/v1/users").header("cookie", &session);
    users.send().await.assert_status(200);
    // Once more the same answer is nobody's.
    let page = come_back(&back, &cookies(&start)[0])
        .await
        .assert_status(422);
    assert!(page.text().contains("begin anew"), "{}", page.text());
    // The form for a code is taken from our own pages only.
    let form = front
        .post("/api/v1/oidc/second-factor")
        .header("sec-fetch-site", "cross-site")
        .form(&json!({ "code": "000000" }));
    form.send().await.assert_error(403, "cross_site");
}
