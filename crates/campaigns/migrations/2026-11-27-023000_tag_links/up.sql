-- What is added to the links of its mails; absent: nothing.
ALTER TABLE campaigns ADD COLUMN utm jsonb;
