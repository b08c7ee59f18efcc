DROP TABLE idempotency_keys, jobs, feed_positions, feed_consumers, outbox; DROP SEQUENCE outbox_position;
