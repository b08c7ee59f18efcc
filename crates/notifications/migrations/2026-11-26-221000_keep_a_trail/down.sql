DROP TRIGGER audit ON domains;
DROP TRIGGER audit ON senders;
DROP TRIGGER audit ON webhooks;
DROP TRIGGER audit ON inbound_hooks;
