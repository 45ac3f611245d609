-- pause, resume, reset, drop_view, and what flush refuses.
\set ECHO errors
\getenv srcdir PG_ABS_SRCDIR
\set lib :srcdir /lib/views.sql
\set test control_state
\i :lib
\set ECHO all
CREATE FOREIGN TABLE events (
    kind text, n int, ts timestamptz, part int OPTIONS (metadata 'partition')
) SERVER control_state OPTIONS (topic 'control_state', event_time 'ts');
CREATE TABLE ordinary (a int);
BEGIN;
SELECT weir.create_view('v', $$ SELECT weir.tumble(ts, '10 s') AS w, kind, count(*), sum(n) FROM events GROUP BY 1, 2 $$);
SELECT weir.create_view('other', $$ SELECT weir.tumble(ts, '10 s') AS w, count(*) FROM events GROUP BY 1 $$);
COMMIT;
INSERT INTO events SELECT 'a', g, at(g), g % 4 FROM generate_series(1, 40) g;
SELECT weir.flush('events');

-- A paused view keeps its windows and stands still; the others go on.
SELECT weir.pause('v');
SELECT state FROM weir.status WHERE view_name = 'v'::regclass;
SELECT weir.pause('v');
SET client_min_messages = notice;
SELECT weir.pause('v');
SET client_min_messages = warning;
SELECT * FROM differ('v');
SELECT wait_for($$(SELECT lane IS NULL FROM weir.status WHERE view_name = 'v'::regclass)$$);
SELECT * FROM differ('v');
SELECT * FROM windows('v');
INSERT INTO events SELECT 'b', g, at(g), g % 4 FROM generate_series(41, 80) g;
SELECT weir.flush('other');
SELECT * FROM differ('other');
SELECT * FROM differ('v');
SELECT count(*) FROM v WHERE kind = 'b';
SELECT state, events, lane FROM weir.status WHERE view_name = 'v'::regclass;
SELECT weir.flush('v');
SELECT weir.flush('events');
SELECT weir.checkpoint('events');
SELECT weir.resume('v');
SELECT weir.flush('events');
SELECT * FROM differ('v');
SELECT events, late FROM weir.status WHERE view_name = 'v'::regclass;
SET client_min_messages = notice;
SELECT weir.resume('v');
SET client_min_messages = warning;
-- Many times, while events come.
DO $$ BEGIN
    FOR i IN 1..10 LOOP
        PERFORM weir.pause('v'); COMMIT;
        INSERT INTO control_state.events SELECT 'c', g, control_state.at(80 + i), g % 4 FROM generate_series(1, 10) g; COMMIT;
        PERFORM weir.resume('v'); COMMIT;
    END LOOP;
END $$;
SELECT weir.flush('events');
SELECT * FROM differ('v');
SELECT events FROM weir.status WHERE view_name = 'v'::regclass;
-- Rolled back, it has not been paused.
BEGIN;
SELECT weir.pause('v');
SELECT state FROM weir.status WHERE view_name = 'v'::regclass;
ROLLBACK;
SELECT state <> 'paused' AS runs FROM weir.status WHERE view_name = 'v'::regclass;
BEGIN;
SAVEPOINT a;
SELECT weir.pause('v');
ROLLBACK TO a;
COMMIT;
INSERT INTO events SELECT 'd', g, at(90), g % 4 FROM generate_series(1, 40) g;
SELECT weir.flush('v');
SELECT * FROM differ('v');
BEGIN;
SELECT weir.pause('v');
SELECT weir.resume('v');
COMMIT;
SELECT weir.flush('v');
SELECT * FROM differ('v');

-- reset: all anew.
INSERT INTO events SELECT 'end', 0, at(200), p FROM generate_series(0, 3) p;
SELECT weir.flush('events');
CREATE TABLE before AS SELECT * FROM v;
SELECT weir.reset('v', 'earliest');
SELECT weir.flush('v');
SELECT count(*) FROM (SELECT * FROM v EXCEPT ALL SELECT * FROM before) d;
SELECT count(*) FROM (SELECT * FROM before EXCEPT ALL SELECT * FROM v) d;
SELECT events, late, dead_letters, windows_final FROM weir.status WHERE view_name = 'v'::regclass;
BEGIN;
SELECT weir.reset('v', 'earliest');
SELECT count(*) FROM v_final;
ROLLBACK;
SELECT * FROM differ('v');
SELECT weir.reset('v', 'latest');
SELECT weir.flush('v');
SELECT count(*) FROM v;
-- What was final may come again: the view has forgotten it.
INSERT INTO events SELECT 'e', g, at(g), g % 4 FROM generate_series(1, 40) g;
SELECT weir.flush('v');
SELECT sum(count), min(w), max(w) FROM v;
SELECT start, state FROM weir.views WHERE view = 'v'::regclass;
SELECT weir.reset('v', 'some day');
SELECT weir.reset('v', NULL);
-- A paused view stays paused.
SELECT weir.pause('v');
SELECT weir.reset('v', 'earliest');
-- (Its lane may count for it until it has let go of it.)
SELECT wait_for($$ (SELECT state = 'paused' AND events = 0 FROM weir.status WHERE view_name = 'v'::regclass) $$) \g /dev/null
SELECT count(*) FROM v;
SELECT weir.resume('v');
SELECT weir.flush('v');
SELECT events FROM weir.status WHERE view_name = 'v'::regclass;

-- What is no continuous view.
SELECT weir.pause('ordinary');
SELECT weir.resume('ordinary');
SELECT weir.reset('events', 'earliest');
SELECT weir.drop_view('ordinary');
SELECT weir.flush('ordinary');
SELECT weir.checkpoint('ordinary');
SELECT weir.pause('nothing');
SELECT weir.pause(0::regclass);
SELECT weir.flush(0::regclass);
SELECT weir.pause('v_query');
SELECT weir.drop_view('v_final');
SELECT weir.flush('v_final');
SELECT weir.pause(NULL);

-- flush where it could wait for itself, or in vain.  (Read from the earliest
-- offset, the events of kind e are late; the batch query does not know.)
BEGIN;
INSERT INTO ordinary VALUES (1);
SELECT weir.flush('v');
ROLLBACK;
BEGIN;
SELECT weir.pause('v');
SELECT weir.flush('v');
ROLLBACK;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT weir.flush('v');
ROLLBACK;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT weir.checkpoint('events');
ROLLBACK;
BEGIN;
SELECT weir.flush('v');
SELECT * FROM differ('v');
COMMIT;
SELECT weir.flush('v', '-1 s');
INSERT INTO events VALUES ('f', 1, at(201), 0);
SELECT weir.flush('v', '5 min');
SET statement_timeout = '10s';
SELECT weir.flush('v');
RESET statement_timeout;
SELECT weir.checkpoint('events');
-- A stream that no view reads.
CREATE FOREIGN TABLE unread (n int) SERVER control_state OPTIONS (topic 'control_state_unread');
SELECT weir.flush('unread');
SELECT weir.checkpoint('unread');

-- drop_view takes all of it, unless something else needs it.
CREATE VIEW needs AS SELECT count(*) FROM v;
SELECT weir.drop_view('v');
SELECT * FROM differ('other');
INSERT INTO events VALUES ('f', 1, at(202), 0);
SELECT weir.flush('v');
DROP VIEW needs;
BEGIN;
SELECT weir.drop_view('v');
ROLLBACK;
SELECT weir.flush('v');
SELECT weir.drop_view('v');
SELECT wait_for($$(SELECT count(*) = 1 FROM weir.running_views())$$);
SELECT relname FROM pg_class WHERE relnamespace = 'control_state'::regnamespace AND relname ~ '^v(_|$)';
SELECT count(*) FROM weir.state WHERE view NOT IN (SELECT id FROM weir.views);
SELECT count(*) FROM weir.progress WHERE view NOT IN (SELECT id FROM weir.views);
SELECT weir.flush('events');
SELECT * FROM differ('other');

DROP SCHEMA control_state CASCADE;
DROP SERVER control_state;
