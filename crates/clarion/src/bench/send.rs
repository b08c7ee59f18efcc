//! Messages a second of a whole campaign, from the request that starts it to everybody being
//! settled, against `smtp-source` alone sending as many messages of the same size to the same
//! `smtp-sink`, on as many connections.
//!
//! Every message is rendered for its reader, in HTML and text, with links of their own, and every
//! one is in the ledger before and after; `smtp-source` repeats one text. Both keep their
//! connections. The size is what the sink read for each of ours, commands included.
//!
//! The path alone is the same letters made and handed over by the same code without a ledger.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use common::WorkspaceId;
use common::dto::dispatch::Settlement;
use notifications::measure::{self, Load};
use serde::Deserialize;
use serde_json::{Value, json};

use super::import::{import, people};
use super::platform::Site;
use super::table::{Aim, Rounds, Row};
use super::{Size, cpu, say};
use crate::demo::api::Api;
use crate::process::{self, Missing, Running, find, free_address, guarded, unprivileged};

/// Of a campaign's, the least part of `smtp-source` that is good enough; and of the path alone.
const AIM: f64 = 0.5;
const PATH_AIM: f64 = 1.0;
/// What the platform is told to use, and what `smtp-source` uses.
pub(super) const CONNECTIONS: usize = 64;
/// Between two looks at a campaign.
const PAUSE: Duration = Duration::from_millis(100);
/// How long a campaign may take.
const PATIENCE: Duration = Duration::from_secs(600);
/// Debian's package of `smtp-sink` and `smtp-source`.
const PACKAGE: &str = "postfix";
/// Commands and headers around a text of `smtp-source`, about as many bytes.
const ENVELOPE: u64 = 180;

/// A mail server that takes everything and keeps nothing.
#[derive(Debug)]
pub(super) struct Sink {
    running: Running,
    address: SocketAddr,
}

impl Sink {
    /// Nothing where it is not installed.
    pub(super) async fn start() -> anyhow::Result<Option<Self>> {
        let Ok(program) = find("smtp-sink", PACKAGE) else {
            return Ok(None);
        };
        let address = free_address()?;
        let mut command = unprivileged(&program);
        command.args([&address.to_string(), "128"]).current_dir("/");
        let mut running = Running::start("smtp-sink", command)?;
        running.until_listening(address).await?;
        Ok(Some(Self { running, address }))
    }

    pub(super) fn url(&self) -> String {
        format!("smtp://{}?tls=none", self.address)
    }

    /// How many bytes it has read so far. Only its own user may ask, where root is not almighty.
    async fn bytes_read(&self) -> anyhow::Result<u64> {
        let path = format!("/proc/{}/io", self.running.pid());
        let mut command = unprivileged(Path::new("cat"));
        command.arg(&path).current_dir("/");
        let counters = process::output("cat", command).await?;
        let mut lines = counters.lines();
        let read = lines.find_map(|line| line.strip_prefix("rchar: ")?.parse().ok());
        read.with_context(|| format!("no rchar in {path}"))
    }
}

#[derive(Deserialize)]
struct Created {
    id: String,
}

pub(super) async fn measure(site: &Site, size: Size) -> anyhow::Result<Vec<Row>> {
    let source = find("smtp-source", PACKAGE)?;
    let sink = site.sink.as_ref().ok_or(Missing {
        program: "smtp-sink",
        package: PACKAGE,
    })?;
    let api = site.platform.sign_in().await?;
    let list: Created = api
        .post("/api/v1/lists", &json!({ "name": "Readers of the bench" }))
        .await?;
    let path = format!("/api/v1/leads/imports?list_id={}", list.id);
    import(&api, &path, people("send", size.messages), size.messages).await?;
    let (mut rounds, mut path, mut bytes) = (Rounds::default(), Rounds::default(), 0);
    let mut used = Used::default();
    for round in 0..size.rounds {
        let campaign: Created = api
            .post("/api/v1/campaigns", &letter(&list.id, round))
            .await?;
        let (before, read) = (Used::now(site, sink)?, sink.bytes_read().await?);
        let ours = send(&api, &campaign.id, size.messages).await?;
        used = Used::now(site, sink)?.less(&before);
        bytes = (sink.bytes_read().await? - read) / size.messages as u64;
        let alone = measure::send(&load(sink, size.messages)?).await?;
        let limit = bare(&source, sink, size.messages, bytes).await?;
        let rate = |took: Duration| size.messages as f64 / took.as_secs_f64();
        say(&format!(
            "send: {:.0} messages/s of {bytes} bytes, path alone {:.0}, smtp-source {:.0}",
            rate(ours),
            rate(alone),
            rate(limit)
        ));
        rounds.add(rate(ours), rate(limit));
        path.add(rate(alone), rate(limit));
    }
    let note = format!(
        "smtp-source, {} messages of {bytes} bytes, {CONNECTIONS} connections",
        size.messages
    );
    let mut rows = vec![
        Row::new("send", "messages/s", Aim::Ratio(AIM), rounds).noting(&note),
        Row::new("send path alone", "messages/s", Aim::Ratio(PATH_AIM), path).noting(note),
    ];
    rows.extend(used.rows(size.messages));
    let making = measure::make(&load(sink, size.messages.min(20_000))?)?;
    rows.push(micros("making a message, one thread", making));
    Ok(rows)
}

/// CPU time of everybody who has a part in a campaign.
#[derive(Default)]
struct Used {
    platform: Duration,
    postgres: Duration,
    sink: Duration,
}

impl Used {
    fn now(site: &Site, sink: &Sink) -> anyhow::Result<Self> {
        Ok(Self {
            platform: cpu::of_tree(site.platform.pid())?,
            postgres: cpu::of_tree(site.postgres.pid().unsigned_abs())?,
            sink: cpu::of_tree(sink.running.pid())?,
        })
    }

    fn less(&self, before: &Self) -> Self {
        Self {
            platform: self.platform.saturating_sub(before.platform),
            postgres: self.postgres.saturating_sub(before.postgres),
            sink: self.sink.saturating_sub(before.sink),
        }
    }

    fn rows(&self, messages: usize) -> [Row; 3] {
        let each = |whole: Duration| whole / u32::try_from(messages.max(1)).unwrap_or(u32::MAX);
        [
            micros("of it, CPU of Clarion", each(self.platform)),
            micros("of it, CPU of Postgres", each(self.postgres)),
            micros("of it, CPU of the sink", each(self.sink)),
        ]
    }
}

fn micros(name: &str, each: Duration) -> Row {
    let mut rounds = Rounds::default();
    rounds.add_alone(each.as_secs_f64() * 1e6);
    Row::new(name, "µs a message", Aim::None, rounds)
}

/// The same letters without a ledger.
fn load(sink: &Sink, messages: usize) -> anyhow::Result<Load> {
    let nowhere = letter("", 0);
    let snapshot = json!({
        "workspace_id": WorkspaceId::new(),
        "name": nowhere["name"],
        "subject": nowhere["subject"],
        "preheader": nowhere["preheader"],
        "from": nowhere["from"],
        "content": nowhere["content"],
    });
    let person = |number: usize| {
        json!({
            "email": format!("path{number}@bench.example"),
            "first_name": "Jürgen",
            "last_name": "Lovelace",
            "company": format!("Company {number}"),
            "attributes": { "plan": "team", "city": "Łódź", "seats": number },
        })
    };
    Ok(Load {
        snapshot: serde_json::from_value(snapshot)?,
        people: (0..1_000).map(person).collect(),
        messages,
        server: sink.url(),
        connections: CONNECTIONS,
    })
}

/// Starts a campaign and waits until everybody has been sent to.
async fn send(api: &Api, campaign: &str, messages: usize) -> anyhow::Result<Duration> {
    let path = format!("/api/v1/campaigns/{campaign}");
    let began = Instant::now();
    let _: Value = api
        .post_once(
            &format!("{path}/start"),
            &json!({ "accept_warnings": true }),
        )
        .await?;
    loop {
        let now: Settlement = api.get(&format!("{path}/settlement")).await?;
        if now.settled {
            let (took, accepted) = (began.elapsed(), now.accepted);
            ensure!(
                accepted == messages as i64,
                "the sink accepted {accepted} messages of {messages}"
            );
            return Ok(took);
        }
        ensure!(
            began.elapsed() < PATIENCE,
            "a campaign is not settled, {} are pending",
            now.pending
        );
        tokio::time::sleep(PAUSE).await;
    }
}

/// The same number of messages of the same size without a platform.
async fn bare(source: &Path, sink: &Sink, messages: usize, bytes: u64) -> anyhow::Result<Duration> {
    let (connections, messages) = (CONNECTIONS.to_string(), messages.to_string());
    let length = bytes.saturating_sub(ENVELOPE).max(1).to_string();
    let mut command = guarded(source);
    // -d keeps connections open from message to message.
    command.args(["-d", "-s", &connections, "-m", &messages, "-l", &length]);
    command.args([
        "-f",
        "letters@bench.example",
        "-t",
        "reader@bench.example",
        &sink.address.to_string(),
    ]);
    let began = Instant::now();
    process::output("smtp-source", command).await?;
    Ok(began.elapsed())
}

/// A campaign of about 5 kB a message. Its links lead nowhere, so that no network is asked.
fn letter(list: &str, round: u32) -> Value {
    json!({
        "name": format!("Letter {round}"),
        "subject": "{{ lead.first_name }}, your seats at {{ lead.company }}",
        "preheader": "News for {{ lead.attributes.city }}",
        "from": { "name": "Clarion Bench", "email": "letters@bench.example" },
        "content": { "format": "html", "body": html(), "text": text() },
        "audience": { "list_ids": [list] },
    })
}

const PARAGRAPH: &str = "You have {{ lead.attributes.seats }} seats on the {{ lead.attributes.plan }} plan, and \
    {{ lead.attributes.city }} has a new meeting place. Come by when you are near; bring a friend, and ask for the \
    table at the window.";

fn html() -> String {
    let paragraphs: String = (0..3)
        .map(|number| {
            format!(
                "<tr><td style=\"padding:12px 24px;font:16px/1.5 Arial,sans-serif;color:#222\"><h2>Part {number}</h2>\
                 <p>{PARAGRAPH}</p><p><a href=\"http://127.0.0.1:9/offers/{number}?from=letter\">Read more</a></p></td></tr>"
            )
        })
        .collect();
    format!(
        "<!doctype html><html><body><table width=\"600\" align=\"center\"><tr><td><h1>Hello {{{{ lead.first_name }}}} \
         {{{{ lead.last_name }}}}!</h1></td></tr>{paragraphs}<tr><td><a href=\"{{{{ unsubscribe_url }}}}\">Unsubscribe</a>\
         </td></tr></table></body></html>"
    )
}

fn text() -> String {
    let paragraphs: String = (0..3)
        .map(|number| format!("{PARAGRAPH}\n\nhttp://127.0.0.1:9/offers/{number}?from=letter\n\n"))
        .collect();
    format!(
        "Hello {{{{ lead.first_name }}}} {{{{ lead.last_name }}}}!\n\n{paragraphs}{{{{ unsubscribe_url }}}}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_is_written_in_the_template_language() {
        for text in [html(), text()] {
            assert!(
                text.contains("{{ unsubscribe_url }}") && text.contains("{{ lead.first_name }}"),
                "{text}"
            );
            assert!(!text.contains("{{{"), "{text}");
        }
    }

    #[tokio::test]
    async fn a_sink_counts_what_it_reads() {
        let Some(sink) = Sink::start().await.unwrap() else {
            return;
        };
        let before = sink.bytes_read().await.unwrap();
        let source = find("smtp-source", PACKAGE).unwrap();
        bare(&source, &sink, 20, 5_000).await.unwrap();
        let each = (sink.bytes_read().await.unwrap() - before) / 20;
        assert!((4_500..5_500).contains(&each), "{each} bytes a message");
    }
}
