-- weir.infer and IMPORT FOREIGN SCHEMA: the statement that fits a topic's messages
-- runs as it is, and reads all of them.
\set ECHO errors
\getenv srcdir PG_ABS_SRCDIR
\set lib :srcdir /lib/views.sql
\set test stream_infer
\i :lib
\set ECHO all
\pset format unaligned
CREATE FUNCTION raw(topic text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE FOREIGN TABLE %I (payload text, kts timestamptz OPTIONS (metadata ''timestamp''),
        part int OPTIONS (metadata ''partition'')) SERVER stream_infer OPTIONS (topic %L, format ''raw'')', 'raw_' || topic, topic);
END $$;
-- What is inferred is run; how many messages there are, and how many it reads.
CREATE FUNCTION inferred(topic text, OUT messages bigint, OUT rows bigint) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE weir.infer('stream_infer', topic);
    EXECUTE format('SELECT count(*) FROM %I', 'raw_' || topic) INTO messages;
    EXECUTE format('SELECT count(*) FROM %I', topic) INTO rows;
END $$;

-- Types, by form; nested objects, arrays, NULLs, what is missing, what is mixed.
SELECT raw('infer_types');
INSERT INTO raw_infer_types SELECT jsonb_build_object('id', g, 'price', g + 0.25, 'big', 10::numeric ^ 20 + g, 'precise', 0.1234567890123456789 + g,
    'paid', g % 2 = 0, 'note', CASE WHEN g % 4 = 0 THEN 'n' || g END, 'nothing', NULL, 'tags', jsonb_build_array(1, 'a'),
    'user', jsonb_build_object('name', 'u' || g, 'address', jsonb_build_object('city', 'c', 'odd.key "x"', 1, 'zip', '0' || g)),
    'mixed', CASE WHEN g % 2 = 0 THEN to_jsonb(g) ELSE to_jsonb('x'::text) END,
    'wild', CASE WHEN g % 2 = 0 THEN '{"a": 1}'::jsonb ELSE '1' END, 'empty', '{}'::jsonb, 'day', '2024-01-' || lpad((g % 28 + 1)::text, 2, '0'),
    'ts', to_char(at(g), 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), 'order', g, 'UPPER', g, 'ctid', g)
    || CASE WHEN g % 10 = 0 THEN '{"seldom": 1}'::jsonb ELSE '{}' END, at(g), g % 4 FROM generate_series(1, 200) g;
SELECT weir.infer('stream_infer', 'infer_types');
SELECT * FROM inferred('infer_types');
SELECT id, price, big, paid, note, nothing, tags, user_name, user_address_city, "user_address_odd.key ""x""", mixed, wild, empty, day, ts, "order", "UPPER", seldom
    FROM infer_types WHERE id IN (10, 11) ORDER BY id;

-- Times as numbers: by magnitude, if the name says so or Kafka's timestamp is near.
SELECT raw('infer_epochs');
INSERT INTO raw_infer_epochs SELECT format('{"s": %s, "created_at": %s, "millis": %s, "us_time": %s, "ns_ts": %s, "account": %s, "amount": %s}', e, e + 0.5, e * 1000, e * 1000000, e::numeric * 1000000000, 1500000000 + g, g), at(g), g % 4
    FROM generate_series(1, 100) g, LATERAL (SELECT extract(epoch FROM at(g))::bigint AS e) e;
SELECT weir.infer('stream_infer', 'infer_epochs');
SELECT * FROM inferred('infer_epochs');
SELECT * FROM infer_epochs WHERE amount = 7;

-- The event time is near Kafka's timestamp; the delay is the disorder that is seen.
SELECT raw('infer_disorder');
INSERT INTO raw_infer_disorder SELECT format('{"born": "1980-01-01 00:00:00", "at": "%s", "loaded": "%s"}', at(g * 10 - (g % 5) * 20), at(g * 10) + interval '3 days'), at(g * 10), 0
    FROM generate_series(1, 400) g;
SELECT weir.infer('stream_infer', 'infer_disorder', sample => 200);

-- A view over what was inferred has no late event.
SELECT * FROM inferred('infer_disorder');
SELECT weir.create_view('v', $$SELECT weir.tumble(at, '1 min') AS w, count(*) FROM infer_disorder GROUP BY 1$$);
SELECT weir.flush('v');
SELECT events, late, dead_letters FROM weir.status WHERE view_name = 'v'::regclass;

-- Some that are no JSON; all of them; bytes; arrays of objects; a map.
SELECT raw('infer_some');
INSERT INTO raw_infer_some SELECT CASE WHEN g % 10 = 0 THEN 'broken {' ELSE format('{"n": %s}', g) END, at(g), 0 FROM generate_series(1, 50) g;
SELECT weir.infer('stream_infer', 'infer_some');
SELECT * FROM inferred('infer_some');
SELECT raw('infer_text');
INSERT INTO raw_infer_text SELECT 'line ' || g, at(g), 0 FROM generate_series(1, 5) g;
SELECT weir.infer('stream_infer', 'infer_text');
SELECT * FROM inferred('infer_text');
CREATE FOREIGN TABLE bytes (payload bytea) SERVER stream_infer OPTIONS (topic 'infer_bytes', format 'raw');
INSERT INTO bytes VALUES ('\x00ff');
SELECT weir.infer('stream_infer', 'infer_bytes');
SELECT raw('infer_array');
INSERT INTO raw_infer_array SELECT format('[{"n": %s}, {"n": %s, "x": true}]', g, g), at(g), 0 FROM generate_series(1, 5) g;
SELECT weir.infer('stream_infer', 'infer_array');
SELECT * FROM inferred('infer_array');
SELECT raw('infer_lines');
INSERT INTO raw_infer_lines SELECT format(E'{"n": %s}\n{"n": %s, "x": true}\n\n', g, g), at(g), 0 FROM generate_series(1, 5) g;
SELECT weir.infer('stream_infer', 'infer_lines');
SELECT * FROM inferred('infer_lines');
INSERT INTO raw_infer_lines VALUES ('{"n": 6}', at(6), 0), ('[{"n": 7}, {"n": 8}]', at(6), 0);
SELECT weir.infer('stream_infer', 'infer_lines') ~ 'records ''auto''' AS auto;
SELECT raw('infer_map');
INSERT INTO raw_infer_map SELECT format('{"by_user": {"u%s": 1}, "n": 1}', g), at(g), 0 FROM generate_series(1, 100) g;
SELECT weir.infer('stream_infer', 'infer_map');

-- Names that are one when they are cut, in bytes, or are there already; times that only look like some.
SELECT raw('infer_odd');
INSERT INTO raw_infer_odd SELECT format('{"%1$s1": 1, "%1$s2": 2, "%2$s1": 3, "%2$s2": 4, "a": {"b": 5}, "a_b": 6, "a_b_2": 7, "ctid": 8, "ctid_": 9, "zero": "2024-00-10T00:00:00Z", "far": "2024-01-10T00:00:00+19:00", "noday": "2024-00-01"}',
    repeat('x', 63), repeat('ü', 40)), at(g), 0 FROM generate_series(1, 5) g;
SELECT weir.infer('stream_infer', 'infer_odd');
SELECT * FROM inferred('infer_odd');

-- Import: all, some, all but some; not those without messages, and none of Kafka's.
CREATE SCHEMA stream_infer_all;
CREATE FOREIGN TABLE none (payload text) SERVER stream_infer OPTIONS (topic 'infer_none', format 'raw');
SELECT count(*) FROM none;
CREATE FOREIGN TABLE internal (payload text) SERVER stream_infer OPTIONS (topic '__infer_internal', format 'raw');
INSERT INTO internal VALUES ('x');
SET client_min_messages = notice;
IMPORT FOREIGN SCHEMA topics LIMIT TO (infer_types, infer_none, infer_map) FROM SERVER stream_infer INTO stream_infer_all OPTIONS (sample '50');
SELECT relname FROM pg_class WHERE relnamespace = 'stream_infer_all'::regnamespace AND relkind = 'f' ORDER BY 1;
SELECT count(*) FROM stream_infer_all.infer_types;
DROP FOREIGN TABLE stream_infer_all.infer_types, stream_infer_all.infer_map;
SET client_min_messages = warning;
IMPORT FOREIGN SCHEMA topics EXCEPT (infer_types) FROM SERVER stream_infer INTO stream_infer_all;
SELECT relname FROM pg_class WHERE relnamespace = 'stream_infer_all'::regnamespace AND relkind = 'f' AND relname ~ 'infer' ORDER BY 1;
SELECT count(*), sum(n) FROM stream_infer_all.infer_some;

-- Of a database's encoding that lacks characters: a message that has them is no text.
\set main :DBNAME
CREATE FOREIGN TABLE latin_bytes (payload bytea) SERVER stream_infer OPTIONS (topic 'infer_latin', format 'raw');
INSERT INTO latin_bytes VALUES ('{"n": 1}'), ('{"n": 2, "s": "\303\251"}'), ('{"n": 3, "s": "\320\226"}');
CREATE DATABASE regression_weir_latin ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C';
\c regression_weir_latin
CREATE EXTENSION weir;
\set ECHO errors
SELECT format('CREATE SERVER latin FOREIGN DATA WRAPPER weir OPTIONS (bootstrap_servers %L)', :'broker') \gexec
\set ECHO all
SELECT octet_length(payload), octet_length(text) FROM weir.sample_messages('latin', 'infer_latin', 10) ORDER BY payload;
SELECT weir.infer('latin', 'infer_latin');
CREATE FOREIGN TABLE latin (n int) SERVER latin OPTIONS (topic 'infer_latin');
SELECT payload, "row" FROM weir.peek('latin') ORDER BY payload COLLATE "C";
\c :main
DROP DATABASE regression_weir_latin WITH (FORCE);
SET client_min_messages = warning;
SET search_path = stream_infer;

-- Refused.
SELECT weir.infer('stream_infer', 'infer_none');
SELECT weir.infer('nowhere', 'infer_types');
SELECT weir.infer('weir_open', 'infer_types');
SELECT weir.infer('stream_infer', 'infer_types', 0);
SELECT weir.infer('stream_infer', 'not a name');
IMPORT FOREIGN SCHEMA topics FROM SERVER stream_infer INTO stream_infer_all OPTIONS (samples '50');
CREATE ROLE stream_infer_other;
SET ROLE stream_infer_other;
SELECT weir.infer('stream_infer', 'infer_types');
RESET ROLE;
\set VERBOSITY terse
DROP SCHEMA stream_infer, stream_infer_all CASCADE;
DROP SERVER stream_infer CASCADE;
DROP ROLE stream_infer_other;
