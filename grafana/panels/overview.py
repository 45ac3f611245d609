"""All streams as they are now, from PostgreSQL alone."""

from model import (POSTGRES, bars, board, columns_over_time, field, gauge, row, source_variable, sql, stat,
                   state_field, table)

IN_TROUBLE = """('error', 'out of memory', 'postponed', 'restarting', 'waiting for broker', 'waiting for topic',
    'paused: restored')"""

# What a lane has it shows for each of its views.
LANES = '(SELECT DISTINCT lane, events_per_second, lag FROM weir.status WHERE lane IS NOT NULL) lanes'

TO_STREAM = ('Open this stream', '/d/weir-stream?var-stream=${__data.fields.stream}'
             '&var-view=${__data.fields.view}&${__url_time_range}')

VIEWS = """
    SELECT view_name::text AS view, stream::text AS stream, state, state_since AS since,
        events_per_second::float8 AS "events/s", lag, freshness_p50_ms AS p50, freshness_p99_ms AS p99,
        extract(epoch FROM watermark_lag)::float8 AS "watermark age",
        windows_open AS open, groups_open AS groups, windows_final AS final, events, late, dead_letters AS "dead letters",
        lost, restarts, memory, error
    FROM weir.status ORDER BY state IN ('running', 'idle', 'finished', 'standby'), 2, 1
"""


def dashboard():
    return board(
        'weir-overview', 'Weir: streams', 'All continuous views of a database as they are now',
        [source_variable('postgres', 'weir-postgres')],
        [
            stat('Events', sql(f'SELECT coalesce(sum(events_per_second), 0)::float8 AS "events/s" FROM {LANES}'), (3, 4),
                 unit='cps', about='What all lanes read in their last full second'),
            stat('Behind', sql(f'SELECT coalesce(sum(lag), 0)::float8 AS messages FROM {LANES}'), (3, 4),
                 bounds=(10000, 1000000), about='Messages that Kafka has and no view has seen'),
            stat('Freshness p99', sql('SELECT max(freshness_p99_ms) AS p99 FROM weir.status'), (3, 4),
                 unit='ms', bounds=(250, 5000),
                 about="Of the worst view: from Kafka's timestamp to being readable, since its lane began; reading history makes it large"),
            stat('Views in trouble', sql(f"""
                SELECT count(*) FILTER (WHERE state IN {IN_TROUBLE}) AS views FROM weir.status"""), (3, 4),
                 bounds=(1,), about='In error, or waiting for something: a broker, a topic, memory, a lock'),
            stat('Dead letters', sql('SELECT coalesce(sum(dead_letters), 0)::float8 AS dead FROM weir.status'), (3, 4),
                 about='Since the views began'),
            stat('Late events', sql('SELECT coalesce(sum(late), 0)::float8 AS late FROM weir.status'), (3, 4),
                 about='Since the views began'),
            stat('Last checkpoint', sql("""
                SELECT max(value) AS age FROM weir.metrics WHERE name = 'weir_checkpoint_age_seconds'"""), (3, 4),
                 unit='s', decimals=1, bounds=(15, 60), about='Of the lane whose last one is the oldest'),
            gauge('Memory', sql("""
                SELECT 2 * sum(value) FILTER (WHERE name = 'weir_arena_used_bytes')
                    / sum(value) FILTER (WHERE name = 'weir_arena_bytes') AS used
                FROM weir.metrics"""), (3, 4), unit='percentunit', least=0, most=1, bounds=(0.5, 0.85),
                  about='Of what open windows may have: half of weir.memory_limit; the rest is kept for checkpoints'),
            table('Views', sql(VIEWS), (24, 9), about='Those in trouble first', overrides=[
                field('view', width=200, link=TO_STREAM), field('stream', width=150), state_field(),
                field('since', 'dateTimeFromNow', width=120),
                field('events/s', 'cps'), field('lag', bounds=(10000, 1000000), colored='text'),
                field('p50', 'ms', (100, 1000), colored='text'), field('p99', 'ms', (250, 5000), colored='text'),
                field('watermark age', 's', (60, 600), colored='text', decimals=0),
                field('late', bounds=(1, 1000000000), colored='text'),
                field('dead letters', bounds=(1, 1000000000), colored='text'), field('lost', bounds=(1,), colored='text'),
                field('memory', 'bytes'), field('error', width=400)]),
            bars('Behind, by view', sql("""
                SELECT view_name::text AS view, coalesce(messages_left, 0) AS messages
                FROM weir.status ORDER BY 2 DESC, 1 LIMIT 12"""), (8, 8), bounds=(10000, 1000000)),
            bars('Freshness p99, by view', sql("""
                SELECT view_name::text AS view, freshness_p99_ms AS p99
                FROM weir.status WHERE freshness_p99_ms IS NOT NULL ORDER BY 2 DESC, 1 LIMIT 12"""), (8, 8),
                 unit='ms', bounds=(250, 5000)),
            bars('Memory, by view', sql("""
                SELECT view_name::text AS view, coalesce(memory, 0) AS memory
                FROM weir.status ORDER BY 2 DESC, 1 LIMIT 12"""), (8, 8), unit='bytes', color='continuous-BlPu'),
            row('What went wrong'),
            columns_over_time('Dead letters', sql("""
                SELECT $__timeGroup(recorded_at, $__interval) AS "time", stream::text AS metric, count(*) AS letters
                FROM weir.dead_letters WHERE $__timeFilter(recorded_at) GROUP BY 1, 2 ORDER BY 1""", 'time_series'),
                              (12, 8), interval='10s', about='Of streams that the data source may SELECT from'),
            columns_over_time('Late events that are kept', sql("""
                SELECT $__timeGroup(recorded_at, $__interval) AS "time", view::text AS metric, count(*) AS events
                FROM weir.late_events WHERE $__timeFilter(recorded_at) GROUP BY 1, 2 ORDER BY 1""", 'time_series'),
                              (12, 8), interval='10s', about='Of views made with keep_late'),
            table('Dead letters by error', sql("""
                SELECT stream::text AS stream, view::text AS view, sqlstate, sum(letters)::float8 AS letters,
                    sum(bytes)::float8 AS bytes, sum(to_replay)::float8 AS "to replay", max(last_at) AS last
                FROM weir.dead_letter_summary
                WHERE hour > $__timeFrom()::timestamptz - interval '1 hour' AND $__timeFilter(last_at)
                GROUP BY 1, 2, 3 ORDER BY 4 DESC LIMIT 50"""), (12, 7), overrides=[
                field('bytes', 'bytes'), field('to replay', bounds=(1, 1000000000), colored='text'),
                field('last', 'dateTimeFromNow')], about='Of the hours that the time touches; weir.replay_dead_letters tries them once more'),
            table('Dead letters by reason', sql("""
                SELECT stream::text AS stream, view::text AS view, left(reason, 200) AS reason, count(*) AS letters,
                    max(recorded_at) AS last
                FROM weir.dead_letters WHERE $__timeFilter(recorded_at)
                GROUP BY 1, 2, 3 ORDER BY 4 DESC, 5 DESC LIMIT 50"""), (12, 7), overrides=[
                field('reason', width=400), field('last', 'dateTimeFromNow')],
                  about='Reasons quote messages: of streams that the data source may SELECT from'),
            table('Alerts of views', sql("""
                SELECT name, view::text AS view, state, key::text AS key, since, resolved_at
                FROM weir.alerts WHERE state = 'firing' OR $__timeFilter(since) ORDER BY state, since DESC LIMIT 100"""),
                  (12, 7), overrides=[field('since', 'dateTimeFromNow'), field('resolved_at', 'dateTimeFromNow')],
                  about='weir.create_alert'),
            table('Sinks', sql("""
                SELECT view_name::text AS view, topic, sent, pending, error, error_since FROM weir.sinks ORDER BY 1"""),
                  (12, 7), overrides=[field('pending', bounds=(10000, 1000000), colored='text'),
                                      field('error_since', 'dateTimeFromNow')], about='weir.create_sink'),
            table('Offsets that were lost', sql("""
                SELECT view::text AS view, topic, partition, from_offset, upto_offset, reason, recorded_at
                FROM weir.lost_ranges ORDER BY recorded_at DESC LIMIT 50"""), (24, 6),
                  overrides=[field('recorded_at', 'dateTimeFromNow')]),
        ])
