-- What fails in one view stays there: rows are dead letters of that view alone,
-- and a view whose checkpoint fails stops alone, and goes on when it is resumed.
\set ECHO errors
\getenv srcdir PG_ABS_SRCDIR
\set lib :srcdir /lib/views.sql
\set test failure_domains
\i :lib
CREATE FOREIGN TABLE events (
    kind text, n int, big bigint, ts timestamptz, part int OPTIONS (metadata 'partition')
) SERVER failure_domains OPTIONS (topic 'failure_domains', event_time 'ts', idle_timeout '1 day');
CREATE FOREIGN TABLE commits (
    kind text, n int, ts timestamptz, part int OPTIONS (metadata 'partition')
) SERVER failure_domains OPTIONS (topic 'failure_domains_2', event_time 'ts', idle_timeout '1 day');
CREATE FUNCTION more(second float8) RETURNS void LANGUAGE sql
    AS $$ INSERT INTO failure_domains.commits SELECT 'k' || g % 3, g, failure_domains.at(second), g % 4 FROM generate_series(1, 20) g $$;

-- Do something to v that makes its next checkpoint fail; that other goes on; undo
-- it and resume: v must hold what its query returns, and be in the lane of other.
CREATE TABLE clock AS SELECT 1000 AS second;
CREATE FUNCTION tick() RETURNS void LANGUAGE sql AS $$
    UPDATE failure_domains.clock SET second = second + 10;
    SELECT failure_domains.more((SELECT second FROM failure_domains.clock)) $$;
CREATE PROCEDURE trouble(does text, undoes text, INOUT state text DEFAULT NULL, INOUT error text DEFAULT NULL,
                         INOUT other_final bigint DEFAULT NULL, INOUT differ_v bigint DEFAULT NULL, INOUT differ_other bigint DEFAULT NULL)
LANGUAGE plpgsql AS $$
DECLARE
    before bigint;
BEGIN
    SELECT count(*) INTO before FROM failure_domains.other_final;
    COMMIT;
    EXECUTE does;
    PERFORM failure_domains.tick();
    COMMIT;
    PERFORM failure_domains.wait_for($w$(SELECT state = 'error' FROM weir.status WHERE view_name = 'failure_domains.v'::regclass)$w$, '20 s');
    SELECT s.state, s.error INTO state, error FROM weir.status s WHERE view_name = 'failure_domains.v'::regclass;
    COMMIT;
    PERFORM weir.flush('failure_domains.other');
    SELECT count(*) - before INTO other_final FROM failure_domains.other_final;
    EXECUTE undoes;
    PERFORM weir.resume('failure_domains.v');
    PERFORM failure_domains.tick();
    COMMIT;
    PERFORM weir.flush('failure_domains.commits');
    SELECT only_view + only_batch INTO differ_v FROM failure_domains.differ('v');
    SELECT only_view + only_batch INTO differ_other FROM failure_domains.differ('other');
    COMMIT;
    PERFORM failure_domains.wait_for('(SELECT count(DISTINCT lane) = 1 AND count(lane) = 2 FROM weir.status)');
END $$;
\set ECHO all

-- Rows that fail in one view.
CREATE DOMAIN small AS int CHECK (VALUE < 100);
CREATE FUNCTION touchy(n int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF n = 7 THEN
        RAISE 'seven' USING ERRCODE = 'data_exception';
    END IF;
    RETURN n;
END $$;
BEGIN;
SELECT weir.create_view(name, format('SELECT weir.tumble(ts, %L) AS w, %s FROM events GROUP BY 1', '10 s', what)) FROM (VALUES
    ('all_rows', 'count(*), sum(n)'),
    ('division', 'sum(10 / n)'),
    ('overflow_int4', 'sum(n * 1000000000)'),
    ('overflow_int8', 'sum(big * 9223372036854775807)'),
    ('narrow', 'max(big::int)'),
    ('badcast', 'sum(kind::int)'),
    ('domain', 'sum(n::small)'),
    ('raises', 'sum(touchy(n))'),
    ('dateless', 'max((kind || ''-01'')::date)'),
    ('filtered', 'sum(10 / n) FILTER (WHERE n <> 0)')) v(name, what);
COMMIT;
INSERT INTO events VALUES
    ('1', 1, 1, at(0), 0), ('2', 0, 1, at(1), 0), ('x', 3, 1, at(2), 0), ('4', 1000, 1, at(3), 0),
    ('5', 7, 1, at(4), 0), ('6', 1, 3000000000, at(5), 0), ('2024-01', 1, 1, at(6), 0);
SELECT weir.flush('events');
SELECT v.view, d.partition, d."offset", d.sqlstate, d.reason FROM weir.dead_letter_log d JOIN weir.views v ON v.id = d.view
    WHERE d.stream = 'events'::regclass ORDER BY v.id, d."offset";
SELECT count(*), sum(sum) FROM all_rows;
SELECT view_name, state, events, dead_letters, error FROM weir.status WHERE view_name::text <> 'v' ORDER BY view_name::text COLLATE "C";
SELECT (SELECT sum FROM division) AS division, (SELECT sum FROM overflow_int4) AS int4, (SELECT sum FROM overflow_int8) AS int8,
    (SELECT max FROM narrow) AS narrow, (SELECT sum FROM badcast) AS badcast, (SELECT sum FROM domain) AS domain,
    (SELECT sum FROM raises) AS raises, (SELECT max FROM dateless) AS dateless, (SELECT sum FROM filtered) AS filtered;
-- The same after recovery from the log.
SELECT weir.pause(view) FROM weir.views;
SELECT wait_for('(SELECT count(*) = 0 FROM weir.running_views())');
SELECT weir.resume(view) FROM weir.views;
INSERT INTO events VALUES ('1', 0, 1, at(7), 0);
SELECT weir.flush('events');
SELECT view, count(*) FROM weir.dead_letters WHERE stream = 'events'::regclass GROUP BY view ORDER BY view::text COLLATE "C";
-- A window that would begin before the first timestamp.
SELECT weir.create_view('far', $$ SELECT weir.tumble(ts, '3000 days') AS w, count(*) FROM events GROUP BY 1 $$);
INSERT INTO events VALUES ('1', 1, 1, '4714-11-24 00:00:00+00 BC', 2);
SELECT weir.flush('events');
SELECT "offset", sqlstate, reason FROM weir.dead_letters WHERE view = 'far'::regclass;
SELECT min(w) FROM all_rows;
SELECT weir.drop_view(view) FROM weir.views;

-- Views whose checkpoint fails.
CREATE ROLE regress_weir_owner;
GRANT USAGE, CREATE ON SCHEMA failure_domains TO regress_weir_owner;
GRANT SELECT ON commits TO regress_weir_owner;
SET ROLE regress_weir_owner;
BEGIN;
SELECT weir.create_view('v', $$ SELECT weir.tumble(ts, '10 s') AS w, kind, count(*) AS c, sum(n) AS s FROM commits GROUP BY 1, 2 $$);
SELECT weir.create_view('other', $$ SELECT weir.tumble(ts, '10 s') AS w, count(*) AS c, sum(n) AS s FROM commits GROUP BY 1 $$);
COMMIT;
RESET ROLE;
SELECT weir.flush('commits');
SELECT tick() FROM generate_series(1, 2);
SELECT weir.flush('commits');
SELECT wait_for('(SELECT count(*) > 0 FROM v_final)');
CREATE FUNCTION fails() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = TG_ARGV[0], MESSAGE = 'simulated: ' || TG_ARGV[0];
END $$;
\pset format unaligned
CALL trouble('ALTER TABLE v_final ADD CHECK (c < 0) NOT VALID', 'ALTER TABLE v_final DROP CONSTRAINT v_final_c_check');
CALL trouble('ALTER TABLE v_final ADD COLUMN extra int; ALTER TABLE v_final ADD CHECK (extra IS NOT NULL) NOT VALID', 'ALTER TABLE v_final DROP COLUMN extra');
CALL trouble($$DO 'BEGIN EXECUTE format(''CREATE UNIQUE INDEX one ON v_final_20240101 ((1)) WHERE w > %L'', (SELECT max(w) FROM v_final)); END'$$, 'DROP INDEX one');
CALL trouble($$DO 'BEGIN EXECUTE format(''CREATE INDEX bad ON v_final ((1 / (s - s))) WHERE w > %L'', (SELECT max(w) FROM v_final)); END'$$, 'DROP INDEX bad');
CALL trouble($$CREATE TRIGGER fails BEFORE INSERT ON v_final FOR EACH ROW EXECUTE FUNCTION fails('data_exception')$$, 'DROP TRIGGER fails ON v_final');
CALL trouble('ALTER TABLE v_final ENABLE ROW LEVEL SECURITY; ALTER TABLE v_final FORCE ROW LEVEL SECURITY', 'ALTER TABLE v_final DISABLE ROW LEVEL SECURITY');
-- A constraint that would be checked at COMMIT only.
CREATE FUNCTION fails_later() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'the constraint of % as %', TG_RELID::regclass, current_user; END $$;
CALL trouble($$CREATE CONSTRAINT TRIGGER later AFTER INSERT ON v_final DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION fails_later()$$, 'DROP TRIGGER later ON v_final');
-- The disk is full, or memory, for this view alone: it is postponed for a while first.
CALL trouble($$CREATE TRIGGER fails BEFORE INSERT ON v_final FOR EACH ROW EXECUTE FUNCTION fails('disk_full')$$, 'DROP TRIGGER fails ON v_final');
CALL trouble($$CREATE TRIGGER fails BEFORE INSERT ON v_final FOR EACH ROW EXECUTE FUNCTION fails('out_of_memory')$$, 'DROP TRIGGER fails ON v_final');
-- For all views of the lane: they wait, and go on by themselves.
CREATE TRIGGER fails BEFORE INSERT ON v_final FOR EACH ROW EXECUTE FUNCTION fails('disk_full');
CREATE TRIGGER fails BEFORE INSERT ON other_final FOR EACH ROW EXECUTE FUNCTION fails('io_error');
SELECT tick();
SELECT wait_for($$(SELECT count(*) = 2 FROM weir.status WHERE state = 'postponed')$$);
SELECT view_name, state, error FROM weir.status ORDER BY view_name::text COLLATE "C";
DROP TRIGGER fails ON v_final;
DROP TRIGGER fails ON other_final;
SELECT weir.flush('commits');
SELECT v, d.* FROM unnest('{v,other}'::text[]) v, differ(v) d;
-- A lock: the view waits as long as it is held, the other goes on.
BEGIN;
LOCK TABLE v_final IN SHARE MODE;
SELECT tick();
SELECT wait_for($$(SELECT count(*) = 1 FROM weir.status WHERE state = 'postponed')$$);
SELECT view_name, state, error FROM weir.status WHERE error IS NOT NULL;
SELECT wait_for('(SELECT max(w) = at((SELECT second - 10 FROM clock)) FROM other_final)');
COMMIT;
SELECT weir.flush('commits');
SELECT v, d.* FROM unnest('{v,other}'::text[]) v, differ(v) d;
SELECT count(*) FROM weir.status WHERE error IS NOT NULL;
-- Its statement is cancelled.
CREATE FUNCTION sleeps() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(1000); RETURN NEW; END $$;
CREATE TRIGGER sleeps BEFORE INSERT ON v_final FOR EACH ROW EXECUTE FUNCTION sleeps();
SELECT tick();
SELECT wait_for($$(SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type ~ '^weir coordinator' AND wait_event = 'PgSleep')$$);
CALL trouble($$SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE backend_type ~ '^weir coordinator' AND wait_event = 'PgSleep'$$, 'DROP TRIGGER sleeps ON v_final');
-- Cancelled while it does nothing, it goes on; terminated, it is started again.
SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE backend_type ~ '^weir (coordinator|ingest)';
SELECT tick();
SELECT weir.flush('commits');
SELECT v, d.* FROM unnest('{v,other}'::text[]) v, differ(v) d;
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE backend_type ~ '^weir coordinator';
SELECT tick();
SELECT weir.flush('commits');
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE backend_type ~ '^weir ingest';
SELECT tick();
SELECT weir.flush('commits');
SELECT v, d.* FROM unnest('{v,other}'::text[]) v, differ(v) d;
SELECT count(*) FROM weir.status WHERE error IS NOT NULL;

-- Honoured: triggers that leave rows out, and partitions that come and go; not
-- rules that make something else of an insert.
CREATE FUNCTION leaves_out() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER leaves_out BEFORE INSERT ON v_final FOR EACH ROW WHEN (NEW.kind = 'k0') EXECUTE FUNCTION leaves_out();
SELECT tick() FROM generate_series(1, 2);
SELECT weir.flush('commits');
SELECT DISTINCT kind FROM v_final WHERE w >= at((SELECT second - 10 FROM clock)) ORDER BY 1;
DROP TRIGGER leaves_out ON v_final;
ALTER TABLE v_final DETACH PARTITION v_final_20240101;
SELECT tick() FROM generate_series(1, 2);
SELECT weir.flush('commits');
SELECT count(*) > 0 FROM v_final;
SELECT relid FROM pg_partition_tree('v_final') WHERE isleaf ORDER BY 1;
DROP TABLE v_final_20240101;
DO $$ BEGIN EXECUTE format('DROP TABLE %s', (SELECT relid FROM pg_partition_tree('v_final') WHERE isleaf)); END $$;
SELECT tick() FROM generate_series(1, 2);
SELECT weir.flush('commits');
SELECT count(*) > 0 FROM v_final;
SELECT relid FROM pg_partition_tree('v_final') WHERE isleaf ORDER BY 1;
CREATE RULE instead AS ON INSERT TO v_final DO INSTEAD NOTHING;
SELECT tick() FROM generate_series(1, 2);
SELECT wait_for($$(SELECT state = 'error' FROM weir.status WHERE view_name = 'v'::regclass)$$);
SELECT error FROM weir.status WHERE view_name = 'v'::regclass;
SELECT weir.drop_view('v');
SELECT * FROM differ('other');

DROP SCHEMA failure_domains CASCADE;
DROP SERVER failure_domains;
DROP ROLE regress_weir_owner;
