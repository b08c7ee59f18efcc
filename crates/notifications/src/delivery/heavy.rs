//! Mails with files: each is made beside the others, which are not to wait for it, and only as many
//! at a time as memory was set aside for.

use std::sync::Arc;

use chassis::{Clock, Db};
use chrono::TimeDelta;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use super::ledger::Ledger;
use super::letters::{Letter, LoadError};
use super::links::Links;
use super::outlets::Dispatcher;
use crate::domain::attachment::Attachment;
use crate::domain::state::State;
use crate::store::attachments;
use crate::store::claims::Claimed;
use crate::store::moves::Move;

/// A mail takes the size of its files so often while it is made: as they are, in base64, and in
/// base64 again behind the signatures.
const TIMES: u64 = 4;
/// What one permit stands for, in bytes.
const PERMIT: u64 = 1024;

pub(super) struct Heavy {
    room: Arc<Semaphore>,
    all: u32,
    /// Cut off with the feeder; what they had in hand is given back then.
    tasks: JoinSet<()>,
}

impl Heavy {
    pub(super) fn new(bytes: u64) -> Self {
        let all = u32::try_from(bytes / PERMIT).unwrap_or(u32::MAX >> 4);
        Self {
            room: Arc::new(Semaphore::new(all as usize)),
            all,
            tasks: JoinSet::new(),
        }
    }

    /// Room for these files, unless others have it. What needs more than there is gets all of it.
    pub(super) fn room_for(&self, files: &[Attachment]) -> Option<OwnedSemaphorePermit> {
        let size: u64 = files.iter().map(|file| file.size).sum();
        let permits = size.saturating_mul(TIMES).div_ceil(PERMIT);
        let permits = u32::try_from(permits).unwrap_or(u32::MAX).min(self.all);
        Arc::clone(&self.room).try_acquire_many_owned(permits).ok()
    }

    pub(super) fn begin(&mut self, making: Making) {
        while self.tasks.try_join_next().is_some() {}
        self.tasks.spawn(making.run());
    }
}

/// One mail that is made.
pub(super) struct Making {
    pub(super) db: Db,
    pub(super) clock: Clock,
    pub(super) links: Links,
    pub(super) ledger: Ledger,
    pub(super) dispatcher: Dispatcher,
    pub(super) message: Claimed,
    pub(super) letter: Arc<Letter>,
    pub(super) room: OwnedSemaphorePermit,
}

impl Making {
    async fn run(self) {
        let (of, now) = (self.message.of, self.clock.now());
        let files = match self.files().await {
            Ok(Some(files)) => files,
            Ok(None) => {
                let why = "its files were deleted".to_owned();
                let step = Move::settle(of, State::Skipped, Some(why));
                return self.ledger.write(step).await;
            }
            Err(error) => {
                tracing::warn!(message.id = %of.id, %error, "files cannot be read at the moment");
                let due_at = now + TimeDelta::seconds(1);
                return self.ledger.give_back(&of, due_at).await;
            }
        };
        let Self {
            links,
            ledger,
            dispatcher,
            message,
            letter,
            room,
            ..
        } = self;
        let made = tokio::task::spawn_blocking(move || {
            let made = letter.make(&message, &files, &links, now);
            made.map(|ready| (ready, room))
        });
        match made.await {
            Ok(Ok((mut ready, room))) => {
                ready._room = Some(room);
                dispatcher.offer(ready).await;
            }
            Ok(Err(why)) => {
                let step = Move::settle(of, State::Skipped, Some(why));
                ledger.write(step).await;
            }
            Err(error) => tracing::error!(%error, "making a message failed; its lease will end"),
        }
    }

    /// The bytes of all files; none when some are gone, because their person was erased.
    async fn files(&self) -> Result<Option<Vec<Vec<u8>>>, LoadError> {
        let (workspace, files) = (
            self.message.of.workspace_id,
            self.message.attachments.clone(),
        );
        self.db
            .run(move |conn| {
                let mut all = Vec::with_capacity(files.len());
                for file in files {
                    let size = usize::try_from(file.size).unwrap_or(usize::MAX);
                    let bytes = attachments::read(conn, workspace, file.id, size)?;
                    if bytes.len() != size || !attachments::exists(conn, workspace, file.id)? {
                        return Ok(None);
                    }
                    all.push(bytes);
                }
                Ok(Some(all))
            })
            .await
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn room_is_given_while_there_is_some_and_one_mail_always_fits() {
        let heavy = Heavy::new(1 << 20);
        let file = |size| {
            [Attachment {
                id: Uuid::nil(),
                filename: "x".into(),
                content_type: "a/b".into(),
                size,
            }]
        };
        let half = heavy.room_for(&file(1 << 17)).expect("half of it");
        assert!(heavy.room_for(&file(1 << 18)).is_none(), "that needs all");
        let other = heavy.room_for(&file(1 << 17)).expect("the other half");
        assert!(heavy.room_for(&file(1)).is_none());
        drop((half, other));
        let whole = heavy.room_for(&file(1 << 30)).expect("more than there is");
        assert!(heavy.room_for(&file(1)).is_none());
        drop(whole);
        assert!(heavy.room_for(&file(0)).is_some());
    }
}
