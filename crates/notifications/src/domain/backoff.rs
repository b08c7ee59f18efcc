//! When a message that a server put off is tried again.

use std::time::Duration;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;

/// The pauses before the second, third, … attempt: a day in all.
pub(crate) const PAUSES_S: [u64; 9] = [
    30,
    2 * MINUTE,
    10 * MINUTE,
    30 * MINUTE,
    HOUR,
    2 * HOUR,
    4 * HOUR,
    8 * HOUR,
    8 * HOUR,
];

/// The pause after `attempts` failed attempts, or none when the message has expired. `scale`
/// shortens all pauses, for an installation that only tries things out.
pub(crate) fn pause(attempts: u32, scale: f64) -> Option<Duration> {
    let index = usize::try_from(attempts).ok()?.checked_sub(1)?;
    let seconds = *PAUSES_S.get(index)?;
    Some(Duration::from_secs(seconds).mul_f64(scale))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pauses_grow_and_end_within_a_day() {
        assert!(PAUSES_S.is_sorted());
        let day = 24 * HOUR;
        let sum: u64 = PAUSES_S.iter().sum();
        assert!((day - HOUR..=day).contains(&sum), "{sum}");
    }

    #[test]
    fn each_attempt_has_its_pause_and_the_tenth_is_the_last() {
        assert_eq!(pause(1, 1.0), Some(Duration::from_secs(30)));
        assert_eq!(pause(9, 1.0), Some(Duration::from_secs(8 * HOUR)));
        assert_eq!(pause(10, 1.0), None);
        assert_eq!(pause(0, 1.0), None);
        assert_eq!(pause(1, 0.1), Some(Duration::from_secs(3)));
    }
}
