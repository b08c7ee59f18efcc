SELECT audit_table('write_keys', 'key');
SELECT audit_table('shares', 'hash');
