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
                SELECT extract(epoch FROM now() - min(watermark))::float8 AS age
                FROM weir.status WHERE {MINE} AND isfinite(watermark)"""), unit='s', bounds=(60, 600), decimals=1,
                 about='How far the time up to which windows are final is behind the clock'),
            stat('Dead letters, late events', sql(f"""
                SELECT coalesce(sum(dead_letters), 0)::float8 AS dead, coalesce(sum(late), 0)::float8 AS late
                FROM weir.status WHERE {MINE}""")),
            table('Views', sql(f"""
                SELECT view_name::text AS view, state, lane, workers, events, messages_left AS behind,
                    progress::float8 AS progress, windows_open AS open, windows_final AS final, closed_upto,
                    late, dead_letters AS "dead letters", lost, memory, memory_limit AS "limit",
                    queue_memory AS queue, held, error
                FROM weir.status WHERE {MINE} ORDER BY 1"""), (24, 6), overrides=[
                field('view', width=200), state_field(), field('progress', 'percent'),
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
                    high_watermark AS "end", lag, watermark,
                    CASE WHEN isfinite(watermark) THEN extract(epoch FROM now() - watermark)::float8 END AS age,
                    CASE WHEN idle THEN 'idle' WHEN held THEN 'held back' ELSE 'active' END AS state,
                    events, late, dead_letters AS "dead letters", lost
                FROM weir.partitions WHERE {MINE} ORDER BY 1, 2"""), (24, 9), overrides=[
                field('view', width=200), field('lag', bounds=(10000, 1000000), colored='text'),
                field('watermark', 'dateTimeAsIsoNoDateIfToday', width=110), field('age', 's', (60, 600), decimals=1, colored='text'),
                field('late', bounds=(1, 1000000000), colored='text'),
                field('dead letters', bounds=(1, 1000000000), colored='text'), field('lost', bounds=(1,), colored='text')]),
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
