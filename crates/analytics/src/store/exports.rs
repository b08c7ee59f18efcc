//! Events as they are stored, page by page.

use chrono::{DateTime, Utc};
use common::{CampaignId, EventId, LeadId, MessageId, WriteKeyId};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Int4, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use serde::Serialize;
use serde_json::Value;

use super::reports::Period;

/// One event with all that is kept of it.
#[derive(Clone, Debug, Serialize, QueryableByName, utoipa::ToSchema)]
#[schema(as = analytics::Event)]
pub struct Exported {
    #[diesel(sql_type = SqlUuid)]
    pub id: EventId,
    #[diesel(sql_type = Text)]
    #[serde(rename = "type")]
    pub kind: String,
    #[diesel(sql_type = Nullable<Text>)]
    pub name: Option<String>,
    #[diesel(sql_type = Timestamptz)]
    pub occurred_at: DateTime<Utc>,
    #[diesel(sql_type = Timestamptz)]
    pub received_at: DateTime<Utc>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub campaign_id: Option<CampaignId>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub lead_id: Option<LeadId>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub message_id: Option<MessageId>,
    #[diesel(sql_type = Nullable<Text>)]
    pub user_id: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub anonymous_id: Option<String>,
    /// The write key it came with.
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub source_id: Option<WriteKeyId>,
    #[diesel(sql_type = Nullable<Text>)]
    pub url: Option<String>,
    #[diesel(sql_type = Nullable<Int4>)]
    pub link: Option<i32>,
    #[diesel(sql_type = Nullable<Text>)]
    pub utm_source: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub utm_medium: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub utm_campaign: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub device: Option<String>,
    /// Two letters.
    #[diesel(sql_type = Nullable<Text>)]
    pub country: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub user_agent: Option<String>,
    #[diesel(sql_type = Nullable<BigInt>)]
    pub amount: Option<i64>,
    #[diesel(sql_type = Nullable<Text>)]
    pub currency: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub order_id: Option<String>,
    #[diesel(sql_type = Text)]
    pub verdict: String,
    #[diesel(sql_type = Array<Text>)]
    pub reasons: Vec<String>,
    #[diesel(sql_type = Nullable<Jsonb>)]
    #[schema(value_type = Option<Object>)]
    pub properties: Option<Value>,
    #[diesel(sql_type = Nullable<Jsonb>)]
    #[schema(value_type = Option<Object>)]
    pub context: Option<Value>,
}

/// Where an event is among those of its workspace.
pub type Place = (DateTime<Utc>, EventId);

/// The events of a period after `after`, in the order they were received.
pub fn page(
    conn: &mut PgConnection,
    period: Period,
    after: Option<Place>,
    limit: i64,
) -> QueryResult<Vec<Exported>> {
    let (received, id) = after.unzip();
    sql_query(
        "SELECT id, type AS kind, name, occurred_at, received_at, campaign_id, lead_id, message_id,
             user_id, anonymous_id, source_id, url, link, utm_source, utm_medium, utm_campaign,
             device, country, user_agent, amount, currency, order_id, verdict, reasons, properties, context
         FROM events
         WHERE workspace_id = $1 AND occurred_at >= $2 AND occurred_at < $3
           AND ($4::uuid IS NULL OR campaign_id = $4)
           AND received_at >= greatest($5::timestamptz, $2 - interval '1 day')
           AND ($5::timestamptz IS NULL OR (received_at, id) > ($5, $6))
         ORDER BY received_at, id LIMIT $7",
    )
    .bind::<SqlUuid, _>(period.workspace)
    .bind::<Timestamptz, _>(period.from)
    .bind::<Timestamptz, _>(period.to)
    .bind::<Nullable<SqlUuid>, _>(period.campaign)
    .bind::<Nullable<Timestamptz>, _>(received)
    .bind::<Nullable<SqlUuid>, _>(id)
    .bind::<BigInt, _>(limit)
    .load(conn)
}
