-- A message that cannot be used stops nothing and is not lost.
\set ECHO errors
\getenv srcdir PG_ABS_SRCDIR
\set lib :srcdir /lib/views.sql
\set test dead_letters
\i :lib
\set ECHO all
CREATE FOREIGN TABLE events (
    id int NOT NULL, n int, amount float8, d date, ts timestamptz, part int OPTIONS (metadata 'partition'), off bigint OPTIONS (metadata 'offset')
) SERVER dead_letters OPTIONS (topic 'dead_letters', event_time 'ts', idle_timeout '1 day');
CREATE FOREIGN TABLE raw (message bytea, key bytea OPTIONS (metadata 'key'), part int OPTIONS (metadata 'partition'), at timestamptz OPTIONS (metadata 'timestamp'))
    SERVER dead_letters OPTIONS (topic 'dead_letters', format 'raw');
CREATE VIEW letters AS SELECT view::text AS view, partition, "offset", sqlstate, reason, convert_from(key, 'UTF8') AS key, encode(payload, 'escape') AS payload
    FROM weir.dead_letters WHERE stream = 'events'::regclass;
BEGIN;
SELECT weir.create_view('v', $$ SELECT weir.tumble(ts, '10 s') AS w, count(*), sum(n) FROM events GROUP BY 1 $$);
SELECT weir.create_view('other', $$ SELECT weir.tumble(ts, '10 s') AS w, count(*) FROM events GROUP BY 1 $$);
COMMIT;
INSERT INTO raw VALUES
    ('{"id": 1, "n": 1, "ts": "2024-01-01T00:00:01Z"}', 'good', 0, at(1)),
    ('{"id": 2, "n": 1, "ts": "2024-01-01T00:00:01Z"', 'cut off', 0, at(2)),
    ('not json', '', 0, at(3)),
    ('', NULL, 0, at(4)),
    (NULL, 'tombstone', 0, at(5)),
    ('{"id": 3, "n": "many", "ts": "2024-01-01T00:00:01Z"}', 'wrong type', 0, at(6)),
    ('{"id": 3, "n": 99999999999, "ts": "2024-01-01T00:00:01Z"}', 'out of range', 0, at(7)),
    ('{"id": 3, "n": 1.5, "ts": "2024-01-01T00:00:01Z"}', 'a fraction', 0, at(8)),
    ('{"n": 1, "ts": "2024-01-01T00:00:01Z"}', 'NOT NULL', 0, at(9)),
    ('{"id": null, "n": 1, "ts": "2024-01-01T00:00:01Z"}', 'NOT NULL', 0, at(10)),
    ('{"id": 4, "n": 1}', 'no time', 0, at(11)),
    ('{"id": 4, "n": 1, "ts": null}', 'no time', 0, at(12)),
    ('{"id": 4, "n": 1, "ts": "yesterday"}', 'of the moment', 0, at(13)),
    ('{"id": 5, "n": 1, "d": "2024-02-30", "ts": "2024-01-01T00:00:01Z"}', 'unused column', 0, at(14)),
    ('[1, 2]', 'an array', 0, at(15)),
    ('{"id": 6, "n": 2, "ts": "2024-01-01T00:00:02Z", "more": {"x": [1, {}]}}', 'good', 0, at(16)),
    ('\x7b226964223a372c22746578743a22ff227d', 'not UTF-8', 0, at(17)),
    ('{"id": 8, "n": 3, "ts": "2024-01-01T00:00:03Z"} trailing', 'trailing', 1, at(18)),
    ('{"id": 8, "n": 4, "ts": "2024-01-01T00:00:04Z"}', 'good', 1, at(19));
SELECT weir.flush('events');
-- (The batch query has a row more: its window of those without an event time.)
SELECT * FROM v ORDER BY w;
SELECT * FROM differ('other');
SELECT * FROM letters ORDER BY partition, "offset", view;
SELECT partition, timestamp FROM weir.dead_letters WHERE stream = 'events'::regclass AND view IS NULL AND "offset" IN (1, 5) ORDER BY 2;
SELECT view_name, partition, events, dead_letters FROM weir.partitions WHERE stream = 'events'::regclass AND partition < 2 ORDER BY 1, 2;
SELECT view_name, error, events, dead_letters, late FROM weir.status WHERE stream = 'events'::regclass ORDER BY 1;
-- Read again, they are not recorded twice.
SELECT count(*) AS before FROM letters \gset
SELECT weir.create_view('later', $$ SELECT weir.tumble(ts, '10 s') AS w, count(*) FROM events GROUP BY 1 $$);
SELECT weir.reset('v', 'earliest');
SELECT weir.flush('events');
SELECT count(*) = :before AS same FROM letters;
SELECT dead_letters FROM weir.status WHERE view_name = 'later'::regclass;
SELECT * FROM differ('later');
SELECT weir.drop_view('later');

-- An expression that fails fails for its view alone, one row at a time.
BEGIN;
SELECT weir.create_view('where_fails', $$ SELECT weir.tumble(ts, '10 s') AS w, count(*) FROM events WHERE 10 / n > 0 GROUP BY 1 $$);
SELECT weir.create_view('argument_fails', $$ SELECT weir.tumble(ts, '10 s') AS w, sum(10 / (n - 7)) AS s, count(*) FROM events GROUP BY 1 $$);
SELECT weir.create_view('key_fails', $$ SELECT weir.tumble(ts, '10 s') AS w, (n * 1000000000) AS k, count(*) FROM events GROUP BY 1, 2 $$);
SELECT weir.create_view('filter_fails', $$ SELECT weir.tumble(ts, '10 s') AS w, count(*) FILTER (WHERE sqrt(n) > 2) AS c, count(*) FROM events GROUP BY 1 $$);
SELECT weir.create_view('hidden_by_where', $$ SELECT weir.tumble(ts, '10 s') AS w, sum(10 / n), count(*) FROM events WHERE n <> 0 GROUP BY 1 $$);
SELECT weir.create_view('late_first', $$ SELECT weir.tumble(ts, '10 s') AS w, sum(100 / (n - 50)), count(*) FROM events GROUP BY 1 $$);
COMMIT;
INSERT INTO events (id, n, ts, part) SELECT 100 + g, g, at(20 + g), 2 FROM generate_series(-3, 9) g;
SELECT weir.flush('events');
SELECT * FROM where_fails ORDER BY w;
SELECT * FROM argument_fails ORDER BY w;
SELECT * FROM key_fails ORDER BY w, k;
SELECT * FROM filter_fails ORDER BY w;
SELECT * FROM differ('other');
SELECT * FROM differ('hidden_by_where');
SELECT view, partition, "offset", sqlstate, reason, payload FROM letters WHERE view IS NOT NULL ORDER BY 1, 2, 3;
SELECT view_name, error, events, dead_letters FROM weir.status WHERE stream = 'events'::regclass ORDER BY view_name::text;
-- HAVING and the select list are evaluated when rows are read or closed.
SELECT weir.create_view('select_fails', $$ SELECT weir.tumble(ts, '10 s') AS w, 1 / (count(*) - 3) AS x FROM events GROUP BY 1 $$);
SELECT weir.flush('select_fails');
SELECT * FROM select_fails ORDER BY w;
INSERT INTO events (id, n, ts, part) SELECT 200, 1, at(100), p FROM generate_series(0, 3) p;
SELECT wait_for($$(SELECT state = 'error' FROM weir.status WHERE view_name = 'select_fails'::regclass)$$);
SELECT state, error FROM weir.status WHERE view_name = 'select_fails'::regclass;
SELECT weir.flush('other');
SELECT * FROM differ('other');
SELECT * FROM windows('other');
SELECT weir.drop_view('select_fails');
-- What is thrown away with its view.
SELECT weir.drop_view('where_fails');
SELECT count(*) FROM weir.dead_letter_log WHERE view NOT IN (SELECT id FROM weir.views);
SELECT weir.reset('argument_fails', 'latest');
SELECT weir.flush('events');
SELECT count(*) FROM letters WHERE view = 'argument_fails';

-- skip and stop.
CREATE FOREIGN TABLE skips (id int, ts timestamptz, part int OPTIONS (metadata 'partition')) SERVER dead_letters OPTIONS (topic 'dead_letters_2', event_time 'ts', on_error 'skip');
CREATE FOREIGN TABLE stops (id int, ts timestamptz, part int OPTIONS (metadata 'partition')) SERVER dead_letters OPTIONS (topic 'dead_letters_2', event_time 'ts', on_error 'stop');
CREATE FOREIGN TABLE raw_2 (message text, part int OPTIONS (metadata 'partition')) SERVER dead_letters OPTIONS (topic 'dead_letters_2', format 'raw');
SELECT weir.create_view('skips_v', $$ SELECT weir.tumble(ts, '10 s') AS w, sum(id), count(*) FROM skips GROUP BY 1 $$);
SELECT weir.create_view('stops_v', $$ SELECT weir.tumble(ts, '10 s') AS w, sum(id), count(*) FROM stops GROUP BY 1 $$);
INSERT INTO skips VALUES (1, at(1), 0), (2, at(2), 0);
SELECT weir.flush('skips');
SELECT weir.flush('stops');
SELECT * FROM skips_v, stops_v;
INSERT INTO raw_2 VALUES ('{', 0);
INSERT INTO skips VALUES (3, at(3), 0);
SELECT weir.flush('skips');
SELECT * FROM skips_v;
SELECT error, events, dead_letters FROM weir.status WHERE view_name = 'skips_v'::regclass;
SELECT wait_for($$(SELECT state = 'error' FROM weir.status WHERE view_name = 'stops_v'::regclass)$$);
SELECT state, events, error FROM weir.status WHERE view_name = 'stops_v'::regclass;
SELECT * FROM stops_v;
SELECT weir.flush('stops');
-- It stops there again, until it may go on.
SELECT weir.resume('stops_v');
SELECT wait_for($$(SELECT state = 'error' FROM weir.status WHERE view_name = 'stops_v'::regclass)$$);
SELECT * FROM stops_v;
ALTER FOREIGN TABLE stops OPTIONS (SET on_error 'dead_letter');
SELECT weir.resume('stops_v');
SELECT weir.flush('stops');
SELECT * FROM stops_v;
SELECT * FROM differ('stops_v');
SELECT stream, partition, "offset" FROM weir.dead_letters WHERE topic = 'dead_letters_2' ORDER BY 1, 2, 3;

DROP SCHEMA dead_letters CASCADE;
SELECT count(*) FROM weir.dead_letter_log WHERE topic LIKE 'dead_letters%';
DROP SERVER dead_letters;
