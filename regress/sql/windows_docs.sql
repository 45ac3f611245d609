-- The examples of docs/windows.md, as they stand there.
\set ECHO errors
\getenv srcdir PG_ABS_SRCDIR
\set lib :srcdir /lib/views.sql
\set test windows_docs
\i :lib
\set ECHO all
CREATE FOREIGN TABLE events (country text, amount float8, ts timestamptz) SERVER windows_docs OPTIONS (topic 'windows_docs', event_time 'ts', idle_timeout '1 day');
SELECT weir.create_view('last_minute', $$
    SELECT weir.hop(ts, '1 minute', '1 second') AS window_start,
           weir.hop(ts, '1 minute', '1 second') + interval '1 minute' AS window_end,
           country, count(*) AS events
    FROM events GROUP BY 1, country $$);
SELECT weir.create_view('day_so_far', $$
    SELECT weir.tumble(weir.cumulate(ts, '1 hour', '1 day') - interval '1 us', '1 day') AS window_start,
           weir.cumulate(ts, '1 hour', '1 day') AS window_end, count(*) AS events, sum(amount) AS revenue
    FROM events GROUP BY window_end $$);
SELECT weir.create_view('daily', $$
    SELECT weir.tumble(ts, '1 day', timezone => 'Europe/Berlin') AS day, count(*) AS events, sum(amount) AS revenue
    FROM events GROUP BY 1 $$);
INSERT INTO events SELECT (ARRAY['DE', 'FR'])[1 + s % 2], s, at(s * 600) FROM generate_series(0, 300) s;
SELECT weir.flush('events');
SELECT * FROM differ('last_minute'), differ('day_so_far') d, differ('daily') e;
SELECT min(window_start), max(window_end), count(*), bool_and(window_end = window_start + interval '1 minute') FROM last_minute;
SELECT * FROM day_so_far WHERE window_end IN (at(3600), at(86400), at(86400 + 3600)) ORDER BY 2;
SELECT *, (day AT TIME ZONE 'Europe/Berlin' + interval '1 day') AT TIME ZONE 'Europe/Berlin' AS ends FROM daily ORDER BY 1;
SELECT ts, weir.tumble(ts, '1 month', timezone => 'Europe/Berlin'),
    weir.tumble(ts, '3 months'),
    weir.tumble(ts, '7 days', '2024-01-01 00:00 Europe/Berlin', timezone => 'Europe/Berlin'),
    weir.tumble(ts, '1 hour', '2024-01-01 00:00+05:30')
FROM (VALUES (timestamptz '2024-03-31 12:00+00')) v (ts);

DROP SCHEMA windows_docs CASCADE;
DROP SERVER windows_docs;
