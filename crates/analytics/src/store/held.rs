//! Clicks that nobody is told of until they can be part of no burst any more.

use chassis::sql::fixed;
use chrono::{DateTime, Duration, Utc};
use common::events::{Engagement, EngagementKind};
use common::{CampaignId, EventId, LeadId, WorkspaceId};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Nullable, Timestamptz, Uuid as SqlUuid};

use crate::domain::event::Event;
use crate::domain::rules;

/// Between the end of a click's burst window and its telling: the last click in the window has been
/// committed by then, unless Postgres was away.
const SLACK_MS: i64 = 1_000;

/// When others are told of a click.
fn tell_at(received_at: DateTime<Utc>) -> DateTime<Utc> {
    received_at + Duration::milliseconds(rules::BURST_WINDOW_MS + SLACK_MS)
}

/// Holds clicks of leads; part of writing them.
pub fn hold(conn: &mut PgConnection, clicks: &[(LeadId, &Event)]) -> QueryResult<()> {
    if clicks.is_empty() {
        return Ok(());
    }
    let column = || clicks.iter().map(|(_, click)| *click);
    fixed::<()>(
        "INSERT INTO held_clicks (workspace_id, id, lead_id, campaign_id, occurred_at, tell_at)
         SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::timestamptz[],
             $6::timestamptz[])
         ON CONFLICT DO NOTHING",
    )
    .bind::<Array<SqlUuid>, _>(column().map(|click| click.workspace_id).collect::<Vec<_>>())
    .bind::<Array<SqlUuid>, _>(column().map(|click| click.id).collect::<Vec<_>>())
    .bind::<Array<SqlUuid>, _>(clicks.iter().map(|(lead, _)| *lead).collect::<Vec<_>>())
    .bind::<Array<Nullable<SqlUuid>>, _>(
        column().map(|click| click.campaign_id).collect::<Vec<_>>(),
    )
    .bind::<Array<Timestamptz>, _>(column().map(|click| click.occurred_at).collect::<Vec<_>>())
    .bind::<Array<Timestamptz>, _>(
        column()
            .map(|click| tell_at(click.received_at))
            .collect::<Vec<_>>(),
    )
    .execute(conn)?;
    Ok(())
}

/// Nobody is told of these any more.
pub fn forget(
    conn: &mut PgConnection,
    workspaces: &[WorkspaceId],
    ids: &[EventId],
) -> QueryResult<()> {
    sql_query(
        "DELETE FROM held_clicks h USING unnest($1::uuid[], $2::uuid[]) AS click (w, id)
         WHERE h.workspace_id = click.w AND h.id = click.id",
    )
    .bind::<Array<SqlUuid>, _>(workspaces)
    .bind::<Array<SqlUuid>, _>(ids)
    .execute(conn)?;
    Ok(())
}

/// Takes clicks of one workspace of which others are to be told by now, at most `limit`; nothing if
/// there are none. What another replica takes is passed over.
///
/// Planned anew each time: how many are held changes by the second.
pub fn take(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    limit: i64,
) -> QueryResult<Option<(WorkspaceId, Vec<Engagement>)>> {
    #[derive(QueryableByName)]
    struct Whose {
        #[diesel(sql_type = SqlUuid)]
        workspace_id: WorkspaceId,
    }
    #[derive(QueryableByName)]
    struct Click {
        #[diesel(sql_type = SqlUuid)]
        lead_id: LeadId,
        #[diesel(sql_type = Nullable<SqlUuid>)]
        campaign_id: Option<CampaignId>,
        #[diesel(sql_type = Timestamptz)]
        occurred_at: DateTime<Utc>,
    }
    let whose = sql_query(
        "SELECT workspace_id FROM held_clicks WHERE tell_at <= $1 ORDER BY tell_at LIMIT 1",
    );
    let whose = whose.bind::<Timestamptz, _>(now);
    let Some(Whose { workspace_id }) = whose.get_result(conn).optional()? else {
        return Ok(None);
    };
    let clicks: Vec<Click> = sql_query(
        "DELETE FROM held_clicks WHERE workspace_id = $1 AND id = ANY (ARRAY(
             SELECT id FROM held_clicks WHERE workspace_id = $1 AND tell_at <= $2
             ORDER BY tell_at LIMIT $3 FOR UPDATE SKIP LOCKED))
         RETURNING lead_id, campaign_id, occurred_at",
    )
    .bind::<SqlUuid, _>(workspace_id)
    .bind::<Timestamptz, _>(now)
    .bind::<BigInt, _>(limit)
    .load(conn)?;
    let taken = clicks.into_iter().map(|click| Engagement {
        lead_id: click.lead_id,
        campaign_id: click.campaign_id,
        kind: EngagementKind::Click,
        at: click.occurred_at,
    });
    let taken: Vec<_> = taken.collect();
    Ok((!taken.is_empty()).then_some((workspace_id, taken)))
}
