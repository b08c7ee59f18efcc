use reqwest::{Response, StatusCode};
use serde_json::Value;

use crate::support::{Running, message};

async fn get(url: String) -> Response {
    reqwest::get(url).await.unwrap()
}

async fn json(url: String) -> Value {
    let response = get(url).await;
    assert_eq!(response.status(), StatusCode::OK);
    response.json().await.unwrap()
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).unwrap().to_str().unwrap()
}

/// A mailbox with three mails, the last one hostile.
async fn given_mails() -> Running {
    let mailbox = Running::start().await;
    let mut client = mailbox.client().await;
    assert_eq!(
        client.deliver("ann@example.com", &message("spring")).await,
        250
    );
    assert_eq!(
        client.deliver("bob@example.com", &message("autumn")).await,
        250
    );
    let hostile = "From: \"<script>alert(1)</script>\" <evil@example.com>\r\n\
        Subject: <img src=x onerror=alert(2)>\r\n\
        X-Evil: \"><script>alert(3)</script>\r\n\
        Content-Type: multipart/alternative; boundary=b\r\n\r\n\
        --b\r\nContent-Type: text/plain\r\n\r\n</pre><script>alert(4)</script>\r\n\
        --b\r\nContent-Type: text/html\r\n\r\n<script>alert(5)</script><a href=\"javascript:alert(6)\">x</a>\
        <a href='https://example.com/?a=1&amp;b=\"&gt;<script>'>y</a><img src=\"https://example.com/o/1.gif\">\r\n--b--";
    assert_eq!(client.deliver("carl@example.com", hostile).await, 250);
    mailbox
}

#[actix_web::test]
async fn scripts_list_search_and_open_mails() {
    let mailbox = given_mails().await;
    let url = |rest: &str| format!("{}/{rest}", mailbox.http);
    let all = json(url("messages.json?limit=2")).await;
    assert_eq!(
        (all["items"].as_array().unwrap().len(), &all["total"]),
        (2, &Value::from(3))
    );
    let cursor = all["next_cursor"].as_str().unwrap();
    let rest = json(url(&format!("messages?limit=2&cursor={cursor}"))).await;
    assert_eq!(rest["items"][0]["subject"], "spring");
    assert_eq!(rest["next_cursor"], Value::Null);

    let found = json(url("messages.json?to=BOB%40&subject=AUT")).await;
    assert_eq!(
        (&found["total"], &found["items"][0]["rcpt_to"][0]),
        (&Value::from(1), &Value::from("bob@example.com"))
    );
    assert_eq!(
        json(url("messages.json?rcpt=ob@example.com")).await["total"],
        0
    );

    let item = &found["items"][0];
    assert_eq!(item["message_id"], "autumn@example.com");
    let mail = json(url(&format!(
        "messages/{}.json",
        item["id"].as_str().unwrap()
    )))
    .await;
    assert_eq!(mail["mail_from"], "sender@example.com");
    assert_eq!(mail["headers"][1], serde_json::json!(["Subject", "autumn"]));
    assert_eq!(mail["text"], "Hello.\r\n\r\n");
    assert_eq!(mail["html"], Value::Null);
    assert_eq!(
        json(url("stats.json")).await,
        serde_json::json!({
            "messages": 3, "recipients": 3, "distinct_recipients": 3, "duplicates": 0
        })
    );
}

#[actix_web::test]
async fn bad_questions_get_a_problem() {
    let mailbox = given_mails().await;
    let unknown = "00000000-0000-7000-8000-000000000000";
    for (path, status, code) in [
        ("messages.json?colour=red".to_owned(), 400, "bad_request"),
        ("messages.json?limit=many".to_owned(), 400, "bad_request"),
        ("messages.json?cursor=x".to_owned(), 400, "bad_request"),
        (format!("messages/{unknown}.json"), 404, "mail_not_found"),
        ("messages/not-an-id.json".to_owned(), 404, "mail_not_found"),
        (unknown.to_owned(), 404, "mail_not_found"),
        (format!("{unknown}/raw"), 404, "mail_not_found"),
        (format!("{unknown}/html"), 404, "mail_not_found"),
        (
            format!(
                "{}/html",
                mailbox.handle.list(&Default::default()).items[2].id
            ),
            404,
            "no_html",
        ),
    ] {
        let response = get(format!("{}/{path}", mailbox.http)).await;
        assert_eq!(response.status(), status, "{path}");
        assert_eq!(
            header(&response, "content-type"),
            "application/problem+json",
            "{path}"
        );
        assert_eq!(
            response.json::<Value>().await.unwrap()["code"],
            code,
            "{path}"
        );
    }
}

#[actix_web::test]
async fn the_list_page_shows_hostile_words_as_words() {
    let mailbox = given_mails().await;
    let response = get(mailbox.http.clone()).await;
    assert!(header(&response, "content-security-policy").starts_with("default-src 'none'"));
    assert_eq!(header(&response, "x-content-type-options"), "nosniff");
    let page = response.text().await.unwrap();
    assert!(page.contains("3 mails"));
    assert!(page.contains("&lt;img src=x onerror=alert(2)&gt;"));
    assert!(
        !page.contains("<script") && !page.contains("<img"),
        "{page}"
    );

    let query = "to=%22%3E%3Cscript%3E&subject=%3Cscript%3E&limit=1";
    let page = get(format!("{}?{query}", mailbox.http))
        .await
        .text()
        .await
        .unwrap();
    assert!(
        page.contains("value=\"&quot;&gt;&lt;script&gt;\"") && !page.contains("<script"),
        "{page}"
    );
    assert!(page.contains("No mail here matches."));

    let page = get(format!("{}?limit=1&to=%40&subject=", mailbox.http))
        .await
        .text()
        .await
        .unwrap();
    let older = page
        .split("href=\"")
        .find(|link| link.contains("cursor="))
        .unwrap();
    let older = older.split('"').next().unwrap().replace("&amp;", "&");
    let base = mailbox.http.trim_end_matches("/mailbox");
    let page = get(format!("{base}{older}")).await.text().await.unwrap();
    assert!(
        page.contains("autumn") && page.contains("Newest") && !page.contains("spring"),
        "{page}"
    );
}

#[actix_web::test]
async fn a_mail_page_shows_everything_and_runs_nothing() {
    let mailbox = given_mails().await;
    let id = mailbox.handle.list(&Default::default()).items[0].id;
    let response = get(format!("{}/{id}", mailbox.http)).await;
    assert!(header(&response, "content-security-policy").contains("default-src 'none'"));
    let page = response.text().await.unwrap();
    for shown in [
        "&lt;script&gt;alert(1)&lt;/script&gt;",
        "&lt;img src=x onerror=alert(2)&gt;",
        "&quot;&gt;&lt;script&gt;alert(3)&lt;/script&gt;",
        "&lt;/pre&gt;&lt;script&gt;alert(4)",
        "<iframe sandbox=\"\"",
        "href=\"https://example.com/?a=1&amp;b=&quot;",
    ] {
        assert!(page.contains(shown), "{shown} in {page}");
    }
    assert!(
        !page.contains("<script") && !page.contains("href=\"javascript"),
        "{page}"
    );
    assert!(!page.contains("o/1.gif"), "an image is not a link");
}

#[actix_web::test]
async fn the_html_of_a_mail_is_served_powerless() {
    let mailbox = given_mails().await;
    let id = mailbox.handle.list(&Default::default()).items[0].id;
    let response = get(format!("{}/{id}/html", mailbox.http)).await;
    let policy = header(&response, "content-security-policy");
    assert!(
        policy.starts_with("sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'"),
        "{policy}"
    );
    assert_eq!(header(&response, "x-frame-options"), "SAMEORIGIN");
    assert!(
        response
            .text()
            .await
            .unwrap()
            .contains("<script>alert(5)</script>"),
        "served as it came"
    );

    let response = get(format!("{}/{id}/raw", mailbox.http)).await;
    assert_eq!(
        header(&response, "content-type"),
        "text/plain; charset=utf-8"
    );
    assert_eq!(header(&response, "x-content-type-options"), "nosniff");
    assert!(
        response
            .text()
            .await
            .unwrap()
            .starts_with("From: \"<script>")
    );
}

#[actix_web::test]
async fn an_empty_mailbox_and_its_style_are_served() {
    let mailbox = Running::start().await;
    let page = get(mailbox.http.clone()).await.text().await.unwrap();
    assert!(
        page.contains("No mail yet.") && page.contains("0 mails"),
        "{page}"
    );
    let style = get(format!("{}/style.css", mailbox.http)).await;
    assert_eq!(header(&style, "content-type"), "text/css; charset=utf-8");
    let base = mailbox.http.trim_end_matches("/mailbox");
    assert_eq!(get(format!("{base}/health/live")).await.status(), 200);
    assert_eq!(get(format!("{base}/mailbox/")).await.status(), 200);
}
