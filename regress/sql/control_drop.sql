-- DROP of what belongs to a running view, by whatever statement, and renames.
\set ECHO errors
\getenv srcdir PG_ABS_SRCDIR
\set lib :srcdir /lib/views.sql
\set test control_drop
\i :lib
-- What is left of the views of this file, in the catalog and as processes.
CREATE FUNCTION left_over(OUT views bigint, OUT progress bigint, OUT state bigint, OUT relations bigint) LANGUAGE sql AS $$
    SELECT (SELECT count(*) FROM weir.views), (SELECT count(*) FROM weir.progress), (SELECT count(*) FROM weir.state),
        (SELECT count(*) FROM pg_class WHERE relnamespace = 'control_drop'::regnamespace AND relname ~ '^(v|w)(_|$)') $$;
CREATE PROCEDURE make() LANGUAGE plpgsql AS $$
BEGIN
    PERFORM weir.create_view('control_drop.v', 'SELECT weir.tumble(ts, ''10 s'') AS t, kind, count(*) FROM control_drop.events GROUP BY 1, 2');
    PERFORM weir.create_view('control_drop.w', 'SELECT weir.tumble(ts, ''20 s'') AS t, sum(n) FROM control_drop.events GROUP BY 1');
    COMMIT;
    PERFORM weir.flush('control_drop.events');
END $$;
\set ECHO all
CREATE FOREIGN TABLE events (
    kind text, n int, ts timestamptz, part int OPTIONS (metadata 'partition')
) SERVER control_drop OPTIONS (topic 'control_drop', event_time 'ts');
INSERT INTO events SELECT 'k' || g % 3, g, at(g), g % 4 FROM generate_series(1, 100) g;

-- Each of its relations alone.
CALL make();
DROP VIEW v;
SELECT views, progress, relations FROM left_over();
SELECT weir.drop_view('w');
CALL make();
DROP VIEW v_query;
DROP VIEW v_query CASCADE;
SELECT views, progress, relations FROM left_over();
SELECT weir.drop_view('w');
CALL make();
DROP TABLE v_final;
DROP FOREIGN TABLE v_open;
SELECT views FROM left_over();
DROP TABLE v_final CASCADE;
DROP FOREIGN TABLE w_open CASCADE;
SELECT * FROM left_over();
CALL make();
DROP VIEW v, w;
SELECT * FROM left_over();
SELECT wait_for('(SELECT count(*) = 0 FROM weir.running_views())');

-- A transaction that is prepared may touch anything but continuous views.
CALL make();
CREATE TABLE own (a int);
BEGIN;
GRANT SELECT ON own TO PUBLIC;
DROP TABLE own;
PREPARE TRANSACTION 'control_drop';
COMMIT PREPARED 'control_drop';
BEGIN;
DROP VIEW v;
PREPARE TRANSACTION 'control_drop';
SELECT views FROM left_over();
SELECT weir.drop_view('v'), weir.drop_view('w');

-- What users have made on top of it goes only by CASCADE.
CALL make();
CREATE VIEW report AS SELECT sum(count) FROM v_final;
DROP VIEW v;
SELECT weir.drop_view('v');
SELECT views FROM left_over();
DROP VIEW v CASCADE;
SELECT to_regclass('report');
SELECT weir.drop_view('w');

-- The stream.
CALL make();
DROP FOREIGN TABLE events;
DROP FOREIGN TABLE events RESTRICT;
BEGIN;
DROP FOREIGN TABLE events CASCADE;
SELECT * FROM left_over();
ROLLBACK;
SELECT views, relations > 6 AS relations FROM left_over();
SELECT weir.flush('events');
SELECT v, d.* FROM unnest('{v,w}'::text[]) v, differ(v) d;
BEGIN;
SAVEPOINT a;
DROP FOREIGN TABLE events CASCADE;
ROLLBACK TO a;
COMMIT;
INSERT INTO events SELECT 'new', g, at(100 + g), g % 4 FROM generate_series(1, 100) g;
SELECT weir.flush('events');
SELECT v, d.* FROM unnest('{v,w}'::text[]) v, differ(v) d;
DROP FOREIGN TABLE events CASCADE;
SELECT * FROM left_over();
SELECT wait_for('(SELECT count(*) = 0 FROM weir.running_views())');
CREATE FOREIGN TABLE events (
    kind text, n int, ts timestamptz, part int OPTIONS (metadata 'partition')
) SERVER control_drop OPTIONS (topic 'control_drop', event_time 'ts');

-- Columns and types that a view needs.
CREATE TYPE mood AS ENUM ('sad', 'k0', 'k1', 'k2', 'new');
CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2';
CALL make();
SELECT weir.create_view('needy', $$ SELECT weir.tumble(ts, '10 s') AS t, kind::mood AS m, sum(twice(n)) FROM events GROUP BY 1, 2 $$);
ALTER FOREIGN TABLE events DROP COLUMN kind;
ALTER FOREIGN TABLE events ALTER COLUMN n TYPE bigint;
DROP FUNCTION twice;
DROP TYPE mood;
SELECT weir.flush('events');
SELECT * FROM differ('needy');
DROP TYPE mood CASCADE;
SELECT count(*) FROM weir.views;
-- A column that no view needs comes and goes.
ALTER FOREIGN TABLE events ADD COLUMN extra int;
INSERT INTO events SELECT 'x', g, at(200 + g), g % 4, g FROM generate_series(1, 10) g;
SELECT weir.flush('events');
SELECT v, d.* FROM unnest('{v,w}'::text[]) v, differ(v) d;
ALTER FOREIGN TABLE events DROP COLUMN extra;
INSERT INTO events SELECT 'y', g, at(210 + g), g % 4 FROM generate_series(1, 10) g;
SELECT weir.flush('events');
SELECT v, d.* FROM unnest('{v,w}'::text[]) v, differ(v) d;

-- Renames while it runs: the plan and all names follow.
ALTER FOREIGN TABLE events RENAME TO happenings;
ALTER VIEW v RENAME TO "New Name";
ALTER VIEW "New Name_query" RENAME TO v_q;
ALTER TABLE "New Name_final" RENAME TO "v.f";
ALTER FOREIGN TABLE "New Name_open" RENAME TO v_o;
ALTER TABLE "v.f" RENAME COLUMN t TO t2;
ALTER VIEW w_query RENAME COLUMN t TO t3;
ALTER FOREIGN TABLE happenings RENAME COLUMN n TO number;
INSERT INTO happenings SELECT 'z', g, at(300 + g), g % 4 FROM generate_series(1, 10) g;
SELECT weir.flush('happenings');
SELECT count(*) FROM (SELECT * FROM "New Name" EXCEPT ALL SELECT * FROM v_q) d;
SELECT count(*) FROM (SELECT * FROM v_q EXCEPT ALL SELECT * FROM "New Name") d;
SELECT * FROM differ('w');
CREATE SCHEMA control_drop_2;
ALTER VIEW "New Name" SET SCHEMA control_drop_2;
ALTER FOREIGN TABLE happenings SET SCHEMA control_drop_2;
ALTER SERVER control_drop RENAME TO control_drop_renamed;
SELECT view, query, final, open, stream FROM weir.views ORDER BY id;
SELECT weir.pause('control_drop_2."New Name"');
SELECT weir.resume('control_drop_2."New Name"');
INSERT INTO control_drop_2.happenings SELECT 'end', g, at(400), g % 4 FROM generate_series(1, 10) g;
SELECT weir.flush('control_drop_2.happenings');
SELECT count(*) FROM (SELECT * FROM control_drop_2."New Name" EXCEPT ALL SELECT * FROM control_drop_2.v_q) d;
SELECT count(*) FROM (SELECT * FROM control_drop_2.v_q EXCEPT ALL SELECT * FROM control_drop_2."New Name") d;
SELECT max(t2) FROM control_drop_2."v.f";
SELECT error FROM weir.status;
SELECT weir.drop_view('control_drop_2."New Name"');
DROP SCHEMA control_drop_2 CASCADE;
SELECT * FROM left_over();
ALTER SERVER control_drop_renamed RENAME TO control_drop;

-- DROP SCHEMA, DROP OWNED, DROP SERVER.
CREATE FOREIGN TABLE events (
    kind text, n int, ts timestamptz, part int OPTIONS (metadata 'partition')
) SERVER control_drop OPTIONS (topic 'control_drop', event_time 'ts');
CREATE SCHEMA control_drop_3;
SELECT weir.create_view('control_drop_3.v', $$ SELECT weir.tumble(ts, '10 s') AS t, count(*) FROM events GROUP BY 1 $$);
SELECT weir.flush('events');
DROP SCHEMA control_drop_3;
DROP SCHEMA control_drop_3 CASCADE;
SELECT * FROM left_over();
CREATE ROLE regress_weir_dropped;
GRANT USAGE, CREATE ON SCHEMA control_drop TO regress_weir_dropped;
GRANT SELECT ON events TO regress_weir_dropped;
SET ROLE regress_weir_dropped;
SELECT weir.create_view('control_drop.owned', $$ SELECT weir.tumble(ts, '10 s') AS t, count(*) FROM events GROUP BY 1 $$);
SELECT weir.flush('owned');
RESET ROLE;
CALL make();
DROP OWNED BY regress_weir_dropped;
SELECT view FROM weir.views ORDER BY id;
SELECT count(*) FROM pg_class WHERE relname ~ '^owned';
DROP ROLE regress_weir_dropped;
DROP SERVER control_drop;
DROP SERVER control_drop CASCADE;
SELECT * FROM left_over();
SELECT wait_for('(SELECT count(*) = 0 FROM weir.running_views())');

DROP SCHEMA control_drop CASCADE;
