-- How often a form was sent, never confirmed, and forgotten.
ALTER TABLE forms ADD COLUMN lapsed bigint NOT NULL DEFAULT 0;
CREATE INDEX form_submissions_waiting ON form_submissions (submitted_at)
    WHERE confirmed_at IS NULL;
