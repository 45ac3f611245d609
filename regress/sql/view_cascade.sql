-- Views over views: 1 s, 1 minute, 1 hour, against the batch query and against what
-- the windows below add up to, late events left out.
\set ECHO errors
\getenv srcdir PG_ABS_SRCDIR
\set lib :srcdir /lib/views.sql
\set test view_cascade
\i :lib
\set ECHO all
CREATE FOREIGN TABLE events (country text, user_id int, amount float8, latency int, ts timestamptz, part int OPTIONS (metadata 'partition'), off bigint OPTIONS (metadata 'offset'))
    SERVER view_cascade OPTIONS (topic 'view_cascade', event_time 'ts', idle_timeout '1 day', watermark_delay '2 s');
SELECT weir.create_view('second', $$
    SELECT weir.tumble(ts, '1 second') AS window_start, country, count(*) AS events, sum(amount) AS amount, sum(latency) AS latency,
           avg(latency) AS avg_latency, max(latency) AS max_latency, count(DISTINCT user_id) AS users,
           bool_or(latency > 900) AS slow, count(*) FILTER (WHERE amount > 8) AS large
    FROM events WHERE country <> 'dropped' GROUP BY 1, 2 $$, lateness => '1 s');
SELECT weir.create_view('minute', $$
    SELECT weir.tumble(window_start, '1 minute') AS w, country, sum(events) AS events, sum(amount) AS amount, sum(latency) AS latency,
           avg(avg_latency) AS avg_latency, max(max_latency) AS max_latency, weir.merge(users) AS users,
           bool_or(slow) AS slow, sum(large) AS large
    FROM second GROUP BY 1, 2 $$, keep_late => true, retention => '30 days');
SELECT weir.create_view('hour', $$
    SELECT weir.tumble(w, '1 hour') AS w, weir.merge(events) AS events, sum(amount) AS amount, weir.merge(avg_latency) AS avg_latency,
           avg(avg_latency) FILTER (WHERE country = 'a') AS of_a, sum(events) FILTER (WHERE country = 'none') AS of_none, weir.merge(users) AS users, min(country) AS least, count(DISTINCT country) AS countries
    FROM minute GROUP BY 1 HAVING sum(events) > 3 $$);
SELECT pg_get_viewdef('hour_query');
\d minute
SELECT view, upstream, lateness, regexp_replace(definition, '\s+', ' ', 'g') AS definition FROM weir.views WHERE upstream IS NOT NULL ORDER BY id;
-- What the windows below add up to.
CREATE VIEW added AS SELECT weir.tumble(window_start, '1 minute') AS w, country, sum(events) AS events, sum(amount) AS amount, sum(latency) AS latency, max(max_latency) AS max_latency, bool_or(slow) AS slow, sum(large) AS large FROM second GROUP BY 1, 2;
CREATE VIEW is_added AS SELECT w, country, events, amount, latency, max_latency, slow, large FROM minute;
CREATE MATERIALIZED VIEW archive AS
    SELECT *, weir.tumble(ts, '1 s') AS s, max(ts) OVER (PARTITION BY part ORDER BY off ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) - interval '2 s' AS watermark FROM events WITH NO DATA;
CREATE VIEW oracle AS SELECT * FROM archive
    WHERE (s + interval '2 s' > watermark OR watermark IS NULL) AND country <> 'dropped';
CREATE VIEW minute_oracle (w, country, events, amount, latency, avg_latency, max_latency, users, slow, large) AS SELECT weir.tumble(ts, '1 minute'), country, count(*)::numeric, sum(amount), sum(latency)::numeric, avg(latency), max(latency), count(DISTINCT user_id), bool_or(latency > 900), count(*) FILTER (WHERE amount > 8)::numeric FROM oracle GROUP BY 1, 2;
CREATE VIEW hour_oracle (w, events, amount, avg_latency, of_a, of_none, users, least, countries) AS SELECT weir.tumble(ts, '1 hour'), count(*)::numeric, sum(amount), avg(latency), avg(latency) FILTER (WHERE country = 'a'), NULL::numeric, count(DISTINCT user_id), min(country), count(DISTINCT country) FROM oracle GROUP BY 1 HAVING count(*) > 3;
CREATE FUNCTION differs(a text, b text, OUT only_a bigint, OUT only_b bigint) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('SELECT count(*) FROM (SELECT * FROM %1$I EXCEPT ALL SELECT * FROM %2$I) d', a, b) INTO only_a;
    EXECUTE format('SELECT count(*) FROM (SELECT * FROM %2$I EXCEPT ALL SELECT * FROM %1$I) d', a, b) INTO only_b;
END $$;
CREATE FUNCTION batch(first int, last int) RETURNS void LANGUAGE sql AS $$
    INSERT INTO events (country, user_id, amount, latency, ts, part)
    SELECT (ARRAY['a', 'b', 'c', NULL, 'dropped'])[1 + (r & 127) % 5], r % 200, (r & 1023) / 64.0, r % 1000,
        at(g - (g % 4) * 3 - CASE WHEN r & 7 = 0 THEN (r >> 3 & 255) / 10.0 ELSE (r >> 3 & 31) / 10.0 END), g % 4
    FROM (SELECT g, hashint4(g) & 1073741823 AS r FROM generate_series(first, last) g) x $$;
SELECT batch(1, 4000);
SELECT weir.flush('events');
REFRESH MATERIALIZED VIEW archive;
SELECT * FROM differs('added', 'is_added');
SELECT * FROM differs('minute', 'minute_oracle');
SELECT * FROM differs('hour', 'hour_oracle');
SELECT view_name, events, late > 0 AS late, state FROM weir.status ORDER BY view_name::text;
SELECT * FROM hour ORDER BY 1;

-- What was late was late for a second, and is kept.
SELECT count(*) = (SELECT late FROM weir.status WHERE view_name = 'minute'::regclass) AS all_kept, min(window_end - window_start), max(window_end - window_start),
    count(*) = (SELECT count(*) FROM archive WHERE s + interval '2 s' <= watermark AND country <> 'dropped') AS right FROM weir.late_events WHERE view = 'minute'::regclass;
SELECT weir.create_alert('cascade_busy', 'minute', 'events > 12 AND users > 10');

-- Other windows over the second: hopping, cumulating, by date, the same again with
-- fewer keys, none at all; a joined table below; keys and windows in expressions.
CREATE TABLE regions (country text PRIMARY KEY, region text);
INSERT INTO regions VALUES ('a', 'north'), ('b', 'south'), ('c', 'north');
SELECT weir.create_view('hops', $$ SELECT weir.hop(window_start, '1 minute', '20 s') AS w, country, sum(events) AS events, weir.merge(users) AS users FROM second GROUP BY 1, 2 $$);
SELECT weir.create_view('so_far', $$ SELECT weir.cumulate(window_start, '10 s', '1 minute') AS w, sum(events) AS events FROM second GROUP BY 1 $$);
SELECT weir.create_view('days', $$ SELECT weir.tumble(window_start, '1 day', timezone => 'Asia/Kathmandu') AS w, sum(events) AS events FROM second GROUP BY 1 $$);
SELECT weir.create_view('months', $$ SELECT weir.tumble(w, '1 month', timezone => 'Asia/Kathmandu') AS w, sum(events) AS events FROM days GROUP BY 1 $$);
SELECT weir.create_view('all_countries', $$ SELECT window_start, sum(events) AS events, max(max_latency) AS worst, weir.merge(users)::int + 1 AS more FROM second WHERE window_start >= '2024-01-01 00:10+00' AND country < 'c' GROUP BY window_start $$);
SELECT weir.create_view('totals', $$ SELECT upper(country) AS country, sum(events) AS events, max(window_start) AS last FROM second GROUP BY 1 $$);
SELECT weir.create_view('total', $$ SELECT sum(events) AS events, weir.merge(last) AS last FROM totals $$);
SELECT weir.create_view('in_minutes', $$ SELECT country, sum(events) AS events, max(w) AS last FROM minute GROUP BY 1 $$);
SELECT weir.create_view('with_time', $$ SELECT weir.tumble(ts, '1 s') AS s, ts, count(*) AS events FROM events WHERE country <> 'dropped' GROUP BY 1, 2 $$, lateness => '1 s');
SELECT weir.create_view('by_time', $$ SELECT weir.tumble(ts, '1 minute') AS w, sum(events) AS events FROM with_time GROUP BY 1 $$);
SELECT weir.create_view('joined', $$ SELECT weir.tumble(ts, '1 s') AS s, region, count(*) AS events FROM events JOIN regions USING (country) GROUP BY 1, 2 $$, lateness => '1 s');
SELECT weir.create_view('by_region', $$ SELECT weir.tumble(s, '1 minute') AS w, region, sum(events) AS events FROM joined GROUP BY 1, 2 $$);
SELECT weir.create_view('ratio', $$ SELECT weir.tumble(ts, '1 s') AS s, country, 1.0 * sum(latency) / nullif(count(*), 0) AS mean FROM events GROUP BY 1, 2 $$, lateness => '1 s');
SELECT weir.create_view('ratios', $$ SELECT weir.tumble(s, '1 minute') AS w, weir.merge(mean) FILTER (WHERE country <> 'b') AS mean FROM ratio GROUP BY 1 $$);
SELECT weir.flush('events');
CREATE VIEW hops_oracle (w, country, events, users) AS SELECT weir.hop(ts, '1 minute', '20 s'), country, count(*)::numeric, count(DISTINCT user_id) FROM oracle GROUP BY 1, 2;
CREATE VIEW so_far_oracle AS SELECT weir.cumulate(ts, '10 s', '1 minute'), count(*)::numeric FROM oracle GROUP BY 1;
CREATE VIEW days_oracle AS SELECT weir.tumble(ts, '1 day', timezone => 'Asia/Kathmandu'), count(*)::numeric FROM oracle GROUP BY 1;
CREATE VIEW months_oracle AS SELECT weir.tumble(ts, '1 month', timezone => 'Asia/Kathmandu'), count(*)::numeric FROM oracle GROUP BY 1;
CREATE VIEW all_countries_oracle AS SELECT s, count(*)::numeric, max(latency), count(DISTINCT user_id)::int + 1 AS more FROM oracle WHERE s >= at(600) AND country < 'c' GROUP BY 1;
CREATE VIEW totals_oracle AS SELECT upper(country), count(*)::numeric, max(s) FROM oracle GROUP BY 1;
CREATE VIEW total_oracle AS SELECT count(*)::numeric, max(s) FROM oracle;
CREATE VIEW in_minutes_oracle AS SELECT country, count(*)::numeric, max(weir.tumble(ts, '1 minute')) FROM oracle GROUP BY 1;
CREATE VIEW by_time_oracle AS SELECT weir.tumble(ts, '1 minute'), count(*)::numeric FROM oracle GROUP BY 1;
CREATE VIEW by_region_oracle AS SELECT weir.tumble(ts, '1 minute'), region, count(*)::numeric FROM oracle JOIN regions USING (country) GROUP BY 1, 2;
CREATE VIEW ratios_oracle AS SELECT weir.tumble(s, '1 minute'), 1.0 * sum(latency) FILTER (WHERE country <> 'b') / nullif(count(*) FILTER (WHERE country <> 'b'), 0)
    FROM archive WHERE s + interval '2 s' > watermark OR watermark IS NULL GROUP BY 1;
CREATE TABLE shapes (v text);
INSERT INTO shapes VALUES ('minute'), ('hour'), ('hops'), ('so_far'), ('days'), ('months'), ('all_countries'), ('totals'), ('total'), ('in_minutes'), ('by_time'), ('by_region'), ('ratios');
SELECT v, d.* FROM shapes, differs(v, v || '_oracle') d;
SELECT pg_get_viewdef('total_query');
SELECT pg_get_viewdef('by_time_query');
-- The same while events come, views pause, are reset, with those over them, and the second's windows are closed by hand.
SELECT batch(4001, 4500);
SELECT weir.pause('second');
SELECT weir.pause('hour');
SELECT batch(4501, 5000);
SELECT weir.resume('hour');
SELECT weir.flush('hour');
REFRESH MATERIALIZED VIEW archive;
SELECT d.* FROM differs('hour', 'hour_oracle') d;
SELECT weir.resume('second');
SELECT weir.reset('second', 'earliest');
SELECT weir.flush('events');
SELECT v, d.* FROM shapes, differs(v, v || '_oracle') d;
SELECT * FROM differs('added', 'is_added');
SELECT view, start FROM weir.views WHERE upstream = 'minute'::regclass ORDER BY view::text;
SELECT weir.advance_watermark('second', at(6000));
SELECT weir.flush('events');
SELECT batch(5001, 6000);
SELECT weir.flush('events');
-- The second closed them by hand, and so did those over it.
SELECT * FROM differs('added', 'is_added');
SELECT (SELECT late FROM weir.status WHERE view_name = 'second'::regclass) = late AS same, late > 500 AS late FROM weir.status WHERE view_name IN ('minute'::regclass, 'totals'::regclass);
INSERT INTO events SELECT 'end', 0, 0, 0, at(90000), p FROM generate_series(0, 3) p;
SELECT weir.flush('events');
SELECT v, d.* FROM (VALUES ('second'), ('minute'), ('hour')) x (v), windows(v) d;
SELECT name, view, count(*) > 0 AS fired FROM weir.alerts WHERE name = 'cascade_busy' GROUP BY 1, 2;
SELECT count(*) > 0 AS busy FROM minute_final WHERE events > 12 AND users > 10;
SELECT * FROM differs('added', 'is_added');

-- What depends on a view keeps it.
SELECT weir.drop_view('second');
DROP VIEW minute;
SELECT weir.drop_view('hour');
BEGIN;
DROP VIEW second CASCADE;
SELECT view FROM weir.views ORDER BY view::text;
ROLLBACK;
ALTER VIEW second RENAME TO seconds;
SELECT view, upstream FROM weir.views WHERE view = 'minute'::regclass;
SELECT weir.create_view('again', $$ SELECT weir.tumble(window_start, '1 hour') AS w, sum(events) AS events FROM seconds GROUP BY 1 $$);
SELECT weir.flush('events');
SELECT count(*) FROM again;
DROP FOREIGN TABLE events CASCADE;
SELECT count(*) FROM weir.views;

DROP SCHEMA view_cascade CASCADE;
DROP SERVER view_cascade;
