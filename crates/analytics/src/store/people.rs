//! Which visitors are one person, and whose addresses they gave.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use common::{LeadId, WorkspaceId};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Bool, Nullable, Text, Timestamptz, Uuid as SqlUuid};

use crate::domain::event::Said;
use crate::domain::people::{self, People};
use crate::domain::visitor::Visitor;

/// How many locks the workspaces share.
const LOCKS: u128 = 512;

/// Takes in what events say about who is who. Answers whether addresses are to be looked up.
pub fn hear(conn: &mut PgConnection, said: &[(WorkspaceId, &Said)]) -> QueryResult<bool> {
    let mut by_workspace: BTreeMap<WorkspaceId, Vec<&Said>> = BTreeMap::new();
    for (workspace, said) in said {
        by_workspace.entry(*workspace).or_default().push(said);
    }
    let workspaces: Vec<_> = by_workspace.keys().copied().collect();
    lock(conn, &workspaces)?;
    let mut to_ask = false;
    for (workspace, said) in by_workspace {
        let addresses = note_addresses(conn, workspace, &said)?;
        let leads = addresses.iter().filter_map(|row| row.lead_id);
        let mut named: Vec<_> = said
            .iter()
            .flat_map(|said| people::named(workspace, said))
            .collect();
        named.extend(leads.map(|id| Visitor::lead(workspace, id)));
        let mut people = load(conn, workspace, &named)?;
        for said in &said {
            people.hear(workspace, said);
        }
        for row in &addresses {
            match row.lead_id {
                Some(lead) => people.is_lead(Visitor(row.visitor), Visitor::lead(workspace, lead)),
                None => to_ask = true,
            }
        }
        let mut leads: Vec<_> = said.iter().filter_map(|said| lead_of(said)).collect();
        leads.extend(addresses.iter().filter_map(|row| row.lead_id));
        save(conn, workspace, &people, &leads)?;
    }
    Ok(to_ask)
}

fn lead_of(said: &Said) -> Option<LeadId> {
    match said {
        Said::Identified { lead, .. } => *lead,
        Said::Renamed { .. } => None,
    }
}

/// Takes in whose leads these addresses are.
pub fn found(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    found: &[(String, LeadId)],
) -> QueryResult<()> {
    let (emails, leads): (Vec<&str>, Vec<LeadId>) = found
        .iter()
        .map(|(email, lead)| (email.as_str(), *lead))
        .unzip();
    lock(conn, &[workspace])?;
    let rows: Vec<AddressRow> = sql_query(
        "UPDATE person_emails p SET lead_id = f.lead
         FROM unnest($2::text[], $3::uuid[]) AS f (email, lead)
         WHERE p.workspace_id = $1 AND p.email = f.email AND p.lead_id IS NULL
         RETURNING p.email, p.visitor, p.lead_id",
    )
    .bind::<SqlUuid, _>(workspace)
    .bind::<Array<Text>, _>(emails)
    .bind::<Array<SqlUuid>, _>(leads)
    .load(conn)?;
    let of_lead = |row: &AddressRow| row.lead_id.map(|id| Visitor::lead(workspace, id));
    let named: Vec<_> = rows
        .iter()
        .flat_map(|row| [Some(Visitor(row.visitor)), of_lead(row)])
        .flatten()
        .collect();
    let mut people = load(conn, workspace, &named)?;
    for row in &rows {
        if let Some(lead) = of_lead(row) {
            people.is_lead(Visitor(row.visitor), lead);
        }
    }
    let leads: Vec<_> = rows.iter().filter_map(|row| row.lead_id).collect();
    save(conn, workspace, &people, &leads)
}

/// Forgets what connects a lead with its visitors: each is nobody in particular again.
pub fn forget(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    lead: LeadId,
    email: &str,
) -> QueryResult<()> {
    lock(conn, &[workspace])?;
    sql_query("DELETE FROM person_emails WHERE workspace_id = $1 AND (lead_id = $2 OR email = $3)")
        .bind::<SqlUuid, _>(workspace)
        .bind::<SqlUuid, _>(lead)
        .bind::<Text, _>(email)
        .execute(conn)?;
    sql_query("DELETE FROM person_links WHERE workspace_id = $1 AND person = $2")
        .bind::<SqlUuid, _>(workspace)
        .bind::<BigInt, _>(Visitor::lead(workspace, lead))
        .execute(conn)?;
    Ok(())
}

/// Addresses that leads is to be asked about, some at a time, those never asked first.
pub fn to_ask(
    conn: &mut PgConnection,
    before: DateTime<Utc>,
    limit: i64,
) -> QueryResult<Vec<(WorkspaceId, String)>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = SqlUuid)]
        workspace_id: WorkspaceId,
        #[diesel(sql_type = Text)]
        email: String,
    }
    let rows: Vec<Row> = sql_query(
        "SELECT workspace_id, email FROM person_emails
         WHERE lead_id IS NULL AND (asked_at IS NULL OR asked_at < $1)
         ORDER BY asked_at NULLS FIRST LIMIT $2",
    )
    .bind::<Timestamptz, _>(before)
    .bind::<BigInt, _>(limit)
    .load(conn)?;
    Ok(rows
        .into_iter()
        .map(|row| (row.workspace_id, row.email))
        .collect())
}

/// Notes that leads was asked about these.
pub fn asked(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    emails: &[String],
    now: DateTime<Utc>,
) -> QueryResult<usize> {
    sql_query(
        "UPDATE person_emails SET asked_at = $3
         WHERE workspace_id = $1 AND email = ANY ($2) AND lead_id IS NULL",
    )
    .bind::<SqlUuid, _>(workspace)
    .bind::<Array<Text>, _>(emails)
    .bind::<Timestamptz, _>(now)
    .execute(conn)
}

/// Leads that were not there may be now: all addresses are asked about again.
pub fn ask_again(conn: &mut PgConnection, workspace: WorkspaceId) -> QueryResult<usize> {
    sql_query(
        "UPDATE person_emails SET asked_at = NULL
         WHERE workspace_id = $1 AND lead_id IS NULL AND asked_at IS NOT NULL",
    )
    .bind::<SqlUuid, _>(workspace)
    .execute(conn)
}

/// Until this transaction ends nobody else changes who is who in these workspaces, which must be
/// sorted. Whoever takes these locks has claimed the ids of its events before, so that writers
/// never wait for each other in a circle.
fn lock(conn: &mut PgConnection, workspaces: &[WorkspaceId]) -> QueryResult<()> {
    let mut keys: Vec<i64> = workspaces
        .iter()
        .map(|workspace| (workspace.0.as_u128() % LOCKS) as i64)
        .collect();
    keys.sort_unstable();
    keys.dedup();
    sql_query(
        "SELECT pg_advisory_xact_lock(hashtext('people ' || current_schema()), key::int)
         FROM unnest($1::bigint[]) AS key",
    )
    .bind::<Array<BigInt>, _>(keys)
    .execute(conn)?;
    Ok(())
}

#[derive(QueryableByName)]
struct AddressRow {
    #[diesel(sql_type = BigInt)]
    visitor: i64,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    lead_id: Option<LeadId>,
}

/// Keeps the addresses that were told; answers each with its visitor, and its lead where known.
fn note_addresses(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    said: &[&Said],
) -> QueryResult<Vec<AddressRow>> {
    let mut told: Vec<_> = said
        .iter()
        .filter_map(|said| people::address(said))
        .collect();
    if told.is_empty() {
        return Ok(Vec::new());
    }
    told.sort_unstable();
    told.dedup();
    let (emails, visitors): (Vec<&str>, Vec<Visitor>) = told.into_iter().unzip();
    sql_query(
        "INSERT INTO person_emails (workspace_id, email, visitor, lead_id)
         SELECT $1, t.email, t.visitor,
             (SELECT k.lead_id FROM person_emails k
              WHERE k.workspace_id = $1 AND k.email = t.email AND k.lead_id IS NOT NULL LIMIT 1)
         FROM unnest($2::text[], $3::bigint[]) AS t (email, visitor)
         ON CONFLICT (workspace_id, email, visitor)
             DO UPDATE SET lead_id = coalesce(person_emails.lead_id, excluded.lead_id)
         RETURNING visitor, lead_id",
    )
    .bind::<SqlUuid, _>(workspace)
    .bind::<Array<Text>, _>(emails)
    .bind::<Array<BigInt>, _>(visitors)
    .load(conn)
}

fn load(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    visitors: &[Visitor],
) -> QueryResult<People> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        visitor: i64,
        #[diesel(sql_type = BigInt)]
        person: i64,
        #[diesel(sql_type = Bool)]
        is_lead: bool,
    }
    // What they are, and then what those are: leads have a row of their own.
    let rows: Vec<Row> = sql_query(
        "WITH own AS (SELECT visitor, person, lead_id FROM person_links
                      WHERE workspace_id = $1 AND visitor = ANY ($2))
         SELECT visitor, person, lead_id IS NOT NULL AS is_lead FROM own
         UNION
         SELECT l.visitor, l.person, l.lead_id IS NOT NULL FROM person_links l
         WHERE l.workspace_id = $1 AND l.visitor IN (SELECT person FROM own)",
    )
    .bind::<SqlUuid, _>(workspace)
    .bind::<Array<BigInt>, _>(visitors)
    .load(conn)?;
    let leads = rows.iter().filter(|row| row.is_lead);
    let leads: Vec<_> = leads.map(|row| Visitor(row.visitor)).collect();
    let stored = rows
        .iter()
        .map(|row| (Visitor(row.visitor), Visitor(row.person)));
    Ok(People::new(stored, leads))
}

fn save(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    people: &People,
    leads: &[LeadId],
) -> QueryResult<()> {
    if !leads.is_empty() {
        let visitors = leads.iter().map(|id| Visitor::lead(workspace, *id));
        sql_query(
            "INSERT INTO person_links (workspace_id, visitor, person, lead_id)
             SELECT DISTINCT $1, t.visitor, t.visitor, t.lead
             FROM unnest($2::bigint[], $3::uuid[]) AS t (visitor, lead)
             ON CONFLICT DO NOTHING",
        )
        .bind::<SqlUuid, _>(workspace)
        .bind::<Array<BigInt>, _>(visitors.collect::<Vec<_>>())
        .bind::<Array<SqlUuid>, _>(leads)
        .execute(conn)?;
    }
    let (former, now): (Vec<Visitor>, Vec<Visitor>) = people.moves().into_iter().unzip();
    if former.is_empty() {
        return Ok(());
    }
    // Everybody who was one of those is now whoever they are.
    sql_query(
        "WITH moved AS (SELECT * FROM unnest($2::bigint[], $3::bigint[]) AS t (former, person)),
         followed AS (
             UPDATE person_links l SET person = m.person FROM moved m
             WHERE l.workspace_id = $1 AND l.person = m.former RETURNING l.visitor),
         joined AS (
             INSERT INTO person_links (workspace_id, visitor, person)
             SELECT $1, former, person FROM moved
             ON CONFLICT (workspace_id, visitor) DO NOTHING)
         INSERT INTO person_changes (workspace_id, visitor)
         SELECT $1, former FROM moved UNION SELECT $1, visitor FROM followed",
    )
    .bind::<SqlUuid, _>(workspace)
    .bind::<Array<BigInt>, _>(former)
    .bind::<Array<BigInt>, _>(now)
    .execute(conn)?;
    Ok(())
}
