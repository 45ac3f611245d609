-- Columns from the message's key, in a format of its own.
\set ECHO errors
\getenv srcdir PG_ABS_SRCDIR
\set lib :srcdir /lib/views.sql
\set test formats_key
\i :lib
\set ECHO all
CREATE FOREIGN TABLE raw (message text, key text OPTIONS (metadata 'key'), part int OPTIONS (metadata 'partition')) SERVER formats_key OPTIONS (topic 'formats_key', format 'raw');
CREATE FOREIGN TABLE events (
    n int, ts timestamptz, user_id int OPTIONS (key 'true'), city text OPTIONS (key 'true', path 'at.city'), k text OPTIONS (metadata 'key'),
    part int OPTIONS (metadata 'partition'), off bigint OPTIONS (metadata 'offset')
) SERVER formats_key OPTIONS (topic 'formats_key', key_format 'json', event_time 'ts', idle_timeout '1 day');
SELECT weir.create_view('v', $$ SELECT user_id, city, weir.tumble(ts, '1 day') AS w, count(*), sum(n) FROM events GROUP BY 1, 2, 3 $$);
INSERT INTO raw VALUES
    ('{"n": 1, "ts": "2024-01-01"}', '{"user_id": 1, "at": {"city": "Ghent"}}', 0),
    ('{"n": 2, "ts": "2024-01-01"}', '{"user_id": 2}', 0),
    ('{"n": 3, "ts": "2024-01-01"}', NULL, 0),
    ('{"n": 4, "ts": "2024-01-01"}', '{"user_id": 4', 0),
    ('{"n": 5, "ts": "2024-01-01"}', '[]', 0),
    ('{"n": 6, "ts": "2024-01-01"}', '{"user_id": "six"}', 0),
    ('{"n": 7, "ts": "2024-01-01"', '{"user_id": 7}', 0);
INSERT INTO events (n, user_id, city, ts, part) VALUES (8, 8, 'Bruges', '2024-01-02', 0), (9, NULL, NULL, '2024-01-02', 0);
INSERT INTO events (n, user_id, k, ts, part) VALUES (10, 10, '{"user_id":11}', '2024-01-02', 0);
SELECT * FROM events ORDER BY off;
SELECT weir.flush('v');
SELECT * FROM v ORDER BY w, user_id;
SELECT * FROM differ('v');
SELECT "offset", sqlstate, reason, convert_from(key, 'UTF8') AS key FROM weir.dead_letters WHERE stream = 'events'::regclass ORDER BY "offset";

-- csv and raw.
CREATE FOREIGN TABLE csv (n int, a int OPTIONS (key 'true'), b text OPTIONS (key 'true')) SERVER formats_key OPTIONS (topic 'formats_key_csv', key_format 'csv', delimiter '|');
INSERT INTO csv VALUES (1, 2, 'x'), (3, NULL, 'y|z'), (5, NULL, NULL);
SELECT * FROM csv ORDER BY n;
CREATE FOREIGN TABLE id (n int, id int OPTIONS (key 'true') NOT NULL) SERVER formats_key OPTIONS (topic 'formats_key_csv');
CREATE FOREIGN TABLE csv_raw (message text, key text OPTIONS (key 'yes')) SERVER formats_key OPTIONS (topic 'formats_key_csv', format 'raw');
INSERT INTO id VALUES (8, NULL);
INSERT INTO id VALUES (6, 7);
SELECT n, id FROM id WHERE id IS NOT NULL;
SELECT * FROM csv_raw ORDER BY message;

-- Refused.
\set VERBOSITY default
ALTER FOREIGN TABLE csv OPTIONS (SET key_format 'raw', DROP delimiter);
SELECT * FROM csv;
CREATE FOREIGN TABLE bad (n int OPTIONS (key 'perhaps')) SERVER formats_key OPTIONS (topic 'x');
CREATE FOREIGN TABLE bad (n int OPTIONS (key 'true', metadata 'offset')) SERVER formats_key OPTIONS (topic 'x');
SELECT * FROM bad;
DROP FOREIGN TABLE bad;
CREATE FOREIGN TABLE bad (n text OPTIONS (key 'true', path 'a')) SERVER formats_key OPTIONS (topic 'x');
SELECT * FROM bad;
CREATE FOREIGN TABLE worse (n text OPTIONS (metadata 'key', key 'true')) SERVER formats_key OPTIONS (topic 'x', key_format 'xml');

DROP SCHEMA formats_key CASCADE;
DROP SERVER formats_key CASCADE;
