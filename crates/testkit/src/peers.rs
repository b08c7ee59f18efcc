//! Stand-ins for the services that the one under test calls.

use std::sync::{Arc, Mutex, PoisonError};

use common::WorkspaceId;
use common::events::{Envelope, Event, FeedPage, Positioned};
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

/// Another service, played by `wiremock`. Its feed holds the events a test gives it.
#[derive(Debug)]
pub struct StubPeer {
    pub server: MockServer,
    events: Arc<Mutex<Vec<Positioned>>>,
}

struct Feed(Arc<Mutex<Vec<Positioned>>>);

impl Respond for Feed {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let after = request
            .url
            .query_pairs()
            .find(|(key, _)| key == "after")
            .and_then(|(_, value)| value.parse::<i64>().ok())
            .unwrap_or(0);
        let events = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let items = events
            .iter()
            .filter(|event| event.position > after)
            .cloned()
            .collect();
        ResponseTemplate::new(200).set_body_json(FeedPage { items, upto: None })
    }
}

impl StubPeer {
    pub async fn start() -> Self {
        let (server, events) = (MockServer::start().await, Arc::default());
        let feed = Feed(Arc::clone(&events));
        // A test's own mocks come first.
        Mock::given(path("/internal/events"))
            .respond_with(feed)
            .with_priority(200)
            .mount(&server)
            .await;
        Self { server, events }
    }

    pub fn url(&self) -> String {
        self.server.uri()
    }

    /// Puts an event at the end of this service's feed.
    pub fn tell<E: Event>(&self, workspace: WorkspaceId, event: &E) {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        let position = events.last().map_or(1, |last| last.position + 1);
        events.push(Positioned {
            position,
            event: Envelope {
                specversion: "1.0".into(),
                id: uuid::Uuid::now_v7(),
                source: "/services/stub".into(),
                kind: E::KIND.into(),
                subject: event.subject(),
                time: chrono::Utc::now(),
                workspaceid: workspace,
                traceparent: None,
                data: serde_json::to_value(event).expect("an event is plain data"),
            },
        });
    }
}
