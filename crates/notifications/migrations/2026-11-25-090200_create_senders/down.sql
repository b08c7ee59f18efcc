DROP TABLE sender_days;
DROP TABLE senders;
