//! People and machines take their mails, and the report must tell them apart.

use std::time::Duration;

use anyhow::{Context, anyhow};
use common::dto::report::{CampaignEngagement, Hits, LinkHits};
use futures::StreamExt;
use reqwest::Method;
use serde::Deserialize;

use super::compose::{Campaign, destinations, sentences, subject};
use super::send::{Sent, words};
use super::{Address, Demo, PATIENCE, PAUSE};
use crate::demo::console::Step;
use crate::demo::inbox::{Mail, mail_key};
use crate::demo::people::{Fate, Person};
use crate::demo::readers::{Hit, Reader, Tally, Visitors};

/// Nobody clicks sooner after a mail was made, and nobody follows two links sooner after another:
/// both would be the mark of a machine.
const BREATH: Duration = Duration::from_millis(2500);
/// Mails that are read at once.
const AT_ONCE: usize = 8;

/// One mail that somebody takes in some way.
struct Case<'a> {
    person: &'a Person,
    mail: Mail,
    reader: Reader,
    destinations: Vec<String>,
}

#[derive(Deserialize)]
struct Report {
    opens: Option<Hits>,
    clicks: Option<Hits>,
    unsubscribes: Option<Hits>,
    complaints: Option<Hits>,
    links: Option<Vec<LinkHits>>,
}

impl Demo {
    /// Reads a part of the mails as people and machines do; answers what was done.
    pub(super) async fn engage(
        &mut self,
        list: &str,
        sent: &Sent,
        sample: usize,
    ) -> anyhow::Result<Tally> {
        tokio::time::sleep(BREATH).await;
        let people = chosen(&self.crowd.people, &self.before.suppressed, sample);
        let cases = self.open_mails(&people, sent).await?;
        let findings = inspect(&cases, &self.code);
        let (tally, good) = act(&cases).await?;
        let read = cases.len();
        for (name, right) in findings {
            self.figures.compare(name, read, right);
        }
        self.figures
            .compare("visits: answered as they must be", good.made, good.right);
        self.compare_leaving(list, &tally).await?;
        Ok(tally)
    }

    /// Opens the mails of these people in the mailbox.
    async fn open_mails<'a>(
        &self,
        people: &[&'a Person],
        sent: &Sent,
    ) -> anyhow::Result<Vec<Case<'a>>> {
        let step = Step::through("open mails", people.len());
        let opened = futures::stream::iter(people.iter().enumerate().map(|(number, person)| {
            let (step, person) = (&step, *person);
            async move {
                let found = sent.mails.get(&mail_key(&person.email));
                let id = &found
                    .with_context(|| format!("{} got no mail", person.email))?
                    .id;
                let mail = self.inbox.open(id).await?;
                step.advance();
                anyhow::Ok(Case {
                    person,
                    mail,
                    reader: Reader::number(number),
                    destinations: destinations(person),
                })
            }
        }));
        let cases: Vec<anyhow::Result<Case<'_>>> = opened.buffered(AT_ONCE).collect().await;
        let cases: Vec<Case<'_>> = cases.into_iter().collect::<Result<_, _>>()?;
        step.end(&format!("{} mails", cases.len()));
        Ok(cases)
    }

    /// Who left must be suppressed and off the list; who only looked at the page must not.
    async fn compare_leaving(&mut self, list: &str, tally: &Tally) -> anyhow::Result<()> {
        let step = Step::begin("suppressions");
        let hard = self.crowd.with_fate(Fate::Rejected).map(Person::key);
        let mut expected = self.before.suppressed.clone();
        expected.extend(tally.left().iter().cloned().chain(hard));
        let expected: Vec<String> = expected.into_iter().collect();
        let reported = self
            .patiently(Self::suppressed_sorted, |found| *found == expected)
            .await?;
        step.end(&format!(
            "{} addresses are not mailed again",
            reported.len()
        ));
        self.figures
            .compare_names("suppressed by name", expected, reported);
        let unsubscribed = self.suppressed("unsubscribe").await?;
        let unsubscribed = unsubscribed
            .into_iter()
            .filter(|key| !self.before.suppressed.contains(key));
        let left = || tally.left().iter().cloned();
        self.figures
            .compare_names("suppressed as unsubscribed", left(), unsubscribed);
        let path = format!("/api/v1/lists/{list}/members?status=unsubscribed");
        let members: Vec<Address> = self.api.all(&path, |_| ()).await?;
        let members = members
            .into_iter()
            .map(|member| member.email.to_lowercase());
        self.figures
            .compare_names("unsubscribed from the list", left(), members);
        Ok(())
    }

    async fn suppressed_sorted(&self) -> anyhow::Result<Vec<String>> {
        let mut found = self.suppressed("").await?;
        found.sort_unstable();
        Ok(found)
    }

    /// Asks until the answer is good or patience ends; answers the last answer.
    pub(super) async fn patiently<T>(
        &self,
        ask: impl AsyncFn(&Self) -> anyhow::Result<T>,
        good: impl Fn(&T) -> bool,
    ) -> anyhow::Result<T> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let answer = ask(self).await?;
            if good(&answer) || tokio::time::Instant::now() >= deadline {
                return Ok(answer);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Waits until the report says what was done, and compares every count in it.
    pub(super) async fn await_report(
        &mut self,
        campaign: &Campaign,
        tally: &Tally,
    ) -> anyhow::Result<CampaignEngagement> {
        let step = Step::begin("report");
        let done = tally.engagement();
        let path = format!("/api/v1/campaigns/{}/report", campaign.id);
        let reported = self
            .patiently(
                async |demo: &Self| engagement(demo.api.get(&path).await?),
                |report| *report == done,
            )
            .await?;
        step.end(&format!(
            "{} opens and {} clicks by people, {} by machines",
            reported.opens.human,
            reported.clicks.human,
            reported.opens.machine + reported.clicks.machine
        ));
        self.compare_hits("opens", done.opens, reported.opens);
        self.compare_hits("clicks", done.clicks, reported.clicks);
        self.compare_hits("unsubscribes", done.unsubscribes, reported.unsubscribes);
        self.compare_hits("complaints", done.complaints, reported.complaints);
        let urls = |report: &CampaignEngagement| {
            report
                .links
                .iter()
                .map(|link| link.url.clone())
                .collect::<Vec<_>>()
        };
        self.figures
            .compare_names("links followed", urls(&done), urls(&reported));
        for link in &done.links {
            let found = reported.links.iter().find(|other| other.url == link.url);
            self.compare_hits(
                &link.url,
                link.hits,
                found.map(|link| link.hits).unwrap_or_default(),
            );
        }
        Ok(reported)
    }

    fn compare_hits(&mut self, name: &str, done: Hits, reported: Hits) {
        self.figures
            .compare(format!("{name}: by people"), done.human, reported.human);
        self.figures.compare(
            format!("{name}: by machines"),
            done.machine,
            reported.machine,
        );
        self.figures.compare(
            format!("{name}: different people"),
            done.unique,
            reported.unique,
        );
    }
}

/// The report's counts, links in the order of their addresses.
fn engagement(report: Report) -> anyhow::Result<CampaignEngagement> {
    let missing = || anyhow!("analytics is missing from the report");
    let mut links = report.links.ok_or_else(missing)?;
    links.sort_by(|one, other| one.url.cmp(&other.url));
    Ok(CampaignEngagement {
        opens: report.opens.ok_or_else(missing)?,
        clicks: report.clicks.ok_or_else(missing)?,
        unsubscribes: report.unsubscribes.ok_or_else(missing)?,
        complaints: report.complaints.ok_or_else(missing)?,
        links,
    })
}

/// People from everywhere in the file whose mails were accepted.
fn chosen<'a>(
    people: &'a [Person],
    suppressed: &std::collections::BTreeSet<String>,
    sample: usize,
) -> Vec<&'a Person> {
    let got =
        |person: &&Person| person.fate == Fate::Accepted && !suppressed.contains(&person.key());
    let mailed: Vec<&Person> = people.iter().filter(got).collect();
    let sample = sample.min(mailed.len());
    (0..sample)
        .map(|at| mailed[at * mailed.len() / sample])
        .collect()
}

/// How many of the mails are what they must be, by aspect.
fn inspect(cases: &[Case<'_>], code: &str) -> [(&'static str, usize); 4] {
    let count = |right: &dyn Fn(&Case<'_>) -> bool| cases.iter().filter(|case| right(case)).count();
    [
        (
            "mails: subject right",
            count(&|case| has_subject(case, code)),
        ),
        ("mails: text right", count(&has_text)),
        ("mails: links and pixel right", count(&has_links)),
        (
            "mails: one-click unsubscribe",
            count(&|case| case.mail.one_click().is_some()),
        ),
    ]
}

fn has_subject(case: &Case<'_>, code: &str) -> bool {
    case.mail.summary.subject.as_deref() == Some(subject(case.person, code).as_str())
}

fn has_text(case: &Case<'_>) -> bool {
    let text = words(case.mail.text.as_deref().unwrap_or_default());
    sentences(case.person)
        .iter()
        .all(|sentence| text.contains(&words(sentence)))
}

fn has_links(case: &Case<'_>) -> bool {
    case.mail.tracked().len() == case.destinations.len() && case.mail.pixel().is_some()
}

/// Visits, and how many of them were answered as they must be.
#[derive(Default)]
struct Visits {
    made: usize,
    right: usize,
}

/// Everybody does what is theirs to do: at first, and after a breath again.
async fn act(cases: &[Case<'_>]) -> anyhow::Result<(Tally, Visits)> {
    let (visitors, mut tally, mut visits) = (Visitors::new()?, Tally::default(), Visits::default());
    let step = Step::through("read, click, scan, leave", cases.len());
    round(
        cases,
        &visitors,
        &mut tally,
        &mut visits,
        Some(&step),
        |case| case.reader.at_first(&case.mail, &case.destinations),
    )
    .await?;
    tokio::time::sleep(BREATH).await;
    round(cases, &visitors, &mut tally, &mut visits, None, |case| {
        case.reader.later(&case.mail, &case.destinations)
    })
    .await?;
    leave(cases, &visitors, &mut tally, &mut visits).await?;
    step.end(&format!("{} visits", visits.made));
    Ok((tally, visits))
}

async fn round(
    cases: &[Case<'_>],
    visitors: &Visitors,
    tally: &mut Tally,
    visits: &mut Visits,
    step: Option<&Step>,
    hits: impl Fn(&Case<'_>) -> Vec<Hit>,
) -> anyhow::Result<()> {
    let hits = &hits;
    let mut done = futures::stream::iter(cases.iter().map(|case| async move {
        let hits = hits(case);
        let right = visitors.make(&hits).await?;
        anyhow::Ok((case, hits, right))
    }))
    .buffer_unordered(AT_ONCE);
    while let Some(visited) = done.next().await {
        let (case, hits, right) = visited?;
        tally.add(&case.person.key(), &hits);
        visits.made += hits.len();
        visits.right += right;
        step.inspect(|step| step.advance());
    }
    Ok(())
}

/// Some unsubscribe by one click; scanners only look at the page, which must change nothing.
async fn leave(
    cases: &[Case<'_>],
    visitors: &Visitors,
    tally: &mut Tally,
    visits: &mut Visits,
) -> anyhow::Result<()> {
    for case in cases {
        let Some(page) = case.mail.one_click() else {
            continue;
        };
        match case.reader {
            Reader::Leaves => {
                visits.made += 1;
                visits.right += usize::from(visitors.unsubscribe(page).await?);
                tally.leave(&case.person.key());
            }
            Reader::ScansByHead => visitors.look(&Method::HEAD, page).await?,
            Reader::ScansAtOnce => visitors.look(&Method::GET, page).await?,
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::demo::people::Crowd;

    #[test]
    fn the_sample_comes_from_everywhere_and_only_from_whom_was_mailed() {
        let people = Crowd::new(300).people;
        let suppressed = BTreeSet::from([people[0].key()]);
        let chosen = chosen(&people, &suppressed, 20);
        assert_eq!(chosen.len(), 20);
        assert!(
            chosen
                .iter()
                .all(|person| person.fate == Fate::Accepted && person.key() != people[0].key())
        );
        let distinct: BTreeSet<String> = chosen.iter().map(|person| person.key()).collect();
        assert_eq!(distinct.len(), 20);
    }

    #[test]
    fn more_than_everybody_is_everybody() {
        let people = Crowd::new(100).people;
        let all = people
            .iter()
            .filter(|person| person.fate == Fate::Accepted)
            .count();
        assert_eq!(chosen(&people, &BTreeSet::new(), 1_000).len(), all);
        assert!(chosen(&people, &BTreeSet::new(), 0).is_empty());
    }

    #[test]
    fn a_report_without_analytics_is_no_report() {
        let report = Report {
            opens: None,
            clicks: None,
            unsubscribes: None,
            complaints: None,
            links: None,
        };
        assert!(
            engagement(report)
                .unwrap_err()
                .to_string()
                .contains("analytics")
        );
    }
}
