-- Whether only what nobody has confirmed speaks for a person: a form whose mail was not answered, or
-- a file that calls them unconfirmed. No campaign reaches them, whatever segments they are in.
ALTER TABLE leads ADD COLUMN unconfirmed boolean NOT NULL DEFAULT false;

-- Those who came so until now: on a list, unconfirmed, from the moment they were there.
UPDATE leads l SET unconfirmed = true
WHERE EXISTS (
        SELECT FROM list_members m
        WHERE m.workspace_id = l.workspace_id AND m.lead_id = l.id
          AND m.status = 'unconfirmed' AND m.created_at = l.created_at)
  AND NOT EXISTS (
        SELECT FROM list_members m
        WHERE m.workspace_id = l.workspace_id AND m.lead_id = l.id AND m.status = 'confirmed')
  AND NOT EXISTS (
        SELECT FROM form_submissions s
        WHERE s.workspace_id = l.workspace_id AND s.lead_id = l.id AND s.confirmed_at IS NOT NULL);
