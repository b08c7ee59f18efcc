//! Who made a hit: a person or a machine, and why we think so.

use chrono::Duration;
use serde::{Deserialize, Serialize};

use crate::domain::rules;

/// Who made a hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Human,
    /// Looks into mails for what is harmful.
    Scanner,
    /// Loads ahead, whether or not somebody will look.
    Prefetch,
    /// Any other program.
    Bot,
}

impl Verdict {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Human => "human",
            Self::Scanner => "scanner",
            Self::Prefetch => "prefetch",
            Self::Bot => "bot",
        }
    }
}

/// What kind of hit it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HitKind {
    Click,
    Open,
    View,
}

/// What is known about a hit when it comes in.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    pub kind: HitKind,
    /// The method was HEAD: nobody looks at the answer.
    pub head: bool,
    pub user_agent: &'a str,
    /// The request itself said that it loads ahead.
    pub announced_prefetch: bool,
    /// It came from a network of a data centre, as far as the operator says which these are.
    pub data_centre: bool,
    /// It followed the link that nobody sees.
    pub canary: bool,
    /// Time since the mail was made.
    pub since_issue: Option<Duration>,
}

/// A verdict with its reasons; a human may have some too, such as an image proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    pub verdict: Verdict,
    pub reasons: Vec<&'static str>,
}

/// Judges a hit by itself. What its siblings say comes later ([`crate::domain::burst`]).
pub fn judge(facts: &Facts<'_>) -> Judgement {
    let user_agent = rules::user_agent(facts.kind, facts.user_agent);
    // A provider's proxy is in a data centre for somebody who opens a mail.
    let proxy = user_agent.is_some_and(|(verdict, _)| verdict == Verdict::Human);
    let signs = [
        user_agent,
        facts
            .announced_prefetch
            .then_some((Verdict::Prefetch, "prefetch_header")),
        facts.head.then_some((Verdict::Scanner, "head_request")),
        too_fast(facts).then_some((Verdict::Scanner, "too_fast")),
        (facts.data_centre && !proxy).then_some((Verdict::Scanner, rules::DATA_CENTRE)),
        facts.canary.then_some((Verdict::Scanner, rules::CANARY)),
    ];
    let signs: Vec<_> = signs.into_iter().flatten().collect();
    let machine = signs.iter().find(|(verdict, _)| *verdict != Verdict::Human);
    Judgement {
        verdict: machine.map_or(Verdict::Human, |(verdict, _)| *verdict),
        reasons: signs.into_iter().map(|(_, reason)| reason).collect(),
    }
}

fn too_fast(facts: &Facts<'_>) -> bool {
    let limit = Duration::milliseconds(rules::TOO_FAST_MS);
    facts.kind == HitKind::Click && facts.since_issue.is_some_and(|since| since < limit)
}

#[cfg(test)]
#[path = "cases_tests.rs"]
mod cases;

#[cfg(test)]
mod tests {
    use super::*;

    const CHROME: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36";

    fn facts(kind: HitKind) -> Facts<'static> {
        Facts {
            kind,
            head: false,
            user_agent: CHROME,
            announced_prefetch: false,
            data_centre: false,
            canary: false,
            since_issue: Some(Duration::minutes(5)),
        }
    }

    #[test]
    fn a_browser_after_a_while_is_a_person() {
        for kind in [HitKind::Click, HitKind::Open, HitKind::View] {
            let judgement = judge(&facts(kind));
            assert_eq!(judgement.verdict, Verdict::Human);
            assert_eq!(judgement.reasons, Vec::<&str>::new());
        }
    }

    #[test]
    fn each_sign_of_a_machine_has_its_reason() {
        let click = facts(HitKind::Click);
        let cases = [
            (
                Facts {
                    head: true,
                    ..click
                },
                Verdict::Scanner,
                "head_request",
            ),
            (
                Facts {
                    announced_prefetch: true,
                    ..click
                },
                Verdict::Prefetch,
                "prefetch_header",
            ),
            (
                Facts {
                    since_issue: Some(Duration::milliseconds(1999)),
                    ..click
                },
                Verdict::Scanner,
                "too_fast",
            ),
            (
                Facts {
                    data_centre: true,
                    ..click
                },
                Verdict::Scanner,
                "data_centre",
            ),
            (
                Facts {
                    canary: true,
                    ..click
                },
                Verdict::Scanner,
                "canary_link",
            ),
            (
                Facts {
                    user_agent: "",
                    ..click
                },
                Verdict::Bot,
                "no_user_agent",
            ),
        ];
        for (facts, verdict, reason) in cases {
            assert_eq!(
                judge(&facts),
                Judgement {
                    verdict,
                    reasons: vec![reason]
                }
            );
        }
    }

    #[test]
    fn two_seconds_are_enough_and_an_open_may_be_fast() {
        let click = Facts {
            since_issue: Some(Duration::seconds(2)),
            ..facts(HitKind::Click)
        };
        let open = Facts {
            since_issue: Some(Duration::zero()),
            ..facts(HitKind::Open)
        };
        assert_eq!(judge(&click).verdict, Verdict::Human);
        assert_eq!(judge(&open).verdict, Verdict::Human);
    }

    #[test]
    fn every_reason_is_kept() {
        let all = Facts {
            head: true,
            user_agent: "curl/8.5.0",
            announced_prefetch: true,
            data_centre: true,
            canary: true,
            since_issue: Some(Duration::zero()),
            kind: HitKind::Click,
        };
        let judgement = judge(&all);
        assert_eq!(judgement.verdict, Verdict::Bot);
        assert_eq!(
            judgement.reasons,
            [
                "http_library",
                "prefetch_header",
                "head_request",
                "too_fast",
                "data_centre",
                "canary_link"
            ]
        );
    }
}
