-- What a mail is made from. The id is a hash of the content, so the same content is kept once.
CREATE TABLE snapshots (
    workspace_id uuid NOT NULL,
    id uuid NOT NULL,
    body jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, id)
);

-- A campaign as far as delivery is concerned. The six counts are kept by the transactions that
-- move messages; their sum is the audience at every moment.
CREATE TABLE campaigns (
    workspace_id uuid NOT NULL,
    id uuid NOT NULL,
    snapshot_id uuid NOT NULL,
    state text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'paused', 'cancelled')),
    ambiguous_policy text NOT NULL CHECK (ambiguous_policy IN ('hold', 'resend')),
    -- Everybody of the audience was handed over.
    complete boolean NOT NULL DEFAULT false,
    -- When it was complete and nothing was pending; the event is told with it.
    settled_at timestamptz,
    pending bigint NOT NULL DEFAULT 0 CHECK (pending >= 0),
    accepted bigint NOT NULL DEFAULT 0 CHECK (accepted >= 0),
    rejected bigint NOT NULL DEFAULT 0 CHECK (rejected >= 0),
    suppressed bigint NOT NULL DEFAULT 0 CHECK (suppressed >= 0),
    skipped bigint NOT NULL DEFAULT 0 CHECK (skipped >= 0),
    ambiguous bigint NOT NULL DEFAULT 0 CHECK (ambiguous >= 0),
    created_at timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, id)
) WITH (fillfactor = 50);
-- Those that still have something to do.
CREATE INDEX campaigns_open ON campaigns (workspace_id, id) WHERE settled_at IS NULL;

-- The ledger: one row per message. README.md has the states and the moves between them.
CREATE TABLE messages (
    workspace_id uuid NOT NULL,
    -- Of a campaign's message: made from campaign and lead, so it is the same however often.
    id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('campaign', 'transactional', 'test')),
    campaign_id uuid,
    lead_id uuid,
    -- Of a message without a campaign.
    snapshot_id uuid,
    address text NOT NULL,
    -- What the template may print; dropped when nobody can need it again.
    variables jsonb,
    state text NOT NULL CHECK (state IN ('pending', 'claimed', 'sending', 'accepted', 'rejected',
                                         'ambiguous', 'suppressed', 'skipped')),
    attempts integer NOT NULL DEFAULT 0,
    -- When somebody must look at it next: to send it, or because its lease ran out.
    due_at timestamptz,
    -- The fencing token of the worker that holds it: every write of that worker names it.
    lease uuid,
    reply_code smallint,
    reply text,
    reason text,
    -- The outcome again when it is one that people look for.
    exception text,
    settled_at timestamptz,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, id),
    CHECK ((kind = 'campaign') = (campaign_id IS NOT NULL)),
    CHECK ((lease IS NOT NULL) = (state IN ('claimed', 'sending')))
) WITH (fillfactor = 80);
-- `state` is in no index and no predicate, so that beginning to send rewrites no index entry.
CREATE UNIQUE INDEX messages_once ON messages (workspace_id, campaign_id, lead_id);
CREATE INDEX messages_of_lead ON messages (workspace_id, lead_id, id);
CREATE INDEX messages_due ON messages (workspace_id, campaign_id, due_at)
    WHERE due_at IS NOT NULL AND lease IS NULL;
CREATE INDEX messages_due_without_campaign ON messages (due_at)
    WHERE due_at IS NOT NULL AND lease IS NULL AND campaign_id IS NULL;
CREATE INDEX messages_leased ON messages (due_at) WHERE lease IS NOT NULL;
CREATE INDEX messages_exceptions ON messages (workspace_id, campaign_id, exception, lead_id)
    WHERE exception IS NOT NULL;

-- Pending rows are rewritten three times within seconds; keep the dead ones few.
ALTER TABLE messages SET (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);
