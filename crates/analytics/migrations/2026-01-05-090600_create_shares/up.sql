-- Links that show reports to whoever has them, until they expire.
CREATE TABLE shares (
    workspace_id uuid NOT NULL,
    id uuid NOT NULL,
    name text NOT NULL,
    -- Of the token, which only its holders know.
    hash bytea NOT NULL,
    campaign_id uuid,
    starts_at timestamptz,
    ends_at timestamptz,
    reports text[] NOT NULL,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, id),
    UNIQUE (workspace_id, hash)
);
