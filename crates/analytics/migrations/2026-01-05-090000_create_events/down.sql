DROP TABLE ingest_batches;
DROP TABLE event_ids;
DROP TABLE events;
