-- What product events say besides what a mail's hits do. All may be absent.
ALTER TABLE events
    -- Which event, page, screen or group it is, as its sender calls it.
    ADD COLUMN name text,
    -- The sender's own id of a person.
    ADD COLUMN user_id text,
    -- Who it was, as a hash of the best id that the event carries; `person_links` says which of
    -- these are one person.
    ADD COLUMN visitor bigint,
    -- The write key it came with.
    ADD COLUMN source_id uuid,
    ADD COLUMN context jsonb,
    ADD COLUMN utm_source text,
    ADD COLUMN utm_medium text,
    ADD COLUMN utm_campaign text,
    -- desktop, mobile, tablet.
    ADD COLUMN device text,
    -- Minor units: what it brought, or took back when negative.
    ADD COLUMN amount bigint,
    ADD COLUMN currency text,
    -- The order it is about: refunds belong to theirs.
    ADD COLUMN order_id text;

-- Who did what when: what funnels, retention and attribution read, without visiting the rows.
CREATE INDEX events_of_people ON events (workspace_id, type, occurred_at)
    INCLUDE (name, visitor, campaign_id) WHERE verdict = 'human';
