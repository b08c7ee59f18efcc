//! The tokens inside mails: click, open, unsubscribe, view and confirmation links.
//!
//! A token is `base64url(payload || tag)`, the tag being HMAC-SHA-256 (RFC 2104) cut to 128 bits.
//! It carries everything that is needed to act on it, so following a link reads no database, and
//! a destination that we did not sign is never redirected to.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, TimeZone, Utc};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use uuid::Uuid;

use crate::ids::{CampaignId, LeadId, MessageId, SubmissionId, WorkspaceId};
use crate::values::Secret;

const TAG_LEN: usize = 16;
const FIXED_LEN: usize = 2 + 4 * 16 + 4 + 2;
const CONFIRM_LEN: usize = 2 + 2 * 16 + 4;

/// What a token may be used for; a token for one purpose is refused for every other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Purpose {
    Click = 1,
    Open = 2,
    Unsubscribe = 3,
    View = 4,
    // 5 and 6 are of `return_path`.
    Confirm = 7,
}

/// The number of the link in a mail that nobody sees: whoever follows it follows all of them.
pub const CANARY: u16 = u16::MAX;

/// What a mail's token says. Absent ids are nil: a test mail has no campaign or lead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailToken {
    pub workspace_id: WorkspaceId,
    pub campaign_id: Option<CampaignId>,
    pub lead_id: Option<LeadId>,
    pub message_id: MessageId,
    /// When the mail was made, to the second.
    pub issued_at: DateTime<Utc>,
    /// Which link of the mail this is, from 0 in document order.
    pub link: u16,
    /// Where a click goes; empty for every other purpose.
    pub url: String,
}

/// What the link in a mail says that asks somebody to confirm what they sent in a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfirmToken {
    pub workspace_id: WorkspaceId,
    pub submission_id: SubmissionId,
    /// When the mail was made, to the second.
    pub issued_at: DateTime<Utc>,
}

/// How long such a link works.
pub const CONFIRM_DAYS: i64 = 7;

/// Why a token is refused. A page for people says no more than this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this link is not valid")]
pub struct BadToken;

/// The secrets that tokens are signed and verified with; the first one signs.
#[derive(Clone, Debug)]
pub struct Keyring(Vec<(u8, Secret)>);

impl Keyring {
    /// A keyring of one key.
    pub fn new(secret: Secret) -> Self {
        Self(vec![(key_number(&secret), secret)])
    }

    /// Also accepts tokens that `old` signed, for the time of a rotation.
    pub fn and_accept(mut self, old: Secret) -> Self {
        self.0.push((key_number(&old), old));
        self
    }

    /// The key that signs.
    pub(crate) fn first(&self) -> Option<&(u8, Secret)> {
        self.0.first()
    }

    /// The keys that have this number; there may be two by chance.
    pub(crate) fn numbered(&self, number: u8) -> impl Iterator<Item = &Secret> {
        let has_it = move |(of_key, _): &&(u8, Secret)| *of_key == number;
        self.0.iter().filter(has_it).map(|(_, secret)| secret)
    }

    /// Signs `token` for one purpose.
    pub fn seal(&self, purpose: Purpose, token: &MailToken) -> String {
        let Some((number, secret)) = self.first() else {
            return String::new();
        };
        let mut bytes = Vec::with_capacity(FIXED_LEN + token.url.len() + TAG_LEN);
        bytes.extend([*number, purpose as u8]);
        bytes.extend(token.workspace_id.0.as_bytes());
        bytes.extend(token.campaign_id.map_or(Uuid::nil(), |id| id.0).as_bytes());
        bytes.extend(token.lead_id.map_or(Uuid::nil(), |id| id.0).as_bytes());
        bytes.extend(token.message_id.0.as_bytes());
        bytes.extend((token.issued_at.timestamp() as u32).to_be_bytes());
        bytes.extend(token.link.to_be_bytes());
        bytes.extend(token.url.as_bytes());
        signed(secret, bytes)
    }

    /// Verifies a token for one purpose and reads it.
    pub fn open(&self, purpose: Purpose, text: &str) -> Result<MailToken, BadToken> {
        read(&self.verified(purpose, FIXED_LEN, text)?)
    }

    /// Signs the token of a confirmation.
    pub fn seal_confirmation(&self, token: &ConfirmToken) -> String {
        let Some((number, secret)) = self.first() else {
            return String::new();
        };
        let mut bytes = Vec::with_capacity(CONFIRM_LEN + TAG_LEN);
        bytes.extend([*number, Purpose::Confirm as u8]);
        bytes.extend(token.workspace_id.0.as_bytes());
        bytes.extend(token.submission_id.0.as_bytes());
        bytes.extend((token.issued_at.timestamp() as u32).to_be_bytes());
        signed(secret, bytes)
    }

    /// Verifies the token of a confirmation, which must not be too old, and reads it.
    pub fn open_confirmation(
        &self,
        text: &str,
        now: DateTime<Utc>,
    ) -> Result<ConfirmToken, BadToken> {
        let payload = self.verified(Purpose::Confirm, CONFIRM_LEN, text)?;
        let token = ConfirmToken {
            workspace_id: id(&payload, 2)?.into(),
            submission_id: id(&payload, 18)?.into(),
            issued_at: time(&payload, 34)?,
        };
        let over = now > token.issued_at + TimeDelta::days(CONFIRM_DAYS);
        (!over).then_some(token).ok_or(BadToken)
    }

    /// What one of our keys signed for this purpose: at least `least` octets.
    fn verified(&self, purpose: Purpose, least: usize, text: &str) -> Result<Vec<u8>, BadToken> {
        let mut bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| BadToken)?;
        let split = bytes
            .len()
            .checked_sub(TAG_LEN)
            .filter(|n| *n >= least)
            .ok_or(BadToken)?;
        let (payload, tag) = bytes.split_at(split);
        let genuine = self
            .numbered(payload[0])
            .any(|secret| mac(secret, payload).verify_truncated_left(tag).is_ok());
        if !genuine || payload[1] != purpose as u8 {
            return Err(BadToken);
        }
        bytes.truncate(split);
        Ok(bytes)
    }
}

/// `bytes` with the tag behind them, as text.
fn signed(secret: &Secret, mut bytes: Vec<u8>) -> String {
    let tag = mac(secret, &bytes).finalize().into_bytes();
    bytes.extend(&tag[..TAG_LEN]);
    URL_SAFE_NO_PAD.encode(bytes)
}

fn id(payload: &[u8], at: usize) -> Result<Uuid, BadToken> {
    Uuid::from_slice(&payload[at..at + 16]).map_err(|_| BadToken)
}

fn time(payload: &[u8], at: usize) -> Result<DateTime<Utc>, BadToken> {
    let seconds = [
        payload[at],
        payload[at + 1],
        payload[at + 2],
        payload[at + 3],
    ];
    let seconds = u32::from_be_bytes(seconds);
    Utc.timestamp_opt(i64::from(seconds), 0)
        .single()
        .ok_or(BadToken)
}

fn read(payload: &[u8]) -> Result<MailToken, BadToken> {
    let present = |id: Uuid| Some(id).filter(|id| !id.is_nil());
    Ok(MailToken {
        workspace_id: id(payload, 2)?.into(),
        campaign_id: present(id(payload, 18)?).map(Into::into),
        lead_id: present(id(payload, 34)?).map(Into::into),
        message_id: id(payload, 50)?.into(),
        issued_at: time(payload, 66)?,
        link: u16::from_be_bytes([payload[70], payload[71]]),
        url: String::from_utf8(payload[FIXED_LEN..].to_vec()).map_err(|_| BadToken)?,
    })
}

/// Which link of its mail a token is for, whoever signed it: nothing to rely on.
pub fn link_number(text: &str) -> Option<u16> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let number = bytes.get(FIXED_LEN - 2..FIXED_LEN)?;
    Some(u16::from_be_bytes([number[0], number[1]]))
}

/// Names a key by its own hash, so that both sides agree without a setting.
fn key_number(secret: &Secret) -> u8 {
    use sha2::Digest;
    Sha256::digest(secret.expose().as_bytes())[0]
}

pub(crate) fn mac(secret: &Secret, bytes: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes())
        .expect("HMAC takes a key of any length");
    mac.update(bytes);
    mac
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn token(url: &str) -> MailToken {
        MailToken {
            workspace_id: WorkspaceId::new(),
            campaign_id: Some(CampaignId::new()),
            lead_id: None,
            message_id: MessageId::new(),
            issued_at: Utc
                .timestamp_opt(1_790_000_000, 0)
                .single()
                .expect("a valid time"),
            link: 7,
            url: url.into(),
        }
    }

    #[test]
    fn a_token_for_one_purpose_is_refused_for_another() {
        let keys = Keyring::new(Secret::new("s"));
        let sealed = keys.seal(Purpose::Open, &token(""));
        assert!(keys.open(Purpose::Open, &sealed).is_ok());
        assert_eq!(keys.open(Purpose::Unsubscribe, &sealed), Err(BadToken));
    }

    #[test]
    fn a_rotated_key_still_opens_old_tokens() {
        let old = Keyring::new(Secret::new("old"));
        let sealed = old.seal(Purpose::Click, &token("https://a.example"));
        let new = Keyring::new(Secret::new("new"));
        assert_eq!(new.open(Purpose::Click, &sealed), Err(BadToken));
        assert!(
            new.and_accept(Secret::new("old"))
                .open(Purpose::Click, &sealed)
                .is_ok()
        );
    }

    #[test]
    fn a_confirmation_works_for_a_week_and_for_nothing_else() {
        let keys = Keyring::new(Secret::new("s"));
        let issued_at = token("").issued_at;
        let asked = ConfirmToken {
            workspace_id: WorkspaceId::new(),
            submission_id: SubmissionId::new(),
            issued_at,
        };
        let (sealed, last) = (
            keys.seal_confirmation(&asked),
            issued_at + TimeDelta::days(CONFIRM_DAYS),
        );
        assert_eq!(keys.open_confirmation(&sealed, last), Ok(asked));
        let late = keys.open_confirmation(&sealed, last + TimeDelta::seconds(1));
        assert_eq!(late, Err(BadToken));
        assert_eq!(keys.open(Purpose::Unsubscribe, &sealed), Err(BadToken));
        let leaving = keys.seal(Purpose::Unsubscribe, &token(""));
        assert_eq!(keys.open_confirmation(&leaving, last), Err(BadToken));
        let other = Keyring::new(Secret::new("t"));
        assert_eq!(other.open_confirmation(&sealed, last), Err(BadToken));
    }

    proptest! {
        #[test]
        fn what_is_sealed_comes_back(url in "https://\\PC{0,80}") {
            let (keys, token) = (Keyring::new(Secret::new("s")), token(&url));
            let sealed = keys.seal(Purpose::Click, &token);
            prop_assert_eq!(link_number(&sealed), Some(token.link));
            prop_assert_eq!(keys.open(Purpose::Click, &sealed), Ok(token));
        }

        #[test]
        fn a_changed_byte_is_noticed(at in 0usize..90, flip in 1u8..=255) {
            let keys = Keyring::new(Secret::new("s"));
            let mut bytes = URL_SAFE_NO_PAD
                .decode(keys.seal(Purpose::Click, &token("https://a.example/")))
                .expect("it was just encoded");
            let at = at % bytes.len();
            bytes[at] ^= flip;
            prop_assert_eq!(keys.open(Purpose::Click, &URL_SAFE_NO_PAD.encode(bytes)), Err(BadToken));
        }
    }
}
