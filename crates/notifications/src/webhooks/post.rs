//! One request to an endpoint, and what its answer means.

use std::time::{Duration, Instant};

use chassis::outbound::{Guard, Refusal};
use chrono::{DateTime, Utc};
use reqwest::{Response, StatusCode};
use url::Url;

use crate::domain::webhook::{SigningSecret, signatures};
use crate::store::webhook_deliveries::Delivery;
use crate::store::webhooks::Webhook;

/// As much of an answer as is read and kept.
const MAX_ANSWER: usize = 4096;

/// How an attempt went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) status: Option<StatusCode>,
    /// The beginning of the answer.
    pub(super) answer: Option<String>,
    /// Why it is no success.
    pub(super) problem: Option<String>,
    pub(super) took: Duration,
}

impl Outcome {
    pub(super) fn unsent(problem: impl Into<String>) -> Self {
        Self {
            status: None,
            answer: None,
            problem: Some(problem.into()),
            took: Duration::ZERO,
        }
    }

    pub(super) fn is_success(&self) -> bool {
        self.problem.is_none()
    }

    /// The endpoint says that it wants nothing any more (Standard Webhooks, "Endpoints").
    pub(super) fn is_gone(&self) -> bool {
        self.status == Some(StatusCode::GONE)
    }
}

/// Posts to endpoints. Clones share connections.
#[derive(Clone, Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    guard: Guard,
}

impl Client {
    pub(super) fn new(guard: Guard, timeout: Duration) -> Self {
        Self {
            http: guard.client(timeout, "Clarion-Webhooks/1.0"),
            guard,
        }
    }

    /// Posts `delivery`, signed with each of `secrets`.
    pub(super) async fn post(
        &self,
        webhook: &Webhook,
        delivery: &Delivery,
        secrets: &[SigningSecret],
        now: DateTime<Utc>,
    ) -> Outcome {
        let Ok(url) = Url::parse(&webhook.url) else {
            return Outcome::unsent("its URL cannot be read");
        };
        // The rules may have changed since the webhook was made.
        if let Err(refusal) = self.guard.judge(&url) {
            return Outcome::unsent(refused(refusal));
        }
        let (id, timestamp) = (delivery.id.to_string(), now.timestamp());
        let request = self
            .http
            .post(url)
            .header("content-type", "application/json")
            .header("webhook-id", &id)
            .header("webhook-timestamp", timestamp)
            .header(
                "webhook-signature",
                signatures(secrets, &id, timestamp, &delivery.payload),
            )
            .body(delivery.payload.clone());
        let started = Instant::now();
        let sent = request.send().await;
        let mut outcome = match sent {
            Ok(response) => answered(response).await,
            Err(error) => Outcome::unsent(reason(&error)),
        };
        outcome.took = started.elapsed();
        outcome
    }
}

async fn answered(mut response: Response) -> Outcome {
    let status = response.status();
    let mut answer = Vec::new();
    // What it says beside its status is for people: a connection that breaks off takes nothing back.
    while answer.len() < MAX_ANSWER {
        match response.chunk().await {
            Ok(Some(chunk)) => answer.extend_from_slice(&chunk),
            Ok(None) | Err(_) => break,
        }
    }
    answer.truncate(MAX_ANSWER);
    // Postgres keeps no NUL in a text.
    let answer = String::from_utf8_lossy(&answer).replace('\0', "\u{fffd}");
    let problem = match status {
        _ if status.is_success() => None,
        _ if status.is_redirection() => Some(format!(
            "it answered {status}, and redirects are not followed"
        )),
        _ => Some(format!("it answered {status}")),
    };
    Outcome {
        status: Some(status),
        answer: Some(answer).filter(|answer| !answer.is_empty()),
        problem,
        took: Duration::ZERO,
    }
}

fn refused(refusal: Refusal) -> String {
    format!("its URL {refusal}")
}

/// Why nothing was answered, without the URL, whose path may be a secret.
fn reason(error: &reqwest::Error) -> String {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(this) = cause {
        if let Some(refusal) = this.downcast_ref::<Refusal>() {
            return refused(*refusal);
        }
        cause = this.source();
    }
    match error {
        _ if error.is_timeout() => "it did not answer in time".into(),
        _ if error.is_connect() => "it cannot be connected to".into(),
        _ => "the connection broke off".into(),
    }
}
