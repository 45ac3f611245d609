-- Retention: partitions of v_final go when all their windows are older than the
-- view keeps them; what is late for them stays late.  weir.alter_view.
\set ECHO errors
\getenv srcdir PG_ABS_SRCDIR
\set lib :srcdir /lib/views.sql
\set test view_retention
\i :lib
\set ECHO all
CREATE FOREIGN TABLE events (
    n int, ts timestamptz, part int OPTIONS (metadata 'partition')
) SERVER view_retention OPTIONS (topic 'single_retention', event_time 'ts', idle_timeout '1 day');
\set q '$$SELECT weir.tumble(ts, ''10 min'') AS w, count(*) AS n, sum(n) AS total FROM events GROUP BY 1$$'
SELECT weir.create_view('v', :q, retention => '8 hours');
SELECT weir.create_view('kept', :q);
SELECT retention FROM weir.views WHERE view = 'v'::regclass;
-- Partitions, by the catalog: who reads v_final holds up the dropping.
CREATE FUNCTION partitions(view text) RETURNS bigint LANGUAGE sql
    RETURN (SELECT count(*) FROM pg_inherits WHERE inhparent = (view || '_final')::regclass);

-- An event every 5 minutes for a day: the watermark ends at 23:55, 8 hours before
-- is 15:55, and a partition is an hour.
INSERT INTO events SELECT g, at(g * 300) FROM generate_series(0, 287) g;
SELECT weir.flush('events');
SELECT wait_for($$(partitions('v') = 9)$$, '20 s');
SELECT min(w), max(w) FROM v_final;
SELECT count(*) FROM (SELECT * FROM v EXCEPT ALL SELECT * FROM kept) d;
SELECT count(*) FROM (SELECT * FROM kept WHERE w >= '2024-01-01 15:00+00' EXCEPT ALL SELECT * FROM v) d;
SELECT windows_final FROM weir.status WHERE view_name::text IN ('v', 'kept');

-- What comes for a window that was dropped is late, and brings nothing back.
INSERT INTO events SELECT 1000, at(g * 3600) FROM generate_series(0, 5) g;
SELECT weir.flush('events');
SELECT view_name, events, late FROM weir.status WHERE view_name::text IN ('v', 'kept') ORDER BY 1;
SELECT min(w), max(w) FROM v_final;

-- Longer from now on: nothing comes back.  Shorter: at once.
SELECT weir.alter_view('v', retention => '1 day');
SELECT retention FROM weir.views WHERE view = 'v'::regclass;
SELECT weir.alter_view('v', retention => '3 hours');
SELECT wait_for($$(partitions('v') = 4)$$, '20 s');
SELECT min(w), max(w) FROM v_final;

-- A partition that somebody needs is not dropped, and harms nothing; nor is one
-- that is being read.
SELECT format('CREATE VIEW needs AS SELECT * FROM %s', min(inhrelid::regclass::text)) FROM pg_inherits WHERE inhparent = 'v_final'::regclass \gexec
INSERT INTO events SELECT g, at(86400 + g * 300) FROM generate_series(0, 60) g;
SELECT weir.flush('events');
SELECT state FROM weir.status WHERE view_name = 'v'::regclass;
SELECT min(w), max(w) FROM v_final;
DROP VIEW needs;
SELECT wait_for($$(partitions('v') <= 4)$$, '60 s');
BEGIN;
SELECT min(w), max(w) FROM v_final;
INSERT INTO events SELECT g, at(2 * 86400 + g * 300) FROM generate_series(0, 60) g;
SELECT wait_for($$(SELECT events = 416 FROM weir.status WHERE view_name = 'v'::regclass)$$, '20 s');
SELECT min(w), max(w) FROM v_final;
COMMIT;
SELECT weir.flush('v');
SELECT wait_for($$(partitions('v') <= 4)$$, '60 s');
SELECT min(w), max(w) FROM v_final;

-- A partition that was detached just before it would have been dropped stays.
CREATE SEQUENCE tries;
CREATE FUNCTION detach_first() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT backend_type FROM pg_stat_activity WHERE pid = pg_backend_pid()) LIKE 'weir coordinator%'
        AND current_setting('view_retention.detaching', true) IS DISTINCT FROM 'yes' THEN
        PERFORM nextval('view_retention.tries'), set_config('view_retention.detaching', 'yes', true);
        EXECUTE (SELECT format('ALTER TABLE view_retention.v_final DETACH PARTITION %s', min(inhrelid::regclass::text))
                 FROM pg_inherits WHERE inhparent = 'view_retention.v_final'::regclass);
        PERFORM set_config('view_retention.detaching', 'no', true);
    END IF;
END $$;
SELECT partitions('v') AS before \gset
CREATE EVENT TRIGGER detach_first ON ddl_command_start WHEN tag IN ('DROP TABLE', 'ALTER TABLE') EXECUTE FUNCTION detach_first();
SELECT weir.alter_view('v', retention => '1 hour');
SELECT wait_for($$(SELECT last_value >= 2 FROM tries)$$);
SELECT partitions('v') = :before AS all_there;
DROP EVENT TRIGGER detach_first;
SELECT wait_for(format('partitions(''v'') < %s', :before));

-- Without one again.
SELECT weir.alter_view('v', retention => 'none');
SELECT retention FROM weir.views WHERE view = 'v'::regclass;

-- Other options.
SELECT weir.alter_view('v', memory_limit => '64 MB', on_memory_limit => 'error', keep_late => true);
SELECT memory_limit, on_memory_limit, keep_late, retention FROM weir.views WHERE view = 'v'::regclass;
SELECT weir.alter_view('v', memory_limit => 'none');
SELECT memory_limit, on_memory_limit, keep_late, retention FROM weir.views WHERE view = 'v'::regclass;
SELECT weir.alter_view('v', on_memory_limit => 'wait');
SELECT memory_limit, on_memory_limit, keep_late, retention FROM weir.views WHERE view = 'v'::regclass;
INSERT INTO events VALUES (-1, at(7));
SELECT weir.flush('v');
SELECT window_start, "row" FROM weir.late_events WHERE view = 'v'::regclass;
BEGIN;
SELECT weir.alter_view('v', retention => '1 hour');
ROLLBACK;
SELECT retention FROM weir.views WHERE view = 'v'::regclass;

-- The channel that closings are notified on (what is notified: regress/t/058_alerts.pl).
SELECT weir.alter_view('v', notify => 'closed');
SELECT notify, retention FROM weir.views WHERE view = 'v'::regclass;
SELECT weir.alter_view('v', on_memory_limit => 'wait');
SELECT notify FROM weir.views WHERE view = 'v'::regclass;
SELECT weir.alter_view('v', notify => 'none');
SELECT notify FROM weir.views WHERE view = 'v'::regclass;
SELECT weir.alter_view('v', notify => '');
SELECT weir.alter_view('v', notify => repeat('x', 64));
SELECT weir.create_view('x', $$SELECT count(*) FROM events$$, notify => 'closed');
SELECT weir.create_view('x', $$SELECT n FROM events$$, notify => 'closed');
SELECT weir.create_view('totals', $$SELECT count(*) FROM events$$);
SELECT weir.alter_view('totals', notify => 'closed');
SELECT weir.alter_view('totals', retention => '1 day');

-- Refused.
SELECT weir.create_view('x', $$SELECT count(*) FROM events$$, retention => '1 day');
SELECT weir.create_view('x', :q, retention => '1 month');
SELECT weir.create_view('x', :q, retention => '0');
SELECT weir.create_view('x', :q, retention => '-1 day');
SELECT weir.alter_view('v', retention => '200 years');
SELECT weir.alter_view('v', retention => '40000 days');
SELECT weir.alter_view('v', retention => 'for ever');
SELECT weir.alter_view('v', memory_limit => '1 kB');
SELECT weir.alter_view('v', on_memory_limit => 'panic');
SELECT weir.alter_view('v', query => 'SELECT 1');
SELECT weir.alter_view('v', lateness => '1 hour');
SELECT weir.alter_view('v', start => 'earliest');
SELECT weir.alter_view(NULL);
SELECT weir.alter_view('events', retention => '1 day');
CREATE ROLE view_retention_other;
GRANT USAGE ON SCHEMA view_retention TO view_retention_other;
SET ROLE view_retention_other;
SELECT weir.alter_view('v', retention => '1 day');
RESET ROLE;
DROP SCHEMA view_retention CASCADE;
DROP SERVER view_retention;
DROP OWNED BY view_retention_other;
DROP ROLE view_retention_other;
