-- How a campaign was taken on a day, made of its hours once the day is over: a report that lists
-- everybody reads few long rows instead of many short ones.
CREATE TABLE day_hits (
    workspace_id uuid NOT NULL,
    campaign_id uuid NOT NULL,
    -- When they were received: a day of UTC.
    received timestamptz NOT NULL,
    type text NOT NULL,
    url text,
    human bigint NOT NULL,
    machine bigint NOT NULL,
    -- As in rollup_hits, in order.
    leads bytea NOT NULL
);
CREATE INDEX day_hits_of_campaign ON day_hits (workspace_id, campaign_id);
CREATE INDEX day_hits_of ON day_hits (workspace_id, received);
-- Hashes do not shrink.
ALTER TABLE day_hits ALTER COLUMN leads SET STORAGE EXTERNAL;

-- Hours are read of open days only.
CREATE INDEX rollup_hits_of_campaign_and_hour ON rollup_hits (workspace_id, campaign_id, hour);
DROP INDEX rollup_hits_of_campaign;

INSERT INTO rollup_open
    SELECT DISTINCT workspace_id, date_trunc('day', hour, 'UTC') FROM rollup_hits
    ON CONFLICT DO NOTHING;
