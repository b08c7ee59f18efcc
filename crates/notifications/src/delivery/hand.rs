//! The messages this process holds, and until when.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tokio::sync::Notify;
use uuid::Uuid;

use crate::store::moves::Held;

/// Everything claimed and not yet written back. A claim that is not renewed in time is treated
/// as lost even when nobody has taken it over yet.
#[derive(Debug, Default)]
pub(super) struct InHand {
    held: Mutex<HashMap<Uuid, (Held, DateTime<Utc>)>>,
    /// Rung when a message left the hand.
    pub(super) left: Notify,
    /// Campaigns that were found stopped, and when.
    stopped: Mutex<HashMap<Uuid, Instant>>,
}

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

    fn held(&self) -> MutexGuard<'_, HashMap<Uuid, (Held, DateTime<Utc>)>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn take(&self, claims: impl Iterator<Item = Held>, until: DateTime<Utc>) {
        self.held().extend(claims.map(|of| (of.id, (of, until))));
    }

    /// Forgets what was written back, as long as it is the same claim.
    pub(super) fn leave(&self, gone: impl Iterator<Item = Held>) {
        let mut held = self.held();
        for of in gone {
            if held
                .get(&of.id)
                .is_some_and(|(known, _)| known.lease == of.lease)
            {
                held.remove(&of.id);
            }
        }
        drop(held);
        self.left.notify_one();
    }

    /// Whether the claim holds at `now`.
    pub(super) fn holds(&self, of: &Held, now: DateTime<Utc>) -> bool {
        self.held()
            .get(&of.id)
            .is_some_and(|(known, until)| known.lease == of.lease && now < *until)
    }

    pub(super) fn len(&self) -> usize {
        self.held().len()
    }

    pub(super) fn all(&self) -> Vec<Held> {
        self.held().values().map(|(of, _)| *of).collect()
    }

    /// Those whose lease ends before `before`.
    pub(super) fn ending(&self, before: DateTime<Utc>) -> Vec<Held> {
        let held = self.held();
        held.values()
            .filter(|(_, until)| *until < before)
            .map(|(of, _)| *of)
            .collect()
    }

    /// Notes which of `asked` were renewed until `until`; the others are lost.
    pub(super) fn renewed(&self, asked: &[Held], renewed: &[Uuid], until: DateTime<Utc>) {
        let mut held = self.held();
        for of in asked {
            let Some(entry) = held
                .get_mut(&of.id)
                .filter(|entry| entry.0.lease == of.lease)
            else {
                continue;
            };
            if renewed.contains(&of.id) {
                entry.1 = until;
            } else {
                held.remove(&of.id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn held(lease: Uuid) -> Held {
        Held {
            workspace_id: Uuid::nil(),
            id: Uuid::nil(),
            campaign_id: None,
            lead_id: None,
            lease,
        }
    }

    #[test]
    fn a_claim_holds_until_its_end_and_for_its_own_lease_only() {
        let (hand, now, mine) = (InHand::default(), Utc::now(), held(Uuid::now_v7()));
        hand.take([mine].into_iter(), now + TimeDelta::seconds(60));
        assert!(hand.holds(&mine, now));
        assert!(!hand.holds(&mine, now + TimeDelta::seconds(60)));
        assert!(!hand.holds(&held(Uuid::now_v7()), now));
        hand.leave([held(Uuid::now_v7())].into_iter());
        assert_eq!(hand.len(), 1, "another claim's end is not ours");
        hand.leave([mine].into_iter());
        assert_eq!(hand.len(), 0);
    }

    #[test]
    fn what_could_not_be_renewed_is_lost() {
        let (hand, now, mine) = (InHand::default(), Utc::now(), held(Uuid::now_v7()));
        hand.take([mine].into_iter(), now + TimeDelta::seconds(10));
        assert!(hand.ending(now).is_empty());
        let ending = hand.ending(now + TimeDelta::seconds(20));
        assert_eq!(ending, [mine]);
        hand.renewed(&ending, &[mine.id], now + TimeDelta::seconds(60));
        assert!(hand.holds(&mine, now + TimeDelta::seconds(30)));
        hand.renewed(&ending, &[], now + TimeDelta::seconds(90));
        assert!(!hand.holds(&mine, now));
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
