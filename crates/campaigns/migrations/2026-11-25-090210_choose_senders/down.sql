ALTER TABLE campaigns DROP COLUMN sender_id, DROP COLUMN held_reason, DROP COLUMN held_since;
