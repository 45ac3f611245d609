-- weir.advance_watermark: windows are closed by hand.
\set ECHO errors
\getenv srcdir PG_ABS_SRCDIR
\set lib :srcdir /lib/views.sql
\set test view_advance
\i :lib
\set ECHO all
CREATE FOREIGN TABLE events (
    kind text, ts timestamptz, part int OPTIONS (metadata 'partition')
) SERVER view_advance OPTIONS (topic 'view_advance', event_time 'ts', idle_timeout '1 day', max_ahead '1 hour');
\set q '$$ SELECT weir.tumble(ts, ''10 s'') AS w, count(*) FROM events GROUP BY 1 $$'
BEGIN;
SELECT weir.create_view('v', :q, keep_late => true);
SELECT weir.create_view('patient', :q, lateness => '10 s');
COMMIT;
INSERT INTO events SELECT 'a', at(g), 0 FROM generate_series(0, 45) g;
SELECT weir.flush('events');
-- Three partitions have no event and are not idle for a day.
SELECT * FROM windows('v');

-- What is no time to close up to.
SELECT weir.advance_watermark('v', NULL);
SELECT weir.advance_watermark(NULL, at(10));
SELECT weir.advance_watermark('v', 'infinity');
SELECT weir.advance_watermark('v', '-infinity');
SELECT weir.advance_watermark('v', now() + interval '2 hours');
SELECT weir.advance_watermark('weir.status', at(10));
SELECT weir.advance_watermark('v_final', at(10));

-- A transaction that rolls back has done nothing.
BEGIN;
SELECT weir.advance_watermark('v', at(30));
ROLLBACK;
SELECT weir.checkpoint('events');
SELECT * FROM windows('v');
-- After the commit a checkpoint closes up to there; of the one view alone.
BEGIN;
SELECT weir.advance_watermark('v', at(19.999));
SELECT * FROM windows('v');
COMMIT;
SELECT weir.checkpoint('v');
SELECT * FROM windows('v');
SELECT weir.advance_watermark(upto => at(20), target => 'v');
SELECT weir.checkpoint('events');
SELECT * FROM windows('v');
SELECT * FROM windows('patient');
SELECT closed_upto FROM weir.status WHERE view_name = 'v'::regclass;
-- It never goes back.
SET client_min_messages = notice;
SELECT weir.advance_watermark('v', at(20));
SELECT weir.advance_watermark('v', at(3));
SET client_min_messages = warning;
SELECT weir.flush('v');
SELECT closed_upto FROM weir.status WHERE view_name = 'v'::regclass;
-- What comes and is older is late, once; it is in time for the other view.
INSERT INTO events VALUES ('late', at(19), 1), ('in time', at(20), 1), ('late', at(3), 2);
SELECT weir.flush('events');
SELECT view_name, late FROM weir.status WHERE stream = 'events'::regclass ORDER BY view_name::text;
SELECT partition, event_time, window_end, late_by FROM weir.late_events WHERE view = 'v'::regclass ORDER BY 1;
SELECT * FROM v ORDER BY w;
SELECT * FROM patient WHERE w < at(20) ORDER BY w;
-- Windows that hold nothing close, too.
SELECT weir.advance_watermark('v', at(100));
SELECT weir.flush('v');
INSERT INTO events VALUES ('late', at(70), 3);
SELECT weir.flush('events');
SELECT late FROM weir.status WHERE view_name = 'v'::regclass;

-- The views that run with the stream.
SELECT weir.create_view('paused', :q);
SELECT weir.flush('paused');
SELECT wait_for($$(SELECT count(DISTINCT lane) = 1 AND count(*) = 3 FROM weir.status WHERE stream = 'events'::regclass AND lane IS NOT NULL)$$);
SELECT weir.pause('paused');
SELECT wait_for($$(SELECT lane IS NULL FROM weir.status WHERE view_name = 'paused'::regclass)$$);
SELECT weir.advance_watermark('events', at(40));
SELECT weir.checkpoint('v');
SELECT weir.checkpoint('patient');
SELECT view_name, closed_upto FROM weir.status WHERE stream = 'events'::regclass ORDER BY view_name::text;
SELECT * FROM windows('patient');
-- One that comes later is not concerned.
SELECT weir.create_view('later', :q);
SELECT weir.flush('later');
SELECT * FROM windows('later');
-- A view that does not run takes it, and over from its first record.
SELECT weir.advance_watermark('paused', at(30));
SELECT * FROM windows('paused');
INSERT INTO events VALUES ('late', at(29), 1), ('in time', at(30), 1);
SELECT weir.resume('paused');
SELECT weir.flush('paused');
SELECT late, closed_upto FROM weir.status WHERE view_name = 'paused'::regclass;
SELECT * FROM paused_final ORDER BY w;
-- reset forgets it.
SELECT weir.reset('paused', 'earliest');
SELECT weir.flush('paused');
SELECT late, closed_upto FROM weir.status WHERE view_name = 'paused'::regclass;
SELECT * FROM windows('paused');
-- Nothing runs.
SELECT weir.pause(view) FROM weir.views WHERE stream = 'events'::regclass ORDER BY view::text;
SELECT wait_for($$(SELECT count(lane) = 0 FROM weir.status WHERE stream = 'events'::regclass)$$);
SELECT weir.advance_watermark('events', at(200));
-- What was wanted while it was paused is there after a reset, too, if asked for then.
BEGIN;
SELECT weir.reset('later', 'earliest');
SELECT weir.advance_watermark('later', at(20));
SELECT weir.resume('later');
COMMIT;
SELECT weir.flush('later');
SELECT late, closed_upto FROM weir.status WHERE view_name = 'later'::regclass;
SELECT * FROM later ORDER BY w;

-- Who may.
CREATE ROLE regress_weir_advance;
GRANT USAGE ON SCHEMA view_advance TO regress_weir_advance;
GRANT SELECT ON v, events TO regress_weir_advance;
SET ROLE regress_weir_advance;
SELECT weir.advance_watermark('view_advance.v', view_advance.at(200));
SELECT weir.advance_watermark('view_advance.events', view_advance.at(200));
RESET ROLE;
REVOKE ALL ON v, events FROM regress_weir_advance;
REVOKE ALL ON SCHEMA view_advance FROM regress_weir_advance;
DROP ROLE regress_weir_advance;
SET default_transaction_read_only = on;
SELECT weir.advance_watermark('v', at(200));
RESET default_transaction_read_only;

DROP SCHEMA view_advance CASCADE;
DROP SERVER view_advance;
