"""How it was, from Prometheus, which has asked postgres_exporter for weir.metrics."""

from model import PROMETHEUS, board, heatmap, lines, promql, query_variable, row, source_variable, timeline

# Variables without a format: Prometheus's data source escapes them for its strings,
# of which some versions mean the single-quoted ones; names may have double quotes.
VIEW = "stream='$stream', view=~'$view'"
STREAM = "stream='$stream'"

# What a state is like: a number for each.
CONDITIONS = [('running', 'green', 'running|idle|finished|standby'), ('catching up', 'yellow', 'starting|catching up|queued'),
              ('waiting', 'orange', 'paused.*|restarting|postponed|waiting.*'), ('stopped', 'red', 'error|out of memory')]
CONDITION = 'max by (view) (' + ' or '.join(
    f'weir_view_state{{{VIEW}, state=~"{states}"}} * {number}'
    for number, (_, _, states) in enumerate(CONDITIONS, 1)) + ')'
MAPPINGS = [{'type': 'value', 'options': {str(number): {'text': name, 'color': color, 'index': number}
                                          for number, (name, color, _) in enumerate(CONDITIONS, 1)}}]


def rate(name, labels):
    return f'rate(weir_{name}{{{labels}}}[$__rate_interval])'


def of_views(value, legend='{{view}}'):
    return promql((f'max by (view) ({value})', legend))


def gauge_of_views(name):
    return of_views(f'weir_{name}{{{VIEW}}}')


def quantiles(name):
    return promql(*((f'histogram_quantile({q}, sum by (le, view) ({rate(name + "_bucket", VIEW)}))', f'{{{{view}}}} p{q[2:]}')
                    for q in ('0.50', '0.99')))


def of_lanes(*names_and_legends):
    return promql(*((rate(name, STREAM), f'lane {{{{lane}}}} {legend}'.strip()) for name, legend in names_and_legends))


def mean(seconds, times):
    return promql((f'{rate(seconds, STREAM)} / ({rate(times, STREAM)} > 0)', 'lane {{lane}}'))


def of_partitions(value):
    return promql((value, '{{partition}}'))


def dashboard():
    return board(
        'weir-history', 'Weir: history', 'What weir.metrics said over time; needs Prometheus',
        [source_variable('prometheus', 'weir-prometheus'),
         query_variable('stream', 'Stream', 'label_values(weir_view_state, stream)', PROMETHEUS),
         query_variable('view', 'View', "label_values(weir_view_state{stream='$stream'}, view)", PROMETHEUS, several=True)],
        [
            timeline('State', promql((CONDITION, '{{view}}')), (24, 6), MAPPINGS),
            lines('Events', of_views(rate('events_total', VIEW)), (8, 8), unit='cps'),
            lines('Behind', gauge_of_views('lag_messages'), (8, 8), about='Messages'),
            lines('Behind, in time', gauge_of_views('lag_seconds'), (8, 8), unit='s',
                  about="How old the last message is that was read of a partition that is not read to its end"),
            lines('Freshness', quantiles('freshness_seconds'), (12, 9), unit='s', about="From Kafka's timestamp to being readable"),
            heatmap('Freshness', promql((f'sum by (le) (increase(weir_freshness_seconds_bucket{{{VIEW}}}[$__rate_interval]))',
                                         '{{le}}'), form='heatmap'), (12, 9), interval='15s'),
            lines('Committed after', quantiles('commit_latency_seconds'), (8, 8), unit='s',
                  about="From Kafka's timestamp to the commit"),
            lines('Watermark, behind the clock', gauge_of_views('watermark_lag_seconds'), (8, 8), unit='s'),
            lines('Windows that became final', of_views(rate('final_rows_total', VIEW)), (8, 8), unit='cps', about='Rows'),
            lines('Late events', of_views(rate('late_events_total', VIEW)), (8, 8), unit='cps'),
            lines('Dead letters', of_views(rate('dead_letters_total', VIEW)), (8, 8), unit='cps'),
            lines('Lost offsets, restarts', promql(
                (f'max by (view) (increase(weir_lost_offsets_total{{{VIEW}}}[$__rate_interval]))', '{{view}} lost'),
                (f'max by (view) (increase(weir_restarts_total{{{VIEW}}}[$__rate_interval]))', '{{view}} restarts')), (8, 8)),
            lines('Open groups', gauge_of_views('groups_open'), (8, 8)),
            lines('Open windows', gauge_of_views('windows_open'), (8, 8)),
            lines('Memory', gauge_of_views('memory_bytes'), (8, 8), stacked=True, unit='bytes'),
            row('Partitions'),
            lines('Behind', of_partitions(f'weir_partition_lag_messages{{{STREAM}}}'), (12, 8), about='Messages'),
            lines('Watermark, behind the clock', of_partitions(f'time() - weir_partition_watermark_seconds{{{STREAM}}}'), (12, 8),
                  unit='s', about='The slowest holds the closing of windows back, unless it is idle'),
            row('Lanes'),
            lines('Read', of_lanes(('messages_total', '')), (8, 8), unit='cps', about='Messages'),
            lines('Read, in bytes', of_lanes(('bytes_total', '')), (8, 8), unit='Bps'),
            lines('Malformed', of_lanes(('malformed_total', '')), (8, 8), unit='cps'),
            lines("The workers' time", promql((f'sum by (stage) ({rate("stage_seconds_total", STREAM)})', '{{stage}}')), (12, 9),
                  stacked=True, unit='percentunit', about='1 is one worker; wait: for messages or memory'),
            lines('A batch', mean('messages_total', 'batches_total'), (12, 9), about='Messages'),
            lines('A checkpoint', mean('checkpoint_seconds_total', 'checkpoints_total'), (8, 8), unit='s'),
            lines('State log', of_lanes(('checkpoint_bytes_total', '')), (8, 8), unit='Bps'),
            lines('Age of the last checkpoint, failures', promql(
                (f'weir_checkpoint_age_seconds{{{STREAM}}}', 'lane {{lane}} age'),
                (f'increase(weir_checkpoint_failures_total{{{STREAM}}}[$__rate_interval])', 'lane {{lane}} failed'),
                (f'increase(weir_lane_failures_total{{{STREAM}}}[$__rate_interval])', 'lane {{lane}} ended in disorder')), (8, 8)),
            row('librdkafka'),
            lines('Bytes', of_lanes(('kafka_rx_bytes_total', 'received'), ('kafka_tx_bytes_total', 'sent')), (8, 8), unit='Bps'),
            lines('Fetched, not read', promql((f'weir_kafka_fetch_queue_messages{{{STREAM}}}', 'lane {{lane}}')), (8, 8)),
            lines('Errors, disconnects', of_lanes(('kafka_request_errors_total', 'errors'),
                                                  ('kafka_disconnects_total', 'disconnects')), (8, 8), unit='cps'),
            lines('Round trip', promql((f'weir_kafka_rtt_seconds_avg{{{STREAM}}}', '{{broker}}')), (12, 8), unit='s',
                  about='A fetch waits up to fetch.wait.max.ms for messages'),
            lines('Connected brokers', promql((f'sum by (lane) (weir_kafka_broker_state{{{STREAM}}})', 'lane {{lane}}')), (12, 8)),
            row('Server'),
            lines('Shared memory', promql(('weir_arena_used_bytes', 'used'), ('weir_arena_bytes', 'weir.memory_limit')), (12, 8),
                  unit='bytes'),
            lines('Queues', promql((f'weir_queue_bytes{{{STREAM}}}', 'lane {{lane}} may hold')), (6, 8), unit='bytes'),
            lines('Ingest workers', promql((f'weir_workers{{{STREAM}}}', 'lane {{lane}}')), (6, 8)),
        ], since='now-1h', refresh='10s')
