//! One row per webhook and event: what is to be posted, and how it went.

use chrono::{DateTime, Utc};
use common::events::Envelope;
use common::ids::{DeliveryId, LeadId, WebhookId, WorkspaceId};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Timestamptz, Uuid as SqlUuid};
use uuid::Uuid;

use crate::schema::webhook_deliveries;

/// An event on its way to a webhook.
#[derive(Clone, Debug, PartialEq, Queryable, Selectable, QueryableByName)]
#[diesel(table_name = webhook_deliveries)]
pub(crate) struct Delivery {
    pub(crate) workspace_id: WorkspaceId,
    pub(crate) id: DeliveryId,
    pub(crate) webhook_id: WebhookId,
    pub(crate) event_id: Uuid,
    pub(crate) event_type: String,
    pub(crate) payload: String,
    pub(crate) state: String,
    pub(crate) attempts: i32,
    pub(crate) next_at: DateTime<Utc>,
    pub(crate) attempted_at: Option<DateTime<Utc>>,
    pub(crate) status: Option<i32>,
    pub(crate) answer: Option<String>,
    pub(crate) problem: Option<String>,
    pub(crate) took_ms: Option<i64>,
    pub(crate) created_at: DateTime<Utc>,
}

/// Adds a delivery of `event` to each of `to`; those that have it already keep theirs.
pub(crate) fn add(
    conn: &mut PgConnection,
    event: &Envelope,
    to: &[WebhookId],
    now: DateTime<Utc>,
) -> QueryResult<Vec<DeliveryId>> {
    let payload = serde_json::to_string(event)
        .map_err(|error| diesel::result::Error::SerializationError(Box::new(error)))?;
    let (lead, address) = about(event);
    let rows: Vec<_> = to
        .iter()
        .map(|webhook| {
            (
                webhook_deliveries::workspace_id.eq(event.workspaceid.0),
                webhook_deliveries::id.eq(Uuid::now_v7()),
                webhook_deliveries::webhook_id.eq(webhook.0),
                webhook_deliveries::event_id.eq(event.id),
                webhook_deliveries::event_type.eq(&event.kind),
                webhook_deliveries::payload.eq(&payload),
                webhook_deliveries::state.eq("pending"),
                webhook_deliveries::next_at.eq(now),
                webhook_deliveries::created_at.eq(now),
                webhook_deliveries::lead_id.eq(lead),
                webhook_deliveries::address.eq(&address),
            )
        })
        .collect();
    diesel::insert_into(webhook_deliveries::table)
        .values(rows)
        .on_conflict_do_nothing()
        .returning(webhook_deliveries::id)
        .get_results(conn)
}

/// The one person that an event tells of, if it does.
fn about(event: &Envelope) -> (Option<Uuid>, Option<String>) {
    let text = |name: &str| event.data.get(name).and_then(serde_json::Value::as_str);
    let lead = text("lead_id").and_then(|id| id.parse().ok());
    let address = text("email").or_else(|| text("address"));
    (lead, address.map(str::to_lowercase))
}

/// Erases a person from what was and will be posted: of the events that tell of this lead or of one
/// of these addresses (in lower case), only that they happened is left.
pub(crate) fn erase(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    lead: LeadId,
    addresses: &[String],
) -> QueryResult<()> {
    let theirs = webhook_deliveries::table
        .filter(webhook_deliveries::workspace_id.eq(workspace.0))
        .filter(
            webhook_deliveries::lead_id
                .eq(lead.0)
                .or(webhook_deliveries::address.eq_any(addresses)),
        );
    let found: Vec<(Uuid, String)> = theirs
        .select((webhook_deliveries::id, webhook_deliveries::payload))
        .for_update()
        .load(conn)?;
    for (id, payload) in found {
        diesel::update(webhook_deliveries::table.find((workspace.0, id)))
            .set((
                webhook_deliveries::payload.eq(without_data(&payload)),
                webhook_deliveries::answer.eq(None::<String>),
                webhook_deliveries::lead_id.eq(None::<Uuid>),
                webhook_deliveries::address.eq(None::<String>),
            ))
            .execute(conn)?;
    }
    Ok(())
}

fn without_data(payload: &str) -> String {
    let mut event: serde_json::Value = serde_json::from_str(payload).unwrap_or_default();
    event["subject"] = "erased".into();
    event["data"] = serde_json::json!({ "erased": true });
    event.to_string()
}

/// Which deliveries of a webhook are listed.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) webhook: WebhookId,
    pub(crate) state: Option<&'static str>,
    /// The last one of the page before.
    pub(crate) before: Option<DeliveryId>,
}

/// Newest first.
pub(crate) fn list(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    wanted: &Wanted,
    limit: i64,
) -> QueryResult<Vec<Delivery>> {
    let mut query = webhook_deliveries::table
        .filter(webhook_deliveries::workspace_id.eq(workspace.0))
        .filter(webhook_deliveries::webhook_id.eq(wanted.webhook.0))
        .into_boxed();
    if let Some(state) = wanted.state {
        query = query.filter(webhook_deliveries::state.eq(state));
    }
    if let Some(before) = wanted.before {
        query = query.filter(webhook_deliveries::id.lt(before.0));
    }
    query
        .order(webhook_deliveries::id.desc())
        .limit(limit)
        .select(Delivery::as_select())
        .load(conn)
}

pub(crate) fn find(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: DeliveryId,
) -> QueryResult<Option<Delivery>> {
    let row = webhook_deliveries::table.find((workspace.0, id.0));
    row.select(Delivery::as_select()).first(conn).optional()
}

/// Makes it due at once, with all attempts before it. One in a worker's hands at this moment stays
/// there. None when the webhook has no such delivery.
pub(crate) fn redeliver(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    webhook: WebhookId,
    id: DeliveryId,
    now: DateTime<Utc>,
) -> QueryResult<Option<Delivery>> {
    let row = webhook_deliveries::table
        .find((workspace.0, id.0))
        .filter(webhook_deliveries::webhook_id.eq(webhook.0));
    diesel::update(row)
        .set((
            webhook_deliveries::state.eq("pending"),
            webhook_deliveries::attempts.eq(0),
            webhook_deliveries::next_at.eq(now),
        ))
        .returning(Delivery::as_returning())
        .get_result(conn)
        .optional()
}

/// How long, and under which token, a claim holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lease {
    pub(crate) token: Uuid,
    pub(crate) until: DateTime<Utc>,
}

/// Whether anything is due, which is cheap to ask.
pub(crate) fn is_due(conn: &mut PgConnection, now: DateTime<Utc>) -> QueryResult<bool> {
    let due = webhook_deliveries::table
        .filter(webhook_deliveries::state.eq("pending"))
        .filter(webhook_deliveries::next_at.le(now));
    diesel::select(diesel::dsl::exists(due)).get_result(conn)
}

/// Claims up to `limit` due deliveries, of each webhook only so many that `at_once` are in
/// workers' hands: one that is slow holds nobody else up. What others are claiming is skipped.
pub(crate) fn claim(
    conn: &mut PgConnection,
    lease: Lease,
    now: DateTime<Utc>,
    at_once: i64,
    limit: i64,
) -> QueryResult<Vec<Delivery>> {
    sql_query(
        // Materialised: a plan that ran it twice would take hold of more.
        "WITH claimed AS MATERIALIZED (
             SELECT due.workspace_id, due.id
             FROM webhooks AS w
             CROSS JOIN LATERAL (
                 SELECT c.workspace_id, c.id, c.next_at FROM webhook_deliveries AS c
                 WHERE c.workspace_id = w.workspace_id AND c.webhook_id = w.id
                   AND c.state = 'pending' AND c.next_at <= $3
                   AND (c.lease_until IS NULL OR c.lease_until <= $3)
                 ORDER BY c.next_at
                 LIMIT GREATEST(0, $4 - (
                     SELECT count(*) FROM webhook_deliveries AS h
                     WHERE h.workspace_id = w.workspace_id AND h.webhook_id = w.id
                       AND h.state = 'pending' AND h.lease_until > $3))
                 FOR UPDATE SKIP LOCKED
             ) AS due
             WHERE w.enabled
             ORDER BY due.next_at
             LIMIT $5
         )
         UPDATE webhook_deliveries AS d SET lease = $1, lease_until = $2
         FROM claimed
         WHERE d.workspace_id = claimed.workspace_id AND d.id = claimed.id
         RETURNING d.*",
    )
    .bind::<SqlUuid, _>(lease.token)
    .bind::<Timestamptz, _>(lease.until)
    .bind::<Timestamptz, _>(now)
    .bind::<BigInt, _>(at_once)
    .bind::<BigInt, _>(limit)
    .load(conn)
}

/// How an attempt went, and what follows.
#[derive(Clone, Debug, AsChangeset)]
#[diesel(table_name = webhook_deliveries, treat_none_as_null = true)]
pub(crate) struct Attempt {
    pub(crate) state: &'static str,
    pub(crate) attempts: i32,
    pub(crate) next_at: DateTime<Utc>,
    pub(crate) lease: Option<Uuid>,
    pub(crate) lease_until: Option<DateTime<Utc>>,
    pub(crate) attempted_at: Option<DateTime<Utc>>,
    pub(crate) status: Option<i32>,
    pub(crate) answer: Option<String>,
    pub(crate) problem: Option<String>,
    pub(crate) took_ms: Option<i64>,
}

/// Writes down an attempt made under `lease`; false when it was lost meanwhile, and nothing is
/// changed.
pub(crate) fn record(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: DeliveryId,
    lease: Uuid,
    attempt: &Attempt,
) -> QueryResult<bool> {
    let row = webhook_deliveries::table
        .find((workspace.0, id.0))
        .filter(webhook_deliveries::lease.eq(lease));
    Ok(diesel::update(row).set(attempt).execute(conn)? == 1)
}

/// Ends everything that waits for a webhook that was disabled; it can be delivered again later.
pub(crate) fn fail_waiting(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    webhook: WebhookId,
) -> QueryResult<usize> {
    let waiting = webhook_deliveries::table
        .filter(webhook_deliveries::workspace_id.eq(workspace.0))
        .filter(webhook_deliveries::webhook_id.eq(webhook.0))
        .filter(webhook_deliveries::state.eq("pending"));
    diesel::update(waiting)
        .set((
            webhook_deliveries::state.eq("failed"),
            webhook_deliveries::problem.eq("the webhook was disabled"),
            webhook_deliveries::lease.eq(None::<Uuid>),
            webhook_deliveries::lease_until.eq(None::<DateTime<Utc>>),
        ))
        .execute(conn)
}

/// Deletes up to ten thousand that ended and are older than `before`; answers how many.
pub(crate) fn prune(conn: &mut PgConnection, before: DateTime<Utc>) -> QueryResult<usize> {
    sql_query(
        "DELETE FROM webhook_deliveries WHERE (workspace_id, id) IN (
             SELECT workspace_id, id FROM webhook_deliveries
             WHERE state <> 'pending' AND created_at < $1 LIMIT 10000)",
    )
    .bind::<Timestamptz, _>(before)
    .execute(conn)
}
