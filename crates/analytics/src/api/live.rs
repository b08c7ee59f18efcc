//! `GET /api/v1/live`: events as they are committed, as server-sent events.
//!
//! <https://html.spec.whatwg.org/multipage/server-sent-events.html>. An event's `id` says where in
//! the stream it is; a client that sends it as `Last-Event-ID` goes on right behind it, on
//! whichever replica.

use std::str::FromStr;
use std::time::Duration;

use actix_web::get;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use chassis::InvalidInput;
use chassis::auth::Caller;
use chassis::http::Query;
use chrono::{DateTime, Utc};
use common::auth::Scope;
use common::{CampaignId, WorkspaceId};
use serde::Deserialize;
use tokio::sync::watch;
use tokio::time::Instant;

use super::State;
use crate::error::Error;
use crate::live::Ring;
use crate::store::live::{self as stream, LiveEvent, Stretch};

/// Most who watch one replica.
const MAX_WATCHERS: usize = 500;
/// Most events of one look.
const AT_ONCE: i64 = 500;
/// A comment goes out after this, so that nobody in between takes the stream for dead.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How often it looks when nobody rings: Redis may be away, or a transaction was slow to end.
const LOOK: Duration = Duration::from_secs(2);
/// A stream ends after this and is taken up again: whoever watches must still be allowed to.
const LONGEST: Duration = Duration::from_secs(300);
/// How far back a client may take up what it missed.
const REPLAY_MINUTES: i64 = 15;
/// Events are committed at most this long after they were received, unless a ring says otherwise.
const SLACK_S: i64 = 60;

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct LiveQuery {
    /// Only this campaign's events.
    campaign_id: Option<CampaignId>,
    /// As `Last-Event-ID`, for clients that cannot send headers.
    last_event_id: Option<String>,
}

/// A place in the stream: so many events of the stretch that begins here were sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    from: i64,
    /// Where the stretch ends, once it is known.
    to: i64,
    sent: i64,
    /// Since when what comes was received.
    since: DateTime<Utc>,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let since = self.since.timestamp_millis();
        write!(f, "{}.{}.{}.{since}", self.from, self.to, self.sent)
    }
}

impl FromStr for Place {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let numbers: Vec<i64> = text
            .split('.')
            .map(|part| part.parse().map_err(|_| ()))
            .collect::<Result<_, _>>()?;
        let [from, to, sent, since] = numbers[..] else {
            return Err(());
        };
        let since = DateTime::from_timestamp_millis(since).ok_or(())?;
        let sound = from >= 0 && to >= from && sent >= 0;
        sound
            .then_some(Self {
                from,
                to,
                sent,
                since,
            })
            .ok_or(())
    }
}

#[utoipa::path(
    tag = "analytics",
    operation_id = "analytics_live",
    params(
        LiveQuery,
        ("Last-Event-ID" = Option<String>, Header, description = "The `id` of the last event that was seen; the stream goes on right behind it, up to 15 minutes back"),
    ),
    responses(
        (status = 200, description = "A stream of `event`s, the data of each as JSON; it ends after five minutes and is to be taken up again", content_type = "text/event-stream", body = LiveEvent),
        (status = 422, description = "The place in the stream is none", body = common::Problem),
        (status = 503, description = "Too many watch already, or the database is away", body = common::Problem),
    )
)]
#[get("/api/v1/live")]
pub(crate) async fn live(
    state: Data<State>,
    caller: Caller,
    request: HttpRequest,
    query: Query<LiveQuery>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::AnalyticsRead)?;
    let header = request.headers().get("last-event-id");
    let header = header
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned);
    let place = match header.or_else(|| query.last_event_id.clone()) {
        None => None,
        Some(text) => Some(text.parse::<Place>().map_err(|()| {
            InvalidInput::field("header/Last-Event-ID", "is not a place in this stream")
        })?),
    };
    if state.live.watchers() >= MAX_WATCHERS {
        return Err(chassis::Unavailable::new("room for one more to watch").into());
    }
    let mut rings = state.live.watch(caller.workspace);
    let heard = rings.borrow_and_update().times;
    let now = state.host.clock.now();
    let place = match place {
        Some(place) => place,
        None => {
            let begin = state
                .host
                .db
                .run(|conn| Ok::<_, Error>(stream::horizon(conn)?))
                .await?;
            Place {
                from: begin,
                to: begin,
                sent: 0,
                since: now,
            }
        }
    };
    let watcher = Watcher {
        state,
        workspace: caller.workspace,
        campaign: query.campaign_id,
        place,
        heard,
        rings,
        until: Instant::now() + LONGEST,
        spoke: Instant::now(),
        begun: false,
    };
    let blocks = futures::stream::unfold(watcher, |mut watcher| async {
        let next = watcher.next().await?;
        Some((next, watcher))
    });
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header(("cache-control", "no-store"))
        .insert_header(("x-accel-buffering", "no"))
        .streaming(blocks))
}

/// One client's stream.
struct Watcher {
    state: Data<State>,
    workspace: WorkspaceId,
    campaign: Option<CampaignId>,
    place: Place,
    rings: watch::Receiver<Ring>,
    until: Instant,
    /// How many rings were heard.
    heard: u64,
    /// When something was sent last.
    spoke: Instant,
    begun: bool,
}

impl Watcher {
    /// What is sent next; nothing at the end.
    async fn next(&mut self) -> Option<Result<Bytes, Error>> {
        if !self.begun {
            self.begun = true;
            return Some(Ok(Bytes::from(format!(
                "retry: 1000\nid: {}\n\n",
                self.place
            ))));
        }
        loop {
            if self.state.host.stop.is_cancelled() || Instant::now() >= self.until {
                return None;
            }
            match self.look().await {
                Ok(events) if !events.is_empty() => {
                    self.spoke = Instant::now();
                    return Some(Ok(self.written(&events)));
                }
                Ok(_) => {}
                Err(error) => {
                    // The stream ends, and is taken up where it was when the database is back.
                    tracing::warn!(%error, "a live stream ends");
                    return None;
                }
            }
            if self.spoke.elapsed() >= HEARTBEAT {
                self.spoke = Instant::now();
                return Some(Ok(Bytes::from_static(b": still here\n\n")));
            }
            tokio::select! {
                () = self.state.host.stop.cancelled() => return None,
                // Only the sender's end is an error, and then it looks by itself.
                _ = self.rings.changed() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    /// The next events of the stretch, or those of the next stretch. The place stays before them.
    async fn look(&mut self) -> Result<Vec<LiveEvent>, Error> {
        let now = self.state.host.clock.now();
        let oldest = now - chrono::Duration::minutes(REPLAY_MINUTES);
        let rung = {
            let ring = self.rings.borrow_and_update();
            let since = ring.since(self.heard);
            self.heard = ring.times;
            since
        };
        let since = rung.map_or(self.place.since, |rung| rung.min(self.place.since));
        // The earliest moments cannot be gone back from.
        let since = since.max(oldest) - chrono::Duration::seconds(SLACK_S);
        let (workspace, campaign, place) = (self.workspace, self.campaign, self.place);
        let (place, events) = self
            .state
            .host
            .db
            .run(move |conn| {
                let mut place = place;
                let stretch = |place: &Place| Stretch {
                    workspace,
                    campaign,
                    from: place.from,
                    to: place.to,
                    since,
                };
                let mut events = Vec::new();
                if place.to > place.from {
                    events = stream::events(conn, stretch(&place), place.sent, AT_ONCE)?;
                }
                if events.is_empty() {
                    let to = stream::horizon(conn)?.max(place.to);
                    let before = place.since;
                    place = Place {
                        from: place.to,
                        to,
                        sent: 0,
                        since: before,
                    };
                    if to > place.from {
                        events = stream::events(conn, stretch(&place), 0, AT_ONCE)?;
                        // Where this stretch looked back to it is taken up from, too.
                        place.since = if events.is_empty() { now } else { since };
                    }
                }
                Ok::<_, Error>((place, events))
            })
            .await?;
        self.place = place;
        Ok(events)
    }

    fn written(&mut self, events: &[LiveEvent]) -> Bytes {
        let mut text = String::new();
        for event in events {
            self.place.sent += 1;
            // Plain data with string keys cannot fail to be written.
            let data = serde_json::to_string(event).unwrap_or_default();
            text.push_str(&format!(
                "id: {}\nevent: event\ndata: {data}\n\n",
                self.place
            ));
        }
        text.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_was_written() {
        let since = DateTime::from_timestamp_millis(1_790_000_000_123).expect("a time");
        let place = Place {
            from: 7,
            to: 9,
            sent: 3,
            since,
        };
        assert_eq!(place.to_string().parse(), Ok(place));
        for text in [
            "",
            "7",
            "7.9.3",
            "9.7.0.0",
            "7.9.-1.0",
            "7.9.3.x",
            "7.9.3.0.0",
        ] {
            assert_eq!(text.parse::<Place>(), Err(()), "{text}");
        }
    }
}
