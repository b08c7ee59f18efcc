ALTER TABLE campaigns DROP COLUMN restored_at;
DROP TABLE ledger_holds, instance;
