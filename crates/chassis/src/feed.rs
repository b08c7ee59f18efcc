//! Events in and out over HTTP: `GET /internal/events`, and the consumer that reads it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::http::StatusCode;
use actix_web::web;
use chrono::{DateTime, Utc};
use common::auth::Service;
use common::events::{Envelope, FeedPage, Positioned};
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::auth::ServiceCaller;
use crate::bell::Bell;
use crate::client::{Peer, PeerError};
use crate::error::{Unavailable, query_kind};
use crate::host::Host;
use crate::http::Query;
use crate::metrics::Metrics;
use crate::schema::feed_positions;
use crate::{Clock, Db, Fault, outbox, respond_with_problem};

/// Most events in one page of a feed.
const PAGE: i64 = 500;
/// How long a consumer waits when nobody rings.
const POLL: Duration = Duration::from_secs(1);

/// How long events gather after some were taken in.
const BREATH: Duration = Duration::from_millis(25);

/// A feed that goes on standing still is logged again after this.
const REMIND: Duration = Duration::from_secs(60);

/// Why a feed could not be read or taken in.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    #[error(transparent)]
    Peer(#[from] PeerError),
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// A position belongs to its consumer: moving it forward lets events be pruned.
    #[error("{caller} cannot say what {consumer} has read")]
    NotYours { caller: Service, consumer: Service },
    #[error("something went wrong on our side")]
    Query(#[from] diesel::result::Error),
}

impl Fault for FeedError {
    fn kind(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Peer(error) => error.kind(),
            Self::Unavailable(error) => error.kind(),
            Self::NotYours { .. } => (StatusCode::FORBIDDEN, "not_your_feed_position"),
            Self::Query(error) => query_kind(error),
        }
    }
}

respond_with_problem!(FeedError);

/// `?after=<position>`; `consumer=<name>` says who the caller believes to be.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeedQuery {
    after: i64,
    consumer: Option<Service>,
    /// Kinds that are not sent, separated by commas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pass_over: Option<String>,
}

/// `GET /internal/events`: asking for what comes after a position acknowledges all up to it.
pub async fn events(
    host: web::Data<Host>,
    caller: ServiceCaller,
    query: Query<FeedQuery>,
) -> Result<web::Json<FeedPage>, FeedError> {
    let FeedQuery {
        after,
        consumer,
        pass_over,
    } = query.into_inner();
    let ServiceCaller(caller) = caller;
    if let Some(consumer) = consumer.filter(|consumer| *consumer != caller) {
        return Err(FeedError::NotYours { caller, consumer });
    }
    let (producer, now) = (host.service, host.clock.now());
    let pass_over = pass_over.unwrap_or_default();
    let page = host
        .db
        .run(move |conn| page(conn, producer, caller, after, &pass_over, now))
        .await?;
    Ok(web::Json(page))
}

type Effect = dyn Fn(&mut PgConnection, &Envelope) -> QueryResult<()> + Send + Sync;

/// Whose feed is read.
#[derive(Clone)]
enum Producer {
    Peer(Arc<Peer>),
    /// The consumer's own, which is in its database.
    Own(Service),
}

impl Producer {
    fn service(&self) -> Service {
        match self {
            Self::Peer(peer) => peer.service,
            Self::Own(service) => *service,
        }
    }
}

/// Reads one producer's feed. Each event's effect and the new position commit together, so each
/// takes effect once, whatever is killed and however many replicas read.
#[derive(Clone)]
pub struct Consumer {
    db: Db,
    consumer: Service,
    producer: Producer,
    clock: Clock,
    bell: Bell,
    metrics: Metrics,
    effect: Arc<Effect>,
    pass_over: Option<String>,
}

impl std::fmt::Debug for Consumer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Consumer({} <- {})",
            self.consumer,
            self.producer.service()
        )
    }
}

impl Consumer {
    /// `effect` sees every event of `producer`, also kinds it does not know: it ignores those.
    pub fn new(
        host: &Host,
        producer: Arc<Peer>,
        effect: impl Fn(&mut PgConnection, &Envelope) -> QueryResult<()> + Send + Sync + 'static,
    ) -> Self {
        Self::reading(host, Producer::Peer(producer), Arc::new(effect))
    }

    /// The same for what this service tells itself: no HTTP is between.
    pub fn of_own(
        host: &Host,
        effect: impl Fn(&mut PgConnection, &Envelope) -> QueryResult<()> + Send + Sync + 'static,
    ) -> Self {
        Self::reading(host, Producer::Own(host.service), Arc::new(effect))
    }

    fn reading(host: &Host, producer: Producer, effect: Arc<Effect>) -> Self {
        Self {
            db: host.db.clone(),
            consumer: host.service,
            producer,
            clock: host.clock.clone(),
            bell: host.bell.clone(),
            metrics: host.metrics.clone(),
            effect,
            pass_over: None,
        }
    }

    /// Leaves out events of these kinds: they are many or large, and nothing here comes of them.
    #[must_use]
    pub fn passing_over(self, kinds: &[&str]) -> Self {
        Self {
            pass_over: Some(kinds.join(",")),
            ..self
        }
    }

    /// Follows the feed until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut warned: Option<Instant> = None;
        while !stop.is_cancelled() {
            match self.step().await {
                Ok(0) => warned = None,
                // There may be more.
                Ok(count) if count >= PAGE as usize => {
                    warned = None;
                    continue;
                }
                Ok(_) => {
                    warned = None;
                    // A busy producer rings many times a second; taken in together they cost less.
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = tokio::time::sleep(BREATH) => {}
                    }
                }
                Err(error) => {
                    let producer = self.producer.service().as_str();
                    self.metrics.feed_failure(producer);
                    if warned.is_none_or(|at| at.elapsed() > REMIND) {
                        tracing::warn!(%error, producer, "the feed stands still for now");
                        warned = Some(Instant::now());
                    }
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.bell.wait(self.producer.service(), POLL) => {}
            }
        }
    }

    /// Takes in one page; answers how many events it held, and at least one when it went on.
    pub async fn step(&self) -> Result<usize, FeedError> {
        let producer = self.producer.service().as_str();
        let after = self
            .db
            .run(move |conn| Ok::<_, FeedError>(position(conn, producer)?))
            .await?;
        let page = self.page(after).await?;
        let last = page.items.last().map(|item| item.position);
        let Some(upto) = page.upto.or(last) else {
            return Ok(0);
        };
        let effect = Arc::clone(&self.effect);
        let count = page.items.len().max(1);
        self.db
            .transaction(move |conn| take_in(conn, producer, after, upto, &page.items, &*effect))
            .await?;
        Ok(count)
    }

    async fn page(&self, after: i64) -> Result<FeedPage, FeedError> {
        match &self.producer {
            Producer::Peer(peer) => {
                let query = FeedQuery {
                    after,
                    consumer: Some(self.consumer),
                    pass_over: self.pass_over.clone(),
                };
                Ok(peer.get("/internal/events", &query).await?)
            }
            Producer::Own(service) => {
                let (service, now) = (*service, self.clock.now());
                let pass_over = self.pass_over.clone().unwrap_or_default();
                let read = self
                    .db
                    .run(move |conn| page(conn, service, service, after, &pass_over, now))
                    .await?;
                Ok(read)
            }
        }
    }
}

/// What comes after `after` in `producer`'s outbox; asking acknowledges all up to it.
fn page(
    conn: &mut PgConnection,
    producer: Service,
    consumer: Service,
    after: i64,
    pass_over: &str,
    now: DateTime<Utc>,
) -> Result<FeedPage, FeedError> {
    outbox::acknowledge(conn, consumer.as_str(), after, now)?;
    let kinds: Vec<_> = pass_over.split(',').map(str::to_owned).collect();
    Ok(outbox::read(conn, producer, after, PAGE, &kinds)?)
}

fn position(conn: &mut PgConnection, producer: &str) -> QueryResult<i64> {
    let position = feed_positions::table
        .find(producer)
        .select(feed_positions::position)
        .first(conn)
        .optional()?;
    Ok(position.unwrap_or(0))
}

fn take_in(
    conn: &mut PgConnection,
    producer: &str,
    after: i64,
    upto: i64,
    items: &[Positioned],
    effect: &Effect,
) -> Result<(), FeedError> {
    diesel::insert_into(feed_positions::table)
        .values((
            feed_positions::producer.eq(producer),
            feed_positions::position.eq(0),
        ))
        .on_conflict_do_nothing()
        .execute(conn)?;
    let current: i64 = feed_positions::table
        .find(producer)
        .select(feed_positions::position)
        .for_update()
        .first(conn)?;
    if current != after {
        // Another replica was here first; the next step starts where it ended.
        return Ok(());
    }
    for item in items {
        effect(conn, &item.event)?;
    }
    diesel::update(feed_positions::table.find(producer))
        .set(feed_positions::position.eq(upto))
        .execute(conn)?;
    Ok(())
}

/// Reads an event's payload for an effect; one that cannot be read is logged and passed over,
/// because stopping the feed for it would stop everything behind it.
pub fn payload<E: common::events::Event>(event: &Envelope) -> Option<E> {
    match event.read::<E>()? {
        Ok(payload) => Some(payload),
        Err(error) => {
            tracing::error!(event.id = %event.id, event.kind = %event.kind, %error, "unreadable event passed over");
            None
        }
    }
}
