-- A continuous view: its relations, its rows, and how its windows close.
\set ECHO errors
\getenv srcdir PG_ABS_SRCDIR
\set lib :srcdir /lib/views.sql
\set test view_basic
\i :lib
\set ECHO all
CREATE FOREIGN TABLE events (
    kind text, n int, amount float8, ts timestamptz,
    part int OPTIONS (metadata 'partition'), off bigint OPTIONS (metadata 'offset')
) SERVER view_basic OPTIONS (topic 'view_basic', event_time 'ts', watermark_delay '2 seconds');
INSERT INTO events VALUES ('a', 1, 0.5, at(1), 0), ('b', 2, 1.5, at(2), 1), ('a', 3, 2.5, at(3), 2), ('b', 4, 3.5, at(12), 3);

SELECT weir.create_view('v', $$
    SELECT weir.tumble(ts, '10 seconds') AS window_start, kind, count(*), sum(amount) AS total
    FROM events GROUP BY 1, 2 $$);
SELECT weir.flush('events');
SELECT * FROM v ORDER BY 1, 2;
SELECT * FROM differ('v');
SELECT * FROM windows('v');

-- its relations
SELECT relname, relkind FROM pg_class
    WHERE relnamespace = 'view_basic'::regnamespace AND relname ~ '^v(_query|_open|_final)?$' ORDER BY relname;
SELECT attrelid::regclass AS relation, string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attnum) AS columns
    FROM pg_attribute WHERE attrelid = ANY ('{v,v_query,v_open,v_final}'::regclass[]) AND attnum > 0 GROUP BY 1 ORDER BY 1;
SELECT view, query, final, open, stream, lateness, start, state FROM weir.views WHERE stream = 'events'::regclass;
SELECT view_name, stream, error, events, late, dead_letters FROM weir.status WHERE stream = 'events'::regclass;
SELECT view_name, partition, start_offset, position, committed, watermark, events, late, dead_letters
    FROM weir.partitions WHERE stream = 'events'::regclass ORDER BY partition;

-- The watermark is the least of the partitions': three are at a second before
-- the end of the first window, then all have passed it.
INSERT INTO events SELECT 'c', 5, 4, at(11.9), p FROM generate_series(0, 3) p;
SELECT weir.flush('events');
SELECT * FROM windows('v');
INSERT INTO events SELECT 'c', 5, 4, at(12), p FROM generate_series(0, 2) p;
SELECT weir.flush('events');
SELECT * FROM windows('v');
SELECT * FROM v_final ORDER BY 1, 2;
SELECT * FROM v_open ORDER BY 1, 2;
SELECT * FROM differ('v');
SELECT closed_upto, watermark, windows_final, windows_open FROM weir.status WHERE view_name = 'v'::regclass;

-- Events in time are counted until the window closes, out of order or not.
INSERT INTO events VALUES ('b', 6, 0.25, at(19.999999), 1), ('b', 7, 0.25, at(11), 1), ('b', 8, 0.25, at(10), 1);
SELECT weir.flush('v');
SELECT * FROM differ('v');
SELECT * FROM v WHERE kind = 'b' ORDER BY 1, 2;
INSERT INTO events SELECT 'd', 9, 8, at(100), p FROM generate_series(0, 3) p;
SELECT weir.flush('v');
SELECT * FROM windows('v');
SELECT * FROM differ('v');

-- It keeps running: an event is seen without flush.
INSERT INTO events VALUES ('e', 1, 1, at(101), 0);
SELECT wait_for($$EXISTS (SELECT FROM v WHERE kind = 'e' AND count = 1)$$);

-- No event is lost or counted twice over many small batches.
DO $$ BEGIN FOR i IN 1..50 LOOP INSERT INTO events VALUES ('loop', i, i, at(101 + i / 10.0), i % 4), ('loop', i, i, at(102), NULL); END LOOP; END $$;
SELECT weir.flush('v');
SELECT * FROM differ('v');
SELECT sum(count) FROM v WHERE kind = 'loop';
INSERT INTO events SELECT 'end', 9, 8, at(200), p FROM generate_series(0, 3) p;
SELECT weir.flush('v');
SELECT * FROM differ('v');
SELECT * FROM windows('v');

-- Times before 1970 and 2000, an origin, a window over a day.
CREATE FOREIGN TABLE old (kind text, ts timestamptz, part int OPTIONS (metadata 'partition'))
    SERVER view_basic OPTIONS (topic 'view_basic_old', event_time 'ts', watermark_delay '3650000 days');
SELECT weir.create_view('old_10s', $$ SELECT weir.tumble(ts, '10 s') AS w, count(*) FROM old GROUP BY 1 $$);
SELECT weir.create_view('old_7s', $$ SELECT weir.tumble(ts, '7 s', '1999-12-31 23:59:58+00') AS w, count(*) FROM old GROUP BY 1 $$);
SELECT weir.create_view('old_week', $$ SELECT weir.tumble(ts, '7 days', '2000-01-03 00:00:00+00') AS w, count(*) FROM old GROUP BY 1 $$);
INSERT INTO old (ts) VALUES ('1969-12-31 23:59:59.999999+00'), ('1969-12-31 23:59:50+00'), ('1970-01-01 00:00:00+00'),
    ('1999-12-31 23:59:59.999999+00'), ('1999-12-31 23:59:57.999999+00'), ('2000-01-01 00:00:00+00'), ('0001-01-01 00:00:05+00'), ('1582-10-15 12:00:00+00');
SELECT weir.flush('old');
SELECT * FROM old_10s ORDER BY 1;
SELECT * FROM old_7s ORDER BY 1;
SELECT * FROM old_week ORDER BY 1;
SELECT v, d.* FROM unnest(ARRAY['old_10s', 'old_7s', 'old_week']) v, differ(v) d;

-- A view of timestamps without time zone.
CREATE FOREIGN TABLE local (n int, ts timestamp, part int OPTIONS (metadata 'partition'))
    SERVER view_basic OPTIONS (topic 'view_basic_local', event_time 'ts');
SELECT weir.create_view('local_v', $$ SELECT weir.tumble(ts, '1 min') AS w, sum(n) FROM local GROUP BY 1 $$);
INSERT INTO local SELECT g, '2024-01-01'::timestamp + g * interval '1 s', g % 4 FROM generate_series(0, 299) g;
SELECT weir.flush('local');
SELECT * FROM differ('local_v');
SELECT * FROM windows('local_v');

DROP SCHEMA view_basic CASCADE;
SELECT count(*) FROM weir.views;
DROP SERVER view_basic CASCADE;
