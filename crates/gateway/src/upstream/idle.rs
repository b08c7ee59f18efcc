//! Connections that a worker keeps between requests, by replica.

use std::time::Instant;

use super::connection::Connection;

/// Most that are kept for a replica.
const MOST: usize = 1024;

/// They are boxed, because they are large and handed around.
#[derive(Default)]
#[expect(
    clippy::vec_box,
    reason = "a connection moves to and fro with every request"
)]
pub(crate) struct Idle(Vec<(u64, Vec<Box<Connection>>)>);

impl Idle {
    /// The connection that was used last, if it can be used again. What is too old goes with it.
    pub(crate) fn take(&mut self, replica: u64, now: Instant) -> Option<Box<Connection>> {
        let (_, kept) = self.0.iter_mut().find(|(id, _)| *id == replica)?;
        while let Some(mut connection) = kept.pop() {
            if connection.is_usable(now) {
                return Some(connection);
            }
        }
        None
    }

    pub(crate) fn keep(&mut self, replica: u64, mut connection: Box<Connection>, now: Instant) {
        connection.rest(now);
        let at = self.0.iter().position(|(id, _)| *id == replica);
        let at = at.unwrap_or_else(|| {
            self.0.push((replica, Vec::new()));
            self.0.len() - 1
        });
        let kept = &mut self.0[at].1;
        if kept.len() < MOST {
            kept.push(connection);
        }
    }

    /// Closes all of a replica's: one of them turned out to be dead.
    pub(crate) fn forget(&mut self, replica: u64) {
        self.0.retain(|(id, _)| *id != replica);
    }

    /// Closes what was not used for long.
    pub(crate) fn prune(&mut self, now: Instant) {
        for (_, kept) in &mut self.0 {
            kept.retain_mut(|connection| connection.is_usable(now));
        }
        self.0.retain(|(_, kept)| !kept.is_empty());
    }
}
