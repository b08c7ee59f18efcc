//! How fast one destination domain is served after it asked us to slow down.

use chrono::{DateTime, Utc};
use mail::smtp::{Reply, Stage};
use serde::{Deserialize, Serialize};

/// From nothing to the full rate in this long: the growth is linear.
const GROWTH_S: f64 = 600.0;
/// It is never served slower than this.
const SLOWEST: f64 = 0.1;
/// One that sends a few messages an hour is not told how fast it may be.
const SLOWEST_TOP: f64 = 4.0;
/// Replies within this long are about one and the same speed, and halve it once.
const ONE_ANSWER_MS: i64 = 3_000;

/// A rate that was halved and grows back. It is a function of time, so whoever knows these three
/// numbers computes the same rate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Pace {
    /// Per second, at `since`.
    low: f64,
    /// Where the growth ends: the rate at which it was first told to slow down.
    top: f64,
    pub(crate) since: DateTime<Utc>,
}

impl Pace {
    /// The first "slow down" at `rate` per second.
    pub(crate) fn halved_from(rate: f64, now: DateTime<Utc>) -> Self {
        let top = rate.max(SLOWEST_TOP);
        Self {
            low: top / 2.0,
            top,
            since: now,
        }
    }

    /// Another "slow down". Late answers to what was sent before the last one change nothing.
    pub(crate) fn halved_again(self, now: DateTime<Utc>) -> Self {
        if (now - self.since).num_milliseconds() < ONE_ANSWER_MS {
            return self;
        }
        let rate = self.rate(now).unwrap_or(self.top);
        Self {
            low: (rate / 2.0).max(SLOWEST),
            since: now,
            ..self
        }
    }

    /// What is allowed per second; none when it has grown back.
    pub(crate) fn rate(self, now: DateTime<Utc>) -> Option<f64> {
        let passed = (now - self.since).as_seconds_f64().max(0.0);
        let rate = self.low + self.top * passed / GROWTH_S;
        (rate < self.top).then_some(rate)
    }
}

/// Whether a reply asks for fewer messages, rather than being about this one: the codes that
/// servers use for it, with an enhanced code of policy (RFC 3463 §3.8, 4.7.x) or in words.
pub(crate) fn says_slow_down(stage: Stage, reply: &Reply) -> bool {
    const WORDS: [&str; 7] = [
        "rate",
        "too many",
        "too fast",
        "throttl",
        "slow down",
        "unusual",
        "limit",
    ];
    /// Said of much else too; they count where no enhanced code says what it is about.
    const VAGUE: [&str; 2] = ["try again later", "deferred"];
    if !matches!(reply.code, 421 | 450 | 451 | 452) {
        return false;
    }
    match reply.enhanced {
        // The person's own mailbox, or its quota: no matter how slowly we come.
        Some((4, 1 | 2, _)) if stage == Stage::Rcpt && reply.code != 421 => return false,
        _ => {}
    }
    let text = reply.text.to_lowercase();
    // That is about whoever has not been seen before, at any speed.
    if text.contains("greylist") || text.contains("graylist") {
        return false;
    }
    let says = |words: &[&str]| words.iter().any(|word| has_word(&text, word));
    match reply.enhanced {
        Some((4, 7, _)) => true,
        Some(_) => says(&WORDS),
        None => says(&WORDS) || says(&VAGUE),
    }
}

/// `word` at the beginning of a word, so that "rate" is not found in "corporate".
fn has_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        !before.is_some_and(char::is_alphanumeric)
    })
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn slows(text: &str) -> bool {
        let reply = Reply::parse(format!("{text}\r\n").as_bytes());
        let (reply, _) = reply.expect("well-formed").expect("complete");
        says_slow_down(Stage::Rcpt, &reply)
    }

    #[test]
    fn it_is_told_from_other_answers() {
        for text in [
            "421 4.7.0 [TSS04] Messages temporarily deferred due to unexpected volume",
            "421 4.7.28 Our system has detected an unusual rate of unsolicited mail",
            "450 4.7.1 you are sending too much",
            "451 4.7.650 The mail server has been temporarily rate limited",
            "452 4.3.2 too many messages, slow down",
            "421 too many connections",
            "451 Throttled",
            "450 please try again later",
        ] {
            assert!(slows(text), "{text}");
        }
        for text in [
            "452 4.2.2 mailbox full, over the limit",
            "450 4.2.1 mailbox busy, try again later",
            "450 4.1.8 corporate policy",
            "451 4.7.1 Greylisting in action, please try again later",
            "451 4.3.0 local error in processing, try again later",
            "421 4.3.2 closing",
            "550 5.7.1 too many",
            "250 2.0.0 rate",
        ] {
            assert!(!slows(text), "{text}");
        }
    }

    #[test]
    fn it_halves_once_per_answer_and_grows_back() {
        let now = Utc::now();
        let pace = Pace::halved_from(100.0, now);
        assert_eq!(pace.rate(now), Some(50.0));
        let soon = now + TimeDelta::seconds(1);
        assert_eq!(pace.halved_again(soon), pace, "the same news again");
        let half_way = pace.rate(now + TimeDelta::seconds(150));
        assert_eq!(half_way, Some(75.0));
        let again = pace.halved_again(now + TimeDelta::seconds(150));
        assert_eq!(again.rate(again.since), Some(37.5));
        assert_eq!(pace.rate(now + TimeDelta::seconds(300)), None, "as before");
        let late = pace.halved_again(now + TimeDelta::days(1));
        assert_eq!(late.rate(late.since), Some(50.0), "half of the full rate");
    }

    #[test]
    fn it_never_stops() {
        let mut pace = Pace::halved_from(0.0, Utc::now());
        for _ in 0..20 {
            pace = pace.halved_again(pace.since + TimeDelta::seconds(4));
        }
        assert!(pace.rate(pace.since).expect("it is slow") >= SLOWEST);
    }
}
