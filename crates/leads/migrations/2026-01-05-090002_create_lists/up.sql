-- What people consent to.
CREATE TABLE lists (
    workspace_id uuid NOT NULL,
    id uuid NOT NULL,
    name text NOT NULL,
    description text,
    version bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, id)
);

-- How things stand now between a person and a list. Walked in lead order, list by list. The code
-- keeps members of what is gone away, because a foreign key would be checked row by row in imports.
CREATE TABLE list_members (
    workspace_id uuid NOT NULL,
    list_id uuid NOT NULL,
    lead_id uuid NOT NULL,
    status text NOT NULL CHECK (status IN ('unconfirmed', 'confirmed', 'unsubscribed')),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, list_id, lead_id)
);
CREATE INDEX list_members_by_lead ON list_members (workspace_id, lead_id);

-- Who consented to what, when, how, and in which words. It only grows. No list: every list.
CREATE TABLE consents (
    workspace_id uuid NOT NULL,
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    lead_id uuid NOT NULL,
    list_id uuid,
    status text NOT NULL
        CHECK (status IN ('unconfirmed', 'confirmed', 'unsubscribed', 'resubscribed', 'removed')),
    method text NOT NULL,
    actor text NOT NULL,
    wording text,
    at timestamptz NOT NULL
);
CREATE INDEX consents_by_lead ON consents (workspace_id, lead_id, at);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the consent ledger only grows';
END
$$;
CREATE TRIGGER consents_only_grow BEFORE UPDATE OR DELETE ON consents
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Saved rules over leads, as they were written.
CREATE TABLE segments (
    workspace_id uuid NOT NULL,
    id uuid NOT NULL,
    name text NOT NULL,
    rule jsonb NOT NULL,
    version bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, id)
);
