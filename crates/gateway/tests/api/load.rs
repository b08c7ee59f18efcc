//! Load on the gateway: connections that ask again and again at a rate, and count what fails.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const CONNECTIONS: u64 = 32;

#[derive(Debug)]
pub(crate) struct Load {
    done: Arc<AtomicUsize>,
    stop: CancellationToken,
    running: JoinSet<Vec<String>>,
}

impl Load {
    /// Sends `request` so often a second, or as often as this machine can.
    pub(crate) fn start(address: SocketAddr, request: &str, per_second: u64) -> Self {
        let (done, stop) = (Arc::new(AtomicUsize::new(0)), CancellationToken::new());
        let mut running = JoinSet::new();
        let every = Duration::from_micros(CONNECTIONS * 1_000_000 / per_second);
        for _ in 0..CONNECTIONS {
            running.spawn(drive(
                address,
                request.to_owned(),
                every,
                Arc::clone(&done),
                stop.clone(),
            ));
        }
        Self {
            done,
            stop,
            running,
        }
    }

    /// Waits until so many more requests were answered.
    pub(crate) async fn pass(&self, count: usize) {
        let goal = self.done.load(Ordering::SeqCst) + count;
        testkit::eventually("requests are answered", || async {
            self.done.load(Ordering::SeqCst) >= goal
        })
        .await;
    }

    /// Ends it, and answers what was not as it should be.
    pub(crate) async fn failures(mut self) -> Vec<String> {
        self.stop.cancel();
        let mut failures = Vec::new();
        while let Some(found) = self.running.join_next().await {
            failures.extend(found.expect("no panic"));
        }
        failures
    }
}

async fn drive(
    address: SocketAddr,
    request: String,
    every: Duration,
    done: Arc<AtomicUsize>,
    stop: CancellationToken,
) -> Vec<String> {
    let (mut failures, mut tick) = (Vec::new(), tokio::time::interval(every));
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    while !stop.is_cancelled() {
        tick.tick().await;
        match ask(&mut stream, &request).await {
            Ok(answer) if answer.starts_with("HTTP/1.1 200") => {}
            Ok(answer) => failures.push(answer),
            Err(error) => {
                failures.push(error.to_string());
                stream = TcpStream::connect(address).await.expect("it listens");
            }
        }
        done.fetch_add(1, Ordering::SeqCst);
    }
    failures
}

async fn ask(stream: &mut TcpStream, request: &str) -> std::io::Result<String> {
    stream.write_all(request.as_bytes()).await?;
    let (mut answer, mut buffer) = (String::new(), [0; 4096]);
    loop {
        let read = stream.read(&mut buffer).await?;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        answer.push_str(&String::from_utf8_lossy(&buffer[..read]));
        let Some(head) = answer.find("\r\n\r\n") else {
            continue;
        };
        let length = answer[..head]
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.and_then(|it| it.parse().ok()).unwrap_or(0);
        if answer.len() >= head + 4 + length {
            return Ok(answer);
        }
    }
}
