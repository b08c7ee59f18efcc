//! A list, and the people on it out of a CSV.

use std::collections::HashMap;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Address, Created, Demo, PAUSE};
use crate::demo::console::{Step, thousands};
use crate::demo::people::{Person, SHIPPED, SHIPPED_PEOPLE};

/// The list that was imported into, and what the import answered.
#[derive(Debug)]
pub(super) struct Imported {
    pub(super) list: String,
    pub(super) figures: ImportFigures,
}

/// What an import counts.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct ImportFigures {
    pub(crate) rows: u64,
    pub(crate) created: u64,
    pub(crate) updated: u64,
    pub(crate) unchanged: u64,
    pub(crate) rejected: u64,
    pub(crate) took_ms: u64,
}

#[derive(Deserialize)]
struct Progress {
    status: String,
    #[serde(flatten)]
    figures: Value,
}

#[derive(Deserialize)]
struct Suppressed {
    address: String,
}

impl Demo {
    /// Imports everybody onto a new list, and reads back all that came of it.
    pub(super) async fn import(&mut self) -> anyhow::Result<Imported> {
        self.look_around().await?;
        let name = format!("Spring letter {}", self.code);
        let list: Created = self
            .api
            .post("/api/v1/lists", &json!({ "name": name }))
            .await?;
        let step = Step::through("import", self.crowd.rows as usize);
        let path = format!("/api/v1/leads/imports?list_id={}", list.id);
        let import: Created = self.api.post_csv(&path, self.csv()).await?;
        let figures = self.await_import(&import.id, &step).await?;
        step.end(&format!(
            "{} rows: {} created, {} updated, {} unchanged, {} rejected",
            thousands(figures.rows),
            thousands(figures.created),
            figures.updated,
            figures.unchanged,
            figures.rejected
        ));
        self.compare_import(&figures);
        self.compare_refusals(&import.id).await?;
        self.read_back(&list.id).await?;
        Ok(Imported {
            list: list.id,
            figures,
        })
    }

    /// The shipped file, or one like it of another length.
    fn csv(&self) -> Vec<u8> {
        match self.crowd.people.len() {
            SHIPPED_PEOPLE => SHIPPED.to_vec(),
            _ => self.crowd.csv.clone(),
        }
    }

    /// Notes who was there before, so that only what this run does is counted.
    async fn look_around(&mut self) -> anyhow::Result<()> {
        let leads: Vec<Address> = self
            .api
            .all("/api/v1/leads?tag=clarion-demo", |_| ())
            .await?;
        let suppressed = self.suppressed("").await?;
        self.before.leads = leads.iter().map(|lead| lead.email.to_lowercase()).collect();
        self.before.suppressed = suppressed.into_iter().collect();
        Ok(())
    }

    /// The keys of the addresses that are suppressed, for a reason if one is given.
    pub(super) async fn suppressed(&self, reason: &str) -> anyhow::Result<Vec<String>> {
        let query = match reason {
            "" => String::new(),
            reason => format!("?reason={reason}"),
        };
        let found: Vec<Suppressed> = self
            .api
            .all(&format!("/api/v1/suppressions{query}"), |_| ())
            .await?;
        Ok(found
            .into_iter()
            .map(|one| one.address.to_lowercase())
            .collect())
    }

    async fn await_import(&self, id: &str, step: &Step) -> anyhow::Result<ImportFigures> {
        loop {
            let progress: Progress = self.api.get(&format!("/api/v1/leads/imports/{id}")).await?;
            if let Some(rows) = progress.figures["rows"].as_u64() {
                step.at(rows as usize);
            }
            match progress.status.as_str() {
                "done" => {
                    return serde_json::from_value(progress.figures)
                        .context("an import without figures");
                }
                "failed" | "cancelled" => {
                    bail!("the import {}: {}", progress.status, progress.figures)
                }
                _ => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    fn compare_import(&mut self, reported: &ImportFigures) {
        let crowd = &self.crowd;
        let known = crowd
            .people
            .iter()
            .filter(|person| self.before.leads.contains(&person.key()))
            .count() as u64;
        let people = crowd.people.len() as u64;
        self.figures
            .compare("import: rows", crowd.rows, reported.rows);
        self.figures
            .compare("import: created", people - known, reported.created);
        if known == 0 {
            self.figures
                .compare("import: updated", crowd.updated, reported.updated);
            self.figures
                .compare("import: unchanged", crowd.unchanged, reported.unchanged);
        } else {
            // Whether a row that turns a known person back is a change is not for us to say.
            let again = crowd.updated + crowd.unchanged + known;
            self.figures.compare(
                "import: updated or unchanged",
                again,
                reported.updated + reported.unchanged,
            );
        }
        self.figures
            .compare("import: rejected", crowd.refused.len(), reported.rejected);
    }

    /// Every refused row must be named by its line, with a reason that names what is wrong.
    async fn compare_refusals(&mut self, id: &str) -> anyhow::Result<()> {
        let text = self
            .api
            .get_text(&format!("/api/v1/leads/imports/{id}/errors"))
            .await?;
        let reasons = refusals(&text)?;
        let lines = self
            .crowd
            .refused
            .iter()
            .map(|refused| refused.line.to_string());
        self.figures.compare_names(
            "import: lines rejected",
            lines,
            reasons.keys().map(u64::to_string),
        );
        let right = self.crowd.refused.iter().filter(|refused| {
            reasons
                .get(&refused.line)
                .is_some_and(|reason| reason.contains(refused.reason))
        });
        self.figures.compare(
            "import: reasons that name the fault",
            self.crowd.refused.len(),
            right.count(),
        );
        Ok(())
    }

    /// Reads everybody on the list, and compares every field with what the file says last.
    async fn read_back(&mut self, list: &str) -> anyhow::Result<()> {
        let step = Step::through("read leads back", self.crowd.people.len());
        let path = format!("/api/v1/leads?list_id={list}");
        let leads: Vec<Value> = self.api.all(&path, |read| step.at(read)).await?;
        let key = |lead: &Value| lead["email"].as_str().unwrap_or_default().to_lowercase();
        let keys = self.crowd.people.iter().map(Person::key);
        self.figures
            .compare_names("leads on the list", keys, leads.iter().map(key));
        let found: HashMap<String, &Value> = leads.iter().map(|lead| (key(lead), lead)).collect();
        let same = |person: &&Person| {
            found
                .get(&person.key())
                .is_some_and(|lead| is_same(person, lead))
        };
        let same: Vec<String> = self
            .crowd
            .people
            .iter()
            .filter(same)
            .map(Person::key)
            .collect();
        let keys = self.crowd.people.iter().map(Person::key);
        self.figures
            .compare_names("leads with every field right", keys, same);
        step.end(&format!("{} leads on the list", thousands(leads.len())));
        Ok(())
    }
}

/// Lines and reasons out of the CSV of refused rows, which has rows of every width.
fn refusals(csv: &str) -> anyhow::Result<HashMap<u64, String>> {
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .from_reader(csv.as_bytes());
    reader
        .records()
        .map(|row| {
            let row = row.context("the list of refused rows is no CSV")?;
            let line = row.get(0).and_then(|line| line.parse().ok());
            line.zip(row.get(1).map(str::to_owned))
                .with_context(|| format!("a refused row without line and reason: {row:?}"))
        })
        .collect()
}

/// Whether a lead is what the file says of a person.
fn is_same(person: &Person, lead: &Value) -> bool {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let fields = [
        ("first_name", &person.first_name),
        ("last_name", &person.last_name),
        ("phone", &person.phone),
        ("status", &person.status),
        ("timezone", &person.timezone),
        ("locale", &person.locale),
    ];
    let attributes = [
        ("plan", &person.plan),
        ("city", &person.city),
        ("note", &person.note),
    ];
    let said: Vec<&str> = lead["tags"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    fields.iter().all(|(name, said)| text(&lead[name]) == **said)
        && attributes.iter().all(|(name, said)| text(&lead["attributes"][name]) == **said)
        // A line break in a field of one line becomes a space.
        && text(&lead["company"]) == person.company.replace('\n', " ")
        && lead["score"].as_i64().is_some_and(|score| score.to_string() == person.score)
        && person.tags.iter().all(|tag| said.contains(&tag.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::people::Crowd;

    fn lead(person: &Person) -> Value {
        let or_null = |text: &str| {
            if text.is_empty() {
                Value::Null
            } else {
                json!(text)
            }
        };
        json!({
            "email": person.email, "first_name": or_null(&person.first_name),
            "last_name": person.last_name, "phone": person.phone, "status": person.status,
            "company": or_null(&person.company.replace('\n', " ")), "tags": person.tags,
            "score": person.score.parse::<i64>().unwrap(), "timezone": person.timezone, "locale": person.locale,
            "attributes": { "plan": person.plan, "city": person.city, "note": or_null(&person.note) },
        })
    }

    #[test]
    fn a_lead_with_one_wrong_field_is_not_the_same() {
        for person in &Crowd::new(120).people {
            let lead = lead(person);
            assert!(is_same(person, &lead), "{lead}");
            for field in [
                "/company",
                "/score",
                "/tags",
                "/attributes/plan",
                "/last_name",
            ] {
                let mut wrong = lead.clone();
                *wrong.pointer_mut(field).unwrap() = json!("other");
                assert!(!is_same(person, &wrong), "{field}");
            }
        }
    }

    #[test]
    fn refused_rows_of_any_width_are_read() {
        let found =
            refusals("line,reason,email,score\n7,\"email, bad\",x\n9,has 1 cells,a,b,c\n").unwrap();
        assert_eq!(
            (found[&7].as_str(), found[&9].as_str()),
            ("email, bad", "has 1 cells")
        );
        assert!(refusals("line,reason\nseven,x\n").is_err());
    }
}
