-- People. The key is compared bytewise, so that LIKE 'prefix%' can use its index in any locale.
CREATE TABLE leads (
    workspace_id uuid NOT NULL,
    id uuid NOT NULL,
    email text NOT NULL,
    email_key text COLLATE "C" NOT NULL,
    first_name text,
    last_name text,
    phone text,
    company text,
    status text NOT NULL DEFAULT 'new'
        CHECK (status IN ('new', 'contacted', 'qualified', 'customer', 'lost')),
    score integer NOT NULL DEFAULT 0,
    source text,
    timezone text,
    locale text,
    tags text[] NOT NULL DEFAULT '{}',
    attributes jsonb NOT NULL DEFAULT '{}',
    -- What analytics and commerce tell us; it changes neither version nor updated_at.
    opens bigint NOT NULL DEFAULT 0,
    clicks bigint NOT NULL DEFAULT 0,
    last_open_at timestamptz,
    last_click_at timestamptz,
    orders bigint NOT NULL DEFAULT 0,
    revenue bigint NOT NULL DEFAULT 0,
    -- The import that created the lead, if one did.
    import_id uuid,
    version bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, id)
);
CREATE UNIQUE INDEX leads_by_email ON leads (workspace_id, email_key);
CREATE INDEX leads_by_status ON leads (workspace_id, status, id);
CREATE INDEX leads_by_created ON leads (workspace_id, created_at);
CREATE INDEX leads_by_attributes ON leads USING gin (attributes jsonb_path_ops);
CREATE INDEX leads_by_tags ON leads USING gin (tags);

-- Addresses that nothing may be sent to.
CREATE TABLE suppressions (
    workspace_id uuid NOT NULL,
    address_key text COLLATE "C" NOT NULL,
    id uuid NOT NULL,
    address text NOT NULL,
    reason text NOT NULL
        CHECK (reason IN ('unsubscribe', 'complaint', 'hard_bounce', 'manual')),
    created_at timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, address_key)
);
CREATE UNIQUE INDEX suppressions_by_id ON suppressions (workspace_id, id);

-- The number in an attribute: a JSON number, or text that spells one plainly.
CREATE FUNCTION attribute_number(value jsonb) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN jsonb_typeof(value) = 'number' THEN (value #>> '{}')::double precision
        WHEN jsonb_typeof(value) = 'string' AND value #>> '{}' ~ '^-?[0-9]{1,15}(\.[0-9]{1,15})?$'
            THEN (value #>> '{}')::double precision
    END
$$;

-- The moment in an attribute: text such as 2026-01-31 or 2026-01-31T12:00:00Z.
CREATE FUNCTION attribute_time(value jsonb) RETURNS timestamptz
LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
BEGIN
    IF jsonb_typeof(value) <> 'string' OR value #>> '{}' !~
        '^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2}))?$'
    THEN
        RETURN NULL;
    END IF;
    RETURN (value #>> '{}')::timestamptz;
EXCEPTION WHEN datetime_field_overflow OR invalid_datetime_format THEN
    RETURN NULL;
END
$$;
