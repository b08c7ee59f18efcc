//! Who is calling and what they may do: roles, scopes, and access tokens.
//!
//! An access token is a JWT (RFC 7519) signed with Ed25519 (`EdDSA`, RFC 8037) in the profile of
//! RFC 9068. Nothing else is taken: the algorithm, the type and the header members are fixed, so
//! a token cannot choose how it is checked.

use std::collections::HashMap;
use std::fmt;

use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::{Deserialize, Serialize};

use crate::ids::{ApiKeyId, UserId, WorkspaceId};

/// `iss` of every token.
pub const ISSUER: &str = "clarion";
/// `aud` of every token.
pub const AUDIENCE: &str = "clarion-api";
/// `typ` in the header of every access token (RFC 9068 §2.1).
pub const TOKEN_TYPE: &str = "at+jwt";

/// Defines a closed set of names that appear in JSON, tokens and columns.
macro_rules! names {
    ($(#[$doc:meta])* $type:ident { $($variant:ident = $name:tt),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
        pub enum $type { $(#[serde(rename = $name)] $variant),+ }

        impl $type {
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            pub fn parse(text: &str) -> Option<Self> {
                match text { $($name => Some(Self::$variant),)+ _ => None }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

names! {
    /// One permission. A route names the one it needs.
    Scope {
        UsersRead = "users:read",
        UsersWrite = "users:write",
        WorkspaceRead = "workspace:read",
        WorkspaceWrite = "workspace:write",
        KeysWrite = "keys:write",
        AuditRead = "audit:read",
        LeadsRead = "leads:read",
        LeadsWrite = "leads:write",
        CampaignsRead = "campaigns:read",
        CampaignsWrite = "campaigns:write",
        CampaignsSend = "campaigns:send",
        MessagesRead = "messages:read",
        MessagesSend = "messages:send",
        SendersWrite = "senders:write",
        WebhooksRead = "webhooks:read",
        WebhooksWrite = "webhooks:write",
        AnalyticsRead = "analytics:read",
        AnalyticsWrite = "analytics:write",
        CommerceRead = "commerce:read",
        CommerceWrite = "commerce:write",
    }
}

names! {
    /// What a person is in a workspace; a role is a set of scopes. `custom` is any of those that
    /// the workspace made for itself.
    Role {
        Owner = "owner",
        Admin = "admin",
        Marketer = "marketer",
        Analyst = "analyst",
        Customer = "customer",
        Custom = "custom",
    }
}

impl Role {
    /// The scopes of this role. What is not listed is denied.
    pub fn scopes(self) -> ScopeSet {
        use Scope::*;
        match self {
            Self::Owner | Self::Admin => ScopeSet::of(Scope::ALL),
            Self::Marketer => ScopeSet::of(&[
                WorkspaceRead,
                LeadsRead,
                LeadsWrite,
                CampaignsRead,
                CampaignsWrite,
                CampaignsSend,
                MessagesRead,
                MessagesSend,
                AnalyticsRead,
                AnalyticsWrite,
                CommerceRead,
                CommerceWrite,
            ]),
            Self::Analyst => ScopeSet::of(&[
                WorkspaceRead,
                LeadsRead,
                CampaignsRead,
                MessagesRead,
                AnalyticsRead,
                CommerceRead,
            ]),
            Self::Customer | Self::Custom => ScopeSet::of(&[]),
        }
    }
}

/// A set of scopes, as a bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScopeSet(u64);

impl ScopeSet {
    pub fn of(scopes: &[Scope]) -> Self {
        Self(
            scopes
                .iter()
                .fold(0, |bits, scope| bits | 1 << *scope as u64),
        )
    }

    pub fn contains(self, scope: Scope) -> bool {
        self.0 & (1 << scope as u64) != 0
    }

    pub fn contains_all(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL
            .iter()
            .copied()
            .filter(move |scope| self.contains(*scope))
    }

    /// The `scope` claim: names separated by a space (RFC 8693 §4.2). Unknown names grant nothing.
    fn parse(claim: &str) -> Self {
        let known: Vec<_> = claim.split(' ').filter_map(Scope::parse).collect();
        Self::of(&known)
    }
}

impl fmt::Display for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.iter().map(Scope::as_str).collect();
        f.write_str(&names.join(" "))
    }
}

/// Who a token speaks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    User(UserId),
    ApiKey(ApiKeyId),
    Service(Service),
}

names! {
    /// The services of the house.
    Service {
        Gateway = "gateway",
        Identity = "identity",
        Campaigns = "campaigns",
        Leads = "leads",
        Notifications = "notifications",
        Analytics = "analytics",
        Commerce = "commerce",
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(id) => write!(f, "user:{id}"),
            Self::ApiKey(id) => write!(f, "key:{id}"),
            Self::Service(service) => write!(f, "service:{service}"),
        }
    }
}

impl Subject {
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, name) = text.split_once(':')?;
        match kind {
            "user" => name.parse().ok().map(Self::User),
            "key" => name.parse().ok().map(Self::ApiKey),
            "service" => Service::parse(name).map(Self::Service),
            _ => None,
        }
    }
}

/// The claims of an access token, as they are signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    pub iss: String,
    pub aud: String,
    /// `user:<id>`, `key:<id>` or `service:<name>`.
    pub sub: String,
    /// Expiry, in seconds since 1970.
    pub exp: i64,
    pub iat: i64,
    pub jti: uuid::Uuid,
    /// The workspace; a service's token has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wid: Option<WorkspaceId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    #[serde(default)]
    pub scope: String,
    /// The sign-in that the token belongs to; a key's token has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<uuid::Uuid>,
}

impl Claims {
    /// Claims for `subject` in `workspace`, valid for `ttl_s` seconds from `now`.
    pub fn new(
        subject: Subject,
        workspace: Option<WorkspaceId>,
        role: Option<Role>,
        scopes: ScopeSet,
        now: i64,
        ttl_s: i64,
    ) -> Self {
        Self {
            iss: ISSUER.into(),
            aud: AUDIENCE.into(),
            sub: subject.to_string(),
            exp: now + ttl_s,
            iat: now,
            jti: uuid::Uuid::now_v7(),
            wid: workspace,
            role,
            scope: scopes.to_string(),
            sid: None,
        }
    }

    /// The same as a part of a sign-in, which can be ended as a whole.
    #[must_use]
    pub fn with_session(self, sid: Option<uuid::Uuid>) -> Self {
        Self { sid, ..self }
    }
}

/// A verified caller. It exists only as the result of a verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    pub subject: Subject,
    pub workspace: WorkspaceId,
    pub role: Option<Role>,
    /// The sign-in that the token belongs to.
    pub session: Option<uuid::Uuid>,
    scopes: ScopeSet,
}

impl Caller {
    /// Fails unless the caller holds `scope`.
    pub fn require(&self, scope: Scope) -> Result<(), AuthError> {
        if self.scopes.contains(scope) {
            Ok(())
        } else {
            Err(AuthError::Forbidden(scope))
        }
    }

    pub fn scopes(&self) -> ScopeSet {
        self.scopes
    }
}

/// What a token turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    Caller(Caller),
    Service(Service),
}

/// A token that passed verification. `expires_at` is checked again at every use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    pub identity: Identity,
    pub jti: uuid::Uuid,
    pub issued_at: i64,
    pub expires_at: i64,
}

/// Why a caller is turned away.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    #[error("this request needs an access token")]
    Missing,
    #[error("the access token is not valid")]
    Invalid,
    #[error("the access token has expired")]
    Expired,
    #[error("the access token was revoked; sign in again")]
    Revoked,
    #[error("this needs the scope {0}")]
    Forbidden(Scope),
    #[error("only services of this installation may call this")]
    ServicesOnly,
}

impl AuthError {
    /// HTTP status and stable code.
    pub fn kind(&self) -> (u16, &'static str) {
        match self {
            Self::Missing => (401, "token_missing"),
            Self::Invalid => (401, "token_invalid"),
            Self::Expired => (401, "token_expired"),
            Self::Revoked => (401, "token_revoked"),
            Self::Forbidden(_) => (403, "scope_missing"),
            Self::ServicesOnly => (403, "services_only"),
        }
    }
}

/// The public keys that tokens are verified with, by `kid`.
#[derive(Clone, Default)]
pub struct KeySet(HashMap<String, DecodingKey>);

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl KeySet {
    /// Reads a JWK set (RFC 7517). Keys that are not Ed25519 or have no `kid` are left out.
    pub fn from_jwks(jwks: &JwkSet) -> Self {
        let usable = |jwk: &Jwk| {
            let kid = jwk.common.key_id.clone()?;
            let ed25519 = matches!(&jwk.algorithm,
                jsonwebtoken::jwk::AlgorithmParameters::OctetKeyPair(p)
                    if p.curve == jsonwebtoken::jwk::EllipticCurve::Ed25519);
            Some((kid, DecodingKey::from_jwk(jwk).ok().filter(|_| ed25519)?))
        };
        Self(jwks.keys.iter().filter_map(usable).collect())
    }

    pub fn contains(&self, kid: &str) -> bool {
        self.0.contains_key(kid)
    }

    /// Verifies signature, type, issuer, audience and time.
    pub fn verify(&self, token: &str, now: i64) -> Result<Verified, AuthError> {
        let key = self.0.get(&key_id(token)?).ok_or(AuthError::Invalid)?;
        let claims = jsonwebtoken::decode::<Claims>(token, key, &validation())
            .map_err(|_| AuthError::Invalid)?
            .claims;
        if claims.exp <= now {
            return Err(AuthError::Expired);
        }
        if claims.iat > now + CLOCK_SKEW_S {
            return Err(AuthError::Invalid);
        }
        verified(claims)
    }
}

/// How far a signer's clock may be ahead of ours, in seconds.
const CLOCK_SKEW_S: i64 = 60;

/// Expiry is checked by us, against the clock that tests can set.
fn validation() -> Validation {
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[AUDIENCE]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    validation.validate_exp = false;
    validation
}

/// The `kid` of a token whose header is exactly the one we write: any other member (`jku`,
/// `jwk`, `x5u`, `crit`, …) is a token that tries to choose its own key.
pub fn key_id(token: &str) -> Result<String, AuthError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Header {
        alg: String,
        typ: String,
        kid: String,
    }
    use base64::Engine;
    let head = token.split('.').next().unwrap_or_default();
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(head)
        .map_err(|_| AuthError::Invalid)?;
    let header: Header = serde_json::from_slice(&bytes).map_err(|_| AuthError::Invalid)?;
    if header.alg != "EdDSA" || header.typ != TOKEN_TYPE {
        return Err(AuthError::Invalid);
    }
    Ok(header.kid)
}

fn verified(claims: Claims) -> Result<Verified, AuthError> {
    let identity = match (Subject::parse(&claims.sub), claims.wid) {
        (Some(Subject::Service(service)), None) => Identity::Service(service),
        (Some(subject), Some(workspace)) => Identity::Caller(Caller {
            subject,
            workspace,
            role: claims.role,
            session: claims.sid,
            scopes: ScopeSet::parse(&claims.scope),
        }),
        _ => return Err(AuthError::Invalid),
    };
    Ok(Verified {
        identity,
        jti: claims.jti,
        issued_at: claims.iat,
        expires_at: claims.exp,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_survive_the_claim() {
        let scopes = Role::Marketer.scopes();
        assert_eq!(ScopeSet::parse(&scopes.to_string()), scopes);
    }

    #[test]
    fn an_unknown_scope_grants_nothing() {
        assert_eq!(
            ScopeSet::parse("root everything leads:*"),
            ScopeSet::default()
        );
    }

    #[test]
    fn only_owners_and_admins_manage_users() {
        for role in Role::ALL {
            let may = matches!(role, Role::Owner | Role::Admin);
            assert_eq!(role.scopes().contains(Scope::UsersWrite), may, "{role}");
        }
    }

    #[test]
    fn a_header_with_a_member_of_its_own_is_refused() {
        use base64::Engine;
        let encode = |json: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(json);
        for header in [
            r#"{"alg":"none","typ":"at+jwt","kid":"a"}"#,
            r#"{"alg":"HS256","typ":"at+jwt","kid":"a"}"#,
            r#"{"alg":"EdDSA","typ":"JWT","kid":"a"}"#,
            r#"{"alg":"EdDSA","typ":"at+jwt","kid":"a","jku":"https://evil.example"}"#,
            r#"{"alg":"EdDSA","typ":"at+jwt"}"#,
            "not json",
        ] {
            assert_eq!(
                key_id(&format!("{}.e30.", encode(header))),
                Err(AuthError::Invalid)
            );
        }
    }
}
