CREATE TABLE workspaces (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    version bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);

-- A person of this installation. What they are in a workspace is a membership.
CREATE TABLE users (
    id uuid PRIMARY KEY,
    email text NOT NULL,
    -- The address in lower case: two spellings are one person.
    email_key text NOT NULL UNIQUE,
    name text NOT NULL,
    -- argon2id in PHC form, or a bcrypt hash until the next sign-in.
    password_hash text NOT NULL,
    version bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);

CREATE TABLE memberships (
    workspace_id uuid NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    role text NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, user_id)
);
CREATE INDEX memberships_of_user ON memberships (user_id);
