-- Events this service tells others. `position` is given after the commit, by one sequencer at a time.
CREATE SEQUENCE outbox_position;
CREATE TABLE outbox (
    id uuid PRIMARY KEY,
    seq bigint GENERATED ALWAYS AS IDENTITY,
    position bigint,
    workspace_id uuid NOT NULL,
    kind text NOT NULL,
    subject text NOT NULL,
    data jsonb NOT NULL,
    traceparent text,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX outbox_by_position ON outbox (position) WHERE position IS NOT NULL;
CREATE INDEX outbox_unnumbered ON outbox (seq) WHERE position IS NULL;

-- Who reads this service's feed, and up to where; rows behind all of them may be pruned.
CREATE TABLE feed_consumers (
    consumer text PRIMARY KEY,
    position bigint NOT NULL,
    seen_at timestamptz NOT NULL
);

-- Up to where this service has read the feeds of others.
CREATE TABLE feed_positions (
    producer text PRIMARY KEY,
    position bigint NOT NULL
);

-- Background work, claimed by a short lease.
CREATE TABLE jobs (
    id uuid PRIMARY KEY,
    kind text NOT NULL,
    payload jsonb NOT NULL,
    -- At most one unfinished job of a kind has a given key.
    unique_key text,
    run_at timestamptz NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    lease uuid,
    lease_until timestamptz,
    last_error text,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX jobs_due ON jobs (run_at);
CREATE UNIQUE INDEX jobs_unique ON jobs (kind, unique_key) WHERE unique_key IS NOT NULL;

-- Answers already given, so that a repeated request is not carried out twice.
CREATE TABLE idempotency_keys (
    workspace_id uuid NOT NULL,
    key text NOT NULL,
    fingerprint bytea NOT NULL,
    body jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (workspace_id, key)
);
