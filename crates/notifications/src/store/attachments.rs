//! The bytes of files that go with messages.

use chrono::{DateTime, Utc};
use common::ids::{MessageId, WorkspaceId};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Text, Uuid as SqlUuid};
use uuid::Uuid;

use super::claims;
use crate::schema::{attachment_chunks, attachments};

/// A file that belongs to no message yet.
pub(crate) fn begin(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: Uuid,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    diesel::insert_into(attachments::table)
        .values((
            attachments::workspace_id.eq(workspace.0),
            attachments::id.eq(id),
            attachments::created_at.eq(now),
        ))
        .execute(conn)?;
    Ok(())
}

pub(crate) fn add_chunk(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: Uuid,
    seq: i32,
    bytes: &[u8],
) -> QueryResult<()> {
    diesel::insert_into(attachment_chunks::table)
        .values((
            attachment_chunks::workspace_id.eq(workspace.0),
            attachment_chunks::attachment_id.eq(id),
            attachment_chunks::seq.eq(seq),
            attachment_chunks::bytes.eq(bytes),
        ))
        .execute(conn)?;
    Ok(())
}

/// Gives files to a message; from here on they stay until it is settled.
pub(crate) fn give(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    ids: &[Uuid],
    message: MessageId,
) -> QueryResult<()> {
    let rows = attachments::table
        .filter(attachments::workspace_id.eq(workspace.0))
        .filter(attachments::id.eq_any(ids));
    let given = diesel::update(rows)
        .set(attachments::message_id.eq(message.0))
        .execute(conn)?;
    match given == ids.len() {
        true => Ok(()),
        false => Err(diesel::result::Error::NotFound),
    }
}

/// The bytes of a file, or what is left of them.
pub(crate) fn read(
    conn: &mut PgConnection,
    workspace: Uuid,
    id: Uuid,
    size: usize,
) -> QueryResult<Vec<u8>> {
    let mut whole = Vec::with_capacity(size);
    let mut next = 0;
    loop {
        let chunk: Option<Vec<u8>> = attachment_chunks::table
            .find((workspace, id, next))
            .select(attachment_chunks::bytes)
            .first(conn)
            .optional()?;
        let Some(chunk) = chunk else {
            return Ok(whole);
        };
        whole.extend_from_slice(&chunk);
        next += 1;
    }
}

/// Whether a file is still here: one without bytes has no rows of them.
pub(crate) fn exists(conn: &mut PgConnection, workspace: Uuid, id: Uuid) -> QueryResult<bool> {
    diesel::select(diesel::dsl::exists(
        attachments::table.find((workspace, id)),
    ))
    .get_result(conn)
}

/// Deletes those of `ids` that were given to no message.
pub(crate) fn forget(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    ids: &[Uuid],
) -> QueryResult<()> {
    let rows = attachments::table
        .filter(attachments::workspace_id.eq(workspace.0))
        .filter(attachments::id.eq_any(ids))
        .filter(attachments::message_id.is_null());
    diesel::delete(rows).execute(conn)?;
    Ok(())
}

/// Deletes what nobody needs any more: files of settled messages, and those that were begun before
/// `abandoned` and given to none.
pub(crate) fn sweep(conn: &mut PgConnection, abandoned: DateTime<Utc>) -> QueryResult<usize> {
    claims::by_key(conn)?;
    let done = sql_query(
        "DELETE FROM attachments AS a USING messages AS m
         WHERE m.workspace_id = a.workspace_id AND m.id = a.message_id AND m.state <> 'pending'",
    )
    .execute(conn)?;
    let old = attachments::table
        .filter(attachments::message_id.is_null())
        .filter(attachments::created_at.lt(abandoned));
    Ok(done + diesel::delete(old).execute(conn)?)
}

/// The messages to an address whose files are still here.
pub(crate) fn carriers(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    address: &str,
) -> QueryResult<Vec<Uuid>> {
    #[derive(QueryableByName)]
    struct Carrier {
        #[diesel(sql_type = SqlUuid)]
        id: Uuid,
    }
    claims::by_key(conn)?;
    let rows: Vec<Carrier> = sql_query(
        "SELECT DISTINCT m.id FROM attachments AS a
         JOIN messages AS m ON m.workspace_id = a.workspace_id AND m.id = a.message_id
         WHERE a.workspace_id = $1 AND lower(m.address) = $2",
    )
    .bind::<SqlUuid, _>(workspace.0)
    .bind::<Text, _>(address.to_lowercase())
    .load(conn)?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}

/// Deletes the files of these messages. One that is in work is not sent without them.
pub(crate) fn delete_of(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    messages: &[Uuid],
) -> QueryResult<()> {
    let files = attachments::table
        .filter(attachments::workspace_id.eq(workspace.0))
        .filter(attachments::message_id.eq_any(messages));
    diesel::delete(files).execute(conn)?;
    Ok(())
}
