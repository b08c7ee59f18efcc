//! The tables this service owns. Unqualified: the pool's search path says where they are.

diesel::table! {
    leads (workspace_id, id) {
        workspace_id -> Uuid,
        id -> Uuid,
        email -> Text,
        email_key -> Text,
        first_name -> Nullable<Text>,
        last_name -> Nullable<Text>,
        phone -> Nullable<Text>,
        company -> Nullable<Text>,
        status -> Text,
        score -> Int4,
        source -> Nullable<Text>,
        timezone -> Nullable<Text>,
        locale -> Nullable<Text>,
        tags -> Array<Text>,
        attributes -> Jsonb,
        opens -> Int8,
        clicks -> Int8,
        last_open_at -> Nullable<Timestamptz>,
        last_click_at -> Nullable<Timestamptz>,
        orders -> Int8,
        revenue -> Int8,
        import_id -> Nullable<Uuid>,
        unconfirmed -> Bool,
        version -> Int8,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    suppressions (workspace_id, address_key) {
        workspace_id -> Uuid,
        address_key -> Text,
        id -> Uuid,
        address -> Text,
        reason -> Text,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    lists (workspace_id, id) {
        workspace_id -> Uuid,
        id -> Uuid,
        name -> Text,
        description -> Nullable<Text>,
        version -> Int8,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    list_members (workspace_id, list_id, lead_id) {
        workspace_id -> Uuid,
        list_id -> Uuid,
        lead_id -> Uuid,
        status -> Text,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    consents (workspace_id, id) {
        workspace_id -> Uuid,
        id -> Uuid,
        lead_id -> Uuid,
        list_id -> Nullable<Uuid>,
        status -> Text,
        method -> Text,
        actor -> Text,
        wording -> Nullable<Text>,
        at -> Timestamptz,
    }
}

diesel::table! {
    segments (workspace_id, id) {
        workspace_id -> Uuid,
        id -> Uuid,
        name -> Text,
        rule -> Jsonb,
        version -> Int8,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    forms (workspace_id, id) {
        workspace_id -> Uuid,
        id -> Uuid,
        name -> Text,
        list_ids -> Array<Uuid>,
        fields -> Jsonb,
        language -> Text,
        title -> Text,
        text -> Nullable<Text>,
        button -> Nullable<Text>,
        wording -> Text,
        success_message -> Nullable<Text>,
        redirect_url -> Nullable<Text>,
        double_opt_in -> Bool,
        origins -> Array<Text>,
        active -> Bool,
        lapsed -> Int8,
        version -> Int8,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    form_submissions (workspace_id, id) {
        workspace_id -> Uuid,
        id -> Uuid,
        form_id -> Uuid,
        lead_id -> Uuid,
        list_ids -> Array<Uuid>,
        answers -> Jsonb,
        wording -> Text,
        anonymous_id -> Nullable<Text>,
        sent_from -> Nullable<Text>,
        submitted_at -> Timestamptz,
        confirmed_from -> Nullable<Text>,
        confirmed_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    imports (workspace_id, id) {
        workspace_id -> Uuid,
        id -> Uuid,
        status -> Text,
        actor -> Text,
        list_id -> Nullable<Uuid>,
        list_status -> Text,
        dry_run -> Bool,
        plan -> Jsonb,
        bytes -> Int8,
        next_byte -> Int8,
        next_line -> Int8,
        rows -> Int8,
        created -> Int8,
        updated -> Int8,
        unchanged -> Int8,
        rejected -> Int8,
        failure -> Nullable<Text>,
        created_at -> Timestamptz,
        started_at -> Nullable<Timestamptz>,
        finished_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    import_chunks (workspace_id, import_id, seq) {
        workspace_id -> Uuid,
        import_id -> Uuid,
        seq -> Int4,
        data -> Bytea,
    }
}

diesel::table! {
    import_errors (workspace_id, import_id, line) {
        workspace_id -> Uuid,
        import_id -> Uuid,
        line -> Int8,
        reason -> Text,
        cells -> Array<Text>,
    }
}

// A temporary table of the importing connection; see `store::staging`.
diesel::table! {
    import_staging (id) {
        id -> Uuid,
        email -> Text,
        email_key -> Text,
        first_name -> Nullable<Text>,
        last_name -> Nullable<Text>,
        phone -> Nullable<Text>,
        company -> Nullable<Text>,
        status -> Nullable<Text>,
        score -> Nullable<Int4>,
        source -> Nullable<Text>,
        timezone -> Nullable<Text>,
        locale -> Nullable<Text>,
        tags -> Array<Text>,
        attributes -> Jsonb,
    }
}

diesel::allow_tables_to_appear_in_same_query!(leads, list_members, lists, suppressions);
