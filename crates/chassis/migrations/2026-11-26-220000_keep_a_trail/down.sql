DROP FUNCTION audit_table;
DROP FUNCTION audit_row CASCADE;
DROP TABLE audit_entries;
