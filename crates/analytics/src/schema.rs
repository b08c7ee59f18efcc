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
        name -> Nullable<Text>,
        user_id -> Nullable<Text>,
        visitor -> Nullable<Int8>,
        source_id -> Nullable<Uuid>,
        context -> Nullable<Jsonb>,
        utm_source -> Nullable<Text>,
        utm_medium -> Nullable<Text>,
        utm_campaign -> Nullable<Text>,
        device -> Nullable<Text>,
        amount -> Nullable<Int8>,
        currency -> Nullable<Text>,
        order_id -> Nullable<Text>,
        country -> Nullable<Text>,
    }
}

diesel::table! {
    ingest_batches (id) {
        id -> Uuid,
        duplicates -> Array<Int4>,
        committed_at -> Timestamptz,
    }
}

diesel::table! {
    write_keys (workspace_id, id) {
        workspace_id -> Uuid,
        id -> Uuid,
        name -> Text,
        key -> Text,
        origins -> Array<Text>,
        created_by -> Text,
        created_at -> Timestamptz,
        revoked_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    shares (workspace_id, id) {
        workspace_id -> Uuid,
        id -> Uuid,
        name -> Text,
        hash -> Bytea,
        campaign_id -> Nullable<Uuid>,
        starts_at -> Nullable<Timestamptz>,
        ends_at -> Nullable<Timestamptz>,
        reports -> Array<Text>,
        created_by -> Text,
        created_at -> Timestamptz,
        expires_at -> Timestamptz,
    }
}

diesel::table! {
    goals (workspace_id, id) {
        workspace_id -> Uuid,
        id -> Uuid,
        name -> Text,
        #[sql_name = "type"]
        kind -> Text,
        event -> Nullable<Text>,
        url_prefix -> Nullable<Text>,
        created_by -> Text,
        created_at -> Timestamptz,
    }
}
