//! identity's tables. Unqualified: the pool's search path says whose they are.

diesel::table! {
    workspaces (id) {
        id -> Uuid,
        name -> Text,
        version -> Int8,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        customer_registration -> Bool,
        second_factor_required -> Bool,
    }
}

diesel::table! {
    users (id) {
        id -> Uuid,
        email -> Text,
        email_key -> Text,
        name -> Text,
        password_hash -> Text,
        version -> Int8,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        email_verified_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    memberships (workspace_id, user_id) {
        workspace_id -> Uuid,
        user_id -> Uuid,
        role -> Text,
        created_at -> Timestamptz,
        role_id -> Nullable<Uuid>,
    }
}

diesel::table! {
    roles (workspace_id, id) {
        workspace_id -> Uuid,
        id -> Uuid,
        name -> Text,
        scopes -> Array<Text>,
        version -> Int8,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    mail_tokens (hash) {
        hash -> Bytea,
        kind -> Text,
        user_id -> Uuid,
        email_key -> Text,
        created_at -> Timestamptz,
        expires_at -> Timestamptz,
    }
}

diesel::table! {
    invitations (workspace_id, id) {
        workspace_id -> Uuid,
        id -> Uuid,
        email -> Text,
        email_key -> Text,
        role -> Text,
        role_id -> Nullable<Uuid>,
        invited_by -> Text,
        hash -> Nullable<Bytea>,
        created_at -> Timestamptz,
        expires_at -> Timestamptz,
    }
}

diesel::table! {
    authenticators (user_id) {
        user_id -> Uuid,
        secret -> Bytea,
        confirmed_at -> Nullable<Timestamptz>,
        last_step -> Int8,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    recovery_codes (user_id, hash) {
        user_id -> Uuid,
        hash -> Bytea,
    }
}

diesel::table! {
    signing_keys (kid) {
        kid -> Text,
        pkcs8 -> Bytea,
        created_at -> Timestamptz,
        retired_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    refresh_tokens (hash) {
        hash -> Bytea,
        workspace_id -> Uuid,
        user_id -> Uuid,
        family -> Uuid,
        created_at -> Timestamptz,
        expires_at -> Timestamptz,
        used_at -> Nullable<Timestamptz>,
        revoked_at -> Nullable<Timestamptz>,
        address -> Nullable<Text>,
        agent -> Nullable<Text>,
    }
}

diesel::table! {
    revocations (id) {
        id -> Uuid,
        what -> Text,
        told -> Bool,
    }
}

diesel::table! {
    api_keys (workspace_id, id) {
        workspace_id -> Uuid,
        id -> Uuid,
        name -> Text,
        prefix -> Text,
        hash -> Bytea,
        scopes -> Array<Text>,
        created_by -> Text,
        created_at -> Timestamptz,
        expires_at -> Nullable<Timestamptz>,
        last_used_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    external_identities (issuer, subject) {
        issuer -> Text,
        subject -> Text,
        id -> Uuid,
        user_id -> Uuid,
        email -> Nullable<Text>,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    audit_log (workspace_id, at, id) {
        workspace_id -> Uuid,
        at -> Timestamptz,
        id -> Uuid,
        service -> Text,
        actor -> Text,
        method -> Text,
        route -> Text,
        request_id -> Text,
        address -> Nullable<Text>,
        action -> Text,
        resource -> Text,
        resource_id -> Text,
        before -> Nullable<Jsonb>,
        after -> Nullable<Jsonb>,
    }
}

diesel::joinable!(external_identities -> users (user_id));
diesel::joinable!(memberships -> users (user_id));
diesel::joinable!(memberships -> workspaces (workspace_id));
diesel::allow_tables_to_appear_in_same_query!(authenticators, memberships);
diesel::allow_tables_to_appear_in_same_query!(external_identities, users);
diesel::allow_tables_to_appear_in_same_query!(invitations, memberships, roles, users, workspaces);
