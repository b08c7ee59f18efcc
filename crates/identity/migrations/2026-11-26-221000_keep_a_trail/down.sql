DROP TRIGGER audit ON workspaces;
DROP TRIGGER audit ON users;
DROP TRIGGER audit ON memberships;
DROP TRIGGER audit ON roles;
DROP TRIGGER audit ON invitations;
DROP TRIGGER audit ON api_keys;
DROP TRIGGER audit ON authenticators;
DROP TABLE audit_log; DROP FUNCTION audit_log_stays;
