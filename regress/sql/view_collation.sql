-- Keys of a nondeterministic collation: what it calls equal is one group.
SELECT count(*) = 0 AS no_icu FROM pg_collation WHERE collprovider = 'i' \gset
\if :no_icu
\quit
\endif
SELECT getdatabaseencoding() <> 'UTF8' AS no_utf8 \gset
\if :no_utf8
\quit
\endif
\set ECHO errors
\getenv srcdir PG_ABS_SRCDIR
\set lib :srcdir /lib/views.sql
\set test view_collation
\i :lib
\set ECHO all
CREATE COLLATION caseless (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE FOREIGN TABLE events (
    k text COLLATE caseless, plain text, n int, ts timestamptz, part int OPTIONS (metadata 'partition')
) SERVER view_collation OPTIONS (topic 'view_collation', event_time 'ts');
BEGIN;
SELECT weir.create_view('v', $$ SELECT weir.tumble(ts, '10 s') AS w, k, count(*), sum(n), min(lower(k)) AS low FROM events GROUP BY 1, 2 $$);
SELECT weir.create_view('here', $$ SELECT weir.tumble(ts, '10 s') AS w, plain COLLATE caseless AS p, count(*) FROM events WHERE plain COLLATE caseless <> 'X' GROUP BY 1, 2 $$);
SELECT weir.create_view('c', $$ SELECT weir.tumble(ts, '10 s') AS w, k COLLATE "C" AS c, count(*), max(k COLLATE "C") AS highest FROM events GROUP BY 1, 2 $$);
COMMIT;
SELECT attrelid::regclass, attname, attcollation::regcollation FROM pg_attribute
    WHERE attrelid IN ('v'::regclass, 'v_final'::regclass, 'v_open'::regclass, 'here_open'::regclass) AND attname IN ('k', 'p') ORDER BY 1;
INSERT INTO events VALUES ('abc', 'abc', 1, at(1), 0), ('ABC', 'ABC', 2, at(2), 0), ('Abc', 'Abc', 3, at(3), 1), ('abd', 'x', 4, at(4), 2), ('ÄBC', 'y', 5, at(5), 3), ('äbc', 'Y', 6, at(6), 1);
SELECT weir.flush('events');
SELECT w, lower(k), count, sum FROM v ORDER BY lower(k) COLLATE "C";
SELECT w, lower(p), count FROM here ORDER BY lower(p) COLLATE "C";
SELECT v, d.* FROM unnest('{v,here,c}'::text[]) v, differ(v) d;
INSERT INTO events SELECT 'z', 'z', 0, at(100), p FROM generate_series(0, 3) p;
SELECT weir.flush('events');
SELECT v, d.* FROM unnest('{v,here,c}'::text[]) v, differ(v) d;
SELECT lower(k) FROM v_final WHERE k = 'aBc';
DROP SCHEMA view_collation CASCADE;
DROP SERVER view_collation;
