-- ALTER of a continuous view and of a stream that has some: what follows, what
-- is refused, and what makes the views begin anew.
\set ECHO errors
\getenv srcdir PG_ABS_SRCDIR
\set lib :srcdir /lib/views.sql
\set test control_alter
\i :lib
-- Names, schemas and owners of all that belongs to the views of this test.
CREATE VIEW parts AS
    SELECT c.relname, c.relnamespace::regnamespace AS schema, c.relowner::regrole AS owner
    FROM pg_class c, weir.views v
    WHERE c.oid IN (v.view, v.query, v.final, v.open) OR c.oid IN (SELECT relid FROM pg_partition_tree(v.final))
    ORDER BY c.relname COLLATE "C";
\set ECHO all
CREATE ROLE regress_weir_a;
CREATE ROLE regress_weir_b;
CREATE ROLE regress_weir_c;
GRANT USAGE, CREATE ON SCHEMA control_alter TO regress_weir_a, regress_weir_b, regress_weir_c;
CREATE FOREIGN TABLE events (
    kind text, n int, ts timestamptz, part int OPTIONS (metadata 'partition')
) SERVER control_alter OPTIONS (topic 'control_alter', event_time 'ts');
GRANT SELECT ON events TO regress_weir_a, regress_weir_b;
CREATE PROCEDURE more(second int) LANGUAGE sql
    AS $$ INSERT INTO control_alter.events SELECT 'k' || g % 3, g, control_alter.at(second), g % 4 FROM generate_series(1, 20) g $$;
CALL more(0);
SET ROLE regress_weir_a;
SELECT weir.create_view('v', $$ SELECT weir.tumble(ts, '10 s') AS w, kind, count(*), sum(n) FROM events GROUP BY 1, 2 $$);
RESET ROLE;
CALL more(20);
SELECT weir.flush('v');
SELECT wait_for('(SELECT count(*) = 3 FROM v_final)');

-- The owner: all of it follows the view, whatever the statement.
SELECT * FROM parts;
ALTER VIEW v OWNER TO regress_weir_b;
SELECT * FROM parts;
CALL more(40);
SELECT weir.flush('v');
SELECT * FROM differ('v');
SELECT wait_for('(SELECT count(*) = 6 FROM v_final)');
ALTER TABLE v OWNER TO regress_weir_a;
SELECT DISTINCT owner FROM parts;
BEGIN;
ALTER TABLE v OWNER TO regress_weir_b;
ROLLBACK;
SELECT DISTINCT owner FROM parts;
REASSIGN OWNED BY regress_weir_a TO regress_weir_b;
SELECT DISTINCT owner FROM parts;
CALL more(60);
SELECT weir.flush('v');
SELECT * FROM differ('v');
SELECT error FROM weir.status;
-- Not to somebody who must not read the stream, and not a part of it alone.
ALTER VIEW v OWNER TO regress_weir_c;
REASSIGN OWNED BY regress_weir_b TO regress_weir_c;
ALTER TABLE v_final OWNER TO regress_weir_a;
ALTER VIEW v_query OWNER TO regress_weir_a;
ALTER TABLE v_open OWNER TO regress_weir_a;
SELECT DISTINCT owner FROM parts;
-- By its owner, who is a member of the new one.
GRANT regress_weir_a TO regress_weir_b;
SET ROLE regress_weir_b;
ALTER VIEW v OWNER TO regress_weir_a;
RESET ROLE;
SELECT DISTINCT owner FROM parts;
SELECT weir.flush('v');
SELECT * FROM differ('v');

-- The right to the stream is taken away while the view runs.
REVOKE SELECT ON events FROM regress_weir_a;
SELECT wait_for($$(SELECT state = 'error' FROM weir.status)$$);
SELECT state, error FROM weir.status;
GRANT SELECT ON events TO regress_weir_a;
CALL more(80);
SELECT weir.resume('v');
SELECT weir.flush('v');
SELECT * FROM differ('v');

-- The name: that of its parts follows, unless they have one of their own.
ALTER VIEW v RENAME TO w;
SELECT relname FROM parts WHERE relname !~ '_2024';
CALL more(100);
SELECT weir.flush('w');
SELECT * FROM differ('w');
CREATE TABLE x_final ();
ALTER VIEW w RENAME TO x;
DROP TABLE x_final;
ALTER VIEW w RENAME TO w2345678901234567890123456789012345678901234567890123456789;
ALTER TABLE w_final RENAME TO finals;
ALTER VIEW w RENAME TO v;
SELECT relname FROM parts WHERE relname !~ '_2024';
ALTER TABLE finals RENAME TO v_final;
-- So two views can swap their names.
SELECT weir.create_view('new', $$ SELECT weir.tumble(ts, '10 s') AS w, kind, count(*), sum(n) FROM events GROUP BY 1, 2 $$);
BEGIN;
ALTER VIEW v RENAME TO old;
ALTER VIEW new RENAME TO v;
COMMIT;
SELECT view, query, final, open FROM weir.views ORDER BY id;
SELECT weir.flush('events');
SELECT v, d.* FROM unnest('{v,old}'::text[]) v, differ(v) d;
SELECT weir.drop_view('v');
ALTER VIEW old RENAME TO v;

-- The schema: its parts and the partitions follow.
CREATE SCHEMA control_alter_2;
GRANT USAGE, CREATE ON SCHEMA control_alter_2 TO regress_weir_a;
ALTER VIEW v SET SCHEMA control_alter_2;
SELECT DISTINCT schema FROM parts;
CALL more(120);
SELECT weir.flush('control_alter_2.v');
SELECT count(*) FROM (SELECT * FROM control_alter_2.v EXCEPT ALL SELECT * FROM control_alter_2.v_query) d;
SELECT count(*) FROM (SELECT * FROM control_alter_2.v_query EXCEPT ALL SELECT * FROM control_alter_2.v) d;
ALTER TABLE control_alter_2.v SET SCHEMA control_alter;
SELECT DISTINCT schema FROM parts;
ALTER TABLE v_final SET SCHEMA control_alter_2;
SELECT relname, schema FROM parts;
ALTER TABLE control_alter_2.v_final SET SCHEMA control_alter;
DROP SCHEMA control_alter_2;

-- A column of the stream: it reads the field that it read before.
SET client_min_messages = notice;
ALTER FOREIGN TABLE events RENAME COLUMN n TO "a ""number""";
ALTER FOREIGN TABLE events RENAME COLUMN ts TO at;
ALTER FOREIGN TABLE events RENAME COLUMN part TO p;
SET client_min_messages = warning;
INSERT INTO events SELECT 'k1', g, at(140), g % 4 FROM generate_series(1, 20) g;
SELECT weir.flush('v');
SELECT * FROM differ('v');
SELECT sum(sum) FROM v WHERE w = at(140);
ALTER FOREIGN TABLE events RENAME COLUMN "a ""number""" TO n;
ALTER FOREIGN TABLE events RENAME COLUMN at TO ts;
ALTER FOREIGN TABLE events RENAME COLUMN p TO part;
SELECT attname, attfdwoptions FROM pg_attribute WHERE attrelid = 'events'::regclass AND attnum > 0;
SELECT ftoptions FROM pg_foreign_table WHERE ftrelid = 'events'::regclass;

-- Another topic: the view does not go on there from the positions of this one.
ALTER FOREIGN TABLE events OPTIONS (SET topic 'control_alter_2');
SELECT wait_for($$(SELECT state = 'error' FROM weir.status)$$);
SELECT error FROM weir.status;
SELECT weir.resume('v');
SELECT wait_for($$(SELECT state = 'error' FROM weir.status)$$);
ALTER FOREIGN TABLE events OPTIONS (SET topic 'control_alter');
SELECT weir.resume('v');
CALL more(160);
SELECT weir.flush('v');
SELECT * FROM differ('v');
ALTER FOREIGN TABLE events OPTIONS (SET topic 'control_alter_2');
SELECT wait_for($$(SELECT state = 'error' FROM weir.status)$$);
SELECT weir.reset('v', 'earliest');
CALL more(0);
SELECT weir.flush('v');
SELECT * FROM differ('v');
SELECT events FROM weir.status;
-- A view of its own for the new topic, at once.
SELECT weir.drop_view('v');
ALTER FOREIGN TABLE events OPTIONS (SET topic 'control_alter');
SELECT weir.create_view('v', $$ SELECT weir.tumble(ts, '10 s') AS w, kind, count(*), sum(n) FROM events GROUP BY 1, 2 $$);
SELECT weir.flush('v');
SELECT * FROM differ('v');

-- Other options and columns: followed, from a checkpoint on.
SELECT weir.pause('v');
SELECT wait_for('(SELECT count(*) = 0 FROM weir.running_views())');
ALTER FOREIGN TABLE events OPTIONS (ADD watermark_delay '1 minute');
SELECT weir.resume('v');
CALL more(180);
CALL more(165);
SELECT weir.flush('v');
SELECT late FROM weir.status;
SELECT * FROM differ('v');
ALTER FOREIGN TABLE events ADD COLUMN extra text;
ALTER FOREIGN TABLE events ALTER COLUMN extra TYPE int;
INSERT INTO events (kind, n, ts, extra) VALUES ('extra', 1, at(180), 1);
SELECT weir.flush('v');
SELECT * FROM differ('v');
ALTER FOREIGN TABLE events DROP COLUMN extra;
ALTER FOREIGN TABLE events DROP COLUMN n;
ALTER FOREIGN TABLE events ALTER COLUMN n TYPE bigint;
ALTER SERVER control_alter OPTIONS (ADD "client.id" 'another');
CREATE USER MAPPING FOR PUBLIC SERVER control_alter;
DROP USER MAPPING FOR PUBLIC SERVER control_alter;
CALL more(200);
SELECT weir.flush('v');
SELECT * FROM differ('v');
SELECT state <> 'error', error FROM weir.status;
-- A broker that is not there: the lane waits, and goes on when it is back.
ALTER SERVER control_alter OPTIONS (SET bootstrap_servers '127.0.0.1:1');
SELECT wait_for($$(SELECT state = 'waiting for broker' FROM weir.status)$$);
\set ECHO errors
SELECT format('ALTER SERVER control_alter OPTIONS (SET bootstrap_servers %L)', :'broker') \gexec
\set ECHO all
CALL more(220);
SELECT weir.flush('v');
SELECT * FROM differ('v');

DROP SCHEMA control_alter CASCADE;
DROP SERVER control_alter;
DROP OWNED BY regress_weir_a, regress_weir_b, regress_weir_c;
DROP ROLE regress_weir_a, regress_weir_b, regress_weir_c;
