DROP INDEX events_out_of_time;
