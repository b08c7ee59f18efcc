//! Bundles: messages of one campaign that are due together, claimed, held and given back as one.

use std::collections::HashMap;

use chassis::sql::fixed;
use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, Bool, Int8, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use uuid::Uuid;

use crate::schema::bundles;

/// Most messages in one bundle; the table has as many places.
pub(crate) const SIZE: usize = 256;

/// Which messages of a bundle its holder may have begun to send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Begun([u64; SIZE / 64]);

impl Begun {
    pub(crate) fn set(&mut self, place: u16) {
        if let Some(word) = self.0.get_mut(usize::from(place) / 64) {
            *word |= 1 << (place % 64);
        }
    }

    pub(crate) fn has(&self, place: u16) -> bool {
        let word = self.0.get(usize::from(place) / 64).copied();
        word.unwrap_or_default() >> (place % 64) & 1 == 1
    }

    /// As Postgres writes a `bit(256)`, the first place first.
    fn text(&self) -> String {
        let places = 0..u16::try_from(SIZE).unwrap_or_default();
        places
            .map(|place| if self.has(place) { '1' } else { '0' })
            .collect()
    }

    fn parse(text: &str) -> Self {
        let mut begun = Self::default();
        for (place, bit) in (0..).zip(text.bytes()) {
            if bit == b'1' {
                begun.set(place);
            }
        }
        begun
    }
}

/// A lease as it is given: the token, and until when it holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lease {
    pub(crate) token: Uuid,
    pub(crate) until: DateTime<Utc>,
}

impl Lease {
    /// For the one transaction that takes bundles and decides about them.
    pub(crate) fn brief(now: DateTime<Utc>) -> Self {
        Self {
            token: Uuid::now_v7(),
            until: now + TimeDelta::seconds(30),
        }
    }
}

/// A bundle somebody has a hold of.
#[derive(Clone, Debug, Queryable)]
pub(crate) struct Bundle {
    pub(crate) workspace_id: Uuid,
    pub(crate) id: Uuid,
    pub(crate) campaign_id: Option<Uuid>,
    pub(crate) members: Vec<Uuid>,
    begun: String,
}

/// The columns that a claim answers.
pub(super) type Columns = (SqlUuid, SqlUuid, Nullable<SqlUuid>, Array<SqlUuid>, Text);

impl Bundle {
    pub(crate) fn begun(&self) -> Begun {
        Begun::parse(&self.begun)
    }
}

/// A bundle about to be written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fresh {
    pub(crate) workspace_id: Uuid,
    pub(crate) id: Uuid,
    pub(crate) campaign_id: Option<Uuid>,
    pub(crate) due_at: DateTime<Utc>,
    pub(crate) members: Vec<Uuid>,
}

/// Writes bundles down; empty ones are left out.
pub(crate) fn insert(conn: &mut PgConnection, fresh: &[Fresh]) -> QueryResult<()> {
    let rows: Vec<_> = fresh
        .iter()
        .filter(|bundle| !bundle.members.is_empty())
        .map(|bundle| {
            (
                bundles::workspace_id.eq(bundle.workspace_id),
                bundles::id.eq(bundle.id),
                bundles::campaign_id.eq(bundle.campaign_id),
                bundles::due_at.eq(bundle.due_at),
                bundles::members.eq(&bundle.members),
            )
        })
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    diesel::insert_into(bundles::table)
        .values(rows)
        .execute(conn)?;
    Ok(())
}

/// What every claim does with the rows it chose; whoever else wants them finds them locked or
/// held.
macro_rules! claim {
    ($due:literal) => {
        concat!(
            "WITH due AS (",
            $due,
            " FOR UPDATE SKIP LOCKED)
             UPDATE bundles AS b SET lease = $1, due_at = $2
             FROM due WHERE b.workspace_id = due.workspace_id AND b.id = due.id
             RETURNING b.workspace_id, b.id, b.campaign_id, b.members, b.begun::text"
        )
    };
}

/// Claims up to `limit` bundles of a campaign that are due at `now`, the longest due first.
pub(crate) fn claim_of_campaign(
    conn: &mut PgConnection,
    (workspace, campaign): (Uuid, Uuid),
    lease: Lease,
    now: DateTime<Utc>,
    limit: i64,
) -> QueryResult<Vec<Bundle>> {
    fixed::<Columns>(claim!(
        "SELECT workspace_id, id FROM bundles
         WHERE workspace_id = $3 AND campaign_id = $4 AND due_at <= $5 AND lease IS NULL
         ORDER BY due_at LIMIT $6"
    ))
    .bind::<SqlUuid, _>(lease.token)
    .bind::<Timestamptz, _>(lease.until)
    .bind::<SqlUuid, _>(workspace)
    .bind::<SqlUuid, _>(campaign)
    .bind::<Timestamptz, _>(now)
    .bind::<Int8, _>(limit)
    .load(conn)
}

/// Claims up to `limit` due bundles that belong to no campaign.
pub(crate) fn claim_without_campaign(
    conn: &mut PgConnection,
    lease: Lease,
    now: DateTime<Utc>,
    limit: i64,
) -> QueryResult<Vec<Bundle>> {
    fixed::<Columns>(claim!(
        "SELECT workspace_id, id FROM bundles
         WHERE due_at <= $3 AND lease IS NULL AND campaign_id IS NULL
         ORDER BY due_at LIMIT $4"
    ))
    .bind::<SqlUuid, _>(lease.token)
    .bind::<Timestamptz, _>(lease.until)
    .bind::<Timestamptz, _>(now)
    .bind::<Int8, _>(limit)
    .load(conn)
}

/// Claims up to `limit` bundles of a campaign that nobody holds, due or not.
pub(crate) fn claim_any(
    conn: &mut PgConnection,
    (workspace, campaign): (Uuid, Uuid),
    lease: Lease,
    limit: i64,
) -> QueryResult<Vec<Bundle>> {
    fixed::<Columns>(claim!(
        "SELECT workspace_id, id FROM bundles
         WHERE workspace_id = $3 AND campaign_id = $4 AND lease IS NULL LIMIT $5"
    ))
    .bind::<SqlUuid, _>(lease.token)
    .bind::<Timestamptz, _>(lease.until)
    .bind::<SqlUuid, _>(workspace)
    .bind::<SqlUuid, _>(campaign)
    .bind::<Int8, _>(limit)
    .load(conn)
}

/// Campaigns, or none, whose bundles were held by workers that are gone at `now`.
pub(crate) fn abandoned(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
) -> QueryResult<Vec<(Uuid, Option<Uuid>)>> {
    bundles::table
        .filter(bundles::lease.is_not_null())
        .filter(bundles::due_at.lt(now))
        .select((bundles::workspace_id, bundles::campaign_id))
        .distinct()
        .order((bundles::workspace_id, bundles::campaign_id))
        .load(conn)
}

/// Takes up to `limit` abandoned bundles over. What of them had begun is in their `begun`, until
/// they are ended.
pub(crate) fn claim_abandoned(
    conn: &mut PgConnection,
    (workspace, campaign): (Uuid, Option<Uuid>),
    lease: Lease,
    now: DateTime<Utc>,
    limit: i64,
) -> QueryResult<Vec<Bundle>> {
    fixed::<Columns>(claim!(
        "SELECT workspace_id, id FROM bundles
         WHERE workspace_id = $3 AND campaign_id IS NOT DISTINCT FROM $4 AND lease IS NOT NULL
           AND due_at < $5
         ORDER BY due_at LIMIT $6"
    ))
    .bind::<SqlUuid, _>(lease.token)
    .bind::<Timestamptz, _>(lease.until)
    .bind::<SqlUuid, _>(workspace)
    .bind::<Nullable<SqlUuid>, _>(campaign)
    .bind::<Timestamptz, _>(now)
    .bind::<Int8, _>(limit)
    .load(conn)
}

/// A hold on a bundle, and what it adds to those begun.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hold {
    pub(crate) workspace_id: Uuid,
    pub(crate) id: Uuid,
    pub(crate) campaign_id: Option<Uuid>,
    pub(crate) lease: Uuid,
    pub(crate) begins: Begun,
}

/// A bundle that is still held, and locked until the transaction ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fenced {
    pub(crate) begun: Begun,
    /// Its campaign runs, or it has none: what was to begin has begun.
    pub(crate) runs: bool,
}

/// Keeps everybody else from the campaigns and then from the bundles of `holds`, which come in the
/// order of their keys, until the transaction ends, and writes down what begins. Nothing begins of
/// a campaign that is paused or cancelled, whatever its workers hold. Answers those bundles that
/// are still held, by bundle and lease.
pub(crate) fn fence(
    conn: &mut PgConnection,
    holds: &[Hold],
) -> QueryResult<HashMap<(Uuid, Uuid), Fenced>> {
    if holds.is_empty() {
        return Ok(HashMap::new());
    }
    // One row says which campaigns run, so all of them are locked before the first bundle is.
    let rows: Vec<(Uuid, Uuid, String, bool)> = fixed::<(SqlUuid, SqlUuid, Text, Bool)>(
        "WITH held AS (
             SELECT * FROM unnest($1, $2, $3, $4, $5)
                 AS h(workspace_id, id, campaign_id, lease, begins)
         ), locked AS MATERIALIZED (
             SELECT id, state FROM campaigns
             WHERE (workspace_id, id) IN (SELECT workspace_id, campaign_id FROM held)
             ORDER BY workspace_id, id FOR NO KEY UPDATE
         ), running AS MATERIALIZED (
             SELECT coalesce(array_agg(id) FILTER (WHERE state = 'running'), '{}') AS ids
             FROM locked
         )
         UPDATE bundles AS b
         SET begun = CASE WHEN s.runs THEN b.begun | s.begins::bit(256) ELSE b.begun END
         FROM (
             SELECT held.*, campaign_id IS NULL OR campaign_id = ANY(running.ids) AS runs
             FROM running CROSS JOIN held
         ) AS s
         WHERE b.workspace_id = s.workspace_id AND b.id = s.id AND b.lease = s.lease
         RETURNING b.id, b.lease, b.begun::text, s.runs",
    )
    .bind::<Array<SqlUuid>, _>(column(holds, |hold| hold.workspace_id))
    .bind::<Array<SqlUuid>, _>(column(holds, |hold| hold.id))
    .bind::<Array<Nullable<SqlUuid>>, _>(column(holds, |hold| hold.campaign_id))
    .bind::<Array<SqlUuid>, _>(column(holds, |hold| hold.lease))
    .bind::<Array<Text>, _>(column(holds, |hold| hold.begins.text()))
    .load(conn)?;
    let fenced = rows.into_iter().map(|(id, lease, begun, runs)| {
        let begun = Begun::parse(&begun);
        ((id, lease), Fenced { begun, runs })
    });
    Ok(fenced.collect())
}

fn column<R, T>(rows: &[R], pick: impl Fn(&R) -> T) -> Vec<T> {
    rows.iter().map(pick).collect()
}

/// The end of a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) workspace_id: Uuid,
    pub(crate) id: Uuid,
    pub(crate) lease: Uuid,
    /// When what is left of it is due; none when nothing is left.
    pub(crate) due_at: Option<DateTime<Utc>>,
}

/// Gives bundles back or deletes them; those that are not held by these leases any more stay as
/// they are. Nothing of a bundle that is given back may be in the hands of a server.
pub(crate) fn end(conn: &mut PgConnection, ends: &[End]) -> QueryResult<()> {
    let (back, over): (Vec<End>, Vec<End>) = ends.iter().partition(|end| end.due_at.is_some());
    if !over.is_empty() {
        fixed::<()>(
            "DELETE FROM bundles AS b USING unnest($1, $2, $3) AS s(workspace_id, id, lease)
             WHERE b.workspace_id = s.workspace_id AND b.id = s.id AND b.lease = s.lease",
        )
        .bind::<Array<SqlUuid>, _>(column(&over, |end| end.workspace_id))
        .bind::<Array<SqlUuid>, _>(column(&over, |end| end.id))
        .bind::<Array<SqlUuid>, _>(column(&over, |end| end.lease))
        .execute(conn)?;
    }
    if !back.is_empty() {
        fixed::<()>(
            "UPDATE bundles AS b SET lease = NULL, due_at = s.due_at, begun = B'0'::bit(256)
             FROM unnest($1, $2, $3, $4) AS s(workspace_id, id, lease, due_at)
             WHERE b.workspace_id = s.workspace_id AND b.id = s.id AND b.lease = s.lease",
        )
        .bind::<Array<SqlUuid>, _>(column(&back, |end| end.workspace_id))
        .bind::<Array<SqlUuid>, _>(column(&back, |end| end.id))
        .bind::<Array<SqlUuid>, _>(column(&back, |end| end.lease))
        .bind::<Array<Nullable<Timestamptz>>, _>(column(&back, |end| end.due_at))
        .execute(conn)?;
    }
    Ok(())
}

/// Extends leases that are still held; answers the ids of those bundles.
pub(crate) fn renew(
    conn: &mut PgConnection,
    holds: &[Hold],
    until: DateTime<Utc>,
) -> QueryResult<Vec<Uuid>> {
    fixed::<SqlUuid>(
        "UPDATE bundles AS b SET due_at = $1
         FROM unnest($2, $3, $4) AS s(workspace_id, id, lease)
         WHERE b.workspace_id = s.workspace_id AND b.id = s.id AND b.lease = s.lease
         RETURNING b.id",
    )
    .bind::<Timestamptz, _>(until)
    .bind::<Array<SqlUuid>, _>(column(holds, |hold| hold.workspace_id))
    .bind::<Array<SqlUuid>, _>(column(holds, |hold| hold.id))
    .bind::<Array<SqlUuid>, _>(column(holds, |hold| hold.lease))
    .load(conn)
}

/// Locks the bundles with these messages and answers those of them that nobody holds.
pub(crate) fn lock_free(
    conn: &mut PgConnection,
    workspace: Uuid,
    ids: &[Uuid],
) -> QueryResult<Vec<Uuid>> {
    let rows: Vec<(Uuid, Option<Uuid>)> = bundles::table
        .filter(bundles::workspace_id.eq(workspace))
        .filter(bundles::id.eq_any(ids))
        .order(bundles::id)
        .select((bundles::id, bundles::lease))
        .for_update()
        .load(conn)?;
    let free = rows.into_iter().filter(|(_, lease)| lease.is_none());
    Ok(free.map(|(id, _)| id).collect())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn bundle(members: usize) -> Bundle {
        Bundle {
            workspace_id: Uuid::now_v7(),
            id: Uuid::now_v7(),
            campaign_id: Some(Uuid::now_v7()),
            members: std::iter::repeat_with(Uuid::now_v7).take(members).collect(),
            begun: Begun::default().text(),
        }
    }

    #[test]
    fn places_are_kept_as_postgres_writes_bits() {
        let mut begun = Begun::default();
        for place in [0, 63, 64, 255] {
            assert!(!begun.has(place));
            begun.set(place);
            assert!(begun.has(place));
        }
        let text = begun.text();
        assert_eq!((text.len(), &text[..2], &text[255..]), (256, "10", "1"));
        assert_eq!(Begun::parse(&text), begun);
        assert!(!begun.has(1) && !begun.has(256));
        begun.set(256);
        assert_eq!(Begun::parse(&text), begun, "there is no such place");
    }
}
