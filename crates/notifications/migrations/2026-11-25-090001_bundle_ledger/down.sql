-- The ledger before cannot hold these messages.
DROP TABLE bundles;
DROP TABLE messages;
