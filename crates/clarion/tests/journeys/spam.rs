//! What spam filters think of our mails.

use std::io::Write;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use testkit::{Client, eventually};

use crate::campaign::imported;
use crate::platform::Launch;

/// The letter of the demo, as a marketer would write it.
const LETTER: &str = include_str!("../../src/demo/steps/letter.mjml");

/// What SpamAssassin says of a mail by the rules that come with it, asking nobody.
fn judged(mail: &[u8], folder: &Path) -> String {
    let mut child = Command::new("spamassassin")
        .args(["--local", "--nocreate-prefs", "--cf=use_bayes 0"])
        .env("HOME", folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("spamassassin is installed: deploy/setup/packages.sh test");
    let mut input = child.stdin.take().expect("it was piped");
    input.write_all(mail).expect("it reads");
    drop(input);
    let judged = child.wait_with_output().expect("it ends");
    let text = String::from_utf8_lossy(&judged.stdout).replace("\r\n", "\n");
    let (head, _) = text.split_once("\n\n").expect("a mail");
    // A header goes on in lines that begin with white space.
    let head = head.replace("\n\t", " ").replace("\n ", " ");
    let status = head.lines().find(|line| line.starts_with("X-Spam-Status:"));
    status.expect("a verdict").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_scores_below_two_in_spamassassin() {
    let folder = tempfile::tempdir().expect("a folder");
    let address = {
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        free.local_addr().expect("an address").to_string()
    };
    // Links lead where those of a real installation do.
    let mut platform = Launch::in_folder(folder.path())
        .with("CLARION_HTTP_ADDR", &address)
        .with("CLARION_PUBLIC_URL", "https://letters.clarion-demo.example")
        .start();
    platform.url = format!("http://{address}");
    let client = platform.owner().await;
    let csv = "email,first_name,attributes.plan,attributes.city\n\
               ada@example.com,Ada,free,Vienna\n";
    let list = imported(&client, csv.to_owned()).await;
    let campaign = json!({
        "name": "Spring",
        "subject": "{{ lead.first_name|default('there') }}, your letter",
        "preheader": "News for {{ lead.attributes.city }}",
        "from": { "name": "Clärion Demo", "email": "letters@clarion-demo.example" },
        "content": { "format": "mjml", "body": LETTER },
        "audience": { "list_ids": [list] },
    });
    let made = client
        .post("/api/v1/campaigns")
        .json(&campaign)
        .send()
        .await;
    let made: Value = made.assert_status(201).json();
    let id = made["id"].as_str().expect("an id");
    let start = client
        .post(format!("/api/v1/campaigns/{id}/start"))
        .json(&json!({ "accept_warnings": true }));
    start.send().await.assert_status(200);
    let mailbox = Client::new(&platform.url, None);
    let received = || async {
        let page = mailbox.get("/mailbox/messages.json").send().await;
        let page: Value = page.assert_status(200).json();
        page["items"][0]["id"].as_str().map(str::to_owned)
    };
    eventually("the letter is there", || async {
        received().await.is_some()
    })
    .await;
    let id = received().await.expect("it was just there");
    let raw = mailbox.get(format!("/mailbox/{id}/raw")).send().await;

    let status = judged(&raw.assert_status(200).body, folder.path());

    let score = status
        .split_once("score=")
        .and_then(|(_, rest)| rest.split(' ').next()?.parse::<f64>().ok());
    assert!(score.is_some_and(|score| score < 2.0), "{status}");
    assert_eq!(platform.stop(), Some(0));
}
