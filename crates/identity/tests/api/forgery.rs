//! Tokens that identity did not sign, or not like this.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use testkit::Client;

use crate::support::{App, Person, register};

fn encode(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn decode(part: &str) -> Value {
    let bytes = URL_SAFE_NO_PAD.decode(part).expect("base64url");
    serde_json::from_slice(&bytes).expect("JSON")
}

/// A genuine token in its parts.
struct Parts {
    header: Value,
    claims: Value,
    head: String,
    body: String,
    signature: String,
}

impl Parts {
    fn of(person: &Person) -> Self {
        let parts: Vec<_> = person.access.split('.').collect();
        Self {
            header: decode(parts[0]),
            claims: decode(parts[1]),
            head: parts[0].into(),
            body: parts[1].into(),
            signature: parts[2].into(),
        }
    }

    fn with_header(&self, name: &str, value: Value) -> String {
        let mut header = self.header.clone();
        header[name] = value;
        format!("{}.{}.{}", encode(&header), self.body, self.signature)
    }

    fn with_claim(&self, name: &str, value: Value) -> String {
        let mut claims = self.claims.clone();
        claims[name] = value;
        format!("{}.{}.{}", self.head, encode(&claims), self.signature)
    }

    /// Signed with a secret that the attacker knows: the public key, by HMAC.
    fn hmac(&self, secret: &[u8]) -> String {
        let mut header = self.header.clone();
        header["alg"] = json!("HS256");
        let signed = format!("{}.{}", encode(&header), self.body);
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret);
        let tag = aws_lc_rs::hmac::sign(&key, signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag.as_ref()))
    }
}

/// Any claims under any header, signed by a key of the attacker's own.
fn signed_by_stranger(header: &Value, claims: &Value) -> String {
    let key = aws_lc_rs::signature::Ed25519KeyPair::generate().expect("a key pair");
    let signed = format!("{}.{}", encode(header), encode(claims));
    let signature = key.sign(signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
}

async fn assert_refused(app: &App, path: &str, what: &str, token: &str) {
    let answer = Client::new(app.url(), Some(token.to_owned()))
        .get(path)
        .send()
        .await;
    assert_eq!(answer.status, 401, "{what}: {}", answer.text());
    answer.assert_error(401, "token_invalid");
}

#[actix_web::test]
async fn forged_tokens_are_refused() {
    let app = App::start().await;
    let ada = register(&app, "ada@example.com").await;
    let parts = Parts::of(&ada);
    let jwks: Value = app
        .anonymous()
        .get("/api/v1/.well-known/jwks.json")
        .send()
        .await
        .json();
    let x = jwks["keys"][0]["x"].as_str().expect("a key").to_owned();
    let raw = URL_SAFE_NO_PAD.decode(&x).expect("base64url");
    let none = json!({ "alg": "none", "typ": "at+jwt", "kid": parts.header["kid"] });
    let unsigned = format!("{}.{}.", encode(&none), parts.body);
    let mut long = parts.signature.clone();
    long.push_str("AAAA");

    let forged = [
        ("alg none", unsigned),
        (
            "alg none with the signature",
            parts.with_header("alg", json!("none")),
        ),
        ("alg None", parts.with_header("alg", json!("None"))),
        ("no signature", format!("{}.{}.", parts.head, parts.body)),
        ("two parts", format!("{}.{}", parts.head, parts.body)),
        ("four parts", format!("{}.{}", ada.access, parts.signature)),
        (
            "a longer signature",
            format!("{}.{}.{long}", parts.head, parts.body),
        ),
        ("HS256 with the public key", parts.hmac(&raw)),
        ("HS256 with its text", parts.hmac(x.as_bytes())),
        ("HS256 with no key", parts.hmac(b"")),
        (
            "another algorithm",
            parts.with_header("alg", json!("ES256")),
        ),
        ("another type", parts.with_header("typ", json!("JWT"))),
        ("an unknown kid", parts.with_header("kid", json!("other"))),
        (
            "a kid that is a path",
            parts.with_header("kid", json!("../../dev/null")),
        ),
        (
            "a kid that is SQL",
            parts.with_header("kid", json!("' OR 1=1 --")),
        ),
        (
            "jku",
            parts.with_header("jku", json!("https://evil.example/jwks")),
        ),
        ("jwk", parts.with_header("jwk", jwks["keys"][0].clone())),
        (
            "x5u",
            parts.with_header("x5u", json!("https://evil.example/x")),
        ),
        ("crit", parts.with_header("crit", json!(["exp"]))),
        (
            "an edited subject",
            parts.with_claim("sub", json!("service:gateway")),
        ),
        ("an edited role", parts.with_claim("role", json!("admin"))),
        (
            "an edited scope",
            parts.with_claim("scope", json!("leads:read")),
        ),
        (
            "an edited expiry",
            parts.with_claim("exp", json!(4_000_000_000_i64)),
        ),
        (
            "an edited workspace",
            parts.with_claim("wid", json!(common::WorkspaceId::new())),
        ),
        (
            "another issuer",
            parts.with_claim("iss", json!("elsewhere")),
        ),
        (
            "another audience",
            parts.with_claim("aud", json!("elsewhere")),
        ),
        (
            "signed by a stranger",
            signed_by_stranger(&parts.header, &parts.claims),
        ),
        ("not a token", "x".to_owned()),
        ("dots", "..".to_owned()),
    ];
    for (what, token) in &forged {
        assert_refused(&app, &ada.path(), what, token).await;
    }
    ada.client.get(ada.path()).send().await.assert_status(200);
}

#[actix_web::test]
async fn what_the_right_key_signed_wrongly_is_refused() {
    use diesel::prelude::*;
    use diesel::sql_types::Binary;

    #[derive(QueryableByName)]
    struct Key {
        #[diesel(sql_type = Binary)]
        pkcs8: Vec<u8>,
    }

    let app = App::start().await;
    let ada = register(&app, "ada@example.com").await;
    let parts = Parts::of(&ada);
    let key: Key = diesel::sql_query("SELECT pkcs8 FROM signing_keys")
        .get_result(&mut app.connect())
        .expect("there is a key");
    let key = app.vault().open(&key.pkcs8).expect("it was sealed");
    let key = aws_lc_rs::signature::Ed25519KeyPair::from_pkcs8(&key).expect("a key pair");
    let sign = |header: &Value, claims: &Value| {
        let signed = format!("{}.{}", encode(header), encode(claims));
        let signature = URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes()).as_ref());
        format!("{signed}.{signature}")
    };
    let claims = |name: &str, value: Value| {
        let mut claims = parts.claims.clone();
        claims[name] = value;
        sign(&parts.header, &claims)
    };
    let now = app.clock.now().timestamp();
    let genuine = sign(&parts.header, &parts.claims);
    Client::new(app.url(), Some(genuine))
        .get(ada.path())
        .send()
        .await
        .assert_status(200);
    for (what, token) in [
        ("another issuer", claims("iss", json!("elsewhere"))),
        ("another audience", claims("aud", json!("elsewhere"))),
        ("from the future", claims("iat", json!(now + 3_600))),
        ("an unknown kind of subject", claims("sub", json!("root:1"))),
        ("a person of no workspace", claims("wid", Value::Null)),
        ("no expiry", claims("exp", Value::Null)),
        ("another type", {
            let mut header = parts.header.clone();
            header["typ"] = json!("JWT");
            sign(&header, &parts.claims)
        }),
    ] {
        assert_refused(&app, &ada.path(), what, &token).await;
    }
    let expired = claims("exp", json!(now));
    Client::new(app.url(), Some(expired))
        .get(ada.path())
        .send()
        .await
        .assert_error(401, "token_expired");
}

#[actix_web::test]
async fn a_token_comes_once_and_as_a_bearer_token() {
    let app = App::start().await;
    let ada = register(&app, "ada@example.com").await;
    let bearer = format!("Bearer {}", ada.access);
    for header in ["Basic abc", "Bearer", &ada.access] {
        app.anonymous()
            .get(ada.path())
            .header("authorization", header)
            .send()
            .await
            .assert_error(401, "token_missing");
    }
    app.anonymous()
        .get(ada.path())
        .header("authorization", &bearer)
        .header("authorization", &bearer)
        .send()
        .await
        .assert_error(401, "token_missing");
}
