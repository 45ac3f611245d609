"""One stream with its views and partitions as they are now, from PostgreSQL alone."""

from model import (POSTGRES, bars, board, columns, field, query_variable, row, source_variable, sql, stat,
                   state_field, table)

MINE = 'stream::text = ${stream:sqlstring} AND view_name::text IN (${view:sqlstring})'
LETTERS = 'stream::text = ${stream:sqlstring} AND (view IS NULL OR view::text IN (${view:sqlstring}))'
LATE = 'stream::text = ${stream:sqlstring} AND view::text IN (${view:sqlstring})'

# A partition has one end, whichever view is asked; of positions the last one counts.
PARTITIONS = f"""
    SELECT partition::text AS partition, max(lag)::float8 AS behind, max(events)::float8 AS events,
        max(CASE WHEN isfinite(watermark) THEN extract(epoch FROM now() - watermark) END)::float8 AS age
    FROM weir.partitions WHERE {MINE} GROUP BY weir.partitions.partition ORDER BY weir.partitions.partition
"""

# weir.metrics has names with their schema, weir.status has them as the search path says.
OF_STREAM = "to_regclass(labels ->> 'stream')::text = ${stream:sqlstring}"
OF_VIEWS = "to_regclass(labels ->> 'view')::text IN (${view:sqlstring})"


def metric(name, shown):
    return f"max(value) FILTER (WHERE name = 'weir_{name}') AS \"{shown}\""


LANE_COLUMNS = f"""{metric('messages_total', 'messages')}, {metric('bytes_total', 'bytes')},
    max(value) FILTER (WHERE name = 'weir_checkpoint_seconds_total')
        / nullif(max(value) FILTER (WHERE name = 'weir_checkpoints_total'), 0) AS checkpoint,
    {metric('checkpoint_bytes_total', 'written')}, {metric('checkpoint_age_seconds', 'age')},
    {metric('checkpoint_failures_total', 'failed')}"""

CONSUMER_COLUMNS = f"""{metric('kafka_rx_bytes_total', 'received')}, {metric('kafka_tx_bytes_total', 'sent')},
    {metric('kafka_fetch_queue_messages', 'queued')}, {metric('queue_bytes', 'may hold')},
    {metric('kafka_request_errors_total', 'errors')}, {metric('kafka_disconnects_total', 'disconnects')}"""


def partitions(wanted):
    return sql(f'SELECT partition, {wanted} FROM ({PARTITIONS.strip()}) p WHERE {wanted} IS NOT NULL')


def dashboard():
    return board(
        'weir-stream', 'Weir: one stream', 'A stream, its views and its partitions as they are now',
        [source_variable('postgres', 'weir-postgres'),
         query_variable('stream', 'Stream', 'SELECT DISTINCT stream::text FROM weir.status ORDER BY 1', POSTGRES),
         query_variable('view', 'View', 'SELECT view_name::text FROM weir.status '
                        'WHERE stream::text = ${stream:sqlstring} ORDER BY 1', POSTGRES, several=True)],
        [
            stat('Events', sql(f"""
                SELECT coalesce(sum(events_per_second), 0)::float8 AS "events/s"
                FROM (SELECT DISTINCT lane, events_per_second FROM weir.status
                    WHERE {MINE} AND lane IS NOT NULL) lanes"""), unit='cps'),
            stat('Behind', sql(f"""
                SELECT coalesce(max(messages_left), 0)::float8 AS messages FROM weir.status WHERE {MINE}"""),
                 bounds=(10000, 1000000), about='Of the view that is furthest behind'),
            stat('Time left', sql(f"""
                SELECT extract(epoch FROM max(time_left))::float8 AS left FROM weir.status WHERE {MINE}"""),
                 unit='s', about='At the rate of the last second; nothing where nothing is being read'),
            stat('Freshness p50, p99', sql(f"""
                SELECT max(freshness_p50_ms) AS p50, max(freshness_p99_ms) AS p99 FROM weir.status WHERE {MINE}"""),
                 unit='ms', bounds=(250, 5000)),
            stat('Watermark age', sql(f"""
                SELECT extract(epoch FROM max(watermark_lag))::float8 AS age FROM weir.status WHERE {MINE}"""), unit='s', bounds=(60, 600), decimals=1,
                 about='How far the time up to which windows are final is behind the clock'),
            stat('Dead letters, late events', sql(f"""
                SELECT coalesce(sum(dead_letters), 0)::float8 AS dead, coalesce(sum(late), 0)::float8 AS late
                FROM weir.status WHERE {MINE}""")),
            table('Views', sql(f"""
                SELECT view_name::text AS view, state, state_since AS since, lane, workers, events, messages_left AS behind,
                    progress::float8 AS progress, windows_open AS open, windows_final AS final, closed_upto,
                    late, dead_letters AS "dead letters", lost, memory, memory_limit AS "limit",
                    queue_memory AS queue, held, restarts, error
                FROM weir.status WHERE {MINE} ORDER BY 1"""), (24, 6), overrides=[
                field('view', width=200), state_field(), field('since', 'dateTimeFromNow', width=120),
                field('progress', 'percent'),
                field('closed_upto', 'dateTimeAsIsoNoDateIfToday', width=110),
                field('behind', bounds=(10000, 1000000), colored='text'), field('memory', 'bytes'),
                field('limit', 'bytes'), field('queue', 'bytes'), field('error', width=400)]),
            row('Partitions'),
            columns('Behind', partitions('behind'), (8, 7), 'partition', about='Messages between the view and the end'),
            columns('Watermark age', partitions('age'), (8, 7), 'partition', unit='s',
                    about='The slowest partition holds the closing of windows back, unless it is idle'),
            columns('Events', partitions('events'), (8, 7), 'partition', about='Since the views began'),
            table('Partitions', sql(f"""
                SELECT view_name::text AS view, partition, start_offset AS start, "position", committed,
                    low_watermark AS "from", high_watermark AS "end", lag, last_message AS "last", watermark,
                    CASE WHEN isfinite(watermark) THEN extract(epoch FROM now() - watermark)::float8 END AS age,
                    CASE WHEN idle THEN 'idle' WHEN held THEN 'held back' ELSE 'active' END AS state,
                    events, late, dead_letters AS "dead letters", lost
                FROM weir.partitions WHERE {MINE} ORDER BY 1, 2"""), (24, 9), overrides=[
                field('view', width=200), field('lag', bounds=(10000, 1000000), colored='text'),
                field('last', 'dateTimeFromNow', width=120), field('watermark', 'dateTimeAsIsoNoDateIfToday', width=110),
                field('age', 's', (60, 600), decimals=1, colored='text'),
                field('late', bounds=(1, 1000000000), colored='text'),
                field('dead letters', bounds=(1, 1000000000), colored='text'), field('lost', bounds=(1,), colored='text')]),
            row('How the time is spent, since the server began'),
            bars("The workers' time", sql(f"""
                SELECT labels ->> 'stage' AS stage, sum(value) / greatest(sum(sum(value)) OVER (), 1e-9) AS share
                FROM weir.metrics WHERE name = 'weir_stage_seconds_total' AND {OF_STREAM}
                GROUP BY 1 ORDER BY 2 DESC, 1"""), (6, 8), unit='percentunit', most=1, color='continuous-BlPu',
                 about='wait: for messages or memory. Much of it is as it should be; none means that a lane is at its limit'),
            columns('How fresh', sql(f"""
                SELECT CASE le WHEN 'Infinity' THEN 'more' WHEN least(le, 1) THEN le * 1000 || ' ms' ELSE le || ' s' END AS upto,
                    (upto - coalesce(lag(upto) OVER (ORDER BY le), 0))::float8 AS events
                FROM (SELECT (labels ->> 'le')::float8 AS le, sum(value) AS upto FROM weir.metrics
                    WHERE name = 'weir_freshness_seconds_bucket' AND {OF_VIEWS} GROUP BY 1) classes
                ORDER BY le"""), (10, 8), 'upto',
                    about="Events by the time from Kafka's timestamp to being readable; each column's name is its upper end"),
            table('Lanes', sql(f"""
                SELECT labels ->> 'lane' AS lane, {LANE_COLUMNS}
                FROM weir.metrics WHERE labels ->> 'lane' IS NOT NULL AND labels ->> 'stage' IS NULL AND labels ->> 'broker' IS NULL AND {OF_STREAM}
                GROUP BY 1 ORDER BY length(labels ->> 'lane'), 1"""), (8, 8), overrides=[
                field('bytes', 'bytes'), field('checkpoint', 's', decimals=3), field('written', 'bytes'),
                field('age', 's', (15, 60), decimals=1, colored='text'), field('failed', bounds=(1,), colored='text')],
                  about='Messages and bytes that were read; the mean duration of a checkpoint, what checkpoints wrote, the age '
                        'of the last one, and how many had to be tried again'),
            row('librdkafka'),
            table('Consumers', sql(f"""
                SELECT labels ->> 'lane' AS lane, {CONSUMER_COLUMNS}
                FROM weir.metrics WHERE labels ->> 'lane' IS NOT NULL AND labels ->> 'stage' IS NULL AND labels ->> 'broker' IS NULL AND {OF_STREAM}
                GROUP BY 1 ORDER BY length(labels ->> 'lane'), 1"""), (12, 6), overrides=[
                field('received', 'bytes'), field('sent', 'bytes'), field('may hold', 'bytes'),
                field('errors', bounds=(1, 1000000000), colored='text'),
                field('disconnects', bounds=(10, 1000000000), colored='text')]),
            table('Brokers', sql(f"""
                SELECT labels ->> 'lane' AS lane, labels ->> 'broker' AS broker,
                    CASE max(value) FILTER (WHERE name = 'weir_kafka_broker_state') WHEN 1 THEN 'connected' ELSE 'away' END AS state,
                    max(value) FILTER (WHERE name = 'weir_kafka_rtt_seconds_avg') AS "round trip"
                FROM weir.metrics WHERE labels ->> 'broker' IS NOT NULL AND {OF_STREAM} GROUP BY 1, 2 ORDER BY 1, 2"""), (12, 6),
                  overrides=[field('round trip', 's')],
                  about='A fetch waits up to fetch.wait.max.ms for messages, and is a round trip, too'),
            row('Messages'),
            table('The newest dead letters', sql(f"""
                SELECT recorded_at, view::text AS view, partition, "offset", sqlstate, left(reason, 300) AS reason,
                    left(encode(payload, 'escape'), 300) AS payload
                FROM weir.dead_letters WHERE {LETTERS} AND $__timeFilter(recorded_at)
                ORDER BY recorded_at DESC LIMIT 50"""), (12, 9), overrides=[
                field('recorded_at', 'dateTimeFromNow', width=130), field('payload', width=400)],
                  about='Needs SELECT on the stream'),
            table('The newest late events', sql(f"""
                SELECT recorded_at, view::text AS view, partition, "offset", event_time, window_start,
                    extract(epoch FROM late_by)::float8 AS "late by", left(encode(payload, 'escape'), 300) AS payload
                FROM weir.late_events WHERE {LATE} AND $__timeFilter(recorded_at)
                ORDER BY recorded_at DESC LIMIT 50"""), (12, 9), overrides=[
                field('recorded_at', 'dateTimeFromNow', width=130), field('late by', 's'), field('payload', width=400)],
                  about='Of views made with keep_late; needs SELECT on the stream'),
        ])
