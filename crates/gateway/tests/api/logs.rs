//! What the log says of refused requests.

use common::auth::Service;
use serde_json::json;
use testkit::Logged;

use crate::support::{Upstream, raw};

#[actix_web::test]
async fn refused_requests_are_noted_with_reason_and_address_and_never_in_thousands() {
    let upstream = Upstream::start();
    let url = upstream.url();
    let mut settings = vec![
        ("GATEWAY_TRUSTED_PROXIES", "127.0.0.1"),
        ("IDENTITY_URL", url.as_str()),
    ];
    for name in [
        "CAMPAIGNS_URL",
        "LEADS_URL",
        "NOTIFICATIONS_URL",
        "ANALYTICS_URL",
    ] {
        settings.push((name, url.as_str()));
    }
    let binary = env!("CARGO_BIN_EXE_gateway");
    let process = Logged::start(binary, Service::Gateway, &settings).await;
    let from = |address: &str, token: Option<&str>| {
        let request = process.client.get("/api/v1/leads?secret=swordfish");
        let request = request.header("x-forwarded-for", address);
        match token {
            Some(token) => request.header("authorization", token).send(),
            None => request.send(),
        }
    };
    from("203.0.113.9", None)
        .await
        .assert_error(401, "token_missing");
    let forged = from("203.0.113.10", Some("Bearer a.b.c")).await;
    forged.assert_error(401, "token_invalid");
    let smuggled =
        "POST /u/x HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx";
    let answer = raw(process.address, smuggled).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");

    let refused = process.saying("a request was refused");
    let seen: Vec<_> = refused
        .iter()
        .map(|line| json!([line["status"], line["code"], line["address"], line["route"]]))
        .collect();
    let wanted = [
        json!([401, "token_missing", "203.0.113.9", "/api/v1/leads"]),
        json!([401, "token_invalid", "203.0.113.10", "/api/v1/leads"]),
        json!([400, "ambiguous_length", "127.0.0.1", "none"]),
    ];
    assert_eq!(seen, wanted);

    // Somebody who hammers at the door does not fill the log.
    for _ in 0..300 {
        from("203.0.113.11", None).await.assert_status(401);
    }
    let lines = process.saying("a request was refused");
    assert!(lines.len() < 200, "{}", lines.len());
    let left_out: u64 = lines
        .iter()
        .filter_map(|line| line["left_out"].as_u64())
        .sum();
    assert!(
        left_out > 0 || lines.len() < 30,
        "what was left out is counted"
    );
    let text = format!("{:?}", process.lines());
    assert!(
        !text.contains("swordfish") && !text.contains("a.b.c"),
        "{text}"
    );
}
