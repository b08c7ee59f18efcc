use std::{io, time::Duration};

use bytes::BytesMut;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::replies::Reply;
use crate::faults::Faults;

const READ_SIZE: usize = 16 << 10;

/// Why there is nothing more to read.
#[derive(Debug)]
pub(super) enum End {
    /// The client is gone, or the connection is cut on purpose.
    Gone,
    Silent,
    Stopping,
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

/// One connection: octets in, replies out, and every delay in between.
#[derive(Debug)]
pub(super) struct Wire {
    stream: TcpStream,
    pub(super) input: BytesMut,
    output: Vec<u8>,
    /// How long the replies gathered so far wait before they go.
    pause: Duration,
    faults: watch::Receiver<Faults>,
    stop: CancellationToken,
    idle: Duration,
    grace: Duration,
}

impl Wire {
    pub(super) fn new(
        stream: TcpStream,
        faults: watch::Receiver<Faults>,
        stop: CancellationToken,
        (idle, grace): (Duration, Duration),
    ) -> Self {
        let (input, output, pause) = (BytesMut::new(), Vec::new(), Duration::ZERO);
        Self {
            stream,
            input,
            output,
            pause,
            faults,
            stop,
            idle,
            grace,
        }
    }

    /// Adds a reply to those that go out together.
    pub(super) fn say(&mut self, (code, status, text): Reply) {
        let gap = if status.is_empty() { "" } else { " " };
        self.output
            .extend_from_slice(format!("{code} {status}{gap}{text}\r\n").as_bytes());
    }

    /// Adds a reply of several lines.
    pub(super) fn say_lines(&mut self, code: u16, lines: &[String]) {
        for (at, line) in lines.iter().enumerate() {
            let mark = if at + 1 == lines.len() { ' ' } else { '-' };
            self.output
                .extend_from_slice(format!("{code}{mark}{line}\r\n").as_bytes());
        }
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    pub(super) fn delay(&mut self, pause: Duration) {
        self.pause += pause;
    }

    /// Sends the replies gathered so far, after every delay that was asked for.
    pub(super) async fn flush(&mut self) -> Result<(), End> {
        if self.output.is_empty() {
            return Ok(());
        }
        let pause = std::mem::take(&mut self.pause);
        let delay = Duration::from_millis(self.faults.borrow().delay_ms);
        let mut faults = self.faults.clone();
        let ready = async {
            sleep_some(pause + delay).await;
            let _ = faults.wait_for(|faults| !faults.hang).await;
        };
        tokio::select! {
            () = ready => {}
            () = away(self.faults.clone()) => return Err(End::Gone),
            () = self.stop.cancelled() => {}
        }
        timeout(self.idle, self.stream.write_all(&self.output))
            .await
            .map_err(|_| End::Gone)??;
        self.output.clear();
        Ok(())
    }

    /// Sends what is to be said and reads more. A stop ends this at once, or, in the middle of a
    /// message, after some grace.
    pub(super) async fn read(&mut self, amid_message: bool) -> Result<(), End> {
        self.flush().await?;
        self.input.reserve(READ_SIZE);
        let grace = if amid_message {
            self.grace
        } else {
            Duration::ZERO
        };
        let stopping = async {
            self.stop.cancelled().await;
            sleep_some(grace).await;
        };
        tokio::select! {
            biased;
            read = timeout(self.idle, self.stream.read_buf(&mut self.input)) => match read {
                Ok(Ok(1..)) => Ok(()),
                Ok(_) => Err(End::Gone),
                Err(_) => Err(End::Silent),
            },
            () = away(self.faults.clone()) => Err(End::Gone),
            () = stopping => Err(End::Stopping),
        }
    }

    /// Says the last replies, as far as the client still listens.
    pub(super) async fn close(mut self) {
        if self.flush().await.is_ok() {
            let _ = timeout(Duration::from_secs(1), self.stream.shutdown()).await;
        }
    }
}

async fn sleep_some(pause: Duration) {
    if !pause.is_zero() {
        sleep(pause).await;
    }
}

/// Resolves once the mailbox is told to be away.
async fn away(mut faults: watch::Receiver<Faults>) {
    if faults.wait_for(|faults| faults.away).await.is_err() {
        std::future::pending::<()>().await;
    }
}
