-- Runs of a CSV import. `next_byte` and `next_line` say where to go on; they move with each batch.
CREATE TABLE imports (
    workspace_id uuid NOT NULL,
    id uuid NOT NULL,
    status text NOT NULL
        CHECK (status IN ('uploading', 'queued', 'running', 'done', 'failed', 'cancelled')),
    actor text NOT NULL,
    list_id uuid,
    list_status text NOT NULL,
    dry_run boolean NOT NULL,
    plan jsonb NOT NULL,
    bytes bigint NOT NULL DEFAULT 0,
    next_byte bigint NOT NULL DEFAULT 0,
    next_line bigint NOT NULL DEFAULT 1,
    rows bigint NOT NULL DEFAULT 0,
    created bigint NOT NULL DEFAULT 0,
    updated bigint NOT NULL DEFAULT 0,
    unchanged bigint NOT NULL DEFAULT 0,
    rejected bigint NOT NULL DEFAULT 0,
    failure text,
    created_at timestamptz NOT NULL,
    started_at timestamptz,
    finished_at timestamptz,
    PRIMARY KEY (workspace_id, id)
);
CREATE INDEX imports_uploading ON imports (created_at) WHERE status = 'uploading';

-- The uploaded file, in pieces of one size; gone when the import has ended.
CREATE TABLE import_chunks (
    workspace_id uuid NOT NULL,
    import_id uuid NOT NULL,
    seq integer NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (workspace_id, import_id, seq)
);
-- Not compressed: it is written once and read once.
ALTER TABLE import_chunks ALTER COLUMN data SET STORAGE EXTERNAL;

-- Rows that were refused, with the line of the file they begin on.
CREATE TABLE import_errors (
    workspace_id uuid NOT NULL,
    import_id uuid NOT NULL,
    line bigint NOT NULL,
    reason text NOT NULL,
    cells text[] NOT NULL,
    PRIMARY KEY (workspace_id, import_id, line)
);
