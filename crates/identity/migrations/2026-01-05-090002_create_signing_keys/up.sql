-- Ed25519 keys that access tokens are signed with. A retired key still verifies until every token
-- it signed has expired.
CREATE TABLE signing_keys (
    kid text PRIMARY KEY,
    pkcs8 bytea NOT NULL,
    created_at timestamptz NOT NULL,
    retired_at timestamptz
);
