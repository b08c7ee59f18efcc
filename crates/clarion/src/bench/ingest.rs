//! Events a second that are answered, and so committed: `POST /api/v1/analytics` in arrays of 100
//! on 16 connections, against `COPY` of the same rows in committed pieces of 1,000 into a twin of
//! `analytics.events`, partitioned like it, on as many connections as the service has writers.
//!
//! Straight to the service, and through the gateway. A third row gives every event an id, which
//! is then looked up and kept for a week so that it counts once; the limit does nothing like it.

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
use super::load::Load;
use super::platform::Site;
use super::table::{Aim, Rounds, Row};
use super::{Size, say};

const AIM: f64 = 0.4;
/// Events of a request.
const ARRAY: usize = 100;
/// Rows of a committed `COPY`.
const PIECE: usize = 1_000;
const CONNECTIONS: usize = 16;
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
    let [mut straight, mut gateway, mut with_ids] = std::array::from_fn(|_| Rounds::default());
    for _ in 0..size.rounds {
        // Signed in anew: a token does not outlast many rounds.
        let token = token(site).await?;
        let run = async |address: SocketAddr, ids: bool| {
            twin.calm().await?;
            ingest(address, &token, size.events, ids).await
        };
        let began = Utc::now();
        let (ours, ended) = (run(site.analytics, false).await?, Utc::now());
        let limit = size.events as f64 / copy(&twin, began, ended).await?.as_secs_f64();
        let passed = run(door, false).await?;
        let known = run(site.analytics, true).await?;
        say(&format!(
            "ingest: {ours:.0} events/s, gateway {passed:.0}, ids {known:.0}, COPY {limit:.0}"
        ));
        straight.add(ours, limit);
        gateway.add(passed, limit);
        with_ids.add(known, limit);
    }
    let row = |name, aim, rounds| Row::new(name, "events/s", aim, rounds);
    let copy = format!("COPY of the same rows, {PIECE} a commit, {WRITERS} connections");
    Ok(vec![
        row("ingest", Aim::Ratio(AIM), straight).noting(&copy),
        row("ingest through the gateway", Aim::Ratio(AIM), gateway).noting(&copy),
        row("ingest of events with ids", Aim::None, with_ids).noting(copy),
    ])
}

/// What an `Authorization` header says, for the first owner.
async fn token(site: &Site) -> anyhow::Result<String> {
    let api = site.platform.sign_in().await?;
    let request = api.request(Method::POST, PATH).await?.build()?;
    let header = request.headers().get(AUTHORIZATION).context("no token")?;
    Ok(header.to_str()?.to_owned())
}

/// Sends `events` and answers how many a second were taken.
async fn ingest(address: SocketAddr, token: &str, events: usize, ids: bool) -> anyhow::Result<f64> {
    let count = events / ARRAY;
    // Without ids, the same events may come again and again.
    let different = if ids { count } else { count.min(64) };
    let requests: Arc<[Vec<u8>]> = (0..different)
        .map(|number| request(token, number, ids))
        .collect();
    let load = Load {
        address,
        requests,
        connections: CONNECTIONS,
        status: 202,
    };
    let done = load.run(count).await?;
    Ok(done.per_second() * ARRAY as f64)
}

fn request(token: &str, number: usize, ids: bool) -> Vec<u8> {
    let events: Vec<Value> = (0..ARRAY)
        .map(|at| event(number * ARRAY + at, ids))
        .collect();
    let body = json!({ "events": events }).to_string();
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
async fn copy(twin: &Twin, from: DateTime<Utc>, to: DateTime<Utc>) -> anyhow::Result<Duration> {
    let (from, to) = (from.to_rfc3339(), to.to_rfc3339());
    twin.copy_in_pieces(
        format!("received_at >= '{from}' AND received_at <= '{to}'"),
        PIECE,
        WRITERS,
    )
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_whole() {
        let request = String::from_utf8(request("Bearer x", 7, true)).unwrap();
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}", body.len())));
        let body: Value = serde_json::from_str(body).unwrap();
        let events = body["events"].as_array().unwrap();
        let ids: std::collections::HashSet<_> =
            events.iter().map(|event| event["id"].to_string()).collect();
        assert_eq!((events.len(), ids.len()), (ARRAY, ARRAY));
    }
}
