//! The tables of this service. Unqualified: the pool's search path says whose they are.

diesel::table! {
    snapshots (workspace_id, id) {
        workspace_id -> Uuid,
        id -> Uuid,
        body -> Jsonb,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    templates (workspace_id, id) {
        workspace_id -> Uuid,
        id -> Uuid,
        version -> Int8,
        body -> Nullable<Jsonb>,
    }
}

diesel::table! {
    campaigns (workspace_id, id) {
        workspace_id -> Uuid,
        id -> Uuid,
        snapshot_id -> Uuid,
        state -> Text,
        ambiguous_policy -> Text,
        complete -> Bool,
        settled_at -> Nullable<Timestamptz>,
        pending -> Int8,
        accepted -> Int8,
        rejected -> Int8,
        suppressed -> Int8,
        skipped -> Int8,
        ambiguous -> Int8,
        created_at -> Timestamptz,
        restored_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    messages (workspace_id, id) {
        workspace_id -> Uuid,
        id -> Uuid,
        kind -> Text,
        campaign_id -> Nullable<Uuid>,
        lead_id -> Nullable<Uuid>,
        snapshot_id -> Nullable<Uuid>,
        address -> Text,
        variables -> Nullable<Json>,
        state -> Text,
        bundle_id -> Nullable<Uuid>,
        attempts -> Int4,
        next_attempt_at -> Nullable<Timestamptz>,
        reply_code -> Nullable<Int2>,
        reply -> Nullable<Text>,
        reason -> Nullable<Text>,
        exception -> Nullable<Text>,
        settled_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        attachments -> Nullable<Jsonb>,
    }
}

diesel::table! {
    attachments (workspace_id, id) {
        workspace_id -> Uuid,
        id -> Uuid,
        message_id -> Nullable<Uuid>,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    attachment_chunks (workspace_id, attachment_id, seq) {
        workspace_id -> Uuid,
        attachment_id -> Uuid,
        seq -> Int4,
        bytes -> Bytea,
    }
}

// Without `begun`: Diesel has no bit strings.
diesel::table! {
    bundles (workspace_id, id) {
        workspace_id -> Uuid,
        id -> Uuid,
        campaign_id -> Nullable<Uuid>,
        due_at -> Timestamptz,
        lease -> Nullable<Uuid>,
        members -> Array<Uuid>,
    }
}

diesel::table! {
    senders (workspace_id, id) {
        workspace_id -> Uuid,
        id -> Uuid,
        name -> Text,
        host -> Text,
        port -> Int4,
        tls -> Text,
        username -> Nullable<Text>,
        password -> Nullable<Bytea>,
        priority -> Int4,
        domains -> Array<Text>,
        connections -> Int4,
        per_second -> Nullable<Float8>,
        domain_rates -> Jsonb,
        warm_up -> Nullable<Jsonb>,
        enabled -> Bool,
        version -> Int8,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    sender_days (workspace_id, sender_id, day) {
        workspace_id -> Uuid,
        sender_id -> Uuid,
        day -> Date,
        taken -> Int4,
    }
}

diesel::table! {
    domains (workspace_id, id) {
        workspace_id -> Uuid,
        id -> Uuid,
        name -> Text,
        signing -> Text,
        checked -> Jsonb,
        checked_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        keys_changed_at -> Timestamptz,
    }
}

diesel::table! {
    domain_keys (workspace_id, id) {
        workspace_id -> Uuid,
        id -> Uuid,
        domain_id -> Uuid,
        selector -> Text,
        algorithm -> Text,
        active -> Bool,
        private_key -> Bytea,
        record -> Text,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    feedback (workspace_id, address, reference, class) {
        workspace_id -> Uuid,
        address -> Text,
        reference -> Text,
        class -> Text,
        message_id -> Nullable<Uuid>,
        source -> Text,
        status -> Nullable<Text>,
        diagnostic -> Nullable<Text>,
        reason -> Text,
        at -> Timestamptz,
    }
}

diesel::table! {
    soft_bounces (workspace_id, address) {
        workspace_id -> Uuid,
        address -> Text,
        score -> Float8,
        at -> Timestamptz,
    }
}

diesel::table! {
    inbound_hooks (workspace_id, id) {
        workspace_id -> Uuid,
        id -> Uuid,
        provider -> Text,
        token_hash -> Bytea,
        secret -> Nullable<Bytea>,
        created_at -> Timestamptz,
        last_used_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    suppressed_addresses (workspace_id, address) {
        workspace_id -> Uuid,
        address -> Text,
        reason -> Text,
    }
}

diesel::table! {
    withdrawn_leads (workspace_id, lead_id) {
        workspace_id -> Uuid,
        lead_id -> Uuid,
        reason -> Text,
        at -> Timestamptz,
    }
}

diesel::table! {
    workspaces (workspace_id) {
        workspace_id -> Uuid,
        name -> Text,
    }
}

diesel::table! {
    webhooks (workspace_id, id) {
        workspace_id -> Uuid,
        id -> Uuid,
        url -> Text,
        description -> Text,
        events -> Array<Text>,
        secret -> Bytea,
        old_secret -> Nullable<Bytea>,
        old_secret_until -> Nullable<Timestamptz>,
        enabled -> Bool,
        disabled_reason -> Nullable<Text>,
        failing_since -> Nullable<Timestamptz>,
        version -> Int8,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    webhook_deliveries (workspace_id, id) {
        workspace_id -> Uuid,
        id -> Uuid,
        webhook_id -> Uuid,
        event_id -> Uuid,
        event_type -> Text,
        payload -> Text,
        state -> Text,
        attempts -> Int4,
        next_at -> Timestamptz,
        lease -> Nullable<Uuid>,
        lease_until -> Nullable<Timestamptz>,
        attempted_at -> Nullable<Timestamptz>,
        status -> Nullable<Int4>,
        answer -> Nullable<Text>,
        problem -> Nullable<Text>,
        took_ms -> Nullable<Int8>,
        created_at -> Timestamptz,
        lead_id -> Nullable<Uuid>,
        address -> Nullable<Text>,
    }
}

diesel::allow_tables_to_appear_in_same_query!(
    messages,
    campaigns,
    suppressed_addresses,
    withdrawn_leads
);
