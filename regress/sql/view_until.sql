-- Views that end somewhere: they stop there, close all their windows, and are
-- finished.  Times need a broker that can look them up: regress/t/057_until.pl.
\set ECHO errors
\getenv srcdir PG_ABS_SRCDIR
\set lib :srcdir /lib/views.sql
\set test view_until
\i :lib
\set ECHO all
CREATE FOREIGN TABLE events (
    n int, ts timestamptz, part int OPTIONS (metadata 'partition'), off bigint OPTIONS (metadata 'offset')
) SERVER view_until OPTIONS (topic 'view_until', event_time 'ts', idle_timeout '1 day');
INSERT INTO events SELECT g, at(g), g % 4 FROM generate_series(0, 39) g;
\set q '$$SELECT weir.tumble(ts, ''10 s'') AS w, part, count(*) AS n, sum(n) AS total FROM events GROUP BY 1, 2$$'
CREATE FUNCTION state(view text) RETURNS text LANGUAGE sql
    RETURN (SELECT state FROM weir.status WHERE view_name = view::regclass);

-- The end as of now.  What comes later does not count.
SELECT weir.create_view('v', :q, until => 'latest');
SELECT weir.flush('v');
SELECT * FROM windows('v');
SELECT * FROM differ('v');
INSERT INTO events SELECT g, at(g), g % 4 FROM generate_series(40, 59) g;
SELECT weir.flush('events');
SELECT wait_for($$(state('v') = 'finished')$$);
SELECT state, events, late, closed_upto, windows_final, progress, messages_left, time_left, error FROM weir.status WHERE view_name = 'v'::regclass;
SELECT partition, start_offset, end_offset, "position" FROM weir.partitions WHERE view_name = 'v'::regclass ORDER BY 1;
SELECT weir.flush('v');
SELECT weir.flush('events');
SELECT sum(n) FROM v;

-- Offsets on both sides; one partition has nothing to be read.
SELECT weir.create_view('part', :q, start => '{"0": 2, "1": 5, "2": 0, "3": 0}', until => '{"0": 12, "1": 5, "2": 15, "3": 1}');
SELECT weir.flush('part');
SELECT wait_for($$(state('part') = 'finished')$$);
SELECT part, sum(n) FROM part_final GROUP BY 1 ORDER BY 1;
SELECT count(*) FROM ((TABLE part EXCEPT ALL
    SELECT weir.tumble(ts, '10 s') AS w, part, count(*) AS n, sum(n) AS total FROM events
    WHERE (part = 0 AND off >= 2 AND off < 12) OR part = 2 OR (part = 3 AND off < 1) GROUP BY 1, 2)
  UNION ALL (SELECT weir.tumble(ts, '10 s') AS w, part, count(*) AS n, sum(n) AS total FROM events
    WHERE (part = 0 AND off >= 2 AND off < 12) OR part = 2 OR (part = 3 AND off < 1) GROUP BY 1, 2
    EXCEPT ALL TABLE part)) d;

-- An end that is still to come: it runs until then, beside a view that goes on.
SELECT weir.create_view('on', :q);
SELECT weir.create_view('later', :q, until => '{"0": 20, "1": 20, "2": 20, "3": 20}');
SELECT weir.flush('events');
SELECT state('later') <> 'finished' AS runs, messages_left, progress FROM weir.status WHERE view_name = 'later'::regclass;
SELECT open > 0 AS open FROM windows('later');
INSERT INTO events SELECT g, at(g), g % 4 FROM generate_series(60, 139) g;
SELECT weir.flush('events');
SELECT wait_for($$(state('later') = 'finished')$$);
SELECT count(*), sum(n), max(total) FROM later_final;
SELECT * FROM windows('later');
SELECT sum(n) FROM "on";
SELECT state('on') IN ('running', 'idle', 'catching up') AS on;

-- Late events are late here, too; the end closes what is left.
INSERT INTO events SELECT -1, at(0), p FROM generate_series(0, 3) p;
SELECT weir.create_view('late', :q, until => 'latest', keep_late => true);
SELECT weir.flush('late');
SELECT wait_for($$(state('late') = 'finished')$$);
SELECT late, (SELECT count(*) FROM weir.late_events WHERE view = 'late'::regclass) AS kept FROM weir.status WHERE view_name = 'late'::regclass;

-- Nothing to be read at all; running totals, which stay open.
SELECT weir.create_view('nothing', :q, start => 'latest', until => 'latest');
SELECT weir.flush('nothing');
SELECT wait_for($$(state('nothing') = 'finished')$$);
SELECT * FROM windows('nothing');
SELECT weir.create_view('totals', $$SELECT part, count(*) AS n FROM events GROUP BY 1$$, until => '{"0": 10, "1": 10, "2": 10, "3": 10}');
SELECT weir.flush('totals');
SELECT wait_for($$(state('totals') = 'finished')$$);
SELECT * FROM totals ORDER BY 1;

-- Rows without aggregates: a bounded archive.
SELECT weir.create_view('archive', $$SELECT part, off, n FROM events$$, until => '{"0": 10, "1": 10, "2": 10, "3": 10}');
SELECT weir.flush('archive');
SELECT wait_for($$(state('archive') = 'finished')$$);
SELECT part, count(*), max(off) FROM archive GROUP BY 1 ORDER BY 1;

-- reset: the end is looked up again.  pause and resume change nothing.
SELECT weir.reset('v', 'earliest');
SELECT weir.flush('v');
SELECT wait_for($$(state('v') = 'finished')$$);
SELECT sum(n), (SELECT count(*) FROM events) AS all FROM v;
SELECT weir.pause('v');
SELECT state('v');
SELECT weir.resume('v');
SELECT wait_for($$(state('v') = 'finished')$$);
SELECT sum(n) FROM v;

-- reset with an end: a view that went on is computed between two places, and is
-- finished; without one it goes on again.
SELECT weir.reset('on', '{"0": 5, "1": 0, "2": 3, "3": 0}', until => '{"0": 15, "1": 10, "2": 3, "3": 12}');
SELECT weir.flush('on');
SELECT wait_for($$(state('on') = 'finished')$$);
SELECT * FROM windows('on') WHERE open > 0;
SELECT count(*) FROM ((TABLE "on" EXCEPT ALL
    SELECT weir.tumble(ts, '10 s') AS w, part, count(*) AS n, sum(n) AS total FROM events
    WHERE (part = 0 AND off >= 5 AND off < 15) OR (part = 1 AND off < 10) OR (part = 3 AND off < 12) GROUP BY 1, 2)
  UNION ALL (SELECT weir.tumble(ts, '10 s') AS w, part, count(*) AS n, sum(n) AS total FROM events
    WHERE (part = 0 AND off >= 5 AND off < 15) OR (part = 1 AND off < 10) OR (part = 3 AND off < 12) GROUP BY 1, 2
    EXCEPT ALL TABLE "on")) d;
SELECT start, until FROM weir.views WHERE view = '"on"'::regclass;
SELECT weir.reset('on', 'earliest');
SELECT weir.flush('on');
SELECT wait_for($$(state('on') = 'finished')$$);
SELECT until IS NOT NULL AS kept, (SELECT sum(n) FROM "on") FROM weir.views WHERE view = '"on"'::regclass;
SELECT weir.reset('on', 'earliest', until => 'none');
SELECT weir.flush('on');
SELECT state('on') <> 'finished' AS goes_on, (SELECT sum(n) + (SELECT late FROM weir.status WHERE view_name = '"on"'::regclass) = (SELECT count(*) FROM events) FROM "on") AS all;
SELECT weir.reset('archive', 'earliest', until => '{"0": 4, "1": 4, "2": 4, "3": 4}');
SELECT weir.flush('archive');
SELECT wait_for($$(state('archive') = 'finished')$$);
SELECT part, count(*), max(off) FROM archive GROUP BY 1 ORDER BY 1;

-- Refused; what is refused changes nothing.
SELECT weir.reset('on', 'earliest', until => 'earliest');
SELECT weir.reset('on', 'earliest', until => '{"0": 1}');
SELECT weir.reset('on', 'earliest', until => 'some day');
SELECT weir.reset('on', NULL);
SELECT weir.reset(NULL, 'earliest');
SELECT until FROM weir.views WHERE view = '"on"'::regclass;
SELECT weir.create_view('x', :q, until => 'earliest');
SELECT weir.create_view('x', :q, until => 'tomorrow');
SELECT weir.create_view('x', :q, until => '{"0": 1}');
SELECT weir.create_view('x', :q, until => 'some day');
DROP SCHEMA view_until CASCADE;
DROP SERVER view_until CASCADE;
