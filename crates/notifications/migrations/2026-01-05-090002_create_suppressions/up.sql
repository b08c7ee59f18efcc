-- Copies of what `leads` and `identity` told us, so that a claim can look without asking.
CREATE TABLE suppressed_addresses (
    workspace_id uuid NOT NULL,
    -- In lower case.
    address text NOT NULL,
    reason text NOT NULL,
    PRIMARY KEY (workspace_id, address)
);

-- People who withdrew: campaigns that had begun by then stop for them.
CREATE TABLE withdrawn_leads (
    workspace_id uuid NOT NULL,
    lead_id uuid NOT NULL,
    reason text NOT NULL CHECK (reason IN ('unsubscribed', 'deleted')),
    at timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, lead_id)
);

CREATE TABLE workspaces (
    workspace_id uuid PRIMARY KEY,
    name text NOT NULL
);
