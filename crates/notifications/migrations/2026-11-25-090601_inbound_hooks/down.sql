DROP TABLE inbound_hooks;
