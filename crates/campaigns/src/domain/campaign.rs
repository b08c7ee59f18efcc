//! A campaign and the moves it may make.

use std::fmt;

use chrono::{DateTime, Utc};
use common::dto::audience::Audience;
use common::dto::dispatch::{AmbiguousPolicy, CampaignSnapshot, Content, Mailbox, Settlement, Utm};
use common::values::{EmailAddress, Money};
use common::{CampaignId, SenderId, WorkspaceId};
use serde::{Deserialize, Serialize};

use super::schedule::Schedule;
use crate::error::Error;

/// Where a campaign is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = campaigns::Status)]
pub(crate) enum Status {
    Draft,
    Scheduled,
    Running,
    Paused,
    Finished,
    Cancelled,
}

impl Status {
    pub(crate) const ALL: [Self; 6] = [
        Self::Draft,
        Self::Scheduled,
        Self::Running,
        Self::Paused,
        Self::Finished,
        Self::Cancelled,
    ];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Scheduled => "scheduled",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Finished => "finished",
            Self::Cancelled => "cancelled",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    /// The status after `step`, or why it cannot be taken.
    pub(crate) fn after(self, step: Step) -> Result<Self, Error> {
        use Status::*;
        match (self, step) {
            (Draft, Step::Schedule) => Ok(Scheduled),
            (Draft | Scheduled, Step::Start) => Ok(Running),
            (Running, Step::Pause) => Ok(Paused),
            // A scheduled campaign that may not start stands still, visibly.
            (Scheduled, Step::Pause) => Ok(Paused),
            (Paused, Step::Resume) => Ok(Running),
            (Scheduled | Running | Paused, Step::Cancel) => Ok(Cancelled),
            (Running | Paused, Step::Finish) => Ok(Finished),
            (status, step) => Err(Error::WrongStatus {
                status,
                verb: step.participle(),
            }),
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A move in a campaign's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Schedule,
    Start,
    Pause,
    Resume,
    Cancel,
    Finish,
}

impl Step {
    fn participle(self) -> &'static str {
        match self {
            Self::Schedule => "scheduled",
            Self::Start => "started",
            Self::Pause => "paused",
            Self::Resume => "resumed",
            Self::Cancel => "cancelled",
            Self::Finish => "finished",
        }
    }
}

/// One piece of content to one audience.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Campaign {
    pub(crate) workspace_id: WorkspaceId,
    pub(crate) id: CampaignId,
    pub(crate) draft: Draft,
    pub(crate) status: Status,
    pub(crate) paused_reason: Option<String>,
    pub(crate) held: Option<Held>,
    /// Counts edits and moves; the ETag.
    pub(crate) version: i64,
    pub(crate) started_at: Option<DateTime<Utc>>,
    pub(crate) finished_at: Option<DateTime<Utc>>,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) updated_at: DateTime<Utc>,
}

/// Why no mail server takes anything of a campaign. It runs on by itself when one does, so this is
/// no pause, which a person may have asked for meanwhile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = campaigns::Held)]
pub(crate) struct Held {
    pub(crate) reason: String,
    pub(crate) since: DateTime<Utc>,
}

/// What a person writes of a campaign.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Draft {
    pub(crate) name: String,
    pub(crate) subject: String,
    pub(crate) preheader: String,
    pub(crate) from: Option<Mailbox>,
    pub(crate) reply_to: Option<EmailAddress>,
    pub(crate) content: Option<Content>,
    pub(crate) audience: Audience,
    pub(crate) budget: Option<Money>,
    pub(crate) schedule: Option<Schedule>,
    pub(crate) ambiguous: AmbiguousPolicy,
    pub(crate) sender_id: Option<SenderId>,
    pub(crate) utm: Option<Utm>,
}

impl Campaign {
    pub(crate) fn new(workspace_id: WorkspaceId, draft: Draft, now: DateTime<Utc>) -> Self {
        Self {
            workspace_id,
            id: CampaignId::new(),
            draft,
            status: Status::Draft,
            paused_reason: None,
            held: None,
            version: 1,
            started_at: None,
            finished_at: None,
            created_at: now,
            updated_at: now,
        }
    }

    /// The campaign with other content; only a draft may be edited.
    pub(crate) fn edited(self, draft: Draft, now: DateTime<Utc>) -> Result<Self, Error> {
        if self.status != Status::Draft {
            return Err(Error::WrongStatus {
                status: self.status,
                verb: "edited",
            });
        }
        Ok(Self {
            draft,
            version: self.version + 1,
            updated_at: now,
            ..self
        })
    }

    /// The campaign one step further.
    pub(crate) fn moved(self, step: Step, now: DateTime<Utc>) -> Result<Self, Error> {
        let status = self.status.after(step)?;
        Ok(Self {
            status,
            paused_reason: None,
            held: self.held.filter(|_| status == Status::Running),
            version: self.version + 1,
            started_at: self.started_at.or((step == Step::Start).then_some(now)),
            finished_at: matches!(status, Status::Finished | Status::Cancelled).then_some(now),
            updated_at: now,
            ..self
        })
    }

    /// A new draft with the same content and no schedule.
    pub(crate) fn duplicated(&self, now: DateTime<Utc>) -> Self {
        let name = format!("{} (copy)", self.draft.name);
        let draft = Draft {
            name,
            schedule: None,
            ..self.draft.clone()
        };
        Self::new(self.workspace_id, draft, now)
    }

    /// What every message is made from; none while sender or content is missing.
    pub(crate) fn snapshot(&self) -> Option<CampaignSnapshot> {
        let Draft {
            name,
            subject,
            preheader,
            from,
            reply_to,
            content,
            ambiguous,
            sender_id,
            utm,
            ..
        } = self.draft.clone();
        Some(CampaignSnapshot {
            workspace_id: self.workspace_id,
            name,
            subject,
            preheader,
            from: from?,
            reply_to,
            content: content?,
            ambiguous,
            sender_id,
            utm,
        })
    }
}

/// How far the audience has been handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) expected: i64,
    pub(crate) complete: bool,
}

/// The ledger's settlement together with those whom it does not know yet, so that the sum is the
/// whole audience at every moment.
pub(crate) fn settlement(ledger: Settlement, progress: Progress, cancelled: bool) -> Settlement {
    let known = ledger.sum();
    let to_come = if progress.complete {
        0
    } else {
        (progress.expected - known).max(0)
    };
    let (skipped, pending) = if cancelled {
        (ledger.skipped + to_come, ledger.pending)
    } else {
        (ledger.skipped, ledger.pending + to_come)
    };
    Settlement {
        audience: known + to_come,
        skipped,
        pending,
        settled: (progress.complete || cancelled) && pending == 0,
        ..ledger
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_moves_are_these_and_no_others() {
        use Status::*;
        let allowed = [
            (Draft, Step::Schedule, Scheduled),
            (Draft, Step::Start, Running),
            (Scheduled, Step::Start, Running),
            (Scheduled, Step::Pause, Paused),
            (Scheduled, Step::Cancel, Cancelled),
            (Running, Step::Pause, Paused),
            (Running, Step::Cancel, Cancelled),
            (Running, Step::Finish, Finished),
            (Paused, Step::Resume, Running),
            (Paused, Step::Cancel, Cancelled),
            (Paused, Step::Finish, Finished),
        ];
        let steps = [
            Step::Schedule,
            Step::Start,
            Step::Pause,
            Step::Resume,
            Step::Cancel,
            Step::Finish,
        ];
        for from in Status::ALL {
            for step in steps {
                let wanted = allowed
                    .iter()
                    .find(|(f, s, _)| (*f, *s) == (from, step))
                    .map(|(_, _, to)| *to);
                assert_eq!(from.after(step).ok(), wanted, "{from} {step:?}");
            }
        }
    }

    #[test]
    fn a_campaign_that_runs_cannot_be_edited() {
        let now = Utc::now();
        let running =
            Campaign::new(WorkspaceId::new(), Draft::default(), now).moved(Step::Start, now);
        let refused = running.and_then(|campaign| campaign.edited(Draft::default(), now));
        assert!(matches!(
            refused,
            Err(Error::WrongStatus {
                status: Status::Running,
                ..
            })
        ));
    }

    fn ledger(accepted: i64, pending: i64) -> Settlement {
        Settlement {
            accepted,
            pending,
            audience: accepted + pending,
            ..Settlement::default()
        }
    }

    #[test]
    fn those_who_are_not_handed_over_yet_are_pending() {
        let seen = settlement(
            ledger(3, 2),
            Progress {
                expected: 10,
                complete: false,
            },
            false,
        );
        assert_eq!((seen.audience, seen.pending, seen.settled), (10, 7, false));
        assert_eq!(seen.sum(), seen.audience);
    }

    #[test]
    fn those_whom_a_cancelled_campaign_never_reached_are_skipped() {
        let seen = settlement(
            ledger(3, 0),
            Progress {
                expected: 10,
                complete: false,
            },
            true,
        );
        assert_eq!((seen.audience, seen.skipped, seen.settled), (10, 7, true));
        assert_eq!(seen.sum(), seen.audience);
    }

    #[test]
    fn an_audience_that_shrank_while_it_was_paged_is_what_was_handed_over() {
        let seen = settlement(
            ledger(8, 0),
            Progress {
                expected: 10,
                complete: true,
            },
            false,
        );
        assert_eq!((seen.audience, seen.settled), (8, true));
    }
}
