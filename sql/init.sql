-- The demo's schema: a server, a stream, two continuous views.
--   psql -v broker=HOST:PORT -v topic=NAME [-v fetch_wait=MS] -f sql/init.sql
-- fetch_wait is for the embedded broker, which answers an empty fetch only
-- after that long.
\set ON_ERROR_STOP on

CREATE EXTENSION IF NOT EXISTS weir;

CREATE SERVER kafka FOREIGN DATA WRAPPER weir
    OPTIONS (bootstrap_servers :'broker');
\if :{?fetch_wait}
ALTER SERVER kafka OPTIONS (ADD "fetch.wait.max.ms" :'fetch_wait');
\endif

CREATE FOREIGN TABLE events (
    event_id    text,
    event_type  text,
    user_id     bigint,
    country     text,
    amount      float8,
    latency_ms  int,
    ts          timestamptz,
    level       text,
    part        int    OPTIONS (metadata 'partition'),
    off         bigint OPTIONS (metadata 'offset')
) SERVER kafka OPTIONS (
    topic :'topic', format 'json', event_time 'ts', watermark_delay '5 seconds'
);

SELECT weir.create_view('traffic_10s', $$
    SELECT weir.tumble(ts, '10 seconds') AS window_start, event_type, country,
           count(*) AS events, sum(amount) AS revenue,
           avg(latency_ms) AS avg_latency, max(latency_ms) AS max_latency
    FROM events
    GROUP BY 1, 2, 3 $$);

-- A histogram of latencies: percentiles over any time and any set of countries
-- can be made of it.  A class reaches up to exp(latency_class / 10.0) ms.
SELECT weir.create_view('requests_10s', $$
    SELECT weir.tumble(ts, '10 seconds') AS window_start, country,
           ceil(10 * ln(greatest(latency_ms, 1)))::int AS latency_class,
           count(*) AS events, count(*) FILTER (WHERE level = 'ERROR') AS errors
    FROM events
    GROUP BY 1, 2, 3 $$);
