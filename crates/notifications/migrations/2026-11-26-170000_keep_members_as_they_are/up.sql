-- Ids hold nothing that compression could find.
ALTER TABLE bundles ALTER COLUMN members SET STORAGE EXTERNAL;
