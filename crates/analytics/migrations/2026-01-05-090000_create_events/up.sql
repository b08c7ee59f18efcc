-- Every recorded fact, by the day it was received. Nothing is unique here but the row itself:
-- whether an event was seen before is for event_ids to say, across all days.
CREATE TABLE events (
    workspace_id uuid NOT NULL,
    id uuid NOT NULL,
    type text NOT NULL,
    occurred_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    campaign_id uuid,
    lead_id uuid,
    message_id uuid,
    anonymous_id text,
    url text,
    -- Which link of the mail, from 0 in document order.
    link integer,
    user_agent text,
    -- The address, its salted hash of the day, or nothing: a setting says which.
    ip text,
    verdict text NOT NULL,
    reasons text[] NOT NULL,
    rules_version smallint NOT NULL,
    properties jsonb,
    PRIMARY KEY (workspace_id, received_at, id)
) PARTITION BY RANGE (received_at);

CREATE INDEX events_of_campaign ON events (workspace_id, campaign_id, type)
    WHERE campaign_id IS NOT NULL;
CREATE INDEX events_of_message ON events (workspace_id, message_id, received_at)
    WHERE message_id IS NOT NULL;

-- Takes what no day's partition takes, so that a late maintenance task loses nothing.
CREATE TABLE events_default PARTITION OF events DEFAULT;

-- The ids that clients gave, for as long as a repetition is recognised.
CREATE TABLE event_ids (
    workspace_id uuid NOT NULL,
    id uuid NOT NULL,
    received_at timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, id)
) WITH (autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX event_ids_by_time ON event_ids USING brin (received_at);

-- One row per committed batch: tells a writer that lost its connection during a commit whether
-- the batch is in. Rows are needed for seconds and kept for an hour.
CREATE TABLE ingest_batches (
    id uuid PRIMARY KEY,
    -- Events of each request that were known already; empty when there were none.
    duplicates integer[] NOT NULL,
    committed_at timestamptz NOT NULL
);
