DROP FUNCTION attribute_time(jsonb);
DROP FUNCTION attribute_number(jsonb);
DROP TABLE suppressions;
DROP TABLE leads;
