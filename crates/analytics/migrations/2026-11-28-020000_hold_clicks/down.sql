DROP TABLE held_clicks;
