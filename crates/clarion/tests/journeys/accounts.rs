//! Mails about accounts, as they arrive: through identity, notifications and SMTP, read by whoever
//! has the address, whose browser follows their links.

use serde_json::{Value, json};
use testkit::{Client, eventually};

use crate::platform::{Launch, OWNER, Platform};

const PASSWORD: &str = "seven lonely lighthouses";

/// The mails to an address, the latest first, once there are so many.
async fn mails(platform: &Platform, to: &str, count: usize) -> Vec<Value> {
    let mailbox = Client::new(&platform.url, None);
    let list = async || {
        let query = [("rcpt", to)];
        let page = mailbox.get("/mailbox/messages.json").query(&query);
        let page: Value = page.send().await.assert_status(200).json();
        page["items"].as_array().expect("items").clone()
    };
    eventually("the mail arrives", || async { list().await.len() >= count }).await;
    let mut whole = Vec::new();
    for mail in list().await {
        let id = mail["id"].as_str().expect("an id");
        let mail = mailbox.get(format!("/mailbox/messages/{id}.json")).send();
        whole.push(mail.await.assert_status(200).json());
    }
    whole
}

/// Waits for the mail of this subject; its text, and the path of its link.
async fn letter(platform: &Platform, to: &str, subject: &str) -> (String, String) {
    let mut found = None;
    for count in 1.. {
        let all = mails(platform, to, count).await;
        found = all.into_iter().find(|mail| mail["subject"] == subject);
        if found.is_some() {
            break;
        }
    }
    let mail = found.expect("it was found");
    let text = mail["text"].as_str().expect("a text").to_owned();
    let (_, rest) = text.split_once("/a/").expect("a link");
    let secret = rest.split_whitespace().next().expect("a secret");
    assert!(secret.len() > 40, "{text}");
    let path = format!("/a/{secret}");
    assert!(text.contains(&format!("{}{path}", platform.url)), "{text}");
    (text, path)
}

/// Looks at the page behind a link, and presses its button.
async fn follow(platform: &Platform, path: &str, fields: &Value) -> String {
    let browser = Client::new(&platform.url, None);
    let page = browser.get(path).header("accept", "text/html").send().await;
    let page = page.assert_status(200);
    assert!(
        page.text().contains("<form method=\"post\">"),
        "{}",
        page.text()
    );
    let done = browser
        .post(path)
        .header("sec-fetch-site", "same-origin")
        .form(fields)
        .send()
        .await
        .assert_status(200);
    // It works once.
    browser.get(path).send().await.assert_status(404);
    done.text()
}

async fn login(platform: &Platform, email: &str, password: &str) -> testkit::Response {
    let body = json!({ "email": email, "password": password });
    let request = Client::new(&platform.url, None).post("/api/v1/login");
    request.json(&body).send().await
}

#[tokio::test(flavor = "multi_thread")]
async fn mails_about_accounts_arrive_and_their_links_do_what_they_say() {
    let folder = tempfile::tempdir().expect("a folder");
    let platform = Launch::in_folder(folder.path()).start();
    let anonymous = Client::new(&platform.url, None);

    // Somebody registers and shows that the address is theirs.
    let ada = "ada@people.example";
    let body = json!({ "name": "Ada", "email": ada, "password": PASSWORD });
    let made = anonymous.post("/api/v1/register").json(&body).send().await;
    let made: Value = made.assert_status(201).json();
    let token = made["access_token"].as_str().expect("a token").to_owned();
    let client = anonymous.with_token(token);
    let path = format!(
        "/api/v1/users/{}",
        made["user"]["id"].as_str().expect("an id")
    );
    let verified = async || {
        let user: Value = client.get(&path).send().await.assert_status(200).json();
        user["email_verified"].clone()
    };
    assert_eq!(verified().await, false);
    let (text, link) = letter(&platform, ada, "Please confirm your email address").await;
    assert!(text.starts_with("Hello Ada,"), "{text}");
    let done = follow(&platform, &link, &json!({})).await;
    assert!(done.contains("Your email address is confirmed."), "{done}");
    assert_eq!(verified().await, true);

    // They forget the password.
    let asked = anonymous.post("/api/v1/password/forgot");
    let asked = asked.json(&json!({ "email": ada })).send().await;
    assert_eq!(asked.status / 100, 2, "{}", asked.text());
    let (_, link) = letter(&platform, ada, "A new password for Clarion").await;
    let new = "eight lonely lighthouses";
    follow(&platform, &link, &json!({ "password": new })).await;
    login(&platform, ada, PASSWORD)
        .await
        .assert_error(401, "wrong_credentials");
    login(&platform, ada, new).await.assert_status(200);
    // Every sign-in from before has ended.
    eventually("the old token ends", || async {
        client.get(&path).send().await.status == 401
    })
    .await;

    // The owner invites somebody new and somebody known.
    let owner = platform.owner().await;
    let grace = "grace@people.example";
    for email in [grace, ada] {
        let body = json!({ "email": email, "role": "analyst" });
        let invited = owner.post("/api/v1/invitations").json(&body).send().await;
        invited.assert_status(201);
    }
    let subject = "You are invited to My workspace";
    let (_, link) = letter(&platform, grace, subject).await;
    follow(
        &platform,
        &link,
        &json!({ "name": "Grace", "password": PASSWORD }),
    )
    .await;
    let signed_in: Value = login(&platform, grace, PASSWORD)
        .await
        .assert_status(200)
        .json();
    assert_eq!(signed_in["user"]["role"], "analyst");
    let (_, link) = letter(&platform, ada, subject).await;
    follow(&platform, &link, &json!({})).await;
    let members: Value = owner
        .get("/api/v1/users")
        .send()
        .await
        .assert_status(200)
        .json();
    let mut emails: Vec<_> = members["items"]
        .as_array()
        .expect("items")
        .iter()
        .filter_map(|member| member["email"].as_str())
        .collect();
    emails.sort_unstable();
    assert_eq!(emails, [ada, grace, OWNER.0]);
    assert_eq!(platform.stop(), Some(0));
}
