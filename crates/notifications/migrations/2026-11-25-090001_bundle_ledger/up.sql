-- Messages are claimed in bundles, and the ledger is partitioned by month. There was no release with
-- the ledger before; what it still had to send is told as skipped, so that every sum holds.
DROP TABLE messages;
UPDATE campaigns SET skipped = skipped + pending, pending = 0, settled_at = coalesce(settled_at, now())
WHERE pending > 0;

-- The ledger: one row per message. README.md has the states and the moves between them. A row is
-- written twice: when it is handed over and when it is settled (and once for each time it is put
-- off). What changes at those moments is in no index, so the second write stays in the page.
CREATE TABLE messages (
    workspace_id uuid NOT NULL,
    -- Begins with a time in milliseconds, as UUIDv7 does, and so names its partition. Of a
    -- campaign's message: the campaign's time, then a hash of campaign and lead; it is the same
    -- however often it is handed over.
    id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('campaign', 'transactional', 'test')),
    campaign_id uuid,
    lead_id uuid,
    -- Of a message without a campaign.
    snapshot_id uuid,
    address text NOT NULL,
    -- What the template may print; dropped when nobody can need it again.
    variables jsonb,
    state text NOT NULL CHECK (state IN ('pending', 'accepted', 'rejected', 'ambiguous', 'suppressed',
                                         'skipped')),
    -- The one bundle that it is sent with.
    bundle_id uuid,
    attempts integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz,
    reply_code smallint,
    reply text,
    reason text,
    -- The outcome again when it is one that people look for.
    exception text,
    settled_at timestamptz,
    created_at timestamptz NOT NULL,
    CONSTRAINT messages_key PRIMARY KEY (workspace_id, id),
    CHECK ((kind = 'campaign') = (campaign_id IS NOT NULL)),
    CHECK ((bundle_id IS NOT NULL) = (state = 'pending'))
) PARTITION BY RANGE (id);
CREATE INDEX messages_of_lead ON messages (workspace_id, lead_id, id);
CREATE INDEX messages_exceptions ON messages (workspace_id, campaign_id, exception, id)
    WHERE exception IS NOT NULL;

-- Messages of one campaign that are due together, or one message without a campaign.
CREATE TABLE bundles (
    workspace_id uuid NOT NULL,
    id uuid NOT NULL,
    campaign_id uuid,
    -- When somebody must look at it next: to send it, or because its lease ran out.
    due_at timestamptz NOT NULL,
    -- The fencing token of the worker that holds it: every write of that worker names it.
    lease uuid,
    -- The messages, by place. Those of them that name another bundle, or none, have left.
    members uuid[] NOT NULL,
    -- Places whose content the holder may have sent.
    begun bit(256) NOT NULL DEFAULT B'0'::bit(256),
    PRIMARY KEY (workspace_id, id),
    CHECK (cardinality(members) BETWEEN 1 AND 256)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
-- Ids do not compress.
ALTER TABLE bundles ALTER members SET STORAGE EXTERNAL;
-- `begun` is in no index and no predicate, so that beginning to send rewrites no index entry.
CREATE INDEX bundles_due ON bundles (workspace_id, campaign_id, due_at) WHERE lease IS NULL;
CREATE INDEX bundles_due_without_campaign ON bundles (due_at) WHERE lease IS NULL AND campaign_id IS NULL;
CREATE INDEX bundles_leased ON bundles (due_at) WHERE lease IS NOT NULL;
