//! The `leads` table.

use chrono::{DateTime, Utc};
use common::events::Engagement;
use common::events::EngagementKind;
use common::{LeadId, WorkspaceId};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Nullable, Timestamptz, Uuid as SqlUuid};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::rule_sql::escape_like;
use super::statement::Statement;
use crate::domain::lead::STATUSES;
use crate::schema::leads;

/// A person.
#[derive(
    Clone, Debug, PartialEq, Queryable, Selectable, QueryableByName, Insertable, AsChangeset,
)]
#[diesel(table_name = leads, check_for_backend(diesel::pg::Pg))]
#[diesel(primary_key(workspace_id, id), treat_none_as_null = true)]
pub(crate) struct Lead {
    pub workspace_id: WorkspaceId,
    pub id: LeadId,
    pub email: String,
    pub email_key: String,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
    pub phone: Option<String>,
    pub company: Option<String>,
    pub status: String,
    pub score: i32,
    pub source: Option<String>,
    pub timezone: Option<String>,
    pub locale: Option<String>,
    pub tags: Vec<String>,
    pub attributes: Value,
    pub import_id: Option<Uuid>,
    /// Only what nobody has confirmed speaks for them. Whoever is put on a list as confirmed is
    /// not so any more (see `members::set`), and an edit of the person changes nothing of it.
    #[diesel(skip_update)]
    pub unconfirmed: bool,
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

impl Lead {
    /// Somebody of whom nothing is known yet, not even an address.
    pub(crate) fn blank(workspace_id: WorkspaceId, now: DateTime<Utc>) -> Self {
        Self {
            workspace_id,
            id: LeadId::new(),
            email: String::new(),
            email_key: String::new(),
            first_name: None,
            last_name: None,
            phone: None,
            company: None,
            status: STATUSES[0].to_owned(),
            score: 0,
            source: None,
            timezone: None,
            locale: None,
            tags: Vec::new(),
            attributes: Value::Object(Map::new()),
            import_id: None,
            unconfirmed: false,
            version: 1,
            created_at: now,
            updated_at: now,
        }
    }
}

/// The leads with these addresses, which must be in lower case.
pub(crate) fn by_keys(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    keys: &[String],
) -> QueryResult<Vec<(LeadId, String)>> {
    leads::table
        .filter(leads::workspace_id.eq(workspace))
        .filter(leads::email_key.eq_any(keys))
        .select((leads::id, leads::email_key))
        .load(conn)
}

/// What was counted of a person's reactions.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = leads, check_for_backend(diesel::pg::Pg))]
pub(crate) struct Reactions {
    pub opens: i64,
    pub clicks: i64,
    pub last_open_at: Option<DateTime<Utc>>,
    pub last_click_at: Option<DateTime<Utc>>,
}

/// Which leads a list of them shows.
#[derive(Clone, Debug)]
pub(crate) struct Filter {
    pub workspace: WorkspaceId,
    /// Part of an address, a name or a company.
    pub q: Option<String>,
    pub status: Option<String>,
    pub tag: Option<String>,
    pub list: Option<common::ListId>,
    /// A compiled segment.
    pub rule: Option<Statement>,
}

impl Filter {
    /// Everybody whom a compiled rule describes.
    pub(crate) fn of_rule(workspace: WorkspaceId, rule: Statement) -> Self {
        Self {
            workspace,
            q: None,
            status: None,
            tag: None,
            list: None,
            rule: Some(rule),
        }
    }
}

pub(crate) fn insert(conn: &mut PgConnection, lead: &Lead) -> QueryResult<usize> {
    diesel::insert_into(leads::table).values(lead).execute(conn)
}

/// Adds a lead unless its address is taken; answers whether it was added.
pub(crate) fn insert_unknown(conn: &mut PgConnection, lead: &Lead) -> QueryResult<bool> {
    let added = diesel::insert_into(leads::table)
        .values(lead)
        .on_conflict((leads::workspace_id, leads::email_key))
        .do_nothing()
        .execute(conn)?;
    Ok(added == 1)
}

pub(crate) fn find(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: LeadId,
) -> QueryResult<Option<Lead>> {
    leads::table
        .find((workspace, id))
        .select(Lead::as_select())
        .first(conn)
        .optional()
}

pub(crate) fn find_by_key(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    key: &str,
) -> QueryResult<Option<Lead>> {
    leads::table
        .filter(leads::workspace_id.eq(workspace))
        .filter(leads::email_key.eq(key))
        .select(Lead::as_select())
        .first(conn)
        .optional()
}

/// Holds the lead until the transaction ends, so that memberships and consents agree with it.
pub(crate) fn lock(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: LeadId,
) -> QueryResult<Option<Lead>> {
    leads::table
        .find((workspace, id))
        .select(Lead::as_select())
        .for_update()
        .first(conn)
        .optional()
}

/// Holds the lead with this address, which was just seen to exist.
pub(crate) fn lock_by_key(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    key: &str,
) -> QueryResult<Lead> {
    leads::table
        .filter(leads::workspace_id.eq(workspace))
        .filter(leads::email_key.eq(key))
        .select(Lead::as_select())
        .for_update()
        .first(conn)
}

pub(crate) fn update(conn: &mut PgConnection, lead: &Lead) -> QueryResult<usize> {
    diesel::update(leads::table.find((lead.workspace_id, lead.id)))
        .set(lead)
        .execute(conn)
}

pub(crate) fn delete(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: LeadId,
) -> QueryResult<usize> {
    diesel::delete(leads::table.find((workspace, id))).execute(conn)
}

pub(crate) fn reactions(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: LeadId,
) -> QueryResult<Option<Reactions>> {
    leads::table
        .find((workspace, id))
        .select(Reactions::as_select())
        .first(conn)
        .optional()
}

/// Notes that somebody has confirmed, or that consent was given elsewhere.
pub(crate) fn agreed(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: LeadId,
) -> QueryResult<usize> {
    let held = leads::table.find((workspace, id));
    diesel::update(held.filter(leads::unconfirmed))
        .set(leads::unconfirmed.eq(false))
        .execute(conn)
}

/// Whether nothing was learned of a person since they came, neither entered nor counted.
pub(crate) fn is_bare(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: LeadId,
) -> QueryResult<bool> {
    let bare = leads::import_id
        .is_null()
        .and(leads::version.eq(1))
        .and(leads::opens.eq(0))
        .and(leads::clicks.eq(0))
        .and(leads::orders.eq(0));
    leads::table.find((workspace, id)).select(bare).first(conn)
}

/// Up to `limit` leads, newest first, older than `before`.
pub(crate) fn newest(
    conn: &mut PgConnection,
    filter: &Filter,
    before: Option<LeadId>,
    limit: i64,
) -> QueryResult<Vec<Lead>> {
    let mut query = matching(filter);
    if let Some(before) = before {
        query.sql(" AND l.id < ").bind(before);
    }
    query.sql(" ORDER BY l.id DESC LIMIT ").bind(limit);
    query.load(conn)
}

/// Up to `limit` leads, oldest first, after `after`.
pub(crate) fn oldest(
    conn: &mut PgConnection,
    filter: &Filter,
    after: Option<LeadId>,
    limit: i64,
) -> QueryResult<Vec<Lead>> {
    let mut query = matching(filter);
    if let Some(after) = after {
        query.sql(" AND l.id > ").bind(after);
    }
    query.sql(" ORDER BY l.id LIMIT ").bind(limit);
    query.load(conn)
}

fn matching(filter: &Filter) -> Statement {
    let mut query = Statement::new("SELECT l.* FROM leads l WHERE l.workspace_id = ");
    query.bind(filter.workspace);
    if let Some(status) = &filter.status {
        query.sql(" AND l.status = ").bind(status.as_str());
    }
    if let Some(tag) = &filter.tag {
        query.sql(" AND l.tags @> ").bind(vec![tag.clone()]);
    }
    if let Some(list) = filter.list {
        query
            .sql(" AND l.id IN (SELECT m.lead_id FROM list_members m WHERE m.workspace_id = ")
            .bind(filter.workspace)
            .sql(" AND m.list_id = ")
            .bind(list)
            .sql(")");
    }
    if let Some(rule) = &filter.rule {
        query.sql(" AND ").append(rule);
    }
    if let Some(q) = &filter.q {
        let (lower, any) = (
            format!("%{}%", escape_like(&q.to_lowercase())),
            format!("%{}%", escape_like(q)),
        );
        query
            .sql(" AND (l.email_key LIKE ")
            .bind(lower)
            .sql(" OR concat_ws(' ', l.first_name, l.last_name) ILIKE ")
            .bind(any.as_str())
            .sql(" OR l.company ILIKE ")
            .bind(any)
            .sql(")");
    }
    query
}

/// How many leads `rule` describes.
pub(crate) fn count(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    rule: &Statement,
) -> QueryResult<i64> {
    #[derive(QueryableByName)]
    struct Count {
        #[diesel(sql_type = BigInt)]
        count: i64,
    }
    let mut query = Statement::new("SELECT count(*) AS count FROM leads l WHERE l.workspace_id = ");
    query.bind(workspace).sql(" AND ").append(rule);
    query.get_result::<Count>(conn).map(|row| row.count)
}

/// Adds opens and clicks. Leads that are gone are passed over.
pub(crate) fn react(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    items: &[Engagement],
) -> QueryResult<usize> {
    let of = |kind: EngagementKind| {
        move |item: &Engagement| {
            if item.kind == kind {
                Some(item.at)
            } else {
                None
            }
        }
    };
    let (open, click) = (of(EngagementKind::Open), of(EngagementKind::Click));
    let ids: Vec<LeadId> = items.iter().map(|item| item.lead_id).collect();
    let opens: Vec<Option<DateTime<Utc>>> = items.iter().map(open).collect();
    let clicks: Vec<Option<DateTime<Utc>>> = items.iter().map(click).collect();
    sql_query(
        "UPDATE leads l SET
             opens = l.opens + new.opens,
             clicks = l.clicks + new.clicks,
             last_open_at = greatest(l.last_open_at, new.last_open_at),
             last_click_at = greatest(l.last_click_at, new.last_click_at)
         FROM (
             SELECT id, count(open_at) AS opens, count(click_at) AS clicks,
                    max(open_at) AS last_open_at, max(click_at) AS last_click_at
             FROM unnest($2, $3, $4) AS item (id, open_at, click_at) GROUP BY id
         ) AS new
         WHERE l.workspace_id = $1 AND l.id = new.id",
    )
    .bind::<SqlUuid, _>(workspace)
    .bind::<Array<SqlUuid>, _>(ids)
    .bind::<Array<Nullable<Timestamptz>>, _>(opens)
    .bind::<Array<Nullable<Timestamptz>>, _>(clicks)
    .execute(conn)
}
