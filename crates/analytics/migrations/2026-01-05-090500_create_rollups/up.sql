-- Events counted by the quarter of an hour they happened in: every time zone's hours and days are
-- made of those. A row holds what was received within one hour, so that an hour is counted anew
-- from one stretch of one partition, whatever changed in it.
CREATE TABLE rollup_counts (
    workspace_id uuid NOT NULL,
    -- When they were received.
    hour timestamptz NOT NULL,
    -- Whose events; nil: all of the workspace.
    campaign_id uuid NOT NULL,
    -- When they happened.
    quarter timestamptz NOT NULL,
    events bigint NOT NULL,
    machine bigint NOT NULL,
    views bigint NOT NULL,
    opens bigint NOT NULL,
    clicks bigint NOT NULL,
    unsubscribes bigint NOT NULL,
    conversions bigint NOT NULL,
    -- Who they were: a sketch, exact while it is small.
    people bytea NOT NULL,
    PRIMARY KEY (workspace_id, hour, campaign_id, quarter)
);
CREATE INDEX rollup_counts_by_time ON rollup_counts (workspace_id, campaign_id, quarter);

-- What they brought in, the same way.
CREATE TABLE rollup_revenue (
    workspace_id uuid NOT NULL,
    hour timestamptz NOT NULL,
    campaign_id uuid NOT NULL,
    quarter timestamptz NOT NULL,
    currency text NOT NULL,
    amount numeric NOT NULL,
    PRIMARY KEY (workspace_id, hour, campaign_id, quarter, currency)
);
CREATE INDEX rollup_revenue_by_time ON rollup_revenue (workspace_id, campaign_id, quarter);

-- By device and by channel, the same way.
CREATE TABLE rollup_values (
    workspace_id uuid NOT NULL,
    hour timestamptz NOT NULL,
    campaign_id uuid NOT NULL,
    quarter timestamptz NOT NULL,
    dimension text NOT NULL,
    value text[] NOT NULL,
    events bigint NOT NULL,
    views bigint NOT NULL,
    clicks bigint NOT NULL,
    conversions bigint NOT NULL,
    people bytea NOT NULL,
    PRIMARY KEY (workspace_id, hour, campaign_id, quarter, dimension, value)
);
CREATE INDEX rollup_values_by_time
    ON rollup_values (workspace_id, campaign_id, dimension, quarter);

-- Hours of which something changed since they were counted: until they are counted again, reports
-- count their events themselves. Written with the change, without waiting for anybody.
CREATE TABLE rollup_dirty (
    workspace_id uuid NOT NULL,
    hour timestamptz NOT NULL
);
CREATE INDEX rollup_dirty_of ON rollup_dirty (workspace_id, hour);

-- What was stored before this is to be counted.
INSERT INTO rollup_dirty SELECT DISTINCT workspace_id, date_trunc('hour', received_at, 'UTC') FROM events;
