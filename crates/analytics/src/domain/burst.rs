//! Bursts: a scanner follows several links of one mail at once; a person follows one.

use chrono::{DateTime, Duration, Utc};
use common::MessageId;

use crate::domain::rules;

/// One click, as far as bursts are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Click {
    pub message: MessageId,
    pub link: i32,
    pub at: DateTime<Utc>,
}

/// For each click, whether another link of its message was followed within the burst window.
pub fn find(clicks: &[Click]) -> Vec<bool> {
    let mut order: Vec<usize> = (0..clicks.len()).collect();
    order.sort_by_key(|index| (clicks[*index].message, clicks[*index].at));
    let mut burst = vec![false; clicks.len()];
    mark(clicks, order.iter().copied(), &mut burst);
    mark(clicks, order.iter().rev().copied(), &mut burst);
    burst
}

/// Marks each click that comes, in this order, soon after a click on another link.
fn mark(clicks: &[Click], order: impl Iterator<Item = usize>, burst: &mut [bool]) {
    let window = Duration::milliseconds(rules::BURST_WINDOW_MS);
    let near = |a: Click, b: Click| a.message == b.message && (a.at - b.at).abs() <= window;
    // The last click, and the last one before it on a link other than its own.
    let (mut last, mut other): (Option<Click>, Option<Click>) = (None, None);
    for index in order {
        let click = clicks[index];
        if last.is_some_and(|last| last.link != click.link || last.message != click.message) {
            other = last;
        }
        burst[index] |= other.is_some_and(|other| near(other, click));
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

    #[test]
    fn two_links_at_once_are_a_burst() {
        let clicks = [click(1, 0, 0), click(1, 1, 900), click(1, 0, 5000)];
        assert_eq!(find(&clicks), [true, true, false]);
    }

    #[test]
    fn one_link_twice_and_two_mails_at_once_are_none() {
        let clicks = [click(1, 0, 0), click(1, 0, 50), click(2, 1, 60)];
        assert_eq!(find(&clicks), [false; 3]);
    }

    proptest! {
        #[test]
        fn it_agrees_with_comparing_every_pair(
            spec in prop::collection::vec((0u128..3, 0i32..3, 0i64..4000), 0..40)
        ) {
            let clicks: Vec<_> = spec.into_iter().map(|(m, l, at)| click(m, l, at)).collect();
            let pairs: Vec<bool> = clicks.iter().map(|a| clicks.iter().any(|b| {
                a.message == b.message && a.link != b.link && (a.at - b.at).num_milliseconds().abs() <= 1000
            })).collect();
            prop_assert_eq!(find(&clicks), pairs);
        }
    }
}
