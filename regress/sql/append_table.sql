-- The table of an append view is the user's: keys, constraints, triggers, other
-- columns; rows that it does not take, and what stands in the way of writing.
\set ECHO errors
\getenv srcdir PG_ABS_SRCDIR
\set lib :srcdir /lib/views.sql
\set test append_table
\i :lib
\set ECHO all
CREATE FOREIGN TABLE events (
    kind text, n int, ts timestamptz, body text,
    part int OPTIONS (metadata 'partition'), off bigint OPTIONS (metadata 'offset')
) SERVER append_table OPTIONS (topic 'single_1', event_time 'ts');

-- an expression fails for a row: a dead letter of this view alone
SELECT weir.create_view('v', $$ SELECT kind, 12 / n AS twelfth, n FROM events WHERE n IS NOT NULL $$);
CREATE VIEW letters AS SELECT partition, "offset", sqlstate, reason, convert_from(payload, 'UTF8')::jsonb ->> 'n' AS n
    FROM weir.dead_letters WHERE view = 'v'::regclass ORDER BY 1, 2;
SELECT weir.create_view('archive', $$ SELECT * FROM events $$);
INSERT INTO events VALUES ('a', 1), ('b', 0), ('c', 2), ('d', 0), ('e', 3);
SELECT weir.flush('events');
SELECT * FROM v ORDER BY n;
SELECT * FROM letters;
SELECT count(*) FROM archive;
SELECT view_name, events, dead_letters FROM weir.status WHERE stream = 'events'::regclass ORDER BY 1;

-- a key, and a constraint: rows that the table does not take
ALTER TABLE v ADD PRIMARY KEY (n), ADD CHECK (n < 100);
INSERT INTO events SELECT 'row', n FROM unnest('{4, 5, 4, 200, 6, 300, 7, 8, 8}'::int[]) n;
SELECT weir.flush('v');
SELECT * FROM v ORDER BY n;
SELECT * FROM letters;
-- ... among many
INSERT INTO events SELECT 'many', 10 + g % 50 FROM generate_series(0, 999) g;
SELECT weir.flush('v');
SELECT count(*), min(n), max(n) FROM v WHERE kind = 'many';
SELECT sqlstate, count(*) FROM letters GROUP BY 1 ORDER BY 1;
SELECT events, dead_letters FROM weir.status WHERE view_name = 'v'::regclass;
SELECT weir.reset('v', 'earliest');
SELECT weir.flush('v');
SELECT count(*), min(n), max(n) FROM v;
SELECT sqlstate, count(*) FROM letters GROUP BY 1 ORDER BY 1;
-- ... an index that does not take a long value
CREATE INDEX ON archive (body);
INSERT INTO events VALUES ('short', NULL, NULL, 'x'), ('long', NULL, NULL, (SELECT string_agg(md5(g::text), '') FROM generate_series(1, 1000) g));
SELECT weir.flush('archive');
SELECT count(*) FROM archive WHERE kind IN ('short', 'long');
SELECT sqlstate, left(reason, 40) AS reason FROM weir.dead_letters WHERE view = 'archive'::regclass;

-- triggers, columns with defaults, generated columns
CREATE TABLE log (what text, n int);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.kind = 'bad' THEN RAISE 'not that one'; END IF;
    IF NEW.kind = 'none' THEN RETURN NULL; END IF;
    INSERT INTO append_table.log VALUES (current_user || ' ' || TG_OP, NEW.n);
    NEW.kind := upper(NEW.kind);
    RETURN NEW;
END $$;
CREATE TRIGGER note BEFORE INSERT ON v FOR EACH ROW EXECUTE FUNCTION note();
ALTER TABLE v ADD COLUMN id int GENERATED ALWAYS AS IDENTITY, ADD COLUMN double int GENERATED ALWAYS AS (n * 2) STORED, ADD COLUMN state text DEFAULT 'new';
TRUNCATE v RESTART IDENTITY;
INSERT INTO events VALUES ('good', 60), ('bad', 61), ('none', 62), ('late', 63);
SELECT weir.flush('v');
SELECT kind, twelfth, n, id > 0 AS numbered, double, state FROM v ORDER BY n;
SELECT what = current_user || ' INSERT' AS insert, n FROM log ORDER BY n;
SELECT sqlstate, reason, n FROM letters WHERE sqlstate = 'P0001';
DROP TRIGGER note ON v;

-- a foreign key
CREATE TABLE kinds (kind text PRIMARY KEY);
INSERT INTO kinds VALUES ('GOOD'), ('LATE'), ('known');
ALTER TABLE v ADD FOREIGN KEY (kind) REFERENCES kinds DEFERRABLE INITIALLY DEFERRED;
INSERT INTO events VALUES ('known', 70), ('unknown', 71);
SELECT weir.flush('v');
SELECT kind, n FROM v WHERE n >= 70 ORDER BY n;
SELECT sqlstate, n FROM letters WHERE n IN ('70', '71');

-- names, a column's type
ALTER TABLE v RENAME COLUMN twelfth TO share;
ALTER TABLE v RENAME COLUMN state TO status;
ALTER TABLE v ALTER COLUMN share TYPE numeric;
ALTER TABLE v DROP CONSTRAINT v_kind_fkey;
ALTER TABLE v RENAME TO w;
CREATE SCHEMA append_elsewhere;
ALTER TABLE w SET SCHEMA append_elsewhere;
SELECT view, query, final FROM weir.views WHERE stream = 'events'::regclass ORDER BY 1;
INSERT INTO events VALUES ('moved', 80);
SELECT weir.flush('append_elsewhere.w');
SELECT kind, share, n, status FROM append_elsewhere.w WHERE n = 80;
SELECT * FROM append_elsewhere.w_query WHERE n = 80;
ALTER TABLE append_elsewhere.w SET SCHEMA append_table;
ALTER TABLE w RENAME TO v;
DROP SCHEMA append_elsewhere;

-- a column that is gone, a right that is gone: the view stops, nothing is lost
ALTER TABLE v DROP COLUMN share;
INSERT INTO events VALUES ('dropped', 81);
SELECT wait_for($$(SELECT state = 'error' FROM weir.status WHERE view_name = 'v'::regclass)$$);
SELECT error FROM weir.status WHERE view_name = 'v'::regclass;
ALTER TABLE v ADD COLUMN share int;
SELECT weir.resume('v');
SELECT weir.flush('v');
SELECT kind, share FROM v WHERE n > 80;

-- the table is locked: the view waits, and says so; others go on
BEGIN;
LOCK TABLE v IN ACCESS EXCLUSIVE MODE;
INSERT INTO events VALUES ('locked', 82);
SELECT wait_for($$(SELECT state = 'postponed' FROM weir.status WHERE view_name = 'v'::regclass)$$);
SELECT state, error FROM weir.status WHERE view_name = 'v'::regclass;
SELECT wait_for($$EXISTS (SELECT FROM archive WHERE kind = 'locked')$$);
COMMIT;
SELECT weir.flush('v');
SELECT kind FROM v WHERE n = 82;
SELECT state <> 'postponed', error FROM weir.status WHERE view_name = 'v'::regclass;

-- so does trouble of the server
CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no space left' USING ERRCODE = 'disk_full'; END $$;
CREATE TRIGGER full_disk BEFORE INSERT ON v FOR EACH ROW EXECUTE FUNCTION full_disk();
INSERT INTO events VALUES ('full', 87);
SELECT wait_for($$(SELECT state = 'postponed' FROM weir.status WHERE view_name = 'v'::regclass)$$);
SELECT error FROM weir.status WHERE view_name = 'v'::regclass;
DROP TRIGGER full_disk ON v;
SELECT weir.flush('v');
SELECT kind FROM v WHERE n = 87;

-- a command for the view in a transaction that stays open: nothing is committed meanwhile
BEGIN;
SELECT weir.pause('v');
INSERT INTO events VALUES ('waits', 88);
SELECT wait_for($$EXISTS (SELECT FROM archive WHERE kind = 'waits')$$);
SELECT weir.resume('v');
COMMIT;
SELECT weir.flush('v');
SELECT kind FROM v WHERE n = 88;

-- a row of a partitioned table, by hand
SELECT weir.create_view('p', $$ SELECT n, kind FROM events WHERE n BETWEEN 81 AND 85 $$);
SELECT weir.flush('p');
SELECT weir.pause('p');
CREATE TABLE p_parts (LIKE p) PARTITION BY LIST (kind);
ALTER TABLE p_parts ATTACH PARTITION p FOR VALUES IN ('dropped', 'locked', 'in');
SELECT weir.resume('p');
INSERT INTO events VALUES ('in', 83), ('out', 84);
SELECT weir.flush('p');
SELECT * FROM p ORDER BY n;
SELECT sqlstate, reason FROM weir.dead_letters WHERE view = 'p'::regclass;

-- row-level security that the owner is subject to
CREATE ROLE append_owner;
GRANT USAGE, CREATE ON SCHEMA append_table TO append_owner;
GRANT SELECT ON events TO append_owner;
SET ROLE append_owner;
SELECT weir.create_view('secured', $$ SELECT n, kind FROM append_table.events WHERE n > 80 $$);
ALTER TABLE secured ENABLE ROW LEVEL SECURITY;
ALTER TABLE secured FORCE ROW LEVEL SECURITY;
CREATE POLICY low ON secured USING (n < 84) WITH CHECK (n < 84);
RESET ROLE;
SELECT wait_for($$(SELECT state = 'error' FROM weir.status WHERE view_name = 'secured'::regclass)$$);
SELECT error FROM weir.status WHERE view_name = 'secured'::regclass;
ALTER TABLE secured NO FORCE ROW LEVEL SECURITY;
SELECT weir.resume('secured');
SELECT weir.flush('secured');
SELECT * FROM differ('secured');
REVOKE INSERT ON secured FROM append_owner;
INSERT INTO events VALUES ('no right', 85);
SELECT wait_for($$(SELECT state = 'error' FROM weir.status WHERE view_name = 'secured'::regclass)$$);
SELECT error FROM weir.status WHERE view_name = 'secured'::regclass;
ALTER TABLE secured OWNER TO CURRENT_USER;
SELECT relname, relowner = current_user::regrole AS mine FROM pg_class WHERE relname ~ '^secured' AND relnamespace = 'append_table'::regnamespace ORDER BY 1;
SELECT weir.resume('secured');
SELECT weir.flush('secured');
SELECT * FROM differ('secured');
ALTER TABLE secured_query OWNER TO append_owner;

-- messages that cannot be used
CREATE FOREIGN TABLE raw (message text) SERVER append_table OPTIONS (topic 'single_1', format 'raw');
INSERT INTO raw VALUES ('{"n": '), ('{"n": 86, "kind": "after"}');
SELECT weir.flush('archive');
SELECT n FROM archive WHERE kind = 'after';
SELECT view, reason FROM weir.dead_letters WHERE stream = 'events'::regclass AND view IS NULL;

-- what has no meaning, or is not supported
SELECT weir.advance_watermark('v', now());
SELECT weir.set_memory_limit('v', '4 MB');
SELECT weir.alter_view('v', retention => '1 day');
SELECT weir.create_view('x', $$ SELECT n FROM events $$, lateness => '1 s');
SELECT weir.create_view('x', $$ SELECT n FROM events $$, keep_late => true);
SELECT weir.create_view('x', $$ SELECT n FROM events $$, memory_limit => '4 MB');
SELECT weir.create_view('x', $$ SELECT DISTINCT kind FROM events $$);
SELECT weir.create_view('x', $$ SELECT kind FROM events ORDER BY n $$);
SELECT weir.create_view('x', $$ SELECT kind FROM events LIMIT 1 $$);
SELECT weir.create_view('x', $$ SELECT row_number() OVER () FROM events $$);
SELECT weir.create_view('x', $$ SELECT now(), kind FROM events $$);
SELECT weir.create_view('x', $$ SELECT random(), kind FROM events $$);
SELECT weir.create_view('x', $$ SELECT FROM events $$);
SELECT weir.create_view('x', $$ SELECT n, n FROM events $$);
SELECT weir.create_view('x', $$ SELECT events FROM events $$);
SELECT weir.create_view('x', $$ SELECT unnest(ARRAY[n, n]) FROM events $$);
SELECT weir.create_view('x', $$ SELECT n FROM kinds $$);

DROP SCHEMA append_table CASCADE;
DROP OWNED BY append_owner;
DROP ROLE append_owner;
DROP SERVER append_table CASCADE;
