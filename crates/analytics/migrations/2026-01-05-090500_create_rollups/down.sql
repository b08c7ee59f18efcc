DROP TABLE rollup_dirty; DROP TABLE rollup_values; DROP TABLE rollup_revenue; DROP TABLE rollup_counts;
