DROP INDEX form_submissions_waiting;
ALTER TABLE forms DROP COLUMN lapsed;
