-- Messages of several records: lines, arrays, whatever comes.  A record that
-- cannot be used is a dead letter of its own; the position passes a message with
-- its last record.
\set ECHO errors
\getenv srcdir PG_ABS_SRCDIR
\set lib :srcdir /lib/views.sql
\set test formats_records
\i :lib
\set ECHO all
CREATE FOREIGN TABLE raw (message text, part int OPTIONS (metadata 'partition'), key text OPTIONS (metadata 'key')) SERVER formats_records OPTIONS (topic 'formats_records', format 'raw');
\set columns 'id int NOT NULL, ts timestamptz, part int OPTIONS (metadata ''partition''), off bigint OPTIONS (metadata ''offset''), rec int OPTIONS (metadata ''record''), k text OPTIONS (metadata ''key'')'
CREATE FOREIGN TABLE lines (:columns) SERVER formats_records OPTIONS (topic 'formats_records', event_time 'ts', idle_timeout '1 day', records 'lines');
CREATE FOREIGN TABLE arrays (:columns) SERVER formats_records OPTIONS (topic 'formats_records', event_time 'ts', idle_timeout '1 day', records 'array');
CREATE FOREIGN TABLE any_of (:columns) SERVER formats_records OPTIONS (topic 'formats_records', event_time 'ts', idle_timeout '1 day', records 'auto');
CREATE FUNCTION event(id int, t float8) RETURNS text LANGUAGE sql AS $$ SELECT json_build_object('id', id, 'ts', at(t))::text $$;
BEGIN;
SELECT weir.create_view('l', $$ SELECT weir.tumble(ts, '10 s') AS w, count(*), sum(id) FROM lines GROUP BY 1 $$, keep_late => true);
SELECT weir.create_view('a', $$ SELECT weir.tumble(ts, '10 s') AS w, count(*), sum(id) FROM arrays GROUP BY 1 $$, keep_late => true);
SELECT weir.create_view('o', $$ SELECT weir.tumble(ts, '10 s') AS w, count(*), sum(1 / (id - 7)) FROM any_of GROUP BY 1 $$, keep_late => true);
COMMIT;
INSERT INTO raw VALUES
    (event(1, 1), 0, 'one'),
    (event(2, 2) || E'\n' || event(3, 3) || E'\r\n\n' || event(4, 4) || E'\n', 0, 'lines'),
    ('[' || event(5, 5) || ' , ' || event(6, 6) || ']', 0, 'array'),
    ('[]', 0, 'nothing'),
    (E' \n\n', 0, 'blank'),
    (event(7, 7) || E'\n{"id": x}\n' || event(8, 8) || E'\n{"id": null}\n{"id": 9}', 0, 'bad lines'),
    ('[' || event(10, 10) || ',{"id": null},3,{"id": 11}]', 0, 'bad elements'),
    ('[' || event(12, 12) || ',{"id": 13]', 0, 'no array'),
    (E'{\n"id": 14,\n"ts": "2024-01-01T00:00:14Z"\n}', 0, 'pretty'),
    ('', 0, 'empty'),
    (NULL, 0, 'tombstone'),
    -- The watermark moves from record to record: the second one is late, and so are its twins.
    (event(15, 100) || E'\n' || event(16, 15) || E'\n' || event(16, 15) || E'\n' || event(17, 101), 0, 'late lines'),
    ('[' || event(18, 110) || ',' || event(19, 15) || ',' || event(19, 15) || ']', 0, 'late elements'),
    ('[]', 0, 'the end');
SELECT * FROM lines ORDER BY off, rec;
SELECT * FROM arrays ORDER BY off, rec;
SELECT * FROM any_of ORDER BY off, rec;
SELECT weir.flush('lines'), weir.flush('arrays'), weir.flush('any_of');
SELECT * FROM l ORDER BY w;
SELECT * FROM a ORDER BY w;
SELECT * FROM o ORDER BY w;
SELECT stream, view, "offset", sqlstate, reason, convert_from(payload, 'UTF8') AS payload FROM weir.dead_letters
    WHERE stream IN ('lines'::regclass, 'arrays'::regclass, 'any_of'::regclass) ORDER BY stream::text, "offset", reason COLLATE "C";
SELECT view, "offset", convert_from(payload, 'UTF8') AS payload, late_by FROM weir.late_events WHERE view IN ('l'::regclass, 'a'::regclass, 'o'::regclass) ORDER BY 1, 2, 3;
SELECT view_name, "position", committed, events, late, dead_letters FROM weir.partitions WHERE view_name IN ('l'::regclass, 'a'::regclass, 'o'::regclass) AND partition = 0 ORDER BY 1;

-- More records in a message than in a batch; and all of it again.
CREATE FOREIGN TABLE big_raw (message text) SERVER formats_records OPTIONS (topic 'single_records', format 'raw');
CREATE FOREIGN TABLE big (id int, ts timestamptz, part int OPTIONS (metadata 'partition'), off bigint OPTIONS (metadata 'offset'), rec int OPTIONS (metadata 'record'))
    SERVER formats_records OPTIONS (topic 'single_records', event_time 'ts', records 'auto');
SELECT weir.create_view('b', $$ SELECT weir.tumble(ts, '100 s') AS w, count(*), sum(id) FROM big GROUP BY 1 $$);
INSERT INTO big_raw SELECT string_agg(event(i, i / 100.0), E'\n' ORDER BY i) FROM generate_series(1, 10000) i;
INSERT INTO big_raw SELECT '[' || string_agg(event(i, i / 100.0), ',' ORDER BY i) || ']' FROM generate_series(10001, 20000) i;
SELECT weir.create_view('each', $$ SELECT id, ts, off, rec FROM big $$);
SELECT weir.flush('big');
SELECT * FROM differ('b');
SELECT * FROM differ('each');
SELECT count(*), count(DISTINCT (off, rec)) FROM each;
SELECT count(*), sum(id), max(rec) FROM big;
SELECT count(*) FROM (SELECT 1 FROM big LIMIT 7000) d;
SELECT weir.reset('b', 'earliest');
SELECT weir.flush('big');
SELECT * FROM differ('b');
SELECT "position", events FROM weir.partitions WHERE view_name = 'b'::regclass;

-- A long key: columns have all of it, a dead letter its beginning.
INSERT INTO raw VALUES (E'x\n' || event(31, 131) || E'\ny\n' || event(32, 132), 1, repeat('k', 1000));
INSERT INTO raw VALUES ('x', 1, repeat('k', 1000));
SELECT id, length(k) FROM lines WHERE id > 30 ORDER BY id;
SELECT weir.flush('lines');
SELECT "offset", convert_from(payload, 'UTF8') AS payload, octet_length(key) FROM weir.dead_letters
    WHERE stream = 'lines'::regclass AND partition = 1 ORDER BY "offset", payload;

-- INSERT makes messages of one record.
INSERT INTO arrays (id, ts, part, rec) VALUES (20, at(120), 0, 1);
INSERT INTO arrays (id, ts, part) VALUES (20, at(120), 0);
INSERT INTO lines (id, ts, part) VALUES (21, at(121), 0);
SELECT message FROM raw WHERE message LIKE '%2_, %' OR message LIKE '%"id":2%';

DROP SCHEMA formats_records CASCADE;
DROP SERVER formats_records CASCADE;
