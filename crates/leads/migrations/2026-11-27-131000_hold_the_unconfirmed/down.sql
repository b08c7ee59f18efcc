ALTER TABLE leads DROP COLUMN unconfirmed;
