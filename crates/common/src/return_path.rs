//! Return paths (VERP): whom a bounce is about stands in the address that it comes back to. And
//! addresses that a mail to unsubscribes (RFC 2369), which say the same.
//!
//! The address is `b-<token>@<bounce domain>`, or `u-<token>` of those who leave. The token is base32 (RFC 4648 §6) in lower case of
//! `key id | message | start of the workspace | last day | tag`, the tag being HMAC-SHA-256 cut to
//! 80 bits (RFC 2104 §5). Mail servers may change the case of it, and a local part has at most 64
//! octets (RFC 5321 §4.5.3.1.1): this one has 62.

use chrono::{DateTime, TimeDelta, Utc};
use data_encoding::{BASE32_NOPAD, BASE32_NOPAD_NOCASE};
use hmac::Mac;
use uuid::Uuid;

use crate::ids::{MessageId, WorkspaceId};
use crate::token::{BadToken, Keyring, mac};

/// How long a return path is accepted after its mail was made.
pub const VALID_DAYS: i64 = 30;

/// How long a mail to an address that unsubscribes is heeded.
pub const LEAVING_DAYS: i64 = 730;

/// What a mail to an address means.
#[derive(Clone, Copy, Debug)]
struct Meaning {
    prefix: &'static str,
    days: i64,
    /// Signed with the payload, and no [`Purpose`](crate::token::Purpose) has this number.
    purpose: u8,
}

const RETURNED: Meaning = Meaning {
    prefix: "b-",
    days: VALID_DAYS,
    purpose: 5,
};
const LEAVING: Meaning = Meaning {
    prefix: "u-",
    days: LEAVING_DAYS,
    purpose: 6,
};

/// Octets of the workspace's id: its time and 12 random bits.
const WORKSPACE_LEN: usize = 8;
const PAYLOAD_LEN: usize = 1 + 16 + WORKSPACE_LEN + 2;
const TAG_LEN: usize = 10;
/// What a return path says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReturnPath {
    pub message_id: MessageId,
    /// The first and the last id that the workspace may have.
    pub workspaces: (WorkspaceId, WorkspaceId),
}

impl Keyring {
    /// The local part of the return path of a message made at `now`.
    pub fn return_path(
        &self,
        workspace: WorkspaceId,
        message: MessageId,
        now: DateTime<Utc>,
    ) -> String {
        self.address_of(RETURNED, (workspace, message), now)
    }

    /// The local part of the address that unsubscribes from a message made at `now`.
    pub fn leaving_path(
        &self,
        workspace: WorkspaceId,
        message: MessageId,
        now: DateTime<Utc>,
    ) -> String {
        self.address_of(LEAVING, (workspace, message), now)
    }

    fn address_of(
        &self,
        meaning: Meaning,
        (workspace, message): (WorkspaceId, MessageId),
        now: DateTime<Utc>,
    ) -> String {
        let Some((number, secret)) = self.first() else {
            return String::new();
        };
        let mut bytes = Vec::with_capacity(PAYLOAD_LEN + TAG_LEN);
        bytes.push(*number);
        bytes.extend(message.0.as_bytes());
        bytes.extend(&workspace.0.as_bytes()[..WORKSPACE_LEN]);
        bytes.extend(day(now + TimeDelta::days(meaning.days)).to_be_bytes());
        let tag = mac(secret, &signed(&bytes, meaning))
            .finalize()
            .into_bytes();
        bytes.extend(&tag[..TAG_LEN]);
        format!(
            "{}{}",
            meaning.prefix,
            BASE32_NOPAD.encode(&bytes).to_ascii_lowercase()
        )
    }

    /// Reads the local part of a return path that is ours and not over.
    pub fn read_return_path(
        &self,
        local: &str,
        now: DateTime<Utc>,
    ) -> Result<ReturnPath, BadToken> {
        self.read_address(RETURNED, local, now)
    }

    /// Reads the local part of an address that unsubscribes, which is ours and not over.
    pub fn read_leaving_path(
        &self,
        local: &str,
        now: DateTime<Utc>,
    ) -> Result<ReturnPath, BadToken> {
        self.read_address(LEAVING, local, now)
    }

    fn read_address(
        &self,
        meaning: Meaning,
        local: &str,
        now: DateTime<Utc>,
    ) -> Result<ReturnPath, BadToken> {
        let prefix = meaning.prefix;
        let (found, token) = local.split_at_checked(prefix.len()).ok_or(BadToken)?;
        if !found.eq_ignore_ascii_case(prefix) {
            return Err(BadToken);
        }
        let bytes = BASE32_NOPAD_NOCASE
            .decode(token.as_bytes())
            .map_err(|_| BadToken)?;
        if bytes.len() != PAYLOAD_LEN + TAG_LEN {
            return Err(BadToken);
        }
        let (payload, tag) = bytes.split_at(PAYLOAD_LEN);
        let genuine = self.numbered(payload[0]).any(|secret| {
            let signed = mac(secret, &signed(payload, meaning));
            signed.verify_truncated_left(tag).is_ok()
        });
        let last_day = u16::from_be_bytes([payload[PAYLOAD_LEN - 2], payload[PAYLOAD_LEN - 1]]);
        if !genuine || day(now) > last_day {
            return Err(BadToken);
        }
        let message = Uuid::from_slice(&payload[1..17]).map_err(|_| BadToken)?;
        let start = &payload[17..17 + WORKSPACE_LEN];
        Ok(ReturnPath {
            message_id: message.into(),
            workspaces: (filled(start, 0).into(), filled(start, 0xff).into()),
        })
    }
}

fn signed(payload: &[u8], meaning: Meaning) -> Vec<u8> {
    [payload, &[meaning.purpose]].concat()
}

/// Days since 1970: enough of them until 2149.
fn day(at: DateTime<Utc>) -> u16 {
    u16::try_from(at.timestamp().div_euclid(86_400)).unwrap_or_default()
}

fn filled(start: &[u8], with: u8) -> Uuid {
    let mut bytes = [with; 16];
    bytes[..start.len()].copy_from_slice(start);
    Uuid::from_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::{EmailAddress, Secret};

    fn at(days: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000, 0).expect("a time") + TimeDelta::days(days)
    }

    fn keys(secret: &str) -> Keyring {
        Keyring::new(Secret::new(secret))
    }

    #[test]
    fn what_was_said_is_read_in_any_case() {
        let (workspace, message) = (WorkspaceId::new(), MessageId::new());
        let local = keys("s").return_path(workspace, message, at(0));
        assert_eq!(local.len(), 62);
        EmailAddress::parse(&format!("{local}@bounces.example")).expect("an address");
        for local in [local.clone(), local.to_ascii_uppercase()] {
            let read = keys("s").read_return_path(&local, at(30)).expect("ours");
            assert_eq!(read.message_id, message);
            assert!((read.workspaces.0..=read.workspaces.1).contains(&workspace));
        }
    }

    #[test]
    fn it_ends_after_its_days() {
        let local = keys("s").return_path(WorkspaceId::new(), MessageId::new(), at(0));
        assert!(keys("s").read_return_path(&local, at(VALID_DAYS)).is_ok());
        let late = keys("s").read_return_path(&local, at(VALID_DAYS + 1));
        assert_eq!(late, Err(BadToken));
    }

    #[test]
    fn an_address_that_unsubscribes_is_no_return_path_and_lasts_longer() {
        let (workspace, message) = (WorkspaceId::new(), MessageId::new());
        let local = keys("s").leaving_path(workspace, message, at(0));
        assert_eq!(local.len(), 62);
        let read = keys("s").read_leaving_path(&local, at(LEAVING_DAYS));
        assert_eq!(read.expect("ours").message_id, message);
        let late = keys("s").read_leaving_path(&local, at(LEAVING_DAYS + 1));
        assert_eq!(late, Err(BadToken));
        assert_eq!(keys("s").read_return_path(&local, at(1)), Err(BadToken));
        let forged = local.replacen("u-", "b-", 1);
        assert_eq!(keys("s").read_return_path(&forged, at(1)), Err(BadToken));
        assert_eq!(keys("t").read_leaving_path(&local, at(1)), Err(BadToken));
    }

    #[test]
    fn a_rotated_key_still_reads_it_and_another_does_not() {
        let local = keys("old").return_path(WorkspaceId::new(), MessageId::new(), at(0));
        let both = keys("new").and_accept(Secret::new("old"));
        assert!(both.read_return_path(&local, at(1)).is_ok());
        assert_eq!(keys("new").read_return_path(&local, at(1)), Err(BadToken));
    }

    #[test]
    fn what_was_changed_or_is_something_else_is_refused() {
        let local = keys("s").return_path(WorkspaceId::new(), MessageId::new(), at(0));
        for place in 0..local.len() {
            let mut changed = local.clone().into_bytes();
            changed[place] = if changed[place] == b'a' { b'c' } else { b'a' };
            let changed = String::from_utf8(changed).expect("ASCII");
            let read = keys("s").read_return_path(&changed, at(1));
            assert_eq!(read, Err(BadToken), "place {place}");
        }
        for other in ["", "b", "b-", "ü-abc", "postmaster", &local[..60]] {
            assert_eq!(
                keys("s").read_return_path(other, at(1)),
                Err(BadToken),
                "{other}"
            );
        }
    }
}
