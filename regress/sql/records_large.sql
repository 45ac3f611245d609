-- A message of very many records is applied in several batches, and does not keep
-- others waiting: checkpoints are taken in the middle of it, with the number of
-- the record, and a lane that starts anew goes on there.
\set ECHO errors
\getenv srcdir PG_ABS_SRCDIR
\set lib :srcdir /lib/views.sql
\set test records_large
\i :lib
\set ECHO all
CREATE FOREIGN TABLE raw (message text, part int OPTIONS (metadata 'partition')) SERVER records_large OPTIONS (topic 'records_large', format 'raw');
CREATE FOREIGN TABLE lines (id int, off bigint OPTIONS (metadata 'offset'), rec int OPTIONS (metadata 'record'))
    SERVER records_large OPTIONS (topic 'records_large', records 'lines');
\set slow 'FUNCTION slow(id int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.5) WHERE id % 4000 = 0; RETURN id; END $$'
\set quick 'FUNCTION slow(id int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RETURN id; END $$'
-- Each batch of records takes half a second.
CREATE :slow;
CREATE FUNCTION message(n int) RETURNS text LANGUAGE sql AS $$ SELECT string_agg(format('{"id": %s}', i), E'\n' ORDER BY i) FROM generate_series(1, n) i $$;
CREATE FUNCTION amid(view text, message int) RETURNS boolean LANGUAGE sql AS $$
    SELECT coalesce(p.positions[1] = message AND p.records[1] BETWEEN 1 AND 59999, false)
    FROM weir.progress p JOIN weir.views v ON v.id = p.view WHERE v.view = amid.view::regclass $$;
SELECT weir.create_view('v', $$ SELECT id % 2 AS odd, count(*), sum(slow(id)) FROM lines GROUP BY 1 $$);
SELECT weir.create_view('each', $$ SELECT slow(id) AS id, off, rec FROM lines $$);
INSERT INTO raw VALUES (message(1), 0);
SELECT weir.flush('lines');
INSERT INTO raw VALUES (message(60000), 0);
SELECT wait_for($$ amid('v', 1) AND amid('each', 1) $$);
CREATE OR REPLACE :quick;
SELECT count(pg_terminate_backend(pid)) > 0 AS ended FROM pg_stat_activity WHERE backend_type LIKE 'weir ingest records_large.%';
SELECT weir.flush('lines');
SELECT * FROM differ('v');
SELECT * FROM differ('each');
SELECT count(*), count(DISTINCT (off, rec)) FROM each;

-- Messages are one record each from the middle of one on: it is read as a whole, and
-- no number is left that would hide records of a later one.
CREATE OR REPLACE :slow;
INSERT INTO raw VALUES (message(60000), 0);
SELECT wait_for($$ amid('v', 2) AND amid('each', 2) $$);
ALTER FOREIGN TABLE lines OPTIONS (DROP records);
SELECT wait_for($$ EXISTS (SELECT FROM weir.dead_letters WHERE stream = 'lines'::regclass) $$);
CREATE OR REPLACE :quick;
SELECT weir.flush('lines');
SELECT DISTINCT "offset", sqlstate FROM weir.dead_letters WHERE stream = 'lines'::regclass;
SELECT "position", dead_letters FROM weir.partitions WHERE view_name = 'v'::regclass AND partition = 0;
SELECT array_agg(pid) AS before FROM pg_stat_activity WHERE backend_type = 'weir ingest records_large.lines' \gset
ALTER FOREIGN TABLE lines OPTIONS (ADD records 'lines');
SELECT wait_for($$ (SELECT count(*) = 2 FROM pg_stat_activity WHERE backend_type = 'weir ingest records_large.lines' AND pid <> ALL ('$$ || :'before' || $$')) $$);
INSERT INTO raw VALUES (message(3), 0);
SELECT weir.flush('lines');
SELECT * FROM each WHERE off = 3 ORDER BY rec;
SELECT "position", dead_letters FROM weir.partitions WHERE view_name = 'v'::regclass AND partition = 0;

-- A view that stops in the middle of a message lacks what it could not use of the part
-- that it is past, and reads the rest itself.
CREATE FOREIGN TABLE lacking (id int, n int NOT NULL, off bigint OPTIONS (metadata 'offset'), rec int OPTIONS (metadata 'record'))
    SERVER records_large OPTIONS (topic 'lacking', records 'lines');
CREATE FOREIGN TABLE lacking_raw (message text, part int OPTIONS (metadata 'partition')) SERVER records_large OPTIONS (topic 'lacking', format 'raw');
CREATE OR REPLACE :slow;
SELECT weir.create_view('lacks', $$ SELECT id % 2 AS odd, count(*), sum(slow(id)) FROM lacking GROUP BY 1 $$);
SELECT weir.create_view('lacks_each', $$ SELECT slow(id) AS id, off, rec FROM lacking $$);
INSERT INTO lacking_raw SELECT string_agg(format('{"id":%s%s}', i, CASE WHEN i % 500 > 0 THEN ',"n":1' ELSE '' END), E'\n' ORDER BY i), 0 FROM generate_series(1, 48000) i;
SELECT wait_for($$ amid('lacks', 0) AND amid('lacks_each', 0) $$);
SELECT weir.pause('lacks'), weir.pause('lacks_each');
SELECT wait_for($$ (SELECT count(*) = 0 FROM weir.running_views() r JOIN weir.views v ON v.id = r.id WHERE v.stream = 'lacking'::regclass) $$);
SELECT amid('lacks', 0), amid('lacks_each', 0);
ALTER FOREIGN TABLE lacking ALTER n DROP NOT NULL;
CREATE OR REPLACE :quick;
SELECT weir.resume('lacks'), weir.resume('lacks_each');
SELECT weir.flush('lacking');
SELECT weir.replay_dead_letters('lacking') > 0 AS some;
SELECT wait_for($$ (SELECT count(*) = 0 FROM weir.replay_queue) $$);
SELECT * FROM differ('lacks');
SELECT * FROM differ('lacks_each');
SELECT count(*) FROM weir.dead_letter_log WHERE stream = 'lacking'::regclass AND views <> '{}';

DROP SCHEMA records_large CASCADE;
DROP SERVER records_large CASCADE;
