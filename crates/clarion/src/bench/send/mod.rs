//! Messages a second of a whole campaign, from the request that starts it to everybody being
//! settled, against `smtp-source` alone sending as many messages of the same size to the same
//! `smtp-sink`, on as many connections.
//!
//! Every message is rendered for its reader, in HTML and text, with links of their own, and every
//! one is in the ledger before and after; `smtp-source` repeats one text. Both keep their
//! connections. The size is what the sink read for each of ours, commands included.
//!
//! The path alone is the same letters made and handed over by the same code without a ledger. The
//! signed campaigns are the same again, from domains with a key: RSA-2048 against what OpenSSL
//! signs on one core, Ed25519 against `smtp-source`.

mod growth;
mod letter;
mod sink;
mod used;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use common::dto::dispatch::Settlement;
use notifications::measure;
use serde::Deserialize;
use serde_json::{Value, json};

use super::import::{import, people};
use super::platform::Site;
use super::table::{Aim, Rounds, Row};
use super::{Size, say};
use crate::demo::api::Api;
use crate::process::{self, Missing, find, guarded};
pub(super) use growth::measure as measure_growth;
pub(super) use letter::UNSIGNED;
use letter::{letter, load};
pub(super) use sink::Sink;
use used::{Used, micros};

/// Of a campaign's, the least part of `smtp-source` that is good enough; and of the path alone.
const AIM: f64 = 0.5;
const PATH_AIM: f64 = 1.0;
/// The least part of what OpenSSL signs on one core, and of `smtp-source`.
const RSA_AIM: f64 = 0.4;
const ED25519_AIM: f64 = 0.4;
/// What the platform is told to use, and what `smtp-source` uses.
pub(super) const CONNECTIONS: usize = 64;
/// Between two looks at a campaign.
const PAUSE: Duration = Duration::from_millis(100);
/// How long a campaign may take.
const PATIENCE: Duration = Duration::from_secs(1_800);
/// Debian's package of `smtp-sink` and `smtp-source`.
const PACKAGE: &str = "postfix";
/// Commands and headers around a text of `smtp-source`, about as many bytes.
const ENVELOPE: u64 = 180;

#[derive(Deserialize)]
struct Created {
    id: String,
}

pub(super) async fn measure(site: &Site, size: Size) -> anyhow::Result<Vec<Row>> {
    let source = find("smtp-source", PACKAGE)?;
    let sink = of(site)?;
    let openssl = find("openssl", "openssl")?;
    let api = site.platform.sign_in().await?;
    let list = readers(&api, "send", size.messages).await?;
    for signing in ["rsa", "ed25519"] {
        let domain = json!({ "name": format!("{signing}.{UNSIGNED}"), "signing": signing });
        let _: Value = api.post("/api/v1/domains", &domain).await?;
    }
    let [mut plain, mut path, mut rsa, mut ed25519] = std::array::from_fn(|_| Rounds::default());
    let (mut used, mut bytes) = (Used::default(), 0);
    let rate = |took: Duration| size.messages as f64 / took.as_secs_f64();
    for _ in 0..size.rounds {
        let (before, read) = (Used::now(site, sink)?, sink.bytes_read().await?);
        let ours = rate(send(&api, &list, UNSIGNED, size.messages).await?);
        used = Used::now(site, sink)?.less(&before);
        bytes = (sink.bytes_read().await? - read) / size.messages as u64;
        let alone = rate(measure::send(&load(sink, size.messages)?).await?);
        let limit = rate(bare(&source, sink, size.messages, bytes).await?);
        say(&format!(
            "send: {ours:.0} messages/s of {bytes} bytes, path alone {alone:.0}, smtp-source {limit:.0}"
        ));
        plain.add(ours, limit);
        path.add(alone, limit);
        let signed = |signing| format!("{signing}.{UNSIGNED}");
        let by_ed25519 = rate(send(&api, &list, &signed("ed25519"), size.messages).await?);
        ed25519.add(by_ed25519, limit);
        let by_rsa = rate(send(&api, &list, &signed("rsa"), size.messages).await?);
        let signatures = signatures(&openssl).await?;
        say(&format!(
            "send: signed by Ed25519 {by_ed25519:.0} messages/s, by RSA {by_rsa:.0}, openssl signs {signatures:.0}"
        ));
        rsa.add(by_rsa, signatures);
    }
    let note = format!(
        "smtp-source, {} messages of {bytes} bytes, {CONNECTIONS} connections",
        size.messages
    );
    let row = |name, aim, rounds| Row::new(name, "messages/s", Aim::Ratio(aim), rounds);
    let mut rows = vec![
        row("send", AIM, plain).noting(&note),
        row("send path alone", PATH_AIM, path).noting(&note),
        row("send, signed by RSA-2048", RSA_AIM, rsa)
            .noting("signatures of `openssl speed rsa2048` on one core"),
        row("send, signed by Ed25519", ED25519_AIM, ed25519).noting(&note),
    ];
    rows.extend(used.rows(size.messages));
    let making = measure::make(&load(sink, size.messages.min(20_000))?)?;
    rows.push(micros("making a message, one thread", making));
    Ok(rows)
}

/// The site's sink, where there is one.
pub(super) fn of(site: &Site) -> anyhow::Result<&Sink> {
    let missing = Missing {
        program: "smtp-sink",
        package: PACKAGE,
    };
    Ok(site.sink.as_ref().ok_or(missing)?)
}

/// A list with so many readers whom nobody else has; answers its id.
pub(super) async fn readers(api: &Api, whose: &str, count: usize) -> anyhow::Result<String> {
    let name = format!("{count} readers of {whose}");
    let list: Created = api.post("/api/v1/lists", &json!({ "name": name })).await?;
    let path = format!("/api/v1/leads/imports?list_id={}", list.id);
    import(api, &path, people(&format!("{whose}{count}"), count), count).await?;
    Ok(list.id)
}

/// Sends a campaign to a list of so many and waits until everybody has been sent to.
pub(super) async fn send(
    api: &Api,
    list: &str,
    from: &str,
    messages: usize,
) -> anyhow::Result<Duration> {
    let campaign: Created = api.post("/api/v1/campaigns", &letter(list, from)).await?;
    let path = format!("/api/v1/campaigns/{}", campaign.id);
    let began = Instant::now();
    let accept = json!({ "accept_warnings": true });
    let _: Value = api.post_once(&format!("{path}/start"), &accept).await?;
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

/// How many signatures a second OpenSSL makes with an RSA key of 2048 bits, on one core.
async fn signatures(openssl: &Path) -> anyhow::Result<f64> {
    let mut command = guarded(openssl);
    command.args(["speed", "-mr", "-seconds", "3", "rsa2048"]);
    let said = process::output("openssl speed", command).await?;
    parse_signatures(&said).with_context(|| format!("openssl speed said {said:?}"))
}

/// Reads the line `+F2:index:bits:signatures:verifications`.
fn parse_signatures(said: &str) -> Option<f64> {
    let line = said.lines().find_map(|line| line.strip_prefix("+F2:"))?;
    line.split(':').nth(2)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_openssl_says_is_read() {
        let said = "+DTP:2048:private:rsa:3\n+F2:2:2048:2739.743590:46954.687500\n";
        assert_eq!(parse_signatures(said), Some(2739.743590));
        assert_eq!(parse_signatures("speed: unknown option"), None);
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
