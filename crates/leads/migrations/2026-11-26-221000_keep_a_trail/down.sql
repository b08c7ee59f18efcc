DROP TRIGGER audit ON leads;
DROP TRIGGER audit ON lists;
DROP TRIGGER audit ON list_members;
DROP TRIGGER audit ON segments;
DROP TRIGGER audit ON suppressions;
