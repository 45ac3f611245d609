-- memory_limit of a view: what it takes, and what happens at the limit.
\set ECHO errors
\getenv srcdir PG_ABS_SRCDIR
\set lib :srcdir /lib/views.sql
\set test view_memory
\i :lib
\set ECHO all
CREATE FOREIGN TABLE events (
    kind int, ts timestamptz, part int OPTIONS (metadata 'partition'), off bigint OPTIONS (metadata 'offset')
) SERVER view_memory OPTIONS (topic 'view_memory', event_time 'ts', idle_timeout '1 day');
\set query '$$ SELECT weir.tumble(ts, ''1 hour'') AS w, kind, count(*) AS n FROM events GROUP BY 1, 2 $$'
-- What is refused.
SELECT weir.create_view('refused', :query, memory_limit => 'much');
SELECT weir.create_view('refused', :query, memory_limit => '512 kB');
SELECT weir.create_view('refused', :query, memory_limit => '-1 GB');
SELECT weir.create_view('refused', :query, memory_limit => '64 MB', on_memory_limit => 'pause');
SELECT weir.set_memory_limit('events', '64 MB');
SELECT weir.set_memory_limit(NULL, '64 MB');
-- What is kept.
SELECT weir.create_view('stops', :query, memory_limit => '1 MB', on_memory_limit => 'error');
SELECT weir.create_view('waits', :query, memory_limit => '1 MB');
SELECT weir.create_view('free', :query);
SELECT view, memory_limit, on_memory_limit FROM weir.views WHERE stream = 'events'::regclass ORDER BY id;
SELECT weir.set_memory_limit('free', '2 GB', 'error');
SELECT memory_limit, on_memory_limit FROM weir.views WHERE view = 'free'::regclass;
SELECT weir.set_memory_limit('free', NULL);
SELECT memory_limit, on_memory_limit FROM weir.views WHERE view = 'free'::regclass;
SELECT weir.set_memory_limit('stops', '512 kB');
CREATE ROLE weir_memory_stranger;
GRANT USAGE ON SCHEMA view_memory TO weir_memory_stranger;
SET ROLE weir_memory_stranger;
SELECT weir.set_memory_limit('view_memory.stops', '64 MB');
RESET ROLE;
REVOKE USAGE ON SCHEMA view_memory FROM weir_memory_stranger;
DROP ROLE weir_memory_stranger;
-- It fits.
INSERT INTO events SELECT i, at(i % 60), i % 4 FROM generate_series(1, 400) i;
SELECT weir.flush('events');
SELECT view_name, state = 'error' AS failed, memory_limit FROM weir.status WHERE stream = 'events'::regclass ORDER BY view_name::text;
-- It does not: the view without a limit goes on, in spite of the others.
INSERT INTO events SELECT i, at(i % 60), i % 4 FROM generate_series(1, 20000) i;
SELECT weir.flush('free');
SELECT wait_for($$ state = 'error' FROM weir.status WHERE view_name = 'stops'::regclass $$);
SELECT error FROM weir.status WHERE view_name = 'stops'::regclass;
SELECT wait_for($$ w.state = 'out of memory' AND w.lane <> f.lane FROM weir.status w, weir.status f WHERE w.view_name = 'waits'::regclass AND f.view_name = 'free'::regclass $$);
SELECT error FROM weir.status WHERE view_name = 'waits'::regclass;
SELECT view_name, memory <= 1048576 AS within FROM weir.status WHERE view_name = 'waits'::regclass;
SELECT * FROM differ('free');
-- Raised, the one that waits goes on by itself, the one in error when it is told to.
SELECT weir.set_memory_limit('waits', '64 MB');
SELECT weir.flush('waits');
SELECT * FROM differ('waits');
SELECT weir.set_memory_limit('stops', '64 MB');
SELECT state FROM weir.status WHERE view_name = 'stops'::regclass;
SELECT weir.resume('stops');
SELECT weir.flush('stops');
SELECT * FROM differ('stops');
SELECT view_name, state = 'error' AS failed, error FROM weir.status WHERE stream = 'events'::regclass ORDER BY view_name::text;
-- What closes makes room: windows of a minute, one after the other.
SELECT weir.create_view('moves', $$ SELECT weir.tumble(ts, '1 minute') AS w, kind, count(*) AS n FROM events WHERE kind > 1000000 GROUP BY 1, 2 $$, memory_limit => '2 MB');
INSERT INTO events SELECT 1000000 + i, at(3600 + i * 0.06), p FROM generate_series(1, 10000) i, generate_series(0, 3) p WHERE p = i % 4;
SELECT weir.flush('events');
SELECT * FROM differ('moves');
SELECT state = 'error' AS failed, memory <= 2097152 AS within, late FROM weir.status WHERE view_name = 'moves'::regclass;
SET client_min_messages = error;
DROP SCHEMA view_memory CASCADE;
DROP SERVER view_memory;
