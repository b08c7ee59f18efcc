//! `clarion bench`: how fast this is on this machine, each figure as a ratio against a limit that
//! is measured in the same run.
//!
//! Rates differ from machine to machine and from minute to minute, ratios hardly do: every round
//! measures ours and then its limit, and a row's figures are the medians of its rounds. The load,
//! the platform, its servers and the limits share the machine, as they would on a laptop.

mod clicks;
mod cpu;
mod gateway;
mod idle;
mod import;
mod ingest;
mod limit;
mod load;
pub(crate) mod platform;
mod reports;

mod send;
mod soak;
mod table;
mod transactional;

use anyhow::{bail, ensure};
use clap::ValueEnum;

use crate::process::Missing;
use platform::Site;
use table::{Report, Row};

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Only these measurements, separated by commas
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// Smaller sizes: quicker, and less steady
    #[arg(long)]
    quick: bool,
    /// How often everything is measured; the medians count
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=50))]
    rounds: u32,
    /// Events that reports are measured over
    #[arg(long, default_value_t = 50_000_000, value_parser = clap::value_parser!(u64).range(10_000..))]
    events: u64,
    /// Minutes of events at half of the measured speed, while memory is looked at; 0 for none
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=1440))]
    soak_minutes: u32,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    Import,
    Ingest,
    Send,
    Transactional,
    Growth,
    Gateway,
    Idle,
    /// Only when it is named: it fills tens of gigabytes
    Reports,
}

/// How much of everything.
#[derive(Clone, Copy, Debug)]
struct Size {
    rounds: u32,
    /// Rows of an import.
    leads: usize,
    /// Events of a round.
    events: usize,
    /// Messages of a campaign.
    messages: usize,
    /// Messages of a large campaign.
    growth: usize,
    /// How long requests are counted.
    seconds: u32,
    /// Events that reports are about.
    reports: usize,
}

impl Args {
    fn wants(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }

    fn size(&self) -> Size {
        let rounds = self.rounds;
        let reports = usize::try_from(self.events).unwrap_or(usize::MAX);
        match self.quick {
            true => Size {
                rounds,
                leads: 50_000,
                events: 50_000,
                messages: 5_000,
                growth: 50_000,
                seconds: 2,
                reports,
            },
            false => Size {
                rounds,
                leads: 200_000,
                events: 200_000,
                messages: 100_000,
                growth: 1_000_000,
                seconds: 5,
                reports,
            },
        }
    }
}

/// Measures and prints. A missed aim is a result; only a measurement that could not be made, for
/// another reason than a program that is not installed, is an error.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let stop = chassis::process::stop_on_signal()?;
    let rows = tokio::select! {
        rows = measure(&args) => rows,
        () = stop.cancelled() => bail!("stopped"),
    };
    let report = Report::new(args.quick, args.rounds, rows);
    report.print(args.json)?;
    let failed = report.failures();
    ensure!(failed.is_empty(), "could not measure {}", failed.join(", "));
    Ok(())
}

async fn measure(args: &Args) -> Vec<Row> {
    let size = args.size();
    let mut rows = on_one_platform(args, size).await;
    if args.wants(Part::Growth) {
        say("growth");
        rows.extend(told("growth", send::measure_growth(size).await));
    }
    if args.wants(Part::Gateway) {
        say("gateway");
        rows.extend(told("gateway", gateway::measure(size).await));
    }
    if args.wants(Part::Idle) {
        say("idle");
        rows.extend(told("idle", idle::measure(size).await));
    }
    if args.only.contains(&Part::Reports) {
        say("reports");
        rows.extend(told("reports", reports::measure(size).await));
    }
    rows
}

/// What needs a platform and its database.
async fn on_one_platform(args: &Args, size: Size) -> Vec<Row> {
    let mut rows = Vec::new();
    if ![Part::Import, Part::Ingest, Part::Send, Part::Transactional]
        .into_iter()
        .any(|part| args.wants(part))
    {
        return rows;
    }
    say("start a platform");
    let site = match Site::start().await {
        Ok(site) => site,
        Err(error) => return told("platform", Err(error)),
    };
    if args.wants(Part::Import) {
        say("import");
        rows.extend(told("import", import::measure(&site, size).await));
    }
    if args.wants(Part::Ingest) {
        say("clicks");
        // First: millions of events are counted for a while after they came.
        let clicks = told("clicks", clicks::measure(&site, size).await);
        say("ingest");
        rows.extend(told("ingest", ingest::measure(&site, size).await));
        rows.extend(clicks);
        if args.soak_minutes > 0 {
            say("soak");
            let soaked = soak::measure(&site, args.soak_minutes).await;
            rows.extend(told("soak", soaked));
        }
    }
    if args.wants(Part::Send) {
        say("send");
        rows.extend(told("send", send::measure(&site, size).await));
    }
    if args.wants(Part::Transactional) {
        say("transactional");
        rows.extend(told(
            "transactional",
            transactional::measure(&site, size).await,
        ));
    }
    rows
}

/// The rows of a measurement, or the one row that says why there are none.
fn told(name: &'static str, measured: anyhow::Result<Vec<Row>>) -> Vec<Row> {
    match measured {
        Ok(rows) => rows,
        Err(error) => vec![match error.downcast_ref::<Missing>() {
            Some(missing) => Row::skipped(name, missing),
            None => Row::failed(name, &error),
        }],
    }
}

/// Progress goes to stderr, the report to stdout.
fn say(what: &str) {
    eprintln!("bench: {what}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_skipped_and_anything_else_has_failed() {
        let missing = Missing {
            program: "smtp-sink",
            package: "postfix",
        };
        let rows = told("send", Err(anyhow::Error::from(missing).context("no sink")));
        assert!(rows[0].failure().is_none());
        let rows = told("send", Err(anyhow::anyhow!("refused")));
        assert_eq!(rows[0].failure(), Some("send"));
    }

    #[test]
    fn everything_is_measured_unless_something_is_named() {
        let args = |only| Args {
            only,
            quick: true,
            rounds: 1,
            events: 10_000,
            soak_minutes: 0,
            json: false,
        };
        assert!(args(Vec::new()).wants(Part::Idle));
        assert!(!args(vec![Part::Send]).wants(Part::Idle));
    }
}
