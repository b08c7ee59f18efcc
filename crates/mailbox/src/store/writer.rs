use std::sync::{Arc, Mutex, mpsc};

use bytes::Bytes;
use tokio::sync::{oneshot, watch};

use super::{
    NotStored,
    index::{FilePlace, Index, Place},
    lock,
    record::Record,
    segments::Segments,
};

/// How many messages one `fdatasync` may serve.
const BATCH: usize = 512;
/// How much of the write buffer is kept between batches.
const SPARE_BUFFER: usize = 1 << 20;

pub(super) type Done = oneshot::Sender<Result<(), NotStored>>;

#[derive(Debug)]
pub(super) enum Command {
    Append(Box<Record>, Done),
    Clear(Done),
    /// Ends the writer, which lets go of the folder.
    Close(oneshot::Sender<()>),
}

/// The one thread that writes. While it waits for the disk, the next group gathers in its inbox.
#[derive(Debug)]
pub(super) struct Writer {
    index: Arc<Mutex<Index>>,
    segments: Option<Segments>,
    changed: watch::Sender<u64>,
    batch: Vec<(Box<Record>, Done)>,
    buffer: Vec<u8>,
}

impl Writer {
    pub(super) fn new(
        index: Arc<Mutex<Index>>,
        segments: Option<Segments>,
        changed: watch::Sender<u64>,
    ) -> Self {
        Self {
            index,
            segments,
            changed,
            batch: Vec::new(),
            buffer: Vec::new(),
        }
    }

    pub(super) fn run(mut self, inbox: &mpsc::Receiver<Command>) {
        while let Ok(first) = inbox.recv() {
            let mut next = Some(first);
            while let Some(command) = next.take() {
                match command {
                    Command::Append(record, done) => self.batch.push((record, done)),
                    Command::Clear(done) => {
                        self.commit();
                        let _ = done.send(self.clear());
                    }
                    Command::Close(done) => {
                        self.commit();
                        drop(self);
                        let _ = done.send(());
                        return;
                    }
                }
                if self.batch.len() < BATCH {
                    next = inbox.try_recv().ok();
                }
            }
            self.commit();
        }
    }

    /// Makes the batch durable, lists it, and only then answers for it.
    fn commit(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let batch = std::mem::take(&mut self.batch);
        let stored = self.write(&batch);
        if let Ok(places) = &stored {
            let mut index = lock(&self.index);
            for ((record, _), place) in batch.iter().zip(places) {
                index.push(record.summary.clone(), place.clone());
            }
        }
        self.changed.send_modify(|count| *count += 1);
        let answer = stored.map(|_| ());
        for (_, done) in batch {
            let _ = done.send(answer);
        }
    }

    fn write(&mut self, batch: &[(Box<Record>, Done)]) -> Result<Vec<Place>, NotStored> {
        let Some(segments) = &mut self.segments else {
            // Copied, or a small message would keep the whole buffer of its connection.
            let kept = batch
                .iter()
                .map(|(record, _)| Bytes::copy_from_slice(&record.raw));
            return Ok(kept.map(Place::Memory).collect());
        };
        self.buffer.clear();
        self.buffer.shrink_to(SPARE_BUFFER);
        let (segment, start) = segments.end();
        let mut places = Vec::with_capacity(batch.len());
        for (record, _) in batch {
            let offset = start + self.buffer.len() as u64 + record.raw_at();
            let length = record.raw.len() as u64;
            places.push(Place::File(FilePlace {
                segment,
                offset,
                length,
            }));
            record.write_to(&mut self.buffer);
        }
        if let Err(error) = segments.append(&self.buffer) {
            tracing::error!(%error, messages = batch.len(), "messages could not be stored");
            return Err(NotStored);
        }
        if let Err(error) = segments.rotate() {
            tracing::warn!(%error, "no new segment could be begun, the old one goes on");
        }
        Ok(places)
    }

    fn clear(&mut self) -> Result<(), NotStored> {
        if let Some(segments) = &mut self.segments
            && let Err(error) = segments.clear()
        {
            tracing::error!(%error, "messages could not be removed");
            return Err(NotStored);
        }
        lock(&self.index).clear();
        self.changed.send_modify(|count| *count += 1);
        Ok(())
    }
}
