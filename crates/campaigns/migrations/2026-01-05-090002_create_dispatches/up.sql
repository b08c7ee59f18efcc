-- How far a started campaign's audience has been handed to notifications.
CREATE TABLE dispatches (
    workspace_id uuid NOT NULL,
    campaign_id uuid NOT NULL,
    -- What is sent, as it was at the start; later edits of anything change nothing.
    snapshot jsonb NOT NULL,
    audience jsonb NOT NULL,
    schedule jsonb,
    -- Leads made after this moment are not in the audience.
    as_of timestamptz NOT NULL,
    -- The audience's size as counted at the start; corrected to what was handed over at the end.
    expected bigint NOT NULL,
    -- The last lead that notifications has acknowledged, and how many it has.
    cursor uuid,
    handed bigint NOT NULL DEFAULT 0,
    complete boolean NOT NULL DEFAULT false,
    PRIMARY KEY (workspace_id, campaign_id)
);
