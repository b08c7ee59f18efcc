-- Hours of several pieces are to be counted again.
INSERT INTO rollup_dirty SELECT DISTINCT workspace_id, hour FROM rollup_steps WHERE piece > 0;
DELETE FROM rollup_steps s WHERE EXISTS (
    SELECT FROM rollup_dirty d WHERE d.workspace_id = s.workspace_id AND d.hour = s.hour);
ALTER TABLE rollup_steps DROP CONSTRAINT rollup_steps_pkey;
ALTER TABLE rollup_steps DROP COLUMN piece;
ALTER TABLE rollup_steps ADD PRIMARY KEY (workspace_id, type, hour);
