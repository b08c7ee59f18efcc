-- Mail servers of workspaces. The installation's own is a setting and in no table.
CREATE TABLE senders (
    workspace_id uuid NOT NULL,
    id uuid NOT NULL,
    name text NOT NULL,
    host text NOT NULL,
    port integer NOT NULL CHECK (port BETWEEN 1 AND 65535),
    tls text NOT NULL CHECK (tls IN ('none', 'opportunistic', 'required', 'implicit')),
    username text,
    -- Sealed with CLARION_DATA_KEY: README.md.
    password bytea,
    -- The smaller, the earlier it is used.
    priority integer NOT NULL,
    -- Which domains mail must be from; empty for all.
    domains text[] NOT NULL,
    connections integer NOT NULL CHECK (connections BETWEEN 1 AND 64),
    -- Messages per second, of all replicas together.
    per_second double precision CHECK (per_second > 0),
    -- Messages per second by destination domain; `*` is for those that are not named.
    domain_rates jsonb NOT NULL,
    warm_up jsonb,
    enabled boolean NOT NULL,
    version bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, id),
    CHECK ((username IS NULL) = (password IS NULL))
);
CREATE UNIQUE INDEX senders_by_name ON senders (workspace_id, name);

-- How much of a day's warm-up cap was given out to replicas.
CREATE TABLE sender_days (
    workspace_id uuid NOT NULL,
    sender_id uuid NOT NULL,
    day date NOT NULL,
    taken integer NOT NULL CHECK (taken >= 0),
    PRIMARY KEY (workspace_id, sender_id, day)
);
