-- Whom an event tells of, so that a person can be erased without reading every payload.
ALTER TABLE webhook_deliveries ADD COLUMN lead_id uuid, ADD COLUMN address text;
UPDATE webhook_deliveries
SET lead_id = (payload::jsonb -> 'data' ->> 'lead_id')::uuid,
    address = lower(coalesce(payload::jsonb -> 'data' ->> 'email', payload::jsonb -> 'data' ->> 'address'));
CREATE INDEX webhook_deliveries_of_lead ON webhook_deliveries (workspace_id, lead_id)
    WHERE lead_id IS NOT NULL;
CREATE INDEX webhook_deliveries_of_address ON webhook_deliveries (workspace_id, address)
    WHERE address IS NOT NULL;
