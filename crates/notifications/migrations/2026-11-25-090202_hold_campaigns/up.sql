-- Why no sender takes anything of a campaign, and since when; it goes on by itself.
ALTER TABLE campaigns ADD COLUMN held_reason text, ADD COLUMN held_since timestamptz;
CREATE INDEX campaigns_held ON campaigns (workspace_id, id) WHERE held_reason IS NOT NULL;
