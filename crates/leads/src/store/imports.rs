//! The `imports`, `import_chunks` and `import_errors` tables.

use chrono::{DateTime, Utc};
use common::{ImportId, ListId, WorkspaceId};
use diesel::prelude::*;
use serde_json::Value;

use crate::domain::batch::Rejected;
use crate::schema::{import_chunks, import_errors, imports};

/// The size of every piece of a file but the last.
pub(crate) const CHUNK: usize = 256 * 1024;

/// One run of an import.
#[derive(Clone, Debug, PartialEq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = imports, check_for_backend(diesel::pg::Pg))]
#[diesel(primary_key(workspace_id, id), treat_none_as_null = true)]
pub(crate) struct Import {
    pub workspace_id: WorkspaceId,
    pub id: ImportId,
    pub status: String,
    pub actor: String,
    pub list_id: Option<ListId>,
    pub list_status: String,
    pub dry_run: bool,
    pub plan: Value,
    pub bytes: i64,
    pub next_byte: i64,
    pub next_line: i64,
    pub rows: i64,
    pub created: i64,
    pub updated: i64,
    pub unchanged: i64,
    pub rejected: i64,
    pub failure: Option<String>,
    pub created_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
}

impl Import {
    /// Whether nothing more will happen to it.
    pub(crate) fn ended(&self) -> bool {
        matches!(self.status.as_str(), "done" | "failed" | "cancelled")
    }
}

pub(crate) fn insert(conn: &mut PgConnection, import: &Import) -> QueryResult<usize> {
    diesel::insert_into(imports::table)
        .values(import)
        .execute(conn)
}

/// An import whose upload is complete.
pub(crate) fn find(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: ImportId,
) -> QueryResult<Option<Import>> {
    imports::table
        .find((workspace, id))
        .filter(imports::status.ne("uploading"))
        .select(Import::as_select())
        .first(conn)
        .optional()
}

/// Holds the import until the transaction ends.
pub(crate) fn lock(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: ImportId,
) -> QueryResult<Option<Import>> {
    imports::table
        .find((workspace, id))
        .select(Import::as_select())
        .for_update()
        .first(conn)
        .optional()
}

pub(crate) fn update(conn: &mut PgConnection, import: &Import) -> QueryResult<usize> {
    diesel::update(imports::table.find((import.workspace_id, import.id)))
        .set(import)
        .execute(conn)
}

/// Up to `limit` imports, newest first, older than `before`.
pub(crate) fn newest(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    before: Option<ImportId>,
    limit: i64,
) -> QueryResult<Vec<Import>> {
    let mut query = imports::table
        .filter(imports::workspace_id.eq(workspace))
        .filter(imports::status.ne("uploading"))
        .into_boxed();
    if let Some(before) = before {
        query = query.filter(imports::id.lt(before));
    }
    query
        .order(imports::id.desc())
        .limit(limit)
        .select(Import::as_select())
        .load(conn)
}

pub(crate) fn add_chunk(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: ImportId,
    seq: i32,
    data: &[u8],
) -> QueryResult<usize> {
    diesel::insert_into(import_chunks::table)
        .values((
            import_chunks::workspace_id.eq(workspace),
            import_chunks::import_id.eq(id.0),
            import_chunks::seq.eq(seq),
            import_chunks::data.eq(data),
        ))
        .execute(conn)
}

/// The bytes of the file from `from` on: to the end of the chunk that many chunks later, or of
/// the file.
pub(crate) fn window(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: ImportId,
    from: usize,
    chunks: usize,
) -> QueryResult<Vec<u8>> {
    let first = i32::try_from(from / CHUNK).unwrap_or(i32::MAX);
    let pieces: Vec<Vec<u8>> = import_chunks::table
        .filter(import_chunks::workspace_id.eq(workspace))
        .filter(import_chunks::import_id.eq(id.0))
        .filter(import_chunks::seq.ge(first))
        .order(import_chunks::seq.asc())
        .limit(i64::try_from(chunks).unwrap_or(i64::MAX))
        .select(import_chunks::data)
        .load(conn)?;
    let mut window = pieces.concat();
    window.drain(..(from % CHUNK).min(window.len()));
    Ok(window)
}

pub(crate) fn drop_chunks(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: ImportId,
) -> QueryResult<usize> {
    let chunks = import_chunks::table
        .filter(import_chunks::workspace_id.eq(workspace))
        .filter(import_chunks::import_id.eq(id.0));
    diesel::delete(chunks).execute(conn)
}

/// Forgets an upload that was not completed, as if it had never begun.
pub(crate) fn forget(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: ImportId,
) -> QueryResult<()> {
    let row = imports::table
        .find((workspace, id))
        .filter(imports::status.eq("uploading"));
    if diesel::delete(row).execute(conn)? > 0 {
        drop_chunks(conn, workspace, id)?;
    }
    Ok(())
}

/// Uploads begun before `before` and never completed: their process is gone.
pub(crate) fn abandoned(
    conn: &mut PgConnection,
    before: DateTime<Utc>,
) -> QueryResult<Vec<(WorkspaceId, ImportId)>> {
    imports::table
        .filter(imports::status.eq("uploading"))
        .filter(imports::created_at.lt(before))
        .select((imports::workspace_id, imports::id))
        .load(conn)
}

#[derive(Insertable)]
#[diesel(table_name = import_errors, treat_none_as_default_value = false)]
struct ErrorRow<'a> {
    workspace_id: WorkspaceId,
    import_id: uuid::Uuid,
    line: i64,
    reason: &'a str,
    cells: &'a [String],
}

pub(crate) fn add_errors(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: ImportId,
    rejected: &[Rejected],
) -> QueryResult<()> {
    if rejected.is_empty() {
        return Ok(());
    }

    let rows: Vec<ErrorRow<'_>> = rejected
        .iter()
        .map(|row| ErrorRow {
            workspace_id: workspace,
            import_id: id.0,
            line: row.line,
            reason: &row.reason,
            cells: &row.cells,
        })
        .collect();
    diesel::copy_from(import_errors::table)
        .from_insertable(&rows)
        .execute(conn)?;
    Ok(())
}

/// Up to `limit` refused rows after `line`.
pub(crate) fn errors(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: ImportId,
    line: i64,
    limit: i64,
) -> QueryResult<Vec<Rejected>> {
    let rows: Vec<(i64, String, Vec<String>)> = import_errors::table
        .filter(import_errors::workspace_id.eq(workspace))
        .filter(import_errors::import_id.eq(id.0))
        .filter(import_errors::line.gt(line))
        .order(import_errors::line.asc())
        .limit(limit)
        .select((
            import_errors::line,
            import_errors::reason,
            import_errors::cells,
        ))
        .load(conn)?;
    let rejected = |(line, reason, cells)| Rejected {
        line,
        reason,
        cells,
    };
    Ok(rows.into_iter().map(rejected).collect())
}
