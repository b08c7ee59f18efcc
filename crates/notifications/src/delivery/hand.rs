//! The bundles this process holds, and until when.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tokio::sync::Notify;
use uuid::Uuid;

use crate::store::bundles::{Begun, Bundle, End, Hold};
use crate::store::moves::Held;

/// Everything claimed and not yet written back. A claim that is not renewed in time is treated
/// as lost even when nobody has taken it over yet.
#[derive(Debug, Default)]
pub(crate) struct InHand {
    held: Mutex<HashMap<Uuid, InWork>>,
    /// Rung when messages of a campaign left the hand.
    pub(super) left: Notify,
    /// Rung when those without a campaign did.
    pub(super) left_single: Notify,
    /// Campaigns that were found stopped, and when.
    stopped: Mutex<HashMap<Uuid, Instant>>,
}

/// A bundle in hand.
#[derive(Clone, Copy, Debug)]
struct InWork {
    workspace_id: Uuid,
    campaign_id: Option<Uuid>,
    lease: Uuid,
    until: DateTime<Utc>,
    /// Messages that neither were settled nor go back with the bundle.
    open: usize,
    /// When those that go back are due.
    back: Option<DateTime<Utc>>,
}

impl InWork {
    fn end(&self, id: Uuid, due_at: Option<DateTime<Utc>>) -> End {
        End {
            workspace_id: self.workspace_id,
            id,
            lease: self.lease,
            due_at,
        }
    }
}

/// After so many messages of a bundle, and after its last, it is told that some left.
const RING_EVERY: usize = 32;

/// How long a campaign is taken for stopped without asking the ledger again.
const STOPPED: Duration = Duration::from_millis(500);

impl InHand {
    /// The ledger let nothing of this campaign begin.
    pub(super) fn found_stopped(&self, campaign: Uuid, now: Instant) {
        let mut stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        stopped.retain(|_, since| now.saturating_duration_since(*since) < STOPPED);
        stopped.insert(campaign, now);
    }

    /// Whether it is not worth a conversation to begin a message of this campaign.
    pub(super) fn is_stopped(&self, campaign: Uuid, now: Instant) -> bool {
        let stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        stopped
            .get(&campaign)
            .is_some_and(|since| now.saturating_duration_since(*since) < STOPPED)
    }

    fn held(&self) -> MutexGuard<'_, HashMap<Uuid, InWork>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a bundle with `open` messages to send.
    pub(super) fn take(&self, bundle: &Bundle, lease: Uuid, until: DateTime<Utc>, open: usize) {
        let work = InWork {
            workspace_id: bundle.workspace_id,
            campaign_id: bundle.campaign_id,
            lease,
            until,
            open,
            back: None,
        };
        self.held().insert(bundle.id, work);
    }

    /// A message was settled or put off. Answers the end of its bundle when it was the last one.
    pub(super) fn leave(&self, of: &Held) -> Option<End> {
        self.close(of, None)
    }

    /// A message that was not begun waits with its bundle again, until `due_at`.
    pub(super) fn give_back(&self, of: &Held, due_at: DateTime<Utc>) -> Option<End> {
        self.close(of, Some(due_at))
    }

    fn close(&self, of: &Held, due_at: Option<DateTime<Utc>>) -> Option<End> {
        let mut held = self.held();
        let work = held
            .get_mut(&of.bundle)
            .filter(|work| work.lease == of.lease)?;
        work.open = work.open.saturating_sub(1);
        work.back = match (work.back, due_at) {
            (Some(first), Some(second)) => Some(first.min(second)),
            (first, second) => first.or(second),
        };
        let work = *work;
        if work.open == 0 {
            held.remove(&of.bundle);
        }
        drop(held);
        // Claims are large: whoever makes them need not look after each message.
        if work.open.is_multiple_of(RING_EVERY) {
            match work.campaign_id {
                Some(_) => self.left.notify_one(),
                None => self.left_single.notify_one(),
            }
        }
        (work.open == 0).then(|| work.end(of.bundle, work.back))
    }

    /// What happened to a message could not be written: its bundle is left to the end of its lease.
    pub(super) fn abandon(&self, of: &Held) {
        let mut held = self.held();
        if held
            .get(&of.bundle)
            .is_some_and(|work| work.lease == of.lease)
        {
            held.remove(&of.bundle);
        }
    }

    /// Gives back everything that is left, at the end.
    pub(super) fn release_all(&self, now: DateTime<Utc>) -> Vec<End> {
        let held = std::mem::take(&mut *self.held());
        let ends = held.iter().map(|(id, work)| work.end(*id, Some(now)));
        ends.collect()
    }

    /// Whether the claim holds at `now`.
    pub(super) fn holds(&self, of: &Held, now: DateTime<Utc>) -> bool {
        self.held()
            .get(&of.bundle)
            .is_some_and(|work| work.lease == of.lease && now < work.until)
    }

    /// Messages in work, of campaigns or of none.
    pub(super) fn len(&self, of_campaigns: bool) -> usize {
        let held = self.held();
        let works = held
            .values()
            .filter(|work| work.campaign_id.is_some() == of_campaigns);
        works.map(|work| work.open).sum()
    }

    /// Those whose lease ends before `before`.
    pub(super) fn ending(&self, before: DateTime<Utc>) -> Vec<Hold> {
        let held = self.held();
        held.iter()
            .filter(|(_, work)| work.until < before)
            .map(|(id, work)| Hold {
                workspace_id: work.workspace_id,
                id: *id,
                campaign_id: work.campaign_id,
                lease: work.lease,
                begins: Begun::default(),
            })
            .collect()
    }

    /// Notes which of `asked` were renewed until `until`; the others are lost.
    pub(super) fn renewed(&self, asked: &[Hold], renewed: &[Uuid], until: DateTime<Utc>) {
        let mut held = self.held();
        for hold in asked {
            let Some(work) = held
                .get_mut(&hold.id)
                .filter(|work| work.lease == hold.lease)
            else {
                continue;
            };
            if renewed.contains(&hold.id) {
                work.until = until;
            } else {
                held.remove(&hold.id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::store::bundles::tests::bundle;

    fn held(bundle: &Bundle, lease: Uuid) -> Held {
        Held {
            workspace_id: bundle.workspace_id,
            id: Uuid::nil(),
            campaign_id: bundle.campaign_id,
            lead_id: None,
            bundle: bundle.id,
            place: 0,
            lease,
        }
    }

    #[test]
    fn a_claim_holds_until_its_end_and_for_its_own_lease_only() {
        let (hand, now, lease) = (InHand::default(), Utc::now(), Uuid::now_v7());
        let bundle = bundle(3);
        hand.take(&bundle, lease, now + TimeDelta::seconds(60), 3);
        let (mine, other) = (held(&bundle, lease), held(&bundle, Uuid::now_v7()));
        assert!(hand.holds(&mine, now));
        assert!(!hand.holds(&mine, now + TimeDelta::seconds(60)));
        assert!(!hand.holds(&other, now));
        assert_eq!(hand.leave(&other), None);
        assert_eq!(hand.len(true), 3, "another claim's end is not ours");
        assert_eq!(hand.len(false), 0);
    }

    #[test]
    fn the_last_message_ends_its_bundle() {
        let (hand, now, lease) = (InHand::default(), Utc::now(), Uuid::now_v7());
        let later = now + TimeDelta::seconds(5);
        let (over, back) = (bundle(2), bundle(3));
        for bundle in [&over, &back] {
            hand.take(bundle, lease, later, bundle.members.len());
        }
        assert_eq!(hand.leave(&held(&over, lease)), None);
        let end = hand.leave(&held(&over, lease)).expect("the last");
        assert_eq!((end.id, end.due_at), (over.id, None));

        assert_eq!(hand.give_back(&held(&back, lease), later), None);
        assert_eq!(hand.give_back(&held(&back, lease), now), None);
        let end = hand.leave(&held(&back, lease)).expect("the last");
        assert_eq!((end.id, end.due_at), (back.id, Some(now)), "the earliest");
        assert_eq!(hand.len(true), 0);
    }

    #[test]
    fn what_was_abandoned_or_not_renewed_is_lost() {
        let (hand, now, lease) = (InHand::default(), Utc::now(), Uuid::now_v7());
        let bundle = bundle(1);
        let mine = held(&bundle, lease);
        hand.take(&bundle, lease, now + TimeDelta::seconds(10), 1);
        assert!(hand.ending(now).is_empty());
        let ending = hand.ending(now + TimeDelta::seconds(20));
        assert_eq!(ending.len(), 1);
        hand.renewed(&ending, &[bundle.id], now + TimeDelta::seconds(60));
        assert!(hand.holds(&mine, now + TimeDelta::seconds(30)));
        hand.renewed(&ending, &[], now + TimeDelta::seconds(90));
        assert!(!hand.holds(&mine, now));

        hand.take(&bundle, lease, now + TimeDelta::seconds(10), 1);
        hand.abandon(&mine);
        assert!(!hand.holds(&mine, now));
        assert_eq!(hand.leave(&mine), None);
    }

    #[test]
    fn a_stopped_campaign_is_asked_about_again_after_a_while() {
        let (hand, now, campaign) = (InHand::default(), Instant::now(), Uuid::now_v7());
        assert!(!hand.is_stopped(campaign, now));
        hand.found_stopped(campaign, now);
        assert!(hand.is_stopped(campaign, now));
        assert!(!hand.is_stopped(campaign, now + STOPPED));
    }
}
