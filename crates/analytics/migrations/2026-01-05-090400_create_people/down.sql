DROP TABLE person_emails; DROP TABLE person_changes; DROP TABLE person_links;
