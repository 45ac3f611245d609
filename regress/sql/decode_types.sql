-- Messages to columns.  What a column's value is, is defined by its type's
-- input function on the text that ->> gives; json_populate_record is
-- PostgreSQL's own implementation of that, so each type is compared with it
-- over a topic of usual, odd and wrong values.
SET client_min_messages = error;
CREATE EXTENSION IF NOT EXISTS weir;
\getenv broker WEIR_BROKER
\set ECHO errors
SELECT format('CREATE SERVER decode_kafka FOREIGN DATA WRAPPER weir OPTIONS (bootstrap_servers %L, "fetch.wait.max.ms" ''10'')', :'broker') \gexec
\set ECHO all
CREATE SCHEMA decode;
SET search_path = decode;
SET TimeZone = 'America/New_York';
SET DateStyle = 'ISO, DMY';
SET IntervalStyle = postgres;
\pset null '(null)'
CREATE TYPE color AS ENUM ('red', 'green');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE DOMAIN required AS text NOT NULL;
CREATE DOMAIN pair AS numeric(4,1)[] CHECK (cardinality(VALUE) = 2);

-- All values, each a message {"c": value}, through a raw stream.
CREATE FOREIGN TABLE bytes (
    payload text,
    part int OPTIONS (metadata 'partition'), off bigint OPTIONS (metadata 'offset')
) SERVER decode_kafka OPTIONS (topic 'decode_values', format 'raw');
CREATE TABLE v (value text);
INSERT INTO v VALUES
    ('null'), ('true'), ('false'), ('{}'), ('[]'), ('[1, 2]'), ('{ "a" : [ null, 1.50 ] }'), ('{"a": 1e999999}'),
    ('0'), ('-0'), ('0.0'), ('-0.0'), ('1'), ('-1'), ('1.0'), ('1e0'), ('1E2'), ('1e-2'), ('0e5'), ('12.345'), ('-12.345'),
    ('32767'), ('32768'), ('-32768'), ('-32769'), ('2147483647'), ('2147483648'), ('-2147483648'), ('-2147483649'),
    ('9223372036854775807'), ('9223372036854775808'), ('-9223372036854775808'), ('-9223372036854775809'),
    ('123456789012345678'), ('1234567890123456789'), ('12345678901234567.89'), ('0.123456789012345678'),
    ('1.7976931348623157e308'), ('1.7976931348623159e308'), ('1e309'), ('-1e400'), ('4.9e-324'), ('2.4e-324'), ('1e-400'), ('0e-999'),
    ('3.4028235e38'), ('3.4028236e38'), ('1.17549435e-38'), ('1e-45'), ('7e-46'), ('1e-46'),
    ('16777217'), ('16777217.0000001'), ('16777216.9999999'), ('1.000000059604644775390625'), ('1.0000000596046447753906250001'),
    ('99.995'), ('99999999.99'), ('99999999.995'), ('-99999999.99'), ('1e131071'), ('1e131072'), ('1e-16383'),
    ('""'), ('" "'), ('"0"'), ('"1"'), ('"t"'), ('"o"'), ('"on"'), ('"of"'), ('"off"'), ('"YES"'), ('"no"'), ('"TRUE"'), ('"tru"'), ('" true "'),
    ('"truex"'), ('"null"'), ('" 12 "'), ('"+5"'), ('"007"'), ('"-0"'), ('"12abc"'), ('"1.5"'), ('"1e3"'), ('"NaN"'), ('"Infinity"'), ('"-inf"'),
    ('"abc\u0000def"'), ('"\u00e9\ud83d\ude00"'), ('"é😀"'), ('"a\"b\\c\/d\b\f\n\r\t"'), ('"\u0031\u0032"'), ('"t\u0072ue"'),
    ('"ab"'), ('"abcd"'), ('"ab  "'), ('"éé"'), ('"éééé"'), ('"red"'), ('"purple"'), ('"-5"'), ('"5"'), ('"\\x00ff"'), ('"\\xzz"'),
    ('"2024-02-29"'), ('"2023-02-29"'), ('"0001-01-01"'), ('"0000-01-01"'), ('"9999-12-31"'), ('"10000-01-01"'), ('"2024-1-5"'), ('"20240105"'),
    ('"Jan 5 2024"'), ('"01/02/2024"'), ('"2024-01-05T10:20:30Z"'), ('"2024-01-05T10:20:30z"'), ('"2024-01-05 10:20:30+00"'),
    ('"2024-01-05 10:20:30.123456-03:30"'), ('"2024-01-05T10:20:30.1234567Z"'), ('"2024-01-05T10:20:60Z"'), ('"2024-01-05T24:00:00Z"'),
    ('"2024-01-05T23:59:59.999999Z"'), ('"2024-01-05T23:59:59.9996Z"'), ('"2024-01-05T10:20:30"'), ('"2024-07-05 10:20:30.5"'),
    ('"2024-01-05T10:20:30+15:59"'), ('"2024-01-05T10:20:30+16:00"'), ('"2024-01-05T10:20:30+0530"'), ('"2024-01-05T10:20:30-05"'),
    ('"2024-13-05T10:20:30Z"'), ('"1969-12-31T23:59:59.999999Z"'), ('"1999-12-31T23:59:59.5Z"'), ('"0044-03-15 BC"'), ('"294277-01-01T00:00:00Z"'),
    ('"2024-01-05T10:20:30 Europe/Berlin"'), ('"infinity"'), ('"-infinity"'), ('"epoch"'), ('"1700000000"'), ('"10:20:30"'), ('"1 day"'),
    ('"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"'), ('"A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"'), ('"{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}"'),
    ('"a0eebc999c0b4ef8bb6d6bb9bd380a11"'), ('"a0eebc99-9c0b4ef8-bb6d-6bb9bd380a11"'), ('"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1g"'), ('"10.0.0.1"'),
    ('[null]'), ('[1, null, -3]'), ('[-1.25, "2"]'), (E'[1\t,2\r,3\n]'), (E'[ \n[[1.0] , [2e1\t]]\r]'), ('[5,null]'), ('[true,false,"no"]'), ('["red", "green"]'), ('["ab", "ab  "]'),
    ('["a\"b\\", "c,d]", "}{[", "\u00e9\ud83d\ude00", null, "NULL", "", " x "]'), ('[{"a":[1,  {"]":"}\""}]}, "x"]'), ('["2024-02-29", "2023-03-01"]'),
    ('["2024-01-05T10:20:30Z", null, "infinity"]'), ('["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"]'), ('["\\x00ff", "\\xzz"]'), ('["\\x00ff"]'), ('["{1,2}"]'),
    ('[[1,2],[3,4]]'), ('[[1, 2], [null, "4"]]'), ('[[[1],[2]],[[3],[4]]]'), ('[[["a,\"b"]]]'), ('[[]]'), ('[[],[]]'), ('[[[]],[[]]]'), ('[[[[[[1]]]]]]'), ('[[[[[[[1]]]]]]]'), ('[[[[[[[]]]]]]]'),
    ('[[1],[2,3]]'), ('[[1,2],[3]]'), ('[[],[1]]'), ('[[1],[]]'), ('[[1],2]'), ('[1,[2]]'), ('[null,[2]]'), ('[[1],null]'), ('[[],1]'), ('[1,[]]'), ('[[[1]],[2]]'), ('[[1],[[2]]]'), ('[[1],{}]'),
    ('"{}"'), ('"{1,2}"'), ('"{{1,2},{3,NULL}}"'), ('"{a,\"b c\",NULL}"'), ('"[1,2]"'), ('"{1"'), ('{"1": 2}');
INSERT INTO v SELECT '"' || repeat('x', 100000) || '"';
INSERT INTO bytes (payload) SELECT format('{"a":1, "c":%s }', value) FROM v;
SELECT count(*) = (SELECT count(*) FROM v) AS complete FROM bytes;

-- The definition's answer for the column c of a row type; no answer: 'error'.
CREATE FUNCTION by_definition(rel regclass, payload text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer text;
BEGIN
    EXECUTE format('SELECT coalesce(''='' || (json_populate_record(NULL::%s, $1::json)).c::text, ''NULL'')', rel)
        INTO answer USING payload;
    RETURN answer;
EXCEPTION WHEN OTHERS THEN
    RETURN 'error';
END $$;

-- Compare a stream of one column c with it, over the messages that match.
CREATE FUNCTION compare(type text, matching text DEFAULT '')
    RETURNS TABLE (valid bigint, invalid bigint, mismatch text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE FOREIGN TABLE s (c %s, part int OPTIONS (metadata ''partition''), off bigint OPTIONS (metadata ''offset''))
        SERVER decode_kafka OPTIONS (topic ''decode_values'', format ''json'')', type);
    CREATE TEMP TABLE got AS
        SELECT b.payload, by_definition('s', b.payload) AS wanted,
               CASE WHEN s.off IS NULL THEN 'error' WHEN s.c IS NULL THEN 'NULL' ELSE '=' || s.c::text END AS had
        FROM bytes b LEFT JOIN s USING (part, off) WHERE b.payload ~ matching;
    RETURN QUERY SELECT count(*) FILTER (WHERE wanted <> 'error'), count(*) FILTER (WHERE wanted = 'error'),
                        string_agg(left(payload, 60) || ' is ' || left(had, 60) || ' instead of ' || left(wanted, 60), E'\n')
                            FILTER (WHERE had <> wanted)
                 FROM got;
    DROP TABLE got;
    DROP FOREIGN TABLE s;
END $$;
SELECT t AS type, c.* FROM unnest(ARRAY['bool', 'int2', 'int4', 'int8', 'float4', 'float8', 'numeric', 'numeric(10,2)', 'numeric(18,6)', 'numeric(5,0)',
    'numeric(3,-2)', 'numeric(2,4)', 'text', 'varchar', 'varchar(3)', 'char(3)', 'uuid', 'jsonb', 'bytea', 'name', 'inet', 'color',
    'positive', 'required', 'time', 'int[]', 'int2[]', 'bool[]', 'float8[]', 'numeric[]', 'numeric(5,1)[][]', 'text[]', 'varchar(3)[]', 'char(3)[]', 'uuid[]',
    'jsonb[]', 'bytea[]', 'color[]', 'positive[]', 'required[]', 'pair', 'pair[]']) WITH ORDINALITY AS u(t, n), compare(t) c ORDER BY n;
-- (infinite intervals came with PostgreSQL 17)
SELECT c.* FROM compare('interval', '"c":([^"]|"[^-iI])') c;
-- json is the value as it stands; \u0000 is refused by ->, not by json.
CREATE FOREIGN TABLE as_json (c json, part int OPTIONS (metadata 'partition'), off bigint OPTIONS (metadata 'offset'))
    SERVER decode_kafka OPTIONS (topic 'decode_values', format 'json');
SELECT count(*), count(*) FILTER (WHERE c::text IS DISTINCT FROM nullif((payload::json -> 'c')::text, 'null')) AS mismatches
    FROM bytes LEFT JOIN as_json USING (part, off) WHERE payload !~ 'u0000';
SELECT c FROM as_json WHERE c::text ~ 'u0000';
-- Numbers are no times without a unit, so only the other values are compared.
SELECT t AS type, c.* FROM unnest(ARRAY['timestamptz', 'timestamptz(3)', 'timestamptz(0)', 'timestamp', 'timestamp(3)', 'date', 'timestamptz(0)[]', 'date[]'])
    WITH ORDINALITY AS u(t, n), compare(t, '"c":[^-0-9]') c ORDER BY n;
CREATE FOREIGN TABLE no_unit (c timestamptz, part int OPTIONS (metadata 'partition'), off bigint OPTIONS (metadata 'offset'))
    SERVER decode_kafka OPTIONS (topic 'decode_values', format 'json');
SELECT count(*) FROM no_unit JOIN bytes USING (part, off) WHERE payload ~ '"c":[-0-9]';

-- Times as numbers: exact, floored to the microsecond, quoted or not.
CREATE FOREIGN TABLE unit_bytes (payload text) SERVER decode_kafka OPTIONS (topic 'decode_units', format 'raw');
CREATE FOREIGN TABLE units (
    id text, s timestamptz OPTIONS (unit 's'), ms timestamp OPTIONS (unit 'ms'), us timestamptz(3) OPTIONS (unit 'us'), ns timestamptz OPTIONS (unit 'ns')
) SERVER decode_kafka OPTIONS (topic 'decode_units', format 'json');
INSERT INTO unit_bytes VALUES
    ('{"id":"1 integers", "s":1700000000, "ms":1700000000123, "us":1700000000123456, "ns":1700000000123456789}'),
    ('{"id":"2 decimals", "s":1700000000.123, "ms":1700000000123.4567, "us":1700000000123456.9, "ns":1700000000123456999.9}'),
    ('{"id":"3 quoted", "s":"1700000000.123456", "ms":"1700000000123", "us":"0", "ns":"-1"}'),
    ('{"id":"4 before 1970", "s":-0.0000001, "ms":-0.001, "us":-1000, "ns":-1}'),
    ('{"id":"5 exponents", "s":17e8, "ms":1.700000000123456e12, "us":1e-30, "ns":-1e-30}'),
    ('{"id":"6 many digits", "s":1700000000.999999999999999999999999999999, "ms":1700000000000.000000000000000000000001}'),
    ('{"id":"7 text", "s":"2024-01-05T10:20:30Z", "ms":"2024-01-05 10:20:30", "us":"epoch", "ns":"infinity"}'),
    ('{"id":"bad: out of range", "s":1e15}'),
    ('{"id":"bad: out of range of numeric", "s":1e999999}'),
    ('{"id":"bad: not a number", "s":"1700000000x"}');
SET TimeZone = 'UTC';
SELECT * FROM units ORDER BY id;

-- Messages: what is malformed, missing, or repeated; paths; not null.
CREATE FOREIGN TABLE odd_bytes (payload bytea, key text OPTIONS (metadata 'key')) SERVER decode_kafka OPTIONS (topic 'decode_odd', format 'raw');
CREATE FOREIGN TABLE odd (
    id text NOT NULL, a text, city text OPTIONS (path 'user.address.city'), second int OPTIONS (path 'list[1]'), dotted text OPTIONS (path '"x.y".z'),
    whole jsonb OPTIONS (path 'user'), key text OPTIONS (metadata 'key'), topic text OPTIONS (metadata 'topic')
) SERVER decode_kafka OPTIONS (topic 'decode_odd', format 'json');
INSERT INTO odd_bytes (payload, key) SELECT convert_to(payload, 'UTF8'), key FROM (VALUES
    ('{"id":"1 nothing else"}', NULL), (E' \n{"id":"2 spaces" } \t', 'k'), ('{"id":"x", "id":"3 the last wins", "a":1, "a":null}', 'é'),
    ('{"id":"4 paths", "user":{"address":{"city":"Ulm"}, "n":1.50}, "list":[1,2,3], "x.y":{"z":"w"}, "x":{"y":{"z":"no"}}}', ''),
    ('{"id":"5 not there", "user":{"address":[]}, "list":[1], "x.y":7}', NULL),
    ('{"id":"6 an escaped key", "\u0061":"yes"}', NULL),
    ('{"id":"7 objects are text", "a":{"b": [1,  "\u0000"]}}', NULL),
    ('{"id":"8 undeclared \\u0000 is fine", "other":"\u0000"}', NULL),
    ('{"a":"bad: no id"}', NULL), ('{"id":null, "a":"bad: null id"}', NULL), ('{"id":"bad: nul", "a":"x\u0000"}', NULL),
    ('{"id":"bad: jsonb with nul", "user":["\u0000"]}', NULL),
    ('{"id":"bad: end"', NULL), ('{"id":"bad: tail"}}', NULL), ('{"id":"bad: in an undeclared part", "other":[01]}', NULL),
    ('', NULL), ('  ', NULL), ('null', NULL), ('"bad"', NULL), ('[{"id":"bad"}]', NULL), ('{"id":"bad: element", "list":[1,"x"]}', NULL)) AS x(payload, key);
INSERT INTO odd_bytes (payload) VALUES ('\x7b226964223a226261643a207574663820ff227d'), (NULL);
SELECT * FROM odd ORDER BY id;
-- which columns are asked for changes nothing
SELECT count(*) FROM odd;
SELECT count(*), count(a) FROM odd;

-- Event times too far ahead of the message, and messages without one.
CREATE FOREIGN TABLE ahead_bytes (payload text) SERVER decode_kafka OPTIONS (topic 'decode_ahead', format 'raw');
CREATE FOREIGN TABLE ahead (id text, ts timestamptz) SERVER decode_kafka OPTIONS (topic 'decode_ahead', format 'json', event_time 'ts', max_ahead '1 hour');
INSERT INTO ahead_bytes SELECT json_build_object('id', id, 'ts', ts) FROM (VALUES
    ('1 now', now()), ('2 soon', now() + interval '50 minutes'), ('3 long ago', '0001-01-01Z'), ('4 none', NULL), ('5 infinite', 'infinity'),
    ('bad: in two hours', now() + interval '2 hours'), ('bad: far', '294276-12-31Z')) AS x(id, ts);
SELECT id FROM ahead ORDER BY id;

-- Raw streams of other types.
CREATE FOREIGN TABLE raw_bytes (b bytea) SERVER decode_kafka OPTIONS (topic 'decode_raw', format 'raw');
CREATE FOREIGN TABLE raw_text (t text) SERVER decode_kafka OPTIONS (topic 'decode_raw', format 'raw');
CREATE FOREIGN TABLE raw_int (i int) SERVER decode_kafka OPTIONS (topic 'decode_raw', format 'raw');
CREATE FOREIGN TABLE raw_jsonb (j jsonb) SERVER decode_kafka OPTIONS (topic 'decode_raw', format 'raw');
INSERT INTO raw_bytes VALUES (''), (' 12 '), ('[1, 2.50]'), ('"text"'), ('é'), ('\xff'), ('\x610062');
SELECT * FROM raw_bytes ORDER BY b;
SELECT * FROM raw_text ORDER BY t COLLATE "C";
SELECT * FROM raw_int;
SELECT * FROM raw_jsonb ORDER BY j;

-- Rows to messages.
CREATE FOREIGN TABLE made (
    n bool, i int, l bigint, f float8, g float4, num numeric, t text, c char(3), j json, jb jsonb, b bytea, u uuid, d date, tm timestamp, tz timestamptz,
    iv interval, a int[], e color, p positive, unit timestamptz OPTIONS (unit 'ms'), city text OPTIONS (path 'user.address.city'),
    zip text OPTIONS (path 'user.address.zip'), dotted int OPTIONS (path '"x.y"')
) SERVER decode_kafka OPTIONS (topic 'decode_made', format 'json');
CREATE FOREIGN TABLE made_bytes (payload text) SERVER decode_kafka OPTIONS (topic 'decode_made', format 'raw');
SET TimeZone = 'America/New_York';
SET DateStyle = 'German';
INSERT INTO made VALUES (true, -5, 123456789012345, 0.1, 1.5, 12.30, E'a"\\\n\u00e9', 'x', '{"a":  1}', '{"b": [1,2]}', '\x00ff',
    'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '2024-01-05', '2024-01-05 10:20:30.5', '2024-01-05 10:20:30.5+00', '1 day 02:03', '{1,NULL,3}', 'red', 7,
    '1969-12-31 23:59:59.9999+00', 'Ulm', '89073', 1);
INSERT INTO made (f, num, tz, d) VALUES ('NaN', 'NaN', 'infinity', '-infinity');
INSERT INTO made (i) VALUES (NULL);
SET TimeZone = 'UTC';
SET DateStyle = 'ISO';
SELECT * FROM made_bytes ORDER BY payload COLLATE "C";
SELECT a FROM made ORDER BY i, f;
CREATE FOREIGN TABLE made_again (
    n bool, i int, l bigint, f float8, g float4, num numeric, t text, c char(3), j json, jb jsonb, b bytea, u uuid, d date, tm timestamp, tz timestamptz,
    iv interval, e color, p positive, unit timestamptz OPTIONS (unit 'ms'), city text OPTIONS (path 'user.address.city')
) SERVER decode_kafka OPTIONS (topic 'decode_made', format 'json');
\x on
SELECT * FROM made_again ORDER BY i, f;
\x off
-- arrays come back from their JSON
CREATE TABLE arrays_kept (id int, i int[], t text[], num numeric[], scaled numeric(6,2)[], f float8[], tz timestamptz[], d date[], b bytea[], jb jsonb[], e color[], p pair);
CREATE FOREIGN TABLE arrays_made (id int NOT NULL, i int[], t text[], num numeric[][], scaled numeric(6,2)[], f float8[], tz timestamptz[], d date[], b bytea[], jb jsonb[],
    e color[], p pair) SERVER decode_kafka OPTIONS (topic 'decode_arrays', format 'json');
CREATE FOREIGN TABLE arrays_bytes (payload text) SERVER decode_kafka OPTIONS (topic 'decode_arrays', format 'raw');
INSERT INTO arrays_kept (id, i, t, num) VALUES (1, '{}', '{}', '{}'), (2, '{1,NULL,-3}', ARRAY['', 'a"b\c', NULL, 'NULL', E'x,y\n]', '{é}'], '{{1.50,2},{NULL,1e30}}'),
    (3, '{{{1,2}},{{3,4}}}', '{{a,b},{c,NULL}}', '{NaN,0.000}'), (4, NULL, NULL, NULL);
INSERT INTO arrays_kept VALUES (5, '{5}', '{five}', '{5}', '{1.2,-9999.99}', '{0.1,NaN,-Infinity}', '{2024-01-05 10:20:30.5+00,NULL,infinity}', '{2024-02-29}', '{"\\x00ff",""}',
    ARRAY['{"b": [1, "x"]}', '"s"', '2', NULL]::jsonb[], '{red,NULL}', '{1.5,-2}');
INSERT INTO arrays_made SELECT * FROM arrays_kept;
SELECT * FROM arrays_bytes ORDER BY payload COLLATE "C";
(TABLE arrays_made EXCEPT ALL TABLE arrays_kept) UNION ALL (TABLE arrays_kept EXCEPT ALL TABLE arrays_made);
SELECT id, i, t, num FROM arrays_made ORDER BY id;
-- \u0000 is no character of a text, but is good in a json that is one
INSERT INTO arrays_bytes VALUES
    ('{"id":10, "t":[{"a":"\u0000"}, ["]"], {"]":"\\\""}]}'), ('{"id":11, "i":"{1,2}", "t":"{a,\"b c\"}"}'), ('{"t":[], "id":12, "i":null, "p":[1,2]}'),
    ('{"id":13, "jb":["\u00e9\"", {"a":  1.50}, [1],null,1E2,"]"]}'),
    ('{"id":20, "i":[[1],[2,3]]}'), ('{"id":21, "i":[[1],2]}'), ('{"id":22, "i":[1,[2]]}'), ('{"id":23, "i":{}}'), ('{"id":24, "i":7}'), ('{"id":25, "i":[1,"x"]}'),
    ('{"id":26, "i":"1,2"}'), ('{"id":27, "t":["\u0000"]}'), ('{"id":28, "scaled":[1,12345.6]}'), ('{"id":29, "tz":[1700000000]}'), ('{"id":30, "p":[1,2,3]}'),
    ('{"id":31, "i":[[[[[[[1]]]]]]]}'), ('{"id":32, "i":[2147483648], "t":[1]}'), ('{"id":33, "i":[1,2,]}');
SELECT id, i, t, p, jb FROM arrays_made WHERE id >= 10 ORDER BY id;
SELECT count(*) FROM arrays_made;
-- a view sees the same, and why the others do not come back; json is the value as it stands
CREATE FOREIGN TABLE arrays_seen (id int NOT NULL, i int[], t text[], scaled numeric(6,2)[], tz timestamptz[], jb json[], p pair, at timestamptz OPTIONS (metadata 'timestamp'))
    SERVER decode_kafka OPTIONS (topic 'decode_arrays', format 'json', event_time 'at');
SELECT weir.create_view('array_view', $$ SELECT weir.tumble(at, '36500 days') AS w, id, count(i) AS i, max(t[2]) AS t2, max(jb::text) AS jb, max(p[1]) AS p1 FROM arrays_seen GROUP BY 1, 2 $$);
SELECT weir.flush('arrays_seen');
SELECT id, i, t2, jb, p1 FROM array_view ORDER BY id;
SELECT convert_from(payload, 'UTF8') AS payload, sqlstate, reason FROM weir.dead_letters WHERE stream = 'arrays_seen'::regclass ORDER BY 1;
SELECT weir.drop_view('array_view');
-- what cannot be written
CREATE FOREIGN TABLE arrays (first int OPTIONS (path 'list[0]')) SERVER decode_kafka OPTIONS (topic 'decode_made', format 'json');
INSERT INTO arrays VALUES (1);
CREATE FOREIGN TABLE clash (u text OPTIONS (path 'user'), city text OPTIONS (path 'user.city')) SERVER decode_kafka OPTIONS (topic 'decode_made', format 'json');
INSERT INTO clash VALUES ('x', 'Ulm');
INSERT INTO made (unit) VALUES ('infinity');

DROP SCHEMA decode CASCADE;
DROP SERVER decode_kafka CASCADE;
