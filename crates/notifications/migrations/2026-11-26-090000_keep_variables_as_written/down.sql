ALTER TABLE messages ALTER COLUMN variables TYPE jsonb USING variables::jsonb;
