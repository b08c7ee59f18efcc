-- Whether whoever has no second factor may do nothing here until they set one up.
ALTER TABLE workspaces ADD COLUMN second_factor_required boolean NOT NULL DEFAULT false;
