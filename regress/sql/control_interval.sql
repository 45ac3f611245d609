-- With an hour from checkpoint to checkpoint: what a command asks of a lane does
-- not wait for the next one.
\set ECHO errors
\getenv srcdir PG_ABS_SRCDIR
\set lib :srcdir /lib/views.sql
\set test control_interval
\i :lib
\set ECHO all
CREATE FOREIGN TABLE events (id int, ts timestamptz) SERVER control_interval OPTIONS (topic 'control_interval', event_time 'ts', watermark_delay '1 h');
ALTER SYSTEM SET weir.checkpoint_interval = '1 h';
SELECT pg_reload_conf();
CREATE FUNCTION workers() RETURNS bigint LANGUAGE sql AS $$
    SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'weir ingest control_interval.events' $$;
BEGIN;
SELECT weir.create_view('a', $$ SELECT weir.tumble(ts, '10 s') AS w, count(*) FROM events GROUP BY 1 $$);
SELECT weir.create_view('b', $$ SELECT weir.tumble(ts, '10 s') AS w, sum(id) FROM events GROUP BY 1 $$);
SELECT weir.create_view('f', $$ SELECT weir.tumble(ts, '10 s') AS w, sum(id) FROM events GROUP BY 1 $$);
COMMIT;
INSERT INTO events SELECT i, at(i) FROM generate_series(1, 100) i;
SELECT weir.flush('events');

-- A view that fails says so, and its lane goes on without it.
ALTER TABLE f_final ADD CHECK (w < at(50));
-- Windows are closed by hand.
SELECT weir.advance_watermark('events', at(60));
SELECT wait_for($$ (SELECT count(*) FROM a_final) = 6 $$);
SELECT wait_for($$ EXISTS (SELECT FROM weir.status WHERE view_name = 'f'::regclass AND state = 'error') $$);

-- A view leaves its lane; the last one ends it.
SELECT weir.pause('b');
SELECT wait_for($$ (SELECT lane IS NULL FROM weir.status WHERE view_name = 'b'::regclass) $$);
SELECT workers();
SELECT weir.drop_view('a');
SELECT wait_for('workers() = 0');

ALTER SYSTEM RESET weir.checkpoint_interval;
SELECT pg_reload_conf();
SELECT weir.resume('b');
SELECT weir.flush('b');
SELECT * FROM differ('b');
DROP SCHEMA control_interval CASCADE;
DROP SERVER control_interval CASCADE;
