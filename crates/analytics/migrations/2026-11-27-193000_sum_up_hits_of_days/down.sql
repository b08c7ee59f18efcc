CREATE INDEX rollup_hits_of_campaign ON rollup_hits (workspace_id, campaign_id);
DROP INDEX rollup_hits_of_campaign_and_hour;
DROP TABLE day_hits;
