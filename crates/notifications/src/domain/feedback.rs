//! What may come back about a mail, and when soft bounces are enough.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

/// What was told about one recipient of one mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = notifications::FeedbackClass)]
pub(crate) enum Class {
    /// Mail to this address will never arrive.
    Hard,
    /// This mail did not arrive, or not yet.
    Soft,
    /// The person called it spam.
    Complaint,
    /// A machine answered for the person.
    AutoReply,
    Delivered,
}

impl Class {
    pub(crate) const ALL: [Self; 5] = [
        Self::Hard,
        Self::Soft,
        Self::Complaint,
        Self::AutoReply,
        Self::Delivered,
    ];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Hard => "hard",
            Self::Soft => "soft",
            Self::Complaint => "complaint",
            Self::AutoReply => "auto_reply",
            Self::Delivered => "delivered",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == text)
    }
}

/// After this time a soft bounce counts half.
const HALF_LIFE_DAYS: i64 = 14;
/// An address with so many soft bounces is taken for one that does not exist.
const ENOUGH: f64 = 5.0;

/// How many soft bounces an address has, old ones counting less.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct SoftScore {
    pub(crate) score: f64,
    /// Until when it has decayed.
    pub(crate) at: DateTime<Utc>,
}

impl SoftScore {
    pub(crate) fn none(now: DateTime<Utc>) -> Self {
        Self {
            score: 0.0,
            at: now,
        }
    }

    /// With one more. It decays by whole days, so that five on one day are five.
    pub(crate) fn and_one(self, now: DateTime<Utc>) -> Self {
        let days = (now - self.at).num_days().max(0);
        let left = (-(days as f64) / HALF_LIFE_DAYS as f64).exp2();
        Self {
            score: self.score * left + 1.0,
            at: self.at + TimeDelta::days(days),
        }
    }

    pub(crate) fn is_enough(self) -> bool {
        self.score >= ENOUGH
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(hours: &[i64]) -> SoftScore {
        let start = DateTime::from_timestamp(1_790_000_000, 0).expect("a time");
        let add = |score: SoftScore, hour: &i64| score.and_one(start + TimeDelta::hours(*hour));
        hours.iter().fold(SoftScore::none(start), add)
    }

    #[test]
    fn five_on_one_day_are_enough_and_four_are_not() {
        assert!(after(&[0, 5, 10, 15, 23]).is_enough());
        assert!(!after(&[0, 5, 10, 15]).is_enough());
    }

    #[test]
    fn one_counts_half_after_two_weeks() {
        let score = after(&[0, 14 * 24]);
        assert!((score.score - 1.5).abs() < 1e-9, "{score:?}");
        assert!(!after(&[0, 0, 0, 0, 14 * 24]).is_enough());
        let monthly: Vec<_> = (0..100).map(|month| month * 30 * 24).collect();
        assert!(!after(&monthly).is_enough());
    }

    #[test]
    fn parts_of_days_are_not_lost() {
        let hourly: Vec<_> = (0..48).collect();
        assert_eq!(after(&hourly).at, after(&[0]).at + TimeDelta::days(1));
    }

    #[test]
    fn a_clock_that_went_back_does_no_harm() {
        assert!((after(&[48, 0]).score - 2.0).abs() < 1e-9);
    }

    #[test]
    fn a_class_is_read_as_it_is_written() {
        for class in Class::ALL {
            assert_eq!(Class::parse(class.as_str()), Some(class));
        }
        assert_eq!(Class::parse("spam"), None);
    }
}
