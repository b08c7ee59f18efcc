//! The states of a message and the moves between them.

use common::dto::dispatch::{AmbiguousPolicy, Outcome};

/// Where a message is. The README shows the moves as a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum State {
    /// Waits until it is due.
    Pending,
    /// A worker holds its bundle by a lease; nothing of it has left the house. Written with the
    /// bundle: in its own row it is still pending.
    Claimed,
    /// Its worker may have sent the final dot. Written with the bundle as well.
    Sending,
    Accepted,
    Rejected,
    Ambiguous,
    Suppressed,
    Skipped,
}

use State::{Accepted, Ambiguous, Claimed, Pending, Rejected, Sending, Skipped, Suppressed};

impl State {
    pub(crate) const ALL: [Self; 8] = [
        Pending, Claimed, Sending, Accepted, Rejected, Ambiguous, Suppressed, Skipped,
    ];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Pending => "pending",
            Claimed => "claimed",
            Sending => "sending",
            Accepted => "accepted",
            Rejected => "rejected",
            Ambiguous => "ambiguous",
            Suppressed => "suppressed",
            Skipped => "skipped",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// What the outside sees: a message in work is still pending.
    pub(crate) fn outcome(self) -> Outcome {
        match self {
            Pending | Claimed | Sending => Outcome::Pending,
            Accepted => Outcome::Accepted,
            Rejected => Outcome::Rejected,
            Ambiguous => Outcome::Ambiguous,
            Suppressed => Outcome::Suppressed,
            Skipped => Outcome::Skipped,
        }
    }

    /// The states that the outside sees as `outcome`.
    pub(crate) fn of(outcome: Outcome) -> impl Iterator<Item = Self> {
        Self::ALL
            .into_iter()
            .filter(move |state| state.outcome() == outcome)
    }

    pub(crate) fn is_settled(self) -> bool {
        self.outcome() != Outcome::Pending
    }

    /// Whether a message here may go there. What is not listed is forbidden.
    pub(crate) fn may_become(self, next: Self) -> bool {
        match self {
            // Claimed by a worker; or ended without one: withdrawn, cancelled, restored from a backup
            // that does not know what was sent since.
            Pending => matches!(next, Claimed | Suppressed | Skipped | Ambiguous),
            // Begun; given back or put off; refused before the data; found to be unsendable.
            Claimed => matches!(next, Sending | Pending | Rejected | Suppressed | Skipped),
            // Answered; put off or known to be unsent; or the answer was lost.
            Sending => matches!(next, Accepted | Rejected | Pending | Ambiguous),
            // By the operator's word.
            Rejected | Ambiguous => matches!(next, Pending),
            Accepted | Suppressed | Skipped => false,
        }
    }

    /// Where a held message goes when its lease ran out: its worker is gone, and what it had not
    /// begun was not sent.
    pub(crate) fn after_lost_lease(self, policy: AmbiguousPolicy) -> Self {
        match (self, policy) {
            (Claimed, _) | (Sending, AmbiguousPolicy::Resend) => Pending,
            (Sending, AmbiguousPolicy::Hold) => Ambiguous,
            (other, _) => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_table_of_moves() {
        let allowed = [
            (Pending, Claimed),
            (Pending, Suppressed),
            (Pending, Skipped),
            (Pending, Ambiguous),
            (Claimed, Pending),
            (Claimed, Sending),
            (Claimed, Rejected),
            (Claimed, Suppressed),
            (Claimed, Skipped),
            (Sending, Pending),
            (Sending, Accepted),
            (Sending, Rejected),
            (Sending, Ambiguous),
            (Rejected, Pending),
            (Ambiguous, Pending),
        ];
        for from in State::ALL {
            for to in State::ALL {
                let expected = allowed.contains(&(from, to));
                assert_eq!(from.may_become(to), expected, "{from:?} to {to:?}");
            }
        }
    }

    #[test]
    fn the_readme_shows_the_same_moves() {
        let readme = include_str!("../../README.md");
        for from in State::ALL {
            let targets: Vec<_> = State::ALL
                .into_iter()
                .filter(|to| from.may_become(*to))
                .map(|to| format!("`{}`", to.as_str()))
                .collect();
            let targets = if targets.is_empty() {
                "nothing: final".into()
            } else {
                targets.join(", ")
            };
            let row = format!("| `{}` | {targets} |", from.as_str());
            assert!(readme.contains(&row), "README.md lacks: {row}");
        }
    }

    #[test]
    fn nothing_is_accepted_that_was_not_begun() {
        for from in State::ALL {
            assert!(!from.may_become(Accepted) || from == Sending);
            assert!(!from.may_become(Ambiguous) || matches!(from, Sending | Pending));
        }
    }

    #[test]
    fn a_lost_lease_never_resends_what_may_have_been_sent_unless_told_to() {
        use AmbiguousPolicy::{Hold, Resend};
        assert_eq!(Claimed.after_lost_lease(Hold), Pending);
        assert_eq!(Claimed.after_lost_lease(Resend), Pending);
        assert_eq!(Sending.after_lost_lease(Hold), Ambiguous);
        assert_eq!(Sending.after_lost_lease(Resend), Pending);
        for state in State::ALL
            .into_iter()
            .filter(|state| !matches!(state, Claimed | Sending))
        {
            assert_eq!(state.after_lost_lease(Resend), state);
        }
    }

    #[test]
    fn names_come_back_and_every_outcome_has_a_state() {
        for state in State::ALL {
            assert_eq!(State::parse(state.as_str()), Some(state));
            assert!(State::of(state.outcome()).any(|other| other == state));
        }
        assert_eq!(State::parse("sent"), None);
        assert_eq!(State::of(Outcome::Pending).count(), 3);
    }
}
