-- A message is looked up by its key. While a month is young, the index by lead seems as good for
-- that to the planner, and a plan that is kept goes on reading the whole workspace through it.
DROP INDEX messages_of_lead;
CREATE INDEX messages_of_lead ON messages (workspace_id, lead_id, id) WHERE lead_id IS NOT NULL;
