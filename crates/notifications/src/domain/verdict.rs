//! What a server's answer means for a message.

use std::time::Duration;

use common::dto::dispatch::AmbiguousPolicy;

use super::backoff;
use mail::smtp::{Handed, Reply, Stage};

/// What becomes of a message after an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Accepted(Reply),
    /// `bounced`: the server said that the address does not exist.
    Rejected {
        reply: Option<Reply>,
        reason: &'static str,
        bounced: bool,
    },
    /// Tried again after the pause. `counted` when the server judged this very message.
    PutOff {
        pause: Duration,
        counted: bool,
        note: String,
    },
    Ambiguous(String),
    /// The lease was lost, or the campaign stopped: not ours to decide.
    GivenUp,
}

/// How long a message waits whose connection broke before the final dot.
const AFTER_A_BREAK: Duration = Duration::from_secs(5);

/// Judges one attempt. `attempts` counts those before it.
pub(crate) fn judge(handed: Handed, attempts: u32, policy: AmbiguousPolicy, scale: f64) -> Verdict {
    match handed {
        Handed::Answered(stage, reply) => answered(stage, reply, attempts, scale),
        Handed::Forbidden => Verdict::GivenUp,
        Handed::Unsendable(why) => Verdict::Rejected {
            reply: None,
            reason: why,
            bounced: false,
        },
        Handed::Unsent(error) => Verdict::PutOff {
            pause: AFTER_A_BREAK.mul_f64(scale),
            counted: false,
            note: error.to_string(),
        },
        Handed::Unknown(error) => match (policy, backoff::pause(attempts + 1, scale)) {
            (AmbiguousPolicy::Resend, Some(pause)) => Verdict::PutOff {
                pause,
                counted: true,
                note: error.to_string(),
            },
            _ => Verdict::Ambiguous(error.to_string()),
        },
    }
}

fn answered(stage: Stage, reply: Reply, attempts: u32, scale: f64) -> Verdict {
    if reply.is_positive() {
        return Verdict::Accepted(reply);
    }
    // The server is closing; it says nothing about this message (RFC 5321 §3.8).
    if reply.code == 421 {
        return Verdict::PutOff {
            pause: AFTER_A_BREAK.mul_f64(scale),
            counted: false,
            note: reply.to_string(),
        };
    }
    if reply.is_permanent() {
        let bounced = says_no_such_address(stage, &reply);
        return Verdict::Rejected {
            reply: Some(reply),
            reason: "refused",
            bounced,
        };
    }
    match backoff::pause(attempts + 1, scale) {
        Some(pause) => Verdict::PutOff {
            pause,
            counted: true,
            note: reply.to_string(),
        },
        None => Verdict::Rejected {
            reply: Some(reply),
            reason: "expired",
            bounced: false,
        },
    }
}

/// Whether a refusal is about the address itself, for good (RFC 3463 §3.2): not a full mailbox,
/// not a policy, not our own sender address.
fn says_no_such_address(stage: Stage, reply: &Reply) -> bool {
    if !matches!(stage, Stage::Rcpt | Stage::Content) || !reply.is_permanent() {
        return false;
    }
    match reply.enhanced {
        // 5.1.7 and 5.1.8 blame the sender's address.
        Some((5, 1, detail)) => !matches!(detail, 7 | 8),
        Some(_) => false,
        None => stage == Stage::Rcpt && matches!(reply.code, 550 | 551 | 553),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mail::smtp::SmtpError;

    fn reply(text: &str) -> Reply {
        Reply::parse(format!("{text}\r\n").as_bytes())
            .expect("well-formed")
            .expect("complete")
            .0
    }

    fn judged(stage: Stage, text: &str, attempts: u32) -> Verdict {
        let handed = Handed::Answered(stage, reply(text));
        judge(handed, attempts, AmbiguousPolicy::Hold, 1.0)
    }

    #[test]
    fn a_refused_address_bounces_and_a_refused_mail_does_not() {
        let bounced = |stage, text| match judged(stage, text, 0) {
            Verdict::Rejected { bounced, .. } => bounced,
            other => panic!("{text}: {other:?}"),
        };
        for text in [
            "550 no such user",
            "551 moved",
            "553 not here",
            "550 5.1.1 unknown",
            "554 5.1.10 null mx",
        ] {
            assert!(bounced(Stage::Rcpt, text), "{text}");
        }
        for text in [
            "550 5.7.1 blocked",
            "552 5.2.2 full",
            "554 spam",
            "550 5.1.8 bad sender",
        ] {
            assert!(!bounced(Stage::Rcpt, text), "{text}");
        }
        assert!(bounced(Stage::Content, "550 5.1.1 unknown"));
        assert!(!bounced(Stage::Content, "550 we do not like it"));
        assert!(!bounced(Stage::Mail, "550 5.1.1 your sender"));
    }

    #[test]
    fn a_soft_refusal_is_put_off_until_it_expires() {
        for attempts in 0..9 {
            let verdict = judged(Stage::Rcpt, "451 later", attempts);
            let counted = matches!(verdict, Verdict::PutOff { counted: true, .. });
            assert!(counted, "{attempts}: {verdict:?}");
        }
        let last = judged(Stage::Rcpt, "451 later", 9);
        assert!(
            matches!(
                last,
                Verdict::Rejected {
                    reason: "expired",
                    bounced: false,
                    ..
                }
            ),
            "{last:?}"
        );
    }

    #[test]
    fn a_server_that_closes_costs_no_attempt() {
        for stage in [Stage::Mail, Stage::Content] {
            let verdict = judged(stage, "421 closing", 9);
            assert!(
                matches!(verdict, Verdict::PutOff { counted: false, .. }),
                "{verdict:?}"
            );
        }
        let broken = judge(
            Handed::Unsent(SmtpError::Closed),
            9,
            AmbiguousPolicy::Hold,
            1.0,
        );
        assert!(
            matches!(broken, Verdict::PutOff { counted: false, .. }),
            "{broken:?}"
        );
    }

    #[test]
    fn a_lost_answer_is_ambiguous_unless_the_policy_is_to_resend() {
        let lost =
            |policy, attempts| judge(Handed::Unknown(SmtpError::Closed), attempts, policy, 1.0);
        assert!(matches!(
            lost(AmbiguousPolicy::Hold, 0),
            Verdict::Ambiguous(_)
        ));
        assert!(matches!(
            lost(AmbiguousPolicy::Resend, 0),
            Verdict::PutOff { counted: true, .. }
        ));
        assert!(matches!(
            lost(AmbiguousPolicy::Resend, 9),
            Verdict::Ambiguous(_)
        ));
    }

    #[test]
    fn other_ends_of_an_attempt() {
        assert!(matches!(
            judged(Stage::Content, "250 queued", 0),
            Verdict::Accepted(_)
        ));
        let forbidden = judge(Handed::Forbidden, 0, AmbiguousPolicy::Hold, 1.0);
        assert_eq!(forbidden, Verdict::GivenUp);
        let utf8 = judge(Handed::Unsendable("x"), 0, AmbiguousPolicy::Hold, 1.0);
        assert!(matches!(
            utf8,
            Verdict::Rejected {
                reply: None,
                reason: "x",
                ..
            }
        ));
    }
}
