-- Dead letters after a fix: each counts once, in the views that lacked it.
\set ECHO errors
\getenv srcdir PG_ABS_SRCDIR
\set lib :srcdir /lib/views.sql
\set test letters_replay
\i :lib
\set ECHO all
CREATE FOREIGN TABLE events (
    id int, n int NOT NULL, ts timestamptz, part int OPTIONS (metadata 'partition'), off bigint OPTIONS (metadata 'offset')
) SERVER letters_replay OPTIONS (topic 'letters_replay', event_time 'ts', watermark_delay '1 hour', idle_timeout '1 day');
CREATE FOREIGN TABLE raw (message bytea, key bytea OPTIONS (metadata 'key'), part int OPTIONS (metadata 'partition'), at timestamptz OPTIONS (metadata 'timestamp'))
    SERVER letters_replay OPTIONS (topic 'letters_replay', format 'raw');
CREATE FUNCTION tried() RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM wait_for('(SELECT count(*) = 0 FROM weir.replay_queue)'); END $$;
-- A stream that is altered between stop() and go() is read as altered by all of its views.
CREATE FUNCTION stop() RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM weir.pause(view) FROM weir.views; END $$;
CREATE FUNCTION go() RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM weir.resume(view) FROM weir.views; END $$;
CREATE FUNCTION share(a int, b int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN a / b; END';
BEGIN;
SELECT weir.create_view('v', $$ SELECT weir.tumble(ts, '10 s') AS w, count(*), sum(n) FROM events GROUP BY 1 $$, keep_late => true);
SELECT weir.create_view('total', $$ SELECT part, count(*), sum(n), max(off) FROM events GROUP BY 1 $$);
SELECT weir.create_view('sessions', $$ SELECT weir.session(ts, '5 s') AS s, count(*), sum(n) FROM events GROUP BY 1 $$);
SELECT weir.create_view('shares', $$ SELECT weir.tumble(ts, '10 s') AS w, sum(share(100, n)) FROM events GROUP BY 1 $$);
SELECT weir.create_view('rows', $$ SELECT id, n, ts, part, off FROM events WHERE id % 2 = 0 $$);
COMMIT;
INSERT INTO raw SELECT convert_to(format('{"id": %s, "ts": "%s"%s}', g, at(g), CASE WHEN g % 10 <> 0 THEN ', "n": ' || g % 5 ELSE '' END), 'UTF8'), 'k', g % 4, at(g)
    FROM generate_series(1, 100) g;
INSERT INTO raw VALUES ('no json', NULL, 0, at(1));
SELECT weir.flush('events');
SELECT view_name, events, dead_letters FROM weir.status WHERE stream = 'events'::regclass ORDER BY view_name::text;
SELECT view, sqlstate, letters, messages, to_replay FROM weir.dead_letter_summary WHERE stream = 'events'::regclass ORDER BY view, sqlstate;

-- Nothing was fixed: they stay what they are.
SELECT weir.replay_dead_letters('events');
SELECT tried();
SELECT view, sqlstate, letters FROM weir.dead_letter_summary WHERE stream = 'events'::regclass ORDER BY view, sqlstate;
SELECT * FROM v ORDER BY w;

-- After a fix in the stream: a NULL is allowed.  What is no JSON still is none.  A
-- view that is made now reads the messages itself, and must not have them twice.
ALTER FOREIGN TABLE events ALTER n DROP NOT NULL;
SELECT weir.create_view('later', $$ SELECT part, count(*), sum(n), max(off) FROM events GROUP BY 1 $$);
SELECT weir.flush('events');
SELECT * FROM differ('later');
SELECT weir.replay_dead_letters('events', 'sqlstate = ''23502''');
SELECT tried();
SELECT * FROM differ('v');
SELECT * FROM differ('total');
SELECT sum(count) = (SELECT sum(count) FROM total) AS same FROM sessions;
SELECT * FROM differ('rows');
SELECT * FROM differ('later');
SELECT view, sqlstate, letters FROM weir.dead_letter_summary WHERE stream = 'events'::regclass ORDER BY view, sqlstate;
SELECT weir.replay_dead_letters('events', 'sqlstate = ''23502''');

-- After a fix in a view: of the function that it calls.  It alone lacked them.
CREATE OR REPLACE FUNCTION share(a int, b int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN a / nullif(b, 0); END';
SELECT weir.replay_dead_letters('events', $$ view = 'shares'::regclass $$);
SELECT tried();
SELECT * FROM differ('shares');
SELECT * FROM differ('v');
SELECT view, sqlstate, letters FROM weir.dead_letter_summary WHERE stream = 'events'::regclass ORDER BY view, sqlstate;

-- A window that is final stays as it is: the letter is late for it, and counts where
-- there are no windows.
SELECT stop();
SELECT wait_for('(SELECT count(*) = 0 FROM weir.running_views())');
ALTER FOREIGN TABLE events ALTER n SET NOT NULL;
SELECT go();
INSERT INTO raw VALUES ('{"id": 201, "ts": "2024-01-01T00:03:21Z"}', NULL, 1, at(201)), ('{"id": 202, "ts": "2024-01-01T00:03:22Z", "n": 1}', NULL, 1, at(202));
SELECT weir.flush('events');
SELECT weir.advance_watermark('v', at(300));
SELECT wait_for($$(SELECT count(*) > 0 FROM v_final)$$);
ALTER FOREIGN TABLE events ALTER n DROP NOT NULL;
SELECT weir.replay_dead_letters('events', $$ partition = 1 AND "offset" > 20 $$);
SELECT tried();
SELECT w, count FROM v WHERE w = at(200);
SELECT convert_from(payload, 'UTF8') AS payload, window_start = at(200) AS late_for_it FROM weir.late_events WHERE stream = 'events'::regclass;
SELECT * FROM differ('total');

-- A view that is reset reads them itself; one that was dropped keeps none.
SELECT stop();
SELECT wait_for('(SELECT count(*) = 0 FROM weir.running_views())');
ALTER FOREIGN TABLE events ALTER n SET NOT NULL;
SELECT go();
INSERT INTO raw VALUES ('{"id": 301, "ts": "2024-01-01T00:05:21Z"}', NULL, 1, at(301));
SELECT weir.flush('events');
ALTER FOREIGN TABLE events ALTER n DROP NOT NULL;
SELECT weir.reset('total', 'earliest');
SELECT weir.drop_view('later');
SELECT weir.flush('events');
SELECT weir.replay_dead_letters('events', $$ partition = 1 $$);
SELECT tried();
SELECT * FROM differ('total');
SELECT sum(count) = (SELECT sum(count) FROM total) AS same FROM sessions;
SELECT * FROM differ('rows');
SELECT count(*) FROM weir.dead_letters WHERE stream = 'events'::regclass AND sqlstate = '23502';

-- Purging.
INSERT INTO raw SELECT convert_to('no json ' || g, 'UTF8'), NULL, 2, at(g) FROM generate_series(1, 5) g;
SELECT weir.flush('events');
SELECT weir.purge_dead_letters('events', before => '2001-01-01');
SELECT weir.purge_dead_letters('events', "where" => $$ convert_from(payload, 'UTF8') LIKE '%3' $$);
SELECT weir.purge_dead_letters('events', "where" => 'nonsense');
SELECT count(*) FROM weir.dead_letters WHERE stream = 'events'::regclass;

-- Who may: the stream's owner and weir_admin; a condition sees what its caller may read.
CREATE ROLE regress_weir_letters;
GRANT USAGE ON SCHEMA letters_replay TO regress_weir_letters;
GRANT SELECT ON events TO regress_weir_letters;
SET ROLE regress_weir_letters;
SELECT count(*) FROM weir.dead_letters;
SELECT weir.purge_dead_letters('events');
SELECT weir.replay_dead_letters('events');
SELECT weir.skip('events', 0, 1);
DELETE FROM weir.dead_letter_log;
RESET ROLE;
REVOKE SELECT ON events FROM regress_weir_letters;
GRANT weir_admin TO regress_weir_letters;
SET ROLE regress_weir_letters;
SELECT count(*) FROM weir.dead_letters;
SELECT sum(letters) FROM weir.dead_letter_summary WHERE stream = 'letters_replay.events'::regclass;
SELECT weir.purge_dead_letters('events', "where" => 'true');
-- A condition cannot reach out of the stream.
RESET ROLE;
CREATE FOREIGN TABLE mine (n int) SERVER letters_replay OPTIONS (topic 'letters_replay');
ALTER FOREIGN TABLE mine OWNER TO regress_weir_letters;
REVOKE weir_admin FROM regress_weir_letters;
GRANT SELECT ON events TO regress_weir_letters;
SET ROLE regress_weir_letters;
SELECT weir.purge_dead_letters('mine', "where" => 'false) OR (true');
RESET ROLE;
SELECT weir.purge_dead_letters('events');
SELECT count(*) FROM weir.dead_letters WHERE stream = 'events'::regclass;
DROP FOREIGN TABLE mine;

-- Skipping a message by hand, where one stops the stream.
SELECT stop();
SELECT wait_for('(SELECT count(*) = 0 FROM weir.running_views())');
ALTER FOREIGN TABLE events OPTIONS (ADD on_error 'stop');
SELECT go();
SELECT coalesce(max(off), 0) + 1 AS next FROM (SELECT off FROM rows WHERE part = 3 UNION ALL SELECT max FROM total WHERE part = 3) x \gset
INSERT INTO raw VALUES ('no json', NULL, 3, at(1)), ('{"id": 400, "n": 1, "ts": "2024-01-01T00:05:00Z"}', NULL, 3, at(2));
SELECT wait_for($$(SELECT bool_and(state = 'error') FROM weir.status WHERE stream = 'events'::regclass)$$);
SELECT DISTINCT regexp_replace(error, 'offset \d+', 'offset N') FROM weir.status WHERE stream = 'events'::regclass;
SELECT weir.skip('v', 3, -1);
SELECT weir.skip('v', 3, :next);
SELECT count(weir.resume(view_name)) FROM weir.status WHERE stream = 'events'::regclass;
SELECT weir.flush('events');
SELECT * FROM differ('total');
SELECT * FROM differ('rows');
SELECT sqlstate, convert_from(payload, 'UTF8') AS payload FROM weir.dead_letters WHERE stream = 'events'::regclass;

-- One record of a message is tried as that: with its number, and not taken apart again.
-- Where the key was too long to be kept with it, it stays what it is.
CREATE FOREIGN TABLE parts (id int, n int NOT NULL, rec int OPTIONS (metadata 'record'), k text OPTIONS (metadata 'key'))
    SERVER letters_replay OPTIONS (topic 'letters_parts', records 'array');
CREATE FOREIGN TABLE parts_raw (message text, k text OPTIONS (metadata 'key'), part int OPTIONS (metadata 'partition')) SERVER letters_replay OPTIONS (topic 'letters_parts', format 'raw');
SELECT weir.create_view('parts_total', $$ SELECT k, count(*), sum(n), max(rec) FROM parts GROUP BY 1 $$);
SELECT weir.create_view('parts_rows', $$ SELECT id, n, rec, k FROM parts $$);
INSERT INTO parts_raw VALUES ('[{"id": 1, "n": 1}, {"id": 2}, [{"id": 3, "n": 3}, {"id": 4, "n": 4}], {"id": 5, "n": 5}]', 'k', 0), ('{"id": 6, "n": 6}', 'k', 0),
    ('[{"id": 7}, {"id": 8, "n": 8}]', repeat('k', 300), 0);
SELECT weir.flush('parts');
SELECT "offset", record, sqlstate, reason, convert_from(payload, 'UTF8') AS payload FROM weir.dead_letters WHERE stream = 'parts'::regclass ORDER BY "offset", record;
ALTER FOREIGN TABLE parts ALTER n DROP NOT NULL;
SELECT weir.replay_dead_letters('parts');
SELECT tried();
SELECT left(k, 5) AS k, count, sum, max FROM parts_total ORDER BY 1;
SELECT id, n, rec, left(k, 5) AS k FROM parts_rows ORDER BY id;
SELECT "offset", record, convert_from(payload, 'UTF8') AS payload FROM weir.dead_letters WHERE stream = 'parts'::regclass ORDER BY "offset", record;

SET client_min_messages = warning;
SELECT string_agg(oid::text, ',') AS streams FROM pg_class WHERE relkind = 'f' AND relnamespace = 'letters_replay'::regnamespace \gset
DROP SCHEMA letters_replay CASCADE;
-- With a stream goes what was kept of it.
SELECT (SELECT count(*) FROM weir.dead_letter_log WHERE stream IN (:streams)) AS letters,
    (SELECT count(*) FROM weir.skip_log WHERE stream IN (:streams)) AS skipped;
DROP SERVER letters_replay;
DROP ROLE regress_weir_letters;
