-- Events are read soon and pruned soon after: compressing large ones costs more than their space.
ALTER TABLE outbox ALTER COLUMN data SET STORAGE EXTERNAL;
