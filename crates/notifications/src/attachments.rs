//! Files on their way in: into Postgres as they arrive, so that no more of one than a piece is
//! ever in memory; and what is deleted again.

use std::time::Duration;

use actix_web::http::StatusCode;
use aws_lc_rs::digest::{Context, SHA256};
use bytes::{Bytes, BytesMut};
use chassis::{Clock, Db, InvalidInput, Unavailable};
use chrono::TimeDelta;
use common::ids::WorkspaceId;
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::Error;
use crate::domain::attachment::{Attachment, Exceeded, Label, Limits, Tally};
use crate::store::attachments;

/// Bytes of a file in one row.
const CHUNK: usize = 256 << 10;
/// How often is looked for files that nobody needs.
const SWEEP: Duration = Duration::from_secs(5);
/// A file that belongs to no message after this long was left behind by a process that ended.
const ABANDONED: TimeDelta = TimeDelta::hours(1);

impl From<Exceeded> for Error {
    fn from(exceeded: Exceeded) -> Self {
        Self::Invalid(InvalidInput {
            status: StatusCode::PAYLOAD_TOO_LARGE,
            code: exceeded.code,
            fields: vec![exceeded.field],
        })
    }
}

/// The files of one request. Dropped, it leaves nothing behind that was not given to a message.
pub(crate) struct Incoming {
    db: Db,
    clock: Clock,
    workspace: WorkspaceId,
    tally: Tally,
    open: Option<Open>,
    files: Vec<Attachment>,
    hashes: Vec<String>,
}

/// The file that arrives.
struct Open {
    id: Uuid,
    label: Label,
    hash: Context,
    size: u64,
    buffer: BytesMut,
    chunks: i32,
}

/// What a file is, for telling two requests apart.
#[derive(Debug, Serialize)]
pub(crate) struct Print<'i> {
    filename: &'i str,
    content_type: &'i str,
    sha256: &'i str,
}

impl Incoming {
    pub(crate) fn new(db: &Db, clock: &Clock, workspace: WorkspaceId, limits: Limits) -> Self {
        Self {
            db: db.clone(),
            clock: clock.clone(),
            workspace,
            tally: Tally::new(limits),
            open: None,
            files: Vec::new(),
            hashes: Vec::new(),
        }
    }

    /// How many files there are, the one that arrives included.
    pub(crate) fn count(&self) -> usize {
        self.tally.files()
    }

    /// Another file begins.
    pub(crate) async fn begin(&mut self, label: Label) -> Result<(), Error> {
        self.tally.begin()?;
        let (id, workspace, now) = (Uuid::now_v7(), self.workspace, self.clock.now());
        self.open = Some(Open {
            id,
            label,
            hash: Context::new(&SHA256),
            size: 0,
            buffer: BytesMut::new(),
            chunks: 0,
        });
        self.db
            .run(move |conn| Ok::<_, Error>(attachments::begin(conn, workspace, id, now)?))
            .await
    }

    /// The next bytes of the file.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.tally.grow(bytes.len())?;
        let Some(open) = &mut self.open else {
            return Ok(());
        };
        open.hash.update(bytes);
        open.size += bytes.len() as u64;
        open.buffer.extend_from_slice(bytes);
        while let Some(chunk) = self.open.as_mut().and_then(|open| open.take(CHUNK)) {
            self.keep(chunk).await?;
        }
        Ok(())
    }

    /// The file is whole.
    pub(crate) async fn end(&mut self) -> Result<(), Error> {
        if let Some(rest) = self.open.as_mut().and_then(|open| open.take(1)) {
            self.keep(rest).await?;
        }
        if let Some(open) = self.open.take() {
            let hash = open.hash.finish();
            self.hashes
                .push(data_encoding::HEXLOWER.encode(hash.as_ref()));
            self.files.push(Attachment {
                id: open.id,
                filename: open.label.filename,
                content_type: open.label.content_type,
                size: open.size,
            });
        }
        Ok(())
    }

    async fn keep(&self, (id, seq, chunk): (Uuid, i32, Bytes)) -> Result<(), Error> {
        let workspace = self.workspace;
        self.db
            .run(move |conn| {
                Ok::<_, Error>(attachments::add_chunk(conn, workspace, id, seq, &chunk)?)
            })
            .await
    }

    /// Those that are whole.
    pub(crate) fn files(&self) -> &[Attachment] {
        &self.files
    }

    pub(crate) fn prints(&self) -> Vec<Print<'_>> {
        let files = self.files.iter().zip(&self.hashes);
        files
            .map(|(file, sha256)| Print {
                filename: &file.filename,
                content_type: &file.content_type,
                sha256,
            })
            .collect()
    }
}

impl Open {
    /// The next row, if at least this much has gathered.
    fn take(&mut self, least: usize) -> Option<(Uuid, i32, Bytes)> {
        if self.buffer.len() < least {
            return None;
        }
        let length = self.buffer.len().min(CHUNK);
        let chunk = self.buffer.split_to(length).freeze();
        self.chunks += 1;
        Some((self.id, self.chunks - 1, chunk))
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        let open = self.open.as_ref().map(|open| open.id);
        let ids: Vec<_> = self.files.iter().map(|file| file.id).chain(open).collect();
        // Without a runtime the process ends; the sweep finds them.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        if ids.is_empty() {
            return;
        }
        let (db, workspace) = (self.db.clone(), self.workspace);
        runtime.spawn(async move {
            let forget =
                move |conn: &mut _| Ok::<_, Error>(attachments::forget(conn, workspace, &ids)?);
            if let Err(error) = db.run(forget).await {
                tracing::warn!(%error, "files that broke off stay for now");
            }
        });
    }
}

#[derive(Debug, thiserror::Error)]
enum SweepError {
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    #[error(transparent)]
    Query(#[from] diesel::result::Error),
}

/// Deletes the files of messages that are settled, and those left behind, until `stop`.
pub(crate) async fn sweep(db: Db, clock: Clock, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(SWEEP) => {}
        }
        let abandoned = clock.now() - ABANDONED;
        let swept = db
            .transaction(move |conn| Ok::<_, SweepError>(attachments::sweep(conn, abandoned)?))
            .await;
        match swept {
            Ok(0) => {}
            Ok(deleted) => tracing::debug!(deleted, "files of settled messages were deleted"),
            Err(error) => tracing::warn!(%error, "old files cannot be deleted at the moment"),
        }
    }
}
