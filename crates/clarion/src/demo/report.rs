//! What came of it all, as tables or as JSON.

use anyhow::bail;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};
use common::dto::dispatch::Settlement;
use common::dto::report::{CampaignEngagement, Hits};
use serde_json::json;

use super::checks::Figures;
use super::console::thousands;
use super::steps::{ImportFigures, sum};

/// Everything that the demo found.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) url: String,
    /// Occurs in the subject of every mail of this run.
    pub(crate) run: String,
    pub(crate) took_ms: u64,
    pub(crate) import: ImportFigures,
    pub(crate) settlement: Settlement,
    pub(crate) engagement: CampaignEngagement,
    pub(crate) figures: Figures,
}

impl Outcome {
    pub(crate) fn print(&self, as_json: bool) -> anyhow::Result<()> {
        if as_json {
            println!("{}", serde_json::to_string_pretty(&self.json())?);
            return Ok(());
        }
        println!("{}", self.settlement_table());
        println!("  {}\n", sum(&self.settlement));
        println!("{}\n", self.engagement_table());
        println!("{}\n", self.figures_table());
        println!(
            "Look at the mails: {}/mailbox?subject={}",
            self.url, self.run
        );
        Ok(())
    }

    /// An error that names every figure that is not what was done.
    pub(crate) fn verdict(&self) -> anyhow::Result<()> {
        let wrong: Vec<String> = self
            .figures
            .mismatches()
            .map(|figure| {
                format!(
                    "{}: done {}, reported {}",
                    figure.name, figure.done, figure.reported
                )
            })
            .collect();
        if !wrong.is_empty() {
            bail!(
                "{} of {} figures are not what was done:\n  {}",
                wrong.len(),
                self.figures.all().len(),
                wrong.join("\n  ")
            );
        }
        eprintln!(
            "✓ all {} figures are what was done ({:.1} s)",
            self.figures.all().len(),
            self.took_ms as f64 / 1000.0
        );
        Ok(())
    }

    fn json(&self) -> serde_json::Value {
        let figures: Vec<_> = self.figures.all().iter().map(|figure| {
            json!({ "name": figure.name, "done": figure.done, "reported": figure.reported, "agrees": figure.agrees() })
        }).collect();
        json!({
            "url": self.url,
            "run": self.run,
            "took_ms": self.took_ms,
            "ok": self.figures.mismatches().next().is_none(),
            "import": self.import,
            "settlement": self.settlement,
            "engagement": self.engagement,
            "figures": figures,
        })
    }

    fn settlement_table(&self) -> Table {
        let of = &self.settlement;
        let mut table = table(&[
            "audience",
            "accepted",
            "rejected",
            "suppressed",
            "skipped",
            "ambiguous",
            "pending",
        ]);
        table.add_row(
            [
                of.audience,
                of.accepted,
                of.rejected,
                of.suppressed,
                of.skipped,
                of.ambiguous,
                of.pending,
            ]
            .map(thousands),
        );
        align(table, 0)
    }

    fn engagement_table(&self) -> Table {
        let of = &self.engagement;
        let mut table = table(&["", "by people", "by machines", "different people"]);
        let mut add = |name: &str, hits: Hits| {
            let [human, machine, unique] = [hits.human, hits.machine, hits.unique].map(thousands);
            table.add_row([name.to_owned(), human, machine, unique]);
        };
        add("opens", of.opens);
        add("clicks", of.clicks);
        for link in &of.links {
            add(&format!("  {}", link.url), link.hits);
        }
        add("unsubscribes", of.unsubscribes);
        add("complaints", of.complaints);
        align(table, 1)
    }

    fn figures_table(&self) -> Table {
        let mut table = table(&["figure", "done", "reported", ""]);
        for figure in self.figures.all() {
            let mark = if figure.agrees() { "✓" } else { "✗" };
            table.add_row([&figure.name, &figure.done, &figure.reported, mark]);
        }
        align(table, 1)
    }
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED).set_header(header);
    table
}

/// Numbers stand to the right, from a column on.
fn align(mut table: Table, from: usize) -> Table {
    for column in table.column_iter_mut().skip(from) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::dto::report::LinkHits;

    fn outcome(done: i64, reported: i64) -> Outcome {
        let mut figures = Figures::default();
        figures.compare("send: accepted", done, reported);
        let import = ImportFigures {
            rows: 3,
            created: 2,
            updated: 0,
            unchanged: 0,
            rejected: 1,
            took_ms: 9,
        };
        let link = LinkHits {
            url: "https://a.example/".into(),
            hits: Hits {
                human: 1,
                machine: 2,
                unique: 1,
            },
        };
        Outcome {
            url: "http://p".into(),
            run: "CODE".into(),
            took_ms: 1500,
            import,
            settlement: Settlement {
                audience: 10_000,
                accepted: 9_999,
                rejected: 1,
                settled: true,
                ..Settlement::default()
            },
            engagement: CampaignEngagement {
                links: vec![link],
                ..CampaignEngagement::default()
            },
            figures,
        }
    }

    #[test]
    fn one_wrong_figure_fails_the_demo_and_is_named() {
        assert!(outcome(5, 5).verdict().is_ok());
        let wrong = outcome(5, 4).verdict().unwrap_err().to_string();
        assert_eq!(
            wrong,
            "1 of 1 figures are not what was done:\n  send: accepted: done 5, reported 4"
        );
        assert_eq!(outcome(5, 4).json()["ok"], false);
    }

    #[test]
    fn the_tables_hold_what_was_found() {
        let outcome = outcome(5, 4);
        let settlement = outcome.settlement_table().to_string();
        assert!(
            settlement.contains("10,000") && settlement.contains("9,999"),
            "{settlement}"
        );
        assert!(
            outcome
                .engagement_table()
                .to_string()
                .contains("https://a.example/")
        );
        assert!(outcome.figures_table().to_string().contains('✗'));
        assert!(outcome.print(true).is_ok() && outcome.print(false).is_ok());
    }
}
