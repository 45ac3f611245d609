-- Windows close though some partitions are silent; events too far ahead.
\set ECHO errors
\getenv srcdir PG_ABS_SRCDIR
\set lib :srcdir /lib/views.sql
\set test view_idle
\i :lib
\set ECHO all
CREATE FOREIGN TABLE events (
    kind text, ts timestamptz, part int OPTIONS (metadata 'partition')
) SERVER view_idle OPTIONS (topic 'view_idle', event_time 'ts', idle_timeout '200 ms');
CREATE FOREIGN TABLE patient (
    kind text, ts timestamptz, part int OPTIONS (metadata 'partition')
) SERVER view_idle OPTIONS (topic 'view_idle', event_time 'ts', idle_timeout '1 day');
SELECT weir.create_view('v', $$ SELECT weir.tumble(ts, '10 s') AS w, count(*) FROM events GROUP BY 1 $$);
SELECT weir.create_view('waits', $$ SELECT weir.tumble(ts, '10 s') AS w, count(*) FROM patient GROUP BY 1 $$);
-- Three partitions never had an event.
INSERT INTO events SELECT 'a', at(g), 0 FROM generate_series(0, 95) g;
SELECT wait_for($$(SELECT count(*) = 9 FROM v_final)$$);
SELECT wait_for($$(SELECT bool_and(idle) FROM weir.partitions WHERE view_name = 'v'::regclass)$$);
SELECT wait_for($$(SELECT state = 'idle' FROM weir.status WHERE view_name = 'v'::regclass)$$);
SELECT * FROM differ('v');
SELECT * FROM windows('v');
SELECT closed_upto, watermark FROM weir.status WHERE view_name = 'v'::regclass;
SELECT weir.flush('waits');
SELECT * FROM windows('waits');
SELECT bool_or(idle) FROM weir.partitions WHERE view_name = 'waits'::regclass;
-- One that comes back late is late for what has closed, though its own
-- watermark has not passed it, and counts in what is open.
INSERT INTO events VALUES ('late', at(5), 1), ('in time', at(91), 1), ('late', at(89), 1);
SELECT weir.flush('events');
SELECT events, late FROM weir.partitions WHERE view_name = 'v'::regclass AND partition = 1;
SELECT * FROM v WHERE w IN (at(0), at(80), at(90)) ORDER BY w;
SELECT weir.flush('waits');
SELECT events, late FROM weir.partitions WHERE view_name = 'waits'::regclass AND partition = 1;
-- Idle ones do not hold back the others, and do not move the watermark back.
INSERT INTO events VALUES ('b', at(150), 2);
SELECT wait_for($$(SELECT count(*) = 10 FROM v_final)$$);
SELECT * FROM windows('v');
-- Malformed messages and tombstones do not keep a partition from being idle.
CREATE FOREIGN TABLE bad (message text, part int OPTIONS (metadata 'partition')) SERVER view_idle OPTIONS (topic 'view_idle', format 'raw');
INSERT INTO bad VALUES ('{', 3), (NULL, 3);
INSERT INTO events VALUES ('b', at(200), 0);
SELECT wait_for($$(SELECT count(*) = 11 FROM v_final)$$);
SELECT * FROM windows('v');

-- max_ahead: an event too far beyond Kafka's timestamp is a dead letter and
-- moves no watermark.
CREATE FOREIGN TABLE ahead (
    kind text, ts timestamptz, part int OPTIONS (metadata 'partition'), at timestamptz OPTIONS (metadata 'timestamp')
) SERVER view_idle OPTIONS (topic 'view_idle_ahead', event_time 'ts', max_ahead '1 hour');
SELECT weir.create_view('ahead_v', $$ SELECT weir.tumble(ts, '10 s') AS w, kind, count(*) FROM ahead GROUP BY 1, 2 $$);
INSERT INTO ahead VALUES ('on time', at(0), 0, at(0)), ('just', at(3600), 0, at(0)), ('too far', at(3600.000001), 0, at(0)), ('2099', '2099-01-01', 0, at(0)), ('late', at(3589), 0, at(0)), ('late', at(3590), 0, at(0)), ('old', at(3600), 0, at(100000));
SELECT weir.flush('ahead');
SELECT * FROM ahead_v ORDER BY w, kind;
SELECT watermark, events, late, dead_letters FROM weir.partitions WHERE view_name = 'ahead_v'::regclass AND partition = 0;
SELECT partition, "offset", timestamp, sqlstate, reason FROM weir.dead_letters WHERE stream = 'ahead'::regclass ORDER BY "offset";

-- Kafka's timestamp as the event time.
CREATE FOREIGN TABLE stamped (
    kind text, part int OPTIONS (metadata 'partition'), at timestamptz OPTIONS (metadata 'timestamp')
) SERVER view_idle OPTIONS (topic 'view_idle_ahead');
SELECT weir.create_view('stamped_v', $$ SELECT weir.tumble(at, '10 s') AS w, kind, count(*) FROM stamped GROUP BY 1, 2 $$);
SELECT weir.flush('stamped');
SELECT * FROM stamped_v ORDER BY w, kind;
SELECT * FROM differ('stamped_v');

-- idle_advance: when all partitions are silent, the wall clock closes what is open.
-- (weir.test_clock counts from 2000; 757382400 is at(0).)
ALTER SYSTEM SET weir.test_clock = 757382400;
SELECT pg_reload_conf();
CREATE FOREIGN TABLE fading (
    kind text, ts timestamptz, part int OPTIONS (metadata 'partition')
) SERVER view_idle OPTIONS (topic 'view_idle_fading', event_time 'ts', idle_timeout '100 ms', idle_advance '30 s');
CREATE FOREIGN TABLE lasting (
    kind text, ts timestamptz, part int OPTIONS (metadata 'partition')
) SERVER view_idle OPTIONS (topic 'view_idle_fading', event_time 'ts', idle_timeout '100 ms');
SELECT weir.create_view('fades', $$ SELECT weir.tumble(ts, '10 s') AS w, count(*) FROM fading GROUP BY 1 $$);
SELECT weir.create_view('fades_later', $$ SELECT weir.tumble(ts, '10 s') AS w, count(*) FROM fading GROUP BY 1 $$, lateness => '20 s');
SELECT weir.create_view('lasts', $$ SELECT weir.tumble(ts, '10 s') AS w, count(*) FROM lasting GROUP BY 1 $$);
INSERT INTO fading VALUES ('a', at(3), 0), ('a', at(14), 1), ('a', at(16), 2);
SELECT wait_for($$(SELECT bool_and(idle) FROM weir.partitions WHERE stream IN ('fading'::regclass, 'lasting'::regclass))$$);
SELECT wait_for($$(SELECT count(*) = 1 FROM fades_final)$$);
-- A second before its time, and at its time.
ALTER SYSTEM SET weir.test_clock = 757382449;
SELECT pg_reload_conf();
SELECT weir.checkpoint('fading');
SELECT * FROM windows('fades');
SELECT closed_upto FROM weir.status WHERE view_name = 'fades'::regclass;
ALTER SYSTEM SET weir.test_clock = 757382450;
SELECT pg_reload_conf();
SELECT wait_for($$(SELECT count(*) = 2 FROM fades_final)$$);
SELECT closed_upto FROM weir.status WHERE view_name = 'fades'::regclass;
SELECT * FROM windows('fades_later');
ALTER SYSTEM SET weir.test_clock = 757382470;
SELECT pg_reload_conf();
SELECT wait_for($$(SELECT count(*) = 2 FROM fades_later_final)$$);
SELECT * FROM windows('lasts');
-- What comes later is late if its window ended before what was closed; the clock
-- alone makes nothing late.
ALTER SYSTEM SET weir.test_clock = 757383400;
SELECT pg_reload_conf();
SELECT weir.checkpoint('fading');
SELECT closed_upto FROM weir.status WHERE view_name IN ('fades'::regclass, 'fades_later'::regclass);
INSERT INTO fading VALUES ('late', at(19), 1), ('in time', at(23), 0);
SELECT weir.flush('fading');
SELECT wait_for($$(SELECT count(*) = 3 FROM fades_final)$$);
SELECT wait_for($$(SELECT count(*) = 3 FROM fades_later_final)$$);
SELECT * FROM fades_final ORDER BY w;
SELECT * FROM fades_later_final ORDER BY w;
SELECT view_name, late, closed_upto FROM weir.status WHERE stream = 'fading'::regclass ORDER BY view_name::text;
-- Now the clock has closed more than any event.
INSERT INTO fading VALUES ('late', at(969), 3), ('in time', at(970), 3);
SELECT weir.flush('fading');
SELECT view_name, late FROM weir.status WHERE stream = 'fading'::regclass ORDER BY view_name::text;
ALTER SYSTEM RESET weir.test_clock;
SELECT pg_reload_conf();

DROP SCHEMA view_idle CASCADE;
DROP SERVER view_idle;
