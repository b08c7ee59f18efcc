-- Which files a message brings: a list of id, filename, content type and size.
ALTER TABLE messages ADD COLUMN attachments jsonb;

-- Their bytes, until the message is settled.
CREATE TABLE attachments (
    workspace_id uuid NOT NULL,
    id uuid NOT NULL,
    -- None while it is taken in.
    message_id uuid,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, id)
);
CREATE INDEX attachments_of_message ON attachments (workspace_id, message_id);

CREATE TABLE attachment_chunks (
    workspace_id uuid NOT NULL,
    attachment_id uuid NOT NULL,
    seq integer NOT NULL,
    bytes bytea NOT NULL,
    PRIMARY KEY (workspace_id, attachment_id, seq),
    FOREIGN KEY (workspace_id, attachment_id) REFERENCES attachments ON DELETE CASCADE
);
-- Most files are compressed already.
ALTER TABLE attachment_chunks ALTER bytes SET STORAGE EXTERNAL;
