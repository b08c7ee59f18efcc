DROP TABLE memberships, users, workspaces;
