DROP INDEX events_of_people;
ALTER TABLE events
    DROP COLUMN name, DROP COLUMN user_id, DROP COLUMN visitor, DROP COLUMN source_id,
    DROP COLUMN context, DROP COLUMN utm_source, DROP COLUMN utm_medium, DROP COLUMN utm_campaign,
    DROP COLUMN device, DROP COLUMN amount, DROP COLUMN currency,
    DROP COLUMN order_id;
