-- Keys that sites and programs send events with. They are published with the pages that use them,
-- so they are kept as they are; all they allow is sending.
CREATE TABLE write_keys (
    workspace_id uuid NOT NULL,
    id uuid NOT NULL,
    -- The source that sends with it.
    name text NOT NULL,
    key text NOT NULL,
    -- Pages of these origins may send from a browser; empty: all.
    origins text[] NOT NULL,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL,
    revoked_at timestamptz,
    PRIMARY KEY (workspace_id, id),
    UNIQUE (workspace_id, key)
);
