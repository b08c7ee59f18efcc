-- A busy hour is packed in several rows.
ALTER TABLE rollup_steps ADD COLUMN piece integer NOT NULL DEFAULT 0;
ALTER TABLE rollup_steps DROP CONSTRAINT rollup_steps_pkey;
ALTER TABLE rollup_steps ADD PRIMARY KEY (workspace_id, type, hour, piece);
