-- weir.peek: the newest messages, raw and decoded side by side.
\set ECHO errors
\getenv srcdir PG_ABS_SRCDIR
\set lib :srcdir /lib/views.sql
\set test stream_peek
\i :lib
\set ECHO all
CREATE FOREIGN TABLE events (
    n int, at timestamptz OPTIONS (path 'meta.at'), tags text[], sender text OPTIONS (metadata 'key'),
    gone text, part int OPTIONS (metadata 'partition'), off bigint OPTIONS (metadata 'offset')
) SERVER stream_peek OPTIONS (topic 'stream_peek', event_time 'at');
ALTER FOREIGN TABLE events DROP COLUMN gone;
CREATE FOREIGN TABLE raw (
    payload bytea, key bytea OPTIONS (metadata 'key'), headers jsonb OPTIONS (metadata 'headers'),
    kts timestamptz OPTIONS (metadata 'timestamp'), part int OPTIONS (metadata 'partition')
) SERVER stream_peek OPTIONS (topic 'stream_peek', format 'raw');
SELECT * FROM weir.peek('events');
\set insert 'INSERT INTO raw (payload, key, headers, kts, part) VALUES '
:insert ('{"n": 1, "meta": {"at": "2024-01-01T00:00:01Z"}, "tags": ["a", null]}', 'k1', '[{"key": "h", "value": "v"}]', '2024-01-01 00:00:01+00', 0);
:insert ('{"n": 2, "meta": {"at": "2024-01-01T00:00:02Z"}}', NULL, NULL, '2024-01-01 00:00:02+00', 1);
:insert ('{"n": "two", "meta": {"at": "2024-01-01T00:00:03Z"}}', NULL, NULL, '2024-01-01 00:00:03+00', 1);
:insert ('{"n": 4}', NULL, NULL, '2024-01-01 00:00:04+00', 2);
:insert (NULL, 'k5', NULL, '2024-01-01 00:00:05+00', 3);
:insert ('\x00ff', '\xff', NULL, '2024-01-01 00:00:06+00', 0);
:insert ('', NULL, NULL, '2024-01-01 00:00:07+00', 0);
\x
SELECT * FROM weir.peek('events');
\x
-- The newest of all partitions.
SELECT partition, "offset", "timestamp" FROM weir.peek('events', 3);
SELECT partition, "offset", error FROM weir.peek('events', n => 1);
SELECT payload, "row" FROM weir.peek('raw', 2);
SELECT count(*) FROM weir.peek('events', 10000);
-- Many partitions and messages: as SELECT has it.
CREATE FOREIGN TABLE many (
    n int, kts timestamptz OPTIONS (metadata 'timestamp'), part int OPTIONS (metadata 'partition'),
    off bigint OPTIONS (metadata 'offset')
) SERVER stream_peek OPTIONS (topic 'stream_peek_many');
INSERT INTO many SELECT g, at(g), g % 4 FROM generate_series(1, 3000) g;
SELECT count(*) FROM (
    SELECT ("row" ->> 'n')::int, "timestamp", partition, "offset" FROM weir.peek('many', 100)
    EXCEPT ALL SELECT * FROM (SELECT n, kts, part, off FROM many ORDER BY kts DESC LIMIT 100) m) d;
SELECT count(*), min(("row" ->> 'n')::int) FROM weir.peek('many', 100);
-- Several records in a message.
CREATE FOREIGN TABLE lines (n int, kts timestamptz OPTIONS (metadata 'timestamp'))
    SERVER stream_peek OPTIONS (topic 'stream_peek_lines', records 'lines');
CREATE FOREIGN TABLE lines_raw (payload text, kts timestamptz OPTIONS (metadata 'timestamp'), part int OPTIONS (metadata 'partition'))
    SERVER stream_peek OPTIONS (topic 'stream_peek_lines', format 'raw');
INSERT INTO lines_raw SELECT string_agg(format('{"n": %s}', g), E'\n' ORDER BY g), at(1), 0 FROM generate_series(1, 100) g;
INSERT INTO lines_raw VALUES (E'{"n": 101}\n{"n": "x"}\n{"n": 103}', at(2), 1);
SELECT "offset", "row" ->> 'n' AS n, error FROM weir.peek('lines', 1);
SELECT count(*), sum(("row" ->> 'n')::int), count(DISTINCT payload) FROM weir.peek('lines', 2);

-- Values that jsonb cannot hold, beside others; a message of very many records.
CREATE FOREIGN TABLE zeros (j json, kts timestamptz OPTIONS (metadata 'timestamp')) SERVER stream_peek OPTIONS (topic 'stream_peek_zeros');
CREATE FOREIGN TABLE zeros_raw (payload text, kts timestamptz OPTIONS (metadata 'timestamp')) SERVER stream_peek OPTIONS (topic 'stream_peek_zeros', format 'raw');
INSERT INTO zeros_raw VALUES ('{"j": "a"}', at(1)), ('{"j": "\u0000"}', at(2));
SELECT "row" -> 'j' AS j, error FROM weir.peek('zeros');
INSERT INTO lines_raw SELECT string_agg('{"n": 1}', E'\n'), at(3), 0 FROM generate_series(1, 100000) g;
SET client_min_messages = notice;
SELECT count(*) BETWEEN 50 AND 100 AS some, count(DISTINCT payload) FROM weir.peek('lines', 3);
SET client_min_messages = warning;

-- Checks of domains, and casts to JSON, run as the stream's owner, whoever reads, and
-- call nothing that the reader has put into its search_path.
CREATE ROLE stream_peek_owner;
CREATE ROLE stream_peek_reader;
GRANT USAGE, CREATE ON SCHEMA stream_peek TO stream_peek_owner, stream_peek_reader;
GRANT USAGE ON FOREIGN SERVER stream_peek TO stream_peek_owner;
SET ROLE stream_peek_owner;
CREATE FUNCTION is_owner(text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
    PERFORM set_config('search_path', 'planted', false);
    RETURN current_user = 'stream_peek_owner' AND lower($1) = 'a';
END $$;
CREATE DOMAIN owned AS text CHECK (stream_peek.is_owner(VALUE));
CREATE TYPE mood AS ENUM ('good');
CREATE FUNCTION mood_to_json(mood) RETURNS json LANGUAGE plpgsql AS $$ BEGIN RETURN to_json(current_user); END $$;
CREATE CAST (mood AS json) WITH FUNCTION mood_to_json(mood);
CREATE FOREIGN TABLE theirs (o owned, m mood) SERVER stream_peek OPTIONS (topic 'stream_peek_theirs');
GRANT SELECT ON theirs TO stream_peek_reader;
RESET ROLE;
CREATE FOREIGN TABLE theirs_raw (payload text) SERVER stream_peek OPTIONS (topic 'stream_peek_theirs', format 'raw');
INSERT INTO theirs_raw VALUES ('{"o": "A", "m": "good"}');
SELECT "row", error FROM weir.peek('theirs');
SELECT o, m FROM theirs;
SET ROLE stream_peek_reader;
CREATE FUNCTION lower(text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN 'planted code runs as ' || current_user; END $$;
SET search_path = stream_peek, pg_catalog;
SELECT "row", error FROM weir.peek('theirs');
SELECT o, m FROM theirs;
SHOW search_path;
RESET ROLE;
SET search_path = stream_peek;
DROP FUNCTION stream_peek.lower(text);

-- Refused.
SELECT weir.peek('pg_class');
SELECT weir.peek('events', 0);
SELECT weir.peek('events', 10001);
SELECT weir.peek(NULL);
CREATE ROLE stream_peek_other;
GRANT USAGE ON SCHEMA stream_peek TO stream_peek_other;
SET ROLE stream_peek_other;
SELECT weir.peek('events');
RESET ROLE;
CREATE SERVER stream_peek_nowhere FOREIGN DATA WRAPPER weir OPTIONS (bootstrap_servers '127.0.0.1:1');
CREATE FOREIGN TABLE nowhere (n int) SERVER stream_peek_nowhere OPTIONS (topic 'nowhere');
SET weir.broker_timeout = '200 ms';
\set VERBOSITY sqlstate
SELECT weir.peek('nowhere');
DROP SCHEMA stream_peek CASCADE;
DROP SERVER stream_peek, stream_peek_nowhere;
DROP OWNED BY stream_peek_other, stream_peek_owner, stream_peek_reader;
DROP ROLE stream_peek_other, stream_peek_owner, stream_peek_reader;
