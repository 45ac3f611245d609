-- Who may do what.
\set ECHO errors
\getenv srcdir PG_ABS_SRCDIR
\set lib :srcdir /lib/views.sql
\set test control_privileges
\i :lib
\set ECHO all
CREATE ROLE regress_weir_owner NOLOGIN;
CREATE ROLE regress_weir_reader;
CREATE ROLE regress_weir_member IN ROLE regress_weir_owner;
GRANT USAGE ON SCHEMA control_privileges TO PUBLIC;
GRANT CREATE ON SCHEMA control_privileges TO regress_weir_owner, regress_weir_reader;
CREATE FOREIGN TABLE events (n int, ts timestamptz, part int OPTIONS (metadata 'partition')) SERVER control_privileges OPTIONS (topic 'control_privileges', event_time 'ts');
INSERT INTO events SELECT g, at(g), g % 4 FROM generate_series(1, 100) g;
\set q '$$ SELECT weir.tumble(ts, ''10 s'') AS t, count(*), sum(n) FROM events GROUP BY 1 $$'

-- Without SELECT on the stream there is no view, nor with it on some columns.
SET ROLE regress_weir_owner;
SELECT weir.create_view('v', :q);
SELECT count(*) FROM events;
INSERT INTO events VALUES (1);
RESET ROLE;
GRANT SELECT (n, ts) ON events TO regress_weir_owner;
SET ROLE regress_weir_owner;
SELECT weir.create_view('v', :q);
RESET ROLE;
GRANT SELECT ON events TO regress_weir_owner;
SET ROLE regress_weir_owner;
SELECT weir.create_view('public.v', :q);
SELECT weir.create_view('v', :q);
SELECT weir.flush('v');
SELECT * FROM differ('v');
SELECT count(*), min(relowner::regrole::text), max(relowner::regrole::text) FROM pg_class WHERE relnamespace = 'control_privileges'::regnamespace AND relname LIKE 'v%';

-- Nobody else reads it, pauses it, flushes it or drops it.
SET ROLE regress_weir_reader;
SELECT count(*) FROM v;
SELECT count(*) FROM v_final;
SELECT count(*) FROM v_open;
SELECT weir.flush('v');
SELECT weir.flush('events');
SELECT weir.pause('v');
SELECT weir.resume('v');
SELECT weir.reset('v', 'earliest');
SELECT weir.drop_view('v');
SELECT view_name, error FROM weir.status WHERE view_name = 'v'::regclass;
SELECT count(*) FROM weir.state;
SELECT count(*) FROM weir.dead_letters;
SELECT count(*) FROM weir.progress;
INSERT INTO weir.views DEFAULT VALUES;
UPDATE weir.views SET state = 'paused';
-- SELECT on the view is enough to read it, open and final.
RESET ROLE;
GRANT SELECT ON v TO regress_weir_reader;
SET ROLE regress_weir_reader;
SELECT count(*), sum(count) FROM v;
SELECT weir.flush('v');
SELECT count(*) FROM v_query;
SELECT weir.pause('v');
-- A member of the owner's role may.
SET ROLE regress_weir_member;
SELECT weir.pause('v');
SELECT weir.resume('v');
SELECT weir.flush('v');
SELECT weir.reset('v', 'earliest');
SELECT weir.flush('v');
RESET ROLE;
SELECT * FROM differ('v');

-- A function that the query calls runs as the view's owner, restricted.
SET ROLE regress_weir_owner;
CREATE FUNCTION whoami(int) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN current_user; END $$;
CREATE FUNCTION evil(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RESET ROLE; RETURN 1; END $$;
SELECT weir.create_view('who', $$ SELECT weir.tumble(ts, '1000 s') AS t, whoami(n) AS who, count(*) FROM events GROUP BY 1, 2 $$);
SELECT weir.create_view('bad', $$ SELECT weir.tumble(ts, '1000 s') AS t, evil(n) AS e, count(*) FROM events GROUP BY 1, 2 $$);
SELECT weir.flush('who');
SELECT who, count FROM who;
SELECT weir.flush('bad');
SELECT count(*) FROM bad;
RESET ROLE;
SELECT DISTINCT reason FROM weir.dead_letters WHERE view = 'bad'::regclass;
SELECT weir.drop_view('bad');
SELECT weir.drop_view('who');

-- Rights that are taken away: the view stops, says why, and goes on when they are back.
REVOKE SELECT ON events FROM regress_weir_owner;
SELECT weir.pause('v');
SELECT weir.resume('v');
SELECT wait_for($$(SELECT state = 'error' FROM weir.status WHERE view_name = 'v'::regclass)$$);
SELECT state, error FROM weir.status WHERE view_name = 'v'::regclass;
SELECT weir.flush('v');
GRANT SELECT ON events TO regress_weir_owner;
SELECT weir.resume('v');
SELECT weir.flush('v');
SELECT * FROM differ('v');

DROP SCHEMA control_privileges CASCADE;
DROP SERVER control_privileges;
DROP ROLE regress_weir_owner, regress_weir_reader, regress_weir_member;
