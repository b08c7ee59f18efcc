//! Who is in an audience: members of any of its lists and leads of any of its segments, less
//! those of the excluded segments.

use chrono::{DateTime, Utc};
use common::dto::audience::{Audience, AudienceCount, AudienceQuery, Gap};
use common::json::RawJson;
use common::{LeadId, SegmentId};
use diesel::dsl::SqlTypeOf;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text, Uuid as SqlUuid};
use serde::Serialize;

use super::rule_sql::Terms;
use super::statement::Statement;
use crate::domain::rule::{Condition, Rule};
use crate::schema::leads;

/// The standing of `l`, joined with `m` (memberships of the targeted lists) and `s` (suppression).
/// Who is on a targeted list needs a confirmed membership. Who is only in a segment needs none, as
/// long as something else than an unconfirmed form speaks for them.
const STANDING: &str = "CASE WHEN s.address_key IS NOT NULL THEN 'suppressed'
     WHEN l.unconfirmed OR m.lead_id IS NOT NULL AND NOT m.confirmed THEN 'unsubscribed'
     ELSE 'sendable' END AS standing";

/// What a template sees under `lead.`, in the order in which [`among`] selects it.
#[derive(Debug, Queryable, Serialize)]
pub(crate) struct Person {
    pub id: LeadId,
    pub email: String,
    first_name: Option<String>,
    last_name: Option<String>,
    phone: Option<String>,
    company: Option<String>,
    status: String,
    score: i32,
    source: Option<String>,
    pub timezone: Option<String>,
    locale: Option<String>,
    tags: Vec<String>,
    attributes: RawJson,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

type Columns = (
    SqlTypeOf<(
        leads::id,
        leads::email,
        leads::first_name,
        leads::last_name,
        leads::phone,
        leads::company,
        leads::status,
        leads::score,
        leads::source,
        leads::timezone,
        leads::locale,
        leads::tags,
        leads::attributes,
        leads::created_at,
        leads::updated_at,
    )>,
    Text,
);

/// A lead of an audience.
#[derive(Debug, Queryable)]
pub(crate) struct Found {
    pub person: Person,
    pub standing: String,
}

#[derive(QueryableByName)]
struct Id {
    #[diesel(sql_type = SqlUuid)]
    id: LeadId,
}

/// The next ids in order after `after` of everybody on the lists or in the segments. Each list
/// and the segments together give their own first `limit`, so indexes answer, however large they
/// are; the excluded are not yet taken out.
pub(crate) fn candidates(
    conn: &mut PgConnection,
    terms: &Terms,
    query: &AudienceQuery,
    after: Option<LeadId>,
    limit: i64,
) -> QueryResult<Vec<LeadId>> {
    let audience = &query.audience;
    if audience.is_empty() {
        return Ok(Vec::new());
    }
    let mut sql = Statement::new("SELECT id FROM (");
    for (at, list) in audience.list_ids.iter().enumerate() {
        sql.sql(if at > 0 { " UNION " } else { "" });
        sql.sql("(SELECT m.lead_id AS id FROM list_members m WHERE m.workspace_id = ")
            .bind(query.workspace_id)
            .sql(" AND m.list_id = ")
            .bind(*list)
            .sql(" AND m.created_at <= ")
            .bind(query.as_of);
        if let Some(after) = after {
            sql.sql(" AND m.lead_id > ").bind(after);
        }
        sql.sql(" ORDER BY m.lead_id LIMIT ").bind(limit).sql(")");
    }
    if !audience.segment_ids.is_empty() {
        sql.sql(if audience.list_ids.is_empty() {
            ""
        } else {
            " UNION "
        });
        sql.sql("(SELECT l.id FROM leads l WHERE l.workspace_id = ")
            .bind(query.workspace_id)
            .sql(" AND l.created_at <= ")
            .bind(query.as_of)
            .sql(" AND ")
            .append(&terms.compile(&any_of(&audience.segment_ids)));
        if let Some(after) = after {
            sql.sql(" AND l.id > ").bind(after);
        }
        sql.sql(" ORDER BY l.id LIMIT ").bind(limit).sql(")");
    }
    sql.sql(") AS candidates ORDER BY id LIMIT ").bind(limit);
    let rows: Vec<Id> = sql.load(conn)?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}

/// Those of the candidates, who are sorted, who belong to the audience, in order, with their
/// standing.
pub(crate) fn among(
    conn: &mut PgConnection,
    terms: &Terms,
    query: &AudienceQuery,
    ids: &[LeadId],
) -> QueryResult<Vec<Found>> {
    let mut sql = Statement::new(
        "SELECT l.id, l.email, l.first_name, l.last_name, l.phone, l.company, l.status, l.score, l.source,
                l.timezone, l.locale, l.tags, l.attributes, l.created_at, l.updated_at, ",
    );
    sql.sql(STANDING);
    from(terms, query, Some(ids), &mut sql);
    sql.sql(" ORDER BY l.id");
    sql.typed::<Columns>().load(conn)
}

/// How many are in the audience, and how many of them may be mailed.
pub(crate) fn count(
    conn: &mut PgConnection,
    terms: &Terms,
    query: &AudienceQuery,
) -> QueryResult<AudienceCount> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        count: i64,
        #[diesel(sql_type = BigInt)]
        sendable: i64,
    }
    if query.audience.is_empty() {
        return Ok(AudienceCount::default());
    }
    let mut sql = Statement::new(
        "SELECT count(*) AS count, count(*) FILTER (WHERE standing = 'sendable') AS sendable FROM (SELECT ",
    );
    sql.sql(STANDING);
    from(terms, query, None, &mut sql);
    sql.sql(") AS audience");
    let row: Row = sql.get_result(conn)?;
    Ok(AudienceCount {
        count: row.count,
        sendable: row.sendable,
    })
}

/// For each variable, how many of the sendable have no value for it, and one of them.
pub(crate) fn gaps(
    conn: &mut PgConnection,
    terms: &Terms,
    query: &AudienceQuery,
    variables: &[String],
) -> QueryResult<Vec<Gap>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        at: i64,
        #[diesel(sql_type = BigInt)]
        missing: i64,
        #[diesel(sql_type = Nullable<SqlUuid>)]
        sample: Option<LeadId>,
    }
    let mut gaps: Vec<Gap> = variables
        .iter()
        .map(|variable| Gap {
            variable: variable.clone(),
            missing: 0,
            sample: None,
        })
        .collect();
    if variables.is_empty() || query.audience.is_empty() {
        return Ok(gaps);
    }
    // Everybody is looked at once, however many variables there are.
    let (mut each, mut any) = (Statement::default(), Statement::new("FALSE"));
    for (at, variable) in variables.iter().enumerate() {
        let is_missing = missing(variable);
        each.sql(if at > 0 { ", " } else { "" }).append(&is_missing);
        any.sql(" OR ").append(&is_missing);
    }
    let mut sql = Statement::new(
        "SELECT at, count(*) AS missing, (min(id::text))::uuid AS sample FROM (SELECT l.id, ARRAY[",
    );
    sql.append(&each).sql("] AS missing, ").sql(STANDING);
    from(terms, query, None, &mut sql);
    sql.sql(" AND (").append(&any).sql(
        ")) AS audience CROSS JOIN unnest(missing) WITH ORDINALITY AS variable(is_missing, at)
         WHERE standing = 'sendable' AND is_missing GROUP BY at",
    );
    let rows: Vec<Row> = sql.load(conn)?;
    for row in rows {
        let at = usize::try_from(row.at - 1).unwrap_or(usize::MAX);
        if let Some(gap) = gaps.get_mut(at) {
            (gap.missing, gap.sample) = (row.missing, row.sample);
        }
    }
    Ok(gaps)
}

/// A condition that is true for leads without a value.
fn missing(variable: &str) -> Statement {
    let column = match variable {
        "id" | "email" | "status" | "score" | "created_at" | "updated_at" => "FALSE",
        "first_name" => "l.first_name IS NULL",
        "last_name" => "l.last_name IS NULL",
        "phone" => "l.phone IS NULL",
        "company" => "l.company IS NULL",
        "source" => "l.source IS NULL",
        "timezone" => "l.timezone IS NULL",
        "locale" => "l.locale IS NULL",
        "tags" => "l.tags = '{}'",
        "attributes" => "l.attributes = '{}'",
        _ => "TRUE",
    };
    let Some(path) = variable.strip_prefix("attributes.") else {
        return Statement::new(column);
    };
    let path: Vec<String> = path.split('.').map(str::to_owned).collect();
    let mut sql = Statement::new("coalesce(l.attributes #>> ");
    sql.bind(path).sql(", '') IN ('', '[]', '{}')");
    sql
}

/// `FROM … WHERE …` of an audience, over `l`, `m` and `s`; `ids` narrows it to some leads.
fn from(terms: &Terms, query: &AudienceQuery, ids: Option<&[LeadId]>, sql: &mut Statement) {
    let Audience {
        list_ids,
        segment_ids,
        exclude_segment_ids,
    } = &query.audience;
    // For some leads each is looked up by itself, whatever the planner knows of tables that grew a
    // moment ago; for all of them memberships are read once.
    let (join, theirs, on) = match ids {
        Some(_) => ("LATERAL (", " AND lead_id = l.id", "true"),
        None => ("(", "", "m.lead_id = l.id"),
    };
    sql.sql(" FROM leads l LEFT JOIN ").sql(join);
    sql.sql("SELECT lead_id, bool_or(status = 'confirmed') AS confirmed FROM list_members WHERE workspace_id = ")
        .bind(query.workspace_id)
        .sql(" AND list_id = ANY(")
        .bind(&list_ids[..])
        .sql(") AND created_at <= ")
        .bind(query.as_of)
        .sql(theirs)
        .sql(" GROUP BY lead_id) AS m ON ")
        .sql(on);
    sql.sql(" LEFT JOIN suppressions s ON s.workspace_id = l.workspace_id AND s.address_key = l.email_key WHERE l.workspace_id = ")
        .bind(query.workspace_id)
        .sql(" AND l.created_at <= ")
        .bind(query.as_of);
    if let Some(ids) = ids {
        among_ids(ids, sql);
    }
    sql.sql(" AND (m.lead_id IS NOT NULL");
    if !segment_ids.is_empty() {
        sql.sql(" OR ").append(&terms.compile(&any_of(segment_ids)));
    }
    sql.sql(")");
    if !exclude_segment_ids.is_empty() {
        let excluded = Rule::Not(Box::new(any_of(exclude_segment_ids)));
        sql.sql(" AND ").append(&terms.compile(&excluded));
    }
}

/// Narrows `l` to sorted ids. Between their ends an index finds them at once; a list alone makes
/// Postgres read the whole table as soon as it is long.
fn among_ids(ids: &[LeadId], sql: &mut Statement) {
    sql.sql(" AND l.id = ANY(").bind(ids).sql(")");
    if let (Some(first), Some(last)) = (ids.first(), ids.last()) {
        sql.sql(" AND l.id BETWEEN ").bind(*first);
        sql.sql(" AND ").bind(*last);
    }
}

fn any_of(segments: &[SegmentId]) -> Rule {
    Rule::Where(Condition::Segment(segments.to_vec()))
}
