-- Where the mail providers of a workspace tell what became of its mails.
CREATE TABLE inbound_hooks (
    workspace_id uuid NOT NULL,
    id uuid NOT NULL,
    provider text NOT NULL CHECK (provider IN ('ses', 'sendgrid', 'mailgun', 'postmark')),
    -- SHA-256 of the secret part of its URL.
    token_hash bytea NOT NULL,
    -- The provider's signing secret or public key, sealed with CLARION_DATA_KEY.
    secret bytea,
    created_at timestamptz NOT NULL,
    last_used_at timestamptz,
    PRIMARY KEY (workspace_id, id)
);
-- A hook says whose it is by its token alone.
CREATE UNIQUE INDEX inbound_hooks_by_token ON inbound_hooks (token_hash);
