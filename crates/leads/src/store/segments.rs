//! The `segments` table, and the meaning of rules that name other segments.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use common::{FieldError, ListId, SegmentId, WorkspaceId};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::Text;
use serde_json::Value;

use super::lists;
use super::rule_sql::Terms;
use crate::domain::rule::{self, MAX_NODES, Rule};
use crate::schema::segments;

/// A saved rule over leads.
#[derive(Clone, Debug, PartialEq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = segments, check_for_backend(diesel::pg::Pg))]
#[diesel(primary_key(workspace_id, id))]
pub(crate) struct Segment {
    pub workspace_id: WorkspaceId,
    pub id: SegmentId,
    pub name: String,
    pub rule: Value,
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

pub(crate) fn insert(conn: &mut PgConnection, segment: &Segment) -> QueryResult<usize> {
    diesel::insert_into(segments::table)
        .values(segment)
        .execute(conn)
}

pub(crate) fn find(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: SegmentId,
) -> QueryResult<Option<Segment>> {
    segments::table
        .find((workspace, id))
        .select(Segment::as_select())
        .first(conn)
        .optional()
}

pub(crate) fn update(conn: &mut PgConnection, segment: &Segment) -> QueryResult<usize> {
    diesel::update(segments::table.find((segment.workspace_id, segment.id)))
        .set(segment)
        .execute(conn)
}

pub(crate) fn delete(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: SegmentId,
) -> QueryResult<usize> {
    diesel::delete(segments::table.find((workspace, id))).execute(conn)
}

/// Up to `limit` segments, newest first, older than `before`.
pub(crate) fn newest(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    before: Option<SegmentId>,
    limit: i64,
) -> QueryResult<Vec<Segment>> {
    let mut query = segments::table
        .filter(segments::workspace_id.eq(workspace))
        .into_boxed();
    if let Some(before) = before {
        query = query.filter(segments::id.lt(before));
    }
    query
        .order(segments::id.desc())
        .limit(limit)
        .select(Segment::as_select())
        .load(conn)
}

/// One writer of a workspace's rules at a time, until the transaction ends: two segments that are
/// saved together must not come to name each other, and what a rule names must not vanish.
pub(crate) fn lock_rules(conn: &mut PgConnection, workspace: WorkspaceId) -> QueryResult<()> {
    sql_query("SELECT pg_advisory_xact_lock(hashtextextended('segments ' || $1, 0))")
        .bind::<Text, _>(workspace.to_string())
        .execute(conn)?;
    Ok(())
}

/// Every rule of the workspace by its segment, with the segment's name.
fn rules(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
) -> QueryResult<HashMap<SegmentId, (String, Rule)>> {
    let rows: Vec<(SegmentId, String, Value)> = segments::table
        .filter(segments::workspace_id.eq(workspace))
        .select((segments::id, segments::name, segments::rule))
        .load(conn)?;
    let parsed = |(id, name, json): (SegmentId, String, Value)| match rule::parse(&json, "") {
        Ok(rule) => Some((id, (name, rule))),
        Err(problems) => {
            tracing::error!(segment.id = %id, ?problems, "a saved rule cannot be read");
            None
        }
    };
    Ok(rows.into_iter().filter_map(parsed).collect())
}

/// The segment that names `id`, if one does.
pub(crate) fn naming_segment(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: SegmentId,
) -> QueryResult<Option<String>> {
    let rules = rules(conn, workspace)?;
    let naming = |(_, rule): &&(String, Rule)| rule.segments().contains(&id);
    Ok(rules.values().find(naming).map(|(name, _)| name.clone()))
}

/// The segment that names the list `id`, if one does.
pub(crate) fn naming_list(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: ListId,
) -> QueryResult<Option<String>> {
    let rules = rules(conn, workspace)?;
    let naming = |(_, rule): &&(String, Rule)| rule.lists().contains(&id);
    Ok(rules.values().find(naming).map(|(name, _)| name.clone()))
}

/// What rules mean now, for compiling them.
pub(crate) fn terms(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    now: DateTime<Utc>,
) -> QueryResult<Terms> {
    let rules = rules(conn, workspace)?;
    Ok(Terms {
        workspace,
        now,
        segments: rules
            .into_iter()
            .map(|(id, (_, rule))| (id, rule))
            .collect(),
    })
}

/// What is wrong with a rule that can only be known from the other rows: names of lists and
/// segments that do not exist, cycles, and a size that explodes. `own` is the segment it is
/// saved as.
pub(crate) fn check(
    conn: &mut PgConnection,
    terms: &Terms,
    own: Option<SegmentId>,
    rule: &Rule,
) -> QueryResult<Vec<FieldError>> {
    let mut problems = Vec::new();
    let mut named = rule.lists();
    named.sort_unstable();
    named.dedup();
    let existing = lists::existing(conn, terms.workspace, &named)?;
    for id in named.iter().filter(|id| !existing.contains(id)) {
        problems.push(FieldError::new(
            "/rule",
            format!("names the list {id}, which does not exist"),
        ));
    }
    for id in rule.segments() {
        if !terms.segments.contains_key(&id) && Some(id) != own {
            let detail = format!("names the segment {id}, which does not exist");
            problems.push(FieldError::new("/rule", detail));
        }
    }
    if let Err(detail) = check_size(terms, own, rule) {
        problems.push(FieldError::new("/rule", detail));
    }
    Ok(problems)
}

/// The rule written out must be of a sound size, and so must every rule that names it.
fn check_size(terms: &Terms, own: Option<SegmentId>, rule: &Rule) -> Result<(), String> {
    if written_out(terms, own, rule, &mut Vec::new())? > MAX_NODES {
        return Err(format!(
            "has more than {MAX_NODES} parts, with the segments it names"
        ));
    }
    let Some(own) = own else { return Ok(()) };
    let mut segments = terms.segments.clone();
    segments.insert(own, rule.clone());
    let after = Terms { segments, ..*terms };
    for other in after.segments.values() {
        if written_out(&after, None, other, &mut Vec::new())? > MAX_NODES {
            return Err(format!(
                "makes a segment that names this one larger than {MAX_NODES} parts"
            ));
        }
    }
    Ok(())
}

/// The size of a rule with the segments it names in place of their names.
fn written_out(
    terms: &Terms,
    own: Option<SegmentId>,
    rule: &Rule,
    path: &mut Vec<SegmentId>,
) -> Result<usize, String> {
    let mut size = rule.size();
    for id in rule.segments() {
        if Some(id) == own || path.contains(&id) {
            return Err(format!("leads back to itself through the segment {id}"));
        }
        if let Some(inner) = terms.segments.get(&id) {
            path.push(id);
            size += written_out(terms, own, inner, path)?;
            path.pop();
        }
        if size > MAX_NODES {
            break;
        }
    }
    Ok(size)
}
