//! The main job, step by step.

mod compose;
mod engage;
mod follow_up;
mod import;
mod send;

use std::collections::{BTreeSet, HashSet};
use std::time::{Duration, Instant};

use common::dto::dispatch::Settlement;
use serde::Deserialize;

use super::api::{Account, Api};
use super::checks::Figures;
use super::inbox::{Inbox, mail_key};
use super::people::{Crowd, Fate, Person};
use super::report::Outcome;

pub(super) use import::ImportFigures;
pub(super) use send::sum;

/// Between two looks at something that is under way.
const PAUSE: Duration = Duration::from_millis(300);
/// How long what was done may take to show.
const PATIENCE: Duration = Duration::from_secs(60);

/// Everything that the steps share.
#[derive(Debug)]
struct Demo {
    api: Api,
    inbox: Inbox,
    crowd: Crowd,
    /// Tells this run's mails from those of others in one mailbox.
    code: String,
    before: Before,
    figures: Figures,
}

/// What was there before, in a workspace that is not new.
#[derive(Debug, Default)]
struct Before {
    /// Leads, by their key.
    leads: HashSet<String>,
    /// Suppressed addresses, by their key.
    suppressed: BTreeSet<String>,
}

#[derive(Debug, Deserialize)]
struct Created {
    id: String,
}

/// A lead, or a member of a list, as far as it matters here.
#[derive(Debug, Deserialize)]
struct Address {
    email: String,
}

/// Whose mail must end how.
#[derive(Debug, Default)]
struct Expected {
    accepted: Vec<String>,
    rejected: Vec<String>,
    suppressed: Vec<String>,
    ambiguous: Vec<String>,
    /// Whose mail must lie in the mailbox, reply or not.
    delivered: Vec<String>,
}

impl Expected {
    fn of<'a>(people: impl Iterator<Item = &'a Person>, suppressed: &BTreeSet<String>) -> Self {
        let mut expected = Self::default();
        for person in people {
            let key = person.key();
            if suppressed.contains(&key) {
                expected.suppressed.push(key);
                continue;
            }
            if matches!(person.fate, Fate::Accepted | Fate::KeptWithoutReply) {
                expected.delivered.push(mail_key(&key));
            }
            match person.fate {
                Fate::Accepted => expected.accepted.push(key),
                Fate::Rejected => expected.rejected.push(key),
                Fate::Lost | Fate::KeptWithoutReply => expected.ambiguous.push(key),
            }
        }
        expected
    }

    fn settlement(&self) -> Settlement {
        let [accepted, rejected, suppressed, ambiguous] = [
            &self.accepted,
            &self.rejected,
            &self.suppressed,
            &self.ambiguous,
        ]
        .map(|keys| keys.len() as i64);
        Settlement {
            audience: accepted + rejected + suppressed + ambiguous,
            accepted,
            rejected,
            suppressed,
            skipped: 0,
            ambiguous,
            pending: 0,
            settled: true,
        }
    }
}

/// Does all of it, and answers what was found.
pub(crate) async fn run(
    url: &str,
    account: Option<Account>,
    leads: usize,
    sample: usize,
) -> anyhow::Result<Outcome> {
    let began = Instant::now();
    let mut demo = Demo {
        api: Api::sign_in(url, account).await?,
        inbox: Inbox::at(url),
        crowd: Crowd::new(leads),
        code: code(),
        before: Before::default(),
        figures: Figures::default(),
    };
    eprintln!("Clarion at {url}; this run is {}", demo.code);
    let imported = demo.import().await?;
    let campaign = demo.compose(&imported).await?;
    let sent = demo.send(&campaign).await?;
    let tally = demo.engage(&imported.list, &sent, sample).await?;
    let report = demo.await_report(&campaign, &tally).await?;
    demo.follow_up(&imported, &campaign, &tally).await?;
    Ok(Outcome {
        url: url.to_owned(),
        run: demo.code,
        took_ms: began.elapsed().as_millis() as u64,
        import: imported.figures,
        settlement: sent.settlement,
        engagement: report,
        figures: demo.figures,
    })
}

/// Eight letters and digits that no other run has.
fn code() -> String {
    let mut id = uuid::Uuid::new_v4().simple().to_string().to_uppercase();
    id.truncate(8);
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_is_expected_to_end_in_one_way() {
        let crowd = Crowd::new(200);
        let expected = Expected::of(crowd.people.iter(), &BTreeSet::new()).settlement();
        assert_eq!((expected.audience, expected.sum()), (200, 200));
        assert_eq!(
            (expected.rejected, expected.ambiguous, expected.suppressed),
            (1, 2, 0)
        );
    }

    #[test]
    fn who_is_suppressed_is_expected_nowhere_else() {
        let crowd = Crowd::new(200);
        let left = crowd.people[3].key();
        let expected = Expected::of(crowd.people.iter(), &BTreeSet::from([left.clone()]));
        assert_eq!(expected.suppressed, std::slice::from_ref(&left));
        assert!(!expected.accepted.contains(&left) && !expected.delivered.contains(&left));
        assert_eq!(expected.settlement().audience, 200);
    }

    #[test]
    fn a_kept_mail_without_a_reply_is_ambiguous_and_delivered() {
        let crowd = Crowd::new(200);
        let kept = crowd
            .with_fate(Fate::KeptWithoutReply)
            .next()
            .unwrap()
            .key();
        let expected = Expected::of(crowd.people.iter(), &BTreeSet::new());
        assert!(expected.ambiguous.contains(&kept) && expected.delivered.contains(&kept));
    }
}
