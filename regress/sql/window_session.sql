-- Sessions: which events are in one, how they merge over partitions, when they are
-- final, against gaps and islands over all events of the topic.
\set ECHO errors
\getenv srcdir PG_ABS_SRCDIR
\set lib :srcdir /lib/views.sql
\set test window_session
\i :lib
\set ECHO all
CREATE FOREIGN TABLE events (
    kind text, n int, amount float8, ts timestamptz, part int OPTIONS (metadata 'partition'), off bigint OPTIONS (metadata 'offset')
) SERVER window_session OPTIONS (topic 'window_session', event_time 'ts', watermark_delay '3 s', idle_timeout '1 day');
CREATE FUNCTION oracle(gap interval, lateness interval, delay interval DEFAULT '3 s')
    RETURNS TABLE (session tstzrange, kind text, count bigint, sum bigint, total float8, lowest text) LANGUAGE sql AS $$
    SELECT tstzrange(min(ts), max(ts) + gap), kind, count(*), sum(n), sum(amount), min(kind || n) FROM (
        SELECT *, sum(begins::int) OVER (PARTITION BY kind ORDER BY ts, part, off) AS number FROM (
            SELECT *, coalesce(ts - lag(ts) OVER (PARTITION BY kind ORDER BY ts, part, off) >= gap, true) AS begins FROM (
                SELECT *, max(ts) OVER (PARTITION BY part ORDER BY off ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) - delay AS watermark FROM events) w
            WHERE (ts >= watermark - lateness OR watermark IS NULL) AND kind IS DISTINCT FROM 'dropped') b) s
    GROUP BY kind, number $$;
CREATE FUNCTION late(lateness interval, delay interval DEFAULT '3 s') RETURNS bigint LANGUAGE sql AS $$
    SELECT count(*) FROM (SELECT *, max(ts) OVER (PARTITION BY part ORDER BY off ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) - delay AS watermark FROM events) w
    WHERE ts < watermark - lateness AND kind IS DISTINCT FROM 'dropped' $$;
CREATE TABLE shapes AS SELECT format('v%s_%s', s, l) AS v, s * interval '100 ms' AS gap, l * interval '1 s' AS lateness FROM unnest('{3,20,70,600}'::int[]) s, unnest('{0,2,30}'::int[]) l;
BEGIN;
SELECT weir.create_view(v, format('SELECT weir.session(ts, %L) AS session, kind, count(*), sum(n), sum(amount) AS total, min(kind || n) AS lowest FROM events WHERE kind IS DISTINCT FROM ''dropped'' GROUP BY 1, 2', gap), lateness => lateness) FROM shapes;
COMMIT;
CREATE FUNCTION compare(OUT v text, OUT too_much bigint, OUT too_little bigint, OUT late_right boolean, OUT some_late boolean, OUT closed_right boolean) RETURNS SETOF record LANGUAGE plpgsql AS $$
DECLARE
    s record;
    wrong bigint;
BEGIN
    FOR s IN SELECT * FROM shapes ORDER BY shapes.v LOOP
        v := s.v;
        EXECUTE format('SELECT count(*) FROM (SELECT * FROM %I EXCEPT ALL SELECT * FROM oracle(%L, %L)) d', s.v, s.gap, s.lateness) INTO too_much;
        EXECUTE format('SELECT count(*) FROM (SELECT * FROM oracle(%2$L, %3$L) EXCEPT ALL SELECT * FROM %1$I) d', s.v, s.gap, s.lateness) INTO too_little;
        SELECT late = late(s.lateness), late > 0 INTO late_right, some_late FROM weir.status WHERE view_name = s.v::regclass;
        EXECUTE format('SELECT count(*) FROM weir.status x WHERE view_name = %1$L::regclass AND (EXISTS (SELECT FROM %2$I WHERE upper(session) + %4$L::interval > x.closed_upto) OR EXISTS (SELECT FROM %3$I WHERE upper(session) + %4$L::interval <= x.closed_upto))',
            s.v, s.v || '_final', s.v || '_open', s.lateness) INTO wrong;
        closed_right := wrong = 0;
        RETURN NEXT;
    END LOOP;
END $$;

-- A few by hand: the end begins another session, one in between makes one of two.
INSERT INTO events VALUES ('hand', 1, 1, at(0), 0), ('hand', 2, 1, at(2), 0), ('hand', 4, 1, at(3.9), 1), ('hand', 8, 1, at(10), 1), ('hand', 16, 1, at(7), 2), ('hand', 32, 1, at(8.5), 2);
SELECT weir.flush('events');
SELECT * FROM v20_2 ORDER BY 1;
SELECT lower(session), upper(session), count FROM v20_2_open WHERE session @> at(8);
SELECT * FROM compare();

-- Disorder, partitions that drift apart, ties, jumps; in batches of many sizes.
CREATE FUNCTION batch(first int, last int) RETURNS void LANGUAGE sql AS $$
    INSERT INTO events (kind, n, amount, ts, part)
    SELECT (ARRAY['a', 'b', 'c', NULL, 'dropped', 'd', 'e'])[1 + (r & 127) % 7], r % 1000, (r & 1023) / 64.0,
        at(20 + g / 10.0 - (g % 4) * 3 - CASE WHEN r & 7 = 0 THEN (r >> 3 & 255) / 10.0 ELSE (r >> 3 & 31) / 10.0 END), g % 4
    FROM (SELECT g, hashint4(g) & 1073741823 AS r FROM generate_series(first, last) g) x $$;
SELECT batch(1, 1000);
SELECT weir.flush('events');
SELECT * FROM compare();
DO $$
DECLARE
    first int := 1001;
    size int;
BEGIN
    WHILE first < 4000 LOOP
        size := 1 + (hashint4(first) & 127);
        PERFORM window_session.batch(first, first + size - 1);
        COMMIT;
        first := first + size;
    END LOOP;
END $$;
SELECT weir.flush('events');
SELECT * FROM compare();

-- A view that begins later, pausing and resetting: the same.
SELECT weir.drop_view(v::regclass) FROM shapes WHERE v LIKE 'v70%';
SELECT weir.create_view(v, format('SELECT weir.session(ts, %L) AS session, kind, count(*), sum(n), sum(amount) AS total, min(kind || n) AS lowest FROM events WHERE kind IS DISTINCT FROM ''dropped'' GROUP BY 1, 2', gap), lateness => lateness) FROM shapes WHERE v LIKE 'v70%';
SELECT batch(4001, 4500);
SELECT weir.flush('events');
SELECT weir.pause('v20_0');
SELECT weir.pause('v600_0');
SELECT * FROM compare() WHERE v IN ('v20_0', 'v600_0');
SELECT weir.reset('v20_2', 'earliest');
SELECT weir.resume('v20_0');
SELECT weir.resume('v600_0');
SELECT batch(4501, 5500);
SELECT weir.flush('events');
SELECT * FROM compare();
INSERT INTO events SELECT 'end', 0, 0, at(100000), p FROM generate_series(0, 3) p;
SELECT weir.flush('events');
SELECT * FROM compare();
SELECT v, open FROM shapes, windows(v) WHERE open <> 1;

-- What is closed leaves the log and the memory.
SELECT weir.checkpoint('events');
SELECT wait_for($$(SELECT max(memory) < 100000 FROM weir.status WHERE stream = 'events'::regclass)$$);
SELECT max(x) < 5000 AS small FROM (SELECT sum(length(data)) AS x FROM weir.state s JOIN weir.views v ON v.id = s.view WHERE v.stream = 'events'::regclass GROUP BY v.id) y;
DROP FOREIGN TABLE events CASCADE;

-- One session a key, many keys; without other keys; HAVING; expressions over the session.
CREATE FOREIGN TABLE clicks (usr int, page text, ts timestamptz, part int OPTIONS (metadata 'partition'))
    SERVER window_session OPTIONS (topic 'window_session_clicks', event_time 'ts', watermark_delay '5 s', idle_timeout '1 day');
SELECT weir.create_view('visits', $$ SELECT usr, upper(weir.session(ts, '10 s')) - lower(weir.session(ts, '10 s')) - interval '10 s' AS lasted, count(*), max(page) AS page
    FROM clicks GROUP BY usr, weir.session(ts, '10 s') HAVING count(*) > 1 $$);
SELECT weir.create_view('busy', $$ SELECT weir.session(ts, '1 s') AS session, count(*) FROM clicks GROUP BY 1 $$, keep_late => true);
INSERT INTO clicks SELECT g % 50, 'p' || g % 7, at(g / 20.0), g % 4 FROM generate_series(1, 2000) g WHERE g % 400 < 350;
SELECT weir.flush('clicks');
SELECT * FROM busy ORDER BY 1;
SELECT count(*), sum(count), min(lasted), max(lasted) FROM visits;
SELECT * FROM windows('busy');
INSERT INTO clicks VALUES (1, 'late', at(1), 0);
SELECT weir.flush('clicks');
SELECT window_start, window_end, late_by FROM weir.late_events WHERE view = 'busy'::regclass;
SELECT late FROM weir.status WHERE view_name = 'busy'::regclass;
SELECT attname, atttypid::regtype FROM pg_attribute WHERE attrelid = 'busy_final'::regclass AND attnum > 0;
SELECT bool_and(weir_window = upper(session)) FROM busy_final;
SELECT weir.advance_watermark('busy', at(200));
SELECT weir.flush('busy');
SELECT * FROM windows('busy');

-- Sessions of a stream whose times have no zone.
CREATE FOREIGN TABLE plain (n int, ts timestamp, part int OPTIONS (metadata 'partition'))
    SERVER window_session OPTIONS (topic 'window_session_plain', event_time 'ts');
SELECT weir.create_view('plainly', $$ SELECT weir.session(ts, '1 minute') AS s, sum(n) FROM plain GROUP BY 1 $$);
INSERT INTO plain VALUES (1, '2024-01-01 00:00:00', 0), (2, '2024-01-01 00:00:59.999999', 0), (4, '2024-01-01 00:02:00', 0);
SELECT weir.flush('plain');
SELECT * FROM plainly ORDER BY 1;

-- A gap so long that a session would end beyond all times.
SELECT weir.create_view('endless', $$ SELECT weir.session(ts, '106751990 days') AS s, sum(n) FROM plain GROUP BY 1 $$);
SELECT weir.flush('endless');
SELECT (SELECT count(*) FROM endless) AS sessions, count(*) AS letters, min(reason) AS reason FROM weir.dead_letters WHERE view = 'endless'::regclass;

-- What is refused.
SELECT weir.session(at(1), '1 s');
SELECT * FROM busy_query;
SELECT weir.create_view('x', $$ SELECT count(*) FROM clicks WHERE lower(weir.session(ts, '1 s')) > '2024-01-01' GROUP BY weir.session(ts, '1 s') $$);
SELECT weir.create_view('x', $$ SELECT count(weir.session(ts, '1 s')) FROM clicks GROUP BY usr $$);
SELECT weir.create_view('x', $$ SELECT count(*) FROM clicks GROUP BY lower(weir.session(ts, '1 s')) $$);
SELECT weir.create_view('x', $$ SELECT count(*) FROM clicks GROUP BY weir.session(ts, '1 s'), weir.tumble(ts, '1 s') $$);
SELECT weir.create_view('x', $$ SELECT count(*) FROM clicks GROUP BY weir.session(ts, '0 s') $$);
SELECT weir.create_view('x', $$ SELECT count(*) FROM clicks GROUP BY weir.session(ts, '1 month') $$);
SELECT weir.create_view('x', $$ SELECT count(*) FROM clicks GROUP BY weir.session(ts, usr * interval '1 s') $$);
SELECT weir.create_view('x', $$ SELECT count(*) FROM clicks GROUP BY weir.session(ts + interval '1 s', '1 s') $$);

DROP SCHEMA window_session CASCADE;
DROP SERVER window_session;
