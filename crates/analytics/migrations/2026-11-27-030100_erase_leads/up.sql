-- Leads who were deleted and whose events still say who they were.
CREATE TABLE erasures (
    workspace_id uuid NOT NULL,
    lead_id uuid NOT NULL,
    -- Stands for the person from now on: counts stay what they were.
    pseudonym uuid NOT NULL,
    -- All that their events know them by.
    visitors bigint[] NOT NULL,
    asked_at timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, lead_id)
);
