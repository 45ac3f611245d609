-- Views over views: what cannot be one, each with a reason and what to write instead;
-- whom it is refused; where it starts and what it takes from the view below.
\set ECHO errors
\getenv srcdir PG_ABS_SRCDIR
\set lib :srcdir /lib/views.sql
\set test view_cascade_refusals
\i :lib
CREATE FUNCTION make(query text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM weir.create_view('v', query); END $$;
\set ECHO all
CREATE FOREIGN TABLE events (country text, user_id int, amount float8, ts timestamptz, part int OPTIONS (metadata 'partition'))
    SERVER view_cascade_refusals OPTIONS (topic 'view_cascade_refusals', event_time 'ts', idle_timeout '1 day');
SELECT weir.create_view('s', $$ SELECT weir.tumble(ts, '10 s') AS w, country, count(*) AS events, count(DISTINCT user_id) AS users, sum(amount) AS amount, avg(amount) AS mean, sum(DISTINCT user_id) AS ids,
    round(avg(amount)) AS rounded, count(*) || country AS label, max(amount) AS most, CASE WHEN count(*) FILTER (WHERE amount > 1) > 0 THEN count(*) END AS few FROM events GROUP BY 1, 2 $$);
-- Rows of the view below are not in the events.
SELECT make('SELECT w, count(*) FROM s GROUP BY 1');
SELECT make('SELECT w, count(country) FROM s GROUP BY 1');
SELECT make('SELECT w, sum(length(country)) FROM s GROUP BY 1');
SELECT make('SELECT w, max(events) FROM s GROUP BY 1');
SELECT make('SELECT w, min(most) FROM s GROUP BY 1');
SELECT make('SELECT w, avg(events) FROM s GROUP BY 1');
SELECT make('SELECT w, count(events) FROM s GROUP BY 1');
SELECT make('SELECT w, sum(users) FROM s GROUP BY 1');
SELECT make('SELECT w, sum(ids) FROM s GROUP BY 1');
SELECT make('SELECT w, sum(mean) FROM s GROUP BY 1');
SELECT make('SELECT w, sum(DISTINCT events) FROM s GROUP BY 1');
SELECT make('SELECT w, sum(events * 2) FROM s GROUP BY 1');
SELECT make('SELECT w, array_agg(events ORDER BY events) FROM s GROUP BY 1');
SELECT make('SELECT w, sum(rounded) FROM s GROUP BY 1');
SELECT make('SELECT w, sum(few) FROM s GROUP BY 1');
SELECT make('SELECT w, weir.merge(label) FROM s GROUP BY 1');
SELECT make('SELECT w, weir.merge(country) FROM s GROUP BY 1');
SELECT make('SELECT w, sum(events) FILTER (WHERE events > 1) FROM s GROUP BY 1');
SELECT make('SELECT w, sum(events) FROM s WHERE events > 1 GROUP BY 1');
SELECT make('SELECT w, events, max(country) FROM s GROUP BY 1, 2');
SELECT make('SELECT w, max(s::text) FROM s GROUP BY 1');
SELECT make('SELECT w, country, events FROM s');
SELECT make('SELECT w, sum(events) FROM s GROUP BY 1 ORDER BY 1');
SELECT make('SELECT w, sum(events) FROM s_final GROUP BY 1');
SELECT make('SELECT w, sum(s.events) FROM s JOIN s t USING (w) GROUP BY 1');
CREATE TABLE names (country text, name text);
SELECT make('SELECT w, name, sum(events) FROM s JOIN names USING (country) GROUP BY 1, 2');
-- Windows must consist of whole ones below.
SELECT make($$SELECT weir.tumble(w, '15 s') AS w, sum(events) FROM s GROUP BY 1$$);
SELECT make($$SELECT weir.tumble(w, '1 minute', '2024-01-01 00:00:05+00') AS w, sum(events) FROM s GROUP BY 1$$);
SELECT make($$SELECT weir.hop(w, '1 minute', '15 s') AS w, sum(events) FROM s GROUP BY 1$$);
SELECT make($$SELECT weir.cumulate(w, '1 s', '1 minute') AS w, sum(events) FROM s GROUP BY 1$$);
SELECT make($$SELECT weir.session(w, '1 minute') AS w, sum(events) FROM s GROUP BY 1$$);
SELECT make($$SELECT weir.tumble(w + '1 s', '1 minute') AS w, sum(events) FROM s GROUP BY 1$$);
SELECT make($$SELECT weir.tumble(w, '1 minute') AS m, w, sum(events) FROM s GROUP BY 1, 2$$);
SELECT weir.create_view('long', $$ SELECT weir.tumble(ts, '40 minutes') AS w, count(*) AS events FROM events GROUP BY 1 $$);
SELECT make($$SELECT weir.tumble(w, '1 day', timezone => 'Europe/Berlin') AS w, sum(events) FROM long GROUP BY 1$$);
SELECT make($$SELECT weir.tumble(w, '1 month') AS w, sum(events) FROM long GROUP BY 1$$);
SELECT weir.drop_view('v');
-- Not every view can be below.
SELECT weir.create_view('hops', $$ SELECT weir.hop(ts, '1 minute', '10 s') AS w, count(*) AS events FROM events GROUP BY 1 $$);
SELECT make('SELECT w, sum(events) FROM hops GROUP BY 1');
SELECT weir.create_view('sessions', $$ SELECT weir.session(ts, '1 minute') AS w, count(*) AS events FROM events GROUP BY 1 $$);
SELECT make('SELECT sum(events) FROM sessions');
SELECT weir.create_view('picked', $$ SELECT weir.tumble(ts, '1 minute') AS w, count(*) AS events FROM events GROUP BY 1 HAVING count(*) > 1 $$);
SELECT make('SELECT w, sum(events) FROM picked GROUP BY 1');
SELECT weir.create_view('rows', 'SELECT ts, country FROM events');
SELECT make('SELECT country, max(ts) FROM rows GROUP BY 1');
SELECT weir.create_view('totals', 'SELECT ts, count(*) AS events FROM events GROUP BY 1');
SELECT make($$SELECT weir.tumble(ts, '1 minute') AS w, sum(events) FROM totals GROUP BY 1$$);
-- weir.merge and weir.in_time elsewhere.
SELECT weir.merge(1);
SELECT weir.merge(events) FROM s;
SELECT weir.in_time(now());
SELECT make($$SELECT weir.tumble(ts, '1 minute') AS w, weir.merge(amount) FROM events GROUP BY 1$$);
SELECT make($$SELECT count(*) FROM events WHERE weir.in_time(ts)$$);
SELECT make($$SELECT count(*) FROM events WHERE weir.in_time(weir.hop(ts, '2 s', '1 s'))$$);
SELECT make($$SELECT weir.tumble(ts, '15 s') AS w, count(*) FROM events WHERE weir.in_time(weir.tumble(ts, '10 s')) GROUP BY 1$$);
SELECT make($$SELECT count(*) FROM events WHERE weir.in_time(weir.tumble(ts, '10 s')) AND weir.in_time(weir.tumble(ts, '20 s'))$$);
-- Lateness and settings are those of the view below, and so is where it starts.
SELECT weir.create_view('v', 'SELECT w, sum(events) AS events FROM s GROUP BY 1', lateness => '1 s');
SET client_min_messages = notice;
SET TimeZone = 'Asia/Tokyo';
SELECT weir.create_view('v', 'SELECT w, sum(events) AS events FROM s GROUP BY 1', lateness => '0');
SET TimeZone = 'UTC';
SET client_min_messages = warning;
SELECT lateness, start, settings[4] FROM weir.views WHERE view = 'v'::regclass;
SELECT weir.drop_view('v');
INSERT INTO events SELECT 'x', g, g, at(g), g % 4 FROM generate_series(1, 100) g;
SELECT weir.flush('events');
SELECT weir.create_view('late', $$SELECT weir.tumble(ts, '10 s') AS w, count(*) AS events FROM events GROUP BY 1$$, start => 'latest', lateness => '2 days');
SELECT weir.flush('events');
INSERT INTO events SELECT 'x', g, g, at(g), g % 4 FROM generate_series(101, 110) g;
SELECT weir.flush('events');
SELECT weir.create_view('v', 'SELECT sum(events) AS events FROM late');
SELECT start FROM weir.views WHERE view = 'v'::regclass;
SELECT weir.flush('events');
SELECT * FROM v;
SELECT weir.create_view('bounded', $$SELECT weir.tumble(ts, '10 s') AS w, count(*) AS events FROM events GROUP BY 1$$, until => 'latest');
SELECT weir.flush('bounded');
SELECT weir.create_view('also_bounded', 'SELECT w, sum(events) AS events FROM bounded GROUP BY 1');
SELECT start, until FROM weir.views WHERE view = 'also_bounded'::regclass;
SELECT weir.flush('also_bounded');
SELECT wait_for($$(SELECT state = 'finished' FROM weir.status WHERE view_name = 'also_bounded'::regclass)$$);
SELECT * FROM bounded EXCEPT ALL SELECT * FROM also_bounded;
-- Times without a zone.
CREATE FOREIGN TABLE plain (country text, ts timestamp, part int OPTIONS (metadata 'partition'))
    SERVER view_cascade_refusals OPTIONS (topic 'view_cascade_refusals', event_time 'ts', idle_timeout '1 day');
SELECT weir.create_view('plain_s', $$SELECT weir.tumble(ts, '10 s') AS w, country, count(*) AS events FROM plain GROUP BY 1, 2$$);
SELECT weir.create_view('plain_m', $$SELECT weir.tumble(w, '1 minute') AS w, sum(events) AS events FROM plain_s GROUP BY 1$$);
SELECT weir.create_view('plain_all', $$SELECT country, sum(events) AS events FROM plain_m, (VALUES ('x')) v (country) GROUP BY 1$$);
SELECT weir.create_view('plain_all', $$SELECT country, sum(events) AS events FROM plain_s GROUP BY 1$$);
SELECT weir.flush('plain');
SELECT * FROM plain_m ORDER BY 1;
SELECT * FROM plain_all;
SELECT weir.alter_view('late', query => 'SELECT 1');
-- Whoever owns it reads the stream.
SELECT weir.drop_view('v');
CREATE ROLE cascade_reader;
CREATE ROLE cascade_owner;
GRANT USAGE, CREATE ON SCHEMA view_cascade_refusals TO cascade_reader, cascade_owner;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA view_cascade_refusals TO cascade_reader;
GRANT SELECT ON s TO cascade_reader;
SET ROLE cascade_reader;
SELECT make('SELECT w, sum(events) FROM s GROUP BY 1');
SET ROLE cascade_owner;
SELECT make('SELECT w, sum(events) FROM s GROUP BY 1');
RESET ROLE;
GRANT SELECT ON events TO cascade_reader, cascade_owner;
SET ROLE cascade_owner;
SELECT make('SELECT w, sum(events) FROM s GROUP BY 1');
SET ROLE cascade_reader;
SELECT make('SELECT w, sum(events) FROM s GROUP BY 1');
SELECT weir.reset('s', 'earliest');
-- Functions of a stranger's search_path are not called.
SET search_path = view_cascade_refusals, pg_catalog;
SELECT weir.create_view('other', 'SELECT w, sum(events) FROM s GROUP BY 1');
RESET ROLE;
SET client_min_messages = notice;
SELECT weir.create_view('own', 'SELECT w, sum(events) FROM s GROUP BY 1');
SET client_min_messages = warning;
SELECT weir.drop_view('own');
SET search_path = view_cascade_refusals;
SELECT weir.flush('events');
SELECT count(*), sum(sum) FROM v;
-- Only who may reset all may reset the one below.
ALTER VIEW s OWNER TO cascade_owner;
SET ROLE cascade_owner;
SELECT weir.reset('s', 'earliest');
SELECT weir.advance_watermark('s', at(50));
RESET ROLE;
SELECT weir.drop_view('s');
DROP VIEW s CASCADE;
SELECT to_regclass('v'), to_regclass('v_query'), to_regclass('v_final');

DROP SCHEMA view_cascade_refusals CASCADE;
DROP SERVER view_cascade_refusals;
DROP ROLE cascade_reader, cascade_owner;
