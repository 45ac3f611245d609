-- A continuous view without a window: running totals, one row a key, that are
-- never final and for which nothing is late.
\set ECHO errors
\getenv srcdir PG_ABS_SRCDIR
\set lib :srcdir /lib/views.sql
\set test view_running
\i :lib
\set ECHO all
CREATE FOREIGN TABLE events (
    kind text, n int, amount float8, ts timestamptz, part int OPTIONS (metadata 'partition'), off bigint OPTIONS (metadata 'offset')
) SERVER view_running OPTIONS (topic 'view_running', event_time 'ts', watermark_delay '2 seconds');
SELECT weir.create_view('per_kind', $$ SELECT kind, count(*), sum(n), sum(amount) AS total, max(ts) AS newest, min(kind || n) AS least FROM events GROUP BY kind $$);
SELECT weir.create_view('overall', $$ SELECT count(*), sum(n), count(*) FILTER (WHERE kind = 'a') AS a FROM events $$);
SELECT weir.create_view('per_day', $$ SELECT kind, date_trunc('day', ts, 'UTC') AS day, count(*) FROM events WHERE n > 0 GROUP BY 1, 2 HAVING count(*) > 1 $$);
SELECT weir.create_view('windowed', $$ SELECT weir.tumble(ts, '10 s') AS w, count(*) FROM events GROUP BY 1 $$);
-- Without GROUP BY there is a row if there is no event, and none that HAVING drops.
SELECT weir.create_view('nothing', $$ SELECT count(*), sum(n) FROM events HAVING count(*) > 10000 $$);
SELECT * FROM overall;
SELECT * FROM per_kind;
SELECT * FROM nothing;

INSERT INTO events VALUES ('a', 1, 0.5, at(1), 0), ('b', 2, 1.5, at(2), 1), ('a', 3, 2.5, at(3), 2), (NULL, 4, 3.5, at(12), 3);
SELECT weir.flush('events');
SELECT * FROM per_kind ORDER BY 1;
SELECT * FROM overall;
SELECT * FROM per_day ORDER BY 1;
SELECT v, differ(v) FROM unnest('{per_kind,overall,per_day,nothing,windowed}'::text[]) v;

-- Nothing is late, and nothing is final; an event without event time counts, too,
-- and is a dead letter for views with windows only.
INSERT INTO events VALUES ('a', 5, 1, at(100000), 0), ('a', 6, 1, at(100000), 1), ('a', 7, 1, at(100000), 2), ('a', 8, 1, at(100000), 3);
INSERT INTO events VALUES ('b', 9, 1, at(0), 0), ('c', 10, 1, NULL, 1), ('c', 11, 1, 'infinity', 2);
SELECT weir.flush('events');
SELECT v, windows(v), differ(v) FROM unnest('{per_kind,overall,per_day}'::text[]) v;
SELECT view_name, events, late, dead_letters, windows_open, windows_final FROM weir.status WHERE stream = 'events'::regclass ORDER BY view_name::text;
SELECT view, reason, count(*) FROM weir.dead_letters WHERE stream = 'events'::regclass GROUP BY 1, 2;
SELECT attname, atttypid::regtype FROM pg_attribute WHERE attrelid = 'per_kind_final'::regclass AND attnum > 0;
SELECT count(*) FROM pg_inherits WHERE inhparent = 'per_kind_final'::regclass;

-- A watermark that is moved by hand closes nothing.
SELECT weir.advance_watermark('per_kind', at(200000));
SELECT weir.flush('per_kind');
SELECT windows('per_kind'), differ('per_kind');

-- A checkpoint writes what has changed: with 20,000 groups, one of which changes, a
-- small chunk.  And the log does not grow without end.
INSERT INTO events SELECT 'k' || g, g, 0, at(g % 100), g % 4 FROM generate_series(1, 20000) g;
SELECT weir.flush('events');
SELECT count(*) > 20000 FROM per_kind;
CREATE FUNCTION log_size(of regclass) RETURNS bigint LANGUAGE sql AS $$ SELECT sum(length(data)) FROM weir.state s JOIN weir.views v ON v.id = s.view WHERE v.view = of $$;
SELECT log_size('per_kind') AS before \gset
INSERT INTO events VALUES ('k7', 7, 0, at(1), 0);
SELECT weir.flush('events');
SELECT log_size('per_kind') - :before BETWEEN 1 AND 10000 AS a_small_chunk;
DO $$ BEGIN
    FOR i IN 1..40 LOOP
        INSERT INTO view_running.events SELECT 'k' || g, i, 0, view_running.at(i), g % 4 FROM generate_series(1, 5000) g;
        COMMIT;
        PERFORM weir.flush('view_running.events');
    END LOOP;
END $$;
-- 40 rounds of a quarter of the groups are ten times all of them.
SELECT log_size('per_kind') < 5 * :before AS bounded;
SELECT v, windows(v), differ(v) FROM unnest('{per_kind,overall,per_day}'::text[]) v;

-- Pause, resume and reset; while it is paused it is read from the log.
SELECT weir.pause('per_kind');
SELECT differ('per_kind');
INSERT INTO events VALUES ('paused', 1, 0, at(1), 0);
SELECT weir.flush('overall');
SELECT count(*) FROM per_kind WHERE kind = 'paused';
SELECT weir.resume('per_kind');
SELECT weir.flush('per_kind');
SELECT differ('per_kind');
SELECT weir.reset('overall', 'earliest');
SELECT weir.flush('overall');
SELECT differ('overall');
INSERT INTO events SELECT 'k' || g, g, 0, at(g % 100), g % 4 FROM generate_series(1, 3000) g;
SELECT weir.flush('events');
SELECT v, differ(v) FROM unnest('{per_kind,overall,per_day}'::text[]) v;

-- With on_error 'stop' a message without event time stops nothing as long as a view can use it.
CREATE FOREIGN TABLE strict (kind text, ts timestamptz, part int OPTIONS (metadata 'partition'))
    SERVER view_running OPTIONS (topic 'view_running_strict', event_time 'ts', on_error 'stop');
SELECT weir.create_view('strict_totals', $$ SELECT kind, count(*) FROM strict GROUP BY 1 $$);
INSERT INTO strict VALUES ('a', at(1), 0), ('a', NULL, 0), ('b', at(2), 1);
SELECT weir.flush('strict');
SELECT * FROM strict_totals ORDER BY 1;
SELECT differ('strict_totals');

-- What needs a window.
SELECT weir.create_view('x', $$ SELECT count(*) FROM events $$, lateness => '1 s');
SELECT weir.drop_view('per_day');
SELECT count(*) FROM pg_class WHERE relname ~ '^per_day' AND relnamespace = 'view_running'::regnamespace;

DROP SCHEMA view_running CASCADE;
DROP SERVER view_running;
