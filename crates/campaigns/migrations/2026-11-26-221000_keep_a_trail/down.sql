DROP TRIGGER audit ON templates;
DROP TRIGGER audit ON campaigns;
