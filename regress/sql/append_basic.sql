-- An append view: a query without aggregates writes its rows into a table,
-- exactly once.
\set ECHO errors
\getenv srcdir PG_ABS_SRCDIR
\set lib :srcdir /lib/views.sql
\set test append_basic
\i :lib
\set ECHO all
CREATE FOREIGN TABLE events (
    kind text, n int, amount float8, ts timestamptz,
    part int OPTIONS (metadata 'partition'), off bigint OPTIONS (metadata 'offset')
) SERVER append_basic OPTIONS (topic 'append_basic', event_time 'ts', watermark_delay '2 seconds');
INSERT INTO events VALUES ('a', 1, 0.5, at(1), 0), ('b', 2, 1.5, at(2), 1), ('a', 3, 2.5, at(3), 2), ('debug', 4, 3.5, at(12), 3);

-- archiving, filtering, projecting
SELECT weir.create_view('archive', $$ SELECT * FROM events $$);
SELECT weir.create_view('v', $$ SELECT upper(kind) AS kind, n * 2 AS twice, ts, weir.tumble(ts, '10 s') AS w, 'x' AS lit
    FROM events WHERE kind <> 'debug' $$);
SELECT weir.flush('events');
SELECT * FROM v ORDER BY twice;
SELECT view, d.* FROM unnest('{archive,v}'::text[]) view, differ(view) d;

-- its relations
SELECT relname, relkind FROM pg_class
    WHERE relnamespace = 'append_basic'::regnamespace AND relname ~ '^v(_query|_open|_final)?$' ORDER BY relname;
SELECT attrelid::regclass AS relation, string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attnum) AS columns
    FROM pg_attribute WHERE attrelid = ANY ('{v,v_query}'::regclass[]) AND attnum > 0 GROUP BY 1 ORDER BY 1;
SELECT view, query, final, open, stream, lateness, start, state FROM weir.views WHERE stream = 'events'::regclass ORDER BY 1;
SELECT view_name, error, events, late, dead_letters, lag, windows_open, windows_final FROM weir.status WHERE stream = 'events'::regclass ORDER BY 1;
SELECT view_name, partition, start_offset, position, committed, events, late, dead_letters
    FROM weir.partitions WHERE view_name = 'v'::regclass ORDER BY partition;
-- each has a lane for itself
SELECT count(DISTINCT lane) FROM weir.status WHERE stream = 'events'::regclass;

-- It keeps running: a row is there without flush.  Nothing is late.
INSERT INTO events VALUES ('old', 5, 1, at(-1000000), 0), (NULL, NULL, NULL, at(0), 1), ('no time', 6, 1, NULL, 0);
SELECT wait_for($$(SELECT count(*) = 7 FROM archive)$$);
SELECT wait_for($$EXISTS (SELECT FROM v WHERE kind = 'OLD')$$);
SELECT weir.flush('archive');
SELECT view, d.* FROM unnest('{archive,v}'::text[]) view, differ(view) d;

-- No row is lost or written twice over many small batches.
DO $$ BEGIN FOR i IN 1..50 LOOP INSERT INTO events VALUES ('loop', i, i, at(i), i % 4), ('loop', i, i, at(102), NULL); END LOOP; END $$;
SELECT weir.flush('events');
SELECT view, d.* FROM unnest('{archive,v}'::text[]) view, differ(view) d;
-- ... and large ones
INSERT INTO events SELECT 'many', g, g / 64.0, at(g), g % 4 FROM generate_series(1, 20000) g;
SELECT weir.flush('events');
SELECT view, d.* FROM unnest('{archive,v}'::text[]) view, differ(view) d;

-- A filter that lets nothing through: positions are committed all the same.
SELECT weir.create_view('nothing', $$ SELECT n FROM events WHERE n < 0 $$);
SELECT weir.flush('nothing');
SELECT count(*) FROM nothing;
SELECT sum(committed) = (SELECT count(*) FROM events) AS all_of_it FROM weir.partitions WHERE view_name = 'nothing'::regclass;

-- where it begins
SELECT weir.create_view('from_now', $$ SELECT kind, n FROM events $$, start => 'latest');
SELECT weir.flush('from_now');
INSERT INTO events VALUES ('new', 7, 1, at(1), 0);
SELECT weir.flush('from_now');
SELECT * FROM from_now;

-- pause, resume
SELECT weir.pause('v');
INSERT INTO events VALUES ('paused', 8, 1, at(1), 0);
SELECT weir.flush('archive');
SELECT state FROM weir.status WHERE view_name = 'v'::regclass;
SELECT count(*) FROM v WHERE kind = 'PAUSED';
SELECT weir.resume('v');
SELECT weir.flush('v');
SELECT count(*) FROM v WHERE kind = 'PAUSED';
SELECT * FROM differ('v');

-- reset
DELETE FROM v WHERE twice % 3 = 0;
SELECT weir.reset('v', 'earliest');
SELECT weir.flush('v');
SELECT * FROM differ('v');
BEGIN;
SELECT weir.reset('v', 'earliest');
ROLLBACK;
SELECT weir.flush('v');
SELECT * FROM differ('v');
BEGIN;
TRUNCATE from_now;
SELECT weir.reset('from_now', 'earliest');
COMMIT;
SELECT weir.flush('from_now');
SELECT * FROM differ('from_now');

SELECT weir.checkpoint('events');

-- dropped by drop_view, by DROP, and with its stream
SELECT weir.drop_view('nothing');
DROP TABLE from_now;
SELECT view FROM weir.views WHERE stream = 'events'::regclass ORDER BY 1;
SELECT relname FROM pg_class WHERE relnamespace = 'append_basic'::regnamespace AND relname ~ 'nothing|from_now';
DROP FOREIGN TABLE events CASCADE;
SELECT count(*) FROM weir.views;
SELECT relname FROM pg_class WHERE relnamespace = 'append_basic'::regnamespace;

DROP SCHEMA append_basic CASCADE;
DROP SERVER append_basic CASCADE;
