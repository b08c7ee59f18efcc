//! `GET /api/v1/live`

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use common::auth::Role;
use common::{CampaignId, EventId, WorkspaceId};
use serde_json::{Value, json};
use testkit::{Issuer, Servers, Setup};

use crate::support::{App, Mail, browse, send, sent};

/// Nothing here takes a part of this; without it, what is missing would be waited for forever.
const PATIENCE: Duration = Duration::from_secs(120);

/// A client that watches.
struct Watching {
    response: reqwest::Response,
    buffer: String,
    last_id: String,
}

impl Watching {
    async fn start(app: &App, query: &str, last_id: Option<&str>) -> Self {
        Self::of(app, app.workspace, query, last_id).await
    }

    /// Watches from now on, or from behind an event.
    async fn of(app: &App, workspace: WorkspaceId, query: &str, last_id: Option<&str>) -> Self {
        let token = Issuer::shared().user(workspace, Role::Analyst, app.clock.now().timestamp());
        let url = format!("{}/api/v1/live{query}", app.url());
        let mut request = chassis::client::http().get(url).bearer_auth(token);
        if let Some(id) = last_id {
            request = request.header("last-event-id", id);
        }
        let response = request.send().await.expect("it answers");
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let (buffer, last_id) = (String::new(), String::new());
        let mut watching = Self {
            response,
            buffer,
            last_id,
        };
        let first = watching.block().await;
        assert!(
            first.starts_with("retry: ") && !watching.last_id.is_empty(),
            "{first}"
        );
        watching
    }

    async fn block(&mut self) -> String {
        loop {
            if let Some((block, rest)) = self.buffer.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.buffer = rest;
                let id = block.lines().find_map(|line| line.strip_prefix("id: "));
                self.last_id = id.map_or(self.last_id.clone(), str::to_owned);
                return block;
            }
            let chunk = tokio::time::timeout(PATIENCE, self.response.chunk()).await;
            let chunk = chunk.expect("something comes").expect("the stream holds");
            let chunk = chunk.expect("the stream goes on");
            self.buffer
                .push_str(std::str::from_utf8(&chunk).expect("text"));
        }
    }

    async fn next(&mut self) -> Value {
        loop {
            let block = self.block().await;
            if let Some(data) = block.lines().find_map(|line| line.strip_prefix("data: ")) {
                assert!(block.contains("event: event"), "{block}");
                return serde_json::from_str(data).expect("JSON");
            }
        }
    }

    async fn ids(&mut self, count: usize) -> Vec<String> {
        let mut ids = Vec::new();
        while ids.len() < count {
            ids.push(self.next().await["id"].as_str().expect("an id").to_owned());
        }
        ids
    }
}

fn named(count: usize) -> (Vec<String>, Value) {
    let ids: Vec<_> = (0..count).map(|_| EventId::new().to_string()).collect();
    let events: Vec<_> = ids
        .iter()
        .map(|id| json!({ "id": id, "type": "view" }))
        .collect();
    (ids, json!({ "events": events }))
}

fn sorted(ids: &[String]) -> BTreeSet<&String> {
    ids.iter().collect()
}

#[tokio::test]
async fn whoever_watches_sees_what_happens_on_any_replica() {
    let app = App::start().await;
    let replica = Setup::default().beside(&app).start().await;
    let mut earlier = Watching::of(&replica, app.workspace, "", None).await;
    sent(&app, json!({ "type": "view", "name": "before" })).await;
    assert_eq!(earlier.next().await["name"], "before");
    let mut watching = Watching::of(&replica, app.workspace, "", None).await;
    let event = json!({ "type": "goal", "name": "signup", "anonymous_id": "a", "url": "https://shop.example/" });
    sent(&app, event).await;
    let seen = watching.next().await;
    assert_eq!(
        (
            &seen["type"],
            &seen["name"],
            &seen["anonymous_id"],
            &seen["url"],
            &seen["verdict"]
        ),
        (
            &json!("goal"),
            &json!("signup"),
            &json!("a"),
            &json!("https://shop.example/"),
            &json!("human")
        )
    );
    browse(&app, &Mail::of(&app, CampaignId::new()).link(&app, 0)).await;
    let seen = watching.next().await;
    assert_eq!(
        (&seen["type"], &seen["device"]),
        (&json!("click"), &json!("desktop"))
    );
}

#[tokio::test]
async fn a_stream_is_taken_up_right_behind_the_last_event_on_any_replica() {
    let app = App::start().await;
    let replica = Setup::default().beside(&app).start().await;
    let mut watching = Watching::start(&app, "", None).await;
    let (first, body) = named(10);
    sent(&app, body).await;
    let mut seen = watching.ids(4).await;
    let place = watching.last_id.clone();
    drop(watching);
    let (second, body) = named(5);
    sent(&app, body).await;
    let mut again = Watching::of(&replica, app.workspace, "", Some(&place)).await;
    seen.extend(again.ids(11).await);
    let all: Vec<_> = first.into_iter().chain(second).collect();
    assert_eq!(seen.len(), all.len());
    assert_eq!(sorted(&seen), sorted(&all));
    // By the query as well, from the very beginning of what was seen.
    let query = format!("?last_event_id={place}");
    let mut by_query = Watching::of(&replica, app.workspace, &query, None).await;
    let later = by_query.ids(11).await;
    assert_eq!(sorted(&later), sorted(&seen[4..]));
}

#[tokio::test]
async fn everybody_sees_everything_once_while_many_write() {
    let app = App::start().await;
    let replica = Setup::default().beside(&app).start().await;
    let mut here = Watching::start(&app, "", None).await;
    let mut there = Watching::of(&replica, app.workspace, "", None).await;
    let batches: Vec<_> = (0..40).map(|_| named(25)).collect();
    let all: Vec<String> = batches.iter().flat_map(|(ids, _)| ids.clone()).collect();
    let workspace = app.workspace;
    let writes = batches.into_iter().enumerate().map(|(n, (_, body))| {
        let app = if n % 2 == 0 { &app } else { &replica };
        let owner = app.as_role_in(workspace, Role::Owner);
        async move {
            let request = owner.post("/api/v1/analytics").json(&body);
            request.send().await.assert_status(202)
        }
    });
    let writes = futures::future::join_all(writes);
    let (seen_here, seen_there, _) = futures::join!(here.ids(1000), there.ids(1000), writes);
    for seen in [seen_here, seen_there] {
        let mut times: BTreeMap<&String, usize> = BTreeMap::new();
        seen.iter()
            .for_each(|id| *times.entry(id).or_default() += 1);
        assert_eq!(times.len(), 1000, "each once");
        assert_eq!(sorted(&seen), sorted(&all));
    }
}

#[tokio::test]
async fn nobody_watches_another_workspace_or_another_campaign() {
    let app = App::start().await;
    let campaign = CampaignId::new();
    let mut theirs = Watching::of(&app, WorkspaceId::new(), "", None).await;
    let mut only = Watching::start(&app, &format!("?campaign_id={campaign}"), None).await;
    let mut all = Watching::start(&app, "", None).await;
    sent(&app, json!({ "type": "view", "name": "elsewhere" })).await;
    assert_eq!(all.next().await["name"], "elsewhere");
    sent(
        &app,
        json!({ "type": "view", "name": "here", "campaign_id": campaign }),
    )
    .await;
    assert_eq!(only.next().await["name"], "here");
    assert_eq!(all.next().await["name"], "here");
    let foreign = theirs.block();
    // Their stream says only that it is alive.
    let foreign = tokio::time::timeout(Duration::from_millis(200), foreign).await;
    assert!(foreign.is_err(), "{foreign:?}");
}

#[tokio::test]
async fn without_redis_it_takes_a_little_longer() {
    let mut servers = Servers::private();
    let app: App = Setup::on(&servers).start().await;
    let mut watching = Watching::start(&app, "", None).await;
    servers.redis.stop_immediate();
    let (ids, body) = named(3);
    sent(&app, body).await;
    assert_eq!(sorted(&watching.ids(3).await), sorted(&ids));
}

#[tokio::test]
async fn a_place_that_is_none_and_a_caller_who_may_not_are_refused() {
    let app = App::start().await;
    let analyst = app.as_role(Role::Analyst);
    for place in ["yesterday", "1.2", "9.7.0.0"] {
        let answer = analyst
            .get("/api/v1/live")
            .header("last-event-id", place)
            .send()
            .await;
        let problem = answer.assert_error(422, "invalid_input");
        assert_eq!(problem.errors[0].pointer, "header/Last-Event-ID");
    }
    analyst
        .get("/api/v1/live?color=red")
        .send()
        .await
        .assert_error(422, "invalid_input");
    app.as_role(Role::Customer)
        .get("/api/v1/live")
        .send()
        .await
        .assert_error(403, "scope_missing");
    app.anonymous()
        .get("/api/v1/live")
        .send()
        .await
        .assert_error(401, "token_missing");
}

#[tokio::test]
async fn streams_end_when_the_service_stops() {
    let mut app = App::start().await;
    let mut watching = Watching::start(&app, "", None).await;
    send(&app, json!({ "type": "view" }))
        .await
        .assert_status(202);
    watching.next().await;
    app.stop();
    let end = tokio::time::timeout(PATIENCE, watching.response.chunk()).await;
    assert!(matches!(end, Ok(Ok(None))), "{end:?}");
}
