//! Writing events.

use diesel::prelude::*;

use crate::domain::event::Event;
use crate::schema::events;

/// Writes rows by binary `COPY`; each goes to its day's partition.
pub fn copy(conn: &mut PgConnection, rows: Vec<&Event>) -> QueryResult<()> {
    if rows.is_empty() {
        return Ok(());
    }
    diesel::copy_from(events::table)
        .from_insertable(rows)
        .execute(conn)?;
    Ok(())
}
