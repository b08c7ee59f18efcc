//! Pre-flight: what would go wrong, found before anything is sent.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use common::dto::audience::{AudienceCount, Gap};
use common::dto::standing::DomainStanding;
use content::Compiled;
use serde::Serialize;

use super::campaign::Campaign;
use super::content::compile;

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = campaigns::Check)]
pub(crate) struct Check {
    pub(crate) name: &'static str,
    pub(crate) level: Level,
    pub(crate) detail: String,
}

/// How bad it is: an error blocks a start, a warning needs to be accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = campaigns::Level)]
pub(crate) enum Level {
    Ok,
    Warning,
    Error,
}

impl Check {
    pub(crate) fn ok(name: &'static str, detail: impl Into<String>) -> Self {
        Self {
            name,
            level: Level::Ok,
            detail: detail.into(),
        }
    }

    pub(crate) fn warning(name: &'static str, detail: impl Into<String>) -> Self {
        Self {
            name,
            level: Level::Warning,
            detail: detail.into(),
        }
    }

    pub(crate) fn error(name: &'static str, detail: impl Into<String>) -> Self {
        Self {
            name,
            level: Level::Error,
            detail: detail.into(),
        }
    }
}

/// What the mail says and who it is from.
pub(crate) fn content(campaign: &Campaign) -> (Vec<Check>, Option<Compiled>) {
    let draft = &campaign.draft;
    let mut checks = vec![match &draft.from {
        None => Check::error("sender", "nobody is named as the sender (`from`)"),
        Some(from) => Check::ok("sender", format!("from {}", from.email)),
    }];
    if draft.subject.trim().is_empty() {
        checks.push(Check::error("subject", "the subject is empty"));
    }
    let Some(written) = &draft.content else {
        checks.push(Check::error("content", "there is no content"));
        return (checks, None);
    };
    match compile(&draft.subject, &draft.preheader, written) {
        Err(problems) => {
            checks.extend(
                problems
                    .iter()
                    .map(|p| Check::error("content", p.to_string())),
            );
            (checks, None)
        }
        Ok(compiled) => {
            let warnings = compiled.warnings();
            checks.extend(
                warnings
                    .iter()
                    .map(|p| Check::warning("content", p.to_string())),
            );
            if warnings.is_empty() {
                checks.push(Check::ok("content", "compiles"));
            }
            checks.push(unsubscribe(&compiled));
            (checks, Some(compiled))
        }
    }
}

fn unsubscribe(compiled: &Compiled) -> Check {
    if compiled.has_unsubscribe() {
        Check::ok("unsubscribe", "the mail has an unsubscribe link")
    } else {
        Check::error(
            "unsubscribe",
            "the mail has no unsubscribe link: use {{ unsubscribe_url }}",
        )
    }
}

/// The variables that must have a value, as paths below `lead.`; and those that nobody provides.
pub(crate) fn variables(compiled: &Compiled) -> (Vec<String>, Vec<Check>) {
    const PROVIDED: [&str; 8] = [
        "unsubscribe_url",
        "preferences_url",
        "view_url",
        "campaign.id",
        "campaign.name",
        "campaign.subject",
        "workspace.id",
        "workspace.name",
    ];
    let required: BTreeSet<&str> = compiled.required();
    let of_lead = required
        .iter()
        .filter_map(|path| path.strip_prefix("lead."))
        .map(str::to_owned);
    let unknown = required
        .iter()
        .filter(|path| !path.starts_with("lead.") && !PROVIDED.contains(*path))
        .map(|path| Check::error("variables", format!("{path} is not a variable that exists")));
    (of_lead.collect(), unknown.collect())
}

/// For whom a variable would be empty.
pub(crate) fn gaps(gaps: &[Gap], required: usize) -> Vec<Check> {
    let mut checks: Vec<_> = gaps
        .iter()
        .filter(|gap| gap.missing > 0)
        .map(|gap| {
            let sample = gap.sample.map(|id| format!(", for example lead {id}")).unwrap_or_default();
            let (variable, missing) = (&gap.variable, gap.missing);
            Check::error(
                "variables",
                format!("lead.{variable} is empty for {missing} recipients{sample}; give a default or leave them out"),
            )
        })
        .collect();
    if checks.is_empty() {
        checks.push(Check::ok(
            "variables",
            format!("{required} variables have a value for everybody"),
        ));
    }
    checks
}

/// Who would get it; the error says why there is no audience.
pub(crate) fn audience(counted: &Result<AudienceCount, String>) -> Check {
    match counted {
        Err(why) => Check::error("audience", why),
        Ok(AudienceCount { count: 0, .. }) => Check::error("audience", "nobody is in the audience"),
        Ok(AudienceCount { count, sendable: 0 }) => Check::error(
            "audience",
            format!("none of the {count} people may be mailed"),
        ),
        Ok(AudienceCount { count, sendable }) => Check::ok(
            "audience",
            format!("{sendable} of {count} people may be mailed"),
        ),
    }
}

/// Whether the time makes sense.
pub(crate) fn schedule(campaign: &Campaign, now: DateTime<Utc>) -> Option<Check> {
    let schedule = campaign.draft.schedule.as_ref()?;
    Some(match schedule.when() {
        Err((field, why)) => Check::error("schedule", format!("{field} {why}")),
        Ok(when) if when.latest() < now => Check::error("schedule", "the time is in the past"),
        Ok(when) => Check::ok(
            "schedule",
            format!("begins {}", when.earliest().to_rfc3339()),
        ),
    })
}

/// Whether receivers can tell that the mail is genuine.
pub(crate) fn domain(domain: &str, standing: &DomainStanding, required: bool) -> Check {
    let detail = match standing {
        DomainStanding {
            authenticated: true,
            ..
        } => return Check::ok("domain", format!("{domain} is authenticated")),
        DomainStanding { known: false, .. } => {
            format!("{domain} is not an authenticated sending domain: mails are not DKIM-signed")
        }
        DomainStanding { lacking, .. } => {
            let lacking = lacking.join(", ");
            format!("{domain} is not authenticated: no good record was seen at {lacking}")
        }
    };
    match required {
        true => Check::error("domain", detail),
        false => Check::warning("domain", detail),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::campaign::Draft;
    use common::WorkspaceId;
    use common::dto::dispatch::{Content, ContentFormat, Mailbox};

    fn campaign(body: &str) -> Campaign {
        let draft = Draft {
            subject: "Hello {{ lead.first_name }}".into(),
            from: Some(Mailbox {
                name: String::new(),
                email: "a@example.com".parse().expect("an address"),
            }),
            content: Some(Content {
                format: ContentFormat::Text,
                body: body.into(),
                text: None,
            }),
            ..Draft::default()
        };
        Campaign::new(WorkspaceId::new(), draft, Utc::now())
    }

    fn errors(checks: &[Check]) -> Vec<&'static str> {
        checks
            .iter()
            .filter(|check| check.level == Level::Error)
            .map(|check| check.name)
            .collect()
    }

    #[test]
    fn a_mail_without_unsubscribe_is_blocked() {
        assert_eq!(errors(&content(&campaign("hi")).0), ["unsubscribe"]);
        assert!(errors(&content(&campaign("hi {{ unsubscribe_url }}")).0).is_empty());
    }

    #[test]
    fn an_empty_draft_names_everything_that_is_missing() {
        let empty = Campaign::new(WorkspaceId::new(), Draft::default(), Utc::now());
        assert_eq!(errors(&content(&empty).0), ["sender", "subject", "content"]);
    }

    #[test]
    fn a_domain_without_good_records_names_them() {
        let mut standing = DomainStanding::default();
        let check = domain("x.example", &standing, false);
        assert_eq!(check.level, Level::Warning);
        standing.known = true;
        standing.lacking = vec!["_dmarc.x.example".into()];
        let check = domain("x.example", &standing, true);
        assert_eq!(check.level, Level::Error);
        assert!(check.detail.ends_with("at _dmarc.x.example"), "{check:?}");
        standing.authenticated = true;
        assert_eq!(domain("x.example", &standing, true).level, Level::Ok);
    }

    #[test]
    fn required_variables_are_asked_for_and_unknown_ones_refused() {
        let (_, compiled) = content(&campaign(
            "{{ lead.attributes.plan }} {{ shop.name }} {{ unsubscribe_url }}",
        ));
        let (of_lead, unknown) = variables(&compiled.expect("it compiles"));
        assert_eq!(of_lead, ["attributes.plan", "first_name"]);
        assert_eq!(unknown.len(), 1);
        assert!(unknown[0].detail.starts_with("shop.name"));
    }
}
