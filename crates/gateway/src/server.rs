//! The HTTP server: a worker per core, each with a client of its own.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_web::web::{self, Data};
use actix_web::{App, HttpServer};
use tokio_util::sync::CancellationToken;

use crate::door;
use crate::gate::{Gate, Shared};

/// Serves until `stop`; then readiness fails and the listener drains.
pub(crate) async fn serve(
    listener: TcpListener,
    shared: Arc<Shared>,
    workers: usize,
    drain: Duration,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let stopping = shared.stop.clone();
    let server = HttpServer::new(move || {
        App::new()
            .app_data(Data::new(Gate::new(Arc::clone(&shared))))
            .default_service(web::to(door::enter))
    })
    .workers(workers)
    .worker_max_blocking_threads(2)
    .tcp_nodelay(true)
    .client_request_timeout(Duration::from_secs(10))
    .client_disconnect_timeout(Duration::from_secs(3))
    .keep_alive(Duration::from_secs(75))
    .shutdown_timeout(drain.as_secs())
    .disable_signals()
    .listen(listener)?
    .run();
    let handle = server.handle();
    tokio::pin!(server);
    tokio::select! {
        ended = &mut server => anyhow::bail!("the HTTP server of the gateway ended: {ended:?}"),
        () = stop.cancelled() => {
            stopping.cancel();
            let ((), ended) = tokio::join!(handle.stop(true), server);
            Ok(ended?)
        }
    }
}
