-- create_view before its topic or its broker are there.
\set ECHO errors
\getenv srcdir PG_ABS_SRCDIR
\set lib :srcdir /lib/views.sql
\set test view_broker
\i :lib
\set VERBOSITY terse
\set ECHO all
-- Port 1 is nobody's.
CREATE SERVER down FOREIGN DATA WRAPPER weir OPTIONS (bootstrap_servers '127.0.0.1:1');
CREATE FOREIGN TABLE away (n int, ts timestamptz) SERVER down OPTIONS (topic 'view_broker', event_time 'ts');
SET weir.broker_timeout = '300 ms';
SELECT weir.create_view('v', $$ SELECT weir.tumble(ts, '5 s') AS w, sum(n) FROM away GROUP BY 1 $$);
SELECT wait_for($$(SELECT state = 'waiting for broker' AND error IS NOT NULL FROM weir.status WHERE view_name = 'v'::regclass)$$);
SELECT * FROM v;
SELECT weir.flush('v');
SELECT weir.pause('v');
SELECT wait_for($$(SELECT state = 'paused' AND lane IS NULL FROM weir.status WHERE view_name = 'v'::regclass)$$);
SELECT weir.resume('v');
SELECT wait_for($$(SELECT state = 'waiting for broker' FROM weir.status WHERE view_name = 'v'::regclass)$$);
SELECT weir.drop_view('v');

-- The address is put right: the view starts.
SELECT weir.create_view('v', $$ SELECT weir.tumble(ts, '5 s') AS w, sum(n) FROM away GROUP BY 1 $$);
SELECT wait_for($$(SELECT state = 'waiting for broker' FROM weir.status WHERE view_name = 'v'::regclass)$$);
\set ECHO errors
SELECT format('ALTER SERVER down OPTIONS (SET bootstrap_servers %L)', :'broker') \gexec
\set ECHO all
INSERT INTO away VALUES (1, at(1)), (2, at(2)), (3, at(8));
SELECT weir.flush('v', '60 s');
SELECT * FROM v ORDER BY w;
SELECT * FROM differ('v');

-- weir-broker makes the topic when it is asked for.
RESET weir.broker_timeout;
CREATE FOREIGN TABLE soon (n int, ts timestamptz, part int OPTIONS (metadata 'partition')) SERVER view_broker OPTIONS (topic 'view_broker_soon', event_time 'ts');
SELECT weir.create_view('early', $$ SELECT weir.tumble(ts, '5 s') AS w, sum(n) FROM soon GROUP BY 1 $$);
SELECT weir.flush('early');
SELECT count(*) FROM early;
INSERT INTO soon SELECT g, at(g), g % 4 FROM generate_series(0, 39) g;
SELECT weir.flush('early');
SELECT * FROM differ('early');
SELECT * FROM windows('early');

DROP SCHEMA view_broker CASCADE;
DROP SERVER down;
DROP SERVER view_broker;
