use common::auth::Role;
use reqwest::Method;
use testkit::Setup;

use crate::support::{App, Upstream, raw, with_leads};

#[actix_web::test]
async fn what_is_internal_cannot_be_reached() {
    let upstream = Upstream::start();
    let app: App = crate::support::all_at(&upstream).start().await;
    for path in [
        "/internal",
        "/internal/events?after=0",
        "/internal/service-token",
        "/%69nternal/events",
        "//internal/events",
        "/INTERNAL/events",
        "/api/v1/internal",
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let answer = raw(app.address, &request).await;
        assert!(answer.starts_with("HTTP/1.1 404"), "{path}: {answer}");
    }
    for path in [
        "/u/../internal/events",
        "/u/%2e%2e/internal/events",
        "/u/..%5cinternal",
        "/u/%00",
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let answer = raw(app.address, &request).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{path}: {answer}");
    }
    // The absolute form names a host; only its path counts.
    let request =
        "GET http://leads/internal/events HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let answer = raw(app.address, request).await;
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    assert!(upstream.seen().is_empty(), "{:?}", upstream.seen());
}

#[actix_web::test]
async fn a_second_request_cannot_be_smuggled() {
    let upstream = Upstream::start();
    let app: App = crate::support::all_at(&upstream).start().await;
    let smuggled = "GET /internal/events HTTP/1.1\r\nHost: x\r\n\r\n";
    let heads = [
        format!(
            "Content-Length: {}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}",
            smuggled.len() + 5
        ),
        format!(
            "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n{:x}\r\n{smuggled}\r\n0\r\n\r\n",
            smuggled.len()
        ),
        format!(
            "Content-Length: 0\r\nContent-Length: {}\r\n\r\n{smuggled}",
            smuggled.len()
        ),
        format!("Content-Length: 0, {}\r\n\r\n{smuggled}", smuggled.len()),
        format!("Content-Length: +{}\r\n\r\n{smuggled}", smuggled.len()),
        format!("Content-Length: -1\r\n\r\n{smuggled}"),
        format!("Content-Length: 0x10\r\n\r\n{smuggled}"),
        format!("Transfer-Encoding: xchunked\r\n\r\n{smuggled}"),
        format!("Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n{smuggled}"),
        format!(
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n{smuggled}"
        ),
        format!("Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n{smuggled}"),
        format!("Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n{smuggled}"),
        format!("X: y\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}"),
        format!("Content\r\nLength: 5\r\n\r\n{smuggled}"),
    ];
    for head in &heads {
        let request = format!("POST /u/token HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{head}");
        let answer = raw(app.address, &request).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{head:?}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{head:?}: {answer}");
    }
    assert!(upstream.seen().is_empty(), "{:?}", upstream.seen());
}

#[actix_web::test]
async fn chunks_with_strange_sizes_break_the_request() {
    let upstream = Upstream::start();
    let app: App = crate::support::all_at(&upstream).start().await;
    for chunks in [
        "-1\r\nx\r\n0\r\n\r\n",
        "g\r\nx\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nx",
        "1\r\nxx\r\n0\r\n\r\n",
    ] {
        let request = format!(
            "POST /u/token HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"
        );
        let answer = raw(app.address, &request).await;
        // A connection whose framing is lost is closed, with or without a word.
        let refused = answer.is_empty() || answer.starts_with("HTTP/1.1 400");
        assert!(refused, "{chunks:?}: {answer}");
    }
    assert!(upstream.seen().iter().all(|seen| seen.body.len() <= 2));
}

#[actix_web::test]
async fn odd_methods_and_endless_addresses_are_refused() {
    let leads = Upstream::start();
    let app = with_leads(&leads).await;
    let owner = app.as_role(Role::Owner);
    for method in ["TRACE", "PROPFIND", "CONNECT-ME"] {
        let method = Method::from_bytes(method.as_bytes()).expect("a token");
        let answer = owner.request(method, "/api/v1/leads").send().await;
        assert!(
            answer
                .header("allow")
                .is_some_and(|allow| allow.contains("PATCH"))
        );
        answer.assert_error(405, "method_not_allowed");
    }
    owner
        .post("/health")
        .send()
        .await
        .assert_error(405, "method_not_allowed");
    owner
        .get(format!("/api/v1/leads?q={}", "x".repeat(9_000)))
        .send()
        .await
        .assert_error(414, "uri_too_long");
    owner
        .get("/api/v1/nothing")
        .send()
        .await
        .assert_error(404, "route_not_found");
    assert!(leads.seen().is_empty());
}

#[actix_web::test]
async fn browsers_are_told_to_be_careful() {
    let leads = Upstream::start();
    let app = with_leads(&leads).await;
    for (path, policy) in [
        ("/u/page", "form-action 'self'"),
        ("/u/data", "default-src 'none'; frame-ancestors 'none'"),
        ("/nowhere", "default-src 'none'; frame-ancestors 'none'"),
        ("/", "frame-ancestors 'none'"),
    ] {
        let answer = app.anonymous().get(path).send().await;
        assert_eq!(
            answer.header("x-content-type-options"),
            Some("nosniff"),
            "{path}"
        );
        assert_eq!(answer.header("x-frame-options"), Some("DENY"), "{path}");
        assert_eq!(
            answer.header("referrer-policy"),
            Some("no-referrer"),
            "{path}"
        );
        assert_eq!(answer.header("strict-transport-security"), None);
        let given = answer.header("content-security-policy").expect(path);
        assert!(given.contains(policy), "{path}: {given}");
    }
    let tls: App = Setup::default()
        .with("CLARION_PUBLIC_URL", "https://clarion.example")
        .start()
        .await;
    let answer = tls.anonymous().get("/").send().await;
    assert!(answer.header("strict-transport-security").is_some());
}

#[actix_web::test]
async fn what_somebody_is_shown_is_kept_by_nobody() {
    let leads = Upstream::start();
    let app = with_leads(&leads).await;
    let owner = app.as_role(Role::Owner);
    for path in ["/api/v1/leads/hops", "/api/v1/leads/refused"] {
        let answer = owner.get(path).send().await;
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
    }
    let refused = app.anonymous().get("/api/v1/leads").send().await;
    assert_eq!(refused.header("cache-control"), Some("no-store"));
    let open = app.anonymous().get("/u/data").send().await;
    assert_eq!(open.header("cache-control"), None);
}

#[actix_web::test]
async fn pages_of_others_are_let_in_by_name() {
    let leads = Upstream::start();
    let app: App = Setup::default()
        .with("LEADS_URL", leads.url())
        .with("ANALYTICS_URL", leads.url())
        .with(
            "CLARION_CORS_ORIGINS",
            "https://app.example, http://localhost:3000",
        )
        .start()
        .await;
    let preflight = |path: &str, origin: &str| {
        app.anonymous()
            .request(Method::OPTIONS, path)
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization")
            .send()
    };
    let allowed = preflight("/api/v1/leads", "https://app.example").await;
    assert_eq!(allowed.status, 204);
    let origin = |answer: &testkit::Response| {
        let value = answer.header("access-control-allow-origin");
        value.map(str::to_owned)
    };
    assert_eq!(origin(&allowed).as_deref(), Some("https://app.example"));
    let headers = allowed
        .header("access-control-allow-headers")
        .expect("headers");
    assert!(headers.contains("authorization"));
    let refused = preflight("/api/v1/leads", "https://evil.example").await;
    assert_eq!(origin(&refused), None);
    assert_eq!(refused.header("access-control-allow-headers"), None);
    // What every web site embeds is for every web site, without credentials.
    let anybody = preflight("/v1/t", "https://shop.example").await;
    assert_eq!(origin(&anybody).as_deref(), Some("*"));
    assert_eq!(anybody.header("access-control-allow-credentials"), None);
    assert!(leads.seen().is_empty());

    let answer = app
        .as_role(Role::Owner)
        .get("/api/v1/leads/hops")
        .header("origin", "http://localhost:3000")
        .send()
        .await;
    assert_eq!(origin(&answer).as_deref(), Some("http://localhost:3000"));
    assert_eq!(answer.header("vary"), Some("origin"));
    let answer = app
        .as_role(Role::Owner)
        .get("/api/v1/leads/hops")
        .header("origin", "https://evil.example")
        .send()
        .await;
    assert_eq!(origin(&answer), None, "not even what the service said");
}
