DROP TABLE visit_flushes;
