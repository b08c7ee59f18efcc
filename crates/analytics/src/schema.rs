//! This service's tables. Unqualified: the connection's search path says where they are.

diesel::table! {
    events (workspace_id, received_at, id) {
        workspace_id -> Uuid,
        id -> Uuid,
        #[sql_name = "type"]
        kind -> Text,
        occurred_at -> Timestamptz,
        received_at -> Timestamptz,
        campaign_id -> Nullable<Uuid>,
        lead_id -> Nullable<Uuid>,
        message_id -> Nullable<Uuid>,
        anonymous_id -> Nullable<Text>,
        url -> Nullable<Text>,
        link -> Nullable<Int4>,
        user_agent -> Nullable<Text>,
        ip -> Nullable<Text>,
        verdict -> Text,
        reasons -> Array<Text>,
        rules_version -> Int2,
        properties -> Nullable<Jsonb>,
    }
}

diesel::table! {
    ingest_batches (id) {
        id -> Uuid,
        duplicates -> Array<Int4>,
        committed_at -> Timestamptz,
    }
}
