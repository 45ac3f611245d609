"""The demo's business, from the continuous views that sql/init.sql makes."""

from model import (POSTGRES, bars, board, columns_over_time, field, lines, query_variable, row, source_variable,
                   sql, stat, table)

TRAFFIC = '$__timeFilter(window_start) AND event_type IN (${event_type:sqlstring}) AND country IN (${country:sqlstring})'
REQUESTS = '$__timeFilter(window_start) AND country IN (${country:sqlstring})'

# The seconds that the windows of a point span, up to now, so that the open one
# does not look like a fall.
SECONDS = """greatest(1, extract(epoch FROM least(max(window_start) + interval '10 seconds', now()) - min(window_start)))"""


def by_time(value, metric, name):
    return sql(f"""
        SELECT $__timeGroup(window_start, $__interval) AS "time", {metric} AS metric,
            (sum({value}) / {SECONDS})::float8 AS {name}
        FROM traffic_10s WHERE {TRAFFIC} GROUP BY 1, 2 ORDER BY 1""", 'time_series')


def percentiles(group, source):
    """the upper ends of the classes that p50, p95 and p99 are in"""
    key = f'{group} AS "time", ' if group else ''
    by = 'GROUP BY 1, 2' if group else 'GROUP BY 1'
    over = 'PARTITION BY "time" ' if group else ''
    shown = '"time", ' if group else ''
    end = ' GROUP BY 1 ORDER BY 1' if group else ''
    quantiles = ', '.join(f'min(exp(latency_class / 10.0)) FILTER (WHERE upto >= {q} * total)::float8 AS p{q[2:]}'
                          for q in ('0.50', '0.95', '0.99'))
    return f"""
        SELECT {shown}{quantiles}
        FROM (SELECT {shown}latency_class, sum(n) OVER ({over}ORDER BY latency_class) AS upto,
                sum(n) OVER ({over.strip()}) AS total
            FROM (SELECT {key}latency_class, sum(events) AS n FROM {source} WHERE {REQUESTS} {by}) classes) sums{end}"""


def dashboard():
    return board(
        'weir-demo', 'Weir: the demo', 'Revenue, clicks, errors and latency of the events that weir-producer makes',
        [source_variable('postgres', 'weir-postgres'),
         query_variable('event_type', 'Type', 'SELECT DISTINCT event_type FROM traffic_10s '
                        'WHERE $__timeFilter(window_start) ORDER BY 1', POSTGRES, several=True),
         query_variable('country', 'Country', 'SELECT DISTINCT country FROM traffic_10s '
                        'WHERE $__timeFilter(window_start) ORDER BY 1', POSTGRES, several=True)],
        [
            stat('Revenue', sql(f'SELECT sum(revenue) AS revenue FROM traffic_10s WHERE {TRAFFIC}'), unit='currencyEUR',
                 about='In the time that is shown'),
            stat('Events', sql(f'SELECT sum(events)::float8 AS events FROM traffic_10s WHERE {TRAFFIC}')),
            stat('Events per second', sql(f"""
                SELECT (sum(events) / {SECONDS})::float8 AS "events/s" FROM traffic_10s
                WHERE {TRAFFIC}"""), unit='cps'),
            stat('Errors', sql(f"""
                SELECT (sum(errors) / sum(events))::float8 AS errors FROM requests_10s WHERE {REQUESTS}"""),
                 unit='percentunit', bounds=(0.05, 0.1), decimals=2, about='Share of events with level ERROR'),
            stat('Latency p50, p95, p99', sql(percentiles('', 'requests_10s')), (8, 4), unit='ms', decimals=0,
                 bounds=(300, 1000)),
            lines('Revenue', by_time('revenue', 'event_type', 'revenue'), (12, 9), stacked=True, unit='currencyEUR',
                  interval='10s', about='Per second, by type of event'),
            lines('Events', by_time('events', 'event_type', 'events'), (12, 9), stacked=True, unit='cps', interval='10s',
                  about='Per second, by type of event'),
            bars('Clicks by country', sql(f"""
                SELECT country, sum(events)::float8 AS clicks FROM traffic_10s
                WHERE $__timeFilter(window_start) AND event_type = 'click' AND country IN (${{country:sqlstring}})
                GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 20"""), (8, 12), color='continuous-BlPu'),
            lines('Latency', sql(percentiles('$__timeGroup(window_start, $__interval)', 'requests_10s'), 'time_series'),
                  (8, 12), unit='ms', interval='10s',
                  about='Percentiles of a histogram that is kept for each window and country: exact to a tenth, over any time'),
            lines('Errors', sql(f"""
                SELECT $__timeGroup(window_start, $__interval) AS "time", (sum(errors) / sum(events))::float8 AS errors
                FROM requests_10s WHERE {REQUESTS} GROUP BY 1 ORDER BY 1""", 'time_series'), (8, 12),
                  unit='percentunit', interval='10s', bounds=(0.05, 0.1), about='Share of events with level ERROR'),
            columns_over_time('Clicks by country', sql("""
                SELECT $__timeGroup(window_start, $__interval) AS "time", country AS metric, sum(events)::float8 AS clicks
                FROM traffic_10s
                WHERE $__timeFilter(window_start) AND event_type = 'click' AND country IN (${country:sqlstring})
                GROUP BY 1, 2 ORDER BY 1""", 'time_series'), (12, 10), interval='30s'),
            table('The newest windows', sql(f"""
                SELECT window_start, CASE WHEN window_start + interval '10 seconds' <= closed_upto
                        THEN 'final' ELSE 'open' END AS state,
                    event_type, country, events, revenue, avg_latency::float8 AS average, max_latency AS greatest
                FROM (SELECT * FROM traffic_10s WHERE {TRAFFIC}
                        ORDER BY window_start DESC, events DESC, event_type, country LIMIT 100) t,
                    (SELECT closed_upto FROM weir.status WHERE view_name = 'traffic_10s'::regclass) s
                ORDER BY window_start DESC, events DESC"""), (12, 10), overrides=[
                field('window_start', 'dateTimeAsIsoNoDateIfToday', width=120), field('revenue', 'currencyEUR'),
                field('average', 'ms', decimals=1), field('greatest', 'ms')],
                  about='Open windows are rows like final ones; they fill while you look'),
        ], since='now-15m')
