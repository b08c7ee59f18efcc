//! Takes a file in as it arrives, into Postgres: any replica can then work on it, and no more of
//! it than a piece is ever in memory.

use actix_web::http::StatusCode;
use actix_web::web::Data;
use bytes::{Bytes, BytesMut};
use chassis::{InvalidInput, jobs};
use common::FieldError;
use diesel::PgConnection;
use serde_json::Value;

use crate::domain::columns::{Mapping, Plan, Unusable, check_format, plan};
use crate::error::Error;
use crate::jobs::import::RunImport;
use crate::state::State;
use crate::store::imports::{self, CHUNK, Import};

/// A file on its way in. Dropped before it is finished, it leaves nothing behind.
pub(crate) struct Upload {
    state: Data<State>,
    import: Import,
    /// The first piece, which the header is read from.
    head: Bytes,
    buffer: BytesMut,
    chunks: i32,
    bytes: u64,
    finished: bool,
}

impl From<Unusable> for Error {
    fn from(unusable: Unusable) -> Self {
        Self::Input(InvalidInput {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            code: unusable.code,
            fields: unusable.errors,
        })
    }
}

impl Upload {
    pub(crate) fn new(state: Data<State>, import: Import) -> Self {
        Self {
            state,
            import,
            head: Bytes::new(),
            buffer: BytesMut::new(),
            chunks: 0,
            bytes: 0,
            finished: false,
        }
    }

    /// Takes the next bytes of the file. With a `mapping` the header is judged as soon as it is
    /// there, so that a useless file is refused before the rest of it is sent.
    pub(crate) async fn write(
        &mut self,
        bytes: &[u8],
        mapping: Option<&Mapping>,
    ) -> Result<(), Error> {
        self.bytes += bytes.len() as u64;
        if self.bytes > self.state.import_limit {
            let limit = self.state.import_limit;
            return Err(Error::Input(InvalidInput {
                status: StatusCode::PAYLOAD_TOO_LARGE,
                code: "body_too_large",
                fields: vec![FieldError::new(
                    "file",
                    format!("is larger than {limit} bytes"),
                )],
            }));
        }
        self.buffer.extend_from_slice(bytes);
        while self.buffer.len() >= CHUNK {
            let chunk = self.buffer.split_to(CHUNK).freeze();
            if self.chunks == 0 {
                check_format(&chunk)?;
                if let Some(mapping) = mapping {
                    plan(&chunk, false, mapping)?;
                }
                self.head = chunk.clone();
            }
            self.keep(chunk).await?;
        }
        Ok(())
    }

    async fn keep(&mut self, chunk: Bytes) -> Result<(), Error> {
        let (import, seq) = (self.import.clone(), self.chunks);
        // Before the first row is written, so that a drop in between cleans up.
        self.chunks += 1;
        let db = &self.state.host.db;
        db.transaction(move |conn| {
            if seq == 0 {
                imports::insert(conn, &import)?;
            }
            imports::add_chunk(conn, import.workspace_id, import.id, seq, &chunk)?;
            Ok::<_, Error>(())
        })
        .await
    }

    /// The file is complete: queues the import. From here on it will be carried out, whatever is
    /// killed.
    pub(crate) async fn finish(mut self, mapping: &Mapping) -> Result<Import, Error> {
        let rest = self.buffer.split().freeze();
        let plan = match self.chunks {
            0 => plan(&rest, true, mapping)?,
            _ => plan(&self.head, false, mapping)?,
        };
        let (import, seq) = (self.queued(&plan), self.chunks);
        let now = self.state.host.clock.now();
        let queue = move |conn: &mut PgConnection| {
            match seq {
                0 => imports::insert(conn, &import)?,
                _ => imports::update(conn, &import)?,
            };
            if !rest.is_empty() {
                imports::add_chunk(conn, import.workspace_id, import.id, seq, &rest)?;
            }
            let job = RunImport {
                workspace: import.workspace_id,
                import: import.id,
            };
            jobs::enqueue(conn, &job, now)?;
            Ok::<_, Error>(import)
        };
        let import = self.state.host.db.transaction(queue).await?;
        self.finished = true;
        Ok(import)
    }

    fn queued(&self, plan: &Plan) -> Import {
        Import {
            status: "queued".into(),
            plan: serde_json::to_value(plan).unwrap_or(Value::Null),
            bytes: i64::try_from(self.bytes).unwrap_or(i64::MAX),
            next_byte: plan.first_byte as i64,
            next_line: plan.first_line as i64,
            ..self.import.clone()
        }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if self.finished || self.chunks == 0 {
            return;
        }
        let (db, workspace, id) = (
            self.state.host.db.clone(),
            self.import.workspace_id,
            self.import.id,
        );
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return; // The process ends; the sweep finds it.
        };
        runtime.spawn(async move {
            let forgotten: Result<(), Error> = db
                .transaction(move |conn| Ok(imports::forget(conn, workspace, id)?))
                .await;
            if let Err(error) = forgotten {
                tracing::warn!(import.id = %id, %error, "an upload that broke off stays for now");
            }
        });
    }
}
