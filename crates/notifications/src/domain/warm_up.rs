//! Warm-up plans: how much a new sender may send on each of its days.

use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};
use serde::{Deserialize, Serialize};

/// Daily caps from a first day on; days are UTC. Before the first day nothing is sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = notifications::WarmUp)]
pub(crate) struct WarmUp {
    pub(crate) start: NaiveDate,
    /// The cap of each day; when they are over there is none. Or give `first` and `growth`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) daily: Option<Vec<u32>>,
    /// The cap of the first day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) first: Option<u32>,
    /// Each day's cap is the day before's times this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) growth: Option<f64>,
    /// The plan is over when a cap would be larger than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) until: Option<u32>,
}

/// Longest list of daily caps.
const MOST_DAYS: usize = 365;

impl WarmUp {
    /// How many messages may be sent on `day`; none when the plan is over.
    pub(crate) fn cap(&self, day: NaiveDate) -> Option<u32> {
        let Ok(index) = usize::try_from((day - self.start).num_days()) else {
            return Some(0);
        };
        if let Some(daily) = &self.daily {
            return daily.get(index).copied();
        }
        let (first, growth) = (f64::from(self.first?), self.growth?);
        let cap = first * growth.powi(i32::try_from(index).unwrap_or(i32::MAX));
        let until = f64::from(self.until.unwrap_or(u32::MAX));
        (cap <= until).then_some(cap as u32)
    }

    /// What is wrong with the plan: the member and why.
    pub(crate) fn complaints(&self) -> Vec<(&'static str, &'static str)> {
        let mut found = Vec::new();
        match (&self.daily, self.first, self.growth) {
            (Some(days), None, None) if self.until.is_none() => {
                if days.is_empty() || days.len() > MOST_DAYS {
                    found.push(("/daily", "must have 1 to 365 days"));
                }
            }
            (Some(_), ..) => {
                found.push(("/daily", "stands alone: without first, growth and until"))
            }
            (None, Some(first), Some(growth)) => {
                if first == 0 {
                    found.push(("/first", "must be at least 1"));
                }
                if !(1.01..=10.0).contains(&growth) {
                    found.push(("/growth", "must be between 1.01 and 10"));
                }
            }
            (None, ..) => found.push(("", "needs daily, or first and growth")),
        }
        found
    }
}

/// When the day after `now`'s begins.
pub(crate) fn next_day(now: DateTime<Utc>) -> DateTime<Utc> {
    let tomorrow = now.date_naive().checked_add_days(Days::new(1));
    tomorrow.map_or(now, |day| day.and_time(NaiveTime::MIN).and_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(number: u64) -> NaiveDate {
        let first = NaiveDate::from_ymd_opt(2026, 11, 1).expect("a date");
        first + Days::new(number)
    }

    fn plan(json: serde_json::Value) -> WarmUp {
        serde_json::from_value(json).expect("a plan")
    }

    #[test]
    fn listed_caps_hold_day_by_day_and_end() {
        let plan = plan(serde_json::json!({ "start": "2026-11-02", "daily": [50, 100] }));
        assert!(plan.complaints().is_empty());
        let caps: Vec<_> = (0..4).map(|number| plan.cap(day(number))).collect();
        assert_eq!(caps, [Some(0), Some(50), Some(100), None]);
    }

    #[test]
    fn grown_caps_grow_until_the_end() {
        let plan = plan(
            serde_json::json!({ "start": "2026-11-01", "first": 50, "growth": 2, "until": 250 }),
        );
        assert!(plan.complaints().is_empty());
        let caps: Vec<_> = (0..5).map(|number| plan.cap(day(number))).collect();
        assert_eq!(caps, [Some(50), Some(100), Some(200), None, None]);
        assert_eq!(plan.cap(day(40_000)), None);
    }

    #[test]
    fn a_plan_that_makes_no_sense_says_why() {
        for (json, at) in [
            (serde_json::json!({ "start": "2026-11-01" }), ""),
            (
                serde_json::json!({ "start": "2026-11-01", "daily": [] }),
                "/daily",
            ),
            (
                serde_json::json!({ "start": "2026-11-01", "daily": [1], "first": 1 }),
                "/daily",
            ),
            (
                serde_json::json!({ "start": "2026-11-01", "first": 0, "growth": 2 }),
                "/first",
            ),
            (
                serde_json::json!({ "start": "2026-11-01", "first": 1, "growth": 1 }),
                "/growth",
            ),
        ] {
            let complaints = plan(json.clone()).complaints();
            assert_eq!(complaints.first().map(|(at, _)| *at), Some(at), "{json}");
        }
    }

    #[test]
    fn the_next_day_begins_at_midnight() {
        let late = day(0).and_hms_opt(23, 59, 59).expect("a time").and_utc();
        assert_eq!(next_day(late).to_string(), "2026-11-02 00:00:00 UTC");
        assert_eq!(
            next_day(next_day(late)).to_string(),
            "2026-11-03 00:00:00 UTC"
        );
    }
}
