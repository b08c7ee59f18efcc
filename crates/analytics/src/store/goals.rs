//! Goals, and how often they were reached.

use common::{GoalId, WorkspaceId};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Nullable, Text, Timestamptz, Uuid as SqlUuid};

use super::reports::Period;
use super::rollups::{LINKS, PERSON};
use crate::domain::goal::Goal;
use crate::schema::goals;

/// Most goals of a workspace.
pub const MOST: i64 = 100;

/// All goals of a workspace, oldest first.
pub fn all(conn: &mut PgConnection, workspace: WorkspaceId) -> QueryResult<Vec<Goal>> {
    goals::table
        .filter(goals::workspace_id.eq(workspace))
        .order(goals::id.asc())
        .select(Goal::as_select())
        .load(conn)
}

pub fn find(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: GoalId,
) -> QueryResult<Option<Goal>> {
    goals::table
        .find((workspace, id))
        .select(Goal::as_select())
        .first(conn)
        .optional()
}

/// Keeps a goal, unless there are as many as there may be.
pub fn insert(conn: &mut PgConnection, goal: &Goal) -> QueryResult<bool> {
    let known: i64 = goals::table
        .filter(goals::workspace_id.eq(goal.workspace_id))
        .count()
        .get_result(conn)?;
    if known >= MOST {
        return Ok(false);
    }
    diesel::insert_into(goals::table)
        .values(goal)
        .execute(conn)?;
    Ok(true)
}

/// Writes a goal anew; answers whether there was one.
pub fn change(conn: &mut PgConnection, goal: &Goal) -> QueryResult<bool> {
    let changed = diesel::update(goals::table.find((goal.workspace_id, goal.id)))
        .set((
            goals::name.eq(&goal.name),
            goals::kind.eq(&goal.kind),
            goals::event.eq(&goal.event),
            goals::url_prefix.eq(&goal.url_prefix),
        ))
        .execute(conn)?;
    Ok(changed == 1)
}

pub fn delete(conn: &mut PgConnection, workspace: WorkspaceId, id: GoalId) -> QueryResult<bool> {
    let deleted = diesel::delete(goals::table.find((workspace, id))).execute(conn)?;
    Ok(deleted == 1)
}

/// How often a goal was reached, and by how many people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, QueryableByName)]
pub struct Reached {
    #[diesel(sql_type = BigInt)]
    pub reached: i64,
    #[diesel(sql_type = BigInt)]
    pub people: i64,
}

/// The same for each of these goals, in their order.
pub fn reached(
    conn: &mut PgConnection,
    period: Period,
    goals: &[Goal],
) -> QueryResult<Vec<Reached>> {
    let kinds: Vec<&str> = goals.iter().map(|goal| goal.kind.as_str()).collect();
    let events: Vec<_> = goals.iter().map(|goal| goal.event.as_deref()).collect();
    let urls: Vec<_> = goals
        .iter()
        .map(|goal| goal.url_prefix.as_deref())
        .collect();
    sql_query(format!(
        "SELECT coalesce(found.reached, 0) AS reached, coalesce(found.people, 0) AS people
         FROM unnest($5::text[], $6::text[], $7::text[]) WITH ORDINALITY
             AS g (type, event, url, place)
         CROSS JOIN LATERAL (
             SELECT count(*) AS reached, count(DISTINCT {PERSON}) AS people
             FROM events e {LINKS}
             WHERE e.workspace_id = $1 AND e.verdict = 'human'
               AND e.received_at >= $2 - interval '1 day'
               AND e.occurred_at >= $2 AND e.occurred_at < $3
               AND ($4::uuid IS NULL OR e.campaign_id = $4) AND e.type = g.type
               AND (g.event IS NULL OR e.name = g.event)
               AND (g.url IS NULL OR starts_with(e.url, g.url))) AS found
         ORDER BY g.place"
    ))
    .bind::<SqlUuid, _>(period.workspace)
    .bind::<Timestamptz, _>(period.from)
    .bind::<Timestamptz, _>(period.to)
    .bind::<Nullable<SqlUuid>, _>(period.campaign)
    .bind::<Array<Text>, _>(kinds)
    .bind::<Array<Nullable<Text>>, _>(events)
    .bind::<Array<Nullable<Text>>, _>(urls)
    .load(conn)
}
