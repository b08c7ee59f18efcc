//! Memory over time: single events at half of the speed that was measured a moment before, for as
//! many minutes as asked. The private memory of the whole platform is looked at every few seconds;
//! what counts is the median of the last quarter against that of the second, when everything has
//! been in use for a while.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use anyhow::ensure;

use super::ingest::{single, token};
use super::load::Pace;
use super::platform::Site;
use super::say;
use super::table::{Aim, Rounds, Row};

/// Growth that would be none: what allocators keep differs from look to look.
const MOST: f64 = 1.1;
/// Between two looks.
const LOOK: Duration = Duration::from_secs(5);
/// Events that the speed is measured with.
const TRIAL: usize = 50_000;
/// A stretch of load with one token. It takes longer on a machine that has other things to do.
const STRETCH: Duration = Duration::from_secs(60);

pub(super) async fn measure(site: &Site, minutes: u32) -> anyhow::Result<Vec<Row>> {
    let token_of_trial = token(site).await?;
    let full = single(site.analytics, &token_of_trial, TRIAL, None).await?;
    let pace = (full.per_second() / 2.0).max(1.0) as u32;
    say(&format!("soak: {pace} events/s for {minutes} min"));
    let end = Instant::now() + Duration::from_secs(u64::from(minutes) * 60);
    let load = async {
        let mut sent = 0;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            // Signed in anew: a token does not outlast an hour.
            let token = token(site).await?;
            let seconds = left.min(STRETCH).as_secs_f64();
            let events = (f64::from(pace) * seconds).max(1.0) as usize;
            let done = single(site.analytics, &token, events, Some(Pace::per_second(pace))).await?;
            sent += done.requests;
        }
        anyhow::Ok(sent)
    };
    let mut seen = Vec::new();
    let sent = tokio::select! {
        sent = load => sent?,
        looked = look(site, &mut seen) => match looked? {},
    };
    ensure!(seen.len() >= 8, "too short to tell: take a minute at least");
    let quarter = seen.len() / 4;
    let (early, late) = (
        median(&seen[quarter..2 * quarter]),
        median(&seen[3 * quarter..]),
    );
    let mut rounds = Rounds::default();
    rounds.add(late, early);
    Ok(vec![
        Row::new(
            "memory after the soak",
            "MB",
            Aim::RatioAtMost(MOST),
            rounds,
        )
        .noting(format!(
            "private memory in its second quarter; {sent} events in {minutes} min"
        )),
    ])
}

/// Looks again and again.
async fn look(site: &Site, seen: &mut Vec<f64>) -> anyhow::Result<Infallible> {
    loop {
        let memory = site.platform.memory()?.0;
        if seen.len().is_multiple_of(12) {
            say(&format!("soak: {memory:.1} MB private"));
        }
        seen.push(memory);
        tokio::time::sleep(LOOK).await;
    }
}

fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_counts() {
        assert_eq!(median(&[3.0, 100.0, 1.0]), 3.0);
        assert!(median(&[]).is_nan());
    }
}
