//! A segment, a template, and a campaign that passes the pre-flight.

use std::collections::BTreeSet;

use anyhow::bail;
use serde::Deserialize;
use serde_json::{Value, json};

use super::import::Imported;
use super::{Created, Demo, PATIENCE, PAUSE};
use crate::demo::console::Step;
use crate::demo::people::Person;

/// The letter that everybody gets.
const LETTER: &str = include_str!("letter.mjml");
/// Where its links lead; the last one is for members only.
const DESTINATIONS: [&str; 3] = [
    "https://shop.example/spring?utm_source=letter&size=L#offers",
    "https://guide.example/first-steps",
    "https://shop.example/early?for=members",
];

/// What was composed.
#[derive(Debug)]
pub(super) struct Campaign {
    pub(super) id: String,
    /// The segment of those who do not get the second letter.
    pub(super) guests: String,
}

/// One thing that the pre-flight looked at.
#[derive(Debug, Deserialize)]
struct Check {
    name: String,
    level: String,
    detail: String,
}

#[derive(Deserialize)]
struct Preflight {
    ok: bool,
    checks: Vec<Check>,
}

#[derive(Deserialize)]
struct Preview {
    count: usize,
}

#[derive(Deserialize)]
struct Queued {
    message_ids: Vec<String>,
}

impl Demo {
    /// Makes the segment, the template and the campaign, checks it and sends a test mail.
    pub(super) async fn compose(&mut self, imported: &Imported) -> anyhow::Result<Campaign> {
        let step = Step::begin("compose");
        let guests = self.guests().await?;
        self.compare_members("segment: people", &imported.list, &guests, &BTreeSet::new())
            .await?;
        let template: Created = self.api.post("/api/v1/templates", &self.template()).await?;
        let campaign: Created = self
            .api
            .post(
                "/api/v1/campaigns",
                &json!({
                    "name": format!("Spring {}", self.code),
                    "from": { "name": "Clärion Demo", "email": "letters@clarion-demo.example" },
                    "template_id": template.id,
                    "audience": { "list_ids": [imported.list] },
                    "budget": { "amount": 25_000, "currency": "EUR" },
                }),
            )
            .await?;
        step.end("a list, a segment, a template and a campaign");
        self.preflight(&campaign.id).await?;
        self.test_mail(&campaign.id).await?;
        Ok(Campaign {
            id: campaign.id,
            guests,
        })
    }

    fn template(&self) -> Value {
        json!({
            "name": format!("Spring letter {}", self.code),
            "subject": format!("{{{{ lead.first_name|default('there') }}}}, your letter {}", self.code),
            "preheader": "News for {{ lead.attributes.city }}",
            "content": { "format": "mjml", "body": LETTER },
        })
    }

    /// Saves the segment of those who neither pay nor are important.
    async fn guests(&self) -> anyhow::Result<String> {
        let guests = json!({
            "name": format!("Guests {}", self.code),
            "rule": { "all": [
                { "field": "attributes.plan", "op": "eq", "value": "free" },
                { "not": { "field": "tags", "op": "contains", "value": "vip" } },
            ] },
        });
        let segment: Created = self.api.post("/api/v1/segments", &guests).await?;
        Ok(segment.id)
    }

    /// Counts who is on the list and no guest: everybody else who has not left.
    pub(super) async fn compare_members(
        &mut self,
        name: &str,
        list: &str,
        guests: &str,
        left: &BTreeSet<String>,
    ) -> anyhow::Result<()> {
        let rule = json!({ "rule": { "all": [
            { "field": "list", "op": "eq", "value": list },
            { "not": { "field": "segment", "op": "eq", "value": guests } },
        ] } });
        let preview: Preview = self.api.post("/api/v1/segments/preview", &rule).await?;
        let is_member = |person: &&Person| !person.is_guest() && !left.contains(&person.key());
        let members = self.crowd.people.iter().filter(is_member).count();
        self.figures.compare(name, members, preview.count);
        Ok(())
    }

    /// Shows what the pre-flight finds. Errors end the demo; a demo's links lead nowhere and its
    /// domain signs nothing, so warnings of these are what it must find.
    async fn preflight(&mut self, campaign: &str) -> anyhow::Result<()> {
        let step = Step::begin("pre-flight");
        let found: Preflight = self
            .api
            .post(
                &format!("/api/v1/campaigns/{campaign}/preflight"),
                &json!({}),
            )
            .await?;
        let count = |level: &str| {
            found
                .checks
                .iter()
                .filter(|check| check.level == level)
                .count()
        };
        step.end(&format!(
            "{} ok, {} warnings, {} errors",
            count("ok"),
            count("warning"),
            count("error")
        ));
        for check in &found.checks {
            let mark = match check.level.as_str() {
                "ok" => "✓",
                "warning" => "!",
                _ => "✗",
            };
            eprintln!("    {mark} {:<12} {}", check.name, check.detail);
        }
        self.figures.compare("pre-flight: ok", true, found.ok);
        if !found.ok {
            bail!("the pre-flight blocks the campaign");
        }
        Ok(())
    }

    /// Sends one mail to an editor, and waits until it arrives.
    async fn test_mail(&mut self, campaign: &str) -> anyhow::Result<()> {
        let step = Step::begin("test mail");
        let editor = format!("editor.{}@clarion-demo.example", self.code.to_lowercase());
        let path = format!("/api/v1/campaigns/{campaign}/test");
        let queued: Queued = self
            .api
            .post_once(&path, &json!({ "to": [editor] }))
            .await?;
        let deadline = tokio::time::Instant::now() + PATIENCE;
        let mut arrived = self.inbox.to(&editor).await?;
        while arrived.is_empty() && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(PAUSE).await;
            arrived = self.inbox.to(&editor).await?;
        }
        self.figures
            .compare("test mail: queued", 1, queued.message_ids.len());
        self.figures.compare("test mail: arrived", 1, arrived.len());
        let subject = arrived
            .first()
            .and_then(|mail| mail.subject.clone())
            .unwrap_or_default();
        step.end(&format!("“{subject}” arrived"));
        Ok(())
    }
}

/// Where the counted links of a person's letter must lead, in their order.
pub(super) fn destinations(person: &Person) -> Vec<String> {
    let links = if person.is_guest() { 2 } else { 3 };
    DESTINATIONS[..links]
        .iter()
        .map(|url| (*url).to_owned())
        .collect()
}

/// The subject of a person's letter.
pub(super) fn subject(person: &Person, code: &str) -> String {
    format!("{}, your letter {code}", person.called())
}

/// Sentences that the text of a person's letter must hold.
pub(super) fn sentences(person: &Person) -> Vec<String> {
    let company = match person.company.as_str() {
        "" => "you",
        company => company,
    };
    let mut sentences = vec![
        format!("Hello {}!", person.called()),
        format!("Spring comes to {},", person.city),
        format!("comes to {}.", company.replace('\n', " ")),
    ];
    sentences.push(match person.plan.as_str() {
        "free" => "Your free plan stays free.".to_owned(),
        plan => format!(
            "Thank you for being on {}{}.",
            plan[..1].to_uppercase(),
            &plan[1..]
        ),
    });
    if person.tags.iter().any(|tag| tag == "moved") {
        sentences.push("How is the new place?".to_owned());
    }
    sentences
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::people::Crowd;
    use content::{Compiled, Context, Format, Parts, Source};

    fn compiled() -> Compiled {
        let source = Source {
            format: Format::Mjml,
            body: LETTER.to_owned(),
            text: None,
        };
        let parts = Parts {
            subject: "s",
            preheader: Some("News for {{ lead.attributes.city }}"),
            source: &source,
        };
        Compiled::compile(parts).expect("the letter compiles")
    }

    #[test]
    fn the_letter_compiles_without_a_warning_and_names_its_links() {
        let letter = compiled();
        assert!(letter.warnings().is_empty(), "{:?}", letter.warnings());
        assert!(letter.has_unsubscribe());
        let links: BTreeSet<_> = letter
            .links()
            .iter()
            .map(|link| link.url.as_str())
            .collect();
        assert_eq!(links, BTreeSet::from(DESTINATIONS));
        let lead: Vec<_> = letter
            .required()
            .into_iter()
            .filter(|path| path.starts_with("lead."))
            .collect();
        assert_eq!(lead, ["lead.attributes.city"]);
    }

    #[test]
    fn a_rendered_letter_says_what_is_expected_of_it() {
        let letter = compiled();
        for person in &Crowd::new(120).people {
            let or_null = |text: &str| {
                if text.is_empty() {
                    Value::Null
                } else {
                    json!(text)
                }
            };
            let lead = json!({
                "first_name": or_null(&person.first_name), "company": or_null(&person.company.replace('\n', " ")),
                "tags": person.tags, "attributes": { "plan": person.plan, "city": person.city },
            });
            let context = Context::new()
                .with("lead", lead)
                .with("campaign", json!({ "name": "Spring" }))
                .with("workspace", json!({ "name": "Demo" }))
                .with("unsubscribe_url", "http://p/u/1");
            let text = letter.render(&context).expect("it renders").text;
            let words = crate::demo::steps::send::words(&text);
            for sentence in sentences(person) {
                assert!(
                    words.contains(&crate::demo::steps::send::words(&sentence)),
                    "{sentence} in {text}"
                );
            }
        }
    }
}
