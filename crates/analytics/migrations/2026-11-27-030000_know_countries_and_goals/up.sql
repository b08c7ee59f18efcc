-- Where it came from, when the operator supplies a database of addresses: two letters.
ALTER TABLE events ADD COLUMN country text;

-- What a workspace wants people to do.
CREATE TABLE goals (
    workspace_id uuid NOT NULL,
    id uuid NOT NULL,
    name text NOT NULL,
    -- Events of this type reach it, if they have this name and a URL that begins so.
    type text NOT NULL,
    event text,
    url_prefix text,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, id)
);
SELECT audit_table('goals', '');
