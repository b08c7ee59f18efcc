//! The `form_submissions` table: what people sent in forms.

use chrono::{DateTime, Utc};
use common::json::Stored;
use common::{FormId, LeadId, ListId, SubmissionId, WorkspaceId};
use diesel::dsl::{count, count_star, max};
use diesel::prelude::*;

use crate::domain::form::Answers;
use crate::schema::form_submissions;

/// What somebody sent, and what they agreed to by it.
#[derive(Clone, Debug, PartialEq, Queryable, Selectable, Insertable)]
#[diesel(table_name = form_submissions, check_for_backend(diesel::pg::Pg))]
pub(crate) struct Submission {
    pub workspace_id: WorkspaceId,
    pub id: SubmissionId,
    pub form_id: FormId,
    pub lead_id: LeadId,
    pub list_ids: Vec<ListId>,
    pub answers: Stored<Answers>,
    pub wording: String,
    pub anonymous_id: Option<String>,
    pub sent_from: Option<String>,
    pub submitted_at: DateTime<Utc>,
    pub confirmed_from: Option<String>,
    pub confirmed_at: Option<DateTime<Utc>>,
}

pub(crate) fn insert(conn: &mut PgConnection, submission: &Submission) -> QueryResult<usize> {
    diesel::insert_into(form_submissions::table)
        .values(submission)
        .execute(conn)
}

pub(crate) fn find(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: SubmissionId,
) -> QueryResult<Option<Submission>> {
    form_submissions::table
        .find((workspace, id))
        .select(Submission::as_select())
        .first(conn)
        .optional()
}

/// Holds it until the transaction ends: it is confirmed once.
pub(crate) fn lock(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: SubmissionId,
) -> QueryResult<Option<Submission>> {
    form_submissions::table
        .find((workspace, id))
        .select(Submission::as_select())
        .for_update()
        .first(conn)
        .optional()
}

pub(crate) fn confirm(
    conn: &mut PgConnection,
    submission: &Submission,
    from: Option<&str>,
    now: DateTime<Utc>,
) -> QueryResult<usize> {
    let row = form_submissions::table.find((submission.workspace_id, submission.id));
    diesel::update(row)
        .set((
            form_submissions::confirmed_from.eq(from),
            form_submissions::confirmed_at.eq(now),
        ))
        .execute(conn)
}

/// How often a person's address was sent in forms since a moment.
pub(crate) fn since(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    lead: LeadId,
    moment: DateTime<Utc>,
) -> QueryResult<i64> {
    form_submissions::table
        .filter(form_submissions::workspace_id.eq(workspace))
        .filter(form_submissions::lead_id.eq(lead))
        .filter(form_submissions::submitted_at.gt(moment))
        .select(count_star())
        .first(conn)
}

/// When a person's address was last sent in this form.
pub(crate) fn last(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    lead: LeadId,
    form: FormId,
) -> QueryResult<Option<DateTime<Utc>>> {
    form_submissions::table
        .filter(form_submissions::workspace_id.eq(workspace))
        .filter(form_submissions::lead_id.eq(lead))
        .filter(form_submissions::form_id.eq(form))
        .select(max(form_submissions::submitted_at))
        .first(conn)
}

/// How often each of these forms was sent, and how many of those are confirmed.
pub(crate) fn counts(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    forms: &[FormId],
) -> QueryResult<Vec<(FormId, i64, i64)>> {
    form_submissions::table
        .filter(form_submissions::workspace_id.eq(workspace))
        .filter(form_submissions::form_id.eq_any(forms))
        .group_by(form_submissions::form_id)
        .select((
            form_submissions::form_id,
            count_star(),
            count(form_submissions::confirmed_at),
        ))
        .load(conn)
}

/// What a person sent, the latest first.
pub(crate) fn of_lead(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    lead: LeadId,
    limit: i64,
) -> QueryResult<Vec<Submission>> {
    form_submissions::table
        .filter(form_submissions::workspace_id.eq(workspace))
        .filter(form_submissions::lead_id.eq(lead))
        .order(form_submissions::submitted_at.desc())
        .limit(limit)
        .select(Submission::as_select())
        .load(conn)
}

/// Up to `limit` people who sent something before a moment that nobody has confirmed.
pub(crate) fn lapsed(
    conn: &mut PgConnection,
    before: DateTime<Utc>,
    limit: i64,
) -> QueryResult<Vec<(WorkspaceId, LeadId)>> {
    form_submissions::table
        .filter(form_submissions::confirmed_at.is_null())
        .filter(form_submissions::submitted_at.lt(before))
        .select((form_submissions::workspace_id, form_submissions::lead_id))
        .distinct()
        .limit(limit)
        .load(conn)
}

/// Takes what a person sent before a moment and nobody has confirmed.
pub(crate) fn take_lapsed(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    lead: LeadId,
    before: DateTime<Utc>,
) -> QueryResult<Vec<Submission>> {
    let rows = form_submissions::table
        .filter(form_submissions::workspace_id.eq(workspace))
        .filter(form_submissions::lead_id.eq(lead))
        .filter(form_submissions::confirmed_at.is_null())
        .filter(form_submissions::submitted_at.lt(before));
    diesel::delete(rows)
        .returning(Submission::as_select())
        .get_results(conn)
}

/// Forgets what a person who is deleted sent.
pub(crate) fn forget(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    lead: LeadId,
) -> QueryResult<usize> {
    let rows = form_submissions::table
        .filter(form_submissions::workspace_id.eq(workspace))
        .filter(form_submissions::lead_id.eq(lead));
    diesel::delete(rows).execute(conn)
}
