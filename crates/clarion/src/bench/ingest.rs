//! Events a second that are answered, and so committed: `POST /api/v1/analytics` in arrays of 100
//! on 16 connections, against `COPY` of the same rows in committed pieces of 1,000 into a twin of
//! `analytics.events`, partitioned like it, on as many connections as the service has writers.
//!
//! Straight to the service, and through the gateway; and the same with one event a request on 64
//! connections, with the time that 99 of 100 answers did not exceed. So few rows wait then that one
//! writer commits them all, so the limit is `COPY` on one connection. A third row gives every event
//! an id, which is then looked up and kept for a week so that it counts once; the limit does
//! nothing like it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use chrono::{DateTime, Utc};
use reqwest::Method;
use reqwest::header::AUTHORIZATION;
use serde_json::{Value, json};
use uuid::Uuid;

use super::limit::Twin;
use super::load::{Done, Load, Pace};
use super::platform::Site;
use super::table::{Aim, Rounds, Row};
use super::{Size, say};

const STRAIGHT_AIM: f64 = 0.6;
const GATEWAY_AIM: f64 = 0.45;
const SINGLE_AIM: f64 = 0.25;
const SINGLE_GATEWAY_AIM: f64 = 0.15;
const SINGLE_P99_AIM_MS: f64 = 10.0;
/// Events of a request.
const ARRAY: usize = 100;
/// Rows of a committed `COPY`.
const PIECE: usize = 1_000;
const CONNECTIONS: usize = 16;
/// On which single events are sent, each after the answer to the one before.
const SINGLE_CONNECTIONS: usize = 64;
/// Of so many events of a round, one is sent by itself.
const SINGLE_SHARE: usize = 2;
/// Connections that `COPY`, and the writers of `analytics` unless it is told otherwise.
const WRITERS: usize = 2;
const PATH: &str = "/api/v1/analytics";

pub(super) async fn measure(site: &Site, size: Size) -> anyhow::Result<Vec<Row>> {
    let twin = Twin::make(site, "analytics.events").await?;
    let door = site
        .platform
        .url
        .trim_start_matches("http://")
        .parse()
        .context("the gateway's address")?;
    let mut rounds: [Rounds; 7] = Default::default();
    for _ in 0..size.rounds {
        // Signed in anew: a token does not outlast many rounds.
        let token = token(site).await?;
        let run = async |address: SocketAddr, ids: bool| {
            twin.calm().await?;
            let done = ingest(address, &token, ARRAY, size.events, ids).await?;
            anyhow::Ok(done.per_second() * ARRAY as f64)
        };
        let single = async |address: SocketAddr| {
            twin.calm().await?;
            self::single(address, &token, size.events / SINGLE_SHARE, None).await
        };
        let began = Utc::now();
        let (ours, ended) = (run(site.analytics, false).await?, Utc::now());
        let limit = size.events as f64 / copy(&twin, began, ended, WRITERS).await?.as_secs_f64();
        let passed = run(door, false).await?;
        let known = run(site.analytics, true).await?;
        let began = Utc::now();
        let (one, ended) = (single(site.analytics).await?, Utc::now());
        let limit_alone = one.requests as f64 / copy(&twin, began, ended, 1).await?.as_secs_f64();
        let one_passed = single(door).await?;
        say(&format!(
            "ingest: {ours:.0} events/s, gateway {passed:.0}, ids {known:.0}, single {:.0} (p99 {:.1} ms), \
             gateway {:.0} (p99 {:.1} ms), COPY {limit:.0}, on one connection {limit_alone:.0}",
            one.per_second(),
            one.millis(99),
            one_passed.per_second(),
            one_passed.millis(99),
        ));
        let figures = [
            (ours, limit),
            (passed, limit),
            (known, limit),
            (one.per_second(), limit_alone),
            (one_passed.per_second(), limit_alone),
        ];
        for (rounds, (figure, limit)) in rounds.iter_mut().zip(figures) {
            rounds.add(figure, limit);
        }
        rounds[5].add_alone(one.millis(99));
        rounds[6].add_alone(one_passed.millis(99));
    }
    let row = |name, aim, rounds| Row::new(name, "events/s", aim, rounds);
    let time = |name, aim, rounds| Row::new(name, "ms", aim, rounds);
    let copy = format!("COPY of the same rows, {PIECE} a commit, {WRITERS} connections");
    let copy_alone = format!("COPY of the same rows, {PIECE} a commit, 1 connection");
    let at = format!("{SINGLE_CONNECTIONS} connections");
    let [
        straight,
        gateway,
        with_ids,
        single,
        single_gateway,
        p99,
        p99_gateway,
    ] = rounds;
    Ok(vec![
        row("ingest", Aim::Ratio(STRAIGHT_AIM), straight).noting(&copy),
        row(
            "ingest through the gateway",
            Aim::Ratio(GATEWAY_AIM),
            gateway,
        )
        .noting(&copy),
        row("ingest of events with ids", Aim::None, with_ids).noting(&copy),
        row("single events", Aim::Ratio(SINGLE_AIM), single).noting(&copy_alone),
        time("single events, p99", Aim::AtMost(SINGLE_P99_AIM_MS), p99).noting(&at),
        row(
            "single events through the gateway",
            Aim::Ratio(SINGLE_GATEWAY_AIM),
            single_gateway,
        )
        .noting(copy_alone),
        time(
            "single events through the gateway, p99",
            Aim::None,
            p99_gateway,
        )
        .noting(at),
    ])
}

/// What an `Authorization` header says, for the first owner.
pub(super) async fn token(site: &Site) -> anyhow::Result<String> {
    let api = site.platform.sign_in().await?;
    let request = api.request(Method::POST, PATH).await?.build()?;
    let header = request.headers().get(AUTHORIZATION).context("no token")?;
    Ok(header.to_str()?.to_owned())
}

/// Sends so many events, one a request.
pub(super) async fn single(
    address: SocketAddr,
    token: &str,
    events: usize,
    pace: Option<Pace>,
) -> anyhow::Result<Done> {
    let requests = (0..events.min(64)).map(|number| request(token, number, 1, false));
    let load = Load {
        address,
        requests: requests.collect(),
        connections: SINGLE_CONNECTIONS,
        status: 202,
        pace,
    };
    load.run(events).await
}

/// Sends `events`, so many in a request.
async fn ingest(
    address: SocketAddr,
    token: &str,
    array: usize,
    events: usize,
    ids: bool,
) -> anyhow::Result<Done> {
    let count = events / array;
    // Without ids, the same events may come again and again.
    let different = if ids { count } else { count.min(64) };
    let requests: Arc<[Vec<u8>]> = (0..different)
        .map(|number| request(token, number, array, ids))
        .collect();
    let load = Load {
        address,
        requests,
        connections: CONNECTIONS,
        status: 202,
        pace: None,
    };
    load.run(count).await
}

fn request(token: &str, number: usize, array: usize, ids: bool) -> Vec<u8> {
    let mut events: Vec<Value> = (0..array)
        .map(|at| event(number * array + at, ids))
        .collect();
    let body = match array {
        1 => events.remove(0).to_string(),
        _ => json!({ "events": events }).to_string(),
    };
    let head = format!(
        "POST {PATH} HTTP/1.1\r\nhost: bench\r\nauthorization: {token}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    (head + &body).into_bytes()
}

/// A page view as a web site reports it.
fn event(number: usize, with_id: bool) -> Value {
    let mut event = json!({
        "type": "view",
        "anonymous_id": format!("visitor-{}", number % 10_000),
        "url": format!("https://shop.example/products/{}?utm_source=letter", number % 500),
        "properties": { "title": format!("Product {}", number % 500), "width": 1280, "returning": number.is_multiple_of(3) },
    });
    if with_id {
        event["id"] = json!(Uuid::new_v4());
    }
    event
}

/// `COPY` of what the service received in between.
async fn copy(
    twin: &Twin,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    connections: usize,
) -> anyhow::Result<Duration> {
    let (from, to) = (from.to_rfc3339(), to.to_rfc3339());
    twin.copy_in_pieces(
        format!("received_at >= '{from}' AND received_at <= '{to}'"),
        PIECE,
        connections,
    )
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_whole() {
        let request = String::from_utf8(request("Bearer x", 7, ARRAY, true)).unwrap();
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}", body.len())));
        let body: Value = serde_json::from_str(body).unwrap();
        let events = body["events"].as_array().unwrap();
        let ids: std::collections::HashSet<_> =
            events.iter().map(|event| event["id"].to_string()).collect();
        assert_eq!((events.len(), ids.len()), (ARRAY, ARRAY));
    }
}
