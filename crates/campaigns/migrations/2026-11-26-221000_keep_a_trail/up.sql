SELECT audit_table('templates', '');
SELECT audit_table('campaigns', '');
