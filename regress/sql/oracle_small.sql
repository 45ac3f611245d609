-- The oracle: what a view must hold, to the last row, computed by a batch query
-- over the topic: a pair of record and window counts iff the window's end +
-- lateness is after the watermark that the record's partition had before it.
\set ECHO errors
\getenv srcdir PG_ABS_SRCDIR
\set lib :srcdir /lib/views.sql
\set test oracle_small
\i :lib
\set ECHO all
CREATE FOREIGN TABLE events (
    kind text, n int, amount float8, ts timestamptz, part int OPTIONS (metadata 'partition'), off bigint OPTIONS (metadata 'offset')
) SERVER oracle_small OPTIONS (topic 'oracle_small', event_time 'ts', watermark_delay '3 s', idle_timeout '1 day');
CREATE FOREIGN TABLE raw (message text, part int OPTIONS (metadata 'partition')) SERVER oracle_small OPTIONS (topic 'oracle_small', format 'raw');
CREATE FUNCTION oracle(size interval, lateness interval, delay interval DEFAULT '3 s')
    RETURNS TABLE (w timestamptz, kind text, count bigint, sum bigint, total float8) LANGUAGE sql AS $$
    SELECT w, kind, count(*), sum(n), sum(amount) FROM (
        SELECT *, weir.tumble(ts, size) AS w, max(ts) OVER (PARTITION BY part ORDER BY off ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) - delay AS watermark FROM events) e
    WHERE (w + size + lateness > watermark OR watermark IS NULL) AND kind <> 'dropped'
    GROUP BY 1, 2 $$;
CREATE FUNCTION late(size interval, lateness interval, delay interval DEFAULT '3 s') RETURNS bigint LANGUAGE sql AS $$
    SELECT count(*) FROM (
        SELECT *, weir.tumble(ts, size) AS w, max(ts) OVER (PARTITION BY part ORDER BY off ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) - delay AS watermark FROM events) e
    WHERE w + size + lateness <= watermark AND kind <> 'dropped' $$;

CREATE TABLE shapes AS SELECT format('v%s_%s', s, l) AS v, s * interval '1 s' AS size, l * interval '1 s' AS lateness FROM unnest('{1,7,60}'::int[]) s, unnest('{0,2,30}'::int[]) l;
BEGIN;
SELECT weir.create_view(v, format('SELECT weir.tumble(ts, %L) AS w, kind, count(*), sum(n), sum(amount) AS total FROM events WHERE kind <> ''dropped'' GROUP BY 1, 2', size), lateness => lateness) FROM shapes;
COMMIT;
CREATE FUNCTION compare(OUT v text, OUT too_much bigint, OUT too_little bigint, OUT late_right boolean, OUT some_late boolean) RETURNS SETOF record LANGUAGE plpgsql AS $$
DECLARE
    s record;
BEGIN
    FOR s IN SELECT * FROM shapes ORDER BY shapes.v LOOP
        v := s.v;
        EXECUTE format('SELECT count(*) FROM (SELECT * FROM %I EXCEPT ALL SELECT * FROM oracle(%L, %L)) d', s.v, s.size, s.lateness) INTO too_much;
        EXECUTE format('SELECT count(*) FROM (SELECT * FROM oracle(%2$L, %3$L) EXCEPT ALL SELECT * FROM %1$I) d', s.v, s.size, s.lateness) INTO too_little;
        SELECT late = late(s.size, s.lateness), late > 0 INTO late_right, some_late FROM weir.status WHERE view_name = s.v::regclass;
        RETURN NEXT;
    END LOOP;
END $$;

-- Disorder, partitions that drift apart, ties, jumps, a few messages that are
-- malformed; in batches of many sizes.  hashint4 makes it random and repeatable.
CREATE FUNCTION batch(first int, last int) RETURNS void LANGUAGE sql AS $$
    INSERT INTO events (kind, n, amount, ts, part)
    SELECT (ARRAY['a', 'b', 'c', NULL, 'dropped'])[1 + (r & 127) % 5], r % 1000, (r & 1023) / 64.0,
        at(g / 10.0 - (g % 4) * 3 - CASE WHEN r & 7 = 0 THEN (r >> 3 & 255) / 10.0 ELSE (r >> 3 & 31) / 10.0 END), g % 4
    FROM (SELECT g, hashint4(g) & 1073741823 AS r FROM generate_series(first, last) g) x;
    INSERT INTO raw VALUES ('{"ts": "2030-01-01', first % 4) $$;
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
        PERFORM oracle_small.batch(first, first + size - 1);
        COMMIT;
        first := first + size;
    END LOOP;
END $$;
SELECT weir.flush('events');
SELECT * FROM compare();

-- Views that begin later, one after the other, find the same.
SELECT weir.drop_view(v::regclass) FROM shapes WHERE v LIKE 'v7%';
SELECT weir.create_view(v, format('SELECT weir.tumble(ts, %L) AS w, kind, count(*), sum(n), sum(amount) AS total FROM events WHERE kind <> ''dropped'' GROUP BY 1, 2', size), lateness => lateness) FROM shapes WHERE v LIKE 'v7%';
SELECT batch(4001, 4500);
SELECT weir.flush('events');
SELECT * FROM compare();
-- And pausing and resetting change nothing.
SELECT weir.pause('v1_0');
SELECT weir.reset('v60_2', 'earliest');
SELECT batch(4501, 5000);
SELECT weir.resume('v1_0');
SELECT weir.reset('v60_30', 'earliest');
SELECT batch(5001, 5500);
SELECT weir.flush('events');
SELECT * FROM compare();
INSERT INTO events SELECT 'end', 0, 0, at(100000), p FROM generate_series(0, 3) p;
SELECT weir.flush('events');
SELECT * FROM compare();
SELECT v, open FROM shapes, windows(v) WHERE open <> 1;

DROP SCHEMA oracle_small CASCADE;
DROP SERVER oracle_small;
