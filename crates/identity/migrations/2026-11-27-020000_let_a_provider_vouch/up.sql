-- Who somebody is at an OpenID provider. The provider's own name for them counts, never the address.
CREATE TABLE external_identities (
    issuer text NOT NULL,
    subject text NOT NULL,
    id uuid NOT NULL UNIQUE,
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- As the provider called it when they were linked, for people to recognise it.
    email text,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (issuer, subject)
);
CREATE INDEX external_identities_user ON external_identities (user_id);
SELECT audit_table('external_identities', '');
