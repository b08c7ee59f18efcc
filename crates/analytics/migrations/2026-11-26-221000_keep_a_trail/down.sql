DROP TRIGGER audit ON write_keys;
DROP TRIGGER audit ON shares;
