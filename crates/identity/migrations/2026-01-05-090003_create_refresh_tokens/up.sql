-- Each sign-in starts a family; a token is used once and replaced by the next of its family.
-- Looked up by hash alone: the workspace is what the token tells.
CREATE TABLE refresh_tokens (
    hash bytea PRIMARY KEY,
    workspace_id uuid NOT NULL,
    user_id uuid NOT NULL,
    family uuid NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at timestamptz,
    revoked_at timestamptz,
    FOREIGN KEY (workspace_id, user_id)
        REFERENCES memberships (workspace_id, user_id) ON DELETE CASCADE
);
CREATE INDEX refresh_tokens_family ON refresh_tokens (family);
CREATE INDEX refresh_tokens_member ON refresh_tokens (workspace_id, user_id);
CREATE INDEX refresh_tokens_expiry ON refresh_tokens (expires_at);
