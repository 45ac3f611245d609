-- Reading a view in every kind of session and statement: isolation levels,
-- prepared statements and cached plans, cursors, views and joins on top of it,
-- EXPLAIN, parallel query.
\set ECHO errors
\getenv srcdir PG_ABS_SRCDIR
\set lib :srcdir /lib/views.sql
\set test view_sessions
\i :lib
\set ECHO all
CREATE FOREIGN TABLE events (
    kind text, n int, ts timestamptz, part int OPTIONS (metadata 'partition')
) SERVER view_sessions OPTIONS (topic 'view_sessions', event_time 'ts', idle_timeout '1 day');
CREATE FUNCTION more(second int) RETURNS void LANGUAGE sql
    AS $$ INSERT INTO view_sessions.events SELECT 'k' || g % 3, g, view_sessions.at(second), g % 4 FROM generate_series(1, 20) g $$;
SELECT weir.create_view('v', $$ SELECT weir.tumble(ts, '10 s') AS w, kind, count(*) AS c, sum(n) AS s FROM events GROUP BY 1, 2 $$);
SELECT more(g) FROM generate_series(0, 30, 10) g;
SELECT weir.flush('v');
SELECT wait_for('(SELECT count(*) = 9 FROM v_final)');

-- Under REPEATABLE READ and SERIALIZABLE final windows are those of the
-- snapshot; a window that closes meanwhile is still there, once.
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*), sum(c) FROM v;
SELECT more(40);
SELECT more(50);
SELECT wait_for('(SELECT watermark >= at(50) FROM weir.status)');
SELECT count(*), count(DISTINCT (w, kind)) FROM v WHERE w <= at(30);
SELECT count(*) FROM v_final;
COMMIT;
SELECT weir.flush('v');
SELECT wait_for('(SELECT count(*) = 15 FROM v_final)');
SELECT count(*), sum(c) FROM v;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT count(*), sum(c) FROM v;
CREATE TABLE copy AS SELECT * FROM v;
COMMIT;
BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE;
SELECT count(*), sum(c) FROM v;
COMMIT;
SELECT count(*) FROM (SELECT * FROM copy EXCEPT ALL SELECT * FROM v) d;

-- Prepared statements, with generic and custom plans, while partitions come
-- and the view is altered.
PREPARE read(timestamptz) AS SELECT count(*), sum(c), sum(s) FROM v WHERE w >= $1;
SET plan_cache_mode = force_generic_plan;
EXECUTE read(at(0));
SELECT more(86400);
SELECT more(86410);
SELECT weir.flush('v');
EXECUTE read(at(0));
EXECUTE read(at(86400));
SET plan_cache_mode = force_custom_plan;
EXECUTE read(at(0));
RESET plan_cache_mode;
ALTER TABLE v_final ADD CHECK (c > 0);
EXECUTE read(at(0));
SELECT weir.pause('v');
SELECT wait_for('(SELECT count(*) = 0 FROM weir.running_views())');
EXECUTE read(at(0));
SELECT weir.resume('v');
EXECUTE read(at(0));
SELECT weir.reset('v', 'earliest');
SELECT weir.flush('v');
EXECUTE read(at(0));
ALTER VIEW v RENAME TO renamed;
EXECUTE read(at(0));
ALTER VIEW renamed RENAME TO v;
CREATE FUNCTION cached() RETURNS numeric LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT sum(s) FROM v); END $$;
SELECT cached() = (SELECT sum(s) FROM v_query) FROM generate_series(1, 8) LIMIT 1;
PREPARE names AS SELECT w, kind FROM v ORDER BY 1, 2 LIMIT 1;
EXECUTE names;
SELECT weir.drop_view('v');
EXECUTE names;
SELECT weir.create_view('v', $$ SELECT weir.tumble(ts, '10 s') AS w, kind, count(*) AS c, sum(n) AS s FROM events GROUP BY 1, 2 $$);
SELECT weir.flush('v');
EXECUTE names;

-- Cursors.  One WITH HOLD is what the view held at COMMIT.
BEGIN;
DECLARE plain CURSOR FOR SELECT c FROM v ORDER BY w, kind;
DECLARE scroll SCROLL CURSOR FOR SELECT w, kind, c FROM v ORDER BY w, kind;
DECLARE held CURSOR WITH HOLD FOR SELECT sum(c) FROM v;
FETCH 2 FROM plain;
FETCH LAST FROM scroll;
FETCH FIRST FROM scroll;
COMMIT;
SELECT more(86420);
SELECT weir.flush('v');
FETCH ALL FROM held;
SELECT sum(c) FROM v;
CLOSE held;
BEGIN;
DECLARE unordered SCROLL CURSOR FOR SELECT kind FROM v WHERE w >= at(86400);
MOVE 3 FROM unordered;
MOVE BACKWARD ALL FROM unordered;
MOVE ALL FROM unordered;
ROLLBACK;

-- Views on it, joins with itself, subqueries that are run again.
CREATE VIEW on_top AS SELECT w, sum(c) AS c FROM v GROUP BY w;
CREATE MATERIALIZED VIEW kept AS SELECT * FROM on_top;
SELECT count(*) FROM (TABLE on_top EXCEPT TABLE kept) d;
SELECT weir.create_view('above', $$ SELECT weir.tumble(w, '10 s') AS w, sum(c) FROM v GROUP BY 1 $$);
SELECT count(*), bool_and(a.c = b.c) FROM v a JOIN v b USING (w, kind);
SELECT count(*) FROM v a LEFT JOIN LATERAL (SELECT * FROM v b WHERE b.w = a.w AND b.kind = a.kind) b ON true WHERE b.c IS DISTINCT FROM a.c;
SELECT count(*) FROM events e WHERE NOT EXISTS (SELECT FROM v WHERE v.kind = e.kind AND v.w = weir.tumble(e.ts, '10 s'));
SELECT count(*) FROM v WHERE c = (SELECT max(c) FROM v i WHERE i.kind = v.kind);
SELECT kind, sum(c) OVER (PARTITION BY kind ORDER BY w) FROM v ORDER BY w, kind LIMIT 2;
SELECT count(*) FROM v TABLESAMPLE SYSTEM (100);
SELECT tableoid::regclass FROM v LIMIT 1;
SELECT count(*) FROM (SELECT * FROM v FOR UPDATE) locked;
INSERT INTO v VALUES (at(0), 'k', 1, 1);
DELETE FROM v;
TRUNCATE v_open;
SELECT v FROM v ORDER BY w, kind LIMIT 1;

-- EXPLAIN, and parallel query.
EXPLAIN (VERBOSE, COSTS OFF) SELECT kind, c FROM v;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
EXPLAIN (COSTS OFF) SELECT count(*), sum(s) FROM v;
SELECT count(*), sum(c), (SELECT sum(n) FROM events) - sum(s) AS missing FROM v;
SET force_parallel_mode = on;
SELECT count(*), sum(c) FROM v;
SELECT * FROM differ('v');
RESET force_parallel_mode;
SELECT count(*) FROM v a JOIN v b USING (w, kind);

DROP SCHEMA view_sessions CASCADE;
DROP SERVER view_sessions;
