DROP TABLE rollup_steps;
DROP TABLE rollup_hits;
DROP TABLE rollup_open;
DROP TABLE day_values;
DROP TABLE day_revenue;
DROP TABLE day_counts;
