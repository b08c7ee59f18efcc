DROP TABLE recovery_codes, authenticators, invitations, mail_tokens;
ALTER TABLE memberships DROP CONSTRAINT memberships_custom, DROP CONSTRAINT memberships_role, DROP COLUMN role_id;
DROP TABLE roles;
ALTER TABLE workspaces DROP COLUMN customer_registration;
ALTER TABLE users DROP COLUMN email_verified_at;
