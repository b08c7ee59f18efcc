-- URLs of customers that events are posted to.
CREATE TABLE webhooks (
    workspace_id uuid NOT NULL,
    id uuid NOT NULL,
    url text NOT NULL,
    description text NOT NULL,
    -- Types of events; `*` is for all.
    events text[] NOT NULL CHECK (cardinality(events) > 0),
    -- Sealed with CLARION_DATA_KEY: README.md.
    secret bytea NOT NULL,
    -- The one before still signs until then.
    old_secret bytea,
    old_secret_until timestamptz,
    enabled boolean NOT NULL,
    disabled_reason text,
    -- Since when no delivery succeeded.
    failing_since timestamptz,
    version bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, id),
    CHECK ((old_secret IS NULL) = (old_secret_until IS NULL)),
    CHECK (enabled = (disabled_reason IS NULL))
);

CREATE TABLE webhook_deliveries (
    workspace_id uuid NOT NULL,
    -- The `webhook-id` header of every attempt.
    id uuid NOT NULL,
    webhook_id uuid NOT NULL,
    event_id uuid NOT NULL,
    event_type text NOT NULL,
    -- The very text that is signed.
    payload text NOT NULL,
    state text NOT NULL CHECK (state IN ('pending', 'delivered', 'failed')),
    attempts integer NOT NULL DEFAULT 0,
    next_at timestamptz NOT NULL,
    lease uuid,
    lease_until timestamptz,
    -- How the last attempt went.
    attempted_at timestamptz,
    status integer,
    answer text,
    problem text,
    took_ms bigint,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, id),
    FOREIGN KEY (workspace_id, webhook_id) REFERENCES webhooks ON DELETE CASCADE,
    CHECK ((lease IS NULL) = (lease_until IS NULL))
);
CREATE UNIQUE INDEX webhook_deliveries_once
    ON webhook_deliveries (workspace_id, webhook_id, event_id);
CREATE INDEX webhook_deliveries_listed ON webhook_deliveries (workspace_id, webhook_id, id);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (next_at) WHERE state = 'pending';
CREATE INDEX webhook_deliveries_due_of
    ON webhook_deliveries (workspace_id, webhook_id, next_at) WHERE state = 'pending';
CREATE INDEX webhook_deliveries_old ON webhook_deliveries (created_at) WHERE state <> 'pending';
