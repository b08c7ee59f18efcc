-- What somebody changed in this schema, until identity has taken it over into the audit trail.
CREATE TABLE audit_entries (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    seq bigint GENERATED ALWAYS AS IDENTITY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    workspace_id uuid NOT NULL,
    -- Who and from where: what the transaction says of its request.
    request jsonb NOT NULL,
    -- `insert`, `update` or `delete`.
    action text NOT NULL,
    resource text NOT NULL,
    resource_id text NOT NULL,
    before jsonb,
    after jsonb
);
CREATE UNIQUE INDEX audit_entries_seq ON audit_entries (seq);

-- Notes a change of a row in the transaction of the change. The arguments are columns that the
-- trail does not hold: secrets, and what a person may have erased.
CREATE FUNCTION audit_row() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    request jsonb := current_setting('clarion.request')::jsonb;
    old_row jsonb; new_row jsonb; known jsonb; before jsonb; after jsonb; hidden text[] := ARRAY[]::text[];
    workspace text;
BEGIN
    FOR i IN 0 .. TG_NARGS - 1 LOOP hidden := hidden || TG_ARGV[i]; END LOOP;
    IF TG_OP <> 'INSERT' THEN old_row := to_jsonb(OLD); before := old_row - hidden; END IF;
    IF TG_OP <> 'DELETE' THEN new_row := to_jsonb(NEW); after := new_row - hidden; END IF;
    IF old_row = new_row THEN RETURN NULL; END IF;
    IF before = after THEN after := after || '{"hidden": "changed"}'; END IF;
    known := COALESCE(new_row, old_row);
    workspace := COALESCE(
        known ->> 'workspace_id',
        CASE WHEN TG_TABLE_NAME = 'workspaces' THEN known ->> 'id' END,
        request ->> 'workspace');
    -- Somebody who belongs nowhere yet belongs to no trail.
    IF workspace IS NULL THEN RETURN NULL; END IF;
    INSERT INTO audit_entries (workspace_id, request, action, resource, resource_id, before, after)
    VALUES (workspace::uuid, request, lower(TG_OP), TG_TABLE_NAME,
        COALESCE(known ->> 'id', known ->> 'user_id', known ->> 'lead_id', ''), before, after);
    RETURN NULL;
END $$;

-- Watches a table from now on; `hidden` names what the trail does not hold. Only what a request
-- changes is noted, and that without a cost for anything else.
CREATE FUNCTION audit_table(name text, VARIADIC hidden text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format(
        'CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON %I FOR EACH ROW '
        'WHEN (current_setting(''clarion.request'', true) <> '''') EXECUTE FUNCTION audit_row(%s)',
        name, (SELECT string_agg(quote_literal(one), ', ') FROM unnest(hidden) AS one));
END $$;
