//! How long a receipt takes while a campaign runs: single mails are posted through the gateway at a
//! steady rate, from the start of a campaign to its end, each from a template with data of its own.
//!
//! *To 202* is from the request to its answer, which comes when the message is committed. *To
//! sent* is from the request to the moment that the ledger notes as the server's answer
//! (`settled_at`); both clocks are this machine's.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::platform::Site;
use super::send::{UNSIGNED, of, readers, send};
use super::table::{Aim, Rounds, Row};
use super::{Size, say};
use crate::demo::api::Api;

/// Between two single mails.
const EVERY: Duration = Duration::from_millis(20);
/// What is good enough, in milliseconds.
const ANSWERED_AIM: f64 = 50.0;
const SENT_AIM: f64 = 200.0;
/// How many of the slowest a round names.
const SLOWEST: usize = 5;
/// Between two looks at a message that is not settled yet, and how long one may take.
const PAUSE: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Deserialize)]
struct Created {
    id: String,
}

#[derive(Deserialize)]
struct Message {
    outcome: String,
    settled_at: Option<DateTime<Utc>>,
}

/// A single mail that was accepted.
struct Posted {
    id: String,
    at: DateTime<Utc>,
    /// After the start of the campaign.
    into: Duration,
    answered_in: Duration,
}

pub(super) async fn measure(site: &Site, size: Size) -> anyhow::Result<Vec<Row>> {
    of(site)?;
    let api = Arc::new(site.platform.sign_in().await?);
    let list = readers(&api, "beside", size.messages).await?;
    let template: Created = api.post("/api/v1/templates", &receipt()).await?;
    let mut figures: [Rounds; 4] = Default::default();
    let mut posted = 0;
    for _ in 0..size.rounds {
        let Beside {
            answered,
            sent,
            slowest,
        } = beside(&api, &list, &template.id, size.messages).await?;
        posted = answered.len();
        let found = [
            percentile(&answered, 50),
            percentile(&answered, 99),
            percentile(&sent, 50),
            percentile(&sent, 99),
        ];
        let [a50, a99, s50, s99] = found;
        say(&format!(
            "transactional: {posted} mails, to 202 {a50:.1} and {a99:.1} ms, to sent {s50:.1} and {s99:.1} ms; slowest {slowest}"
        ));
        for (rounds, figure) in figures.iter_mut().zip(found) {
            rounds.add_alone(figure);
        }
    }
    let note = format!(
        "{posted} mails, one each {} ms, beside a campaign of {}",
        EVERY.as_millis(),
        size.messages
    );
    let [a50, a99, s50, s99] = figures;
    let row = |name, aim, rounds| Row::new(name, "ms", aim, rounds).noting(&note);
    Ok(vec![
        row("transactional to 202, p50", Aim::None, a50),
        row("transactional to 202, p99", Aim::AtMost(ANSWERED_AIM), a99),
        row("transactional to sent, p50", Aim::None, s50),
        row("transactional to sent, p99", Aim::AtMost(SENT_AIM), s99),
    ])
}

/// What a round saw, in milliseconds and in order.
struct Beside {
    answered: Vec<f64>,
    sent: Vec<f64>,
    /// The slowest ones: how long until sent, and when in the campaign each was posted.
    slowest: String,
}

/// Posts single mails as long as a campaign runs.
async fn beside(
    api: &Arc<Api>,
    list: &str,
    template: &str,
    messages: usize,
) -> anyhow::Result<Beside> {
    let mut posting = JoinSet::new();
    let began = Instant::now();
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut running = std::pin::pin!(send(api, list, UNSIGNED, messages));
    loop {
        tokio::select! {
            ended = &mut running => {
                ended?;
                break;
            }
            _ = ticks.tick() => {
                let number = posting.len();
                posting.spawn(post(Arc::clone(api), template.to_owned(), number, began));
            }
        }
    }
    let (mut answered, mut sent) = (Vec::new(), Vec::new());
    let mut seen = Vec::new();
    while let Some(posted) = posting.join_next().await {
        let posted = posted??;
        answered.push(posted.answered_in.as_secs_f64() * 1e3);
        let settled_at = settled(api, &posted.id).await?;
        let took = (settled_at - posted.at).as_seconds_f64() * 1e3;
        sent.push(took);
        seen.push((took, posted.answered_in, posted.into));
    }
    answered.sort_by(f64::total_cmp);
    sent.sort_by(f64::total_cmp);
    seen.sort_by(|one, other| other.0.total_cmp(&one.0));
    let slowest = seen.iter().take(SLOWEST).map(|(took, answered_in, into)| {
        let (answered, into) = (answered_in.as_secs_f64() * 1e3, into.as_secs_f64());
        format!("{took:.0} ({answered:.0}) at {into:.2} s")
    });
    Ok(Beside {
        answered,
        sent,
        slowest: slowest.collect::<Vec<_>>().join(", "),
    })
}

async fn post(
    api: Arc<Api>,
    template: String,
    number: usize,
    campaign_began: Instant,
) -> anyhow::Result<Posted> {
    let body = json!({
        "to": format!("buyer{number}@bench.example"),
        "template_id": template,
        "data": { "name": "Jürgen", "order": { "number": number, "total": 1999 } },
        "from": { "name": "Clarion Bench", "email": "letters@bench.example" },
    });
    let (at, began) = (Utc::now(), Instant::now());
    let Created { id } = api.post_once("/api/v1/messages", &body).await?;
    Ok(Posted {
        id,
        at,
        into: began - campaign_began,
        answered_in: began.elapsed(),
    })
}

/// When the ledger says that it was sent.
async fn settled(api: &Api, id: &str) -> anyhow::Result<DateTime<Utc>> {
    let (path, began) = (format!("/api/v1/messages/{id}"), Instant::now());
    loop {
        let message: Message = api.get(&path).await?;
        if let Some(at) = message.settled_at {
            let outcome = message.outcome;
            ensure!(outcome == "accepted", "a single mail was {outcome}");
            return Ok(at);
        }
        ensure!(began.elapsed() < PATIENCE, "a single mail is not sent");
        tokio::time::sleep(PAUSE).await;
    }
}

/// The smallest of `sorted` that so many of a hundred do not exceed.
fn percentile(sorted: &[f64], of_hundred: usize) -> f64 {
    let rank = (sorted.len() * of_hundred).div_ceil(100);
    sorted
        .get(rank.saturating_sub(1))
        .copied()
        .unwrap_or(f64::NAN)
}

fn receipt() -> serde_json::Value {
    json!({
        "name": "Receipt of the bench",
        "subject": "Order {{ data.order.number }}",
        "content": {
            "format": "html",
            "body": "<html><body><h1>Thank you, {{ data.name }}!</h1><p>Order {{ data.order.number }}: \
                     {{ data.order.total | money('EUR') }}</p></body></html>",
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_of_the_figures() {
        let hundred: Vec<_> = (1..=100).map(f64::from).collect();
        assert_eq!(percentile(&hundred, 50), 50.0);
        assert_eq!(percentile(&hundred, 99), 99.0);
        assert_eq!(percentile(&[7.0], 99), 7.0);
        assert!(percentile(&[], 99).is_nan());
    }
}
