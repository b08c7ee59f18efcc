-- Copies of the templates of `campaigns`, so that a transactional mail needs nobody else.
CREATE TABLE templates (
    workspace_id uuid NOT NULL,
    id uuid NOT NULL,
    -- An older one never replaces a newer one.
    version bigint NOT NULL,
    -- None: it was deleted, and a copy that was asked for before does not bring it back.
    body jsonb,
    PRIMARY KEY (workspace_id, id)
);
