DROP TABLE domain_keys;
DROP TABLE domains;
