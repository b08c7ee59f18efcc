-- A report that begins or ends within a quarter of an hour reads that quarter's events themselves.
-- Nearly all were received then; the others are found by this.
CREATE INDEX events_out_of_time ON events (workspace_id, occurred_at)
    WHERE received_at - occurred_at < interval '-15 minutes'
        OR received_at - occurred_at > interval '15 minutes';
