-- Queries that cannot be a continuous view: each is refused when it is
-- defined, with what is wrong, why, and what to write instead.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS weir;
\set SHOW_CONTEXT never
\set ECHO errors
\getenv broker WEIR_BROKER
SELECT format('CREATE SERVER refusals_kafka FOREIGN DATA WRAPPER weir OPTIONS (bootstrap_servers %L)', :'broker') \gexec
\set ECHO all
CREATE SCHEMA refusals;
SET search_path = refusals;
SET intervalstyle = 'postgres';
CREATE FOREIGN TABLE events (
    id text, kind text, amount float8, price numeric, n int, cost money,
    ts timestamptz, other timestamptz, at time,
    off bigint OPTIONS (metadata 'offset')
) SERVER refusals_kafka OPTIONS (topic 'refusals', format 'json', event_time 'ts');
CREATE FOREIGN TABLE stamped (
    kind text, ts timestamptz OPTIONS (metadata 'timestamp'), other timestamptz
) SERVER refusals_kafka OPTIONS (topic 'refusals', format 'json');
CREATE FOREIGN TABLE unstamped (kind text, other timestamptz)
    SERVER refusals_kafka OPTIONS (topic 'refusals', format 'json');
CREATE TABLE plain (kind text, ts timestamptz);
CREATE VIEW shown AS SELECT * FROM plain;
CREATE FUNCTION noisy() RETURNS int LANGUAGE sql VOLATILE AS 'SELECT 1';
CREATE FUNCTION late(timestamptz) RETURNS boolean LANGUAGE sql STABLE
    AS 'SELECT $1 < pg_catalog.now()';
CREATE AGGREGATE own_sum(int) (sfunc = int4pl, stype = int);
CREATE AGGREGATE own_avg(numeric) (sfunc = numeric_avg_accum, stype = internal, combinefunc = numeric_avg_combine, finalfunc = numeric_avg);

-- the shape of the query
SELECT weir.create_view('x', $$ SELECT count(*) FROM events GROUP BY weir.tumble(ts, '1 s') UNION ALL SELECT 1 $$);
SELECT weir.create_view('x', $$ WITH e AS (SELECT * FROM events) SELECT count(*) FROM e GROUP BY weir.tumble(ts, '1 s') $$);
SELECT weir.create_view('x', $$ SELECT DISTINCT count(*) FROM events GROUP BY weir.tumble(ts, '1 s') $$);
SELECT weir.create_view('x', $$ SELECT count(*) FROM events GROUP BY weir.tumble(ts, '1 s') ORDER BY 1 $$);
SELECT weir.create_view('x', $$ SELECT count(*) FROM events GROUP BY weir.tumble(ts, '1 s') LIMIT 10 $$);
SELECT weir.create_view('x', $$ SELECT count(*) FROM events GROUP BY weir.tumble(ts, '1 s') OFFSET 10 $$);
SELECT weir.create_view('x', $$ SELECT sum(count(*)) OVER () FROM events GROUP BY weir.tumble(ts, '1 s') $$);
SELECT weir.create_view('x', $$ SELECT kind, count(*) FROM events GROUP BY ROLLUP (weir.tumble(ts, '1 s'), kind) $$);
SELECT weir.create_view('x', $$ SELECT kind, grouping(kind), count(*) FROM events GROUP BY weir.tumble(ts, '1 s'), kind $$);
SELECT weir.create_view('x', $$ SELECT generate_series(1, 2), count(*) FROM events GROUP BY weir.tumble(ts, '1 s') $$);
SELECT weir.create_view('x', $$ SELECT count(*) FROM events WHERE kind IN (SELECT kind FROM plain) GROUP BY weir.tumble(ts, '1 s') $$);

-- FROM
SELECT weir.create_view('x', $$ SELECT count(*) $$);
SELECT weir.create_view('x', $$ SELECT count(*) FROM (SELECT * FROM events) e GROUP BY weir.tumble(ts, '1 s') $$);
SELECT weir.create_view('x', $$ SELECT count(*) FROM generate_series(1, 2) g GROUP BY g $$);
SELECT weir.create_view('x', $$ SELECT count(*) FROM plain GROUP BY weir.tumble(ts, '1 s') $$);
SELECT weir.create_view('x', $$ SELECT count(*) FROM shown GROUP BY weir.tumble(ts, '1 s') $$);

-- the window
SELECT weir.create_view('x', $$ SELECT count(*) FROM events GROUP BY weir.tumble(ts, '1 s'), weir.tumble(ts, '2 s') $$);
SELECT weir.create_view('x', $$ SELECT count(*) FROM events GROUP BY weir.tumble(other, '1 s') $$);
SELECT weir.create_view('x', $$ SELECT count(*) FROM events GROUP BY weir.tumble(ts + interval '1 h', '1 s') $$);
SELECT weir.create_view('x', $$ SELECT count(*) FROM events GROUP BY weir.tumble(ts, n * interval '1 s') $$);
SELECT weir.create_view('x', $$ SELECT count(*) FROM events GROUP BY weir.tumble(ts, NULL::interval) $$);
SELECT weir.create_view('x', $$ SELECT count(*) FROM events GROUP BY weir.tumble(ts, '0 s') $$);
SELECT weir.create_view('x', $$ SELECT count(*) FROM events GROUP BY weir.tumble(ts, '-1 s') $$);
SELECT weir.create_view('x', $$ SELECT count(*) FROM events GROUP BY weir.hop(ts, '1 month', '1 day') $$);
SELECT weir.create_view('x', $$ SELECT weir.hop(ts, '1 minute', '10 s') + interval '1 minute' AS w, count(*) FROM events GROUP BY w $$);
SELECT weir.create_view('x', $$ SELECT count(*) FROM events GROUP BY weir.tumble(ts, '200000000 days') $$);
SELECT weir.create_view('x', $$ SELECT count(*) FROM events GROUP BY weir.tumble(ts, '1 s', other) $$);
SELECT weir.create_view('x', $$ SELECT count(*) FROM events GROUP BY weir.tumble(ts, '1 s', 'infinity') $$);
SELECT weir.create_view('x', $$ SELECT count(*) FROM stamped GROUP BY weir.tumble(other, '1 s') $$);
SELECT weir.create_view('x', $$ SELECT count(*) FROM unstamped GROUP BY weir.tumble(other, '1 s') $$);

-- keys
SELECT weir.create_view('x', $$ SELECT cost, count(*) FROM events GROUP BY weir.tumble(ts, '1 s'), cost $$);

-- columns
SELECT weir.create_view('x', $$ SELECT tableoid, count(*) FROM events GROUP BY weir.tumble(ts, '1 s'), tableoid $$);
SELECT weir.create_view('x', $$ SELECT count(e) FROM events e GROUP BY weir.tumble(ts, '1 s') $$);

-- aggregates
SELECT weir.create_view('x', $$ SELECT sum(n ORDER BY kind) FROM events GROUP BY weir.tumble(ts, '1 s') $$);
SELECT weir.create_view('x', $$ SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY n) FROM events GROUP BY weir.tumble(ts, '1 s') $$);
SELECT weir.create_view('x', $$ SELECT mode() WITHIN GROUP (ORDER BY n) FROM events GROUP BY weir.tumble(ts, '1 s') $$);
SELECT weir.create_view('x', $$ SELECT json_agg(kind) FROM events GROUP BY weir.tumble(ts, '1 s') $$);
SELECT weir.create_view('x', $$ SELECT bit_and(n::bit(8)) FROM events GROUP BY weir.tumble(ts, '1 s') $$);
SELECT weir.create_view('x', $$ SELECT own_sum(n) FROM events GROUP BY weir.tumble(ts, '1 s') $$);
SELECT weir.create_view('x', $$ SELECT own_avg(price) FROM events GROUP BY weir.tumble(ts, '1 s') $$);
SELECT weir.create_view('x', $$ SELECT count(DISTINCT cost) FROM events GROUP BY weir.tumble(ts, '1 s') $$);
SELECT weir.create_view('x', $$ SELECT sum(DISTINCT other - ts) FROM events GROUP BY weir.tumble(ts, '1 s') $$);
SELECT weir.create_view('x', $$ SELECT array_agg(DISTINCT ARRAY[n]) FROM events GROUP BY weir.tumble(ts, '1 s') $$);
SELECT weir.create_view('x', $$ SELECT jsonb_object_agg(DISTINCT kind, n) FROM events GROUP BY weir.tumble(ts, '1 s') $$);
SELECT weir.create_view('x', $$ SELECT weir.topk(ROW(kind, n), 3) FROM events GROUP BY weir.tumble(ts, '1 s') $$);
SELECT weir.create_view('x', $$ SELECT weir.last(ROW(kind, n), ts)::text FROM events GROUP BY weir.tumble(ts, '1 s') $$);

-- functions of the moment
SELECT weir.create_view('x', $$ SELECT count(*) FROM events WHERE ts > now() GROUP BY weir.tumble(ts, '1 s') $$);
SELECT weir.create_view('x', $$ SELECT count(*) FROM events WHERE ts > CURRENT_TIMESTAMP GROUP BY weir.tumble(ts, '1 s') $$);
SELECT weir.create_view('x', $$ SELECT count(*) FILTER (WHERE ts > LOCALTIMESTAMP(3)) FROM events GROUP BY weir.tumble(ts, '1 s') $$);
SELECT weir.create_view('x', $$ SELECT max(age(other)) FROM events GROUP BY weir.tumble(ts, '1 s') $$);
SELECT weir.create_view('x', $$ SELECT count(*), CURRENT_USER FROM events GROUP BY weir.tumble(ts, '1 s') $$);
SELECT weir.create_view('x', $$ SELECT count(*), current_setting('TimeZone') FROM events GROUP BY weir.tumble(ts, '1 s') $$);
SELECT weir.create_view('x', $$ SELECT count(*) FROM events GROUP BY weir.tumble(ts, '1 s') HAVING count(*) > pg_backend_pid() $$);
SELECT weir.create_view('x', $$ SELECT count(*) FROM events WHERE at::timetz < '12:00+00' GROUP BY weir.tumble(ts, '1 s') $$);
SELECT weir.create_view('x', $$ SELECT count(*) FROM events WHERE late(other) GROUP BY weir.tumble(ts, '1 s') $$);
SELECT weir.create_view('x', $$ SELECT count(*) FROM events WHERE random() < 0.1 GROUP BY weir.tumble(ts, '1 s') $$);
SELECT weir.create_view('x', $$ SELECT sum(noisy()) FROM events GROUP BY weir.tumble(ts, '1 s') $$);

-- nothing is left of them
SELECT relname FROM pg_class WHERE relnamespace = 'refusals'::regnamespace AND relname LIKE 'x%';

\set ECHO none
DROP SCHEMA refusals CASCADE;
DROP SERVER refusals_kafka CASCADE;
