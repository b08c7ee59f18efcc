//! Links that are followed at a steady pace, 2,000 a second on 64 connections, straight to the
//! service: how long whoever follows one waits to be sent on, with the click committed before the
//! answer. What waited in memory instead would be counted as late, and fails the measurement.
//!
//! Times are counted from the moment a click was due, so that a stall counts for all that came
//! while it lasted.

use anyhow::{Context, ensure};
use chassis::settings::Source;
use chrono::{Duration, Utc};
use common::token::{Keyring, MailToken, Purpose};
use common::{CampaignId, LeadId, MessageId, WorkspaceId};
use diesel::sql_types::BigInt;
use diesel::{Connection, PgConnection, QueryableByName, RunQueryDsl, sql_query};

use super::load::{Load, Pace};
use super::platform::Site;
use super::table::{Aim, Rounds, Row};
use super::{Size, say};
use crate::secrets::Secrets;

const PER_SECOND: u32 = 2_000;
const CONNECTIONS: usize = 64;
const MEDIAN_AIM_MS: f64 = 5.0;
const P99_AIM_MS: f64 = 25.0;
const BROWSER: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36";

pub(super) async fn measure(site: &Site, size: Size) -> anyhow::Result<Vec<Row>> {
    let data = site.folder.path().join("data");
    let secrets = Secrets::open(&data, &mut Source::default().reader())?;
    let keys = Keyring::new(secrets.derive("links"));
    let count = usize::try_from(PER_SECOND * size.seconds)?;
    let [mut median, mut p99] = [Rounds::default(), Rounds::default()];
    for _ in 0..size.rounds {
        let workspace = WorkspaceId::new();
        let load = Load {
            address: site.analytics,
            requests: (0..count).map(|_| request(&keys, workspace)).collect(),
            connections: CONNECTIONS,
            status: 302,
            pace: Some(Pace::per_second(PER_SECOND)),
        };
        let done = load.run(count).await?;
        let stored = stored(site.postgres.url(), workspace).await?;
        ensure!(
            usize::try_from(stored)? == count,
            "{count} clicks were answered, and {stored} are stored"
        );
        let late = late(site).await?;
        ensure!(
            late == 0.0,
            "{late} clicks were answered before they were stored"
        );
        say(&format!(
            "clicks: {:.0}/s, p50 {:.2} ms, p99 {:.2} ms",
            done.per_second(),
            done.millis(50),
            done.millis(99)
        ));
        median.add_alone(done.millis(50));
        p99.add_alone(done.millis(99));
    }
    let note = format!("{PER_SECOND}/s, each committed before its answer");
    let row = |name, aim, rounds| Row::new(name, "ms", Aim::AtMost(aim), rounds).noting(&note);
    Ok(vec![
        row("click redirect, p50", MEDIAN_AIM_MS, median),
        row("click redirect, p99", P99_AIM_MS, p99),
    ])
}

/// A click of a mail of its own, made a minute ago.
fn request(keys: &Keyring, workspace: WorkspaceId) -> Vec<u8> {
    let token = keys.seal(
        Purpose::Click,
        &MailToken {
            workspace_id: workspace,
            campaign_id: Some(CampaignId(workspace.0)),
            lead_id: Some(LeadId::new()),
            message_id: MessageId::new(),
            issued_at: Utc::now() - Duration::minutes(1),
            link: 0,
            url: "https://shop.example/products/1?utm_source=letter".into(),
        },
    );
    format!("GET /c/{token} HTTP/1.1\r\nhost: bench\r\nuser-agent: {BROWSER}\r\n\r\n").into_bytes()
}

async fn stored(url: String, workspace: WorkspaceId) -> anyhow::Result<i64> {
    #[derive(QueryableByName)]
    struct Count {
        #[diesel(sql_type = BigInt)]
        count: i64,
    }
    let counted = tokio::task::spawn_blocking(move || -> anyhow::Result<i64> {
        let mut conn = PgConnection::establish(&url)?;
        let query = sql_query(
            "SELECT count(*) AS count FROM analytics.events
             WHERE workspace_id = $1 AND type = 'click' AND verdict = 'human'",
        );
        let query = query.bind::<diesel::sql_types::Uuid, _>(workspace);
        Ok(query.get_result::<Count>(&mut conn)?.count)
    });
    counted.await?
}

/// How many hits the service has answered before they were stored, or lost.
async fn late(site: &Site) -> anyhow::Result<f64> {
    let url = format!("http://{}/metrics", site.analytics);
    let text = reqwest::get(url).await?.error_for_status()?.text().await?;
    sum(&text).context("a metric that is no number")
}

fn sum(metrics: &str) -> Option<f64> {
    let names = [
        "clarion_analytics_hits_late_total{",
        "clarion_analytics_hits_lost_total{",
    ];
    let lines = metrics
        .lines()
        .filter(|line| names.iter().any(|name| line.starts_with(name)));
    lines
        .map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::values::Secret;

    #[test]
    fn a_request_is_a_click_that_counts() {
        let keys = Keyring::new(Secret::new("a secret"));
        let workspace = WorkspaceId::new();
        let text = String::from_utf8(request(&keys, workspace)).unwrap();
        let token = text.split(['/', ' ']).nth(3).unwrap();
        let opened = keys.open(Purpose::Click, token).unwrap();
        assert_eq!(opened.workspace_id, workspace);
        assert!(text.ends_with("\r\n\r\n"));
    }

    #[test]
    fn late_and_lost_hits_are_added_up() {
        let metrics = "clarion_analytics_hits_total{kind=\"click\"} 9\n\
            clarion_analytics_hits_late_total{kind=\"click\"} 2\n\
            clarion_analytics_hits_lost_total{kind=\"open\"} 1\n";
        assert_eq!(sum(metrics), Some(3.0));
        assert_eq!(sum(""), Some(0.0));
        assert_eq!(sum("clarion_analytics_hits_late_total{} x"), None);
    }
}
