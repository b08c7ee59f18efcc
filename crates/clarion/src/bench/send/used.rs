//! Where the CPU time of a message goes.

use std::time::Duration;

use super::sink::Sink;
use crate::bench::cpu;
use crate::bench::platform::Site;
use crate::bench::table::{Aim, Rounds, Row};

/// CPU time of everybody who has a part in a campaign.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Used {
    platform: Duration,
    postgres: Duration,
    sink: Duration,
}

impl Used {
    pub(super) fn now(site: &Site, sink: &Sink) -> anyhow::Result<Self> {
        Ok(Self {
            platform: cpu::of_tree(site.platform.pid())?,
            postgres: cpu::of_tree(site.postgres.pid().unsigned_abs())?,
            sink: cpu::of_tree(sink.pid())?,
        })
    }

    pub(super) fn less(&self, before: &Self) -> Self {
        Self {
            platform: self.platform.saturating_sub(before.platform),
            postgres: self.postgres.saturating_sub(before.postgres),
            sink: self.sink.saturating_sub(before.sink),
        }
    }

    /// What Clarion and Postgres used.
    pub(super) fn ledger(&self) -> Duration {
        self.platform + self.postgres
    }

    /// The same for each of `messages`, in microseconds.
    pub(super) fn ledger_micros(&self, messages: usize) -> f64 {
        self.ledger().as_secs_f64() * 1e6 / messages.max(1) as f64
    }

    pub(super) fn rows(&self, messages: usize) -> [Row; 3] {
        let each = |whole: Duration| whole / u32::try_from(messages.max(1)).unwrap_or(u32::MAX);
        [
            micros("of it, CPU of Clarion", each(self.platform)),
            micros("of it, CPU of Postgres", each(self.postgres)),
            micros("of it, CPU of the sink", each(self.sink)),
        ]
    }
}

/// A row for a time that stands for itself.
pub(super) fn micros(name: &str, each: Duration) -> Row {
    let mut rounds = Rounds::default();
    rounds.add_alone(each.as_secs_f64() * 1e6);
    Row::new(name, "µs a message", Aim::None, rounds)
}
