//! What a worker of the gateway holds. Connections stay on their worker: what workers share costs a
//! third more CPU and stalls now and then.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use actix_web::http::Method;
use arc_swap::ArcSwap;
use chassis::auth::Verifier;
use chassis::metrics::{Metrics, Timing};
use chassis::redis::Redis;
use chassis::refusals::Refusals;
use tokio_rustls::rustls::{ClientConfig, ServerConfig};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::access_log::AccessLog;
use crate::cache::Freshness;
use crate::credentials::Exchange;
use crate::limits::Limits;
use crate::networks::Networks;
use crate::table::Table;
use crate::upstream::Idle;

/// What all workers share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) verifier: Verifier,
    pub(crate) exchange: Exchange,
    pub(crate) metrics: Metrics,
    pub(crate) table: ArcSwap<Table>,
    /// Counts the tables, so that workers see that there is a new one.
    generation: AtomicU64,
    pub(crate) routes_file: Option<PathBuf>,
    /// Where the settings say that the services are.
    pub(crate) urls: BTreeMap<String, String>,
    /// How those are spoken to that are to be spoken to over TLS.
    pub(crate) inside_tls: Option<Arc<ClientConfig>>,
    pub(crate) limits: Limits,
    pub(crate) freshness: Arc<Freshness>,
    pub(crate) redis: Option<Redis>,
    pub(crate) trusted: Networks,
    pub(crate) inside: Networks,
    pub(crate) docs: bool,
    pub(crate) refusals: Refusals,
    pub(crate) tls: Option<Arc<ServerConfig>>,
    pub(crate) public_url: Url,
    pub(crate) cors_origins: Vec<String>,
    pub(crate) timeout: Duration,
    /// Requests in hand, and how many they may be.
    pub(crate) in_hand: AtomicUsize,
    pub(crate) most_in_hand: usize,
    pub(crate) access_log: Option<Arc<std::fs::File>>,
    pub(crate) started: Instant,
    /// Set once every part was ready at the same time.
    pub(crate) complete: OnceLock<()>,
    /// Readiness fails.
    pub(crate) stop: CancellationToken,
    /// Connections that wait are closed.
    pub(crate) close: CancellationToken,
}

/// What makes up the shared part, beside what it makes itself.
pub(crate) struct Ingredients {
    pub(crate) verifier: Verifier,
    pub(crate) exchange: Exchange,
    pub(crate) metrics: Metrics,
    pub(crate) table: Table,
    pub(crate) routes_file: Option<PathBuf>,
    pub(crate) urls: BTreeMap<String, String>,
    pub(crate) inside_tls: Option<Arc<ClientConfig>>,
    pub(crate) redis: Option<Redis>,
    pub(crate) trusted: Networks,
    pub(crate) inside: Networks,
    pub(crate) docs: bool,
    pub(crate) tls: Option<Arc<ServerConfig>>,
    pub(crate) public_url: Url,
    pub(crate) cors_origins: Vec<String>,
    pub(crate) timeout: Duration,
    pub(crate) most_in_hand: usize,
    pub(crate) access_log: Option<Arc<std::fs::File>>,
}

impl Shared {
    pub(crate) fn new(from: Ingredients) -> Self {
        Self {
            verifier: from.verifier,
            exchange: from.exchange,
            metrics: from.metrics,
            table: ArcSwap::from_pointee(from.table),
            generation: AtomicU64::new(0),
            routes_file: from.routes_file,
            urls: from.urls,
            inside_tls: from.inside_tls,
            limits: Limits::default(),
            freshness: Arc::default(),
            redis: from.redis,
            trusted: from.trusted,
            inside: from.inside,
            docs: from.docs,
            refusals: Refusals::default(),
            tls: from.tls,
            public_url: from.public_url,
            cors_origins: from.cors_origins,
            timeout: from.timeout,
            in_hand: AtomicUsize::new(0),
            most_in_hand: from.most_in_hand,
            access_log: from.access_log,
            started: Instant::now(),
            complete: OnceLock::new(),
            stop: CancellationToken::new(),
            close: CancellationToken::new(),
        }
    }

    /// From now on this table holds; requests in hand end by the old one.
    pub(crate) fn take(&self, table: Table) {
        self.table.store(Arc::new(table));
        self.generation.fetch_add(1, Ordering::Release);
    }
}

/// One worker's view.
pub(crate) struct Gate {
    pub(crate) shared: Arc<Shared>,
    pub(crate) idle: RefCell<Idle>,
    pub(crate) log: RefCell<AccessLog>,
    /// For answers that are kept.
    pub(crate) redis: Option<Redis>,
    /// The worker's own: connections look at it often.
    pub(crate) close: CancellationToken,
    view: RefCell<Rc<View>>,
    scratch: RefCell<Vec<Vec<u8>>>,
    date: Cell<(u64, [u8; 29])>,
}

/// A table with this worker's own counters beside its lines.
pub(crate) struct View {
    pub(crate) table: Arc<Table>,
    generation: u64,
    /// By the line's place in the table; the last is for what has no line.
    timings: Vec<RefCell<Timings>>,
}

type Timings = Vec<((Method, u16), Timing)>;

/// Buffers that are kept for the next request.
const SPARE: usize = 256;

impl Gate {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let view = RefCell::new(Rc::new(View::of(&shared)));
        let log = RefCell::new(AccessLog::new(shared.access_log.clone()));
        // A URL that cannot be one was refused at the start.
        let redis = shared.redis.as_ref().and_then(|redis| redis.apart().ok());
        Self {
            redis,
            close: shared.close.child_token(),
            shared,
            idle: RefCell::default(),
            log,
            view,
            scratch: RefCell::default(),
            date: Cell::new((0, [0; 29])),
        }
    }

    /// The table as it is now; a request keeps to the one that it began with.
    pub(crate) fn view(&self) -> Rc<View> {
        let mut view = self.view.borrow_mut();
        if view.generation != self.shared.generation.load(Ordering::Acquire) {
            *view = Rc::new(View::of(&self.shared));
        }
        Rc::clone(&view)
    }

    /// An empty buffer; it is given back with [`Gate::spare`].
    pub(crate) fn buffer(&self) -> Vec<u8> {
        self.scratch.borrow_mut().pop().unwrap_or_default()
    }

    pub(crate) fn spare(&self, mut buffer: Vec<u8>) {
        let mut scratch = self.scratch.borrow_mut();
        if scratch.len() < SPARE && buffer.capacity() <= 16 * 1024 {
            buffer.clear();
            scratch.push(buffer);
        }
    }

    /// The time as HTTP writes it, made once a second (RFC 9110 §5.6.7).
    pub(crate) fn date(&self) -> [u8; 29] {
        let now = std::time::UNIX_EPOCH
            .elapsed()
            .unwrap_or_default()
            .as_secs();
        let (second, text) = self.date.get();
        if second == now {
            return text;
        }
        let written = chrono::DateTime::from_timestamp(now.cast_signed(), 0)
            .unwrap_or_default()
            .format("%a, %d %b %Y %H:%M:%S GMT")
            .to_string();
        let text = written.as_bytes().try_into().unwrap_or([b' '; 29]);
        self.date.set((now, text));
        text
    }

    /// What a worker does beside its requests: it closes what is kept for too long, and writes
    /// down what it has answered.
    pub(crate) async fn keep_house(self: Rc<Self>) {
        const EVERY: Duration = Duration::from_millis(500);
        while !self.close.is_cancelled() {
            actix_web::rt::time::sleep(EVERY).await;
            self.idle.borrow_mut().prune(Instant::now());
            self.log.borrow_mut().flush();
        }
    }
}

impl View {
    fn of(shared: &Shared) -> Self {
        let generation = shared.generation.load(Ordering::Acquire);
        let table = shared.table.load_full();
        let timings = (0..=table.routes().len()).map(|_| RefCell::default());
        Self {
            generation,
            timings: timings.collect(),
            table,
        }
    }

    /// Counts a request; its counter is looked up by name only once.
    pub(crate) fn count(
        &self,
        metrics: &Metrics,
        route: Option<usize>,
        method: &Method,
        status: u16,
        took: Duration,
    ) {
        let at = route.unwrap_or(self.timings.len() - 1);
        let mut timings = self.timings[at].borrow_mut();
        let known = timings
            .iter()
            .find(|((known, code), _)| *code == status && known == method);
        if let Some((_, timing)) = known {
            return timing.observe(took);
        }
        let label = route.map_or("own", |at| &self.table.routes()[at].prefix);
        let timing = metrics.timing(method.as_str(), label, status);
        timing.observe(took);
        timings.push(((method.clone(), status), timing));
    }
}
