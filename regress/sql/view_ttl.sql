-- Running totals with a time to live: after a silence a key's total begins anew,
-- and what is silent vanishes.  Late by the rule of sessions.
\set ECHO errors
\getenv srcdir PG_ABS_SRCDIR
\set lib :srcdir /lib/views.sql
\set test view_ttl
\i :lib
\set ECHO all
CREATE FOREIGN TABLE events (
    k text, n int, ts timestamptz
) SERVER view_ttl OPTIONS (topic 'single_ttl', event_time 'ts', idle_timeout '1 day');
\set q '$$SELECT k, count(*) AS events, sum(n) AS total, min(ts) AS since FROM events GROUP BY 1$$'
SELECT weir.create_view('t', :q, ttl => '10 s');
SELECT ttl, lateness FROM weir.views WHERE view = 't'::regclass;
INSERT INTO events VALUES ('A', 1, at(0)), ('B', 10, at(3)), ('A', 2, at(5));
SELECT weir.flush('t');
SELECT * FROM t ORDER BY k;
INSERT INTO events VALUES ('A', 4, at(12));
SELECT weir.flush('t');
SELECT * FROM t ORDER BY k;

-- B has been silent for 10 s.  A begins anew exactly at the end, and B another time.
INSERT INTO events VALUES ('A', 8, at(14));
SELECT weir.flush('t');
SELECT * FROM t ORDER BY k;
INSERT INTO events VALUES ('A', 16, at(24)), ('B', 20, at(24.5));
SELECT weir.flush('t');
SELECT * FROM t ORDER BY k;

-- Late: before the watermark.  With lateness it counts, for the total that it was
-- in; of two totals of a key the newest one shows.
INSERT INTO events VALUES ('A', 32, at(6));
SELECT weir.flush('t');
SELECT * FROM t ORDER BY k;
SELECT events, late, windows_open, windows_final FROM weir.status WHERE view_name = 't'::regclass;
SELECT weir.create_view('p', :q, ttl => '10 s', lateness => '20 s', keep_late => true);
SELECT weir.flush('p');
SELECT * FROM p ORDER BY k;
SELECT late FROM weir.status WHERE view_name = 'p'::regclass;
INSERT INTO events VALUES ('A', 64, at(16)), ('C', 1, at(1));
SELECT weir.flush('p');
SELECT * FROM p ORDER BY k;
SELECT event_time, window_start, window_end FROM weir.late_events WHERE view = 'p'::regclass;

-- What the batch says: each key's last stretch without a silence of 10 s, if its
-- end is after the watermark, less lateness.
CREATE VIEW batch AS
    SELECT DISTINCT ON (k) k, count(*) AS events, sum(n) AS total, min(ts) AS since
    FROM (SELECT *, count(*) FILTER (WHERE begins) OVER (PARTITION BY k ORDER BY ts) AS stretch
          FROM (SELECT *, ts - lag(ts) OVER (PARTITION BY k ORDER BY ts) >= interval '10 s' AS begins
                FROM events WHERE k <> 'C') e) s
    GROUP BY k, stretch HAVING max(ts) + interval '30 s' > (SELECT max(ts) FROM events) ORDER BY k, stretch DESC;
SELECT count(*) FROM ((TABLE p EXCEPT ALL TABLE batch) UNION ALL (TABLE batch EXCEPT ALL TABLE p)) d;
INSERT INTO events SELECT chr(65 + g * 7 % 12), g, at(30 + g * 0.6 - 4 * (g % 3)) FROM generate_series(0, 199) g WHERE g * 7 % 12 <> 2;
SELECT weir.flush('p');
SELECT count(*), sum(events) FROM p;
SELECT count(*) FROM ((TABLE p EXCEPT ALL TABLE batch) UNION ALL (TABLE batch EXCEPT ALL TABLE p)) d;

-- While it does not run; and after a restart of the lane.
SELECT weir.pause('p');
SELECT count(*) FROM ((TABLE p EXCEPT ALL TABLE batch) UNION ALL (TABLE batch EXCEPT ALL TABLE p)) d;
SELECT weir.resume('p');
SELECT weir.flush('p');
SELECT count(*) FROM ((TABLE p EXCEPT ALL TABLE batch) UNION ALL (TABLE batch EXCEPT ALL TABLE p)) d;
SELECT count(*) FROM p_final;

-- Closing by hand ends totals; an end does not.
SELECT weir.advance_watermark('p', at(1000));
SELECT weir.flush('p');
SELECT count(*) FROM p;
SELECT weir.create_view('u', :q, ttl => '10 s', lateness => '20 s', until => 'latest');
SELECT weir.flush('u');
SELECT wait_for($$(SELECT state = 'finished' FROM weir.status WHERE view_name = 'u'::regclass)$$);
SELECT count(*) > 0 AS some, sum(events) FROM u;

-- An alert fires and is resolved by the total as it is.
SELECT weir.create_alert('many', 't', 'events >= 3', windows => 'open');
INSERT INTO events VALUES ('Z', 1, at(300)), ('Z', 1, at(301)), ('Z', 1, at(302));
SELECT weir.flush('t');
SELECT key, state, "row" -> 'events' AS events FROM weir.alerts WHERE name = 'many' AND key ->> 'k' = 'Z';
INSERT INTO events VALUES ('Z', 1, at(320));
SELECT weir.flush('t');
SELECT key, state, resolved_row -> 'events' AS events FROM weir.alerts WHERE name = 'many' AND key ->> 'k' = 'Z';

-- Very many keys that live shortly need no more room than those that live: all of
-- them would take several times what the view may have.  The broker keeps 5 MiB, so
-- they are sent in pieces.
SELECT weir.create_view('dying', $$SELECT k, count(*) AS events FROM events GROUP BY 1$$, start => 'latest', ttl => '10 s', memory_limit => '8 MB', on_memory_limit => 'error');
SELECT wait_for($$(SELECT position IS NOT NULL FROM weir.partitions WHERE view_name = 'dying'::regclass)$$);
\set ECHO errors
SELECT format($$INSERT INTO events SELECT 'key %s ' || g, 1, at(1000 + %s * 10) FROM generate_series(1, 5000) g$$, g, g), $$SELECT weir.flush('dying') IS NULL AS flushed$$
    FROM generate_series(0, 19) g \gexec
\set ECHO all
SELECT state IN ('running', 'idle', 'catching up') AS runs, events FROM weir.status WHERE view_name = 'dying'::regclass;
SELECT count(*), min(events), max(events) FROM dying;

-- Refused.
SELECT weir.create_view('x', $$SELECT weir.tumble(ts, '10 s') AS w, count(*) FROM events GROUP BY 1$$, ttl => '10 s');
SELECT weir.create_view('x', 'SELECT k, n FROM events', ttl => '10 s');
SELECT weir.create_view('x', 'SELECT count(*) FROM events', ttl => '10 s');
SELECT weir.create_view('x', :q, ttl => '0');
SELECT weir.create_view('x', :q, ttl => '1 month');
SELECT weir.create_view('x', :q, ttl => '1000 years');
SELECT weir.create_view('x', :q, ttl => '10 s', retention => '1 day');
SELECT weir.create_view('x', :q, ttl => '10 s', notify => 'closed');
SELECT weir.create_view('x', 'SELECT k, sum(total) FROM t GROUP BY 1');
SELECT weir.alter_view('t', ttl => '20 s');
SELECT weir.create_sink('t', 'view_ttl_out');
SELECT weir.create_alert('x', 't', 'true');
DROP SCHEMA view_ttl CASCADE;
DROP SERVER view_ttl;
