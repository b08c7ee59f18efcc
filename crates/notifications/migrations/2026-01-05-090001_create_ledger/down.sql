DROP TABLE messages;
DROP TABLE campaigns;
DROP TABLE snapshots;
