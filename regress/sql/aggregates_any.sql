-- Aggregates that go through their own functions, and those with DISTINCT,
-- against PostgreSQL's own over the same messages: built-in ones of several
-- arguments, and user-defined ones of every kind of state.
\set ECHO errors
\getenv srcdir PG_ABS_SRCDIR
\set lib :srcdir /lib/views.sql
\set test aggregates_any
\i :lib
\set ECHO all
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE FOREIGN TABLE events (
    k text, b bool, i2 int2, i4 int4, i8 int8, f4 float4, f8 float8, n numeric, t text, d date, iv interval, m mood, ts timestamptz,
    part int OPTIONS (metadata 'partition'), off bigint OPTIONS (metadata 'offset')
) SERVER aggregates_any OPTIONS (topic 'aggregates_any', event_time 'ts', watermark_delay '5 min');

-- A state by value; one by reference, with and without an initial value, strict and not.
CREATE AGGREGATE own_sum(int) (sfunc = int4pl, stype = int, combinefunc = int4pl);
CREATE AGGREGATE own_sum0(int) (sfunc = int4pl, stype = int, combinefunc = int4pl, initcond = '0');
CREATE AGGREGATE longest(text) (sfunc = text_larger, stype = text, combinefunc = text_larger);
CREATE FUNCTION count_all(bigint, int) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT coalesce($1, 0) + 1 + coalesce($2, 0)';
CREATE AGGREGATE own_count(int) (sfunc = count_all, stype = bigint, combinefunc = int8pl);
-- A transition that makes NULL of a value, and a strict one that stays there.
CREATE FUNCTION null_at_13(int, int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT CASE WHEN $2 = 13 THEN NULL ELSE coalesce($1, 0) | $2 END';
CREATE FUNCTION or_null(int, int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 | $2';
CREATE AGGREGATE fragile(int) (sfunc = null_at_13, stype = int, combinefunc = or_null, initcond = '0');
CREATE FUNCTION broken_at_13(int, int) RETURNS int LANGUAGE sql IMMUTABLE STRICT AS 'SELECT CASE WHEN $2 = 13 THEN NULL ELSE $1 | $2 END';
CREATE AGGREGATE broken(int) (sfunc = broken_at_13, stype = int, combinefunc = or_null, initcond = '0');
-- A state that is changed in place: an expanded array, and float8[] by a function of the server's.
CREATE FUNCTION sorted(anycompatiblearray) RETURNS anycompatiblearray LANGUAGE sql IMMUTABLE AS 'SELECT array_agg(x ORDER BY x) FROM unnest($1) x';
CREATE AGGREGATE own_array(anycompatible) (sfunc = array_append, stype = anycompatiblearray, combinefunc = array_cat, finalfunc = sorted, initcond = '{}');
CREATE FUNCTION add_to(int[], int) RETURNS int[] LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN $1[1] := $1[1] + $2; $1[2] := $1[2] + 1; RETURN $1; END $$;
CREATE FUNCTION add_both(int[], int[]) RETURNS int[] LANGUAGE sql IMMUTABLE AS 'SELECT ARRAY[$1[1] + $2[1], $1[2] + $2[2]]';
CREATE FUNCTION mean(int[]) RETURNS float8 LANGUAGE sql IMMUTABLE AS 'SELECT $1[1]::float8 / nullif($1[2], 0)';
CREATE AGGREGATE own_avg(int) (sfunc = add_to, stype = int[], combinefunc = add_both, finalfunc = mean, initcond = '{0,0}');
-- An internal state.
CREATE AGGREGATE own_numeric(numeric) (sfunc = numeric_avg_accum, stype = internal, combinefunc = numeric_avg_combine,
    serialfunc = numeric_avg_serialize, deserialfunc = numeric_avg_deserialize, finalfunc = numeric_avg);
CREATE AGGREGATE own_spread(int8) (sfunc = int8_accum, stype = internal, combinefunc = numeric_combine,
    serialfunc = numeric_serialize, deserialfunc = numeric_deserialize, finalfunc = numeric_stddev_samp);
-- Several arguments, a composite state, a final function with the arguments' types, VARIADIC.
CREATE TYPE pair AS (s float8, w float8);
CREATE FUNCTION weigh(pair, float8, float8) RETURNS pair LANGUAGE sql IMMUTABLE AS 'SELECT ROW($1.s + $2 * $3, $1.w + $3)::pair';
CREATE FUNCTION weigh_both(pair, pair) RETURNS pair LANGUAGE sql IMMUTABLE AS 'SELECT ROW($1.s + $2.s, $1.w + $2.w)::pair';
CREATE FUNCTION weighed(pair) RETURNS float8 LANGUAGE sql IMMUTABLE AS 'SELECT $1.s / nullif($1.w, 0)';
CREATE AGGREGATE weighted(float8, float8) (sfunc = weigh, stype = pair, combinefunc = weigh_both, finalfunc = weighed, initcond = '(0,0)');
CREATE FUNCTION typed(bigint, anyelement) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT $1 || ' of ' || pg_typeof($2) $$;
CREATE FUNCTION count_any(bigint, anyelement) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT $1 + 1';
CREATE AGGREGATE typed_count(anyelement) (sfunc = count_any, stype = bigint, combinefunc = int8pl, finalfunc = typed, finalfunc_extra, initcond = '0');
CREATE FUNCTION add_some(bigint, VARIADIC int[]) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT $1 + coalesce(sum(x), 0)::bigint FROM unnest($2) x';
CREATE AGGREGATE sum_some(VARIADIC int[]) (sfunc = add_some, stype = bigint, combinefunc = int8pl, initcond = '0');
-- Row 666 is an error.
CREATE FUNCTION no_666(int, int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN IF $2 = 666 THEN RAISE 'not that one'; END IF; RETURN $1 + $2; END $$;
CREATE AGGREGATE picky(int) (sfunc = no_666, stype = int, combinefunc = int4pl, initcond = '0');

BEGIN;
SELECT weir.create_view('regressions', $$ SELECT weir.tumble(ts, '10 s') AS w, k, regr_count(f8, f4) AS n, regr_avgx(f8, f4) AS ax, regr_avgy(f8, f4) AS ay,
    regr_sxx(f8, f4) >= 0 AS sxx, round(regr_sxy(f8, i4)::numeric, 4) AS sxy, round(corr(f8, i4)::numeric, 9) AS c, round(covar_pop(i4, i2)::numeric, 3) AS cp, round(covar_samp(i4, i2)::numeric, 3) AS cs,
    round(regr_slope(f8, i4)::numeric, 9) AS slope, round(regr_intercept(f8, i4)::numeric, 6) AS icept, round(regr_r2(f8, i4)::numeric, 9) AS r2, round(regr_syy(f8, i4)::numeric, 3) AS syy,
    regr_count(f8, i4) FILTER (WHERE b) AS nf FROM events WHERE k LIKE 'k%' GROUP BY 1, 2 $$);
SELECT weir.create_view('own_values', $$ SELECT weir.tumble(ts, '10 s') AS w, k, own_sum(i2) AS s, own_sum0(i2) AS s0, longest(t) AS l, own_count(i2) AS n, fragile(i2) AS f, broken(i2) AS br, own_sum(i2) FILTER (WHERE false) AS nothing,
    own_sum0(i2) FILTER (WHERE false) AS initial, own_count(i2) FILTER (WHERE b) AS nb FROM events GROUP BY 1, 2 $$);
SELECT weir.create_view('own_arrays', $$ SELECT weir.tumble(ts, '10 s') AS w, k, own_array(i4) AS ia, own_array(t) AS ta, own_array(i4 / 2.0) FILTER (WHERE b) AS na, own_avg(i2) AS a, own_avg(i2) FILTER (WHERE i2 > 400) AS af FROM events GROUP BY 1, 2 $$);
SELECT weir.create_view('own_internal', $$ SELECT weir.tumble(ts, '10 s') AS w, k, own_numeric(n) AS a, own_spread(i8) AS s, own_spread(i8 % 1000) FILTER (WHERE b) AS sf, count(*) FROM events GROUP BY 1, 2 $$);
SELECT weir.create_view('own_several', $$ SELECT weir.tumble(ts, '10 s') AS w, k, weighted(i4, i2) FILTER (WHERE k <> 'edge') AS wt, typed_count(d) AS td, typed_count(i4 / 2) AS ti, sum_some(i2, i2 + 1) AS s, sum_some(VARIADIC ARRAY[i2]) AS v,
    own_sum(i2) + own_sum0(i2) AS both, range_intersect_agg(int4range(i2 - 1000, i2 + 1000)) AS r FROM events GROUP BY 1, 2 HAVING own_count(i2) > 1 $$);
SELECT weir.create_view('picky_sum', $$ SELECT weir.tumble(ts, '10 s') AS w, k, picky(i4) AS p, own_numeric(n) AS n, count(DISTINCT i4) AS d, count(*) FROM events WHERE k LIKE 'k%' GROUP BY 1, 2 $$);
SELECT weir.create_view('distincts', $$ SELECT weir.tumble(ts, '10 s') AS w, k, count(DISTINCT b) AS b, count(DISTINCT i2) AS i2, count(DISTINCT i4) AS i4, count(DISTINCT i8) AS i8, count(DISTINCT f4) AS f4, count(DISTINCT f8) AS f8,
    count(DISTINCT n) AS n, count(DISTINCT t) AS t, count(DISTINCT d) AS d, count(DISTINCT iv) AS iv, count(DISTINCT m) AS m, count(DISTINCT ARRAY[i2, NULL]) AS arr, count(DISTINCT lower(t) COLLATE "C") AS lt,
    count(DISTINCT t) FILTER (WHERE b) AS tf, count(DISTINCT i4 % 10) + count(DISTINCT i4 % 7) AS sum, count(*) FROM events GROUP BY 1, 2 $$);
SELECT weir.create_view('distinct_sums', $$ SELECT weir.tumble(ts, '10 s') AS w, k, sum(DISTINCT i2) AS s2, sum(DISTINCT i4) AS s4, sum(DISTINCT i8) AS s8, sum(DISTINCT f4) AS sf4, sum(DISTINCT f8) AS sf8, sum(DISTINCT round(n, 2)) AS sn,
    avg(DISTINCT i2) AS a2, avg(DISTINCT i8) AS a8, avg(DISTINCT round(n, 1)) AS an, avg(DISTINCT f8) AS af8, stddev(DISTINCT i4 % 10) AS sd, min(DISTINCT t) AS l, max(DISTINCT n) AS h, bool_and(DISTINCT b) AS ba, bit_xor(DISTINCT i4) AS bx,
    array_agg(DISTINCT i2 % 5) AS aa, array_agg(DISTINCT m ORDER BY m DESC) AS am, string_agg(DISTINCT left(t, 1), ',') AS st, jsonb_agg(DISTINCT d ORDER BY d DESC NULLS FIRST) AS j, own_array(DISTINCT b) AS oa,
    corr(DISTINCT i4 % 10, i4 % 7) IS NULL AS c, count(DISTINCT i4) AS c4, string_agg(DISTINCT t, k) FILTER (WHERE false) AS none FROM events GROUP BY 1, 2 HAVING count(DISTINCT i4) IS NOT NULL $$);
COMMIT;
CREATE TABLE views AS SELECT relname::text AS v FROM weir.views JOIN pg_class c ON c.oid = view WHERE stream = 'events'::regclass;

INSERT INTO events (k, ts, part) SELECT 'null', at(g), g % 4 FROM generate_series(0, 5) g;
INSERT INTO events (k, b, i2, i4, i8, f4, f8, n, t, d, iv, m, ts, part) VALUES
    ('one', true, 7, -7, 7, 0.5, -0.25, 1.10, 'x', '2024-05-05', '1 mon 2 days', 'ok', at(1), 1),
    ('edge', true, 32767, 2147483647, 9223372036854775807, 'Infinity', 'NaN', 'NaN', '', 'infinity', '0', 'happy', at(2), 0),
    ('edge', false, -32768, -2147483648, -9223372036854775808, '-Infinity', '-Infinity', '1e100', 'zz', '-infinity', '-1 mon 31 days', 'sad', at(3), 3),
    ('edge', NULL, 32767, 2147483647, 9223372036854775807, 1, 'Infinity', '-1e-100', NULL, NULL, NULL, NULL, at(4), 2),
    ('zero', false, 0, 0, 0, '-0', '-0', 0, 'a', '2024-01-01', '0', 'sad', at(5), 0),
    ('zero', false, 13, 0, 0, 0, 0, 0, 'A', '2024-01-01', '0', 'sad', at(6), 0),
    ('thirteen', true, 13, 0, 0, 0, 0, 0, 'a', '2024-01-01', '0', 'sad', at(6), 0),
    ('zero', true, 5, 0, 0, 0, 0, 0, 'a', '2024-01-01', '1 day', 'sad', at(7), 0),
    ('zero', true, 8, 0, 0, 0, 0, 0, 'a', '2024-01-01', '24 h', 'sad', at(8), 0);
-- Numbers that floats hold exactly, so that no order of adding matters; 13 makes fragile NULL, whatever comes before.
INSERT INTO events (k, b, i2, i4, i8, f4, f8, n, t, d, iv, m, ts, part)
    SELECT 'k' || g % 7, g % 3 = 0, g * 37 % 1000 * 2 - 500, g * 7919 % 1000, g * 1000003::bigint * 65537, g % 128 / 64.0, g % 1024 / 64.0 - 8, (g * 37 % 1000) / 7.0,
        chr(97 + g % 26) || g % 40, date '2024-01-01' + g % 12, g % 90 * interval '1 h', (ARRAY['sad', 'ok', 'happy'])[1 + g % 3]::mood, at(g / 20.0), g % 4
    FROM generate_series(1, 2000) g WHERE g % 11 <> 0;
SELECT weir.flush('events');
SELECT v, d.* FROM views, differ(v) d WHERE v <> 'picky_sum' ORDER BY v;
SELECT v, w.* FROM views, windows(v) w ORDER BY v;
SELECT * FROM own_values WHERE k IN ('edge', 'zero', 'null', 'thirteen') ORDER BY w, k;
SELECT * FROM distincts WHERE k IN ('edge', 'zero', 'null', 'thirteen') ORDER BY w, k;
SELECT * FROM distinct_sums WHERE k IN ('edge', 'zero', 'null', 'thirteen') ORDER BY w, k;
SELECT * FROM own_several WHERE k IN ('edge', 'zero', 'null', 'thirteen') ORDER BY w, k;
-- Rows that a transition function refuses are dead letters of that view alone, and leave no trace in it.
CREATE VIEW picky_batch AS SELECT weir.tumble(ts, '10 s') AS w, k, picky(i4) AS p, own_numeric(n) AS n, count(DISTINCT i4) AS d, count(*) FROM events WHERE k LIKE 'k%' AND i4 <> 666 GROUP BY 1, 2;
(SELECT * FROM picky_sum EXCEPT ALL SELECT * FROM picky_batch) UNION ALL (SELECT * FROM picky_batch EXCEPT ALL SELECT * FROM picky_sum);
SELECT view::text, reason, count(*) FROM weir.dead_letters WHERE stream = 'events'::regclass GROUP BY 1, 2 ORDER BY 1, 2;
SELECT count(*) FROM events WHERE i4 = 666 AND k LIKE 'k%';
-- All are final but the last.
INSERT INTO events (k, ts, part) SELECT 'end', at(10000), p FROM generate_series(0, 3) p;
SELECT weir.flush('events');
SELECT v, d.* FROM views, differ(v) d WHERE v <> 'picky_sum' AND only_view + only_batch <> 0 ORDER BY v;
(SELECT * FROM picky_sum EXCEPT ALL SELECT * FROM picky_batch) UNION ALL (SELECT * FROM picky_batch EXCEPT ALL SELECT * FROM picky_sum);
SELECT v, w.* FROM views, windows(v) w ORDER BY v;

-- What could make a result overflow later is a dead letter.
CREATE FOREIGN TABLE big (f8 float8, n numeric, ts timestamptz, part int OPTIONS (metadata 'partition')) SERVER aggregates_any OPTIONS (topic 'aggregates_any_big', event_time 'ts');
SELECT weir.create_view('overflow', $$ SELECT weir.tumble(ts, '10 s') AS w, corr(f8, 1) AS c, sum(DISTINCT n) AS s, sum(DISTINCT f8) AS sf, count(*) FROM big GROUP BY 1 $$);
INSERT INTO big VALUES (1e308, 1, at(1), 0), (1, ('1e' || 130000)::numeric, at(2), 0), (3, 1, at(3), 0), (1e200, 1, at(3), 0);
SELECT weir.flush('big');
SELECT * FROM overflow;
SELECT "offset", sqlstate, reason FROM weir.dead_letters WHERE stream = 'big'::regclass ORDER BY 1;

-- Privileges: the view's owner has to be allowed to call the aggregate.
CREATE ROLE weir_aggregates;
GRANT USAGE ON SCHEMA weir TO weir_aggregates;
GRANT ALL ON SCHEMA aggregates_any TO weir_aggregates;
GRANT USAGE ON FOREIGN SERVER aggregates_any TO weir_aggregates;
GRANT SELECT ON events TO weir_aggregates;
REVOKE EXECUTE ON FUNCTION own_sum(int) FROM PUBLIC;
SET ROLE weir_aggregates;
SELECT weir.create_view('forbidden', $$ SELECT weir.tumble(ts, '10 s'), own_sum(i4) FROM events GROUP BY 1 $$);
RESET ROLE;

DROP SCHEMA aggregates_any CASCADE;
DROP SERVER aggregates_any CASCADE;
DROP OWNED BY weir_aggregates;
DROP ROLE weir_aggregates;
