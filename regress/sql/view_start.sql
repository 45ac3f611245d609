-- Where views begin: offsets by partition, and what is refused.  Times and
-- intervals need a broker that can look them up: regress/t/056_start.pl.
\set ECHO errors
\getenv srcdir PG_ABS_SRCDIR
\set lib :srcdir /lib/views.sql
\set test view_start
\i :lib
\set ECHO all
CREATE FOREIGN TABLE events (
    n int, ts timestamptz, part int OPTIONS (metadata 'partition'), off bigint OPTIONS (metadata 'offset')
) SERVER view_start OPTIONS (topic 'view_start', event_time 'ts', idle_timeout '1 day');
INSERT INTO events SELECT g, at(g), g % 4 FROM generate_series(0, 39) g;
\set q '$$SELECT weir.tumble(ts, ''10 s'') AS w, part, count(*) AS n, sum(n) AS total FROM events GROUP BY 1, 2$$'

-- The view holds what the query returns over the offsets from there on.
CREATE FUNCTION differ_from(view text, start jsonb, OUT only_view bigint, OUT only_batch bigint) LANGUAGE plpgsql AS $$
BEGIN
    CREATE TEMP TABLE batch AS SELECT weir.tumble(ts, '10 s') AS w, part, count(*) AS n, sum(n) AS total
        FROM events WHERE off >= (start -> part::text)::bigint GROUP BY 1, 2;
    EXECUTE format('SELECT count(*) FROM (SELECT * FROM %I EXCEPT ALL TABLE batch) d', view) INTO only_view;
    EXECUTE format('SELECT count(*) FROM (TABLE batch EXCEPT ALL SELECT * FROM %I) d', view) INTO only_batch;
    DROP TABLE batch;
END $$;
SELECT weir.create_view('v', :q, start => '{"1": 3, "0": 0, "3": 10, "2": 9}');
SELECT start FROM weir.views WHERE view = 'v'::regclass;
SELECT weir.flush('v');
SELECT partition, start_offset, "position", events, lost FROM weir.partitions WHERE view_name = 'v'::regclass ORDER BY 1;
SELECT * FROM differ_from('v', '{"0": 0, "1": 3, "2": 9, "3": 10}');
SELECT weir.reset('v', '{"0": 10, "1": 10, "2": 10, "3": 1}');
SELECT weir.flush('v');
SELECT * FROM differ_from('v', '{"0": 10, "1": 10, "2": 10, "3": 1}');
SELECT count(*) FROM v;

-- The same offsets, written otherwise, are the same place; they share a lane.
BEGIN;
SELECT weir.create_view('same', :q, start => '{"0": 10, "1": 10, "2": 10, "3": 1}');
SELECT weir.create_view('same_too', :q, start => ' { "3":1,"2":10, "1":10, "0":10 } ');
COMMIT;
SELECT weir.flush('events');
SELECT count(DISTINCT start), count(DISTINCT s.lane) FROM weir.status s JOIN weir.views ON view = view_name WHERE view_name::text ~ '^same';
SELECT * FROM differ_from('same_too', '{"0": 10, "1": 10, "2": 10, "3": 1}');

-- The stream's option takes the same.
ALTER FOREIGN TABLE events OPTIONS (ADD start '{"0": 9, "1": 9, "2": 9, "3": 9}');
SELECT weir.create_view('by_option', :q);
SELECT weir.flush('by_option');
SELECT * FROM differ_from('by_option', '{"0": 9, "1": 9, "2": 9, "3": 9}');

-- Offsets that a partition does not have: offset_reset.
SELECT weir.create_view('out', :q, start => '{"0": 0, "1": 11, "2": 0, "3": 0}');
SELECT wait_for($$(SELECT state = 'error' FROM weir.status WHERE view_name = 'out'::regclass)$$);
SELECT error FROM weir.status WHERE view_name = 'out'::regclass;
ALTER FOREIGN TABLE events OPTIONS (ADD offset_reset 'earliest');
SELECT weir.resume('out');
SELECT weir.flush('out');
SELECT partition, start_offset, lost FROM weir.partitions WHERE view_name = 'out'::regclass ORDER BY 1;
ALTER FOREIGN TABLE events OPTIONS (SET offset_reset 'latest');
SELECT weir.reset('out', '{"0": 0, "1": 11, "2": 0, "3": 0}');
SELECT weir.flush('out');
SELECT partition, start_offset, lost FROM weir.partitions WHERE view_name = 'out'::regclass ORDER BY 1;

-- Refused: partitions that are not named, or not there; what is no place.
SELECT weir.create_view('x', :q, start => '{"0": 0, "1": 0, "2": 0}');
SELECT weir.create_view('x', :q, start => '{"0": 0, "1": 0, "2": 0, "4": 0}');
SELECT weir.create_view('x', :q, start => '{"0": 0, "1": 0, "2": 0, "3": 0, "4": 0}');
SELECT weir.reset('v', '{}');
SELECT weir.reset('v', '{"0": -1, "1": 0, "2": 0, "3": 0}');
SELECT weir.reset('v', '{"0": 1.5, "1": 0, "2": 0, "3": 0}');
SELECT weir.reset('v', '{"0": "1", "1": 0, "2": 0, "3": 0}');
SELECT weir.reset('v', '{"zero": 1}');
SELECT weir.reset('v', '{"99999999999999999999": 1}');
SELECT weir.reset('v', '[1, 2, 3, 4]');
SELECT weir.reset('v', '{"0": 1');
SELECT weir.reset('v', '2 hours');
SELECT weir.reset('v', '-2 fortnights');
SELECT weir.reset('v', '-2 hours ago');
SELECT weir.reset('v', 'infinity');
SELECT weir.reset('v', '2 hours before yesterday');
ALTER FOREIGN TABLE events OPTIONS (SET start '{"a": 1}');
ALTER FOREIGN TABLE events OPTIONS (SET start '-1 hour ago');
SELECT start FROM weir.views WHERE view = 'v'::regclass;

DROP SCHEMA view_start CASCADE;
DROP SERVER view_start CASCADE;
