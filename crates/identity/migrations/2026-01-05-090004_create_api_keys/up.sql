CREATE TABLE api_keys (
    workspace_id uuid NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
    id uuid NOT NULL,
    name text NOT NULL,
    -- The first characters, so that a person can tell keys apart.
    prefix text NOT NULL,
    -- sha256 of the whole key; a key holds 256 random bits, so nothing slower is needed.
    hash bytea NOT NULL UNIQUE,
    scopes text[] NOT NULL,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    last_used_at timestamptz,
    PRIMARY KEY (workspace_id, id)
);
