ALTER TABLE refresh_tokens DROP COLUMN address, DROP COLUMN agent;
DROP TABLE revocations;
