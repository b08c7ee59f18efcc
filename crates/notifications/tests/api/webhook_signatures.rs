//! Signatures, verified by the reference implementation of Standard Webhooks.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use chrono::TimeDelta;
use serde_json::{Value, json};
use wiremock::Request;

use crate::webhooks::{Hooked, header};

/// <https://pypi.org/project/standardwebhooks/>
const REFERENCE: &str = "standardwebhooks==1.0.1";

/// Reads `{secret, headers, body}` and prints the verified payload.
const SCRIPT: &str = "
import json, sys
from standardwebhooks.webhooks import Webhook
given = json.load(sys.stdin)
verified = Webhook(given['secret']).verify(given['body'], given['headers'])
print(json.dumps(verified))
";

/// A Python that has the reference implementation; installed once per target folder.
fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("standardwebhooks-1.0.1");
        let (python, done) = (folder.join("bin/python"), folder.join("installed"));
        if !done.exists() {
            let mut venv = Command::new("python3");
            ran(venv.args(["-m", "venv", "--clear"]).arg(&folder));
            let mut pip = Command::new(&python);
            ran(pip.args(["-m", "pip", "install", "--quiet", REFERENCE]));
            std::fs::write(done, REFERENCE).expect("the folder can be written");
        }
        python
    })
}

fn ran(command: &mut Command) -> Output {
    let output = command.output().expect("it can be run");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {told}");
    output
}

/// What the reference implementation makes of a request; none when it refuses it.
fn verified(secret: &str, request: &Request) -> Option<Value> {
    use std::io::Write;
    use std::process::Stdio;
    let headers: serde_json::Map<_, _> = ["webhook-id", "webhook-timestamp", "webhook-signature"]
        .into_iter()
        .map(|name| (name.to_owned(), json!(header(request, name))))
        .collect();
    let body = String::from_utf8(request.body.clone()).expect("text");
    let given = json!({ "secret": secret, "headers": headers, "body": body });
    let mut child = Command::new(python())
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("Python runs");
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin
        .write_all(given.to_string().as_bytes())
        .expect("it reads");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    match output.status.success() {
        true => serde_json::from_slice(&output.stdout).ok(),
        false => {
            let told = String::from_utf8_lossy(&output.stderr);
            assert!(told.contains("WebhookVerificationError"), "{told}");
            None
        }
    }
}

#[actix_web::test]
async fn the_reference_implementation_verifies_what_is_posted() {
    let hooked = Hooked::start().await;
    let (path, secret) = hooked.hook(&["lead.created"]).await;
    hooked.tell();
    let request = &hooked.until_received(1).await[0];
    assert_eq!(header(request, "content-type"), "application/json");
    let event = verified(&secret, request).expect("it is signed");
    assert_eq!(event["type"], "lead.created");
    assert_eq!(event["specversion"], "1.0");
    assert_eq!(event["workspaceid"], json!(hooked.app.workspace));
    assert_eq!(event["data"]["email"], "grace@shop.example");
    let delivery = hooked.until("it is delivered", &path, |d| d["state"] == "delivered");
    let delivery = delivery.await;
    assert_eq!(delivery["payload"], event);
    assert_eq!(delivery["id"], header(request, "webhook-id"));

    let mut changed = request.clone();
    changed.body.push(b' ');
    assert_eq!(verified(&secret, &changed), None, "another body");
    let (_, other) = hooked.hook(&["lead.deleted"]).await;
    assert_eq!(verified(&other, request), None, "another's secret");
}

#[actix_web::test]
async fn after_a_rotation_both_secrets_verify_for_a_day() {
    let hooked = Hooked::start().await;
    let (path, old) = hooked.hook(&["lead.created"]).await;
    let rotate = format!("{path}/rotate-secret");
    let rotated = hooked.owner().post(&rotate).send().await.assert_status(200);
    let rotated: Value = rotated.json();
    let new = rotated["secret"].as_str().expect("a secret");
    assert_ne!(new, old);
    assert!(rotated["old_secret_until"].is_string());
    hooked.tell();
    let request = &hooked.until_received(1).await[0];
    let signatures = header(request, "webhook-signature").split(' ').count();
    assert_eq!(signatures, 2);
    assert!(verified(&old, request).is_some());
    assert!(verified(new, request).is_some());

    hooked.app.clock.advance(TimeDelta::hours(24));
    hooked.tell();
    let request = &hooked.until_received(2).await[1];
    let signatures = header(request, "webhook-signature").split(' ').count();
    assert_eq!(signatures, 1, "the old one has gone");
    let shown = hooked.show(&path).await;
    assert_eq!(shown["old_secret_until"], Value::Null);
}
