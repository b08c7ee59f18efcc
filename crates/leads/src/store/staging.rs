//! From rows in memory to leads in one stroke: binary `COPY` into a temporary table, then one
//! `INSERT … ON CONFLICT`.
//!
//! The table is the connection's own (temporary, so unlogged and out of the way of other imports)
//! and is empty after every transaction.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use common::{ListId, WorkspaceId};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Bool, Text, Timestamptz, Uuid as SqlUuid};
use serde_json::Value;
use uuid::Uuid;

use super::imports::Import;
use crate::domain::batch::Imported;
use crate::schema::import_staging;

#[derive(Insertable)]
#[diesel(table_name = import_staging, treat_none_as_default_value = false)]
struct Row<'a> {
    id: Uuid,
    email: &'a str,
    email_key: &'a str,
    first_name: Option<&'a str>,
    last_name: Option<&'a str>,
    phone: Option<&'a str>,
    company: Option<&'a str>,
    status: Option<&'a str>,
    score: Option<i32>,
    source: Option<&'a str>,
    timezone: Option<&'a str>,
    locale: Option<&'a str>,
    tags: &'a [String],
    attributes: Value,
}

impl<'a> Row<'a> {
    fn of(lead: &'a Imported) -> Self {
        let profile = &lead.profile;
        Self {
            id: Uuid::now_v7(),
            email: &lead.email,
            email_key: &lead.key,
            first_name: profile.first_name.as_deref(),
            last_name: profile.last_name.as_deref(),
            phone: profile.phone.as_deref(),
            company: profile.company.as_deref(),
            status: profile.status.as_deref(),
            score: profile.score,
            source: profile.source.as_deref(),
            timezone: profile.timezone.as_deref(),
            locale: profile.locale.as_deref(),
            tags: &profile.tags,
            attributes: Value::Object(profile.attributes.clone()),
        }
    }
}

/// Fills the staging table, inside the caller's transaction.
pub(crate) fn fill(conn: &mut PgConnection, leads: &[Imported]) -> QueryResult<()> {
    // A batch is sorted by key; with the usual memory that would go through files.
    conn.batch_execute(
        "SET LOCAL work_mem = '64MB';
         CREATE TEMPORARY TABLE IF NOT EXISTS import_staging (
             id uuid, email text, email_key text COLLATE \"C\", first_name text, last_name text,
             phone text, company text, status text, score integer, source text, timezone text,
             locale text, tags text[], attributes jsonb
         ) ON COMMIT DELETE ROWS",
    )?;
    let rows: Vec<Row<'_>> = leads.iter().map(Row::of).collect();
    diesel::copy_from(import_staging::table)
        .from_insertable(&rows)
        .execute(conn)?;
    Ok(())
}

/// How many staged people were new, and how many were changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, QueryableByName)]
pub(crate) struct Upserted {
    #[diesel(sql_type = BigInt)]
    pub created: i64,
    #[diesel(sql_type = BigInt)]
    pub updated: i64,
}

/// What an import says of its people's consent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Consent {
    /// It puts them on no list, or as confirmed: whoever imports them answers for it.
    Given,
    /// They are unconfirmed: those of them who are new are known by nothing else.
    Unconfirmed,
    /// They left. It says nothing in favour of anybody.
    Withdrawn,
}

impl Consent {
    pub(crate) fn of(import: &Import) -> Self {
        match (import.list_id, import.list_status.as_str()) {
            (Some(_), "unconfirmed") => Self::Unconfirmed,
            (Some(_), "unsubscribed") => Self::Withdrawn,
            _ => Self::Given,
        }
    }
}

/// Which of the fields that every lead has were given by a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Given {
    status: bool,
    score: bool,
}

/// Turns what is staged into leads. What the file leaves empty stays as it is, tags are added, and
/// people of whom nothing new is said are not touched.
///
/// Rows are taken in the order of their keys, so that imports of the same people wait for each
/// other instead of deadlocking.
pub(crate) fn upsert(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    import: Uuid,
    consent: Consent,
    leads: &[Imported],
    now: DateTime<Utc>,
) -> QueryResult<Upserted> {
    let given = |lead: &Imported| Given {
        status: lead.profile.status.is_some(),
        score: lead.profile.score.is_some(),
    };
    // A new lead gets a status and a score in any case, so a conflict cannot tell whether the file
    // gave them: rows that did and rows that did not go in separately. Most files have one kind.
    let kinds: HashSet<Given> = leads.iter().map(given).collect();
    let mut sum = Upserted::default();
    for kind in kinds {
        let done: Upserted = sql_query(upsert_sql(kind))
            .bind::<SqlUuid, _>(workspace)
            .bind::<SqlUuid, _>(import)
            .bind::<Timestamptz, _>(now)
            .bind::<Bool, _>(consent == Consent::Unconfirmed)
            .bind::<Bool, _>(consent == Consent::Given)
            .get_result(conn)?;
        sum.created += done.created;
        sum.updated += done.updated;
    }
    Ok(sum)
}

fn upsert_sql(given: Given) -> String {
    let (status_is, status) = match given.status {
        true => ("IS NOT NULL", "excluded.status"),
        false => ("IS NULL", "l.status"),
    };
    let (score_is, score) = match given.score {
        true => ("IS NOT NULL", "excluded.score"),
        false => ("IS NULL", "l.score"),
    };
    format!(
        "WITH upserted AS (
             INSERT INTO leads AS l (
                 workspace_id, id, email, email_key, first_name, last_name, phone, company, status,
                 score, source, timezone, locale, tags, attributes, import_id, unconfirmed,
                 created_at, updated_at)
             SELECT $1, s.id, s.email, s.email_key, s.first_name, s.last_name, s.phone, s.company,
                 coalesce(s.status, 'new'), coalesce(s.score, 0), s.source, s.timezone, s.locale,
                 s.tags, s.attributes, $2, $4, $3, $3
             FROM import_staging s
             WHERE s.status {status_is} AND s.score {score_is}
             ORDER BY s.email_key
             ON CONFLICT (workspace_id, email_key) DO UPDATE SET
                 first_name = coalesce(excluded.first_name, l.first_name),
                 last_name = coalesce(excluded.last_name, l.last_name),
                 phone = coalesce(excluded.phone, l.phone),
                 company = coalesce(excluded.company, l.company),
                 status = {status},
                 score = {score},
                 source = coalesce(excluded.source, l.source),
                 timezone = coalesce(excluded.timezone, l.timezone),
                 locale = coalesce(excluded.locale, l.locale),
                 tags = l.tags || ARRAY(
                     SELECT tag FROM unnest(excluded.tags) AS tag WHERE tag <> ALL (l.tags)),
                 attributes = l.attributes || excluded.attributes,
                 unconfirmed = l.unconfirmed AND NOT $5,
                 version = l.version + 1,
                 updated_at = excluded.updated_at
             WHERE (l.first_name, l.last_name, l.phone, l.company, l.status, l.score, l.source,
                    l.timezone, l.locale)
                 IS DISTINCT FROM (
                    coalesce(excluded.first_name, l.first_name),
                    coalesce(excluded.last_name, l.last_name),
                    coalesce(excluded.phone, l.phone), coalesce(excluded.company, l.company),
                    {status}, {score}, coalesce(excluded.source, l.source),
                    coalesce(excluded.timezone, l.timezone), coalesce(excluded.locale, l.locale))
                 OR NOT excluded.tags <@ l.tags
                 OR l.attributes || excluded.attributes <> l.attributes
                 OR l.unconfirmed AND $5
             RETURNING (xmax = 0) AS fresh)
         SELECT count(*) FILTER (WHERE fresh) AS created,
                count(*) FILTER (WHERE NOT fresh) AS updated
         FROM upserted"
    )
}

/// Puts everybody who is staged on a list, and writes each change into the ledger. Who has
/// unsubscribed stays so, and who has confirmed stays confirmed: a file does not undo what a
/// person did, except to take them off.
pub(crate) fn join_list(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    list: ListId,
    status: &str,
    import: Uuid,
    now: DateTime<Utc>,
) -> QueryResult<usize> {
    let sql = "WITH joined AS (
             INSERT INTO list_members AS m (workspace_id, list_id, lead_id, status, created_at, updated_at)
             SELECT $1, $2, l.id, $3, $4, $4
             FROM import_staging s JOIN leads l ON l.workspace_id = $1 AND l.email_key = s.email_key
             ORDER BY l.id
             ON CONFLICT (workspace_id, list_id, lead_id) DO UPDATE
                 SET status = excluded.status, updated_at = excluded.updated_at
                 WHERE m.status <> excluded.status
                   AND (excluded.status = 'unsubscribed'
                        OR m.status = 'unconfirmed' AND excluded.status = 'confirmed')
             RETURNING m.lead_id)
         INSERT INTO consents (workspace_id, lead_id, list_id, status, method, actor, at)
         SELECT $1, lead_id, $2, $3, 'import', $5, $4 FROM joined";
    sql_query(sql)
        .bind::<SqlUuid, _>(workspace)
        .bind::<SqlUuid, _>(list)
        .bind::<Text, _>(status)
        .bind::<Timestamptz, _>(now)
        .bind::<Text, _>(format!("import:{import}"))
        .execute(conn)
}
