-- weir.first, weir.last and weir.topk: over tables against plain SQL, in
-- parallel too, and in views against themselves over the same messages.
\set ECHO errors
\getenv srcdir PG_ABS_SRCDIR
\set lib :srcdir /lib/views.sql
\set test aggregates_own
\i :lib
\set ECHO all
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE FUNCTION sample() RETURNS TABLE (k text, i int, t text, n numeric, f float8, m mood, j json, o int, ts timestamptz) LANGUAGE sql AS $$
    SELECT 'k' || g % 7, nullif(g * 37 % 100, 50), CASE WHEN g % 13 > 0 THEN chr(97 + g * 31 % 26) || g % 50 END, g / 7.0, CASE g % 5 WHEN 0 THEN 'NaN' ELSE g / 8.0 END,
        (ARRAY['sad', 'ok', 'happy'])[1 + g % 3]::mood, json_build_object('g', g % 10), nullif(g * 101 % 500, 77), at(g * 7919 % 1000 / 10.0)
    FROM generate_series(1, 3000) g $$;
CREATE TABLE rows AS SELECT row_number() OVER () AS g, s.* FROM sample() s;
ANALYZE rows;

-- Plain SQL that says the same, ties included: first takes the least value, last the greatest, NULL only if there is no other.
CREATE VIEW said AS SELECT k,
    (array_agg(i ORDER BY ts, i NULLS LAST))[1] AS fi, (array_agg(i ORDER BY ts DESC, i DESC NULLS LAST))[1] AS li,
    (array_agg(t ORDER BY ts, t NULLS LAST))[1] AS ft, (array_agg(t ORDER BY ts DESC, t DESC NULLS LAST))[1] AS lt,
    (array_agg(m ORDER BY o, m) FILTER (WHERE o IS NOT NULL))[1] AS fm, (array_agg(n ORDER BY f DESC, n DESC))[1] AS ln,
    (array_agg(f ORDER BY t COLLATE "C", f) FILTER (WHERE t IS NOT NULL))[1] AS ff, (array_agg(ts ORDER BY m DESC, ts DESC))[1] AS lts
    FROM rows GROUP BY k;
CREATE VIEW did AS SELECT k, weir.first(i, ts) AS fi, weir.last(i, ts) AS li, weir.first(t, ts) AS ft, weir.last(t, ts) AS lt,
    weir.first(m, o) AS fm, weir.last(n, f) AS ln, weir.first(f, t COLLATE "C") AS ff, weir.last(ts, m) AS lts FROM rows GROUP BY k;
(SELECT * FROM said EXCEPT ALL SELECT * FROM did) UNION ALL (SELECT * FROM did EXCEPT ALL SELECT * FROM said);
CREATE VIEW said_topk AS SELECT jsonb_agg(jsonb_build_object('value', m, 'count', c) ORDER BY c DESC, m) AS m FROM (SELECT m, count(*) AS c FROM rows GROUP BY m) x;
SELECT weir.topk(m, 3) = (SELECT m FROM said_topk) AS same, weir.topk(m, 3) FROM rows;
SELECT weir.topk(i, 3), weir.topk(t, 2), weir.topk(f, 2), weir.topk(i > 20, 5), weir.topk(ARRAY[i % 2], 2), weir.topk(i, 3) FILTER (WHERE false), weir.topk(NULL::int, 3) FROM rows;
SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; SET max_parallel_workers_per_gather = 2;
EXPLAIN (COSTS off) SELECT weir.first(i, ts), weir.topk(i, 3) FROM rows;
SELECT weir.first(i, ts), weir.last(t, ts), weir.first(m, o), weir.topk(t, 3), weir.topk(i, 2) FROM rows;
RESET parallel_setup_cost; RESET parallel_tuple_cost; RESET min_parallel_table_scan_size; RESET max_parallel_workers_per_gather;
SELECT weir.first(i, ts), weir.last(t, ts), weir.first(m, o), weir.topk(t, 3), weir.topk(i, 2) FROM rows;
-- Nothing to choose from; one row; the value's own type comes back.
SELECT weir.first(i, ts), weir.topk(i, 1) FROM rows WHERE false;
SELECT weir.first(g, NULL::int) IS NULL AS null, weir.last(NULL::text, g) IS NULL AS value, weir.last(g, g) AS one, pg_typeof(weir.first(g::smallint, g)) FROM generate_series(1, 1) g;
SELECT weir.first(i, 'NaN'::float8) FROM rows WHERE g < 3;
-- More different values than are counted exactly: the frequent ones are found, and their counts are too low by a ten thousandth of the rows at most.
SELECT e->>'value' AS value, (e->>'count')::int BETWEEN CASE e->>'value' WHEN '1' THEN 5000 WHEN '2' THEN 4000 ELSE 3000 END - 20 AND 5000 AS close
    FROM (SELECT weir.topk(CASE WHEN g % 20 = 0 THEN 1 WHEN g % 25 = 1 THEN 2 WHEN g % 30 = 7 THEN 3 ELSE g + 10 END, 3) AS t FROM generate_series(1, 100000) g) x, jsonb_array_elements(t) e;
-- Errors.
SELECT weir.first(i, j) FROM rows;
SELECT weir.topk(j, 1) FROM rows;
SELECT weir.topk(i, 0) FROM rows;
SELECT weir.topk(i, NULL) FROM rows;

-- In views.
CREATE FOREIGN TABLE events (k text, i int, t text, n numeric, f float8, m mood, o int, ts timestamptz, part int OPTIONS (metadata 'partition')) SERVER aggregates_own OPTIONS (topic 'aggregates_own', event_time 'ts', watermark_delay '5 min');
BEGIN;
SELECT weir.create_view('firsts', $$ SELECT weir.tumble(ts, '10 s') AS w, k, weir.first(i, ts) AS fi, weir.last(i, ts) AS li, weir.first(t, ts) AS ft, weir.last(t, ts) AS lt, weir.first(m, o) AS fm, weir.last(n, f) AS ln,
    weir.last(upper(t), length(t)) AS u, weir.first(i, ts) FILTER (WHERE i > 50) AS ff, weir.last(ARRAY[i, o], ts) AS la, weir.first(f, t COLLATE "C") AS fc, weir.last(i, ts) - weir.first(i, ts) AS change FROM events GROUP BY 1, 2 $$);
SELECT weir.create_view('tops', $$ SELECT weir.tumble(ts, '10 s') AS w, weir.topk(k, 3) AS k, weir.topk(i, 5) AS i, weir.topk(t, 2) AS t, weir.topk(m, 1)->0->>'value' AS mode, weir.topk(f, 3) FILTER (WHERE o > 100) AS f, weir.topk(n % 3, 2) AS n FROM events GROUP BY 1 $$);
-- Windows that overlap combine states; without a window they are kept for ever.
SELECT weir.create_view('hops', $$ SELECT weir.hop(ts, '25 s', '10 s') AS w, k, weir.first(i, ts) AS fi, weir.last(t, ts) AS lt, weir.topk(i, 3) AS i, count(DISTINCT i) AS d, array_agg(DISTINCT m) AS m, sum(DISTINCT n) AS s, corr(i, o) IS NULL AS c FROM events GROUP BY 1, 2 $$);
SELECT weir.create_view('totals', $$ SELECT k, weir.first(i, ts) AS fi, weir.last(t, ts) AS lt, weir.topk(i, 3) AS i, count(DISTINCT i) AS d, array_agg(DISTINCT m) AS m FROM events GROUP BY 1 $$);
COMMIT;
INSERT INTO events SELECT k, i, t, n, f, m, o, ts, (row_number() OVER ()) % 4 FROM sample();
SELECT weir.flush('events');
SELECT v, d.* FROM unnest(ARRAY['firsts', 'tops', 'hops', 'totals']) v, differ(v) d;
SELECT * FROM tops ORDER BY w LIMIT 1;
INSERT INTO events (ts, part) SELECT at(10000), p FROM generate_series(0, 3) p;
SELECT weir.flush('events');
SELECT v, d.* FROM unnest(ARRAY['firsts', 'tops', 'hops', 'totals']) v, differ(v) d;
SELECT v, w.* FROM unnest(ARRAY['firsts', 'tops', 'hops']) v, windows(v) w;
SELECT weir.create_view('bad', $$ SELECT weir.tumble(ts, '10 s') AS w, weir.topk(k, i) AS k FROM events GROUP BY 1 $$);
INSERT INTO events (k, i, ts, part) VALUES ('a', -1, at(10001), 0), ('a', 2, at(10001), 0), ('b', 3, at(10001), 0);
SELECT weir.flush('bad');
SELECT * FROM bad WHERE w >= at(10000);
SELECT view::text, reason, count(*) FROM weir.dead_letters WHERE stream = 'events'::regclass GROUP BY 1, 2;

DROP SCHEMA aggregates_own CASCADE;
DROP SERVER aggregates_own CASCADE;
