-- Spreads the events of analytics over the workers of a Citus cluster, by workspace. Run it once on
-- the coordinator, as an administrator, after `analytics migrate` and before there are many events:
--   psql "$DATABASE_URL" -v ON_ERROR_STOP=1 --single-transaction -f deploy/citus/distribute.sql
-- A workspace's rows are on one worker, all tables alike, so that every report asks one of them.

SET search_path TO analytics, public;

SELECT create_distributed_table('events', 'workspace_id', colocate_with => 'none');

SELECT create_distributed_table('event_ids', 'workspace_id', colocate_with => 'events');

-- Who is who.
SELECT create_distributed_table('held_clicks', 'workspace_id', colocate_with => 'events');
SELECT create_distributed_table('person_links', 'workspace_id', colocate_with => 'events');
SELECT create_distributed_table('person_emails', 'workspace_id', colocate_with => 'events');
SELECT create_distributed_table('person_changes', 'workspace_id', colocate_with => 'events');

-- What is counted.
SELECT create_distributed_table('rollup_counts', 'workspace_id', colocate_with => 'events');
SELECT create_distributed_table('rollup_revenue', 'workspace_id', colocate_with => 'events');
SELECT create_distributed_table('rollup_values', 'workspace_id', colocate_with => 'events');
SELECT create_distributed_table('day_hits', 'workspace_id', colocate_with => 'events');
SELECT create_distributed_table('rollup_hits', 'workspace_id', colocate_with => 'events');
SELECT create_distributed_table('rollup_steps', 'workspace_id', colocate_with => 'events');
SELECT create_distributed_table('rollup_dirty', 'workspace_id', colocate_with => 'events');
SELECT create_distributed_table('rollup_open', 'workspace_id', colocate_with => 'events');
SELECT create_distributed_table('day_counts', 'workspace_id', colocate_with => 'events');
SELECT create_distributed_table('day_revenue', 'workspace_id', colocate_with => 'events');
SELECT create_distributed_table('day_values', 'workspace_id', colocate_with => 'events');
SELECT create_distributed_table('page_visits', 'workspace_id', colocate_with => 'events');
