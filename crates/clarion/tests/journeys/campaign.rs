//! The steps of a campaign, and the story in which nothing goes wrong.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use testkit::{Client, eventually};

use crate::platform::{Launch, OWNER, Platform};

/// Imports `count` people into a new list and answers the list's id.
pub(crate) async fn list_of(client: &Client, count: usize) -> String {
    let rows: String = (0..count)
        .map(|n| format!("person{n}@example.com,Person {n}\n"))
        .collect();
    imported(client, format!("email,first_name\n{rows}")).await
}

/// Imports a CSV into a new list and answers the list's id.
pub(crate) async fn imported(client: &Client, csv: String) -> String {
    let list: Value = client
        .post("/api/v1/lists")
        .json(&json!({ "name": "Everybody" }))
        .send()
        .await
        .assert_status(201)
        .json();
    let list = list["id"].as_str().expect("an id").to_owned();
    let import: Value = client
        .post(format!("/api/v1/leads/imports?list_id={list}"))
        .header("content-type", "text/csv")
        .body(csv)
        .send()
        .await
        .assert_status(202)
        .json();
    let path = format!(
        "/api/v1/leads/imports/{}",
        import["id"].as_str().expect("an id")
    );
    eventually("the import is done", || async {
        let state: Value = client.get(&path).send().await.assert_status(200).json();
        assert_ne!(state["status"], "failed", "{state}");
        state["status"] == "done"
    })
    .await;
    list
}

/// Makes a campaign to `list` and starts it; answers its id.
pub(crate) async fn start(client: &Client, list: &str) -> String {
    let campaign = json!({
        "name": "Spring",
        "subject": "Hello {{ lead.first_name }}",
        "from": { "name": "Ada", "email": "ada@example.com" },
        "content": { "format": "html", "body":
            "<p>Hi {{ lead.first_name }}, <a href=\"https://example.com/a?b=c#d\">look</a> \
             <a href=\"{{ unsubscribe_url }}\">unsubscribe</a></p>" },
        "audience": { "list_ids": [list] },
    });
    let made: Value = client
        .post("/api/v1/campaigns")
        .json(&campaign)
        .send()
        .await
        .assert_status(201)
        .json();
    let id = made["id"].as_str().expect("an id").to_owned();
    client
        .post(format!("/api/v1/campaigns/{id}/start"))
        .json(&json!({ "accept_warnings": true }))
        .send()
        .await
        .assert_status(200);
    id
}

/// The settlement, if the platform answers; it always sums.
pub(crate) async fn settlement(client: &Client, campaign: &str) -> Option<Value> {
    let path = format!("/api/v1/campaigns/{campaign}/settlement");
    let answer = client
        .get(path)
        .try_send()
        .await
        .ok()
        .filter(|answer| answer.status == 200)?;
    let seen: Value = answer.json();
    let count = |name: &str| seen[name].as_i64().expect("a count");
    let outcomes = [
        "accepted",
        "rejected",
        "suppressed",
        "skipped",
        "ambiguous",
        "pending",
    ];
    let sum: i64 = outcomes.iter().map(|name| count(name)).sum();
    assert_eq!(count("audience"), sum, "{seen}");
    Some(seen)
}

/// Waits until everybody has an outcome, for as long as it gets on.
pub(crate) async fn settled(client: &Client, campaign: &str) -> Value {
    let mut last = (Value::Null, std::time::Instant::now());
    loop {
        let seen = settlement(client, campaign).await.unwrap_or(Value::Null);
        if seen["settled"] == true {
            return seen;
        }
        if seen != last.0 {
            last = (seen, std::time::Instant::now());
        }
        assert!(
            last.1.elapsed() < Duration::from_secs(90),
            "it stands still: {}",
            last.0
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The addresses of all messages with this outcome.
pub(crate) async fn with_outcome(
    client: &Client,
    campaign: &str,
    outcome: &str,
) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut cursor = None::<String>;
    loop {
        let mut query = vec![
            ("campaign_id", campaign.to_owned()),
            ("outcome", outcome.to_owned()),
            ("limit", "500".to_owned()),
        ];
        query.extend(cursor.take().map(|cursor| ("cursor", cursor)));
        let page: Value = client
            .get("/api/v1/messages")
            .query(&query)
            .send()
            .await
            .assert_status(200)
            .json();
        let items = page["items"].as_array().expect("items").clone();
        found.extend(
            items
                .iter()
                .map(|item| item["to"].as_str().expect("an address").to_owned()),
        );
        match page["next_cursor"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => return found,
        }
    }
}

/// The recipients of every mail in the platform's own mailbox, repetitions included.
pub(crate) async fn received(platform: &Platform) -> Vec<String> {
    let client = Client::new(&platform.url, None);
    let mut found = Vec::new();
    let mut cursor = None::<String>;
    loop {
        let mut query = vec![("limit", "500".to_owned())];
        query.extend(cursor.take().map(|cursor| ("cursor", cursor)));
        let page: Value = client
            .get("/mailbox/messages.json")
            .query(&query)
            .send()
            .await
            .assert_status(200)
            .json();
        let items = page["items"].as_array().expect("items").clone();
        for item in items {
            let to = item["rcpt_to"].as_array().expect("recipients").clone();
            found.extend(
                to.iter()
                    .map(|to| to.as_str().expect("an address").to_owned()),
            );
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => return found,
        }
    }
}

/// Everybody of the audience is accounted for, and nobody got two mails.
pub(crate) async fn assert_nobody_lost_or_doubled(
    client: &Client,
    campaign: &str,
    audience: usize,
    received: Vec<String>,
) {
    let seen = settled(client, campaign).await;
    assert_eq!(seen["audience"], audience, "{seen}");
    let (count, got) = (
        received.len(),
        received.into_iter().collect::<BTreeSet<_>>(),
    );
    assert_eq!(got.len(), count, "somebody got two mails: {seen}");
    let accepted = with_outcome(client, campaign, "accepted").await;
    let ambiguous = with_outcome(client, campaign, "ambiguous").await;
    assert_eq!(seen["accepted"], accepted.len());
    assert_eq!(
        seen["ambiguous"],
        ambiguous.len(),
        "every ambiguous one is named"
    );
    let unknown: Vec<_> = got
        .difference(&accepted)
        .filter(|to| !ambiguous.contains(*to))
        .collect();
    assert!(
        unknown.is_empty(),
        "mailed, and the ledger does not know: {unknown:?}"
    );
    let lost: Vec<_> = accepted.difference(&got).collect();
    assert!(
        lost.is_empty(),
        "accepted by the ledger, and never received: {lost:?}"
    );
    assert_eq!(accepted.len() + ambiguous.len(), audience, "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_finds_every_figure_as_it_should_be() {
    let folder = tempfile::tempdir().expect("a folder");
    let platform = Launch::in_folder(folder.path()).start();
    let demo = Command::new(env!("CARGO_BIN_EXE_clarion"))
        .args([
            "demo",
            "--url",
            &platform.url,
            "--email",
            OWNER.0,
            "--password",
            OWNER.1,
        ])
        .current_dir(folder.path())
        .output()
        .expect("the binary starts");
    let (out, err) = (
        String::from_utf8_lossy(&demo.stdout),
        String::from_utf8_lossy(&demo.stderr),
    );
    assert!(demo.status.success(), "{out}\n{err}");
    assert_eq!(platform.stop(), Some(0));
}
