-- Which database the ledger is kept in. A copy, a restore or a promoted replica that is started as
-- if nothing had happened is noticed by this: README.md, "Restores".
CREATE TABLE instance (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    -- Names what is remembered outside of Postgres; another one after each release.
    id uuid NOT NULL,
    -- Null where the server does not tell.
    system_id bigint,
    timeline integer,
    database_oid bigint NOT NULL,
    -- Grows by the second while somebody works; outside of Postgres the last one is remembered.
    mark bigint NOT NULL DEFAULT 0,
    since timestamptz NOT NULL
) WITH (fillfactor = 50);

-- Each time it looked restored, and the operator's word about it.
CREATE TABLE ledger_holds (
    id uuid PRIMARY KEY,
    reason text NOT NULL,
    held_at timestamptz NOT NULL,
    released_at timestamptz,
    released_by text,
    released_how text CHECK (released_how IN ('as_ambiguous', 'resend')),
    -- Messages that became ambiguous by that word.
    in_doubt bigint,
    CHECK ((released_at IS NULL) = (released_by IS NULL)),
    CHECK ((released_at IS NULL) = (released_how IS NULL))
);
CREATE UNIQUE INDEX ledger_holds_open ON ledger_holds ((true)) WHERE released_at IS NULL;

-- Nobody knows who of it was mailed before the restore: what is handed over later is in doubt too.
ALTER TABLE campaigns ADD COLUMN restored_at timestamptz;
