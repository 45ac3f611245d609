-- Tumbling windows by date: days and months, in a time zone and without.
\set ECHO errors
\getenv srcdir PG_ABS_SRCDIR
\set lib :srcdir /lib/views.sql
\set test windows_dates
\i :lib
SET TimeZone = 'Europe/Berlin';
\set ECHO all
-- The day on which the clocks go forward has 23 hours, the one on which they go back 25.
CREATE FUNCTION day(t timestamptz, zone text DEFAULT 'Europe/Berlin') RETURNS timestamptz LANGUAGE sql IMMUTABLE RETURN weir.tumble(t, '1 day', timezone => zone);
SELECT t, day(t), day(t - interval '1 us') AS just_before, extract(epoch FROM t - day(t - interval '1 us')) / 3600 AS hours
    FROM unnest('{2024-03-31,2024-04-01,2024-10-27,2024-10-28,1916-05-01,1969-12-31,1970-01-01}'::timestamptz[]) t;
-- A day without a zone is 24 hours of UTC, a month one of UTC.
SELECT weir.tumble(timestamptz '2024-04-01 01:59:59.999999', '1 day'), weir.tumble(timestamptz '2024-04-01 01:59:59.999999', '1 month'), weir.tumble(timestamptz '2024-04-01 02:00', '1 month'),
    weir.tumble(timestamptz '2024-04-01 00:00', '1 month', timezone => 'Europe/Berlin'), weir.tumble(timestamp '2024-02-29 23:59:59.999999', '1 month'), weir.tumble(timestamp '2024-03-01', '1 month');
-- Quarters, years, before 1970; months from another day; weeks from Monday.
SELECT weir.tumble(timestamp '1969-12-31 23:59:59', '3 months'), weir.tumble(timestamp '1969-12-31 23:59:59', '1 year'), weir.tumble(timestamp '0044-03-15 BC', '100 years'), weir.tumble(timestamp '1970-01-01', '1 year');
SELECT t, weir.tumble(t, '1 month', '2024-01-15 06:00') FROM unnest('{2024-02-15 05:59:59,2024-02-15 06:00,1960-01-01}'::timestamp[]) t;
SELECT t, weir.tumble(t, '7 days', '2024-01-01 00:00', 'Europe/Berlin') FROM unnest('{2024-03-31 23:59:59,2024-04-01,2023-12-31}'::timestamptz[]) t;
-- Clocks that skip midnight, show it twice, skip a day.
SET TimeZone = 'UTC';
SELECT day('2018-11-04 02:59:59+00', 'America/Sao_Paulo'), day('2018-11-04 03:00+00', 'America/Sao_Paulo'), day('2024-11-03 04:30+00', 'America/Havana'), day('2024-11-03 05:30+00', 'America/Havana');
SELECT t, day(t, 'Pacific/Apia') FROM unnest('{2011-12-30 09:59:59+00,2011-12-30 10:00:00+00,2011-12-31 10:00:00+00}'::timestamptz[]) t;
-- In every zone they begin where date_trunc says, but for a midnight that comes twice.
CREATE TABLE times AS SELECT at((hashint4(g) & 1073741823) * 2.0 - 1.6e9) AS t FROM generate_series(1, 40) g UNION ALL SELECT t FROM generate_series('2024-03-30 00:00+00'::timestamptz, '2024-04-02', '1 hour') t UNION ALL SELECT t FROM generate_series('2024-10-26 00:00+00'::timestamptz, '2024-10-29', '1 hour') t;
SELECT count(*) AS differ FROM times, (SELECT name FROM pg_timezone_names WHERE name ~ '^(Europe|America|Asia|Australia|Pacific|Africa)/') z
    WHERE (date_trunc('day', t, name) <= t AND day(t, name) <> date_trunc('day', t, name)) OR (date_trunc('month', t, name) <= t AND weir.tumble(t, '1 month', timezone => name) <> date_trunc('month', t, name));
SELECT count(*) AS wrong FROM times, unnest('{1 day,2 days,10 days,1 month,5 months}'::interval[]) size, unnest('{Europe/Berlin,America/Havana,Pacific/Apia,Asia/Beirut}'::text[]) zone, weir.tumble(t, size, timezone => zone) w
    WHERE w > t OR weir.tumble(w, size, timezone => zone) <> w OR weir.tumble(w - interval '1 us', size, timezone => zone) >= w;
-- At the ends of the type.
SELECT weir.tumble(timestamp '294276-12-30 23:59:59', '1 day'), weir.tumble(timestamptz 'infinity', '1 month'), weir.tumble(NULL::timestamptz, '1 month');
SELECT weir.tumble(timestamp '294276-12-31', '1 month');
SELECT weir.tumble(timestamptz '4714-11-24 BC', '1 month', timezone => 'Europe/Berlin');
SELECT weir.tumble(timestamptz '294276-12-31 23:59:59+00', '2 days', timezone => 'UTC');
-- What no window can be.
SELECT weir.tumble(at(0), '1 hour', timezone => 'Europe/Berlin');
SELECT weir.tumble(at(0), '1 day 1 hour', timezone => 'Europe/Berlin');
SELECT weir.tumble(at(0), '1 month 1 day');
SELECT weir.tumble(at(0), '1 month 1 second', timezone => 'Europe/Berlin');
SELECT weir.tumble(at(0), '-1 month');
SELECT weir.tumble(at(0), '-1 day', timezone => 'Europe/Berlin');
SELECT weir.tumble(at(0), '0', timezone => 'Europe/Berlin');
SELECT weir.tumble(at(0), '1 day', timezone => 'Europe/Bonn');
SELECT weir.tumble(at(0), '1 month', '2024-01-29');
SELECT weir.tumble(at(0), '1 month', 'infinity');
SELECT weir.tumble(at(0), '2000000000 days', timezone => 'UTC');
SELECT weir.tumble(at(0), '178000000 years') IS NOT NULL;

-- Views.  Both changes of the clocks, an event exactly at each end of a window.
CREATE FOREIGN TABLE events (n int, ts timestamptz, part int OPTIONS (metadata 'partition'), off bigint OPTIONS (metadata 'offset'))
    SERVER windows_dates OPTIONS (topic 'windows_dates', event_time 'ts', idle_timeout '1 day');
CREATE TABLE shapes (v text, fn text);
INSERT INTO shapes VALUES
    ('days', 'weir.tumble(ts, ''1 day'', timezone => ''Europe/Berlin'')'),
    ('weeks', 'weir.tumble(ts, ''7 days'', ''2024-01-01 00:00 Europe/Berlin'', ''Europe/Berlin'')'),
    ('months', 'weir.tumble(ts, ''1 month'', timezone => ''America/Havana'')'),
    ('quarters', 'weir.tumble(ts, ''3 months'')');
SELECT weir.create_view(v, format('SELECT %s AS w, count(*), sum(n) FROM events GROUP BY 1', fn), lateness => '1 hour', keep_late => true) FROM shapes;
SELECT weir.create_view('x', $$ SELECT weir.tumble(ts, '1 day', timezone => 'Europe/Bonn') AS w, count(*) FROM events GROUP BY 1 $$);
SELECT weir.create_view('x', $$ SELECT weir.tumble(ts, '1 day', timezone => part::text) AS w, count(*) FROM events GROUP BY 1, part $$);
INSERT INTO events SELECT extract(day FROM t), t, p FROM generate_series(0, 3) p, LATERAL (SELECT d + h AS t FROM generate_series('2024-03-29 23:00+00'::timestamptz, '2024-04-02', '1 hour') d, unnest('{0,-1 us}'::interval[]) h) x ORDER BY t;
SELECT weir.flush('events');
SELECT * FROM differ('days'), differ('months') m, differ('quarters') q, differ('weeks') w;
SELECT w, count, (SELECT true FROM days_final f WHERE f.w = days.w) AS final FROM days ORDER BY 1;
-- Late for all of them, by how much each of them had closed.
INSERT INTO events VALUES (100, '2024-03-31 21:59:59.999999+00', 0);
INSERT INTO events SELECT extract(day FROM t), t, p FROM generate_series(0, 3) p, LATERAL (SELECT d + h AS t FROM generate_series('2024-10-26 00:00+00'::timestamptz, '2024-11-05', '1 hour') d, unnest('{0,-1 us}'::interval[]) h) x ORDER BY t;
SELECT weir.flush('events');
SELECT * FROM weir.pause('days'), weir.resume('days');
SELECT weir.flush('events');
SELECT * FROM differ('days'), differ('months') m, differ('quarters') q, differ('weeks') w;
SELECT view, window_start, window_end, late_by FROM weir.late_events WHERE stream = 'events'::regclass ORDER BY 1, 2;
SELECT w, count, (SELECT true FROM days_final f WHERE f.w = days.w) AS final FROM days WHERE w > '2024-10-01' ORDER BY 1;
SELECT w, count, (SELECT true FROM months_final f WHERE f.w = months.w) AS final FROM months ORDER BY 1;
-- A day is final an hour (its lateness) after its end, and not before.
SELECT weir.advance_watermark('days', timestamptz '2024-11-06 00:00+00' - interval '1 us');
SELECT weir.flush('days');
SELECT max(w) FROM days_final;
SELECT weir.advance_watermark('days', '2024-11-06 00:00+00');
SELECT weir.flush('days');
SELECT max(w) FROM days_final;
SELECT v, windows_open FROM shapes, weir.status WHERE view_name = v::regclass ORDER BY 1;

DROP SCHEMA windows_dates CASCADE;
DROP SERVER windows_dates;
