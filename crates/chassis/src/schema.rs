//! The chassis tables, which every service's schema has. Unqualified: the pool's search path says
//! whose they are.

diesel::table! {
    outbox (id) {
        id -> Uuid,
        seq -> Int8,
        position -> Nullable<Int8>,
        workspace_id -> Uuid,
        kind -> Text,
        subject -> Text,
        data -> Jsonb,
        traceparent -> Nullable<Text>,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    feed_consumers (consumer) {
        consumer -> Text,
        position -> Int8,
        seen_at -> Timestamptz,
    }
}

diesel::table! {
    feed_positions (producer) {
        producer -> Text,
        position -> Int8,
    }
}

diesel::table! {
    jobs (id) {
        id -> Uuid,
        kind -> Text,
        payload -> Jsonb,
        unique_key -> Nullable<Text>,
        run_at -> Timestamptz,
        attempts -> Int4,
        lease -> Nullable<Uuid>,
        lease_until -> Nullable<Timestamptz>,
        last_error -> Nullable<Text>,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    idempotency_keys (workspace_id, key) {
        workspace_id -> Uuid,
        key -> Text,
        fingerprint -> Bytea,
        body -> Nullable<Jsonb>,
        created_at -> Timestamptz,
    }
}
