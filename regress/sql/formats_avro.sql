-- Format avro, with the schema in the options.  The messages were written by
-- another implementation of Avro.
\set ECHO errors
\getenv srcdir PG_ABS_SRCDIR
\set lib :srcdir /lib/views.sql
\set test formats_avro
\i :lib
\set ECHO all
\set schema '{"type":"record","name":"Event","namespace":"shop","fields":[{"name":"id","type":"long"},{"name":"kind","type":{"type":"enum","name":"Kind","symbols":["CLICK","BUY"]}},{"name":"ok","type":"boolean"},{"name":"f","type":"float"},{"name":"d","type":"double"},{"name":"amount","type":["null",{"type":"bytes","logicalType":"decimal","precision":20,"scale":2}]},{"name":"big","type":{"type":"fixed","name":"Big","size":20,"logicalType":"decimal","precision":40,"scale":3}},{"name":"note","type":["null","string"],"default":null},{"name":"raw","type":"bytes"},{"name":"day","type":{"type":"int","logicalType":"date"}},{"name":"ms","type":{"type":"long","logicalType":"timestamp-millis"}},{"name":"us","type":{"type":"long","logicalType":"timestamp-micros"}},{"name":"local","type":{"type":"long","logicalType":"local-timestamp-millis"}},{"name":"tod","type":{"type":"int","logicalType":"time-millis"}},{"name":"uid","type":{"type":"string","logicalType":"uuid"}},{"name":"user","type":["null",{"type":"record","name":"User","fields":[{"name":"name","type":"string"},{"name":"address","type":["null",{"type":"record","name":"Address","fields":[{"name":"city","type":"string"},{"name":"zip","type":"int"}]}]}]}]},{"name":"tags","type":{"type":"array","items":"string"}},{"name":"nums","type":{"type":"array","items":["null","int"]}},{"name":"attrs","type":{"type":"map","values":["string","long","User"]}},{"name":"other","type":["null","User"]}]}'
CREATE FOREIGN TABLE raw (message bytea, key bytea OPTIONS (metadata 'key'), part int OPTIONS (metadata 'partition')) SERVER formats_avro OPTIONS (topic 'formats_avro', format 'raw');
CREATE FOREIGN TABLE events (
    off bigint OPTIONS (metadata 'offset'), id bigint NOT NULL, kind text, ok bool, f real, d float8, amount numeric, big numeric, note text, raw bytea, day date, ms timestamptz, us timestamptz,
    local timestamp, tod time, uid uuid, name text OPTIONS (path 'user.name'), zip int OPTIONS (path 'user.address.zip'), tags text[], nums int[], attrs jsonb, "user" jsonb, other json
) SERVER formats_avro OPTIONS (topic 'formats_avro', format 'avro', avro_schema :'schema', event_time 'ms', idle_timeout '1 day');
-- The same as text: what a column's input function would see.
CREATE FOREIGN TABLE texts (
    off bigint OPTIONS (metadata 'offset'), id text, kind text, ok text, f text, d text, amount text, big text, note text, raw text, day text, ms text, us text,
    local text, tod text, uid text, city varchar(10) OPTIONS (path 'user.address.city'), tags text, nums jsonb, attrs text, "user" text, other text
) SERVER formats_avro OPTIONS (topic 'formats_avro', format 'avro', avro_schema :'schema');
-- And as other types that take it.
CREATE FOREIGN TABLE others (
    off bigint OPTIONS (metadata 'offset'), id numeric(30,2), kind jsonb, f float8, amount numeric(10,1), big float8, raw jsonb, day timestamp, ms bigint, us jsonb, tod interval,
    uid jsonb, note jsonb, tags jsonb, "user" json OPTIONS (path '"user".address')
) SERVER formats_avro OPTIONS (topic 'formats_avro', format 'avro', avro_schema :'schema');
SELECT weir.create_view('v', $$ SELECT weir.tumble(ms, '1 day') AS w, kind, count(*), sum(amount) AS amount, max(name) AS name FROM events GROUP BY 1, 2 $$);
INSERT INTO raw (message, part) VALUES
    ('\x0302000000c07f000000000000f0ff0000000000000000000000000000000000000000000000010180929283e2f586068088a9ce9863f8bbc6034831323334353637382d313233342d353637382d313233342d3536373831323334353637380000000002044f0a00', 0),
    ('\x0200010000c03f9a9999999999b93f020404d2fffffffffffff9e9c199a41483595d1e59bdbb3502086ee282ac0400ffd2b402b8e78fa5986380929283e2f586068088a9ce9863f8bbc6034831323334353637382d313233342d353637382d313233342d3536373831323334353637380206416e6e020a4768656e74d08c010402610a6220226322000602020002050006027800023102790204027a0406426f62000000', 0),
    ('\xfeffffffffffffffff0100019ec97f7f9c7500883ce4377e0202fb000000000000000000000000000000000000000102000400ffd2b402b8e78fa5986380929283e2f586068088a9ce9863f8bbc6034831323334353637382d313233342d353637382d313233342d3536373831323334353637380200000402610a6220226322000602020002050006027800023102790204027a0406426f62000000', 0);
\x on
SELECT * FROM events ORDER BY off;
SELECT * FROM texts ORDER BY off;
SELECT * FROM others ORDER BY off;
\x off
-- Bad ones: cut, with something behind, a bad symbol, a bad boolean, no UTF-8, none.
CREATE TABLE good AS SELECT message AS m FROM raw WHERE position('\x6ee282ac'::bytea IN message) > 0;
INSERT INTO raw (message, part) SELECT substr(m, 1, 40), 1 FROM good;
INSERT INTO raw (message, part) SELECT m || '\x00', 1 FROM good;
INSERT INTO raw (message, part) SELECT overlay(m PLACING '\x04' FROM 2 FOR 1), 1 FROM good;
INSERT INTO raw (message, part) SELECT overlay(m PLACING '\x02' FROM 3 FOR 1), 1 FROM good;
INSERT INTO raw (message, part) SELECT overlay(m PLACING '\xff' FROM position('\x6ee282ac'::bytea IN m) FOR 1), 1 FROM good;
INSERT INTO raw (message, part) SELECT overlay(m PLACING '\x00' FROM position('\x6ee282ac'::bytea IN m) FOR 1), 1 FROM good;
INSERT INTO raw (message, part) VALUES ('', 1), ('\xffffffffffffffffffff01', 1), (NULL, 1);
SELECT weir.flush('events');
SELECT * FROM v ORDER BY w, kind;
SELECT * FROM differ('v');
SELECT partition, "offset", sqlstate, reason FROM weir.dead_letters WHERE stream = 'events'::regclass ORDER BY 1, 2;
SELECT count(*) FROM events;

-- A key in Avro; a schema that is no record; numbers with a unit.
CREATE FOREIGN TABLE keyed (
    at timestamptz OPTIONS (path 'time.value', unit 's'), k bigint OPTIONS (key 'true')
) SERVER formats_avro OPTIONS (topic 'formats_avro_keyed', key_format 'avro', avro_key_schema '"long"');
CREATE FOREIGN TABLE keyed_raw (message text, key bytea OPTIONS (metadata 'key')) SERVER formats_avro OPTIONS (topic 'formats_avro_keyed', format 'raw');
INSERT INTO keyed_raw VALUES ('{"time": {"value": 1704067200}}', '\x8001'), ('{}', '\x80'), ('{}', NULL);
SELECT * FROM keyed ORDER BY k;
CREATE FOREIGN TABLE point (x int, y int OPTIONS (path '"p.q".y')) SERVER formats_avro OPTIONS (topic 'formats_avro_point', format 'avro',
    avro_schema '{"type": "record", "name": "a", "fields": [{"name": "x", "type": "int"}, {"name": "p.q", "type": {"type": "record", "name": "b", "fields": [{"name": "y", "type": ["null", "int"]}]}}]}');
CREATE FOREIGN TABLE point_raw (message bytea) SERVER formats_avro OPTIONS (topic 'formats_avro_point', format 'raw');
INSERT INTO point_raw VALUES ('\x020204'), ('\x0400');
SELECT * FROM point ORDER BY x;

-- Refused.
\set VERBOSITY default
INSERT INTO point VALUES (1, 2);
CREATE FOREIGN TABLE bad (a int) SERVER formats_avro OPTIONS (topic 'x', format 'avro', avro_schema '{');
CREATE FOREIGN TABLE bad (a int) SERVER formats_avro OPTIONS (topic 'x', format 'avro', avro_schema '{"type": "record", "name": "r", "fields": [{"name": "a", "type": "integer"}]}');
CREATE FOREIGN TABLE bad (a int) SERVER formats_avro OPTIONS (topic 'x', format 'avro', avro_schema '{"type": "array"}');
CREATE FOREIGN TABLE bad (a int) SERVER formats_avro OPTIONS (topic 'x', format 'avro');
SELECT * FROM bad;
ALTER FOREIGN TABLE bad OPTIONS (ADD avro_schema '{"type": "record", "name": "r", "fields": [{"name": "b", "type": "int"}]}');
SELECT * FROM bad;
ALTER FOREIGN TABLE bad ALTER a OPTIONS (ADD path 'b[0]');
SELECT * FROM bad;
ALTER FOREIGN TABLE bad ALTER a OPTIONS (SET path 'b');
ALTER FOREIGN TABLE bad OPTIONS (ADD records 'lines');
SELECT * FROM bad;
ALTER FOREIGN TABLE bad OPTIONS (DROP records, SET format 'json');
SELECT * FROM bad;

DROP SCHEMA formats_avro CASCADE;
DROP SERVER formats_avro CASCADE;
