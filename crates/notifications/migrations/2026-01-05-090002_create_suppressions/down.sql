DROP TABLE workspaces;
DROP TABLE withdrawn_leads;
DROP TABLE suppressed_addresses;
