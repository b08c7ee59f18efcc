//! The listener, and a worker per core behind it.

use std::convert::Infallible;
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_server::Server;
use actix_service::{fn_factory, fn_service};
use actix_web::rt;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::{h1, h2};
use crate::gate::{Gate, Shared};
use crate::request::Sender;

/// How the server ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ending {
    /// How long readiness fails before the listener closes.
    pub(crate) notice: Duration,
    pub(crate) drain: Duration,
}

/// Serves until `stop`; then readiness fails, after the notice the listener closes, and what is in
/// hand ends.
pub(crate) async fn serve(
    listener: TcpListener,
    shared: Arc<Shared>,
    workers: usize,
    ending: Ending,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let (stopping, closing) = (shared.stop.clone(), shared.close.clone());
    let server = Server::build()
        .workers(workers)
        .worker_max_blocking_threads(2)
        .shutdown_timeout(ending.drain.as_secs())
        .disable_signals()
        .listen("gateway", listener, move || {
            let shared = Arc::clone(&shared);
            fn_factory(move || {
                let gate = Rc::new(Gate::new(Arc::clone(&shared)));
                rt::spawn(Rc::clone(&gate).keep_house());
                async move {
                    Ok::<_, ()>(fn_service(move |stream: TcpStream| {
                        connected(Rc::clone(&gate), stream)
                    }))
                }
            })
        })?
        .run();
    let handle = server.handle();
    tokio::pin!(server);
    tokio::select! {
        ended = &mut server => anyhow::bail!("the HTTP server of the gateway ended: {ended:?}"),
        () = stop.cancelled() => {}
    }
    stopping.cancel();
    // Still serving: whoever balances over us has not heard of it yet.
    tokio::time::timeout(ending.notice, &mut server).await.ok();
    closing.cancel();
    let ((), ended) = tokio::join!(handle.stop(true), server);
    Ok(ended?)
}

/// How long the client may take to agree on TLS.
const HANDSHAKE: Duration = Duration::from_secs(10);

async fn connected(gate: Rc<Gate>, stream: TcpStream) -> Result<(), Infallible> {
    // A client that is gone already needs nothing.
    let Ok(peer) = stream.peer_addr() else {
        return Ok(());
    };
    stream.set_nodelay(true).ok();
    let Some(tls) = gate.shared.tls.clone() else {
        h1::serve(gate, stream, Sender::new(peer.ip(), false)).await;
        return Ok(());
    };
    let accepting = TlsAcceptor::from(tls).accept(stream);
    let accepting = rt::time::timeout(HANDSHAKE, accepting);
    let Ok(Ok(stream)) = accepting.await else {
        return Ok(());
    };
    let sender = Sender::new(peer.ip(), true);
    match stream.get_ref().1.alpn_protocol() {
        Some(b"h2") => h2::serve(gate, stream, sender).await,
        _ => h1::serve(gate, stream, sender).await,
    }
    Ok(())
}
