//! The submissions that share a commit, and the transaction that makes them durable.

use std::collections::{BTreeMap, HashSet};

use chassis::{Db, outbox, pq};
use chrono::{DateTime, Utc};
use common::events::{Engagement, EngagementKind, EngagementRecorded};
use common::{EventId, LeadId, WorkspaceId};
use diesel::PgConnection;
use diesel::prelude::*;
use uuid::Uuid;

use super::{NotStored, Receipt, Submission, desk};
use crate::domain::burst::{self, Siblings};
use crate::domain::event::Event;
use crate::domain::rules;
use crate::store;

/// Submissions on their way into one transaction.
///
/// Its id is written with it. Should the connection end during the commit, the id tells whether
/// the batch is in, so that it is neither written twice nor answered wrongly.
pub(super) struct Batch {
    pub(super) id: Uuid,
    submissions: Vec<Submission>,
    rows: usize,
    tried: bool,
    /// Events of each submission that were known before; empty when there were none.
    duplicates: Vec<i32>,
    /// Whether it told addresses of which it is not known whose they are.
    pub(super) tells_addresses: bool,
}

impl Batch {
    pub(super) fn new(submissions: Vec<Submission>) -> Self {
        Self {
            id: Uuid::now_v7(),
            rows: submissions.iter().map(|one| one.events.len()).sum(),
            submissions,
            tried: false,
            duplicates: Vec::new(),
            tells_addresses: false,
        }
    }

    /// Since when its events were received, by workspace.
    pub(super) fn since(&self) -> BTreeMap<WorkspaceId, DateTime<Utc>> {
        let mut oldest = BTreeMap::new();
        for event in self.events() {
            let since = oldest
                .entry(event.workspace_id)
                .or_insert(event.received_at);
            *since = event.received_at.min(*since);
        }
        oldest
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// One batch per submission.
    pub(super) fn split(self) -> impl Iterator<Item = Self> {
        let singles = self.submissions.into_iter();
        singles.map(|submission| Self::new(vec![submission]))
    }

    pub(super) fn answer(self) {
        let Self {
            submissions,
            duplicates,
            ..
        } = self;
        let duplicates = duplicates.into_iter().chain(std::iter::repeat(0));
        let answers = submissions.into_iter().zip(duplicates);
        desk::bring(answers.map(|(submission, duplicates)| {
            let duplicates = usize::try_from(duplicates).unwrap_or(0);
            let receipt = Receipt {
                accepted: submission.events.len().saturating_sub(duplicates),
                duplicates,
            };
            (submission.desk, submission.answer, Ok(receipt))
        }));
    }

    pub(super) fn refuse(self, why: NotStored) {
        let refused = self.submissions.into_iter();
        desk::bring(refused.map(|submission| (submission.desk, submission.answer, Err(why))));
    }

    /// Makes the batch durable; when this answers, it is. May be called again after an error.
    /// `written` is told when nothing is left but the commit.
    pub(super) fn write(
        &mut self,
        db: &Db,
        conn: &mut PgConnection,
        now: DateTime<Utc>,
        bursts: bool,
        written: impl FnOnce(),
    ) -> QueryResult<()> {
        if std::mem::replace(&mut self.tried, true)
            && let Some(duplicates) = store::batches::find(conn, self.id)?
        {
            self.duplicates = duplicates;
            return Ok(());
        }
        self.duplicates = db.transaction_on(conn, |conn| {
            let duplicates = self.insert(conn, now, bursts)?;
            written();
            QueryResult::Ok(duplicates)
        })?;
        Ok(())
    }

    /// Whether it is nothing but events to write, which is most that comes: nothing is to be found
    /// out or told along with them, and nothing of it can be in already.
    pub(super) fn is_plain(&self) -> bool {
        let plain = |event: &Event| event.said.is_none() && event.engagement().is_none();
        !self.tried && self.events().all(plain)
    }

    /// Does the same as [`Batch::write`] for a plain batch of which no event was known before;
    /// otherwise it fails, with `event_ids_pkey` violated, and nothing is done.
    pub(super) fn write_at_once(
        &mut self,
        conn: &mut pq::Connection,
        now: DateTime<Utc>,
    ) -> QueryResult<()> {
        self.tried = true;
        let given = self.given_ids();
        let (rows, duplicates) = self.rows_to_write(given.iter().copied().collect());
        store::batches::insert_at_once(conn, self.id, &rows, &given, &duplicates, now)?;
        self.duplicates = duplicates;
        Ok(())
    }

    fn insert(
        &mut self,
        conn: &mut PgConnection,
        now: DateTime<Utc>,
        bursts: bool,
    ) -> QueryResult<Vec<i32>> {
        let given = self.given_ids();
        let fresh = match given.is_empty() {
            true => HashSet::new(),
            false => store::ids::claim(conn, &given, now)?,
        };
        if bursts {
            self.judge_bursts(conn)?;
        }
        let (rows, duplicates) = self.rows_to_write(fresh);
        let (opens, clicks) = (opens(&rows), clicks(&rows));
        let said = rows
            .iter()
            .filter_map(|event| Some((event.workspace_id, event.said.as_deref()?)));
        let said: Vec<_> = said.collect();
        let tells_addresses = !said.is_empty() && store::people::hear(conn, &said)?;
        store::batches::insert(conn, self.id, &rows, &duplicates, now)?;
        store::held::hold(conn, &clicks)?;
        for (workspace, items) in opens {
            let batch_id = self.id;
            outbox::push_quietly(conn, workspace, &EngagementRecorded { batch_id, items })?;
        }
        self.tells_addresses = tells_addresses;
        Ok(duplicates)
    }

    fn events(&self) -> impl Iterator<Item = &Event> {
        self.submissions
            .iter()
            .flat_map(|submission| &submission.events)
    }

    /// The ids that clients gave, each once, in the order in which every writer claims them.
    fn given_ids(&self) -> Vec<(WorkspaceId, EventId)> {
        let given = self.events().filter(|event| event.id_given);
        let mut ids: Vec<_> = given.map(|event| (event.workspace_id, event.id)).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// The events to write, and how many of each submission were known. An id that occurs twice
    /// counts for its first event.
    fn rows_to_write(&self, mut fresh: HashSet<(WorkspaceId, EventId)>) -> (Vec<&Event>, Vec<i32>) {
        let mut rows = Vec::with_capacity(self.rows);
        let mut duplicates = vec![0; self.submissions.len()];
        for (submission, known) in self.submissions.iter().zip(&mut duplicates) {
            for event in &submission.events {
                if event.id_given && !fresh.remove(&(event.workspace_id, event.id)) {
                    *known += 1;
                } else {
                    rows.push(event);
                }
            }
        }
        if duplicates.iter().all(|known| *known == 0) {
            duplicates.clear();
        }
        (rows, duplicates)
    }

    /// Finds the bursts that clicks of this batch belong to, and judges their earlier clicks anew.
    fn judge_bursts(&mut self, conn: &mut PgConnection) -> QueryResult<()> {
        let own: Vec<&Event> = self
            .events()
            .filter(|event| event.place().is_some())
            .collect();
        if own.is_empty() {
            return Ok(());
        }
        let earlier = store::bursts::around(conn, &own)?;
        let stored = earlier.iter().map(|stored| stored.click);
        let in_batch = own.iter().filter_map(|event| {
            let (message, link) = event.place()?;
            let at = event.received_at;
            Some(burst::Click { message, link, at })
        });
        let found = burst::find(&stored.chain(in_batch).collect::<Vec<_>>());
        let (of_stored, of_batch) = found.split_at(earlier.len());
        for reason in [rules::BURST, rules::CANARY] {
            let accused = earlier.iter().zip(of_stored);
            let accused =
                accused.filter(|(_, siblings)| siblings.reasons().any(|one| one == reason));
            store::bursts::accuse(conn, accused.map(|(stored, _)| stored), reason)?;
        }
        let of_batch = of_batch.to_vec();
        self.mark_bursts(&of_batch);
        Ok(())
    }

    /// Marks this batch's clicks; `found` has an entry for each of them, in order.
    fn mark_bursts(&mut self, found: &[Siblings]) {
        let events = self
            .submissions
            .iter_mut()
            .flat_map(|submission| &mut submission.events);
        let clicks = events.filter(|event| event.place().is_some());
        for (click, siblings) in clicks.zip(found) {
            for reason in siblings.reasons() {
                click.accuse(reason);
            }
        }
    }
}

/// What leads opened, by workspace; machines and strangers are not in it.
fn opens(rows: &[&Event]) -> BTreeMap<WorkspaceId, Vec<Engagement>> {
    let mut found: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for event in rows {
        if let Some((lead_id, kind @ EngagementKind::Open)) = event.engagement() {
            let (campaign_id, at) = (event.campaign_id, event.occurred_at);
            found
                .entry(event.workspace_id)
                .or_default()
                .push(Engagement {
                    lead_id,
                    campaign_id,
                    kind,
                    at,
                });
        }
    }
    found
}

/// What leads clicked, unless a scanner did, as far as it is known by now.
fn clicks<'a>(rows: &[&'a Event]) -> Vec<(LeadId, &'a Event)> {
    let click = |event: &&'a Event| match event.engagement()? {
        (lead, EngagementKind::Click) => Some((lead, *event)),
        (_, EngagementKind::Open) => None,
    };
    rows.iter().filter_map(click).collect()
}
