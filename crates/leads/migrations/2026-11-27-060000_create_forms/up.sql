-- Public forms by which people come onto lists. The page of a form prints its own words where a
-- text is null.
CREATE TABLE forms (
    workspace_id uuid NOT NULL,
    id uuid NOT NULL,
    name text NOT NULL,
    list_ids uuid[] NOT NULL,
    -- What is asked besides the address: [{field, label, required}].
    fields jsonb NOT NULL,
    language text NOT NULL CHECK (language IN ('en', 'de')),
    title text NOT NULL,
    text text,
    button text,
    -- What people agree to, in exactly these words.
    wording text NOT NULL,
    success_message text,
    redirect_url text,
    double_opt_in boolean NOT NULL,
    -- Pages of these origins may send it from a browser; empty: all.
    origins text[] NOT NULL,
    active boolean NOT NULL,
    version bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, id)
);
-- Its link names a form alone, and the row says whose it is.
CREATE INDEX forms_by_id ON forms (id);

SELECT audit_table('forms', '');

-- What people sent, with what they agreed to at that time. It is forgotten with the person; the
-- ledger of consents keeps the words.
CREATE TABLE form_submissions (
    workspace_id uuid NOT NULL,
    id uuid NOT NULL,
    form_id uuid NOT NULL,
    lead_id uuid NOT NULL,
    list_ids uuid[] NOT NULL,
    answers jsonb NOT NULL,
    wording text NOT NULL,
    -- The visitor that the page knew, if it said so.
    anonymous_id text,
    sent_from text,
    submitted_at timestamptz NOT NULL,
    confirmed_from text,
    confirmed_at timestamptz,
    PRIMARY KEY (workspace_id, id)
);
CREATE INDEX form_submissions_by_form ON form_submissions (workspace_id, form_id, confirmed_at);
CREATE INDEX form_submissions_by_lead ON form_submissions (workspace_id, lead_id, submitted_at);
