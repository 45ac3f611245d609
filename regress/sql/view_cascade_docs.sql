-- The examples of docs/views-on-views.md, as they stand there.
\set ECHO errors
\getenv srcdir PG_ABS_SRCDIR
\set lib :srcdir /lib/views.sql
\set test view_cascade_docs
\i :lib
\set ECHO all
CREATE FOREIGN TABLE events (country text, user_id int, latency_ms int, ts timestamptz, part int OPTIONS (metadata 'partition'))
    SERVER view_cascade_docs OPTIONS (topic 'view_cascade_docs', event_time 'ts', idle_timeout '1 day');
SELECT weir.create_view('traffic_1s', $$
    SELECT weir.tumble(ts, '1 second') AS window_start, country,
           count(*) AS events, avg(latency_ms) AS avg_latency, count(DISTINCT user_id) AS users
    FROM events GROUP BY 1, 2 $$, lateness => '2 seconds');
SELECT weir.create_view('traffic_1m', $$
    SELECT weir.tumble(window_start, '1 minute') AS window_start, country,
           sum(events) AS events, avg(avg_latency) AS avg_latency, weir.merge(users) AS users
    FROM traffic_1s GROUP BY 1, 2 $$);
SELECT weir.create_view('traffic_1h', $$
    SELECT weir.tumble(window_start, '1 hour') AS window_start,
           sum(events) AS events, avg(avg_latency) AS avg_latency, weir.merge(users) AS users
    FROM traffic_1m GROUP BY 1 $$);
INSERT INTO events SELECT (ARRAY['DE', 'FR'])[1 + g % 2], g % 7, g, at(g), g % 4 FROM generate_series(0, 7299) g;
INSERT INTO events SELECT 'end', 0, 0, at(8000), p FROM generate_series(0, 3) p;
SELECT weir.flush('events');
SELECT * FROM traffic_1h WHERE events > 4 ORDER BY 1;
SELECT count(*), sum(events), min(users), max(users) FROM traffic_1m WHERE country <> 'end';
SELECT weir.tumble(window_start, '1 hour') AS hour, max(events) AS peak
FROM traffic_1s_final GROUP BY 1 ORDER BY 1;

DROP SCHEMA view_cascade_docs CASCADE;
DROP SERVER view_cascade_docs;
