DROP TABLE goals;
ALTER TABLE events DROP COLUMN country;
