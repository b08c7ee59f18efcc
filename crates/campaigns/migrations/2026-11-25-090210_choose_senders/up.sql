ALTER TABLE campaigns
    -- The mail server its writer chose.
    ADD COLUMN sender_id uuid,
    -- Why no mail server takes anything of it, as notifications tells us.
    ADD COLUMN held_reason text,
    ADD COLUMN held_since timestamptz;
