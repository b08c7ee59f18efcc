-- What was received on one day, by the day it happened on: made of the quarters of an hour once the
-- day is over, so that months are read in few rows. They say the same as the rows they are made of.
CREATE TABLE day_counts (
    workspace_id uuid NOT NULL,
    campaign_id uuid NOT NULL,
    -- When they happened, and when they were received: days of UTC.
    day timestamptz NOT NULL,
    received timestamptz NOT NULL,
    events bigint NOT NULL,
    machine bigint NOT NULL,
    views bigint NOT NULL,
    opens bigint NOT NULL,
    clicks bigint NOT NULL,
    unsubscribes bigint NOT NULL,
    conversions bigint NOT NULL,
    people bytea NOT NULL,
    PRIMARY KEY (workspace_id, campaign_id, day, received)
);
CREATE INDEX day_counts_of ON day_counts (workspace_id, received);

CREATE TABLE day_revenue (
    workspace_id uuid NOT NULL,
    campaign_id uuid NOT NULL,
    day timestamptz NOT NULL,
    received timestamptz NOT NULL,
    currency text NOT NULL,
    amount numeric NOT NULL,
    PRIMARY KEY (workspace_id, campaign_id, day, received, currency)
);
CREATE INDEX day_revenue_of ON day_revenue (workspace_id, received);

CREATE TABLE day_values (
    workspace_id uuid NOT NULL,
    campaign_id uuid NOT NULL,
    dimension text NOT NULL,
    day timestamptz NOT NULL,
    received timestamptz NOT NULL,
    value text[] NOT NULL,
    events bigint NOT NULL,
    views bigint NOT NULL,
    clicks bigint NOT NULL,
    conversions bigint NOT NULL,
    people bytea NOT NULL,
    PRIMARY KEY (workspace_id, campaign_id, dimension, day, received, value)
);
CREATE INDEX day_values_of ON day_values (workspace_id, received);

-- Days of received events whose rows above are missing or out of date: their quarters are read.
CREATE TABLE rollup_open (
    workspace_id uuid NOT NULL,
    day timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, day)
);

-- How a campaign was taken, by the hour it was received in. `url` is absent in the rows of all hits
-- of a type; clicks are counted by their links besides.
CREATE TABLE rollup_hits (
    workspace_id uuid NOT NULL,
    campaign_id uuid NOT NULL,
    hour timestamptz NOT NULL,
    type text NOT NULL,
    url text,
    human bigint NOT NULL,
    machine bigint NOT NULL,
    -- Different leads among the humans, all of them: eight bytes each.
    leads bytea NOT NULL
);
CREATE INDEX rollup_hits_of_campaign ON rollup_hits (workspace_id, campaign_id);
CREATE INDEX rollup_hits_of_hour ON rollup_hits (workspace_id, hour);

-- Who did what when, packed: what funnels read. One entry per event of a known person, in three
-- columns of equal length: the person and the moment in microseconds (eight bytes each), and the
-- place of its name in `dictionary` (four). Dropped with the events it is made of.
CREATE TABLE rollup_steps (
    workspace_id uuid NOT NULL,
    type text NOT NULL,
    hour timestamptz NOT NULL,
    events bigint NOT NULL,
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    people bytea NOT NULL,
    moments bytea NOT NULL,
    names bytea NOT NULL,
    dictionary text[] NOT NULL,
    PRIMARY KEY (workspace_id, type, hour)
);
CREATE INDEX rollup_steps_of_hour ON rollup_steps (workspace_id, hour);
-- Hashes do not shrink; trying to costs more than writing them.
ALTER TABLE rollup_steps
    ALTER COLUMN people SET STORAGE EXTERNAL,
    ALTER COLUMN moments SET STORAGE EXTERNAL,
    ALTER COLUMN names SET STORAGE EXTERNAL;

-- What was counted before this is to be counted again, now with hits and steps.
INSERT INTO rollup_dirty SELECT DISTINCT workspace_id, hour FROM rollup_counts;
