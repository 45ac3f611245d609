-- Hopping and cumulating windows: as functions, and in views against the oracle
-- of oracle_small, pair by pair of event and window.
\set ECHO errors
\getenv srcdir PG_ABS_SRCDIR
\set lib :srcdir /lib/views.sql
\set test windows_hop
\i :lib
\set ECHO all
-- A window at every multiple of the slide that holds the time, those before the
-- first event and before 1970 too; at the exact boundaries; with gaps.
SELECT weir.hop(timestamptz '2024-01-01 00:00:05+00', '10 s', '4 s');
SELECT weir.hop(timestamp '2024-01-01 00:00:04', '10 s', '5 s');
SELECT weir.hop(timestamptz '1969-12-31 23:59:59.999999+00', '10 s', '5 s');
SELECT weir.hop(timestamptz '1970-01-01 00:00:00+00', '10 s', '5 s');
SELECT s, weir.hop(at(s), '3 s', '10 s') FROM generate_series(0, 11) s;
SELECT weir.hop(at(0), '1 s', '1 s', at(0.25));
SELECT weir.hop(timestamptz 'infinity', '10 s', '5 s'), weir.hop(timestamp '-infinity', '10 s', '5 s');
SELECT count(*) FROM weir.hop(NULL::timestamptz, '10 s', '5 s');
-- The ends of windows that begin together.
SELECT weir.cumulate(timestamptz '2024-01-01 00:00:05+00', '4 s', '12 s');
SELECT weir.cumulate(timestamp '2024-01-01 00:00:12', '4 s', '12 s');
SELECT weir.cumulate(timestamptz '1969-12-31 23:59:59.999999+00', '4 s', '12 s');
SELECT weir.cumulate(at(0), '1 day', '2 days', at(0)) AS ends, weir.tumble(weir.cumulate(at(0), '1 day', '2 days', at(0)) - interval '1 us', '2 days', at(0)) AS starts;
-- What no window can be.
SELECT weir.hop(at(0), '1 month', '1 s');
SELECT weir.hop(at(0), '10 s', '0 s');
SELECT weir.hop(at(0), '-10 s', '1 s');
SELECT weir.hop(at(0), '10 s', '1 s', 'infinity');
SELECT weir.cumulate(at(0), '4 s', '10 s');
SELECT weir.cumulate(at(0), '10 s', '4 s');
SELECT weir.hop(timestamptz '294276-12-31 23:59:59+00', '10 s', '5 s');
SELECT weir.hop(timestamp '4714-11-24 00:00:04 BC', '10 s', '5 s');
SELECT weir.cumulate(timestamp '294276-12-31 23:59:59', '5 s', '10 s');

CREATE FOREIGN TABLE events (
    kind text, n int, amount float8, ts timestamptz, part int OPTIONS (metadata 'partition'), off bigint OPTIONS (metadata 'offset')
) SERVER windows_hop OPTIONS (topic 'windows_hop', event_time 'ts', watermark_delay '3 s', idle_timeout '1 day');
-- Refused.
SELECT weir.create_view('x', $$ SELECT weir.hop(ts, '1 day', '1 s') AS w, count(*) FROM events GROUP BY 1 $$);
SELECT weir.create_view('x', $$ SELECT weir.cumulate(ts, '7 s', '10 s') AS w, count(*) FROM events GROUP BY 1 $$);
SELECT weir.create_view('x', $$ SELECT weir.hop(ts, '10 s', n * interval '1 s') AS w, count(*) FROM events GROUP BY 1, n $$);
SELECT weir.create_view('x', $$ SELECT weir.hop(ts, '10 s', '5 s') AS w, count(*) FROM events GROUP BY 1, weir.tumble(ts, '5 s') $$);
SELECT weir.create_view('x', $$ SELECT weir.hop(max(ts), '10 s', '5 s') AS w, count(*) FROM events GROUP BY weir.tumble(ts, '5 s') $$);
SELECT weir.create_view('x', $$ SELECT weir.hop(ts, '10 s', '5 s') AS w, generate_series(1, 2), count(*) FROM events GROUP BY 1 $$);

CREATE TABLE shapes (v text, fn text, length interval, lateness interval);
INSERT INTO shapes VALUES
    ('hop_even', 'weir.hop(ts, ''12 s'', ''2 s'')', '12 s', '0'),
    ('hop_odd', 'weir.hop(ts, ''10 s'', ''3 s'')', '10 s', '0'),
    ('hop_patient', 'weir.hop(ts, ''10 s'', ''3.000001 s'')', '10 s', '7 s'),
    ('hop_one', 'weir.hop(ts, ''5 s'', ''5 s'', ''2024-01-01 00:00:01.5+00'')', '5 s', '2 s'),
    ('hop_gaps', 'weir.hop(ts, ''3 s'', ''10 s'')', '3 s', '1 s'),
    ('hop_many', 'weir.hop(ts, ''60 s'', ''1 s'')', '60 s', '5 s'),
    ('sums', 'weir.cumulate(ts, ''2 s'', ''12 s'')', '0', '0'),
    ('sums_patient', 'weir.cumulate(ts, ''1 s'', ''60 s'')', '0', '4 s');
-- The query over some rows: as it is written, but for where it reads from.
CREATE FUNCTION query(fn text, source text, kept text DEFAULT '') RETURNS text LANGUAGE sql RETURN format(
    'SELECT %s AS w, kind, count(*), sum(n), sum(amount) AS total, sum(n::numeric) AS exact, max(kind) AS most, min(n) AS least FROM %s WHERE %s kind <> ''dropped'' GROUP BY 1, 2', fn, source, kept);
BEGIN;
SELECT weir.create_view(v, query(fn, 'events'), lateness => lateness, keep_late => true) FROM shapes;
COMMIT;

-- Pairs of event and window, and whether they are late.
CREATE FUNCTION pairs(fn text, length interval, lateness interval) RETURNS text LANGUAGE sql RETURN format(
    'SELECT e.*, w, coalesce(w + interval %L + interval %L <= watermark, false) AS late FROM (
        SELECT *, max(ts) OVER (PARTITION BY part ORDER BY off ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) - interval ''3 s'' AS watermark FROM archive) e, LATERAL %s AS w
    WHERE kind <> ''dropped''', length, lateness, fn);
CREATE FUNCTION compare(OUT v text, OUT too_much bigint, OUT too_little bigint, OUT late_right boolean, OUT some_late boolean, OUT kept_right boolean) RETURNS SETOF record LANGUAGE plpgsql AS $$
DECLARE
    s record;
    ought text;
    p text;
BEGIN
    DROP TABLE IF EXISTS archive;
    CREATE TABLE archive AS SELECT * FROM events;
    FOR s IN SELECT * FROM shapes ORDER BY shapes.v LOOP
        v := s.v;
        p := pairs(s.fn, s.length, s.lateness);
        ought := query('w', format('(%s) p', p), 'NOT late AND');
        EXECUTE format('SELECT count(*) FROM (SELECT * FROM %I EXCEPT ALL %s) d', s.v, ought) INTO too_much;
        EXECUTE format('SELECT count(*) FROM (%s EXCEPT ALL SELECT * FROM %I) d', ought, s.v) INTO too_little;
        EXECUTE format('SELECT late = (SELECT count(*) FROM (%s) p WHERE late), late > 0 FROM weir.status WHERE view_name = %L::regclass', p, s.v) INTO late_right, some_late;
        EXECUTE format('SELECT (SELECT count(*) FROM (SELECT partition, "offset", window_end FROM weir.late_events WHERE view = %L::regclass EXCEPT ALL SELECT part, off, w + %L FROM (%s) p WHERE late) d) = 0
            AND late = (SELECT count(*) FROM weir.late_events WHERE view = %1$L::regclass) FROM weir.status WHERE view_name = %1$L::regclass', s.v, s.length, p) INTO kept_right;
        RETURN NEXT;
    END LOOP;
END $$;
CREATE FUNCTION batch(first int, last int) RETURNS void LANGUAGE sql AS $$
    INSERT INTO events (kind, n, amount, ts, part)
    SELECT (ARRAY['a', 'b', 'c', NULL, 'dropped'])[1 + (r & 127) % 5], r % 1000, (r & 1023) / 64.0,
        at(g / 10.0 - (g % 4) * 3 - CASE WHEN r & 7 = 0 THEN (r >> 3 & 255) / 10.0 ELSE (r >> 3 & 31) / 10.0 END), g % 4
    FROM (SELECT g, hashint4(g) & 1073741823 AS r FROM generate_series(first, last) g) x $$;
SELECT batch(1, 600);
SELECT weir.flush('events');
SELECT * FROM compare();
DO $$
DECLARE
    first int := 601;
    size int;
BEGIN
    WHILE first < 2000 LOOP
        size := 1 + (hashint4(first) & 127);
        PERFORM windows_hop.batch(first, first + size - 1);
        COMMIT;
        first := first + size;
    END LOOP;
END $$;
SELECT weir.flush('events');
SELECT * FROM compare();
-- Read from the log while they are paused, and from what was restored of it.
SELECT weir.pause(v::regclass) FROM shapes;
SELECT sum(too_much), sum(too_little) FROM compare();
SELECT weir.resume(v::regclass) FROM shapes;
SELECT weir.flush('events');
SELECT * FROM compare();
SELECT batch(2001, 2600);
SELECT weir.flush('events');
SELECT * FROM compare();
-- One that begins later finds the same, and so does one that is reset.
SELECT weir.drop_view('hop_odd'), weir.reset('hop_patient', 'earliest');
SELECT weir.create_view(v, query(fn, 'events'), lateness => lateness, keep_late => true) FROM shapes WHERE v = 'hop_odd';
SELECT batch(2601, 2700);
SELECT weir.flush('events');
SELECT * FROM compare();
-- At the end every window is final but those of the last event.
INSERT INTO events SELECT 'end', 0, 0, at(100000), p FROM generate_series(0, 3) p;
SELECT weir.flush('events');
SELECT * FROM compare();
SELECT v, open, windows_open FROM shapes, windows(v), weir.status WHERE view_name = v::regclass ORDER BY 1;
SELECT v, windows_final = (SELECT count(DISTINCT w) FROM hop_even_final) AS finals FROM shapes, weir.status WHERE view_name = v::regclass AND v = 'hop_even';
-- A far-off event does not make windows in between.
INSERT INTO events SELECT 'far', 0, 0, at(-1e9), 0;
INSERT INTO events SELECT 'end', 0, 0, at(200000), p FROM generate_series(0, 3) p;
SELECT weir.flush('events');
SELECT * FROM compare();

-- In the select list, hidden, and with both of its ends.
SELECT weir.create_view('ends', $$ SELECT weir.hop(ts, '10 s', '5 s') AS starts, weir.hop(ts, '10 s', '5 s') + interval '10 s' AS ends, count(*) FROM events GROUP BY 1 $$);
SELECT weir.create_view('hidden', $$ SELECT kind, count(*) FROM events GROUP BY weir.cumulate(ts, '5 s', '10 s'), 1 $$);
SELECT weir.flush('events');
SELECT * FROM ends WHERE starts >= at(199990) ORDER BY 1;
SELECT count(*) > 100 AS some FROM hidden_final;

-- Nothing closes before there is a closing watermark, whatever the lateness.
CREATE FOREIGN TABLE quiet (ts timestamptz, part int OPTIONS (metadata 'partition')) SERVER windows_hop OPTIONS (topic 'windows_hop_quiet', event_time 'ts', idle_timeout '1 day');
SELECT weir.create_view('quiet_hop', 'SELECT weir.hop(ts, ''10 s'', ''5 s'') AS w, count(*) FROM quiet GROUP BY 1', lateness => '1 s'), weir.create_view('quiet_tumble', 'SELECT weir.tumble(ts, ''10 s'') AS w, count(*) FROM quiet GROUP BY 1', lateness => '1 s');
INSERT INTO quiet SELECT at(s), 0 FROM generate_series(0, 99) s;
SELECT weir.flush('quiet');
INSERT INTO quiet SELECT at(100), 0;
SELECT weir.flush('quiet');
SELECT * FROM windows('quiet_hop') h, windows('quiet_tumble') t;

DROP SCHEMA windows_hop CASCADE;
DROP SERVER windows_hop;
