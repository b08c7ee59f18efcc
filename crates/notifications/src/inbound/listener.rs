//! Where other servers bring back what could not be delivered, and complaints.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::BounceDomain;
use super::desk::Desk;
use super::session::{Limits, Secrecy, Session};

/// Most conversations at a time.
const CONNECTIONS: usize = 64;
/// After an accept that failed.
const PAUSE: Duration = Duration::from_millis(50);

/// The SMTP port for what comes back.
#[derive(Debug)]
pub(crate) struct Listener {
    listener: TcpListener,
    reception: Arc<Reception>,
}

/// What every conversation needs.
#[derive(Debug)]
struct Reception {
    host: String,
    desk: Desk,
    /// Without it nothing is encrypted.
    tls: Option<Arc<ServerConfig>>,
}

impl Reception {
    async fn talk(&self, stream: TcpStream, stop: CancellationToken) {
        let limits = Limits::default();
        let secrecy = match self.tls {
            Some(_) => Secrecy::Offered,
            None => Secrecy::Impossible,
        };
        let session = Session::new(stream, &self.desk, &self.host, limits, stop.clone());
        let (Some(stream), Some(tls)) = (session.with(secrecy).run().await, &self.tls) else {
            return;
        };
        let accepted = TlsAcceptor::from(Arc::clone(tls)).accept(stream);
        match timeout(limits.idle, accepted).await {
            Ok(Ok(stream)) => {
                let session = Session::new(stream, &self.desk, &self.host, limits, stop);
                session.with(Secrecy::Kept).run().await;
            }
            Ok(Err(error)) => tracing::debug!(%error, "no encryption was agreed on"),
            Err(_) => {}
        }
    }
}

impl Listener {
    pub(crate) async fn bind(
        address: SocketAddr,
        domain: &BounceDomain,
        desk: Desk,
        tls: Option<Arc<ServerConfig>>,
    ) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address).await;
        let listener = listener
            .map_err(|error| anyhow::anyhow!("cannot listen for bounces on {address}: {error}"))?;
        let reception = Reception {
            host: domain.as_str().to_owned(),
            desk,
            tls,
        };
        Ok(Self {
            listener,
            reception: Arc::new(reception),
        })
    }

    /// Talks to whoever comes, until `stop`; a mail that was received whole is still answered.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let (sessions, room) = (TaskTracker::new(), Arc::new(Semaphore::new(CONNECTIONS)));
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => {
                    let reception = Arc::clone(&self.reception);
                    let (room, stop) = (Arc::clone(&room), stop.clone());
                    sessions.spawn(async move {
                        match room.try_acquire() {
                            Ok(_place) => reception.talk(stream, stop).await,
                            Err(_) => turn_away(stream).await,
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        sessions.close();
        sessions.wait().await;
    }
}

async fn turn_away(mut stream: TcpStream) {
    let said = stream.write_all(b"421 4.7.0 too many connections, come back later\r\n");
    timeout(Duration::from_secs(1), said).await.ok();
}
