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

-- Operators and functions of the query are those of the view's owner, whoever reads.
SET ROLE regress_weir_owner;
CREATE FUNCTION ratio(a float8, b float8) RETURNS float8 LANGUAGE sql IMMUTABLE AS 'SELECT a / nullif(b, 0)';
SELECT weir.create_view('mean', $$ SELECT weir.tumble(ts, '1000 s') AS t, ratio(sum(n)::float8, count(n)::float8) AS mean FROM events GROUP BY 1 $$);
SELECT weir.flush('mean');
GRANT SELECT ON mean TO regress_weir_reader;
SET ROLE regress_weir_reader;
CREATE FUNCTION planted(float8, float8) RETURNS float8 LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RAISE WARNING 'planted code runs as %', current_user; RETURN -1; END $$;
CREATE OPERATOR / (FUNCTION = planted, LEFTARG = float8, RIGHTARG = float8);
SET search_path = control_privileges, pg_catalog;
SELECT mean FROM mean;
SET search_path = control_privileges;
DROP OPERATOR control_privileges./ (float8, float8);
DROP FUNCTION planted;
RESET ROLE;
SELECT weir.drop_view('mean');

-- A trigger of the owner's runs as the owner, also when a superuser resets the view.
SET ROLE regress_weir_owner;
CREATE FUNCTION say_who() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING 'trigger runs as %', current_user; RETURN NULL; END $$;
CREATE TRIGGER say_who AFTER DELETE ON v_final FOR EACH STATEMENT EXECUTE FUNCTION say_who();
RESET ROLE;
SELECT weir.reset('v', 'earliest');
SELECT weir.flush('v');
DROP TRIGGER say_who ON v_final;

-- What such code sets ends with it: in the sessions of readers, who may be
-- superusers, and in the workers, which serve others.
SET ROLE regress_weir_owner;
CREATE FUNCTION plant(n bigint) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN
    PERFORM set_config('search_path', 'planted', false), set_config('default_transaction_read_only', 'on', false);
    RETURN n;
END $$;
CREATE FUNCTION plant() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM control_privileges.plant(1); RETURN NULL; END $$;
SELECT weir.create_view('planted', $$ SELECT weir.tumble(ts, '10 s') AS t, plant(count(*)) AS n, max(plant(n)) AS most FROM events WHERE plant(n) > 0 GROUP BY 1 HAVING plant(count(*)) > 0 $$);
CREATE TRIGGER plant AFTER INSERT OR DELETE ON planted_final FOR EACH STATEMENT EXECUTE FUNCTION plant();
SELECT weir.create_alert('regress_weir_planted', 'planted', 'control_privileges.plant(n) > 0');
SELECT weir.create_alert('regress_weir_planted_open', 'planted', 'control_privileges.plant(n) > 0', windows => 'open');
RESET ROLE;
SHOW search_path;
SHOW default_transaction_read_only;
SELECT weir.flush('planted');
SELECT count(*), sum(n), max(most) FROM planted;
SELECT count(*) > 0 AS open FROM planted_open;
SELECT weir.reset('planted', 'earliest');
SHOW search_path;
SHOW default_transaction_read_only;
-- Several batches and checkpoints.
SELECT weir.flush('planted');
INSERT INTO events VALUES (1, at(100), 0), (1, at(100), 1), (1, at(100), 2), (1, at(100), 3);
SELECT weir.flush('planted');
INSERT INTO events VALUES (1, at(100), 0), (1, at(100), 1), (1, at(100), 2), (1, at(100), 3);
SELECT weir.flush('planted');
SELECT weir.flush('v');
SELECT * FROM differ('v');
SELECT name, state, reason FROM weir.alert_rules WHERE view = 'planted'::regclass ORDER BY 1;
SHOW search_path;
SHOW default_transaction_read_only;
SELECT weir.drop_view('planted');

-- A view cannot read another one's open windows: what it saw would depend on the moment.
SET ROLE regress_weir_owner;
CREATE FUNCTION peek() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(*) FROM control_privileges.v';
SELECT weir.create_view('peeking', $$ SELECT weir.tumble(ts, '1000 s') AS t, count(*) FROM events WHERE peek() >= 0 GROUP BY 1 $$);
SELECT weir.flush('peeking');
SELECT * FROM peeking;
SELECT reason, count(*) FROM weir.dead_letters WHERE view = 'peeking'::regclass GROUP BY 1;
SELECT weir.drop_view('peeking');
RESET ROLE;

-- Rights that are taken away: the view stops, says why, and goes on when they are back.
REVOKE SELECT ON events FROM regress_weir_owner;
SELECT weir.pause('v');
SELECT weir.resume('v');
SELECT wait_for($$(SELECT state = 'error' FROM weir.status WHERE view_name = 'v'::regclass)$$);
SELECT state, error FROM weir.status WHERE view_name = 'v'::regclass;
-- Why is not for those who may read only the view: it may quote a message.
SET ROLE regress_weir_reader;
SELECT state, error FROM weir.status WHERE view_name = 'v'::regclass;
SELECT state FROM weir.views WHERE view = 'v'::regclass;
SELECT reason FROM weir.views WHERE view = 'v'::regclass;
SET ROLE regress_weir_owner;
SELECT state, error FROM weir.status WHERE view_name = 'v'::regclass;
RESET ROLE;
SELECT weir.flush('v');
GRANT SELECT ON events TO regress_weir_owner;
SELECT weir.resume('v');
SELECT weir.flush('v');
SELECT * FROM differ('v');

-- weir_monitor sees how all views are doing, and why they fail; not what is in
-- messages and results.
CREATE ROLE regress_weir_watcher IN ROLE weir_monitor;
SELECT rolname, rolcanlogin, rolsuper, rolcreaterole FROM pg_roles WHERE rolname IN ('weir_admin', 'weir_monitor') ORDER BY 1;
SELECT pg_has_role('weir_admin', 'weir_monitor', 'USAGE') AS admin_is_monitor;
REVOKE SELECT ON v FROM regress_weir_reader;
SET ROLE regress_weir_reader;
SELECT count(*) FROM weir.status;
SELECT count(*) FROM weir.partitions;
SELECT count(*) FROM weir.running_views();
SELECT count(*) FROM weir.running_partitions();
RESET ROLE;
REVOKE SELECT ON events FROM regress_weir_owner;
SELECT weir.pause('v');
SELECT weir.resume('v');
SELECT wait_for($$(SELECT state = 'error' FROM weir.status WHERE view_name = 'v'::regclass)$$);
SET ROLE regress_weir_watcher;
SELECT view_name, state, error FROM weir.status;
SELECT count(*) FROM weir.partitions;
SELECT count(*) FROM weir.dead_letters;
SELECT count(*) FROM v;
SELECT weir.pause('v');
SELECT weir.flush('v');
RESET ROLE;
GRANT SELECT ON events TO regress_weir_owner;

-- weir_admin steers all views, and sees no more than weir_monitor; what is done in
-- the owner's name it cannot do.
CREATE ROLE regress_weir_admin IN ROLE weir_admin;
SET ROLE regress_weir_admin;
SELECT weir.resume('v');
SELECT weir.flush('v');
SELECT weir.flush('events');
SELECT weir.checkpoint('events');
SELECT weir.pause('v');
SELECT weir.resume('v');
SELECT weir.reset('v', 'earliest');
SELECT weir.flush('v');
SELECT weir.alter_view('v', keep_late => true);
SELECT weir.set_memory_limit('v', '32 MB');
SELECT weir.advance_watermark('v', '2000-01-01');
SELECT view_name, state, events, error FROM weir.status;
SELECT count(*) FROM v;
SELECT count(*) FROM events;
SELECT count(*) FROM weir.dead_letters;
SELECT weir.create_alert('a', 'v', 'count > 0');
SELECT weir.create_sink('v', 'elsewhere');
SELECT weir.drop_view('v');
DROP VIEW v;
UPDATE weir.views SET state = 'paused';
SELECT weir.create_view('mine', :q);
RESET ROLE;
SELECT weir.flush('v');
SELECT * FROM differ('v');
-- Alerts are for those who watch, too.
SELECT weir.create_alert('regress_weir_alert', 'v', 'count > 0');
SET ROLE regress_weir_reader;
SELECT count(*) FROM weir.alert_rules;
SET ROLE regress_weir_watcher;
SELECT name, condition FROM weir.alert_rules;
SELECT weir.drop_alert('regress_weir_alert');
RESET ROLE;

DROP SCHEMA control_privileges CASCADE;
DROP SERVER control_privileges;
DROP ROLE regress_weir_owner, regress_weir_reader, regress_weir_member, regress_weir_watcher, regress_weir_admin;
