-- Alerts on windows that are open: fired while they fill, resolved by final rows,
-- once a key and window; running totals, whose rows are all there is.
\set ECHO errors
\getenv srcdir PG_ABS_SRCDIR
\set lib :srcdir /lib/views.sql
\set test alerts_open
\i :lib
\set ECHO all
CREATE FOREIGN TABLE events (
    k text, n int, ts timestamptz
) SERVER alerts_open OPTIONS (topic 'single_open_alerts', event_time 'ts', idle_timeout '1 day');
\set q '$$SELECT weir.tumble(ts, ''10 s'') AS w, k, sum(n) AS total FROM events GROUP BY 1, 2$$'
SELECT weir.create_view('v', :q);
SELECT weir.create_alert('soon', 'v', 'total > 100', windows => 'open');
SELECT weir.create_alert('calm', 'v', 'total > 100', clear_condition => 'total < 50', windows => 'open');
SELECT weir.create_alert('then', 'v', 'total > 100');
SELECT name, condition, clear_condition, windows FROM weir.alert_rules WHERE view = 'v'::regclass ORDER BY 1;
CREATE VIEW said AS SELECT name, state, "row" ->> 'w' AS fired_w, "row" -> 'total' AS fired, resolved_row ->> 'w' AS resolved_w, resolved_row -> 'total' AS resolved
    FROM weir.alerts ORDER BY name, since;

-- It fires while the window is open, and once.
INSERT INTO events VALUES ('A', 60, at(1));
SELECT weir.flush('v');
SELECT * FROM said;
INSERT INTO events VALUES ('A', 60, at(2));
SELECT weir.flush('v');
SELECT * FROM said;
INSERT INTO events VALUES ('A', 1, at(3));
SELECT weir.flush('v');
SELECT * FROM said;

-- The next window fires nothing new; what was true of an open row resolves nothing
-- when it is no longer, a final row does, or with a clear_condition by that.
INSERT INTO events VALUES ('A', 200, at(11));
SELECT weir.flush('v');
SELECT * FROM said;
INSERT INTO events VALUES ('A', -150, at(12));
SELECT weir.flush('v');
SELECT * FROM said WHERE name <> 'then';
INSERT INTO events VALUES ('X', 1, at(20));
SELECT weir.flush('v');
SELECT * FROM said;
INSERT INTO events VALUES ('A', 10, at(21)), ('X', 1, at(30));
SELECT weir.flush('v');
SELECT * FROM said;

-- Another time; and after a pause it has fired, still.
INSERT INTO events VALUES ('A', 300, at(31));
SELECT weir.flush('v');
SELECT * FROM said WHERE state = 'firing';
SELECT weir.pause('v');
SELECT weir.resume('v');
INSERT INTO events VALUES ('A', 300, at(32));
SELECT weir.flush('v');
SELECT * FROM said WHERE state = 'firing';

-- Two windows are open: the earlier one does not resolve what the later one fired.
SELECT weir.create_view('l', :q, start => 'latest', lateness => '10 s');
SELECT weir.create_alert('two', 'l', 'total > 100', windows => 'open');
SELECT wait_for($$(SELECT position IS NOT NULL FROM weir.partitions WHERE view_name = 'l'::regclass)$$);
INSERT INTO events VALUES ('A', 5, at(101));
INSERT INTO events VALUES ('A', 300, at(111));
SELECT weir.flush('l');
SELECT * FROM said WHERE name = 'two';
INSERT INTO events VALUES ('X', 1, at(120));
SELECT weir.flush('l');
SELECT k, total FROM l_final ORDER BY w;
SELECT * FROM said WHERE name = 'two';
INSERT INTO events VALUES ('A', 1, at(121)), ('X', 1, at(130));
SELECT weir.flush('l');
SELECT * FROM said WHERE name = 'two';
INSERT INTO events VALUES ('X', 1, at(140));
SELECT weir.flush('l');
SELECT * FROM said WHERE name = 'two';
SELECT weir.drop_view('l');

-- Windows that overlap, and sessions.
BEGIN;
SELECT weir.create_view('h', $$SELECT k, sum(n) AS total FROM events GROUP BY weir.hop(ts, '20 s', '10 s'), 1$$, start => 'latest');
SELECT weir.create_view('s', $$SELECT weir.session(ts, '10 s') AS w, k, sum(n) AS total FROM events GROUP BY 1, 2$$, start => 'latest');
SELECT weir.create_alert('hops', 'h', 'total > 100', windows => 'open');
SELECT weir.create_alert('sessions', 's', 'total > 100', windows => 'open');
COMMIT;
SELECT wait_for($$(SELECT count(*) = 2 FROM weir.partitions WHERE view_name IN ('h'::regclass, 's'::regclass) AND position IS NOT NULL)$$);
INSERT INTO events VALUES ('A', 90, at(201));
SELECT weir.flush('events');
SELECT * FROM said WHERE name IN ('hops', 'sessions');
INSERT INTO events VALUES ('A', 90, at(211));
SELECT weir.flush('events');
SELECT name, state, fired FROM said WHERE name IN ('hops', 'sessions');
INSERT INTO events VALUES ('A', 120, at(212));
SELECT weir.flush('events');
SELECT name, state, fired FROM said WHERE name IN ('hops', 'sessions');
INSERT INTO events VALUES ('A', 1, at(251)), ('X', 1, at(300));
SELECT weir.flush('events');
SELECT name, state, fired, resolved FROM said WHERE name IN ('hops', 'sessions');

-- Running totals: the row fires, and resolves.
SELECT weir.create_view('t', $$SELECT k, sum(n) AS total FROM events GROUP BY 1$$, start => 'latest');
SELECT weir.create_alert('below', 't', 'total < 0', windows => 'open');
SELECT wait_for($$(SELECT position IS NOT NULL FROM weir.partitions WHERE view_name = 't'::regclass)$$);
INSERT INTO events VALUES ('A', -5, at(301));
SELECT weir.flush('t');
SELECT * FROM said WHERE name = 'below';
INSERT INTO events VALUES ('A', 6, at(302));
SELECT weir.flush('t');
SELECT * FROM said WHERE name = 'below';
INSERT INTO events VALUES ('A', -7, at(303));
SELECT weir.flush('t');
SELECT * FROM said WHERE name = 'below';

-- One that dies resolves it as well, with its key; one that lives does not.
SELECT weir.create_view('d', $$SELECT k, sum(n) AS total FROM events GROUP BY 1$$, start => 'latest', ttl => '10 s');
SELECT weir.create_alert('dies', 'd', 'total > 100', clear_condition => 'total < 0', windows => 'open');
SELECT wait_for($$(SELECT position IS NOT NULL FROM weir.partitions WHERE view_name = 'd'::regclass)$$);
INSERT INTO events VALUES ('A', 200, at(311));
SELECT weir.flush('d');
INSERT INTO events VALUES ('A', -150, at(320));
SELECT weir.flush('d');
INSERT INTO events VALUES ('X', 1, at(325));
SELECT weir.flush('d');
SELECT name, state, fired FROM said WHERE name = 'dies';
INSERT INTO events VALUES ('X', 1, at(331));
SELECT weir.flush('d');
SELECT state, "row", resolved_row FROM weir.alerts WHERE name = 'dies';
INSERT INTO events VALUES ('A', 300, at(332));
SELECT weir.flush('d');
SELECT name, state, fired FROM said WHERE name = 'dies';

-- A row that cannot be made stops the alert, and not the view.
SELECT weir.create_view('r', $$SELECT weir.tumble(ts, '10 s') AS w, 100 / sum(n) AS ratio FROM events GROUP BY 1$$, start => 'latest');
SELECT weir.create_alert('ratio', 'r', 'ratio > 10', windows => 'open');
SELECT wait_for($$(SELECT position IS NOT NULL FROM weir.partitions WHERE view_name = 'r'::regclass)$$);
INSERT INTO events VALUES ('A', 0, at(401));
SELECT weir.flush('r');
SELECT state, reason FROM weir.alert_rules WHERE name = 'ratio';
INSERT INTO events VALUES ('A', 5, at(402));
SELECT weir.flush('r');
SELECT ratio FROM r;

-- Refused.
SELECT weir.create_alert('x', 'v', 'true', windows => 'some');
SELECT weir.create_alert('x', 'v', 'true', windows => NULL);
SELECT weir.create_alert('x', 'v', 'true', windows => 'open', for_windows => 2);
SELECT weir.create_alert('x', 't', 'true');
SELECT weir.create_view('a', 'SELECT k, n FROM events');
SELECT weir.create_alert('x', 'a', 'true', windows => 'open');
DROP SCHEMA alerts_open CASCADE;
DROP SERVER alerts_open;
