-- Every aggregate against PostgreSQL's own over the same messages.
\set ECHO errors
\getenv srcdir PG_ABS_SRCDIR
\set lib :srcdir /lib/views.sql
\set test aggregates
\i :lib
\set ECHO all
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE FOREIGN TABLE events (
    k text, b bool, i2 int2, i4 int4, i8 int8, f4 float4, f8 float8, n numeric, n2 numeric(10,2), t text, c char(4), d date, ti time, ts2 timestamp,
    tz timestamptz, iv interval, m mood, ip inet, o oid, ts timestamptz, part int OPTIONS (metadata 'partition'), off bigint OPTIONS (metadata 'offset')
) SERVER aggregates OPTIONS (topic 'aggregates', event_time 'ts', watermark_delay '5 min');

BEGIN;
SELECT weir.create_view('ints', $$ SELECT weir.tumble(ts, '10 s') AS w, k,
    count(*), count(i2) AS c2, count(i4) AS c4, sum(i2) AS s2, sum(i4) AS s4, sum(i8) AS s8, avg(i2) AS a2, avg(i4) AS a4, avg(i8) AS a8,
    min(i2) AS l2, max(i2) AS h2, min(i4) AS l4, max(i4) AS h4, min(i8) AS l8, max(i8) AS h8, bit_and(i2) AS ba2, bit_or(i4) AS bo4, bit_xor(i8) AS bx8,
    bit_and(i4) AS ba4, bit_or(i8) AS bo8 FROM events GROUP BY 1, 2 $$);
SELECT weir.create_view('spread_ints', $$ SELECT weir.tumble(ts, '10 s') AS w, k,
    var_pop(i2) AS vp2, var_samp(i2) AS vs2, variance(i2) AS v2, stddev_pop(i2) AS sp2, stddev_samp(i2) AS ss2, stddev(i2) AS sd2,
    var_pop(i4) AS vp4, var_samp(i4) AS vs4, variance(i4) AS v4, stddev_pop(i4) AS sp4, stddev_samp(i4) AS ss4, stddev(i4) AS sd4,
    var_pop(i8) AS vp8, var_samp(i8) AS vs8, variance(i8) AS v8, stddev_pop(i8) AS sp8, stddev_samp(i8) AS ss8, stddev(i8) AS sd8 FROM events GROUP BY 1, 2 $$);
SELECT weir.create_view('numerics', $$ SELECT weir.tumble(ts, '10 s') AS w, k, sum(n) AS s, avg(n) AS a, min(n) AS l, max(n) AS h, sum(n2) AS s2, avg(n2) AS a2,
    var_pop(n) AS vp, var_samp(n) AS vs, variance(n) AS v, stddev_pop(n) AS sp, stddev_samp(n) AS ss, stddev(n) AS sd, stddev(n2) AS sd2 FROM events GROUP BY 1, 2 $$);
-- Values that floats hold exactly, so that no order of adding matters.
SELECT weir.create_view('floats', $$ SELECT weir.tumble(ts, '10 s') AS w, k, sum(f4) AS s4, sum(f8) AS s8, avg(f4) AS a4, avg(f8) AS a8, min(f4) AS l4, max(f4) AS h4, min(f8) AS l8, max(f8) AS h8 FROM events GROUP BY 1, 2 $$);
SELECT weir.create_view('spread_floats', $$ SELECT weir.tumble(ts, '10 s') AS w, k, round(var_pop(f4)::numeric, 6) AS vp4, round(var_samp(f4)::numeric, 6) AS vs4, round(variance(f4)::numeric, 6) AS v4,
    round(stddev_pop(f8)::numeric, 6) AS sp8, round(stddev_samp(f8)::numeric, 6) AS ss8, round(stddev(f8)::numeric, 6) AS sd8, round(stddev(f4)::numeric, 6) AS sd4 FROM events GROUP BY 1, 2 $$);
SELECT weir.create_view('bools', $$ SELECT weir.tumble(ts, '10 s') AS w, k, bool_and(b) AS a, bool_or(b) AS o, every(b) AS e, bool_or(i4 > 50) AS big, count(*) FILTER (WHERE b) AS t, count(*) FILTER (WHERE NOT b) AS f FROM events GROUP BY 1, 2 $$);
SELECT weir.create_view('extremes', $$ SELECT weir.tumble(ts, '10 s') AS w, k, min(t) AS lt, max(t) AS ht, min(c) AS lc, max(c) AS hc, min(d) AS ld, max(d) AS hd, min(ti) AS lti, max(ti) AS hti,
    min(ts2) AS lts, max(ts2) AS hts, min(tz) AS ltz, max(tz) AS htz, min(iv) AS liv, max(iv) AS hiv, min(m) AS lm, max(m) AS hm, min(ip) AS lip, max(ip) AS hip,
    min(ARRAY[i4]) AS lia, max(ARRAY[t]) AS hia, min(o) AS lo, max(o) AS ho, sum(iv) AS siv, avg(iv) AS aiv, min(off) AS loff, max(ts) AS hts_event, min(t COLLATE "C") AS ltc FROM events GROUP BY 1, 2 $$);
SELECT weir.create_view('exprs', $$ SELECT weir.tumble(ts, '10 s') AS w, kk AS k, i2 > 0 AS plus, sum(i4::bigint * 2 + 1) AS s, max(upper(t)) AS u, sum(length(t)) / nullif(count(t), 0) AS mean, count(*) * 100.0 / (count(b) + 1) AS r,
    max(i4) - min(i4) AS range, round(avg(n), 3) AS rounded, coalesce(sum(i8), 0) AS z, sum(i4) FILTER (WHERE i2 > 10) AS f, sum(n) FILTER (WHERE t LIKE 'a%') AS fn,
    avg(f8) FILTER (WHERE b AND i4 > 3) AS ff, kk || ':' || count(*) AS label, CASE WHEN count(*) > 5 THEN 'many' ELSE 'few' END AS how, sum(i4) = sum(i4) AS same, max(ts) - min(ts) AS span,
    renamed.kk FROM events AS renamed (kk) GROUP BY 1, 2, 3 $$);
SELECT weir.create_view('having', $$ SELECT weir.tumble(ts, '10 s') AS w, k, count(*), sum(i4) AS s FROM events WHERE i4 IS NOT NULL GROUP BY 1, 2 HAVING count(*) > 3 AND sum(i4) % 2 = 0 AND k <> 'k1' $$);
SELECT weir.create_view('having_null', $$ SELECT weir.tumble(ts, '10 s') AS w, k FROM events GROUP BY 1, 2 HAVING bool_and(b) $$);
SELECT weir.create_view('nothing', $$ SELECT weir.tumble(ts, '10 s') AS w, count(*) FROM events WHERE false GROUP BY 1 $$);
SELECT weir.create_view('duplicates', $$ SELECT weir.tumble(ts, '10 s') AS w, sum(i4) AS a, sum(i4) AS b, sum(i4) + sum(i4) AS c, avg(i4) AS d, count(i4) AS e FROM events GROUP BY 1 $$);
COMMIT;
CREATE TABLE views AS SELECT relname::text AS v FROM weir.views JOIN pg_class c ON c.oid = view WHERE stream = 'events'::regclass;

-- Nothing but NULLs; one row; many; extremes of the types.
INSERT INTO events (k, ts, part) SELECT 'null', at(g), g % 4 FROM generate_series(0, 5) g;
INSERT INTO events (k, b, i2, i4, i8, f4, f8, n, n2, t, c, d, ti, ts2, tz, iv, m, ip, o, ts, part) VALUES
    ('one', true, 7, -7, 7, 0.5, -0.25, 1.10, 5.5, 'x', 'x', '2024-05-05', '01:02:03', '2024-01-01', '2024-01-01', '1 mon 2 days', 'ok', '10.1.1.1', 4000000000, at(1), 1),
    ('edge', true, 32767, 2147483647, 9223372036854775807, 'Infinity', 'NaN', 'NaN', 99999999.99, '', '', 'infinity', '00:00', 'infinity', 'infinity', '0', 'happy', '::', 0, at(2), 0),
    ('edge', false, -32768, -2147483648, -9223372036854775808, '-Infinity', '-Infinity', '1e100', -99999999.99, 'zz', 'zz', '-infinity', '24:00', '-infinity', '-infinity', '-1 mon 31 days', 'sad', '255.255.255.255', 1, at(3), 3),
    ('edge', NULL, 32767, 2147483647, 9223372036854775807, 1, 'Infinity', '-1e-100', 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, at(4), 2),
    ('zero', false, 0, 0, 0, '-0', '-0', 0.000, 0, 'a', 'a', '2024-01-01', '00:00', '2024-01-01', '2024-01-01', '0', 'sad', '0.0.0.0', 0, at(5), 0),
    ('zero', false, 0, 0, 0, 0, 0, 0.0, 0, 'a', 'a', '2024-01-01', '00:00', '2024-01-01', '2024-01-01', '0', 'sad', '0.0.0.0', 0, at(6), 0);
INSERT INTO events (k, b, i2, i4, i8, f4, f8, n, n2, t, c, d, ti, ts2, tz, iv, m, ip, o, ts, part)
    SELECT 'k' || g % 7, g % 3 = 0, g * 37 % 1000 - 500, g * 7919 % 100000, g * 1000003::bigint * 65537, g % 128 / 64.0, g % 1024 / 64.0 - 8, (g * 37 % 1000) / 7.0, g / 3.0,
        chr(97 + g % 26) || g, 'c' || g % 50, date '2024-01-01' + g, time '00:00' + g * interval '1 min', '2024-01-01'::timestamp - g * interval '1 h', at(g), g % 90 * interval '1 h 1 us' - g % 5 * interval '1 mon',
        (ARRAY['sad', 'ok', 'happy'])[1 + g % 3]::mood, inet '10.0.0.0' + g, g, at(g / 20.0), g % 4
    FROM generate_series(1, 2000) g WHERE g % 11 <> 0;
SELECT weir.flush('events');
SELECT v, d.* FROM views, differ(v) d ORDER BY v;
SELECT v, w.* FROM views, windows(v) w ORDER BY v;
SELECT * FROM ints WHERE k = 'edge';
SELECT * FROM numerics WHERE k = 'edge';
SELECT * FROM floats WHERE k IN ('edge', 'zero', 'null') ORDER BY w, k;
SELECT * FROM extremes WHERE k = 'edge';
SELECT sum(dead_letters) AS dead, sum(late) AS late FROM weir.status WHERE stream = 'events'::regclass;
SELECT reason, view::text, count(*) FROM weir.dead_letters WHERE stream = 'events'::regclass GROUP BY 1, 2 ORDER BY 1, 2 LIMIT 20;
-- All are final but the last.
INSERT INTO events (k, ts, part) SELECT 'end', at(10000), p FROM generate_series(0, 3) p;
SELECT weir.flush('events');
SELECT v, d.* FROM views, differ(v) d WHERE only_view + only_batch <> 0 ORDER BY v;
SELECT v, w.* FROM views, windows(v) w ORDER BY v;
-- Types are those of the query.
SELECT a.attrelid::regclass, a.attname, format_type(a.atttypid, a.atttypmod), format_type(b.atttypid, b.atttypmod) FROM views
    JOIN pg_attribute a ON a.attrelid = quote_ident(v || '_query')::regclass JOIN pg_attribute b ON b.attrelid = quote_ident(v)::regclass AND a.attname = b.attname
    WHERE a.attnum > 0 AND (a.atttypid, a.atttypmod) <> (b.atttypid, b.atttypmod);

-- A value that could make a sum overflow is a dead letter of that view: no sum
-- of doubles may end at infinity later, when nothing can be refused any more.
CREATE FOREIGN TABLE big (f4 float4, f8 float8, ts timestamptz, part int OPTIONS (metadata 'partition')) SERVER aggregates OPTIONS (topic 'aggregates_big', event_time 'ts');
SELECT weir.create_view('overflow', $$ SELECT weir.tumble(ts, '10 s') AS w, sum(f8) AS s, count(*) FROM big GROUP BY 1 $$);
INSERT INTO big VALUES (1, 1e308, at(1), 0), (2, -1e308, at(2), 0), (3, 1, at(3), 0);
SELECT weir.flush('big');
SELECT * FROM overflow;
SELECT "offset", sqlstate, reason FROM weir.dead_letters WHERE stream = 'big'::regclass ORDER BY 1;
SELECT error, events, dead_letters FROM weir.status WHERE view_name = 'overflow'::regclass;

DROP SCHEMA aggregates CASCADE;
DROP SERVER aggregates;
