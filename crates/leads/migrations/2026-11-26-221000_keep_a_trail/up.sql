-- A person's own data is erased with the person, so the trail does not hold it.
SELECT audit_table('leads', 'email', 'email_key', 'first_name', 'last_name', 'phone', 'company', 'attributes');
SELECT audit_table('lists', '');
SELECT audit_table('list_members', '');
SELECT audit_table('segments', '');
SELECT audit_table('suppressions', 'address', 'address_key');
