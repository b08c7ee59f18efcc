//! What the clicks around a click say: a scanner follows several links of one mail at once, also the
//! one that nobody sees; a person follows one.

use chrono::{DateTime, Duration, Utc};
use common::MessageId;
use common::token::CANARY;

use crate::domain::rules;

/// One click, as far as bursts are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Click {
    pub message: MessageId,
    pub link: i32,
    pub at: DateTime<Utc>,
}

/// What a click's siblings say about it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Siblings {
    /// Another link of its mail was followed within the burst window.
    pub burst: bool,
    /// The link that nobody sees was followed within its window.
    pub canary: bool,
}

impl Siblings {
    /// Why it is a scanner's; nothing when it is not.
    pub fn reasons(self) -> impl Iterator<Item = &'static str> {
        let burst = self.burst.then_some(rules::BURST);
        burst
            .into_iter()
            .chain(self.canary.then_some(rules::CANARY))
    }
}

impl Click {
    fn is_canary(&self) -> bool {
        self.link == i32::from(CANARY)
    }
}

/// For each click, what the others say about it.
pub fn find(clicks: &[Click]) -> Vec<Siblings> {
    let mut order: Vec<usize> = (0..clicks.len()).collect();
    order.sort_by_key(|index| (clicks[*index].message, clicks[*index].at));
    let mut found = vec![Siblings::default(); clicks.len()];
    mark(clicks, order.iter().copied(), &mut found);
    mark(clicks, order.iter().rev().copied(), &mut found);
    found
}

/// Marks each click that comes, in this order, soon after a click on another link, or on the one
/// that nobody sees.
fn mark(clicks: &[Click], order: impl Iterator<Item = usize>, found: &mut [Siblings]) {
    let burst = Duration::milliseconds(rules::BURST_WINDOW_MS);
    let scan = Duration::milliseconds(rules::CANARY_WINDOW_MS);
    let near = |a: Click, b: Click, window| a.message == b.message && (a.at - b.at).abs() <= window;
    // The last click, and the last one before it on a link other than its own.
    let (mut last, mut other): (Option<Click>, Option<Click>) = (None, None);
    let mut canary: Option<Click> = None;
    for index in order {
        let click = clicks[index];
        if last.is_some_and(|last| last.link != click.link || last.message != click.message) {
            other = last;
        }
        if click.is_canary() {
            canary = Some(click);
        }
        found[index].burst |= other.is_some_and(|other| near(other, click, burst));
        found[index].canary |= canary.is_some_and(|canary| near(canary, click, scan));
        last = Some(click);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn click(message: u128, link: i32, ms: i64) -> Click {
        Click {
            message: uuid::Uuid::from_u128(message).into(),
            link,
            at: DateTime::from_timestamp_millis(1_790_000_000_000 + ms).expect("a valid time"),
        }
    }

    fn bursts(clicks: &[Click]) -> Vec<bool> {
        find(clicks).iter().map(|one| one.burst).collect()
    }

    #[test]
    fn two_links_at_once_are_a_burst() {
        let clicks = [click(1, 0, 0), click(1, 1, 900), click(1, 0, 5000)];
        assert_eq!(bursts(&clicks), [true, true, false]);
    }

    #[test]
    fn one_link_twice_and_two_mails_at_once_are_none() {
        let clicks = [click(1, 0, 0), click(1, 0, 50), click(2, 1, 60)];
        assert_eq!(bursts(&clicks), [false; 3]);
    }

    #[test]
    fn whoever_follows_the_link_that_nobody_sees_follows_the_others_too() {
        let canary = i32::from(CANARY);
        let clicks = [
            click(1, 0, 0),
            click(1, canary, 30_000),
            click(1, 1, 90_000),
            click(1, 1, 90_001),
            click(2, 0, 30_000),
        ];
        let found: Vec<_> = find(&clicks).iter().map(|one| one.canary).collect();
        assert_eq!(found, [true, true, true, false, false]);
        let both = Siblings {
            burst: true,
            canary: true,
        };
        assert_eq!(
            both.reasons().collect::<Vec<_>>(),
            ["link_burst", "canary_link"]
        );
        assert_eq!(Siblings::default().reasons().count(), 0);
    }

    proptest! {
        #[test]
        fn canaries_are_found_as_by_comparing_every_pair(
            spec in prop::collection::vec((0u128..3, prop::bool::weighted(0.2), 0i64..300_000), 0..40)
        ) {
            let number = |canary| if canary { i32::from(CANARY) } else { 0 };
            let clicks: Vec<_> = spec.into_iter().map(|(m, c, at)| click(m, number(c), at)).collect();
            let pairs: Vec<bool> = clicks.iter().map(|a| clicks.iter().any(|b| {
                a.message == b.message && b.is_canary() && (a.at - b.at).num_milliseconds().abs() <= 60_000
            })).collect();
            prop_assert_eq!(find(&clicks).iter().map(|one| one.canary).collect::<Vec<_>>(), pairs);
        }

        #[test]
        fn it_agrees_with_comparing_every_pair(
            spec in prop::collection::vec((0u128..3, 0i32..3, 0i64..4000), 0..40)
        ) {
            let clicks: Vec<_> = spec.into_iter().map(|(m, l, at)| click(m, l, at)).collect();
            let pairs: Vec<bool> = clicks.iter().map(|a| clicks.iter().any(|b| {
                a.message == b.message && a.link != b.link && (a.at - b.at).num_milliseconds().abs() <= 1000
            })).collect();
            prop_assert_eq!(bursts(&clicks), pairs);
        }
    }
}
