-- Views of a lane that have their WHERE, expressions or keys in common: what one has
-- computed serves the others, and each still equals its own query, also where they
-- only look alike, where rows fail, and when views come and go.
\set ECHO errors
\getenv srcdir PG_ABS_SRCDIR
\set lib :srcdir /lib/views.sql
\set test view_common
\i :lib
\set ECHO all
SET TimeZone = 'UTC';
CREATE FOREIGN TABLE events (
    k text, n int, f float8, ts timestamptz, part int OPTIONS (metadata 'partition')
) SERVER view_common OPTIONS (topic 'view_common', event_time 'ts', watermark_delay '1 min');

BEGIN;
-- One WHERE with several keys, one key with several WHEREs.
SELECT weir.create_view(format('v%s%s', k, w), format('SELECT weir.tumble(ts, ''10 s'') AS w, %s AS k, count(*), sum(n) AS n, count(*) FILTER (WHERE n %% 2 = 0) AS even FROM events WHERE n %% 5 <> %s GROUP BY 1, 2',
    ('{k,n,n % 7,f,"f + 0",upper(k)}'::text[])[k], w)) FROM generate_series(1, 6) k, generate_series(0, 2) w;
-- Other windows, aggregates and keys beside them; sessions and no window.
SELECT weir.create_view('hops', $$ SELECT weir.hop(ts, '20 s', '10 s') AS w, n % 7 AS k, count(*), min(n / 3) AS least FROM events WHERE n % 5 <> 1 GROUP BY 1, 2 $$);
SELECT weir.create_view('visits', $$ SELECT weir.session(ts, '3 s') AS w, n % 7 AS k, count(*), max(n / 3) AS most FROM events WHERE n % 5 <> 1 GROUP BY 1, 2 $$);
SELECT weir.create_view('totals', $$ SELECT n % 7 AS k, count(*), sum(n / 3) AS thirds FROM events WHERE n % 5 <> 1 GROUP BY 1 $$);
-- The same division fails in each that divides.
SELECT weir.create_view('fails1', $$ SELECT weir.tumble(ts, '10 s') AS w, n % 7 AS k, count(*), sum(100 / n) AS parts FROM events GROUP BY 1, 2 $$);
SELECT weir.create_view('fails2', $$ SELECT weir.tumble(ts, '10 s') AS w, k, count(*), max(100 / n) AS parts FROM events GROUP BY 1, 2 $$);
SELECT weir.create_view('guarded', $$ SELECT weir.tumble(ts, '10 s') AS w, n % 7 AS k, count(*), sum(100 / n) AS parts FROM events WHERE n <> 0 GROUP BY 1, 2 $$);
COMMIT;
-- The same text under another time zone, and with another's function.
SELECT weir.create_view('hours', $$ SELECT weir.tumble(ts, '1 day') AS w, extract(hour FROM ts)::int AS h, count(*) FROM events GROUP BY 1, 2 $$);
SET TimeZone = 'Asia/Kolkata';
SELECT weir.create_view('hours_there', $$ SELECT weir.tumble(ts, '1 day') AS w, extract(hour FROM ts)::int AS h, count(*) FROM events GROUP BY 1, 2 $$);
SET TimeZone = 'UTC';

INSERT INTO events SELECT (ARRAY['a', 'B', 'b', NULL])[i % 4 + 1], nullif(i % 23, 22), (ARRAY[0, '-0', 'NaN', 1.5])[i % 4 + 1], at(i % 30), i % 4 FROM generate_series(1, 700) i;
SELECT weir.flush('events');
CREATE TABLE names AS SELECT view_name::text AS v FROM weir.status WHERE stream = 'events'::regclass;
SELECT v, d.* FROM names, differ(v) d WHERE v !~ 'fails|visits|there' AND only_view + only_batch <> 0;
SELECT w, k, count, most FROM visits ORDER BY w, k LIMIT 3;
SELECT dead_letters, view_name FROM weir.status WHERE dead_letters > 0 ORDER BY 2;
SELECT (SELECT sum(count) FROM fails1) AS fails1, (SELECT sum(count) FROM fails2) AS fails2, count(*) FROM events WHERE n IS DISTINCT FROM 0;
SELECT h, count FROM hours UNION ALL SELECT h, count FROM hours_there ORDER BY 1;

-- Some leave, others come.
SELECT count(weir.drop_view(v::regclass)) FROM names WHERE v ~ '^v.[12]$|hops|guarded';
BEGIN;
SELECT weir.create_view('late1', $$ SELECT weir.tumble(ts, '10 s') AS w, n % 7 AS k, count(*), sum(n) AS n FROM events WHERE n % 5 <> 0 GROUP BY 1, 2 $$);
SELECT weir.create_view('late2', $$ SELECT weir.tumble(ts, '10 s') AS w, f AS k, count(*), sum(n) AS n FROM events WHERE n % 5 <> 0 GROUP BY 1, 2 $$);
COMMIT;
SELECT weir.flush('events');
INSERT INTO events SELECT (ARRAY['a', 'B', 'b', NULL])[i % 4 + 1], nullif(i % 19, 18), (ARRAY[0, '-0', 'NaN', 1.5])[i % 4 + 1], at(i % 40), i % 4 FROM generate_series(1, 500) i;
SELECT weir.flush('events');
SELECT v, d.* FROM (SELECT view_name::text AS v FROM weir.status WHERE stream = 'events'::regclass) s, differ(v) d WHERE v !~ 'fails|visits|there' AND only_view + only_batch <> 0;
SELECT (SELECT sum(count) FROM fails1) AS fails1, (SELECT sum(count) FROM fails2) AS fails2, count(*) FROM events WHERE n IS DISTINCT FROM 0;
SELECT sum(late) AS late FROM weir.status WHERE stream = 'events'::regclass;

DROP SERVER view_common CASCADE;
DROP SCHEMA view_common CASCADE;
