-- Records that are joined with many rows each: more than a batch has room for, and
-- more than a record may have.
\set ECHO errors
\getenv srcdir PG_ABS_SRCDIR
\set lib :srcdir /lib/views.sql
\set test join_many
\i :lib
\set ECHO all
CREATE FOREIGN TABLE events (k int, n int, ts timestamptz, part int OPTIONS (metadata 'partition')) SERVER join_many OPTIONS (topic 'join_many', event_time 'ts', idle_timeout '1 day');
CREATE TABLE rates (k int, rate int);
INSERT INTO rates SELECT 1, g FROM generate_series(1, 300) g;
INSERT INTO rates SELECT 2, g FROM generate_series(1, 20000) g;
SELECT weir.create_view('rated', $$ SELECT weir.tumble(ts, '1 minute') AS w, count(*) AS n, sum(e.n * r.rate) AS rated, count(DISTINCT rate) AS rates FROM events e JOIN rates r USING (k) GROUP BY 1 $$);
CREATE FUNCTION peak() RETURNS bigint LANGUAGE sql AS $$
    SELECT max(substring(pg_read_file('/proc/' || pid || '/status', 0, 4000) FROM 'VmHWM:\s+(\d+)')::bigint) FROM pg_stat_activity WHERE backend_type LIKE 'weir ingest%' $$;
INSERT INTO events VALUES (1, 1, at(0), 0);
SELECT weir.flush('events');
SELECT peak() AS before \gset
INSERT INTO events SELECT 1, g % 10, at(g / 100.0), 0 FROM generate_series(1, 3000) g;
SELECT weir.flush('events', '5 min');
SELECT peak() - :before < 60 * 1024 AS little;
SELECT differ('rated');
TABLE rated;
INSERT INTO events VALUES (2, 1, at(1), 0), (1, 1, at(1), 0);
SELECT weir.flush('events');
TABLE rated;
SELECT reason FROM weir.dead_letters WHERE view = 'rated'::regclass;

-- One executor for many batches, the table being the larger side after the conditions on the stream: each batch is joined for itself.
ALTER SYSTEM SET weir.join_refresh = '1 h';
SELECT pg_reload_conf();
CREATE TABLE big AS SELECT g AS k, g % 7 AS rate FROM generate_series(1, 10000) g;
SELECT weir.create_view('large', $$ SELECT e.k, b.rate, count(*) AS n FROM events e JOIN big b ON b.k = e.k AND e.n = 5 AND e.part = 0 GROUP BY 1, 2 $$);
SELECT weir.create_view('nested', $$ SELECT e.k, count(*) AS n FROM big b JOIN events e ON b.k BETWEEN e.k AND e.k + 1 AND e.n = 5 AND e.part = 0 AND e.ts = at(2) GROUP BY 1 $$);
SELECT weir.flush('events', '5 min');
INSERT INTO events SELECT g, 5, at(2), 0 FROM generate_series(10, 15) g;
SELECT weir.flush('events', '5 min');
INSERT INTO events SELECT g, 5, at(2), 0 FROM generate_series(20, 23) g;
SELECT weir.flush('events', '5 min');
INSERT INTO events SELECT g, 5, at(2), 0 FROM generate_series(30, 31) g;
SELECT weir.flush('events', '5 min');
SELECT * FROM large WHERE k >= 10 ORDER BY k;
SELECT * FROM nested ORDER BY k;
SELECT differ('large'), differ('nested');
ALTER SYSTEM RESET weir.join_refresh;
SELECT pg_reload_conf();

\set ECHO none
DROP SCHEMA join_many CASCADE;
DROP SERVER join_many CASCADE;
