DROP INDEX messages_of_lead;
CREATE INDEX messages_of_lead ON messages (workspace_id, lead_id, id);
