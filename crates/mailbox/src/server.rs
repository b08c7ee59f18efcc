use std::{
    net::{SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use actix_web::{App, HttpServer, dev::Server, middleware::Compress};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    Error, Faults, Filter, Listing, Mail, Settings, Stats,
    behaviour::SoftTries,
    http, mail,
    smtp::{Listener, Shared},
    store::Store,
};

/// A mailbox that listens; `run` serves until it is told to stop.
pub struct Mailbox {
    smtp: Listener,
    http: Option<(Server, SocketAddr)>,
    handle: Handle,
}

/// What tests and pages do with a mailbox while it runs. Cloning shares it.
#[derive(Debug, Clone)]
pub struct Handle {
    pub(crate) store: Store,
    faults: Arc<watch::Sender<Faults>>,
    dropped: Arc<AtomicU64>,
}

impl std::fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mailbox")
            .field("smtp", &self.smtp_addr())
            .finish_non_exhaustive()
    }
}

impl Mailbox {
    /// Opens both ports and the store. Messages kept by an earlier run are there again.
    pub async fn bind(settings: Settings) -> Result<Self, Error> {
        let (smtp, smtp_addr) = listen(settings.smtp_addr)?;
        let http = settings.http_addr.map(listen).transpose()?;
        let store = Store::open(settings.data_dir.clone())?;
        let (faults, watched) = watch::channel(Faults::default());
        let handle = Handle {
            store: store.clone(),
            faults: Arc::new(faults),
            dropped: Arc::default(),
        };
        let http = http
            .map(|(listener, addr)| serve(listener, addr, &handle))
            .transpose()?;
        let shared = Shared {
            settings,
            store,
            soft: SoftTries::default(),
            faults: watched,
            messages: AtomicU64::new(0),
            dropped: Arc::clone(&handle.dropped),
        };
        let smtp = tokio::net::TcpListener::from_std(smtp).map_err(Error::Serve)?;
        Ok(Self {
            smtp: Listener::new(smtp, smtp_addr, shared),
            http,
            handle,
        })
    }

    pub fn smtp_addr(&self) -> SocketAddr {
        self.smtp.addr
    }

    /// Where its own pages are, unless it was bound without.
    pub fn http_addr(&self) -> Option<SocketAddr> {
        self.http.as_ref().map(|(_, addr)| *addr)
    }

    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Serves until `stop` is cancelled, then lets every conversation come to its end.
    pub async fn run(self, stop: CancellationToken) -> Result<(), Error> {
        let Self { smtp, http, handle } = self;
        let served = match http {
            None => {
                smtp.run(stop).await;
                Ok(())
            }
            Some((server, _)) => run_both(smtp, server, stop).await,
        };
        handle.store.close().await;
        served
    }
}

/// Mail is received until the end; the pages go last. If the pages end by themselves, all ends.
async fn run_both(smtp: Listener, server: Server, stop: CancellationToken) -> Result<(), Error> {
    let pages = server.handle();
    let smtp = async {
        smtp.run(stop.clone()).await;
        pages.stop(true).await;
    };
    let server = async {
        let served = server.await;
        stop.cancel();
        served.map_err(Error::Serve)
    };
    let ((), served) = tokio::join!(smtp, server);
    served
}

fn listen(addr: SocketAddr) -> Result<(TcpListener, SocketAddr), Error> {
    let failed = |source| Error::Listen { addr, source };
    let listener = TcpListener::bind(addr).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let addr = listener.local_addr().map_err(failed)?;
    Ok((listener, addr))
}

fn serve(
    listener: TcpListener,
    addr: SocketAddr,
    handle: &Handle,
) -> Result<(Server, SocketAddr), Error> {
    let handle = handle.clone();
    let server = HttpServer::new(move || {
        App::new()
            .wrap(Compress::default())
            .configure(http::health)
            .configure(http::routes(handle.clone()))
    })
    .workers(1)
    .worker_max_blocking_threads(4)
    .disable_signals()
    .shutdown_timeout(2)
    .listen(listener)
    .map_err(|source| Error::Listen { addr, source })?;
    Ok((server.run(), addr))
}

impl Handle {
    /// Messages that match, newest first; a crooked cursor matches nothing.
    pub fn list(&self, filter: &Filter) -> Listing {
        let none = Listing {
            items: Vec::new(),
            next_cursor: None,
            total: 0,
        };
        self.store.list(filter).unwrap_or(none)
    }

    pub fn stats(&self) -> Stats {
        self.store.stats()
    }

    /// Connections that a fault ended around the reply to a message.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// A message opened, or `None` when there is no such message.
    pub fn mail(&self, id: Uuid) -> std::io::Result<Option<Mail>> {
        Ok(self
            .store
            .read(id)?
            .map(|(summary, raw)| mail::open(summary, &raw)))
    }

    /// The source of a message as it was received, its stuffed dots removed.
    pub fn raw(&self, id: Uuid) -> std::io::Result<Option<Vec<u8>>> {
        Ok(self.store.read(id)?.map(|(_, raw)| raw.to_vec()))
    }

    /// The newest message to this address, waited for if need be; `None` after `patience`.
    pub async fn wait_for_mail_to(&self, address: &str, patience: Duration) -> Option<Mail> {
        let filter = Filter {
            rcpt: Some(address.to_owned()),
            limit: Some(1),
            ..Filter::default()
        };
        let found = || self.list(&filter).items.pop().map(|summary| summary.id);
        let mut changes = self.store.changes();
        let arrival = async {
            loop {
                changes.borrow_and_update();
                if let Some(id) = found() {
                    return self.mail(id).ok().flatten();
                }
                changes.changed().await.ok()?;
            }
        };
        tokio::time::timeout(patience, arrival).await.ok().flatten()
    }

    /// Waits until the mailbox holds what is asked for; `false` after `patience`.
    pub async fn wait_until(&self, patience: Duration, holds: impl Fn(Stats) -> bool) -> bool {
        let mut changes = self.store.changes();
        let reached = async {
            loop {
                changes.borrow_and_update();
                if holds(self.stats()) {
                    return true;
                }
                if changes.changed().await.is_err() {
                    return false;
                }
            }
        };
        tokio::time::timeout(patience, reached)
            .await
            .unwrap_or(false)
    }

    pub fn faults(&self) -> Faults {
        self.faults.borrow().clone()
    }

    /// Makes things go wrong from now on; `Faults::default()` makes them right again.
    pub fn set_faults(&self, faults: Faults) {
        self.faults.send_replace(faults);
    }
}
