-- People's clicks that other services are not told of yet: the next may show that they are a scanner's.
CREATE TABLE held_clicks (
    workspace_id uuid NOT NULL,
    -- Of the event.
    id uuid NOT NULL,
    lead_id uuid NOT NULL,
    campaign_id uuid,
    occurred_at timestamptz NOT NULL,
    tell_at timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, id)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
CREATE INDEX held_clicks_by_time ON held_clicks (tell_at);
