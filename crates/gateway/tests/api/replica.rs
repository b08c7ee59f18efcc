//! A service of several processes, as its replicas look from outside: each can be killed, or stopped
//! as a service stops.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

/// A small server that answers every request with its name.
#[derive(Debug)]
pub(crate) struct Replica {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
    serving: JoinHandle<()>,
}

#[derive(Debug)]
struct State {
    name: &'static str,
    requests: AtomicUsize,
    unready: AtomicBool,
    stop: CancellationToken,
}

impl Replica {
    pub(crate) async fn start(name: &'static str) -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        Self::start_at(name, any).await
    }

    /// One in the place of another that is gone.
    pub(crate) async fn start_at(name: &'static str, address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_reuseaddr(true).expect("it can be set");
        socket.bind(address).expect("the port is free");
        let listener = socket.listen(1024).expect("it listens");
        let state = Arc::new(State {
            name,
            requests: AtomicUsize::new(0),
            unready: AtomicBool::new(false),
            stop: CancellationToken::new(),
        });
        Self {
            address: listener.local_addr().expect("an address"),
            serving: tokio::spawn(serve(listener, Arc::clone(&state))),
            state,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Requests that it has seen, checks of its health aside.
    pub(crate) fn requests(&self) -> usize {
        self.state.requests.load(Ordering::SeqCst)
    }

    /// Says at `/health/ready` that it is about to stop.
    pub(crate) fn give_notice(&self) {
        self.state.unready.store(true, Ordering::SeqCst);
    }

    /// Takes no new connections and closes each one after the request in hand.
    pub(crate) async fn stop(self) {
        self.state.stop.cancel();
        self.serving.await.expect("it ends");
    }

    /// Gone, with everything in hand.
    pub(crate) async fn kill(self) {
        self.serving.abort();
        self.serving.await.ok();
    }
}

async fn serve(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = state.stop.cancelled() => break,
            Ok((stream, _)) = listener.accept() => {
                connections.spawn(answer(stream, Arc::clone(&state)));
            }
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn answer(mut stream: TcpStream, state: Arc<State>) {
    stream.set_nodelay(true).ok();
    let mut request = Vec::new();
    loop {
        let mut buffer = [0; 4096];
        let read = tokio::select! {
            biased;
            read = stream.read(&mut buffer) => read.unwrap_or(0),
            () = state.stop.cancelled() => return,
        };
        if read == 0 {
            return;
        }
        request.extend_from_slice(&buffer[..read]);
        // None of these requests has a body.
        if !request.ends_with(b"\r\n\r\n") {
            continue;
        }
        let is_check = request.starts_with(b"GET /health");
        let status = match is_check && state.unready.load(Ordering::SeqCst) {
            true => "503 Service Unavailable",
            false => "200 OK",
        };
        if !is_check {
            state.requests.fetch_add(1, Ordering::SeqCst);
        }
        request.clear();
        let (name, length) = (state.name, state.name.len());
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{name}");
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}
