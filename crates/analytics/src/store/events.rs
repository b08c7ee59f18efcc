//! Writing events.

use diesel::pg::CopyFormat;
use diesel::prelude::*;
use diesel::result::Error as QueryError;

use super::rows;
use crate::domain::event::Event;
use crate::schema::events;
use crate::store::rollups;

/// Writes rows by binary `COPY`; each goes to its day's partition, and its hour is to be counted.
pub fn copy(conn: &mut PgConnection, rows: &[&Event]) -> QueryResult<()> {
    let received = rows.iter().map(|row| (row.workspace_id, row.received_at));
    rollups::touch(conn, received)?;
    copy_alone(conn, rows)
}

/// Writes events whose hours are noted by something else in the same transaction.
pub(super) fn copy_alone(conn: &mut PgConnection, rows: &[&Event]) -> QueryResult<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let bytes = rows::write(rows);
    diesel::copy_from(events::table)
        .from_raw_data(events::table, |copy| {
            let put = copy.write_all(&bytes);
            put.map_err(|error| QueryError::SerializationError(error.into()))
        })
        .with_format(CopyFormat::Binary)
        .execute(conn)?;
    Ok(())
}
