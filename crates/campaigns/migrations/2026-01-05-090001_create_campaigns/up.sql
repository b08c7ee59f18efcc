CREATE TABLE campaigns (
    workspace_id uuid NOT NULL,
    id uuid NOT NULL,
    name text NOT NULL,
    subject text NOT NULL,
    preheader text NOT NULL,
    -- Who it is from; a draft may not know yet.
    sender jsonb,
    reply_to text,
    content jsonb,
    audience jsonb NOT NULL,
    budget jsonb,
    schedule jsonb,
    ambiguous text NOT NULL,
    status text NOT NULL CHECK (status IN ('draft', 'scheduled', 'running', 'paused', 'finished', 'cancelled')),
    -- Why it stands still, when it was not a person who paused it.
    paused_reason text,
    version bigint NOT NULL DEFAULT 1,
    started_at timestamptz,
    finished_at timestamptz,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, id)
);
CREATE INDEX campaigns_by_status ON campaigns (workspace_id, status, id);
