-- The processes that send at the moment, so that each knows how many share a rate, and what it is
-- worth telling the others.
CREATE TABLE replicas (
    id uuid PRIMARY KEY,
    -- By the clock of Postgres.
    seen_at timestamptz NOT NULL,
    report jsonb NOT NULL
) WITH (fillfactor = 50);
