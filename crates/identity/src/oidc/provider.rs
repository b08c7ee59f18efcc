//! The provider: what it says of itself, its keys, and its answers to a code.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chassis::{Clock, Unavailable};
use chrono::{DateTime, Utc};
use jsonwebtoken::jwk::{Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;
use url::Url;
use url::form_urlencoded::byte_serialize;

use super::id_token::{ALGORITHMS, Claims, Expected};
use crate::error::Error;
use crate::settings::Oidc;

/// How long a provider may take for one answer, and how long that may be.
const DEADLINE: Duration = Duration::from_secs(10);
const LONGEST: usize = 256 * 1024;
/// What it says of itself is read again after this.
const METADATA_S: i64 = 3600;
/// A key that nobody knows makes its keys be read again, but not more often than this.
const KEYS_S: i64 = 10;

/// The installation's OpenID provider. Clones share what is known of it.
#[derive(Clone)]
pub(crate) struct Provider(Arc<Inner>);

struct Inner {
    settings: Oidc,
    redirect_uri: String,
    http: reqwest::Client,
    clock: Clock,
    metadata: Mutex<Known<Arc<Metadata>>>,
    keys: Mutex<Known<Vec<Jwk>>>,
}

/// What was read, and when.
type Known<T> = Option<(T, DateTime<Utc>)>;

/// What it says of itself (OpenID Connect Discovery 1.0 §3).
#[derive(Debug, Deserialize)]
struct Metadata {
    issuer: String,
    authorization_endpoint: Url,
    token_endpoint: Url,
    jwks_uri: Url,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Vec<String>,
    #[serde(default)]
    id_token_signing_alg_values_supported: Vec<String>,
}

#[derive(Deserialize)]
struct Answer {
    id_token: String,
}

impl Provider {
    pub(crate) fn new(
        settings: Oidc,
        public_url: &Url,
        http: reqwest::Client,
        clock: Clock,
    ) -> Self {
        let base = public_url.as_str().trim_end_matches('/');
        Self(Arc::new(Inner {
            redirect_uri: format!("{base}/api/v1/oidc/callback"),
            settings,
            http,
            clock,
            metadata: Mutex::default(),
            keys: Mutex::default(),
        }))
    }

    pub(crate) fn name(&self) -> &str {
        &self.0.settings.name
    }

    pub(crate) fn issuer(&self) -> &str {
        &self.0.settings.issuer
    }

    /// Where a browser goes to sign in.
    pub(crate) async fn authorization_url(
        &self,
        state: &str,
        nonce: &str,
        verifier: &str,
    ) -> Result<Url, Error> {
        let mut url = self.metadata().await?.authorization_endpoint.clone();
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.0.settings.client_id)
            .append_pair("redirect_uri", &self.0.redirect_uri)
            .append_pair("scope", "openid email profile")
            .append_pair("state", state)
            .append_pair("nonce", nonce)
            .append_pair("code_challenge_method", "S256")
            .append_pair("code_challenge", &challenge(verifier));
        Ok(url)
    }

    /// Whom a code stands for, after everything that must hold of the answer was looked at.
    pub(crate) async fn redeem(
        &self,
        code: &str,
        verifier: &str,
        nonce: &str,
    ) -> Result<Claims, Error> {
        let metadata = self.metadata().await?;
        let Oidc {
            client_id,
            client_secret,
            ..
        } = &self.0.settings;
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &self.0.redirect_uri),
            ("code_verifier", verifier),
        ];
        let mut request = self.0.http.post(metadata.token_endpoint.clone());
        if metadata.takes_secret_in_form() {
            form.push(("client_id", client_id));
            form.push(("client_secret", client_secret.expose()));
        } else {
            request = request.header("authorization", basic(client_id, client_secret.expose()));
        }
        let request = request.header("accept", "application/json").form(&form);
        let (status, body) = self.send(request).await?;
        if !status.is_success() {
            let body: Value = serde_json::from_slice(&body).unwrap_or_default();
            let error = body["error"].as_str().unwrap_or_default();
            tracing::warn!(%status, %error, "the identity provider does not take a code");
            return Err(Error::ProviderSaysNo);
        }
        let answer: Answer = serde_json::from_slice(&body).map_err(|error| {
            tracing::warn!(%error, "the identity provider's answer to a code has no ID token");
            Error::IdTokenWrong
        })?;
        self.believe(&metadata, &answer.id_token, nonce).await
    }

    /// The claims of a genuine ID token that answers our request.
    async fn believe(
        &self,
        metadata: &Metadata,
        token: &str,
        nonce: &str,
    ) -> Result<Claims, Error> {
        let wrong = |why: String| {
            tracing::warn!(%why, "an ID token is refused");
            Error::IdTokenWrong
        };
        // `none` is no algorithm that can be read.
        let header =
            jsonwebtoken::decode_header(token).map_err(|error| wrong(error.to_string()))?;
        if !metadata.may_sign(header.alg) || header.crit.is_some() {
            return Err(wrong(format!("{:?} is not to sign it", header.alg)));
        }
        let mut validation = Validation::new(header.alg);
        validation.required_spec_claims.clear();
        // By the installation's clock, below.
        (validation.validate_exp, validation.validate_aud) = (false, false);
        let mut last = "no key is known that may have signed it".to_owned();
        for key in self
            .keys_for(metadata, header.kid.as_deref(), header.alg)
            .await?
        {
            let decoded = DecodingKey::from_jwk(&key)
                .and_then(|key| jsonwebtoken::decode::<Claims>(token, &key, &validation));
            match decoded {
                Ok(decoded) => {
                    let expected = Expected {
                        issuer: &metadata.issuer,
                        client_id: &self.0.settings.client_id,
                        nonce,
                        now: self.0.clock.now(),
                    };
                    let claims = decoded.claims;
                    claims
                        .check(&expected)
                        .map_err(|why| wrong(why.to_owned()))?;
                    return Ok(claims);
                }
                Err(error) => last = error.to_string(),
            }
        }
        Err(wrong(last))
    }

    /// What it says of itself, as of this hour. When it does not answer, the last known holds.
    async fn metadata(&self) -> Result<Arc<Metadata>, Error> {
        let mut known = self.0.metadata.lock().await;
        let now = self.0.clock.now();
        if let Some((metadata, at)) = known.as_ref()
            && now - *at < chrono::Duration::seconds(METADATA_S)
        {
            return Ok(Arc::clone(metadata));
        }
        let base = self.issuer().trim_end_matches('/');
        let url = format!("{base}/.well-known/openid-configuration");
        match self.read::<Metadata>(&url).await {
            Ok(metadata) => {
                let metadata = Arc::new(metadata.checked(self.issuer())?);
                *known = Some((Arc::clone(&metadata), now));
                Ok(metadata)
            }
            Err(error) => {
                let (metadata, _) = known.as_ref().ok_or(error)?;
                tracing::warn!("the identity provider does not say who it is; the last word holds");
                Ok(Arc::clone(metadata))
            }
        }
    }

    /// The keys that may have signed a token with this header. A name that nobody knows makes the
    /// keys be read again: the provider may have new ones.
    async fn keys_for(
        &self,
        metadata: &Metadata,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<Vec<Jwk>, Error> {
        let mut known = self.0.keys.lock().await;
        let now = self.0.clock.now();
        let fitting = |keys: &[Jwk]| -> Vec<Jwk> {
            let fits = |key: &&Jwk| fits(key, kid, algorithm);
            keys.iter().filter(fits).cloned().collect()
        };
        if let Some((keys, read_at)) = known.as_ref() {
            let fitting = fitting(keys);
            if !fitting.is_empty() || now - *read_at < chrono::Duration::seconds(KEYS_S) {
                return Ok(fitting);
            }
        }
        let set: Value = self.read(metadata.jwks_uri.as_str()).await?;
        let keys = set["keys"].as_array().cloned().unwrap_or_default();
        // One of a kind that we do not know is none of those that we need.
        let keys: Vec<Jwk> = keys
            .into_iter()
            .filter_map(|key| serde_json::from_value(key).ok())
            .collect();
        let found = fitting(&keys);
        *known = Some((keys, now));
        Ok(found)
    }

    async fn read<T: DeserializeOwned>(&self, url: &str) -> Result<T, Error> {
        let request = self.0.http.get(url).header("accept", "application/json");
        let (status, body) = self.send(request).await?;
        if !status.is_success() {
            return Err(away(format!("{url} answers {status}")));
        }
        serde_json::from_slice(&body).map_err(|error| away(format!("{url}: {error}")))
    }

    /// Its answer, whole; none at all, a late one and one of its own failures are alike.
    async fn send(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<(reqwest::StatusCode, Vec<u8>), Error> {
        let mut response = request.timeout(DEADLINE).send().await.map_err(away)?;
        let (status, mut body) = (response.status(), Vec::new());
        if status.is_server_error() {
            return Err(away(format!("it answers {status}")));
        }
        while let Some(chunk) = response.chunk().await.map_err(away)? {
            if body.len() + chunk.len() > LONGEST {
                return Err(away("its answer does not end"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok((status, body))
    }
}

impl Metadata {
    /// Fails on what another provider says of itself, or on endpoints that anybody can listen to.
    fn checked(self, issuer: &str) -> Result<Self, Error> {
        if self.issuer != issuer {
            return Err(away(format!("it says that it is {}", self.issuer)));
        }
        let endpoints = [
            &self.authorization_endpoint,
            &self.token_endpoint,
            &self.jwks_uri,
        ];
        let open = endpoints.into_iter().find(|url| !Oidc::is_safe(url));
        if let Some(url) = open {
            return Err(away(format!("{url} is not https")));
        }
        Ok(self)
    }

    fn takes_secret_in_form(&self) -> bool {
        let methods = &self.token_endpoint_auth_methods_supported;
        let offers = |name: &str| methods.iter().any(|method| method == name);
        offers("client_secret_post") && !offers("client_secret_basic")
    }

    fn may_sign(&self, algorithm: Algorithm) -> bool {
        let offered = &self.id_token_signing_alg_values_supported;
        let name = format!("{algorithm:?}");
        ALGORITHMS.contains(&algorithm) && (offered.is_empty() || offered.contains(&name))
    }
}

fn fits(key: &Jwk, kid: Option<&str>, algorithm: Algorithm) -> bool {
    let common = &key.common;
    let named = kid.is_none() || common.key_id.as_deref() == kid;
    let signs = matches!(common.public_key_use, None | Some(PublicKeyUse::Signature));
    let same = |of_key: &KeyAlgorithm| of_key.to_string() == format!("{algorithm:?}");
    named && signs && common.key_algorithm.as_ref().is_none_or(same)
}

/// RFC 7636 §4.2.
fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier))
}

/// RFC 6749 §2.3.1: both parts are form-encoded before they are joined.
fn basic(id: &str, secret: &str) -> String {
    let encode = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    let pair = format!("{}:{}", encode(id), encode(secret));
    format!("Basic {}", STANDARD.encode(pair))
}

fn away(cause: impl std::fmt::Display) -> Error {
    Unavailable::because("the identity provider", cause.to_string()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_challenge_is_that_of_the_rfc() {
        // RFC 7636, appendix B.
        assert_eq!(
            challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        );
    }

    #[test]
    fn a_secret_with_strange_letters_is_encoded() {
        let header = basic("a client", "se:cret%");
        let pair = STANDARD.decode(header.strip_prefix("Basic ").expect("basic"));
        assert_eq!(pair.expect("base64"), b"a+client:se%3Acret%25");
    }
}
