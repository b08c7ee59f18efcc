ALTER TABLE users ADD COLUMN email_verified_at timestamptz;
-- Whether strangers may join as customers.
ALTER TABLE workspaces ADD COLUMN customer_registration boolean NOT NULL DEFAULT false;

-- Roles that a workspace made: a set of scopes with a name.
CREATE TABLE roles (
    workspace_id uuid NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
    id uuid NOT NULL,
    name text NOT NULL,
    scopes text[] NOT NULL,
    version bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, id)
);
CREATE UNIQUE INDEX roles_name ON roles (workspace_id, lower(name));
ALTER TABLE memberships ADD COLUMN role_id uuid,
    ADD CONSTRAINT memberships_role FOREIGN KEY (workspace_id, role_id) REFERENCES roles (workspace_id, id),
    ADD CONSTRAINT memberships_custom CHECK ((role = 'custom') = (role_id IS NOT NULL));

-- Secrets in mails to people of this installation, by their hashes; each works once.
CREATE TABLE mail_tokens (
    hash bytea PRIMARY KEY,
    -- `verify` or `reset`.
    kind text NOT NULL,
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- The address that it was sent to: it proves nothing about another one.
    email_key text NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX mail_tokens_user ON mail_tokens (user_id, kind);
CREATE INDEX mail_tokens_expiry ON mail_tokens (expires_at);

CREATE TABLE invitations (
    workspace_id uuid NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
    id uuid NOT NULL,
    email text NOT NULL,
    email_key text NOT NULL,
    role text NOT NULL,
    role_id uuid,
    invited_by text NOT NULL,
    -- Of the secret in the latest mail; none before it was sent.
    hash bytea UNIQUE,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, id),
    FOREIGN KEY (workspace_id, role_id) REFERENCES roles (workspace_id, id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX invitations_email ON invitations (workspace_id, email_key);

-- Second factors (RFC 6238).
CREATE TABLE authenticators (
    user_id uuid PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    secret bytea NOT NULL,
    -- Counts from then on only.
    confirmed_at timestamptz,
    -- The latest time step that a code was taken of: no code works twice.
    last_step bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL
);
CREATE TABLE recovery_codes (
    user_id uuid NOT NULL REFERENCES authenticators (user_id) ON DELETE CASCADE,
    hash bytea NOT NULL,
    PRIMARY KEY (user_id, hash)
);
