//! What became of everybody, from the ledger and from the sink.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, ensure};
use comfy_table::Table;
use comfy_table::presets::ASCII_MARKDOWN;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Text, Uuid as SqlUuid};
use serde::Serialize;
use uuid::Uuid;

use super::fault::Fault;
use super::world::World;

#[derive(Debug, Serialize)]
pub(super) struct Account {
    seed: u64,
    faults: usize,
    /// What was broken, and how often.
    kinds: BTreeMap<String, usize>,
    took_s: f64,
    audience: usize,
    outcomes: BTreeMap<String, usize>,
    /// People whom the sink took a message for, and how many messages it took twice.
    received: usize,
    duplicates: u64,
    /// In no row of the ledger, without an outcome, or accepted and never received.
    lost: usize,
    /// Received although the ledger says that it never was sent.
    unaccounted: usize,
    /// Messages that were in `DATA` at the faults, at most.
    bound: u64,
}

#[derive(QueryableByName)]
struct Entry {
    #[diesel(sql_type = Text)]
    address: String,
    #[diesel(sql_type = Text)]
    state: String,
}

impl Account {
    pub(super) async fn draw_up(
        world: &mut World,
        campaign: &str,
        audience: usize,
        seed: u64,
        faults: Vec<Fault>,
        bound: u64,
        took: Duration,
    ) -> anyhow::Result<Self> {
        let settlement = world.settlement(campaign).await;
        let settlement = settlement.context("nobody answers after the run")?;
        let entries = entries(&world.postgres.url(), campaign.parse()?)?;
        let received = received(world.sink());
        let mut outcomes = BTreeMap::<String, usize>::new();
        let mut known = BTreeSet::new();
        let (mut lost, mut unaccounted) = (0, 0);
        for entry in &entries {
            *outcomes.entry(entry.state.clone()).or_default() += 1;
            known.insert(entry.address.as_str());
            let arrived = received.contains(&entry.address);
            match entry.state.as_str() {
                "pending" => lost += 1,
                "accepted" if !arrived => lost += 1,
                "accepted" | "ambiguous" => {}
                _ if arrived => unaccounted += 1,
                _ => {}
            }
        }
        lost += audience - known.len().min(audience);
        let told = [
            ("accepted", settlement.accepted),
            ("rejected", settlement.rejected),
            ("suppressed", settlement.suppressed),
            ("skipped", settlement.skipped),
            ("ambiguous", settlement.ambiguous),
        ];
        for (outcome, count) in told {
            let named = outcomes.get(outcome).copied().unwrap_or_default();
            ensure!(
                usize::try_from(count) == Ok(named),
                "{count} are told as {outcome}, {named} are named"
            );
        }
        let mut kinds = BTreeMap::new();
        for fault in &faults {
            *kinds.entry(fault.to_string()).or_default() += 1;
        }
        Ok(Self {
            seed,
            faults: faults.len(),
            kinds,
            took_s: took.as_secs_f64(),
            audience,
            outcomes,
            received: received.len(),
            duplicates: world.sink().stats().duplicates,
            lost,
            unaccounted,
            bound,
        })
    }

    fn ambiguous(&self) -> usize {
        self.outcomes.get("ambiguous").copied().unwrap_or_default()
    }

    /// What must not be.
    pub(super) fn broken(&self) -> Vec<String> {
        let mut broken = Vec::new();
        if self.lost > 0 {
            broken.push(format!("{} were lost", self.lost));
        }
        if self.duplicates > 0 {
            broken.push(format!("{} were mailed twice", self.duplicates));
        }
        if self.unaccounted > 0 {
            broken.push(format!("{} were mailed and not counted", self.unaccounted));
        }
        if self.ambiguous() as u64 > self.bound {
            let (ambiguous, bound) = (self.ambiguous(), self.bound);
            broken.push(format!("{ambiguous} are ambiguous, at most {bound} may be"));
        }
        broken
    }

    pub(super) fn print(&self, as_json: bool) -> anyhow::Result<()> {
        if as_json {
            println!("{}", serde_json::to_string_pretty(self)?);
            return Ok(());
        }
        let mut table = Table::new();
        table
            .load_preset(ASCII_MARKDOWN)
            .set_header(["what", "how many"]);
        let mut row = |what: &str, count: String| {
            table.add_row([what.to_owned(), count]);
        };
        row("audience", self.audience.to_string());
        for (outcome, count) in &self.outcomes {
            row(outcome, count.to_string());
        }
        row("distinct recipients at the sink", self.received.to_string());
        row("duplicates", self.duplicates.to_string());
        row("lost", self.lost.to_string());
        row("in DATA at the faults, at most", self.bound.to_string());
        println!("{table}");
        let kinds = self
            .kinds
            .iter()
            .map(|(kind, count)| format!("{count} × {kind}"));
        println!(
            "seed {}, {} faults in {:.0} s: {}",
            self.seed,
            self.faults,
            self.took_s,
            kinds.collect::<Vec<_>>().join(", ")
        );
        Ok(())
    }
}

/// Every message of the campaign, as the ledger has it.
fn entries(database: &str, campaign: Uuid) -> anyhow::Result<Vec<Entry>> {
    let mut conn = PgConnection::establish(database)?;
    let query = "SELECT address, state FROM notifications.messages WHERE campaign_id = $1";
    Ok(sql_query(query)
        .bind::<SqlUuid, _>(campaign)
        .load(&mut conn)?)
}

/// Everybody whom the sink took a message for.
fn received(sink: &mailbox::Handle) -> BTreeSet<String> {
    let (mut received, mut cursor) = (BTreeSet::new(), None);
    loop {
        let page = sink.list(&mailbox::Filter {
            limit: Some(500),
            cursor,
            ..mailbox::Filter::default()
        });
        received.extend(page.items.into_iter().flat_map(|mail| mail.rcpt_to));
        cursor = page.next_cursor;
        if cursor.is_none() {
            return received;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account() -> Account {
        Account {
            seed: 1,
            faults: 1,
            kinds: BTreeMap::new(),
            took_s: 1.0,
            audience: 10,
            outcomes: [("accepted".to_owned(), 8), ("ambiguous".to_owned(), 2)].into(),
            received: 9,
            duplicates: 0,
            lost: 0,
            unaccounted: 0,
            bound: 2,
        }
    }

    #[test]
    fn each_broken_promise_is_named() {
        assert!(account().broken().is_empty());
        let broken = |change: fn(&mut Account)| {
            let mut account = account();
            change(&mut account);
            account.broken().join("; ")
        };
        assert_eq!(broken(|account| account.lost = 1), "1 were lost");
        assert_eq!(
            broken(|account| account.duplicates = 2),
            "2 were mailed twice"
        );
        assert!(broken(|account| account.bound = 1).contains("2 are ambiguous"));
        assert!(broken(|account| account.unaccounted = 1).contains("not counted"));
    }
}
