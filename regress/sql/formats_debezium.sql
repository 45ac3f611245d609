-- Format debezium-json: changes of rows, as they are or beside their schema.
\set ECHO errors
\getenv srcdir PG_ABS_SRCDIR
\set lib :srcdir /lib/views.sql
\set test formats_debezium
\i :lib
\set ECHO all
CREATE FOREIGN TABLE raw (message text, key text OPTIONS (metadata 'key'), part int OPTIONS (metadata 'partition')) SERVER formats_debezium OPTIONS (topic 'formats_debezium', format 'raw');
CREATE FOREIGN TABLE changes (
    id int NOT NULL, name text, "a.b" int, city text OPTIONS (path 'address.city'), at timestamptz OPTIONS (metadata 'ts_ms'), op text OPTIONS (metadata 'op'),
    lsn bigint, off bigint OPTIONS (metadata 'offset')
) SERVER formats_debezium OPTIONS (topic 'formats_debezium', format 'debezium-json', event_time 'at', idle_timeout '1 day');
CREATE FOREIGN TABLE all_changes (
    id int, name text, op text OPTIONS (metadata 'op'), before jsonb OPTIONS (metadata 'before'), after jsonb OPTIONS (metadata 'after'), src json OPTIONS (metadata 'source'),
    user_id int OPTIONS (key 'true', path 'payload.id'), off bigint OPTIONS (metadata 'offset')
) SERVER formats_debezium OPTIONS (topic 'formats_debezium', format 'debezium-json', deletes 'rows', key_format 'json', idle_timeout '1 day');
BEGIN;
SELECT weir.create_view('v', $$ SELECT weir.tumble(at, '10 s') AS w, op, count(*), sum(id) AS ids FROM changes GROUP BY 1, 2 $$);
SELECT weir.create_view('kinds', $$ SELECT op, count(*) FROM all_changes GROUP BY 1 $$);
SELECT weir.create_view('log', $$ SELECT id, name, op, before, off FROM all_changes $$);
COMMIT;
CREATE FUNCTION ms(s float8) RETURNS bigint LANGUAGE sql RETURN (extract(epoch FROM at(s)) * 1000)::bigint;
CREATE FUNCTION change(op text, before text, after text, s float8) RETURNS text LANGUAGE sql
    RETURN format('{"before": %s, "after": %s, "source": {"table": "users", "op": "x"}, "op": "%s", "ts_ms": %s}', coalesce(before, 'null'), coalesce(after, 'null'), op, ms(s));
CREATE FUNCTION beside_schema(change text) RETURNS text LANGUAGE sql
    RETURN '{"schema": {"type": "struct", "fields": [{"field": "op", "after": {"id": 0}}], "op": "c"}, "payload": ' || change || '}';
INSERT INTO raw VALUES
    (change('r', NULL, '{"id": 1, "name": "Ann", "a.b": 7, "a": {"b": 8}, "address": {"city": "Ghent"}}', 1), '{"payload": {"id": 1}}', 0),
    (change('c', NULL, '{"id": 2, "name": "Bob"}', 2), '{"payload": {"id": 2}}', 0),
    (beside_schema(change('c', NULL, '{"id": 3, "name": "Cy", "address": {"city": "Bruges"}}', 3)), '{"payload": {"id": 3}}', 0),
    (beside_schema(change('u', '{"id": 3, "name": "Cy"}', '{"id": 3, "name": "Cyd"}', 4)), '{"payload": {"id": 3}}', 0),
    (change('u', NULL, '{"id": 1, "name": "Anna"}', 12), '{"payload": {"id": 1}}', 0),
    (change('d', '{"id": 1, "name": "Anna"}', NULL, 13), '{"payload": {"id": 1}}', 0),
    (NULL, '{"payload": {"id": 1}}', 0),
    (beside_schema(change('d', '{"id": 3, "name": "Cyd"}', NULL, 13)), '{"payload": {"id": 3}}', 0),
    (NULL, '{"payload": {"id": 3}}', 0),
    (change('t', NULL, NULL, 14), NULL, 0),
    -- Bad ones.
    ('{"id": 5}', NULL, 0),
    (change('x', NULL, '{"id": 6}', 15), NULL, 0),
    (change('cc', NULL, '{"id": 6}', 15), NULL, 0),
    (change('c', NULL, '{"id": "x"}', 15), NULL, 0),
    (change('c', NULL, NULL, 15), NULL, 0),
    (change('c', NULL, '{"id": 7', 15), NULL, 0),
    ('[]', NULL, 0),
    (change('c', NULL, '{"id": 8}', 15), NULL, 0),
    (change('d', '{"id": 8}', NULL, 15), NULL, 0);
SELECT * FROM changes ORDER BY off;
SELECT * FROM all_changes ORDER BY off;
SELECT weir.flush('changes'), weir.flush('all_changes');
SELECT * FROM v ORDER BY w, op;
SELECT * FROM kinds ORDER BY op;
SELECT * FROM log ORDER BY off;
SELECT * FROM differ('v');
SELECT * FROM differ('kinds');
SELECT "position", events, dead_letters FROM weir.partitions WHERE view_name = 'v'::regclass AND partition = 0;
SELECT "offset", sqlstate, reason FROM weir.dead_letters WHERE stream = 'changes'::regclass ORDER BY 1;

-- Refused.
\set VERBOSITY default
INSERT INTO changes (id) VALUES (1);
CREATE FOREIGN TABLE bad (a int, op text OPTIONS (metadata 'op')) SERVER formats_debezium OPTIONS (topic 'x');
SELECT * FROM bad;
ALTER FOREIGN TABLE bad ALTER op OPTIONS (DROP metadata);
ALTER FOREIGN TABLE bad OPTIONS (ADD deletes 'rows');
SELECT * FROM bad;
ALTER FOREIGN TABLE bad OPTIONS (SET deletes 'all');
ALTER FOREIGN TABLE bad OPTIONS (ADD key_format 'debezium-json');
ALTER FOREIGN TABLE bad OPTIONS (ADD format 'debezium-json', ADD records 'lines');
SELECT * FROM bad;
ALTER FOREIGN TABLE bad OPTIONS (DROP records);
ALTER FOREIGN TABLE bad ALTER op OPTIONS (ADD metadata 'ts_ms');
SELECT * FROM bad;

DROP SCHEMA formats_debezium CASCADE;
DROP SERVER formats_debezium CASCADE;
