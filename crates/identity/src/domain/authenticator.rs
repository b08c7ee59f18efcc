//! Codes of an authenticator app (TOTP, RFC 6238, with its usual six digits of SHA-1 every thirty
//! seconds, which is what every app can do).

use aws_lc_rs::hmac::{HMAC_SHA1_FOR_LEGACY_USE_ONLY, Key, sign};
use chrono::{DateTime, Utc};
use data_encoding::BASE32_NOPAD;
use url::Url;

/// Seconds that a code lasts.
const STEP_S: i64 = 30;
/// How many steps a phone's clock may be off.
const DRIFT: i64 = 1;

fn step(now: DateTime<Utc>) -> i64 {
    now.timestamp().div_euclid(STEP_S)
}

/// The code of one step (RFC 4226 §5.3).
fn code(secret: &[u8], step: i64) -> String {
    let tag = sign(
        &Key::new(HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret),
        &step.to_be_bytes(),
    );
    let tag = tag.as_ref();
    let at = usize::from(tag[tag.len() - 1] & 0xf);
    let four = [tag[at] & 0x7f, tag[at + 1], tag[at + 2], tag[at + 3]];
    format!("{:06}", u32::from_be_bytes(four) % 1_000_000)
}

/// The step that `given` is the code of: near `now`, and after `last`, so that no code is taken
/// twice.
pub(crate) fn accepted_step(
    secret: &[u8],
    given: &str,
    last: i64,
    now: DateTime<Utc>,
) -> Option<i64> {
    let given: String = given.chars().filter(|c| !c.is_whitespace()).collect();
    let now = step(now);
    let same = |step: &i64| {
        let right = code(secret, *step);
        aws_lc_rs::constant_time::verify_slices_are_equal(right.as_bytes(), given.as_bytes())
            .is_ok()
    };
    (now - DRIFT..=now + DRIFT)
        .filter(|step| *step > last)
        .find(same)
}

/// What an app takes a secret from, also as a QR code.
pub(crate) fn otpauth_uri(secret: &[u8], email: &str) -> String {
    let mut url = Url::parse("otpauth://totp/").expect("a constant URL");
    url.set_path(&format!("/Clarion:{email}"));
    url.query_pairs_mut()
        .append_pair("secret", &BASE32_NOPAD.encode(secret))
        .append_pair("issuer", "Clarion")
        .append_pair("algorithm", "SHA1")
        .append_pair("digits", "6")
        .append_pair("period", "30");
    url.into()
}

/// The code of this moment; for tests.
#[cfg(test)]
pub(crate) fn code_at(secret: &[u8], now: DateTime<Utc>) -> String {
    code(secret, step(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).expect("a time")
    }

    #[test]
    fn the_codes_are_those_of_the_standard() {
        // RFC 6238 appendix B, the last six of its eight digits.
        let secret = b"12345678901234567890";
        for (seconds, right) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(code_at(secret, at(seconds)), right);
        }
    }

    #[test]
    fn a_code_counts_a_little_early_and_late_and_never_twice() {
        let secret = b"12345678901234567890";
        let code = code_at(secret, at(900));
        for seconds in [870, 900, 929, 959] {
            assert_eq!(accepted_step(secret, &code, 0, at(seconds)), Some(30));
        }
        for seconds in [840, 960] {
            assert_eq!(accepted_step(secret, &code, 0, at(seconds)), None);
        }
        assert_eq!(accepted_step(secret, &code, 30, at(900)), None);
        let spaced = format!("{} {}", &code[..3], &code[3..]);
        assert_eq!(accepted_step(secret, &spaced, 0, at(900)), Some(30));
        for wrong in ["", "0", "1234567", "abcdef"] {
            assert_eq!(accepted_step(secret, wrong, 0, at(900)), None, "{wrong}");
        }
    }

    #[test]
    fn an_app_can_read_the_uri() {
        let uri = otpauth_uri(b"12345678901234567890", "ada+x@example.com");
        assert!(
            uri.starts_with("otpauth://totp/Clarion:ada+x@example.com?"),
            "{uri}"
        );
        assert!(
            uri.contains("secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&"),
            "{uri}"
        );
    }
}
