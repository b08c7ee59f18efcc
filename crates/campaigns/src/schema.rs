//! The tables of the `campaigns` schema.

diesel::table! {
    templates (workspace_id, id) {
        workspace_id -> Uuid,
        id -> Uuid,
        name -> Text,
        subject -> Text,
        preheader -> Text,
        content -> Jsonb,
        version -> Int8,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    campaigns (workspace_id, id) {
        workspace_id -> Uuid,
        id -> Uuid,
        name -> Text,
        subject -> Text,
        preheader -> Text,
        sender -> Nullable<Jsonb>,
        reply_to -> Nullable<Text>,
        content -> Nullable<Jsonb>,
        audience -> Jsonb,
        budget -> Nullable<Jsonb>,
        schedule -> Nullable<Jsonb>,
        ambiguous -> Text,
        status -> Text,
        paused_reason -> Nullable<Text>,
        sender_id -> Nullable<Uuid>,
        held_reason -> Nullable<Text>,
        held_since -> Nullable<Timestamptz>,
        utm -> Nullable<Jsonb>,
        version -> Int8,
        started_at -> Nullable<Timestamptz>,
        finished_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    dispatches (workspace_id, campaign_id) {
        workspace_id -> Uuid,
        campaign_id -> Uuid,
        snapshot -> Jsonb,
        audience -> Jsonb,
        schedule -> Nullable<Jsonb>,
        as_of -> Timestamptz,
        expected -> Int8,
        cursor -> Nullable<Uuid>,
        handed -> Int8,
        complete -> Bool,
    }
}
