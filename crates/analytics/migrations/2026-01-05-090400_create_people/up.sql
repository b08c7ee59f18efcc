-- Which visitors are one person. Whoever has no row is a person of their own. Every row names the
-- person itself, never a step on the way: following it takes one look.
CREATE TABLE person_links (
    workspace_id uuid NOT NULL,
    visitor bigint NOT NULL,
    person bigint NOT NULL,
    -- In a lead's own row.
    lead_id uuid,
    PRIMARY KEY (workspace_id, visitor)
);
CREATE INDEX person_links_by_person ON person_links (workspace_id, person);

-- Visitors who became somebody else: what was counted of them is to be counted again.
CREATE TABLE person_changes (
    workspace_id uuid NOT NULL,
    visitor bigint NOT NULL
);

-- Addresses that people were identified by, until it is known whose leads they are and after.
CREATE TABLE person_emails (
    workspace_id uuid NOT NULL,
    -- In lower case.
    email text NOT NULL,
    visitor bigint NOT NULL,
    lead_id uuid,
    -- When leads was last asked; absent: not yet.
    asked_at timestamptz,
    PRIMARY KEY (workspace_id, email, visitor)
);
CREATE INDEX person_emails_to_ask ON person_emails (asked_at NULLS FIRST) WHERE lead_id IS NULL;
