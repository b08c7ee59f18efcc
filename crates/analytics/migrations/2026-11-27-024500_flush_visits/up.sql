-- Which counts of visits are in `page_visits` already, so that none is added twice.
CREATE TABLE visit_flushes (
    id uuid PRIMARY KEY,
    flushed_at timestamptz NOT NULL
);
