ALTER TABLE webhook_deliveries DROP COLUMN lead_id, DROP COLUMN address;
