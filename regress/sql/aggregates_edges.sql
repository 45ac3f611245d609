-- Aggregates at their edges: states that are changed in place, rows that fail beside
-- a large state, a view that cannot be compiled any more, and made-up states.
\set ECHO errors
\getenv srcdir PG_ABS_SRCDIR
\set lib :srcdir /lib/views.sql
\set test aggregates_edges
\i :lib
\set ECHO all
CREATE FOREIGN TABLE events (k text, i int, t text, ts timestamptz, part int OPTIONS (metadata 'partition'))
    SERVER aggregates_edges OPTIONS (topic 'aggregates_edges', event_time 'ts', idle_timeout '1 day');

-- A state that is an expanded array is not changed by the expressions over it.
CREATE AGGREGATE collect(int) (sfunc = array_append, stype = int[], initcond = '{}', combinefunc = array_cat);
SELECT weir.create_view('collected', $$ SELECT weir.tumble(ts, '1 minute') AS w, collect(DISTINCT i) || 99 AS more, collect(DISTINCT i) AS all, collect(DISTINCT i) || 7 AS others FROM events GROUP BY 1 $$);
INSERT INTO events SELECT 'a', g, 'x', at(g), 0 FROM generate_series(1, 5) g;
SELECT weir.flush('collected');
TABLE collected;
SELECT weir.drop_view('collected');

-- A row that fails beside large states: others are taken, and it takes no memory for each row.
CREATE AGGREGATE texts(text) (sfunc = array_append, stype = text[], initcond = '{}', combinefunc = array_cat);
SELECT weir.create_view('large', $$ SELECT weir.tumble(ts, '1 hour') AS w, count(DISTINCT t) AS n, sum(10 / i) AS s, cardinality(texts(t)) AS texts, count(*) AS rows FROM events WHERE k = 'b' GROUP BY 1 $$);
CREATE FUNCTION peak() RETURNS bigint LANGUAGE sql AS $$
    SELECT max(substring(pg_read_file('/proc/' || pid || '/status', 0, 4000) FROM 'VmHWM:\s+(\d+)')::bigint) FROM pg_stat_activity WHERE backend_type LIKE 'weir ingest%' $$;
INSERT INTO events SELECT 'b', 1, repeat('t', 20) || g, at(g / 100.0), 0 FROM generate_series(1, 4000) g;
SELECT weir.flush('large');
SELECT wait_for('peak() IS NOT NULL');
SELECT peak() AS before \gset
INSERT INTO events SELECT 'b', CASE g % 1000 WHEN 7 THEN 0 ELSE 1 END, repeat('t', 20) || g, at(100 + g / 100.0), 0 FROM generate_series(1, 3000) g;
SELECT weir.flush('large', '5 min');
TABLE large;
SELECT count(*), min(reason) FROM weir.dead_letters WHERE view = 'large'::regclass;
SELECT wait_for('peak() IS NOT NULL');
SELECT peak() - :before < 100 * 1024 AS little;

-- Sums of panes can be combined in all windows: what would be too much is refused before.
SELECT weir.create_view('hops', $$ SELECT weir.hop(ts, '100 s', '1 s') AS w, sum(make_interval(months => i)) AS s, count(*) FROM events WHERE k = 'c' GROUP BY 1 $$);
INSERT INTO events SELECT 'c', CASE WHEN g % 2 = 0 THEN 33000000 ELSE 600000 END, NULL, at(g), 1 FROM generate_series(1, 100) g;
SELECT weir.flush('hops');
SELECT max(s), max(count) FROM hops;
SELECT weir.advance_watermark('hops', at(1000));
SELECT weir.flush('hops');
SELECT max(s), max(count) FROM hops_final;
SELECT state, dead_letters FROM weir.status WHERE view_name = 'hops'::regclass;
SELECT DISTINCT reason FROM weir.dead_letters WHERE view = 'hops'::regclass;
SELECT weir.drop_view('hops');

-- A view that its owner may not run any more fails alone.
CREATE ROLE edges_owner;
GRANT USAGE, CREATE ON SCHEMA aggregates_edges TO edges_owner;
GRANT SELECT ON events TO edges_owner;
CREATE FUNCTION twice(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN 2 * $1; END';
SET ROLE edges_owner;
SELECT weir.create_view('doubled', $$ SELECT weir.tumble(ts, '1 hour') AS w, sum(twice(i)) AS s FROM events GROUP BY 1 $$);
RESET ROLE;
SELECT weir.flush('doubled');
REVOKE EXECUTE ON FUNCTION twice FROM PUBLIC;
ALTER FOREIGN TABLE events OPTIONS (SET idle_timeout '2 days');
SELECT wait_for($$ (SELECT state = 'error' FROM weir.status WHERE view_name = 'doubled'::regclass) $$);
SELECT error FROM weir.status WHERE view_name = 'doubled'::regclass;
INSERT INTO events VALUES ('b', 1, 'new', at(1), 0);
SELECT weir.flush('large');
TABLE large;

-- Nobody makes up a state of weir.first.
SET ROLE edges_owner;
SELECT weir.first_final('\\x00', 1, 1);
CREATE AGGREGATE aggregates_edges.made_up(bytea) (sfunc = weir.first_combine, stype = bytea, initcond = '\\x00');
SELECT weir.first(g, g), weir.last(g, g) FROM generate_series(1, 3) g;
RESET ROLE;

\set ECHO none
DROP SCHEMA aggregates_edges CASCADE;
DROP SERVER aggregates_edges CASCADE;
DROP ROLE edges_owner;
