-- What was revoked before it expired. Written with the change that leads to it; told to every
-- process through Redis, as often as Redis loses its memory.
CREATE TABLE revocations (
    -- Version 7: it says when, and every token of a subject with an older id is revoked.
    id uuid PRIMARY KEY,
    -- `jti:<id>`, `sid:<id>`, `user:<id>` or `key:<id>`.
    what text NOT NULL,
    told boolean NOT NULL DEFAULT false
);
CREATE INDEX revocations_untold ON revocations (id) WHERE NOT told;

-- Where a sign-in came from, for the person to recognise it.
ALTER TABLE refresh_tokens ADD COLUMN address text, ADD COLUMN agent text;
