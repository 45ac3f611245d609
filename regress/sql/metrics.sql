-- weir.metrics: every name that docs/reference.md promises is there, with its
-- labels, and counters say what has happened.
\set ECHO errors
\getenv srcdir PG_ABS_SRCDIR
\set lib :srcdir /lib/views.sql
\set test metrics
\i :lib
\set ECHO all
CREATE FOREIGN TABLE events (
    kind text, n int, ts timestamptz,
    part int OPTIONS (metadata 'partition'), off bigint OPTIONS (metadata 'offset')
) SERVER metrics OPTIONS (topic 'metrics', event_time 'ts', watermark_delay '2 seconds', on_error 'skip');
CREATE FOREIGN TABLE raw (message text, part int OPTIONS (metadata 'partition'))
    SERVER metrics OPTIONS (topic 'metrics', format 'raw');
SELECT weir.create_view('v', $$
    SELECT weir.tumble(ts, '10 seconds') AS w, kind, count(*), sum(10 / n) AS tenths FROM events GROUP BY 1, 2 $$);

-- One value of the view, or of its stream.
CREATE FUNCTION metric(name text, further jsonb DEFAULT '{}') RETURNS float8 LANGUAGE sql AS $$
    SELECT sum(m.value) FROM weir.metrics m WHERE m.name = $1 AND m.labels @> $2
    AND m.labels ->> 'stream' = 'metrics.events' $$;

-- Seven events: one is late, one fails in the view; and one message is malformed.
INSERT INTO events VALUES ('a', 1, at(1), 0), ('b', 2, at(2), 1), ('a', 3, at(3), 2), ('b', 4, at(30), 0), ('c', 5, at(4), 0), ('c', 0, at(5), 3);
INSERT INTO raw VALUES ('{"kind":', 1);
INSERT INTO events SELECT 'd', 1, at(30), p FROM generate_series(1, 3) p;
SELECT weir.flush('v');
SELECT name, value FROM weir.metrics WHERE labels @> '{"view": "metrics.v"}'
    AND name IN ('weir_events_total', 'weir_late_events_total', 'weir_dead_letters_total', 'weir_lost_offsets_total', 'weir_final_rows_total',
                 'weir_windows_open', 'weir_groups_open', 'weir_restarts_total', 'weir_lag_messages', 'weir_lag_seconds', 'weir_watermark_seconds',
                 'weir_freshness_seconds_count', 'weir_commit_latency_seconds_count')
    ORDER BY name;
SELECT extract(epoch FROM watermark) FROM weir.status WHERE view_name = 'v'::regclass;
SELECT metric('weir_messages_total') AS messages, metric('weir_malformed_total') AS malformed,
       metric('weir_batches_total') BETWEEN 1 AND 10 AS batches, metric('weir_bytes_total') > 100 AS bytes,
       metric('weir_workers') > 0 AS workers, metric('weir_queue_bytes') > 0 AS queue;
SELECT metric('weir_checkpoints_total') > 0 AS checkpoints, metric('weir_checkpoint_bytes_total') > 0 AS bytes,
       metric('weir_checkpoint_seconds_total') > 0 AS seconds, metric('weir_checkpoint_failures_total') AS failures,
       metric('weir_checkpoint_age_seconds') < 60 AS age;
SELECT stage, metric('weir_stage_seconds_total', jsonb_build_object('stage', stage)) > 0 AS spent
    FROM unnest('{fetch,decode,apply,publish,copy,wait}'::text[]) stage;

-- Partitions, once for the stream.
SELECT labels ->> 'partition' AS partition, name, value FROM weir.metrics
    WHERE labels @> '{"stream": "metrics.events"}' AND name ~ '^weir_partition_(position|committed|high_watermark|lag_messages|watermark_seconds)$'
    ORDER BY 1, 2;
SELECT count(*), bool_and(abs(value - extract(epoch FROM now())) < 600) AS recent FROM weir.metrics
    WHERE name = 'weir_partition_last_message_seconds' AND labels @> '{"stream": "metrics.events"}';

-- Exactly one state is 1, the one that weir.status says, and since when.
SELECT count(*) AS states, sum(value) AS ones FROM weir.metrics WHERE name = 'weir_view_state' AND labels @> '{"view": "metrics.v"}';
SELECT weir.pause('v');
SELECT labels ->> 'state' AS state FROM weir.metrics WHERE name = 'weir_view_state' AND labels @> '{"view": "metrics.v"}' AND value = 1;
SELECT state, state_since BETWEEN now() - interval '10 minutes' AND clock_timestamp() AS since FROM weir.status WHERE view_name = 'v'::regclass;
SELECT wait_for($$(SELECT lane IS NULL FROM weir.status WHERE view_name = 'v'::regclass)$$);
-- counters stay: a pause, and a lane that ended
SELECT metric('weir_events_total') AS events, metric('weir_final_rows_total') AS final, metric('weir_messages_total') AS messages,
       metric('weir_freshness_seconds_count') AS visible, metric('weir_commit_latency_seconds_count') AS committed;
SELECT weir.resume('v');
INSERT INTO events VALUES ('e', 1, at(31), 0);
SELECT weir.flush('v');
SELECT metric('weir_events_total') AS events, metric('weir_restarts_total') AS restarts, metric('weir_freshness_seconds_count') AS visible,
       metric('weir_commit_latency_seconds_count') AS committed, metric('weir_messages_total') >= 11 AS messages;

-- An append view has rows, and no windows.
SELECT weir.create_view('rows', 'SELECT kind, n FROM events WHERE n > 2');
SELECT weir.flush('rows');
SELECT name, value FROM weir.metrics WHERE labels @> '{"view": "metrics.rows"}'
    AND name IN ('weir_events_total', 'weir_final_rows_total', 'weir_windows_open', 'weir_freshness_seconds_count', 'weir_commit_latency_seconds_count')
    ORDER BY name;
SELECT (SELECT count(*) FROM rows) = rows_final AS counted FROM weir.status WHERE view_name = 'rows'::regclass;
SELECT weir.drop_view('rows');
SELECT wait_for($$(SELECT count(*) = 1 FROM weir.running_views())$$);

-- Histograms: each bucket has those before it, the last one all.
SELECT h, bool_and(value >= before) AS ascending, max(value) = metric(h || '_count') AS all, metric(h || '_sum') > 0 AS sum, count(*) AS buckets
FROM (SELECT regexp_replace(name, '_bucket$', '') AS h, value,
             lag(value, 1, 0) OVER (PARTITION BY name ORDER BY replace(labels ->> 'le', '+Inf', 'Infinity')::float8) AS before
      FROM weir.metrics WHERE name ~ '_bucket$' AND labels @> '{"view": "metrics.v"}') b
GROUP BY h ORDER BY h;

-- Names follow Prometheus' convention, a series is there once, no value is missing.
SELECT name FROM weir.metrics WHERE name !~ '^weir_[a-z_]+$';
SELECT name, labels FROM weir.metrics GROUP BY 1, 2 HAVING count(*) > 1;
SELECT count(*) FROM weir.metrics WHERE name IS NULL OR labels IS NULL OR value IS NULL;
-- What docs/reference.md lists, and what there is, but for what takes a while.
\set docs `sed -n 's/^| .\(weir_[a-z_]*\). | \([a-z]*\) |\([a-z, ]*\)|.*/\1:\2:\3/p' "$PG_ABS_SRCDIR/../docs/reference.md"`
CREATE TABLE documented AS
    SELECT d[1] AS name, d[2] AS type, string_to_array(replace(d[3], ' ', ''), ',') AS labels
    FROM (SELECT string_to_array(line, ':') AS d FROM string_to_table(:'docs', E'\n') line) l;
SELECT count(*) > 40 AS some, count(*) FILTER (WHERE type NOT IN ('counter', 'gauge', 'histogram')) AS no_type,
       count(*) FILTER (WHERE (type = 'counter') <> (name ~ '_total$')) AS misnamed FROM documented;
CREATE TABLE promised AS
    SELECT name, labels FROM documented WHERE type <> 'histogram' UNION ALL
    SELECT name || '_bucket', 'le'::text || labels FROM documented WHERE type = 'histogram' UNION ALL
    SELECT name || s, labels FROM documented, unnest('{_sum,_count}'::text[]) s WHERE type = 'histogram';
CREATE TABLE present AS SELECT DISTINCT name, ARRAY(SELECT jsonb_object_keys(labels) k ORDER BY k) AS labels FROM weir.metrics;
SELECT * FROM present EXCEPT SELECT * FROM promised ORDER BY 1;
SELECT * FROM promised WHERE name !~ 'partition_low|kafka_(broker_state|rtt)' EXCEPT SELECT * FROM present ORDER BY 1;
SELECT name, value FROM weir.metrics WHERE name IN ('weir_up', 'weir_build_info') ORDER BY name;
SELECT (SELECT value FROM weir.metrics WHERE name = 'weir_arena_used_bytes') BETWEEN 1
    AND (SELECT value FROM weir.metrics WHERE name = 'weir_arena_bytes') AS arena;

-- Who may see neither view nor stream is told of the server only.
CREATE ROLE metrics_nobody;
GRANT USAGE ON SCHEMA metrics TO metrics_nobody;
SET ROLE metrics_nobody;
SELECT DISTINCT name FROM weir.metrics ORDER BY 1;
RESET ROLE;
GRANT SELECT ON v TO metrics_nobody;
SET ROLE metrics_nobody;
SELECT labels ->> 'view' AS view, count(*) > 40 AS rows FROM weir.metrics WHERE labels ? 'stream' GROUP BY 1;
RESET ROLE;
REVOKE ALL ON v FROM metrics_nobody;
GRANT weir_monitor TO metrics_nobody;
SET ROLE metrics_nobody;
SELECT count(*) > 0 AS lanes FROM weir.metrics WHERE labels @> '{"stream": "metrics.events"}' AND labels ? 'lane';
RESET ROLE;

-- What users cannot see by name is quoted.
CREATE SCHEMA "Odd one";
SELECT weir.create_view('"Odd one"."a ""view"""', 'SELECT weir.tumble(ts, ''10 s'') AS w, count(*) FROM metrics.events GROUP BY 1');
SELECT DISTINCT labels ->> 'view' AS view, (labels ->> 'view')::regclass FROM weir.metrics WHERE name = 'weir_events_total' AND labels ->> 'stream' = 'metrics.events' ORDER BY 1;
SELECT weir.drop_view('"Odd one"."a ""view"""');
DROP SCHEMA "Odd one";

\set ECHO errors
SELECT weir.drop_view('v') AS done \gset
DROP SCHEMA metrics CASCADE;
DROP SERVER metrics CASCADE;
DROP ROLE metrics_nobody;
