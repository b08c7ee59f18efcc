//! What a large campaign costs beside time: the memory of the platform while it is sent, and
//! whether a message costs more once the ledger holds that many.

use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::letter::UNSIGNED;
use super::sink::Sink;
use super::used::Used;
use super::{of, readers, send};
use crate::bench::platform::{Platform, Site};
use crate::bench::table::{Aim, Rounds, Row};
use crate::bench::{Size, say};

const MOST_MEGABYTES: f64 = 150.0;
/// A message may cost so many times what it did in an empty ledger; measurements differ by as much.
const MOST_TIMES: f64 = 1.25;
/// Between two looks at the memory.
const PAUSE: Duration = Duration::from_millis(500);
/// How long a platform is left alone before its memory is read.
const REST: Duration = Duration::from_secs(3);
/// The large campaign is so many times one of those whose cost is compared.
const TIMES: usize = 20;
/// Of which so many are sent, one after the other; what Postgres tidies up meanwhile counts.
const CAMPAIGNS: usize = 3;
/// Less CPU time in a `PAUSE` than this is no work.
const WORK: Duration = Duration::from_millis(50);
/// How many quiet `PAUSE`s in a row say that earlier work is done.
const QUIET: usize = 4;
/// How long earlier work may take.
const LONGEST: Duration = Duration::from_secs(120);

pub(in crate::bench) async fn measure(size: Size) -> anyhow::Result<Vec<Row>> {
    let site = Site::start().await?;
    let sink = of(&site)?;
    let api = site.platform.sign_in().await?;
    tokio::time::sleep(REST).await;
    let idle = site.platform.memory()?.0;
    let (few, many) = (size.growth / TIMES, size.growth);
    let small = readers(&api, "growth", few).await?;
    let cost = async || {
        calm(&site, sink).await?;
        let before = Used::now(&site, sink)?;
        for _ in 0..CAMPAIGNS {
            send(&api, &small, UNSIGNED, few).await?;
        }
        let used = Used::now(&site, sink)?.less(&before);
        anyhow::Ok(used.ledger_micros(few * CAMPAIGNS))
    };
    // The first campaign of a platform meets cold caches.
    cost().await?;
    let before = cost().await?;
    let large = readers(&api, "growth", many).await?;
    // What the import used is given back within seconds.
    tokio::time::sleep(REST).await;
    let (done, over) = oneshot::channel();
    let (peak, sent) = tokio::join!(peak(&site.platform, over), async {
        let sent = send(&api, &large, UNSIGNED, many).await;
        done.send(()).ok();
        sent
    });
    let (peak, took) = (peak?, sent?);
    let after = cost().await?;
    say(&format!(
        "growth: {many} messages in {:.0} s, {idle:.0} MB idle, {peak:.0} MB at most; \
         {before:.0} µs a message before, {after:.0} µs after",
        took.as_secs_f64()
    ));
    let [mut memory, mut times] = std::array::from_fn(|_| Rounds::default());
    memory.add_alone(peak - idle);
    times.add_alone(after / before);
    Ok(vec![
        Row::new("memory over idle", "MB", Aim::AtMost(MOST_MEGABYTES), memory).noting(format!(
            "private, the most while a campaign of {many} was sent"
        )),
        Row::new("cost of a message", "times", Aim::AtMost(MOST_TIMES), times).noting(format!(
            "CPU of Clarion and Postgres with {many} messages in the ledger, against hardly any: {after:.0} and {before:.0} µs"
        )),
    ])
}

/// Waits until what was asked for earlier is done: reports are told, tables are vacuumed.
async fn calm(site: &Site, sink: &Sink) -> anyhow::Result<()> {
    let (began, mut quiet) = (Instant::now(), 0);
    while quiet < QUIET && began.elapsed() < LONGEST {
        let before = Used::now(site, sink)?;
        tokio::time::sleep(PAUSE).await;
        let used = Used::now(site, sink)?.less(&before).ledger();
        quiet = if used < WORK { quiet + 1 } else { 0 };
    }
    Ok(())
}

/// The most private memory, in MB, until `over`.
async fn peak(platform: &Platform, mut over: oneshot::Receiver<()>) -> anyhow::Result<f64> {
    let mut peak = 0_f64;
    loop {
        peak = peak.max(platform.memory()?.0);
        tokio::select! {
            _ = &mut over => return Ok(peak),
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}
