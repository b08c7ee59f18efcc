ALTER TABLE campaigns DROP COLUMN held_reason, DROP COLUMN held_since;
