//! Whether there is an account shows in no answer and in no time: known and unknown are asked in
//! turns, and their times are ranked together.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::Response;

use crate::support::{App, register};

/// How far two samples are apart, in standard deviations of their rank sum (Mann and Whitney).
/// Outliers of a busy machine weigh no more than any other rank.
fn apart(one: &[Duration], two: &[Duration]) -> f64 {
    let mut all: Vec<(Duration, bool)> = one.iter().map(|time| (*time, true)).collect();
    all.extend(two.iter().map(|time| (*time, false)));
    all.sort();
    let ranks = (1_u32..).zip(&all).filter(|(_, (_, first))| *first);
    let sum: f64 = ranks.map(|(rank, _)| f64::from(rank)).sum();
    let (n, m) = (one.len() as f64, two.len() as f64);
    let (mean, variance) = (n * (n + m + 1.0) / 2.0, n * m * (n + m + 1.0) / 12.0);
    (sum - mean) / variance.sqrt()
}

/// One in a few ten thousand runs without any difference is further apart.
const LIMIT: f64 = 4.0;

#[test]
fn the_measure_tells_equal_from_unequal() {
    let times = |base: u64| -> Vec<Duration> {
        // The same noise for both, and a few outliers.
        (0..40)
            .map(|i| {
                Duration::from_micros(base + (i * 7919) % 2_000 + 90_000 * u64::from(i % 13 == 0))
            })
            .collect()
    };
    assert!(apart(&times(20_000), &times(20_001)).abs() < 1.0);
    assert!(apart(&times(20_000), &times(22_000)).abs() > LIMIT);
}

/// Asks about both in turns.
async fn measure<F: Future<Output = Response>>(
    rounds: usize,
    ask: impl Fn(&'static str, usize) -> F,
) -> (Vec<Duration>, Vec<Duration>) {
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    let mut answers: Vec<Vec<Value>> = vec![Vec::new(), Vec::new()];
    for round in 0..rounds {
        // Neither is always the second.
        let order = match round % 2 {
            0 => ["ada@example.com", "eve@example.com"],
            _ => ["eve@example.com", "ada@example.com"],
        };
        for email in order {
            let since = Instant::now();
            let answer = ask(email, round).await;
            let took = since.elapsed();
            let mut body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            if let Some(body) = body.as_object_mut() {
                body.remove("request_id");
            }
            let shown = json!([answer.status, body]);
            match email {
                "ada@example.com" => (known.push(took), answers[0].push(shown)),
                _ => (unknown.push(took), answers[1].push(shown)),
            };
        }
    }
    assert_eq!(answers[0], answers[1], "status and text are the same");
    (known, unknown)
}

#[actix_web::test]
async fn a_wrong_password_and_an_unknown_address_take_as_long() {
    let app = App::start().await;
    register(&app, "ada@example.com").await;
    let (known, unknown) = measure(40, |email, round| {
        app.anonymous()
            .post("/api/v1/login")
            // Each from elsewhere, or guessing would be slowed down.
            .header("x-forwarded-for", &format!("192.0.2.{round}"))
            .json(&json!({ "email": email, "password": "wrong horse battery" }))
            .send()
    })
    .await;
    let apart = apart(&known, &unknown);
    assert!(apart.abs() < LIMIT, "{apart}: {known:?} {unknown:?}");
}

#[actix_web::test]
async fn asking_for_a_new_password_takes_as_long_for_nobody() {
    let app = App::start().await;
    crate::mails::take(&app).await;
    register(&app, "ada@example.com").await;
    let (known, unknown) = measure(40, |email, _| {
        app.anonymous()
            .post("/api/v1/password/forgot")
            .json(&json!({ "email": email }))
            .send()
    })
    .await;
    let apart = apart(&known, &unknown);
    assert!(apart.abs() < LIMIT, "{apart}: {known:?} {unknown:?}");
}
