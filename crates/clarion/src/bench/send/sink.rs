//! The mail server that messages are measured against.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context;

use super::PACKAGE;
use crate::process::{self, Running, find, free_address, unprivileged};

/// A mail server that takes everything and keeps nothing.
#[derive(Debug)]
pub(in crate::bench) struct Sink {
    running: Running,
    pub(super) address: SocketAddr,
}

impl Sink {
    /// Nothing where it is not installed.
    pub(in crate::bench) async fn start() -> anyhow::Result<Option<Self>> {
        let Ok(program) = find("smtp-sink", PACKAGE) else {
            return Ok(None);
        };
        let address = free_address()?;
        let mut command = unprivileged(&program);
        command.args([&address.to_string(), "128"]).current_dir("/");
        let mut running = Running::start("smtp-sink", command)?;
        running.until_listening(address).await?;
        Ok(Some(Self { running, address }))
    }

    pub(in crate::bench) fn url(&self) -> String {
        format!("smtp://{}?tls=none", self.address)
    }

    pub(super) fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// How many bytes it has read so far. Only its own user may ask, where root is not almighty.
    pub(super) async fn bytes_read(&self) -> anyhow::Result<u64> {
        let path = format!("/proc/{}/io", self.running.pid());
        let mut command = unprivileged(Path::new("cat"));
        command.arg(&path).current_dir("/");
        let counters = process::output("cat", command).await?;
        let mut lines = counters.lines();
        let read = lines.find_map(|line| line.strip_prefix("rchar: ")?.parse().ok());
        read.with_context(|| format!("no rchar in {path}"))
    }
}
