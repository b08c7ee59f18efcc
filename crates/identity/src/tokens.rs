//! The tokens that identity gives out, and how long they last.

use std::cmp::Reverse;

use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chassis::http::Origin;
use chassis::revocation::Revoked;
use chrono::{DateTime, Duration, Utc};
use common::auth::{Claims, ScopeSet, Subject};
use common::{UserId, WorkspaceId};
use diesel::PgConnection;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::domain::Standing;
use crate::error::Error;
use crate::store::refresh_tokens::{self as table, RefreshToken};
use crate::store::revocations;

/// Access tokens of people and keys, in seconds.
pub(crate) const ACCESS_S: i64 = 600;
/// Tokens of services, in seconds.
pub(crate) const SERVICE_S: i64 = 3600;
/// A refresh token that is not used for so long ends the sign-in.
const REFRESH_DAYS: i64 = 30;
/// A sign-in is over after this, however often it is renewed.
const SIGN_IN_DAYS: i64 = 90;
/// Somebody has so many sign-ins by tokens at most; the one that was not renewed for longest ends
/// for a new one.
const MOST: usize = 100;

/// When a sign-in began, by its name.
pub(crate) fn began(sign_in: Uuid) -> Option<DateTime<Utc>> {
    let (seconds, nanoseconds) = sign_in.get_timestamp()?.to_unix();
    DateTime::from_timestamp(seconds.try_into().ok()?, nanoseconds)
}

/// A random secret text and the hash that is kept of it.
pub(crate) fn opaque(prefix: &str) -> Result<(String, Vec<u8>), Error> {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes).map_err(Error::internal)?;
    let text = format!("{prefix}{}", URL_SAFE_NO_PAD.encode(bytes));
    let hash = hash(&text);
    Ok((text, hash))
}

/// What is kept of a secret of 256 random bits; nothing slower is needed for those.
pub(crate) fn hash(text: &str) -> Vec<u8> {
    Sha256::digest(text.as_bytes()).to_vec()
}

/// The claims of a person in a workspace; who owes it a second factor may do nothing in it.
pub(crate) fn person(
    user: UserId,
    workspace: WorkspaceId,
    standing: &Standing,
    owes_factor: bool,
    sign_in: Uuid,
    now: DateTime<Utc>,
) -> Claims {
    let claims = Claims::new(
        Subject::User(user),
        Some(workspace),
        Some(standing.role),
        match owes_factor {
            true => ScopeSet::default(),
            false => standing.scopes(),
        },
        now.timestamp(),
        ACCESS_S,
    );
    claims.with_session(Some(sign_in))
}

/// A new sign-in: its name, and its first refresh token.
pub(crate) struct SignIn {
    pub(crate) id: Uuid,
    pub(crate) refresh_token: String,
}

/// Begins a family of refresh tokens.
pub(crate) fn start_family(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    user: UserId,
    origin: &Origin,
    now: DateTime<Utc>,
) -> Result<SignIn, Error> {
    let id = Uuid::now_v7();
    let refresh_token = next_of_family(conn, workspace, user, id, origin, now)?;
    let mut living = table::living(conn, user, now)?;
    // The latest renewed first; among equals the latest begun.
    living.sort_by_key(|token| Reverse(token.created_at));
    for surplus in living.iter().skip(MOST) {
        // Its access token is over in ten minutes: programs that sign in side by side lose none.
        table::revoke_family(conn, surplus.family, now)?;
    }
    Ok(SignIn { id, refresh_token })
}

fn next_of_family(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    user: UserId,
    family: Uuid,
    origin: &Origin,
    now: DateTime<Utc>,
) -> Result<String, Error> {
    let (text, hash) = opaque("clr_")?;
    let ends_at = began(family).unwrap_or(now) + Duration::days(SIGN_IN_DAYS);
    let token = RefreshToken {
        hash,
        workspace_id: workspace,
        user_id: user,
        family,
        created_at: now,
        expires_at: ends_at.min(now + Duration::days(REFRESH_DAYS)),
        used_at: None,
        revoked_at: None,
        address: origin.address.map(|address| address.to_string()),
        agent: origin.agent.clone(),
    };
    table::insert(conn, &token)?;
    Ok(text)
}

/// A used-up refresh token and the one that takes its place.
pub(crate) struct Renewed {
    pub(crate) user: UserId,
    pub(crate) workspace: WorkspaceId,
    pub(crate) sign_in: SignIn,
}

/// Uses a refresh token; None if it cannot be used.
///
/// One that was used before is in two hands, and nobody knows whose is the thief's: the whole
/// sign-in ends. That must be committed, so it is not an error here.
pub(crate) fn renew(
    conn: &mut PgConnection,
    refresh_token: &str,
    origin: &Origin,
    now: DateTime<Utc>,
) -> Result<Option<Renewed>, Error> {
    let Some(token) = table::lock(conn, &hash(refresh_token))? else {
        return Ok(None);
    };
    if token.used_at.is_some() {
        tracing::warn!(user.id = %token.user_id, "a refresh token was used twice; its sign-in ends");
        table::revoke_family(conn, token.family, now)?;
        revocations::add(conn, Revoked::SignIn(token.family))?;
        return Ok(None);
    }
    if token.revoked_at.is_some() || token.expires_at <= now {
        return Ok(None);
    }
    table::mark_used(conn, &token.hash, now)?;
    let (workspace, user, id) = (token.workspace_id, token.user_id, token.family);
    let refresh_token = next_of_family(conn, workspace, user, id, origin, now)?;
    Ok(Some(Renewed {
        user,
        workspace,
        sign_in: SignIn { id, refresh_token },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_secret_has_256_bits_and_is_another_each_time() {
        let secrets: HashSet<_> = (0..1_000)
            .map(|_| opaque("clr_").expect("the system gives random octets"))
            .collect();
        assert_eq!(secrets.len(), 1_000);
        let mut ones = [0_u32; 256];
        for (text, kept) in &secrets {
            assert_eq!(*kept, hash(text));
            let secret = text.strip_prefix("clr_").expect("its prefix");
            let bytes = URL_SAFE_NO_PAD.decode(secret).expect("base64url");
            assert_eq!(bytes.len(), 32);
            for (at, count) in ones.iter_mut().enumerate() {
                *count += u32::from(bytes[at / 8] >> (at % 8) & 1);
            }
        }
        // Every bit is used: less than once in 10^20 one is the same 700 times out of 1,000.
        assert!(
            ones.iter().all(|count| (300..700).contains(count)),
            "{ones:?}"
        );
    }
}
