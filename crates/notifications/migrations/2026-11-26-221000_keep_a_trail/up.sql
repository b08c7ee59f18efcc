SELECT audit_table('domains', '');
SELECT audit_table('senders', 'password');
SELECT audit_table('webhooks', 'secret', 'old_secret');
SELECT audit_table('inbound_hooks', 'token_hash', 'secret');
