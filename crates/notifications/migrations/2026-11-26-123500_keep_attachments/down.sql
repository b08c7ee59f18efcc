DROP TABLE attachment_chunks;
DROP TABLE attachments;
ALTER TABLE messages DROP COLUMN attachments;
