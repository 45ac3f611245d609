-- INSERT and COPY produce, SELECT reads back the same.
SET client_min_messages = error;
CREATE EXTENSION IF NOT EXISTS weir;
CREATE SCHEMA stream_insert;
SET search_path = stream_insert;
SET TimeZone = 'UTC';
SET DateStyle = 'ISO, MDY';
SET IntervalStyle = postgres;
\pset null '(null)'
\getenv broker WEIR_BROKER
\set ECHO errors
SELECT format('CREATE SERVER si FOREIGN DATA WRAPPER weir OPTIONS (bootstrap_servers %L, "fetch.wait.max.ms" ''10'')', :'broker') \gexec
\set ECHO all

-- Many types, there and back.
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE TABLE model (
    b bool, i2 int2, i4 int4, i8 int8, f4 float4, f8 float8, n numeric, t text, v varchar(10), by bytea, u uuid,
    d date, ts timestamp, tz timestamptz, iv interval, j json, jb jsonb, m mood, ip inet
);
INSERT INTO model VALUES
    (true, 1, 2, 3, 1.5, 2.25, 123456789012345678901234567890.123456789, 'text', 'varchar', '\x00ff',
     '11111111-2222-3333-4444-555555555555', '2024-02-29', '2024-02-29 12:00:00.123456', '2024-02-29 12:00:00.123456+02',
     '1 day 02:03:04', '{"a": [1, 2]}', '{"b": null}', 'happy', '10.0.0.1/8'),
    (false, -32768, -2147483648, -9223372036854775808, '-Infinity', 'NaN', 'NaN', E'line\n"quote" \\ \t \u20ac \U0001F600', '', '',
     '00000000-0000-0000-0000-000000000000', '0001-01-01', '0001-01-01', '1970-01-01 00:00:00+00', '-1 mon', '"x"', '[]', 'sad', '::1'),
    (NULL, 32767, 2147483647, 9223372036854775807, 3.4e38, 1e-300, -0.1, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
CREATE FOREIGN TABLE types (
    b bool, i2 int2, i4 int4, i8 int8, f4 float4, f8 float8, n numeric, t text, v varchar(10), by bytea, u uuid,
    d date, ts timestamp, tz timestamptz, iv interval, j json, jb jsonb, m mood, ip inet,
    off bigint OPTIONS (metadata 'offset'), part int OPTIONS (metadata 'partition')
) SERVER si OPTIONS (topic 'stream_insert_types');
INSERT INTO types SELECT *, NULL, 0 FROM model;
\x on
SELECT * FROM types ORDER BY off;
\x off
-- The two sets of rows are the same.
SELECT count(*) FROM (
    (SELECT to_jsonb(types) - 'off' - 'part' FROM types EXCEPT ALL SELECT to_jsonb(model) FROM model)
    UNION ALL
    (SELECT to_jsonb(model) FROM model EXCEPT ALL SELECT to_jsonb(types) - 'off' - 'part' FROM types)) d;

-- Paths and units.
CREATE FOREIGN TABLE paths (
    id int, city text OPTIONS (path 'user.address.city'), name text OPTIONS (path 'user.name'),
    s timestamptz OPTIONS (unit 's'), ms timestamptz OPTIONS (unit 'ms', path 'at.ms'), us timestamptz OPTIONS (unit 'us')
) SERVER si OPTIONS (topic 'stream_insert_paths');
CREATE FOREIGN TABLE paths_raw (message text) SERVER si OPTIONS (topic 'stream_insert_paths', format 'raw');
INSERT INTO paths VALUES (1, 'Ghent', 'Ann', '2024-01-01', '2024-01-01 00:00:00.5', '2024-01-01 00:00:00.123456');
SELECT * FROM paths_raw;
SELECT * FROM paths;

-- Metadata.
CREATE FOREIGN TABLE meta (
    a int, topic text OPTIONS (metadata 'topic'), part int OPTIONS (metadata 'partition'), off bigint OPTIONS (metadata 'offset'),
    at timestamptz OPTIONS (metadata 'timestamp'), key text OPTIONS (metadata 'key'), headers jsonb OPTIONS (metadata 'headers')
) SERVER si OPTIONS (topic 'stream_insert_meta');
INSERT INTO meta (a, part, at, key, headers) VALUES
    (1, 2, '2024-01-01 00:00:00.001', 'k', '{"h1": "v1", "h2": null}'),
    (2, 2, '2024-01-01 00:00:00.002', NULL, '[{"key": "h", "value": "1"}, {"key": "h", "value": "€ \" \\"}]'),
    (3, 2, '2024-01-01 00:00:00.003', '', NULL),
    (4, 3, '2024-01-01 00:00:00.004', '€', '{}');
SELECT * FROM meta ORDER BY a;
-- The same key always goes to the same partition, no key to some.
INSERT INTO meta (a, key) SELECT g, 'same' FROM generate_series(100, 110) g;
SELECT count(DISTINCT part) FROM meta WHERE a BETWEEN 100 AND 110;
INSERT INTO meta (a) VALUES (200);
SELECT a, at BETWEEN now() - interval '1 hour' AND now() + interval '1 hour' AS recent FROM meta WHERE a = 200;
INSERT INTO meta (a, off) VALUES (1, 1);
INSERT INTO meta (a, topic) VALUES (1, 'other');
INSERT INTO meta (a, part) VALUES (1, 4);
INSERT INTO meta (a, part) VALUES (1, -1);
INSERT INTO meta (a, at) VALUES (1, '1969-12-31');
INSERT INTO meta (a, at) VALUES (1, 'infinity');
INSERT INTO meta (a, headers) VALUES (1, '"x"');
INSERT INTO meta (a, headers) VALUES (1, '{"x": 1}');
INSERT INTO meta (a, headers) VALUES (1, '[{"key": "x"}]');
INSERT INTO meta (a, headers) VALUES (1, '[1]');
SELECT count(*) FROM meta;

-- Keys as bytes and jsonb.
CREATE FOREIGN TABLE keys_bytea (a int, part int OPTIONS (metadata 'partition'), key bytea OPTIONS (metadata 'key'))
    SERVER si OPTIONS (topic 'stream_insert_keys');
CREATE FOREIGN TABLE keys_jsonb (a int, part int OPTIONS (metadata 'partition'), key jsonb OPTIONS (metadata 'key'))
    SERVER si OPTIONS (topic 'stream_insert_keys');
INSERT INTO keys_jsonb VALUES (1, 0, '{"id": 1}');
INSERT INTO keys_bytea VALUES (2, 0, '\x5b315d');
SELECT a, convert_from(key, 'UTF8') FROM keys_bytea ORDER BY a;
SELECT a, key FROM keys_jsonb ORDER BY a;

-- Raw messages; one without a value.
CREATE FOREIGN TABLE raw (message bytea, off bigint OPTIONS (metadata 'offset'), part int OPTIONS (metadata 'partition'))
    SERVER si OPTIONS (topic 'stream_insert_raw', format 'raw');
INSERT INTO raw (message, part) VALUES ('\x00ff', 0), ('', 0), (NULL, 0), ('not json', 0);
SELECT message, off FROM raw ORDER BY off;

-- COPY, RETURNING, a CTE, a prepared statement, a partition of a table.
CREATE FOREIGN TABLE events (id int NOT NULL, name text DEFAULT 'nobody') SERVER si OPTIONS (topic 'stream_insert_events');
COPY events FROM stdin;
1	one
2	two
\.
COPY events (id) FROM stdin;
3
\.
INSERT INTO events (id) VALUES (4) RETURNING id, name;
WITH i AS (INSERT INTO events VALUES (5, 'five') RETURNING id) SELECT * FROM i;
PREPARE p AS INSERT INTO events VALUES ($1, $2);
EXECUTE p(6, 'six');
EXECUTE p(7, NULL);
CREATE TABLE parted (id int, name text) PARTITION BY RANGE (id);
ALTER TABLE parted ATTACH PARTITION events FOR VALUES FROM (0) TO (1000);
INSERT INTO parted VALUES (8, 'eight');
COPY parted FROM stdin;
9	nine
\.
ALTER TABLE parted DETACH PARTITION events;
SELECT * FROM events ORDER BY id;
INSERT INTO events VALUES (NULL, 'x');
-- What was produced stays.
BEGIN;
INSERT INTO events VALUES (10, 'rolled back');
ROLLBACK;
SELECT * FROM events WHERE id = 10;
EXPLAIN (COSTS OFF) INSERT INTO events VALUES (11);

-- A topic can only be appended to.
UPDATE events SET id = 0;
DELETE FROM events;
TRUNCATE events;
INSERT INTO events VALUES (1) ON CONFLICT DO NOTHING;

-- Larger than Kafka takes, and than the queue holds.
INSERT INTO events VALUES (12, repeat('x', 2000000));
INSERT INTO events SELECT g, repeat('y', 10) FROM generate_series(1000, 20000) g;
SELECT count(*), count(DISTINCT id) FROM events WHERE id >= 1000;

DROP SERVER si CASCADE;
DROP SCHEMA stream_insert CASCADE;
