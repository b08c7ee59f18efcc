-- Domains that mails are sent from, with the keys that sign them.
CREATE TABLE domains (
    workspace_id uuid NOT NULL,
    id uuid NOT NULL,
    -- In ASCII and lower case.
    name text NOT NULL,
    signing text NOT NULL CHECK (signing IN ('both', 'rsa', 'ed25519')),
    -- What the last check found: a list of records.
    checked jsonb NOT NULL DEFAULT '[]',
    checked_at timestamptz,
    created_at timestamptz NOT NULL,
    -- Another value whenever other keys sign.
    keys_changed_at timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, id)
);
CREATE UNIQUE INDEX domains_by_name ON domains (workspace_id, name);

CREATE TABLE domain_keys (
    workspace_id uuid NOT NULL,
    id uuid NOT NULL,
    domain_id uuid NOT NULL,
    selector text NOT NULL,
    algorithm text NOT NULL CHECK (algorithm IN ('rsa', 'ed25519')),
    -- Whether it signs; a new one waits until its record was seen.
    active boolean NOT NULL,
    -- PKCS #8, sealed with CLARION_DATA_KEY: README.md.
    private_key bytea NOT NULL,
    record text NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, id),
    FOREIGN KEY (workspace_id, domain_id) REFERENCES domains ON DELETE CASCADE
);
CREATE INDEX domain_keys_by_domain ON domain_keys (workspace_id, domain_id);
