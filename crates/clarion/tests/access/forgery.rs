//! Forty-three kinds of forged tokens, at the gateway and at every service's own port.

use analytics::Analytics;
use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use campaigns::Campaigns;
use diesel::prelude::*;
use diesel::sql_types::Binary;
use leads::Leads;
use notifications::Notifications;
use serde_json::{Value, json};
use testkit::Client;

use crate::world::World;

fn encode(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn decode(part: &str) -> Value {
    let bytes = URL_SAFE_NO_PAD.decode(part).expect("base64url");
    serde_json::from_slice(&bytes).expect("JSON")
}

/// A genuine token in its parts, and what an attacker may know beside it.
struct Genuine {
    header: Value,
    claims: Value,
    head: String,
    body: String,
    signature: String,
    /// The published key.
    jwk: Value,
    /// The key that really signs: for tokens that only a bug of ours could make.
    key: Ed25519KeyPair,
}

impl Genuine {
    async fn of(world: &World, token: &str) -> Self {
        #[derive(QueryableByName)]
        struct Key {
            #[diesel(sql_type = Binary)]
            pkcs8: Vec<u8>,
        }
        let key: Key = diesel::sql_query("SELECT pkcs8 FROM signing_keys")
            .get_result(&mut world.identity.connect())
            .expect("there is a key");
        let key = world.identity.vault().open(&key.pkcs8);
        let key = key.expect("it was sealed");
        let set: Value = world
            .identity
            .anonymous()
            .get("/api/v1/.well-known/jwks.json")
            .send()
            .await
            .json();
        let parts: Vec<_> = token.split('.').collect();
        Self {
            header: decode(parts[0]),
            claims: decode(parts[1]),
            head: parts[0].into(),
            body: parts[1].into(),
            signature: parts[2].into(),
            jwk: set["keys"][0].clone(),
            key: Ed25519KeyPair::from_pkcs8(&key).expect("a key pair"),
        }
    }

    /// Another header over the old signature.
    fn header(&self, name: &str, value: Value) -> String {
        let mut header = self.header.clone();
        header[name] = value;
        format!("{}.{}.{}", encode(&header), self.body, self.signature)
    }

    /// Other claims over the old signature.
    fn claim(&self, name: &str, value: Value) -> String {
        let mut claims = self.claims.clone();
        claims[name] = value;
        format!("{}.{}.{}", self.head, encode(&claims), self.signature)
    }

    /// Anything, with a good signature of the right key.
    fn signed(&self, header: &Value, claims: &Value) -> String {
        sign(&self.key, header, claims)
    }

    fn signed_claim(&self, name: &str, value: Value) -> String {
        let mut claims = self.claims.clone();
        match value {
            Value::Null => drop(claims.as_object_mut().expect("claims").remove(name)),
            value => claims[name] = value,
        }
        self.signed(&self.header, &claims)
    }

    fn signed_header(&self, name: &str, value: Value) -> String {
        let mut header = self.header.clone();
        match value {
            Value::Null => drop(header.as_object_mut().expect("a header").remove(name)),
            value => header[name] = value,
        }
        self.signed(&header, &self.claims)
    }

    /// By HMAC with a secret that everybody knows.
    fn hmac(&self, secret: &[u8]) -> String {
        let mut header = self.header.clone();
        header["alg"] = json!("HS256");
        let signed = format!("{}.{}", encode(&header), self.body);
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret);
        let tag = aws_lc_rs::hmac::sign(&key, signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag.as_ref()))
    }

    /// All kinds.
    fn forgeries(&self) -> Vec<(&'static str, String)> {
        let now = self.claims["iat"].as_i64().expect("a time");
        let x = self.jwk["x"].as_str().expect("a key");
        let raw = URL_SAFE_NO_PAD.decode(x).expect("base64url");
        let stranger = Ed25519KeyPair::generate().expect("a key pair");
        let none = |alg: &str| {
            let header = json!({ "alg": alg, "typ": "at+jwt", "kid": self.header["kid"] });
            format!("{}.{}.", encode(&header), self.body)
        };
        let (head, body, signature) = (&self.head, &self.body, &self.signature);
        let mut own_jwk = self.jwk.clone();
        {
            use aws_lc_rs::signature::KeyPair;
            own_jwk["x"] = json!(URL_SAFE_NO_PAD.encode(stranger.public_key().as_ref()));
        }
        let by_stranger = |name: &str, value: Value| {
            let mut header = self.header.clone();
            header[name] = value;
            sign(&stranger, &header, &self.claims)
        };
        vec![
            ("alg none", none("none")),
            ("alg None", none("None")),
            ("alg NONE", none("NONE")),
            (
                "alg none over the signature",
                self.header("alg", json!("none")),
            ),
            ("an empty alg", self.signed_header("alg", json!(""))),
            ("no alg", self.signed_header("alg", Value::Null)),
            ("an empty signature", format!("{head}.{body}.")),
            ("no signature", format!("{head}.{body}")),
            (
                "a longer signature",
                format!("{head}.{body}.{signature}AAAA"),
            ),
            (
                "a shorter signature",
                format!("{head}.{body}.{}", &signature[..40]),
            ),
            (
                "a signature of zeros",
                format!("{head}.{body}.{}", "A".repeat(86)),
            ),
            (
                "four parts",
                format!("{head}.{body}.{signature}.{signature}"),
            ),
            ("HS256 with the public key", self.hmac(&raw)),
            (
                "HS256 with the text of the public key",
                self.hmac(x.as_bytes()),
            ),
            (
                "HS256 with the JWK",
                self.hmac(self.jwk.to_string().as_bytes()),
            ),
            ("HS256 with nothing", self.hmac(b"")),
            ("alg HS256", self.header("alg", json!("HS256"))),
            ("alg RS256", self.header("alg", json!("RS256"))),
            ("alg ES256", self.header("alg", json!("ES256"))),
            ("alg PS512", self.header("alg", json!("PS512"))),
            ("an unknown kid", by_stranger("kid", json!("other"))),
            ("no kid", self.signed_header("kid", Value::Null)),
            (
                "a kid that is a path",
                by_stranger("kid", json!("../../../dev/null")),
            ),
            (
                "a kid that is SQL",
                by_stranger("kid", json!("' UNION SELECT 'x' --")),
            ),
            (
                "a kid that is a URL",
                by_stranger("kid", json!("https://evil.example/k")),
            ),
            (
                "jku",
                by_stranger("jku", json!("https://evil.example/jwks.json")),
            ),
            ("jwk of the attacker", by_stranger("jwk", own_jwk)),
            (
                "x5u",
                by_stranger("x5u", json!("https://evil.example/chain.pem")),
            ),
            ("x5c", by_stranger("x5c", json!(["MIIB"]))),
            ("crit", self.signed_header("crit", json!(["exp"]))),
            (
                "signed by a stranger",
                sign(&stranger, &self.header, &self.claims),
            ),
            ("expired", self.signed_claim("exp", json!(now - 1))),
            ("no expiry", self.signed_claim("exp", Value::Null)),
            (
                "from the future",
                self.signed_claim("iat", json!(now + 3_600)),
            ),
            (
                "another issuer",
                self.signed_claim("iss", json!("https://evil.example")),
            ),
            (
                "another audience",
                self.signed_claim("aud", json!("another-api")),
            ),
            ("another type", self.signed_header("typ", json!("JWT"))),
            (
                "an unknown kind of subject",
                self.signed_claim("sub", json!("root:1")),
            ),
            ("no workspace", self.signed_claim("wid", Value::Null)),
            (
                "an edited subject",
                self.claim("sub", json!("service:gateway")),
            ),
            (
                "an edited role and scope",
                self.claim("scope", json!("users:write keys:write")),
            ),
            (
                "an edited workspace",
                self.claim("wid", json!(common::WorkspaceId::new())),
            ),
            (
                "an edited expiry",
                self.claim("exp", json!(4_000_000_000_i64)),
            ),
        ]
    }
}

fn sign(key: &Ed25519KeyPair, header: &Value, claims: &Value) -> String {
    let signed = format!("{}.{}", encode(header), encode(claims));
    let signature = URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes()).as_ref());
    format!("{signed}.{signature}")
}

#[actix_web::test]
async fn forged_tokens_pass_neither_the_gateway_nor_any_service() {
    let world = World::start().await;
    let leads = world.service::<Leads>().await;
    let campaigns = world.service::<Campaigns>().await;
    let notifications = world.service::<Notifications>().await;
    let analytics = world.service::<Analytics>().await;
    let gateway = world
        .gateway(&[
            ("LEADS_URL", leads.url()),
            ("CAMPAIGNS_URL", campaigns.url()),
            ("NOTIFICATIONS_URL", notifications.url()),
            ("ANALYTICS_URL", analytics.url()),
        ])
        .await;
    let ada = world.register("ada@example.com").await;
    let genuine = Genuine::of(&world, &ada.access).await;
    let doors = [
        ("the gateway", gateway.url(), "/api/v1/leads"),
        ("identity", world.identity.url(), "/api/v1/users"),
        ("leads", leads.url(), "/api/v1/leads"),
        ("campaigns", campaigns.url(), "/api/v1/campaigns"),
        ("notifications", notifications.url(), "/api/v1/messages"),
        ("analytics", analytics.url(), "/api/v1/analytics/overview"),
    ];
    let forgeries = genuine.forgeries();
    assert_eq!(forgeries.len(), 43);
    for (door, url, path) in &doors {
        // It is the forging that is refused, not the asking.
        ada.at(url.clone())
            .get(path)
            .send()
            .await
            .assert_status(200);
        for (what, token) in &forgeries {
            let forger = Client::new(url.clone(), Some(token.clone()));
            let answer = forger.get(path).send().await;
            assert_eq!(answer.status, 401, "{what} at {door}: {}", answer.text());
            let code = match *what {
                "expired" => "token_expired",
                _ => "token_invalid",
            };
            answer.assert_error(401, code);
        }
        ada.at(url.clone())
            .get(path)
            .send()
            .await
            .assert_status(200);
    }
    // Nor do they open what is internal.
    for (door, url, _) in &doors[1..] {
        for (what, token) in &forgeries {
            let forger = Client::new(url.clone(), Some(token.clone()));
            let answer = forger.get("/internal/events?after=0").send().await;
            assert_eq!(
                answer.status,
                401,
                "{what} at {door}'s events: {}",
                answer.text()
            );
        }
        let person = ada.at(url.clone()).get("/internal/events?after=0").send();
        person.await.assert_error(403, "services_only");
    }
}
