DROP TABLE segments;
DROP TABLE consents;
DROP FUNCTION refuse_change();
DROP TABLE list_members;
DROP TABLE lists;
