//! Load over HTTP/1.1: prepared requests on connections that stay open, each sent when the answer
//! to the one before is in. It parses as little as it can, so that the machine's time goes to what
//! is measured.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Requests that are to be sent again and again, in turn.
#[derive(Clone, Debug)]
pub(super) struct Load {
    pub(super) address: SocketAddr,
    /// Whole requests, heads and bodies.
    pub(super) requests: Arc<[Vec<u8>]>,
    pub(super) connections: usize,
    /// The only status that counts as an answer.
    pub(super) status: u16,
    /// When each is due; as soon as a connection is free when absent.
    pub(super) pace: Option<Pace>,
}

/// So long after one request the next is due.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace(Duration);

impl Pace {
    pub(super) fn per_second(requests: u32) -> Self {
        Self(Duration::from_secs(1) / requests.max(1))
    }

    /// Waits for a request's turn; answers since when its answer is waited for. Who comes late to a
    /// request counts what it was late.
    async fn turn(self, began: Instant, number: usize) -> Instant {
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        let due = began + self.0 * number;
        if due <= Instant::now() {
            return due;
        }
        tokio::time::sleep_until(due.into()).await;
        // What a timer is late is nobody's fault who answers.
        Instant::now()
    }
}

/// What a load did.
#[derive(Clone, Debug)]
pub(super) struct Done {
    pub(super) requests: usize,
    pub(super) took: Duration,
    /// From each request to its answer, the shortest first.
    times: Vec<Duration>,
}

impl Done {
    pub(super) fn per_second(&self) -> f64 {
        self.requests as f64 / self.took.as_secs_f64()
    }

    /// The shortest time, in milliseconds, that so many of a hundred answers did not exceed.
    pub(super) fn millis(&self, of_hundred: usize) -> f64 {
        let rank = (self.times.len() * of_hundred).div_ceil(100);
        let time = self.times.get(rank.saturating_sub(1));
        time.map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
    }
}

impl Load {
    /// Sends so many requests; fails at the first answer that is not as it should be.
    pub(super) async fn run(&self, count: usize) -> anyhow::Result<Done> {
        let mut connections = Vec::new();
        for _ in 0..self.connections {
            connections.push(Connection::open(self.address).await?);
        }
        let (sent, began) = (Arc::new(AtomicUsize::new(0)), Instant::now());
        let mut running = JoinSet::new();
        for connection in connections {
            let load = self.clone();
            running.spawn(load.drive(connection, Arc::clone(&sent), count, began));
        }
        let mut times = Vec::with_capacity(count);
        while let Some(done) = running.join_next().await {
            times.append(&mut done??);
        }
        let took = began.elapsed();
        times.sort_unstable();
        Ok(Done {
            requests: times.len(),
            took,
            times,
        })
    }

    /// Sends on one connection until the load is over; answers how long each answer took.
    async fn drive(
        self,
        mut connection: Connection,
        sent: Arc<AtomicUsize>,
        count: usize,
        start: Instant,
    ) -> anyhow::Result<Vec<Duration>> {
        let mut answered = Vec::new();
        loop {
            let next = sent.fetch_add(1, Ordering::Relaxed);
            if next >= count {
                return Ok(answered);
            }
            let began = match self.pace {
                Some(pace) => pace.turn(start, next).await,
                None => Instant::now(),
            };
            let status = connection
                .ask(&self.requests[next % self.requests.len()])
                .await?;
            ensure!(
                status == self.status,
                "an answer is {status}, not {}",
                self.status
            );
            answered.push(began.elapsed());
        }
    }
}

/// A connection that stays open.
#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await;
        let stream = stream.with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: Vec::with_capacity(4096),
        })
    }

    /// Sends one request and reads its answer to the end; answers its status.
    async fn ask(&mut self, request: &[u8]) -> anyhow::Result<u16> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        loop {
            if let Some(answer) = Answer::read(&self.buffer)?
                && self.buffer.len() >= answer.length
            {
                ensure!(
                    self.buffer.len() == answer.length,
                    "an answer is longer than it says"
                );
                return Ok(answer.status);
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                bail!("a connection was closed before the answer was whole");
            }
        }
    }
}

/// The head of an answer.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    status: u16,
    /// Of head and body.
    length: usize,
}

impl Answer {
    /// Nothing until the head is whole.
    fn read(bytes: &[u8]) -> anyhow::Result<Option<Self>> {
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            return Ok(None);
        };
        let head = std::str::from_utf8(&bytes[..end]).context("an answer is not HTTP")?;
        let mut lines = head.split("\r\n");
        let status = lines
            .next()
            .and_then(|line| line.split(' ').nth(1)?.parse().ok());
        let length = lines.find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length")
                .then(|| value.trim().parse::<usize>().ok())?
        });
        let status = status.context("an answer has no status")?;
        let body =
            length.with_context(|| format!("an answer ({status}) does not say how long it is"))?;
        Ok(Some(Self {
            status,
            length: end + 4 + body,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_as_long_as_it_says() {
        let text = b"HTTP/1.1 202 Accepted\r\nX: y\r\ncontent-LENGTH: 3\r\n\r\n{}\n";
        let answer = Answer::read(text).unwrap();
        assert_eq!(
            answer,
            Some(Answer {
                status: 202,
                length: text.len()
            })
        );
        assert_eq!(Answer::read(b"HTTP/1.1 202 Accepted\r\n").unwrap(), None);
        assert!(Answer::read(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }

    /// Answers every request on one connection after the other with `answer`.
    async fn server(answer: &'static str) -> SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut request = [0; 64];
                    while stream.read(&mut request).await.is_ok_and(|read| read > 0) {
                        stream.write_all(answer.as_bytes()).await.unwrap();
                    }
                });
            }
        });
        address
    }

    fn load(address: SocketAddr) -> Load {
        let requests = Arc::from([b"GET / HTTP/1.1\r\n\r\n".to_vec()]);
        Load {
            address,
            requests,
            connections: 3,
            status: 200,
            pace: None,
        }
    }

    #[tokio::test]
    async fn exactly_the_requests_asked_for_are_sent() {
        let address = server("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
        let done = load(address).run(10).await.unwrap();
        assert_eq!(done.requests, 10);
        assert!(done.per_second() > 0.0);
        assert!(done.millis(50) > 0.0 && done.millis(50) <= done.millis(99));
    }

    #[tokio::test]
    async fn a_paced_load_takes_its_time_and_counts_from_when_a_request_was_due() {
        let address = server("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
        let paced = Load {
            pace: Some(Pace::per_second(100)),
            ..load(address)
        };
        let done = paced.run(21).await.unwrap();
        assert!(done.took >= Duration::from_millis(200), "{:?}", done.took);
        // Whoever begins late has kept them waiting.
        let began = Instant::now().checked_sub(Duration::from_secs(1)).unwrap();
        let since = Pace::per_second(100).turn(began, 50).await;
        assert_eq!(since, began + Duration::from_millis(500));
    }

    #[tokio::test]
    async fn another_status_ends_the_load() {
        let address = server("HTTP/1.1 429 No\r\ncontent-length: 0\r\n\r\n").await;
        let error = load(address).run(10).await.unwrap_err();
        assert_eq!(error.to_string(), "an answer is 429, not 200");
    }
}
