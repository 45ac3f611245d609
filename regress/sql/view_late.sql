-- Late events: a record is late for a window iff its own partition's watermark
-- had passed the window's end + lateness before it came.
\set ECHO errors
\getenv srcdir PG_ABS_SRCDIR
\set lib :srcdir /lib/views.sql
\set test view_late
\i :lib
\set ECHO all
CREATE FOREIGN TABLE events (
    kind text, ts timestamptz, part int OPTIONS (metadata 'partition'), off bigint OPTIONS (metadata 'offset')
) SERVER view_late OPTIONS (topic 'view_late', event_time 'ts', watermark_delay '5 s');
BEGIN;
SELECT weir.create_view('v', $$ SELECT weir.tumble(ts, '10 s') AS w, kind, count(*) FROM events GROUP BY 1, 2 $$);
SELECT weir.create_view('patient', $$ SELECT weir.tumble(ts, '10 s') AS w, kind, count(*) FROM events GROUP BY 1, 2 $$, lateness => '10 s');
SELECT weir.create_view('narrow', $$ SELECT weir.tumble(ts, '1 s') AS w, kind, count(*) FROM events GROUP BY 1, 2 $$);
SELECT weir.create_view('filtered', $$ SELECT weir.tumble(ts, '10 s') AS w, kind, count(*) FROM events WHERE kind <> 'late' GROUP BY 1, 2 $$);
COMMIT;
CREATE FUNCTION lateness(OUT view regclass, OUT partition int, OUT events bigint, OUT late bigint) RETURNS SETOF record LANGUAGE sql AS
    $$ SELECT view_name, partition, events, late FROM weir.partitions WHERE stream = 'events'::regclass ORDER BY view_name::text, partition $$;

-- A microsecond before the watermark reaches the end, and at the end.
INSERT INTO events VALUES ('a', at(1), 0), ('a', at(14.999999), 0), ('in time', at(9), 0), ('a', at(15), 0), ('late', at(9.999999), 0), ('in time', at(10), 0);
SELECT weir.flush('events');
SELECT * FROM v ORDER BY w, kind;
SELECT * FROM lateness() WHERE partition = 0;
-- Another partition is not late: its own watermark counts.
INSERT INTO events VALUES ('behind', at(2), 1), ('behind', at(9), 1), ('behind', at(3), 2);
SELECT weir.flush('events');
SELECT * FROM v WHERE kind = 'behind';
SELECT * FROM lateness() WHERE partition = 1;
-- In one batch: what comes after the record that moves the watermark is late.
INSERT INTO events VALUES ('in time', at(3), 3), ('mover', at(100), 3), ('late', at(3), 3), ('late', at(89.999), 3), ('in time', at(90), 3), ('late', at(4), 3);
SELECT weir.flush('events');
SELECT * FROM lateness() WHERE partition = 3;
-- Nothing has closed but what the least partition lets close.
SELECT v, w.* FROM unnest('{v,patient,narrow,filtered}'::text[]) v, windows(v) w;
SELECT view_name, late, closed_upto FROM weir.status WHERE stream = 'events'::regclass ORDER BY 1;
-- All move on: the windows close, and late records do not open them again.
INSERT INTO events SELECT 'mover', at(200), p FROM generate_series(0, 3) p;
SELECT weir.flush('events');
CREATE TABLE before AS SELECT 'v' AS view, * FROM v_final UNION ALL SELECT 'patient', * FROM patient_final UNION ALL SELECT 'narrow', * FROM narrow_final UNION ALL SELECT 'filtered', * FROM filtered_final;
INSERT INTO events SELECT 'late', at(g), g % 4 FROM generate_series(0, 150) g;
INSERT INTO events SELECT 'new', at(g), g % 4 FROM generate_series(0, 150) g;
SELECT weir.flush('events');
SELECT count(*) FROM (SELECT * FROM before EXCEPT ALL (SELECT 'v', * FROM v UNION ALL SELECT 'patient', * FROM patient UNION ALL SELECT 'narrow', * FROM narrow UNION ALL SELECT 'filtered', * FROM filtered)) d;
SELECT v, w.* FROM unnest('{v,patient,narrow,filtered}'::text[]) v, windows(v) w;
SELECT * FROM lateness();
SELECT w, kind, count(*) FROM v GROUP BY 1, 2 HAVING count(*) > 1;
-- Every record was counted or late, in every view: WHERE comes first.
SELECT view_name, events, late FROM weir.status WHERE stream = 'events'::regclass ORDER BY view_name::text;
SELECT count(*), count(*) FILTER (WHERE kind <> 'late') FROM events;
-- The watermark moves by records that WHERE drops, too.
INSERT INTO events VALUES ('late', at(1000), 0), ('new', at(900), 0);
SELECT weir.flush('events');
SELECT * FROM lateness() WHERE view = 'filtered'::regclass AND partition = 0;
-- It does not move by what cannot be read.
CREATE FOREIGN TABLE bad (message text, part int OPTIONS (metadata 'partition')) SERVER view_late OPTIONS (topic 'view_late', format 'raw');
SELECT watermark FROM weir.partitions WHERE view_name = 'v'::regclass AND partition = 1;
INSERT INTO bad VALUES ('{"ts": "2024-01-05T00:00:00Z", "kind": 1', 1), ('{"ts": "2024-01-05T00:00:00Z"} x', 1), (NULL, 1), ('', 1);
SELECT weir.flush('events');
SELECT watermark, dead_letters FROM weir.partitions WHERE view_name = 'v'::regclass AND partition = 1;
-- Nor back.
INSERT INTO events VALUES ('late', at(0), 1);
SELECT weir.flush('events');
SELECT watermark, late FROM weir.partitions WHERE view_name = 'v'::regclass AND partition = 1;

-- A view that begins later decides for itself, from what it has read.
SELECT weir.create_view('again', $$ SELECT weir.tumble(ts, '10 s') AS w, kind, count(*) FROM events GROUP BY 1, 2 $$);
SELECT weir.flush('again');
SELECT count(*) FROM (SELECT * FROM v EXCEPT ALL SELECT * FROM again) d;
SELECT count(*) FROM (SELECT * FROM again EXCEPT ALL SELECT * FROM v) d;
SELECT a.events = v.events AS events, a.late = v.late AS late FROM weir.status a, weir.status v WHERE a.view_name = 'again'::regclass AND v.view_name = 'v'::regclass;

-- Without a delay every step back over an end is late; with a delay of days nothing.
CREATE FOREIGN TABLE strict (kind text, ts timestamptz, part int OPTIONS (metadata 'partition')) SERVER view_late OPTIONS (topic 'view_late_2', event_time 'ts');
CREATE FOREIGN TABLE generous (kind text, ts timestamptz, part int OPTIONS (metadata 'partition')) SERVER view_late OPTIONS (topic 'view_late_2', event_time 'ts', watermark_delay '10 days');
SELECT weir.create_view('strict_v', $$ SELECT weir.tumble(ts, '1 us') AS w, count(*) FROM strict GROUP BY 1 $$);
SELECT weir.create_view('generous_v', $$ SELECT weir.tumble(ts, '1 us') AS w, count(*) FROM generous GROUP BY 1 $$);
INSERT INTO strict SELECT 'x', at(1000 - g), 2 FROM generate_series(0, 99) g;
INSERT INTO strict SELECT 'x', at(1000), 2 FROM generate_series(0, 9) g;
SELECT weir.flush('strict');
SELECT weir.flush('generous');
SELECT view_name, events, late FROM weir.status WHERE view_name IN ('strict_v'::regclass, 'generous_v'::regclass) ORDER BY view_name::text;
SELECT * FROM strict_v;
SELECT * FROM differ('generous_v');

DROP SCHEMA view_late CASCADE;
DROP SERVER view_late;
