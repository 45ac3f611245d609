-- Format csv: fields in the order of the columns, with COPY's options.
\set ECHO errors
\getenv srcdir PG_ABS_SRCDIR
\set lib :srcdir /lib/views.sql
\set test formats_csv
\i :lib
\set ECHO all
CREATE FOREIGN TABLE events (
    id int NOT NULL, part int OPTIONS (metadata 'partition'), name text, amount numeric(10,2), ok bool, ts timestamptz, tags text[], doc jsonb, by bytea,
    off bigint OPTIONS (metadata 'offset')
) SERVER formats_csv OPTIONS (topic 'formats_csv', format 'csv', event_time 'ts', idle_timeout '1 day');
CREATE FOREIGN TABLE raw_bytes (message bytea, part int OPTIONS (metadata 'partition')) SERVER formats_csv OPTIONS (topic 'formats_csv', format 'raw');
CREATE FOREIGN TABLE raw (message text, part int OPTIONS (metadata 'partition')) SERVER formats_csv OPTIONS (topic 'formats_csv', format 'raw');
SELECT weir.create_view('v', $$ SELECT weir.tumble(ts, '10 s') AS w, name, count(*), sum(amount) AS amount, bool_and(ok) AS ok FROM events GROUP BY 1, 2 $$);
INSERT INTO raw VALUES
    ('1,plain,1.50,true,2024-01-01T00:00:01Z,{a},{},abc', 0),
    (E'2,"with, comma",-3,t,2024-01-01 00:00:02+00,"{a,""b c""}","{""x"": [1, ""y""]}",\\x00ff\r\n', 0),
    ('3,,,,2024-01-01T00:00:03Z,,,', 0),
    ('4,"",0,off,"2024-01-01T00:00:04Z",{},null,""', 0),
    (E'5,"two\nlines ""quoted"" €",7,1,2024-01-01T00:00:05Z,,,', 0),
    -- These are dead letters.
    ('6,a,1,t,2024-01-01T00:00:06Z,,', 1),
    ('7,a,1,t,2024-01-01T00:00:06Z,,,,', 1),
    (E'8,a,1,t,2024-01-01T00:00:06Z,,,\n9,a,1,t,2024-01-01T00:00:06Z,,,', 1),
    (',a,1,t,2024-01-01T00:00:06Z,,,', 1),
    ('x,a,1,t,2024-01-01T00:00:06Z,,,', 1),
    ('10,a"b,1,t,2024-01-01T00:00:06Z,,,', 1),
    ('11,"a,1,t,2024-01-01T00:00:06Z,,,', 1),
    ('12,a,999999999,t,2024-01-01T00:00:06Z,,,', 1),
    ('13,a,1,t,2024-01-01T00:00:06Z,,{x},', 1),
    ('14,a,1,t,now,,,', 1),
    ('', 1),
    (NULL, 1),
    ('16,b,2,f,2024-01-01T00:00:16Z,,,', 1);
INSERT INTO raw_bytes VALUES ('\x31352c61ff2c312c742c323032342d30312d30315430303a30303a30365a2c2c2c', 1);
SELECT * FROM events ORDER BY part, off;
SELECT weir.flush('events');
SELECT * FROM v ORDER BY w, name;
SELECT * FROM differ('v');
SELECT "offset", sqlstate, reason FROM weir.dead_letters WHERE stream = 'events'::regclass ORDER BY "offset";

-- INSERT writes what is read.
CREATE FOREIGN TABLE types (
    off bigint OPTIONS (metadata 'offset'), part int OPTIONS (metadata 'partition'), n numeric, t text, f float8, b bool, d date, ts timestamp, tz timestamptz,
    ms timestamptz OPTIONS (unit 'ms'), by bytea, u uuid, a int[], j jsonb, iv interval
) SERVER formats_csv OPTIONS (topic 'formats_csv_types', format 'csv', delimiter ';', quote '''', escape '\', "null" 'NULL');
CREATE TABLE model (LIKE types);
ALTER TABLE model DROP off, DROP part;
INSERT INTO model VALUES
    (1.50, 'plain', 1.5, true, '2024-02-29', '2024-01-01 00:00:00.5', '2024-01-01 12:00:00+00', '2024-01-01 00:00:00.25+00', '\x00ff', '00000000-0000-0000-0000-000000000001', '{1,2}', '{"a": "b;c"}', '1 day'),
    ('NaN', E'a;b ''quoted'' \\ back\nline', 'Infinity', false, 'infinity', '-infinity', '0044-03-15 00:00:00+00 BC', NULL, '', NULL, '{}', '"NULL"', '-00:00:01'),
    (NULL, 'NULL', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    (NULL, '', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
SET DateStyle = 'German';
SET IntervalStyle = 'iso_8601';
INSERT INTO types SELECT NULL, 0, * FROM model;
RESET IntervalStyle;
SET DateStyle = 'ISO, MDY';
CREATE FOREIGN TABLE types_raw (message text, off bigint OPTIONS (metadata 'offset')) SERVER formats_csv OPTIONS (topic 'formats_csv_types', format 'raw');
SELECT message FROM types_raw ORDER BY off;
CREATE VIEW read AS SELECT n, t, f, b, d, ts, tz, ms, by, u, a, j, iv FROM types;
SELECT count(*) FROM ((SELECT * FROM read EXCEPT ALL SELECT * FROM model) UNION ALL (SELECT * FROM model EXCEPT ALL SELECT * FROM read)) d;

-- What makes no sense is refused.
CREATE FUNCTION refusal(options text, columns text DEFAULT 'a int, b int') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    message text;
    detail text;
    hint text;
BEGIN
    EXECUTE format('CREATE FOREIGN TABLE bad (%s) SERVER formats_csv OPTIONS (topic ''x'', %s)', columns, options);
    EXECUTE 'EXPLAIN SELECT * FROM bad';
    EXECUTE 'SELECT * FROM bad LIMIT 0';
    DROP FOREIGN TABLE bad;
    RETURN 'ACCEPTED';
EXCEPTION WHEN fdw_error OR fdw_invalid_option_name OR fdw_invalid_attribute_value OR fdw_invalid_column_number THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RETURN concat_ws(' / ', message, nullif(detail, ''), nullif(hint, ''));
END $$;
SELECT refusal(o) FROM unnest(ARRAY[
    $$format 'tsv'$$, $$format 'csv', delimiter ''$$, $$format 'csv', delimiter '||'$$, $$format 'csv', delimiter '€'$$, $$format 'csv', delimiter E'\n'$$,
    $$format 'csv', delimiter E'\t'$$, $$format 'csv', delimiter '"'$$, $$format 'csv', quote ''$$, $$format 'csv', escape ','$$, $$format 'csv', "null" 'a,b'$$, $$format 'csv', "null" E'\n'$$,
    $$delimiter ';'$$, $$format 'raw', "null" 'x'$$, $$key_format 'csv', delimiter ';'$$,
    $$format 'csv', records 'array'$$, $$format 'csv', records 'auto'$$, $$format 'csv', records 'lines'$$, $$records 'many'$$, $$format 'csv', delimeter ';'$$]) o;
SELECT refusal($$format 'csv'$$, $$a int OPTIONS (path 'x')$$);
SELECT refusal($$format 'raw', records 'lines'$$, $$a text$$);

DROP SCHEMA formats_csv CASCADE;
DROP SERVER formats_csv CASCADE;
