SELECT audit_table('workspaces', '');
SELECT audit_table('users', 'password_hash', 'email_key');
SELECT audit_table('memberships', '');
SELECT audit_table('roles', '');
SELECT audit_table('invitations', 'hash', 'email_key');
SELECT audit_table('api_keys', 'hash', 'last_used_at');
SELECT audit_table('authenticators', 'secret', 'last_step');

-- The trail of all services: what was written stays as it is.
CREATE TABLE audit_log (
    workspace_id uuid NOT NULL,
    at timestamptz NOT NULL,
    id uuid NOT NULL,
    service text NOT NULL,
    -- `user:<id>`, `key:<id>`, or `nobody` for a public page.
    actor text NOT NULL,
    -- The request: method, route, id, and the address it came from.
    method text NOT NULL,
    route text NOT NULL,
    request_id text NOT NULL,
    address text,
    action text NOT NULL,
    resource text NOT NULL,
    resource_id text NOT NULL,
    before jsonb,
    after jsonb,
    PRIMARY KEY (workspace_id, at, id)
);
CREATE UNIQUE INDEX audit_log_id ON audit_log (id);

CREATE FUNCTION audit_log_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit trail is append-only';
END $$;
CREATE TRIGGER stays BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION audit_log_stays();
REVOKE UPDATE, DELETE, TRUNCATE ON audit_log FROM CURRENT_USER;
