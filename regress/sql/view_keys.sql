-- Grouping keys of many types, NULL among them: equal keys are one group, as
-- PostgreSQL's own GROUP BY says, before and after windows close.
\set ECHO errors
\getenv srcdir PG_ABS_SRCDIR
\set lib :srcdir /lib/views.sql
\set test view_keys
\i :lib
\set ECHO all
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN short AS text CHECK (length(value) < 20);
CREATE FOREIGN TABLE events (
    b bool, i2 int2, i4 int4, i8 int8, f4 float4, f8 float8, n numeric, t text, v varchar(12), c char(4), by bytea, d date, ti time,
    ts2 timestamp, tz timestamptz, iv interval, u uuid, jb jsonb, m mood, ip inet, r int4range, s short, x text,
    ts timestamptz, part int OPTIONS (metadata 'partition')
) SERVER view_keys OPTIONS (topic 'view_keys', event_time 'ts', watermark_delay '1 min');

-- A view for each type, the key first by itself, then with a NULL beside it.
CREATE TABLE columns AS SELECT attname AS name, row_number() OVER (ORDER BY attnum) AS nr
    FROM pg_attribute WHERE attrelid = 'events'::regclass AND attnum > 0 AND attname NOT IN ('x', 'ts', 'part');
BEGIN;
SELECT count(weir.create_view('by_' || name, format('SELECT weir.tumble(ts, ''10 s'') AS w, %I AS k, count(*), min(part) AS p FROM events GROUP BY 1, 2', name))) FROM columns;
SELECT weir.create_view('by_many', 'SELECT weir.tumble(ts, ''10 s'') AS w, x, ' || string_agg(quote_ident(name), ', ' ORDER BY nr) || ', count(*) FROM events GROUP BY ' ||
    '1, 2, ' || string_agg(quote_ident(name), ', ' ORDER BY nr)) FROM columns;
COMMIT;

INSERT INTO events (b, i2, i4, i8, f4, f8, n, t, v, c, by, d, ti, ts2, tz, iv, u, jb, m, ip, r, s, ts, part) VALUES
    (true, 1, 1, 1, 0, 0, 1.0, 'a', 'a', 'a', 'a', '2024-01-01', '12:00', '2024-01-01', '2024-01-01 00:00+00', '1 day', '11111111-2222-3333-4444-555555555555', '{"a": 1, "b": [1.0]}', 'ok', '10.0.0.1', '[1,5)', 'a', at(1), 0),
    (true, 1, 1, 1, '-0', '-0', 1.00, 'a', 'a', 'a ', 'a', '2024-01-01', '12:00:00', '2024-01-01', '2024-01-01 01:00+01', '24:00', '11111111-2222-3333-4444-555555555555', '{"b": [1.00], "a": 1}', 'ok', '10.0.0.1/32', '[1,4]', 'a', at(2), 1),
    (false, -1, -1, -1, 'NaN', 'NaN', 'NaN', 'A', '', 'A', '', '0001-01-01', '00:00', '-infinity', '0001-01-01 00:00+00', '-1 day', '00000000-0000-0000-0000-000000000000', 'null', 'sad', '::1', 'empty', '', at(3), 2),
    (false, -1, -1, -1, 'NaN', 'NaN', 'NaN', '', '', '', '', '9999-12-31', '24:00', 'infinity', '9999-12-31 00:00+00', '-24:00', '00000000-0000-0000-0000-000000000000', '""', 'happy', '::1', '[5,5)', '', at(4), 3),
    (false, -32768, -2147483648, '-9223372036854775808', 'Infinity', '-Infinity', '-0.00', 'ä', 'ä', 'ä', '\x00', '2024-02-29', '23:59:59.999999', '2024-02-29', '2024-02-29 12:00+00', '1 mon', 'ffffffff-ffff-ffff-ffff-ffffffffffff', '[]', 'sad', '10.0.0.0/8', '(,5)', 'ä', at(5), 0),
    (NULL, 32767, 2147483647, '9223372036854775807', 1e-40, 1e-310, 1e-30, repeat('long ', 1000), 'x', 'x', repeat('y', 3000)::bytea, '1970-01-01', '00:00:00.000001', '1970-01-01', '1970-01-01 00:00+00', '30 days', NULL, to_jsonb(repeat('z', 3000)), NULL, NULL, '(,)', 'x', at(6), 1);
INSERT INTO events (ts, part) VALUES (at(7), 2), (at(8), 3), (at(17), 0);
-- The same again in the next window and in other partitions.
INSERT INTO events SELECT b, i2, i4, i8, f4, f8, n, t, v, c, by, d, ti, ts2, tz, iv, u, jb, m, ip, r, s, x, ts + interval '10 s', (part + 1) % 4 FROM events;
SELECT weir.flush('events');
SELECT name, d.* FROM columns, differ('by_' || name) d WHERE only_view + only_batch <> 0;
SELECT * FROM differ('by_many');
SELECT sum(dead_letters) AS dead, sum(late) AS late, min(events) AS events FROM weir.status WHERE stream = 'events'::regclass;
SELECT w, k + 0 AS k, count FROM by_f8 WHERE w = at(0) ORDER BY k;
SELECT w, trim_scale(k) AS k, count FROM by_n WHERE w = at(0) ORDER BY k;
SELECT w, k, count FROM by_m WHERE w = at(0) ORDER BY k;
SELECT w, CASE jsonb_typeof(k) WHEN 'object' THEN k - 'b' ELSE k END AS k, count FROM by_jb WHERE w = at(0) AND length(k::text) < 100 ORDER BY k;
SELECT w, k, count FROM by_c WHERE w = at(0) ORDER BY k;
SELECT w, justify_hours(k) AS k, count FROM by_iv WHERE w = at(0) ORDER BY k;

-- All become final.
INSERT INTO events (ts, part) SELECT at(1000), p FROM generate_series(0, 3) p;
SELECT weir.flush('events');
SELECT name, d.* FROM columns, differ('by_' || name) d WHERE only_view + only_batch <> 0;
SELECT name, w.* FROM columns, windows('by_' || name) w WHERE open <> 1;
SELECT * FROM differ('by_many');

-- The state is read back from disk.
SELECT weir.pause(('by_' || name)::regclass) FROM columns WHERE name IN ('jb', 'm', 'n', 't') ORDER BY nr;
INSERT INTO events SELECT b, i2, i4, i8, f4, f8, n, t, v, c, by, d, ti, ts2, tz, iv, u, jb, m, ip, r, s, x, at(1001), (part + 1) % 4 FROM events WHERE ts < at(10);
SELECT weir.resume(('by_' || name)::regclass) FROM columns WHERE name IN ('jb', 'm', 'n', 't') ORDER BY nr;
SELECT weir.flush('events');
SELECT weir.pause(('by_' || name)::regclass) FROM columns ORDER BY nr;
SELECT weir.pause('by_many');
SELECT name, d.* FROM columns, differ('by_' || name) d WHERE only_view + only_batch <> 0;
SELECT weir.resume(('by_' || name)::regclass) FROM columns ORDER BY nr;
SELECT weir.resume('by_many');
INSERT INTO events SELECT b, i2, i4, i8, f4, f8, n, t, v, c, by, d, ti, ts2, tz, iv, u, jb, m, ip, r, s, x, at(1002), (part + 1) % 4 FROM events WHERE ts < at(10);
SELECT weir.flush('events');
SELECT name, d.* FROM columns, differ('by_' || name) d WHERE only_view + only_batch <> 0;
SELECT * FROM differ('by_many');

-- Keys that are expressions, domains among them, and NULLs only.
BEGIN;
SELECT weir.create_view('expressions', $$ SELECT weir.tumble(ts, '10 s') AS w, lower(t) AS l, i4 % 2 AS odd, f8 + 0 AS f, b AND i4 > 0 AS c, n * 2 AS n2,
    CASE WHEN i8 > 0 THEN 'many' ELSE left(t, 3) END AS k, extract(hour FROM tz) AS h, coalesce(m, 'ok') AS m, count(*), count(x) AS cx FROM events WHERE length(t) < 100 OR t IS NULL GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9 $$);
SELECT weir.create_view('constants', $$ SELECT weir.tumble(ts, '10 s') AS w, 1 AS one, NULL::text AS nothing, count(*) FROM events GROUP BY 1, 2, 3 $$);
SELECT weir.create_view('rows', $$ SELECT weir.tumble(ts, '10 s') AS w, ARRAY[i4, i2] AS a, jb -> 'a' AS j, ts::date AS d, string_to_array(t, ' ') AS words, count(*), min(ARRAY[t]) AS least FROM events GROUP BY 1, 2, 3, 4, 5 $$);
COMMIT;
SELECT weir.flush('events');
SELECT v, d.*, w.* FROM unnest('{expressions,constants,rows}'::text[]) v, differ(v) d, windows(v) w;
SELECT weir.create_view('bad', $$ SELECT weir.tumble(ts, '10 s') AS w, (i4, t) AS r, count(*) FROM events GROUP BY 1, 2 $$);

-- Arrays.
CREATE FOREIGN TABLE arrays (ia int[], ta text[], ts timestamptz, part int OPTIONS (metadata 'partition'))
    SERVER view_keys OPTIONS (topic 'view_keys_arrays', event_time 'ts');
SELECT weir.create_view('by_arrays', $$ SELECT weir.tumble(ts, '10 s') AS w, ia, ta, count(*), max(ia) AS m FROM arrays GROUP BY 1, 2, 3 $$);
INSERT INTO arrays VALUES ('{1,2}', '{a,NULL}', at(1), 0), ('{1,2}', '{a,NULL}', at(2), 1), ('{}', '{}', at(3), 2), ('{NULL}', '{""}', at(4), 3),
    (NULL, '{{a,b},{c,d}}', at(5), 1), ((SELECT array_agg(g) FROM generate_series(1, 500) g), NULL, at(6), 2);
SELECT weir.flush('arrays');
SELECT * FROM differ('by_arrays');
SELECT w, ia[1:3], ta, count FROM by_arrays ORDER BY 2, 3;

DROP SCHEMA view_keys CASCADE;
DROP SERVER view_keys;
