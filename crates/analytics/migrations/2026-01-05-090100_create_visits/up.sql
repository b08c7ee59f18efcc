-- How often a landing page was visited by people.
CREATE TABLE page_visits (
    workspace_id uuid NOT NULL,
    page text NOT NULL,
    visits bigint NOT NULL,
    PRIMARY KEY (workspace_id, page)
) WITH (fillfactor = 50);
