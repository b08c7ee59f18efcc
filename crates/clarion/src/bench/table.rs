//! What was measured, as a table or as JSON.

use std::fmt::Display;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};
use serde::Serialize;

use crate::process::Missing;

/// Where a figure should be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Aim {
    /// This part of the limit, or more.
    Ratio(f64),
    /// This part of the limit, or less.
    RatioAtMost(f64),
    /// This much, or less.
    AtMost(f64),
    /// Nowhere in particular; it is told.
    None,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Ok,
    Below,
    Report,
    Skipped,
    Failed,
}

/// What one round found.
#[derive(Clone, Copy, Debug, Serialize)]
struct Round {
    ours: f64,
    limit: Option<f64>,
}

/// The rounds of one row, in the order they were measured.
#[derive(Clone, Debug, Default)]
pub(super) struct Rounds(Vec<Round>);

impl Rounds {
    /// Ours, with the limit that was measured beside it.
    pub(super) fn add(&mut self, ours: f64, limit: f64) {
        self.0.push(Round {
            ours,
            limit: Some(limit),
        });
    }

    /// A figure that stands for itself.
    pub(super) fn add_alone(&mut self, ours: f64) {
        self.0.push(Round { ours, limit: None });
    }
}

/// One line of the table.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Row {
    name: String,
    unit: &'static str,
    /// Medians of the rounds; the ratio is the median of the rounds' ratios.
    ours: Option<f64>,
    limit: Option<f64>,
    ratio: Option<f64>,
    aim: Aim,
    verdict: Verdict,
    /// What the limit is, or why there is nothing.
    note: String,
    rounds: Vec<Round>,
}

impl Row {
    pub(super) fn new(name: impl Display, unit: &'static str, aim: Aim, rounds: Rounds) -> Self {
        let rounds = rounds.0;
        let ours = median(rounds.iter().map(|round| round.ours));
        let ratio = median(
            rounds
                .iter()
                .filter_map(|round| Some(round.ours / round.limit?)),
        );
        let reached = match aim {
            Aim::Ratio(least) => ratio.map(|ratio| ratio >= least),
            Aim::RatioAtMost(most) => ratio.map(|ratio| ratio <= most),
            Aim::AtMost(most) => ours.map(|ours| ours <= most),
            Aim::None => None,
        };
        let verdict = match reached {
            Some(true) => Verdict::Ok,
            Some(false) => Verdict::Below,
            None => Verdict::Report,
        };
        let limit = median(rounds.iter().filter_map(|round| round.limit));
        Self {
            name: name.to_string(),
            unit,
            ours,
            limit,
            ratio,
            aim,
            verdict,
            note: String::new(),
            rounds,
        }
    }

    /// The same with a word on what stands behind it.
    pub(super) fn noting(mut self, note: impl Display) -> Self {
        self.note = note.to_string();
        self
    }

    pub(super) fn skipped(name: &'static str, missing: &Missing) -> Self {
        Self::without(name, Verdict::Skipped, missing.to_string())
    }

    pub(super) fn failed(name: &'static str, error: &anyhow::Error) -> Self {
        Self::without(name, Verdict::Failed, format!("failed: {error:#}"))
    }

    fn without(name: &'static str, verdict: Verdict, note: String) -> Self {
        let row = Self::new(name, "", Aim::None, Rounds::default()).noting(note);
        Self { verdict, ..row }
    }

    /// Its name, when it should have been measured and was not.
    pub(super) fn failure(&self) -> Option<&str> {
        (self.verdict == Verdict::Failed).then_some(&self.name)
    }

    fn cells(&self) -> [String; 7] {
        let aim = match self.aim {
            Aim::Ratio(least) => format!("≥ {least}"),
            Aim::RatioAtMost(most) => format!("≤ {most} ×"),
            Aim::AtMost(most) => format!("≤ {}", number(most)),
            Aim::None => String::new(),
        };
        let verdict = match self.verdict {
            Verdict::Ok => "ok",
            Verdict::Below => "below",
            Verdict::Report => "report",
            Verdict::Skipped => "skipped",
            Verdict::Failed => "failed",
        };
        let ratio = self
            .ratio
            .map_or_else(String::new, |ratio| format!("{ratio:.2}"));
        let figure = |of: Option<f64>| of.map_or_else(String::new, number);
        let name = match self.unit {
            "" => self.name.clone(),
            unit => format!("{}, {unit}", self.name),
        };
        [
            name,
            figure(self.ours),
            figure(self.limit),
            ratio,
            aim,
            verdict.to_owned(),
            self.note.clone(),
        ]
    }
}

/// Everything that was measured, and on what.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    version: &'static str,
    cores: usize,
    quick: bool,
    rounds: u32,
    rows: Vec<Row>,
}

impl Report {
    pub(super) fn new(quick: bool, rounds: u32, rows: Vec<Row>) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            version: env!("CARGO_PKG_VERSION"),
            cores,
            quick,
            rounds,
            rows,
        }
    }

    pub(super) fn failures(&self) -> Vec<&str> {
        self.rows.iter().filter_map(Row::failure).collect()
    }

    pub(super) fn print(&self, as_json: bool) -> anyhow::Result<()> {
        match as_json {
            true => println!("{}", serde_json::to_string_pretty(self)?),
            false => println!("{}\n{}", self.table(), self.footer()),
        }
        Ok(())
    }

    fn table(&self) -> Table {
        let mut table = Table::new();
        table
            .load_preset(UTF8_FULL_CONDENSED)
            .set_header([
                "measured", "ours", "limit", "ratio", "aim", "verdict", "against",
            ])
            .add_rows(self.rows.iter().map(Row::cells));
        for column in table.column_iter_mut().skip(1).take(4) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }

    fn footer(&self) -> String {
        let (cores, rounds) = (self.cores, self.rounds);
        let size = if self.quick { ", small sizes" } else { "" };
        format!(
            "medians of {rounds} rounds on {cores} cores{size}; load, platform and limits share them"
        )
    }
}

/// The middle one, or the mean of the two in the middle.
fn median(figures: impl Iterator<Item = f64>) -> Option<f64> {
    let mut sorted: Vec<f64> = figures.collect();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

/// As many digits as are worth reading.
fn number(figure: f64) -> String {
    match figure {
        large if large >= 100.0 => indicatif::HumanCount(large.round() as u64).to_string(),
        small if small >= 10.0 => format!("{small:.1}"),
        tiny => format!("{tiny:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounds(pairs: &[(f64, f64)]) -> Rounds {
        let mut rounds = Rounds::default();
        pairs
            .iter()
            .for_each(|(ours, limit)| rounds.add(*ours, *limit));
        rounds
    }

    #[test]
    fn the_ratio_is_the_median_of_what_was_measured_together() {
        let row = Row::new(
            "x",
            "rows/s",
            Aim::Ratio(0.6),
            rounds(&[(10.0, 20.0), (90.0, 100.0), (70.0, 100.0)]),
        );
        assert_eq!(
            (row.ours, row.limit, row.ratio),
            (Some(70.0), Some(100.0), Some(0.7))
        );
        assert_eq!(row.verdict, Verdict::Ok);
    }

    #[test]
    fn a_missed_aim_is_below_and_no_failure() {
        let row = Row::new(
            "x",
            "rows/s",
            Aim::Ratio(0.6),
            rounds(&[(1.0, 2.0), (1.0, 4.0)]),
        );
        assert_eq!((row.verdict, row.failure()), (Verdict::Below, None));
        let slow = Row::new("x", "ms", Aim::RatioAtMost(1.5), rounds(&[(1.6, 1.0)]));
        assert_eq!(slow.verdict, Verdict::Below);
        let mut alone = Rounds::default();
        alone.add_alone(80.5);
        assert_eq!(
            Row::new("x", "MB", Aim::AtMost(80.0), alone).verdict,
            Verdict::Below
        );
    }

    #[test]
    fn every_row_has_a_cell_for_every_column() {
        let failed = Row::failed("send", &anyhow::anyhow!("no sink"));
        let row = Row::new(
            "x",
            "rows/s",
            Aim::Ratio(0.6),
            rounds(&[(123_456.0, 200_000.0)]),
        );
        let report = Report::new(true, 1, vec![row, failed]);
        let shown = report.table().to_string();
        for text in ["123,456", "0.62", "≥ 0.6", "ok", "failed: no sink"] {
            assert!(shown.contains(text), "{text} in {shown}");
        }
        assert_eq!(report.failures(), ["send"]);
    }
}
