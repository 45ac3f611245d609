-- The extension goes while views run, and comes again.
\set ECHO errors
\getenv srcdir PG_ABS_SRCDIR
\set lib :srcdir /lib/views.sql
\set test control_extension
\i :lib
\set ECHO all
CREATE FOREIGN TABLE events (n int, ts timestamptz, part int OPTIONS (metadata 'partition')) SERVER control_extension OPTIONS (topic 'control_extension', event_time 'ts');
INSERT INTO events SELECT g, at(g), g % 4 FROM generate_series(1, 100) g;
SELECT weir.create_view('v', $$ SELECT weir.tumble(ts, '10 s') AS t, count(*) FROM events GROUP BY 1 $$);
SELECT weir.flush('v');
DROP EXTENSION weir;
BEGIN;
DROP EXTENSION weir CASCADE;
ROLLBACK;
INSERT INTO events SELECT g, at(g), g % 4 FROM generate_series(101, 200) g;
SELECT weir.flush('v');
SELECT * FROM differ('v');
DROP EXTENSION weir CASCADE;
SELECT relname FROM pg_class WHERE relnamespace = 'control_extension'::regnamespace ORDER BY relname;
SELECT count(*) FROM pg_namespace WHERE nspname = 'weir';
SELECT count(*) FROM pg_event_trigger WHERE evtname LIKE 'weir%';
SELECT wait_for($$(SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = current_database() AND backend_type LIKE 'weir%')$$);
CREATE EXTENSION weir;
\set ECHO errors
SELECT format('CREATE SERVER control_extension FOREIGN DATA WRAPPER weir OPTIONS (bootstrap_servers %L, "fetch.wait.max.ms" ''10'')', :'broker') \gexec
\set ECHO all
CREATE FOREIGN TABLE events (n int, ts timestamptz, part int OPTIONS (metadata 'partition')) SERVER control_extension OPTIONS (topic 'control_extension', event_time 'ts');
SELECT weir.create_view('v', $$ SELECT weir.tumble(ts, '10 s') AS t, count(*) FROM events GROUP BY 1 $$);
SELECT weir.flush('v');
SELECT * FROM differ('v');
SELECT count(*) FROM weir.views;
-- All of it anew in one transaction, under a lane that runs: the new view has the
-- number of the old one, and nothing else of it.
BEGIN;
DROP EXTENSION weir CASCADE;
CREATE EXTENSION weir;
\set ECHO errors
SELECT format('CREATE SERVER control_extension FOREIGN DATA WRAPPER weir OPTIONS (bootstrap_servers %L, "fetch.wait.max.ms" ''10'')', :'broker') \gexec
\set ECHO all
CREATE FOREIGN TABLE events (n int, ts timestamptz, part int OPTIONS (metadata 'partition')) SERVER control_extension OPTIONS (topic 'control_extension', event_time 'ts');
SELECT weir.create_view('v', $$ SELECT weir.tumble(ts, '10 s') AS t, count(*) FROM events GROUP BY 1 $$);
COMMIT;
SELECT weir.flush('v');
SELECT * FROM differ('v');
-- The schema is the extension's own.
DROP EXTENSION weir CASCADE;
CREATE SCHEMA weir;
CREATE EXTENSION weir;
DROP SCHEMA weir;
CREATE EXTENSION weir SCHEMA public;
SELECT extname, nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = extnamespace WHERE extname = 'weir';
ALTER EXTENSION weir SET SCHEMA control_extension;
DROP EXTENSION weir;
CREATE EXTENSION weir;
-- Roles that are there are taken as they are, and stay.
DROP EXTENSION weir;
SELECT count(*) FROM pg_roles WHERE rolname IN ('weir_admin', 'weir_monitor');
DROP ROLE weir_admin, weir_monitor;
CREATE ROLE weir_admin;
CREATE ROLE regress_weir_planted IN ROLE weir_admin;
CREATE EXTENSION weir;
SELECT count(*) FROM pg_roles WHERE rolname IN ('weir_admin', 'weir_monitor');
SELECT pg_has_role('weir_admin', 'weir_monitor', 'USAGE');
DROP ROLE regress_weir_planted;
-- A missing one has no members.
ALTER ROLE weir_admin RENAME TO regress_weir_renamed;
SELECT weir.is_monitor(), (SELECT count(*) FROM weir.status);
ALTER ROLE regress_weir_renamed RENAME TO weir_admin;
-- Operators that somebody has planted where the extension is made are not used.
DROP EXTENSION weir;
CREATE FUNCTION planted(bigint, interval) RETURNS interval LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING 'planted code runs as %', current_user; RETURN '0'; END $$;
CREATE OPERATOR * (FUNCTION = planted, LEFTARG = bigint, RIGHTARG = interval);
CREATE EXTENSION weir;
SELECT weir.microseconds_to_time(1000000);
DROP OPERATOR * (bigint, interval);
DROP FUNCTION planted;
-- A database is dropped while views of it run.
CREATE DATABASE regression_weir_dropped;
\set dbname :DBNAME
\c regression_weir_dropped
\set ECHO errors
\set test dropped
\i :lib
\set ECHO all
CREATE FOREIGN TABLE events (n int, ts timestamptz, part int OPTIONS (metadata 'partition')) SERVER dropped OPTIONS (topic 'control_extension', event_time 'ts');
SELECT weir.create_view('v', $$ SELECT weir.tumble(ts, '10 s') AS t, count(*) FROM events GROUP BY 1 $$);
SELECT weir.flush('v');
\c :dbname
ALTER DATABASE regression_weir_dropped RENAME TO regression_weir_renamed;
\c regression_weir_renamed
SET search_path = dropped;
SELECT weir.flush('v');
SELECT * FROM differ('v');
\c :dbname
-- A copy has the views, but does not run them.
CREATE DATABASE regression_weir_copy TEMPLATE regression_weir_renamed;
\c regression_weir_copy
SET search_path = dropped;
SELECT state, lane FROM weir.status;
SELECT weir.flush('v');
SELECT weir.resume('v');
SELECT weir.flush('v');
SELECT * FROM differ('v');
\c :dbname
DROP DATABASE regression_weir_copy;
DROP DATABASE regression_weir_renamed;
SET client_min_messages = warning;
DROP SCHEMA control_extension CASCADE;
