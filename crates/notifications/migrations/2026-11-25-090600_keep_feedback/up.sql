-- What came back about mails after they were handed over. It changes no outcome.
CREATE TABLE feedback (
    workspace_id uuid NOT NULL,
    -- In lower case.
    address text NOT NULL,
    -- The mail: the message's id, or a provider's name for it when we do not know which it was.
    reference text NOT NULL,
    class text NOT NULL CHECK (class IN ('hard', 'soft', 'complaint', 'auto_reply', 'delivered')),
    message_id uuid,
    -- Who told: `smtp` or a provider.
    source text NOT NULL,
    -- RFC 3463.
    status text,
    diagnostic text,
    reason text NOT NULL,
    at timestamptz NOT NULL,
    -- So whatever is told again, by whomever and in whatever order, changes nothing.
    PRIMARY KEY (workspace_id, address, reference, class)
);
CREATE INDEX feedback_of_message ON feedback (workspace_id, message_id) WHERE message_id IS NOT NULL;

-- How often mail to an address bounced softly of late.
CREATE TABLE soft_bounces (
    workspace_id uuid NOT NULL,
    address text NOT NULL,
    score double precision NOT NULL,
    -- Until when the score has decayed.
    at timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, address)
);
