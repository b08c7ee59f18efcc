use std::{
    net::SocketAddr,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{replies, session::Session, wire::Wire};
use crate::{Settings, behaviour::SoftTries, faults::Faults, store::Store};

/// How long to wait before the port is asked for again, or after an accept that failed.
const PAUSE: Duration = Duration::from_millis(50);

/// What every conversation needs.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) store: Store,
    pub(crate) soft: SoftTries,
    pub(crate) faults: watch::Receiver<Faults>,
    /// Messages received whole, stored or not.
    pub(crate) messages: AtomicU64,
    /// Connections that a fault ended around the reply to a message.
    pub(crate) dropped: Arc<AtomicU64>,
}

impl Shared {
    pub(super) fn faults<T>(&self, ask: impl FnOnce(&Faults) -> T) -> T {
        ask(&self.faults.borrow())
    }
}

/// The SMTP port.
#[derive(Debug)]
pub(crate) struct Listener {
    listener: TcpListener,
    pub(crate) addr: SocketAddr,
    shared: Arc<Shared>,
}

impl Listener {
    pub(crate) fn new(listener: TcpListener, addr: SocketAddr, shared: Shared) -> Self {
        Self {
            listener,
            addr,
            shared: Arc::new(shared),
        }
    }

    /// Accepts until told to stop, then waits for the conversations to end.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let sessions = TaskTracker::new();
        let cut = CancellationToken::new();
        let Self {
            listener,
            addr,
            shared,
        } = self;
        let room = Arc::new(Semaphore::new(shared.settings.max_connections));
        let mut listener = Some(listener);
        while let Some(open) = listener.take() {
            tokio::select! {
                () = stop.cancelled() => break,
                () = accept(&open, &shared, &room, &sessions, (&stop, &cut)) => {}
            }
            drop(open);
            listener = listen_again(addr, &shared, &stop).await;
        }
        sessions.close();
        let patience = shared.settings.grace + Duration::from_secs(2);
        if timeout(patience, sessions.wait()).await.is_err() {
            tracing::warn!(open = sessions.len(), "conversations cut off");
            cut.cancel();
            sessions.wait().await;
        }
    }
}

/// Accepts until the mailbox is told to be away.
async fn accept(
    listener: &TcpListener,
    shared: &Arc<Shared>,
    room: &Arc<Semaphore>,
    sessions: &TaskTracker,
    (stop, cut): (&CancellationToken, &CancellationToken),
) {
    let mut faults = shared.faults.clone();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Ok(_) = faults.wait_for(|faults| faults.away) => return,
        };
        match accepted {
            Ok((stream, _)) => {
                let session = serve(stream, Arc::clone(shared), Arc::clone(room), stop.clone());
                sessions.spawn(cut.clone().run_until_cancelled_owned(session));
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(PAUSE).await;
            }
        }
    }
}

async fn serve(
    stream: TcpStream,
    shared: Arc<Shared>,
    room: Arc<Semaphore>,
    stop: CancellationToken,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "the client left at once");
        return;
    }
    let patience = (shared.settings.idle, shared.settings.grace);
    let mut wire = Wire::new(stream, shared.faults.clone(), stop, patience);
    let Ok(_place) = room.try_acquire() else {
        wire.say(replies::MANY_CONNECTIONS);
        wire.close().await;
        return;
    };
    Session::new(wire, shared).run().await;
}

/// Takes the port again once the mailbox is no longer away; `None` when it is stopping.
async fn listen_again(
    addr: SocketAddr,
    shared: &Shared,
    stop: &CancellationToken,
) -> Option<TcpListener> {
    let mut faults = shared.faults.clone();
    let back = async {
        let _ = faults.wait_for(|faults| !faults.away).await;
        loop {
            match TcpListener::bind(addr).await {
                Ok(listener) => break listener,
                Err(error) => tracing::warn!(%error, %addr, "the port is not free yet"),
            }
            sleep(PAUSE).await;
        }
    };
    tokio::select! {
        () = stop.cancelled() => None,
        listener = back => Some(listener),
    }
}
