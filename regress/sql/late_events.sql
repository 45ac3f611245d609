-- Late events that are kept: weir.create_view(..., keep_late => true).
\set ECHO errors
\getenv srcdir PG_ABS_SRCDIR
\set lib :srcdir /lib/views.sql
\set test late_events
\i :lib
\set ECHO all
CREATE FOREIGN TABLE events (
    kind text, n int, ts timestamptz, part int OPTIONS (metadata 'partition'), key text OPTIONS (metadata 'key'), stamp timestamptz OPTIONS (metadata 'timestamp')
) SERVER late_events OPTIONS (topic 'late_events', event_time 'ts', watermark_delay '5 s');
CREATE FOREIGN TABLE raw (message text, part int OPTIONS (metadata 'partition')) SERVER late_events OPTIONS (topic 'late_events', format 'raw');
SELECT weir.create_view('v', $$ SELECT weir.tumble(ts, '10 s') AS w, count(*) FROM events WHERE kind <> 'debug' GROUP BY 1 $$, keep_late => NULL);
BEGIN;
SELECT weir.create_view('v', $$ SELECT weir.tumble(ts, '10 s') AS w, count(*) FROM events WHERE kind <> 'debug' GROUP BY 1 $$, keep_late => true);
SELECT weir.create_view('patient', $$ SELECT weir.tumble(ts, '10 s') AS w, count(*) FROM events WHERE kind <> 'debug' GROUP BY 1 $$, lateness => '10 s', keep_late => true);
SELECT weir.create_view('forgets', $$ SELECT weir.tumble(ts, '10 s') AS w, count(*) FROM events GROUP BY 1 $$);
SELECT weir.create_view('fails', $$ SELECT weir.tumble(ts, '10 s') AS w, sum(1 / n) FROM events GROUP BY 1 $$, keep_late => true);
COMMIT;
SELECT view, keep_late FROM weir.views WHERE stream = 'events'::regclass ORDER BY id;

-- What is kept of them; what WHERE drops is not late.
INSERT INTO events (kind, n, ts, part, key, stamp) VALUES ('in time', 1, at(9), 0, NULL, at(9)), ('mover', 1, at(15), 0, NULL, at(15)), ('late', 2, at(9.5), 0, 'k', at(16)), ('debug', 1, at(9.5), 0, NULL, at(17)), ('mover', 1, at(35), 0, NULL, at(35)), ('late', 3, at(19), 0, '', at(36)), ('late for both', 4, at(0), 0, NULL, at(37)), ('in time', 5, at(31), 0, NULL, at(38));
SELECT weir.flush('events');
SELECT view, partition, "offset", timestamp, encode(key, 'escape') AS key, event_time, window_start, window_end, late_by FROM weir.late_events WHERE stream = 'events'::regclass AND view <> 'fails'::regclass ORDER BY "offset", view::text;
SELECT "offset", "row", "row" = encode(payload, 'escape')::jsonb AS same FROM weir.late_events WHERE view = 'v'::regclass ORDER BY 1;
SELECT bool_and(recorded_at BETWEEN now() - interval '1 hour' AND now()) FROM weir.late_events;
-- As many as are counted, in every view that keeps them.
CREATE FUNCTION counts(OUT view regclass, OUT late bigint, OUT kept bigint) RETURNS SETOF record LANGUAGE sql AS $$
    SELECT s.view_name, s.late, (SELECT count(*) FROM weir.late_events l WHERE l.view = s.view_name)
    FROM weir.status s WHERE s.stream = 'events'::regclass ORDER BY s.view_name::text $$;
SELECT * FROM counts();

-- A batch that is repeated row by row keeps each of them once.
INSERT INTO events VALUES ('fails', 0, at(36), 0), ('late', 6, at(3), 0), ('fails', 0, at(36), 0), ('late', 7, at(4), 0), ('late and would fail', 0, at(5), 0);
SELECT weir.flush('events');
SELECT * FROM counts();
SELECT "offset", reason FROM weir.dead_letters WHERE view = 'fails'::regclass ORDER BY 1;

-- What was idle when its windows closed is late by what was closed.
ALTER FOREIGN TABLE events OPTIONS (ADD idle_timeout '100 ms');
SELECT wait_for($$(SELECT count(*) = 2 FROM v_final)$$);
INSERT INTO events VALUES ('late', 8, at(12), 1);
SELECT weir.flush('events');
SELECT partition, event_time, window_end, late_by, "row"->>'n' AS n FROM weir.late_events WHERE view = 'v'::regclass AND partition = 1;
SELECT * FROM counts();

-- Messages that are no jsonb, but JSON: never an error.
INSERT INTO raw VALUES ('{"ts": "2024-01-01T00:00:01Z", "kind": "late", "note": "a\u0000b"}', 0), ('{"ts": "2024-01-01T00:00:01Z", "kind": "late", "x": 1e400000}', 0), (repeat(' ', 100) || '{"ts": "2024-01-01T00:00:01Z", "kind": "late", "x": "é"}', 0);
SELECT weir.flush('events');
SELECT "row", length(payload) FROM weir.late_events WHERE view = 'v'::regclass AND "offset" >= 13 AND partition = 0 ORDER BY "offset";
SELECT * FROM counts();
-- Raw ones, late by Kafka's timestamp.
CREATE FOREIGN TABLE stamped (message text, part int OPTIONS (metadata 'partition'), at timestamptz OPTIONS (metadata 'timestamp')) SERVER late_events OPTIONS (topic 'late_events_raw', format 'raw');
SELECT weir.create_view('stamped_v', $$ SELECT weir.tumble(at, '10 s') AS w, count(*) FROM stamped GROUP BY 1 $$, keep_late => true);
INSERT INTO stamped VALUES ('mover', 2, at(100)), ('no JSON', 2, at(1)), ('{"a": 1}', 2, at(2)), ('', 2, at(3));
SELECT weir.flush('stamped');
SELECT "offset", event_time, late_by, encode(payload, 'escape') AS payload, "row" FROM weir.late_events WHERE stream = 'stamped'::regclass ORDER BY 1;

-- reset throws them away and finds them again, but for the one that was late only
-- because its partition had been idle; another view has its own.
CREATE TABLE before AS SELECT view, partition, "offset", payload, event_time, window_start, late_by FROM weir.late_events WHERE view = 'patient'::regclass AND partition = 0;
SELECT weir.reset('patient', 'earliest');
SELECT weir.create_view('again', $$ SELECT weir.tumble(ts, '10 s') AS w, count(*) FROM events WHERE kind <> 'debug' GROUP BY 1 $$, lateness => '10 s', keep_late => true);
SELECT weir.flush('events');
SELECT count(*) FROM (TABLE before EXCEPT ALL SELECT view, partition, "offset", payload, event_time, window_start, late_by FROM weir.late_events WHERE view = 'patient'::regclass) d;
SELECT count(*) FROM (SELECT partition, "offset", window_start FROM before EXCEPT ALL SELECT partition, "offset", window_start FROM weir.late_events WHERE view = 'again'::regclass) d;
SELECT * FROM counts();
BEGIN;
SELECT weir.reset('v', 'latest');
SELECT count(*) FROM weir.late_events WHERE view = 'v'::regclass;
ROLLBACK;
SELECT count(*) > 0 FROM weir.late_events WHERE view = 'v'::regclass;
SELECT weir.reset('v', 'latest');
SELECT count(*) FROM weir.late_events WHERE view = 'v'::regclass;
-- They go with their view.
SELECT weir.drop_view('again');
SELECT count(*) FROM weir.late_events l WHERE NOT EXISTS (SELECT FROM weir.views v WHERE v.view = l.view);

-- Who may read the stream may read them.
CREATE ROLE regress_weir_late;
SET ROLE regress_weir_late;
SELECT count(*) FROM weir.late_events;
SELECT count(*) FROM weir.late_event_log;
RESET ROLE;
GRANT SELECT ON stamped TO regress_weir_late;
SET ROLE regress_weir_late;
SELECT DISTINCT stream::text FROM weir.late_events;
RESET ROLE;
REVOKE ALL ON stamped FROM regress_weir_late;
DROP ROLE regress_weir_late;

DROP SCHEMA late_events CASCADE;
SELECT count(*) FROM weir.late_events;
DROP SERVER late_events;
