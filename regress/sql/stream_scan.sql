-- SELECT on a stream: a bounded read that uses what the query says.
SET client_min_messages = error;
CREATE EXTENSION IF NOT EXISTS weir;
CREATE SCHEMA stream_scan;
SET search_path = stream_scan;
SET TimeZone = 'UTC';
SET DateStyle = 'ISO, MDY';
SET IntervalStyle = postgres;
\getenv broker WEIR_BROKER
\set ECHO errors
SELECT format('CREATE SERVER ss FOREIGN DATA WRAPPER weir OPTIONS (bootstrap_servers %L, "fetch.wait.max.ms" ''10'')', :'broker') \gexec
\set ECHO all
CREATE FOREIGN TABLE s (
    a int, b text, part int OPTIONS (metadata 'partition'), off bigint OPTIONS (metadata 'offset'),
    at timestamptz OPTIONS (metadata 'timestamp')
) SERVER ss OPTIONS (topic 'stream_scan');
-- Four partitions of 250 messages; a, partition and offset are related.
INSERT INTO s SELECT g, 'b' || g % 10, g % 4, NULL, '2024-01-01'::timestamptz + g * interval '1 s' FROM generate_series(0, 999) g;

SELECT count(*), sum(a), min(at), max(at) FROM s;
SELECT part, count(*), min(off), max(off) FROM s GROUP BY part ORDER BY part;
SELECT count(*) FROM s WHERE b = 'b3';
SELECT s FROM s WHERE a = 7;
SELECT tableoid::regclass, a FROM s WHERE a = 8;
SELECT count(*) FROM (SELECT FROM s LIMIT 10) x;
SELECT count(*) FROM (SELECT * FROM s LIMIT 0) x;
SELECT count(*) FROM s OFFSET 5;

-- What narrows the read.
EXPLAIN (COSTS OFF) SELECT * FROM s;
EXPLAIN (COSTS OFF) SELECT * FROM s WHERE part = 1;
EXPLAIN (COSTS OFF) SELECT * FROM s WHERE part IN (0, 3) AND off BETWEEN 10 AND 19;
EXPLAIN (COSTS OFF) SELECT * FROM s WHERE 5 > off AND off <> 3 AND a = 1;
EXPLAIN (COSTS OFF) SELECT * FROM s WHERE at >= '2024-01-01 00:05:00Z' AND at < '2024-01-01 00:06:00Z';
EXPLAIN (COSTS OFF) SELECT * FROM s WHERE at > now() - interval '1 hour' OR part = 1;
EXPLAIN (COSTS OFF) SELECT * FROM s WHERE part = a;
EXPLAIN (COSTS OFF) SELECT * FROM s WHERE part = floor(random() * 4)::int;
EXPLAIN (COSTS OFF) SELECT * FROM s WHERE part::numeric = 1;

-- How much was read, besides whether it is right: a table holds the same rows.
CREATE TABLE model AS SELECT * FROM s;
CREATE FUNCTION pushed(condition text) RETURNS TABLE (rows bigint, wrong bigint, partitions int, messages bigint) LANGUAGE plpgsql AS $$
DECLARE
    plan json;
BEGIN
    EXECUTE 'EXPLAIN (ANALYZE, FORMAT JSON) SELECT * FROM s WHERE ' || condition INTO plan;
    plan := plan->0->'Plan';
    EXECUTE 'SELECT count(*) FROM model WHERE ' || condition INTO rows;
    EXECUTE format('SELECT count(*) FROM ((SELECT * FROM s WHERE %1$s EXCEPT ALL SELECT * FROM model WHERE %1$s)'
        ' UNION ALL (SELECT * FROM model WHERE %1$s EXCEPT ALL SELECT * FROM s WHERE %1$s)) d', condition) INTO wrong;
    partitions := plan->>'Partitions Read';
    messages := plan->>'Messages Read';
    RETURN NEXT;
END $$;
SELECT c AS condition, p.* FROM unnest(ARRAY[
    'true', 'part = 1', 'part < 2', 'part <= 2', 'part > 2', 'part >= 2', '2 > part', 'part = 4', 'part = -1', 'part = 1::bigint', 'part = 1::smallint',
    'part IN (0, 2)', 'part IN (0, 2) AND part IN (2, 3)', 'part = ANY (''{0,NULL,7}'')', 'part = ANY (NULL::int[])', 'part = ANY (''{}''::int[])',
    'part <> 0', 'part = NULL', 'part = 1 AND part = 2', 'part BETWEEN 1 AND 2',
    'off < 10', 'off <= 10', 'off = 10', 'off >= 240', 'off > 240', 'off BETWEEN 100 AND 109', 'off > 1000', 'off < 0', 'off = 9223372036854775807',
    'off > 9223372036854775807', 'off < -9223372036854775808', 'off <= 9223372036854775807', 'off >= 5 AND off >= 10 AND off < 20 AND off <= 15',
    'part = 2 AND off = 7', 'part = 2 AND off < 5 OR off = 1', 'a < 10', 'part = (SELECT 1)', 'off = (SELECT 3)::smallint'
    ]) WITH ORDINALITY u(c, n), pushed(c) p ORDER BY n;
-- weir-broker finds nothing by time; then all is read, and it is still right.
SELECT c AS condition, p.rows, p.wrong FROM unnest(ARRAY[
    'at >= ''2024-01-01 00:16:00Z''', 'at > ''2024-01-01 00:16:00Z''', 'at = ''2024-01-01 00:16:00Z''', 'at >= ''infinity''', 'at > ''-infinity''',
    'at >= date ''2024-01-02''', 'at >= timestamp ''2024-01-01 00:16:00''', 'at < ''2024-01-01 00:00:05Z''']) WITH ORDINALITY u(c, n), pushed(c) p ORDER BY n;
-- What can match nothing asks for nothing.
SELECT partitions, messages FROM pushed('at >= ''infinity''');

-- Parameters, generic plans, correlated subqueries, joins: the scan starts again.
SET plan_cache_mode = force_generic_plan;
PREPARE q(int, bigint) AS SELECT a FROM s WHERE part = $1 AND off < $2 ORDER BY off;
EXECUTE q(1, 2);
EXECUTE q(3, 3);
EXECUTE q(NULL, 3);
EXPLAIN (COSTS OFF) EXECUTE q(1, 2);
RESET plan_cache_mode;
SELECT p, (SELECT count(*) FROM s WHERE part = p AND off < p * 10) FROM generate_series(0, 4) p;
SET enable_material = off;
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SELECT p, count(*) FROM generate_series(0, 3) p JOIN s ON s.off = p WHERE s.part = 1 GROUP BY p ORDER BY p;
RESET enable_material;
RESET enable_hashjoin;
RESET enable_mergejoin;
SELECT count(*) FROM s x JOIN s y ON x.part = y.part AND x.off = y.off;
BEGIN;
DECLARE c CURSOR FOR SELECT a FROM s WHERE part = 1;
FETCH 2 FROM c;
FETCH 3 FROM c;
INSERT INTO s VALUES (1001, 'new', 1);
-- The end is where it was when the cursor began.
FETCH ABSOLUTE 250 FROM c;
FETCH FROM c;
CLOSE c;
COMMIT;
SELECT count(*) FROM s WHERE a = 1001;

-- Malformed messages are skipped and counted.
CREATE FOREIGN TABLE good (a int, part int OPTIONS (metadata 'partition')) SERVER ss OPTIONS (topic 'stream_scan_bad');
CREATE FOREIGN TABLE bad (message text, part int OPTIONS (metadata 'partition')) SERVER ss OPTIONS (topic 'stream_scan_bad', format 'raw');
INSERT INTO bad VALUES ('{"a": 1}', 0), ('{"a": "x"}', 0), ('{', 0), ('{"a": 2} ', 0), ('{"a": 3}', 1), ('[]', 1);
SELECT a FROM good ORDER BY a;
CREATE FUNCTION malformed() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    plan json;
BEGIN
    EXECUTE 'EXPLAIN (ANALYZE, FORMAT JSON) SELECT a FROM good' INTO plan;
    RETURN plan->0->'Plan'->>'Malformed Messages';
END $$;
SELECT malformed();
EXPLAIN (ANALYZE, VERBOSE, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT a FROM good WHERE part = 0;

-- Dropped and added columns; views and their owners' rights.
ALTER FOREIGN TABLE s DROP COLUMN b;
ALTER FOREIGN TABLE s ADD COLUMN c text OPTIONS (path 'b');
SELECT c, count(*) FROM s GROUP BY c ORDER BY c LIMIT 3;
SELECT * FROM s WHERE part = 0 AND off = 3;
CREATE VIEW v AS SELECT a, c FROM s WHERE part = 0;
CREATE ROLE regress_stream_reader;
GRANT USAGE ON SCHEMA stream_scan TO regress_stream_reader;
GRANT SELECT ON v TO regress_stream_reader;
SET ROLE regress_stream_reader;
SELECT count(*) FROM v;
SELECT count(*) FROM s;
RESET ROLE;

-- An empty topic.
CREATE FOREIGN TABLE empty (a int) SERVER ss OPTIONS (topic 'stream_scan_empty');
SELECT count(*) FROM empty;
SELECT * FROM empty;

DROP SERVER ss CASCADE;
DROP SCHEMA stream_scan CASCADE;
DROP ROLE regress_stream_reader;
