//! Where messages are kept: appended to segment files in groups, found through an index in memory.

mod index;
mod record;
mod segments;
mod writer;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread,
};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio::sync::{oneshot, watch};
use uuid::Uuid;

pub(crate) use index::InvalidCursor;
pub use index::{Filter, Listing, Stats};

use crate::Error;
use index::{Index, Place};
use record::Record;
use segments::Segments;
use writer::{Command, Writer};

/// What is known of a message without opening it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    pub id: Uuid,
    pub received_at: DateTime<Utc>,
    /// The envelope sender; empty for a bounce.
    pub mail_from: String,
    /// The envelope recipients that were accepted.
    pub rcpt_to: Vec<String>,
    pub subject: Option<String>,
    pub from: Option<String>,
    pub to: Option<String>,
    pub message_id: Option<String>,
    /// Octets of the message as received.
    pub size: u64,
}

/// The message could not be made durable; the sender has to keep it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotStored;

/// The messages. Cloning shares them; the last clone to go ends the writer.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    index: Arc<Mutex<Index>>,
    folder: Option<PathBuf>,
    commands: mpsc::Sender<Command>,
    changes: watch::Receiver<u64>,
}

impl Store {
    /// Opens what is in the folder, cutting off what a crash left unfinished.
    pub(crate) fn open(folder: Option<PathBuf>) -> Result<Self, Error> {
        let mut index = Index::default();
        let segments = match &folder {
            Some(folder) => Some(Segments::open(folder, &mut index)?),
            None => None,
        };
        let index = Arc::new(Mutex::new(index));
        let (commands, inbox) = mpsc::channel();
        let (changed, changes) = watch::channel(0);
        let writer = Writer::new(Arc::clone(&index), segments, changed);
        let spawned = thread::Builder::new()
            .name("mailbox-writer".to_owned())
            .spawn(move || writer.run(&inbox));
        spawned.map_err(Error::Serve)?;
        Ok(Self {
            index,
            folder,
            commands,
            changes,
        })
    }

    /// Keeps a message, and returns once it is durable.
    pub(crate) async fn append(&self, summary: Summary, raw: Bytes) -> Result<(), NotStored> {
        let record = Record::new(summary, raw).map_err(|_| NotStored)?;
        let (done, answer) = oneshot::channel();
        self.commands
            .send(Command::Append(Box::new(record), done))
            .map_err(|_| NotStored)?;
        answer.await.unwrap_or(Err(NotStored))
    }

    /// Forgets every message that was there when this was called.
    pub(crate) async fn clear(&self) -> Result<(), NotStored> {
        let (done, answer) = oneshot::channel();
        self.commands
            .send(Command::Clear(done))
            .map_err(|_| NotStored)?;
        answer.await.unwrap_or(Err(NotStored))
    }

    /// Ends the writer: what was handed over is durable, and another mailbox may use the folder.
    pub(crate) async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.commands.send(Command::Close(done)).is_ok() {
            let _ = closed.await;
        }
    }

    pub(crate) fn list(&self, filter: &Filter) -> Result<Listing, InvalidCursor> {
        lock(&self.index).list(filter)
    }

    pub(crate) fn stats(&self) -> Stats {
        lock(&self.index).stats()
    }

    /// A message and its source, or `None` when there is no such message.
    pub(crate) fn read(&self, id: Uuid) -> std::io::Result<Option<(Summary, Bytes)>> {
        let Some(entry) = lock(&self.index).get(id) else {
            return Ok(None);
        };
        let raw = match (&entry.place, &self.folder) {
            (Place::Memory(raw), _) => raw.clone(),
            (Place::File(place), Some(folder)) => segments::read(folder, *place)?,
            (Place::File(_), None) => return Ok(None),
        };
        Ok(Some((entry.summary.clone(), raw)))
    }

    /// Changes whenever messages came or went.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.clone()
    }
}

fn lock(index: &Mutex<Index>) -> MutexGuard<'_, Index> {
    index.lock().unwrap_or_else(PoisonError::into_inner)
}
