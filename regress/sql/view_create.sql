-- create_view: names, the four relations, and that it is part of a transaction.
\set ECHO errors
\getenv srcdir PG_ABS_SRCDIR
\set lib :srcdir /lib/views.sql
\set test view_create
\i :lib
\set ECHO all
CREATE FOREIGN TABLE events (
    kind text, n int, ts timestamptz, part int OPTIONS (metadata 'partition')
) SERVER view_create OPTIONS (topic 'view_create', event_time 'ts');
INSERT INTO events SELECT 'k' || g % 3, g, at(g), g % 4 FROM generate_series(1, 20) g;
\set q '$$SELECT weir.tumble(ts, ''5 s'') AS w, kind, count(*) FROM events GROUP BY 1, 2$$'

-- A window that is not in the select list, and other shapes of it.
SELECT weir.create_view('hidden', $$ SELECT kind, count(*) AS c FROM events GROUP BY weir.tumble(ts, '5 s'), kind $$);
SELECT weir.create_view('hidden_all', $$ SELECT count(*) FROM events GROUP BY weir.tumble(ts, '5 s') $$);
SELECT weir.create_view('last_column', $$ SELECT count(*), kind, weir.tumble(ts, '5 s') + interval '5 s' AS until, weir.tumble(ts, '5 s') AS w FROM events GROUP BY kind, weir.tumble(ts, '5 s') $$);
SELECT weir.create_view('computed', $$ SELECT count(*), extract(epoch FROM weir.tumble(ts, '5 s')) AS epoch FROM events GROUP BY weir.tumble(ts, '5 s') $$);
SELECT weir.create_view('twice', $$ SELECT weir.tumble(ts, '5 s') AS w, count(*), weir.tumble(ts, '5 s') AS again FROM events GROUP BY 1 $$);
SELECT weir.create_view('having_window', $$ SELECT weir.tumble(ts, '5 s') AS w, count(*) FROM events GROUP BY 1 HAVING weir.tumble(ts, '5 s') > '2024-01-01 00:00:05+00' $$);
SELECT weir.flush('events');
SELECT relation, string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attnum) AS columns
    FROM unnest('{hidden,hidden_final,hidden_open,hidden_all_final,last_column,last_column_final,computed_final}'::regclass[]) WITH ORDINALITY r (relation, nr)
    JOIN pg_attribute ON attrelid = relation AND attnum > 0 GROUP BY relation, nr ORDER BY nr;
SELECT v, d.*, w.* FROM unnest('{hidden,hidden_all,last_column,computed,twice,having_window}'::text[]) WITH ORDINALITY v (v, nr), differ(v) d, windows(v) w ORDER BY nr;
SELECT * FROM hidden_all ORDER BY 1;
SELECT * FROM having_window ORDER BY 1;
INSERT INTO events SELECT 'end', 0, at(100), p FROM generate_series(0, 3) p;
SELECT weir.flush('events');
SELECT v, d.*, w.* FROM unnest('{hidden,hidden_all,last_column,computed,twice,having_window}'::text[]) WITH ORDINALITY v (v, nr), differ(v) d, windows(v) w ORDER BY nr;

-- Columns of any name; names with capitals, quotes, dots; another schema.
CREATE SCHEMA "Other ""s"".chema";
SELECT weir.create_view('"Odd ""view"".name"', $$ SELECT weir.tumble(ts, '5 s') AS "the ""Window""", kind AS "select", count(*) AS "weir_window", sum(n) AS "?column?" FROM events GROUP BY 1, 2 $$);
SELECT weir.create_view('"Other ""s"".chema"."V"', :q);
SELECT weir.create_view('VIEW_create.Folded', :q);
SELECT weir.flush('events');
SELECT * FROM differ('Odd "view".name');
SELECT "the ""Window""", "select", "weir_window", "?column?" FROM "Odd ""view"".name_final" ORDER BY 1, 2 LIMIT 2;
SELECT view, query, final, open FROM weir.views WHERE view IN ('"Odd ""view"".name"'::regclass, '"Other ""s"".chema"."V"'::regclass, 'folded'::regclass) ORDER BY view::text;
SELECT count(*) FROM "Other ""s"".chema"."V";
SELECT weir.drop_view('"Odd ""view"".name"');
DROP SCHEMA "Other ""s"".chema" CASCADE;
SELECT weir.drop_view('folded');
SELECT count(*) FROM pg_class WHERE relname ~ '^(Odd|V|folded)';

-- Names that are taken, too long, or not there.
CREATE TABLE taken (a int);
CREATE TABLE taken_q_query (a int);
CREATE SEQUENCE taken_f_final;
CREATE INDEX taken_o_open ON taken (a);
SELECT weir.create_view('taken', :q);
SELECT weir.create_view('taken_q', :q);
SELECT weir.create_view('taken_f', :q);
SELECT weir.create_view('taken_o', :q);
SELECT weir.create_view('hidden', :q);
SELECT weir.create_view('nowhere.v', :q);
SELECT weir.create_view('', :q);
SELECT weir.create_view('a.b.c.d', :q);
SELECT weir.create_view('"unterminated', :q);
SELECT weir.create_view('pg_catalog.v', :q);
SELECT weir.create_view(repeat('x', 58), :q);
SELECT weir.create_view(repeat('x', 57), :q) = repeat('x', 57)::regclass AS made;
SELECT weir.flush(repeat('x', 57)::regclass);
SELECT count(*) > 0 AS rows FROM xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx_final;
SELECT weir.drop_view(repeat('x', 57)::regclass);
SELECT weir.create_view(repeat('é', 29), :q);

-- Arguments.
SELECT weir.create_view(NULL, :q);
SELECT weir.create_view('v', NULL);
SELECT weir.create_view('v', '');
SELECT weir.create_view('v', 'SELECT 1; SELECT 2');
SELECT weir.create_view('v', 'DELETE FROM taken');
SELECT weir.create_view('v', 'SELECT 1 INTO x');
SELECT weir.create_view('v', 'VALUES (1)');
SELECT weir.create_view('v', 'SELEC');
SELECT weir.create_view('v', :q, start => 'yesterday-ish');
SELECT weir.create_view('v', :q, lateness => '-1 s');
SELECT weir.create_view('v', :q, lateness => '1 month');
SELECT weir.create_view('v', :q, retention => '0');
SELECT weir.create_view('v', $$SELECT weir.tumble(ts, '5 s') AS w, count(*), count(*) FROM events GROUP BY 1$$);
SELECT weir.create_view('v', $$SELECT weir.tumble(ts, '5 s') AS w, NULL, count(*) FROM events GROUP BY 1$$) = 'v'::regclass AS made;
SELECT weir.flush('v');
SELECT * FROM differ('v');
SELECT weir.drop_view('v');
SELECT weir.create_view('v', $$ /* a comment */ SELECT weir.tumble(ts, '5 s') AS w, count(*) FROM events GROUP BY 1 ; -- and another$$);
SELECT weir.drop_view('v');
SELECT relname FROM pg_class WHERE relnamespace = 'view_create'::regnamespace AND relname ~ '^v(_.*)?$';

-- In a transaction: what was rolled back was never there.
BEGIN;
SELECT weir.create_view('v', :q);
SELECT state FROM weir.status WHERE view_name = 'v'::regclass;
SELECT count(*) FROM v;
ROLLBACK;
SELECT count(*) FROM pg_class WHERE relname ~ '^v(_.*)?$' AND relnamespace = 'view_create'::regnamespace;
BEGIN;
SELECT weir.create_view('kept', :q);
SAVEPOINT a;
SELECT weir.create_view('v', :q);
ROLLBACK TO a;
SELECT weir.create_view('v', $$ SELECT weir.tumble(ts, '10 s') AS w, count(*) AS other FROM events GROUP BY 1 $$);
SAVEPOINT b;
SELECT weir.drop_view('kept');
ROLLBACK TO b;
COMMIT;
SELECT weir.flush('events');
SELECT v, d.* FROM unnest('{v,kept}'::text[]) v, differ(v) d;
BEGIN;
SELECT weir.drop_view('v');
SELECT weir.create_view('v', :q);
ROLLBACK;
SELECT other FROM v ORDER BY w LIMIT 1;
BEGIN;
SELECT weir.drop_view('v');
SELECT weir.create_view('v', :q);
COMMIT;
SELECT weir.flush('v');
SELECT * FROM differ('v');
SELECT weir.drop_view('v');
SELECT weir.drop_view('kept');
DO $$
BEGIN
    PERFORM weir.create_view('v', 'SELECT weir.tumble(ts, ''5 s'') AS w, count(*) FROM events GROUP BY 1');
    RAISE 'away with it';
EXCEPTION WHEN raise_exception THEN
    RAISE WARNING 'caught';
END $$;
SELECT count(*) FROM pg_class WHERE relname ~ '^v(_.*)?$' AND relnamespace = 'view_create'::regnamespace;
BEGIN;
SELECT weir.create_view('v', :q);
PREPARE TRANSACTION 'view_create';
SELECT count(*) FROM pg_class WHERE relname ~ '^v(_.*)?$' AND relnamespace = 'view_create'::regnamespace;
BEGIN READ ONLY;
SELECT weir.create_view('v', :q);
ROLLBACK;

-- Views that were created together share a lane.
BEGIN;
SELECT weir.create_view('together' || g, 'SELECT weir.tumble(ts, ''5 s'') AS w, count(*) FROM events GROUP BY 1') FROM generate_series(1, 5) g;
COMMIT;
SELECT weir.flush('events');
SELECT count(*), count(DISTINCT lane) FROM weir.status WHERE view_name::text LIKE 'together%';
SELECT v, d.* FROM generate_series(1, 5) g, format('together%s', g) v, differ(v) d ORDER BY v;
SELECT weir.drop_view('together3');
INSERT INTO events SELECT 'more', 1, at(101), p FROM generate_series(0, 3) p;
SELECT weir.flush('events');
SELECT v, d.* FROM unnest('{together1,together2,together4,together5}'::text[]) v, differ(v) d;

-- What is frozen when a view is defined.
SET TimeZone = 'Asia/Tokyo';
CREATE FUNCTION shout(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT upper($1)';
SELECT weir.create_view('frozen', $$ SELECT weir.tumble(ts, '5 s') AS w, to_char(ts, 'HH24') AS hour, view_create.shout(kind) AS k, count(*) FROM events GROUP BY 1, 2, 3 $$);
SET TimeZone = 'UTC';
SELECT weir.flush('frozen');
SELECT DISTINCT hour, k FROM frozen ORDER BY 1, 2;

-- start => 'latest' and a time.
BEGIN;
SELECT weir.create_view('from_latest', :q, start => 'latest');
COMMIT;
SELECT weir.flush('from_latest');
SELECT count(*) FROM from_latest;
INSERT INTO events SELECT 'new', g, at(300 + g), g % 4 FROM generate_series(0, 7) g;
SELECT weir.flush('from_latest');
SELECT * FROM from_latest ORDER BY w, kind;
SELECT partition, position - start_offset AS read, events FROM weir.partitions WHERE view_name = 'from_latest'::regclass ORDER BY 1;

SELECT weir.create_view('never', :q, start => 'infinity');
SELECT weir.reset('from_latest', '-infinity');
-- No other process can write a temporary table.
SELECT weir.create_view('pg_temp.v', :q);

DROP SCHEMA view_create CASCADE;
DROP SERVER view_create CASCADE;
SELECT count(*) FROM weir.views;
