//! The body of an answer on its way to the client.

use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

use super::connection::Connection;
use super::replica::Lease;
use super::send::Answer;
use crate::gate::Gate;
use crate::wire::{BodyReader, Broken, Flow};

/// When it was read to its end, the connection is kept; otherwise it is closed.
pub(crate) struct AnswerBody {
    /// There until this is dropped.
    connection: Option<Box<Connection>>,
    reader: BodyReader,
    reusable: bool,
    lease: Lease,
    gate: Rc<Gate>,
}

impl AnswerBody {
    /// What of the answer did not come yet.
    pub(crate) fn new(gate: Rc<Gate>, answer: Answer) -> Self {
        Self {
            connection: Some(answer.connection),
            reader: BodyReader::new(answer.rest),
            reusable: answer.head.keep_alive && !answer.early,
            lease: answer.lease,
            gate,
        }
    }
}

impl Flow for AnswerBody {
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, Broken>> {
        match &mut self.connection {
            Some(connection) => self.reader.poll(&mut connection.io, cx),
            None => Poll::Ready(Ok(0)),
        }
    }

    fn data(&self) -> &[u8] {
        let connection = self.connection.as_ref();
        connection.map_or(&[], |connection| connection.io.unread())
    }

    fn consume(&mut self, count: usize) {
        if let Some(connection) = &mut self.connection {
            self.reader.consume(&mut connection.io, count);
        }
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take()
            && self.reusable
            && self.reader.is_done()
        {
            let (id, now) = (self.lease.replica().id, Instant::now());
            self.gate.idle.borrow_mut().keep(id, connection, now);
        }
    }
}
