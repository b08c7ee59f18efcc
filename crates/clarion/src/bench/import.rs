//! Imported rows a second: from the `POST` of a CSV through the gateway to the import being
//! `done`, against one `COPY` of the same rows into a twin of `leads.leads`.
//!
//! The people of every round are new ones, so the table grows by an import a round, and so does
//! its twin.

use std::fmt::Write;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use serde::Deserialize;

use super::limit::Twin;
use super::platform::Site;
use super::table::{Aim, Rounds, Row};
use super::{Size, say};
use crate::demo::api::Api;

const AIM: f64 = 0.6;
/// Between two looks at an import.
const PAUSE: Duration = Duration::from_millis(20);

#[derive(Deserialize)]
struct Created {
    id: String,
}

#[derive(Deserialize)]
struct Import {
    status: String,
    created: usize,
    failure: Option<String>,
}

pub(super) async fn measure(site: &Site, size: Size) -> anyhow::Result<Vec<Row>> {
    let api = site.platform.sign_in().await?;
    let twin = Twin::make(site, "leads.leads").await?;
    let mut rounds = Rounds::default();
    for round in 0..size.rounds {
        let csv = people(&format!("import{round}"), size.leads);
        twin.calm().await?;
        let (id, ours) = import(&api, "/api/v1/leads/imports", csv, size.leads).await?;
        let limit = twin.copy(format!("import_id = '{id}'")).await?;
        let rate = |took: Duration| size.leads as f64 / took.as_secs_f64();
        say(&format!(
            "import: {:.0} rows/s, COPY {:.0}",
            rate(ours),
            rate(limit)
        ));
        rounds.add(rate(ours), rate(limit));
    }
    let note = format!("COPY of the same {} rows", size.leads);
    Ok(vec![
        Row::new("import", "rows/s", Aim::Ratio(AIM), rounds).noting(note),
    ])
}

/// Imports a file of new people and waits until it is done; answers its id and how long it took.
pub(super) async fn import(
    api: &Api,
    path: &str,
    csv: Vec<u8>,
    people: usize,
) -> anyhow::Result<(String, Duration)> {
    let began = Instant::now();
    let Created { id } = api.post_csv(path, csv).await?;
    loop {
        let now: Import = api.get(&format!("/api/v1/leads/imports/{id}")).await?;
        match now.status.as_str() {
            "done" => {
                let took = began.elapsed();
                ensure!(
                    now.created == people,
                    "an import made {} leads of {people}",
                    now.created
                );
                return Ok((id, took));
            }
            "failed" | "cancelled" => bail!(
                "an import {}: {}",
                now.status,
                now.failure.unwrap_or_default()
            ),
            _ => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// A CSV of people whom nobody else has, in a fixed order.
pub(super) fn people(whose: &str, count: usize) -> Vec<u8> {
    const FIRST: [&str; 8] = [
        "Ada", "Grace", "Jürgen", "Zoë", "Linus", "Nadia", "Per", "Mei",
    ];
    const LAST: [&str; 7] = [
        "Lovelace",
        "Hopper",
        "Weiß",
        "Okafor",
        "Torvalds",
        "Comăneci",
        "Tanaka",
    ];
    const PLAN: [&str; 3] = ["free", "team", "enterprise"];
    let mut csv = String::from(
        "email,first_name,last_name,company,attributes.plan,attributes.city,attributes.seats\n",
    );
    for number in 0..count {
        let (first, last) = (FIRST[number % FIRST.len()], LAST[number % LAST.len()]);
        let (plan, company) = (PLAN[number % PLAN.len()], number % 5_000);
        // Addresses come in no order, as they do in life.
        let mixed = (number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        writeln!(
            csv,
            "p{mixed:016x}.{whose}@company{company}.example,{first},{last},\"Company {company}, Ltd\",{plan},City {},{}",
            number % 300,
            number % 50,
        )
        .expect("text grows");
    }
    csv.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn everybody_is_somebody_else() {
        let csv = people("x", 2_000);
        let mut reader = csv::Reader::from_reader(csv.as_slice());
        let rows: Vec<_> = reader.records().collect::<Result<_, _>>().unwrap();
        let addresses: HashSet<_> = rows.iter().map(|row| row[0].to_owned()).collect();
        assert_eq!((rows.len(), addresses.len()), (2_000, 2_000));
        assert!(rows.iter().all(|row| row.len() == 7));
    }
}
