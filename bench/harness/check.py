"""Is what was measured also right?

A timed run of the README's view is compared with the floor's result over the same
messages, both ways.  The floor shares Weir's scanner; so floor and views are
also compared with PostgreSQL alone: a sample of the same events as jsonb, late ones
left out by their partition's watermark, and the view's own query over that.
"""

import os

from harness.kafka import PARTITIONS
from harness.server import sql
from harness.views import DELAY


class Wrong(Exception):
    """A result that is not what it has to be."""


def _differ(a, b):
    return f"SELECT count(*) FROM (({a} EXCEPT ALL {b}) UNION ALL ({b} EXCEPT ALL {a})) d"


def _none(query, what):
    if (n := sql(query).splitlines()[-1]) != "0":
        raise Wrong(f"{what}: {n} rows differ")


def load_floor(path):
    """The table floor, with the columns of the README's view."""
    sql(f"""DROP TABLE IF EXISTS floor, floor_lines;
        CREATE TABLE floor_lines (w float8, event_type text, country text, n bigint, revenue float8,
            latency_sum bigint, latency_n bigint, max_latency int);
        COPY floor_lines FROM '{os.path.abspath(path)}';
        CREATE TABLE floor AS SELECT to_timestamp(w) AS window_start, event_type, country, n AS events,
            revenue, latency_sum::numeric / nullif(latency_n, 0) AS avg_latency, max_latency FROM floor_lines""")


def like_floor(name):
    """A drained README view holds what the floor has found."""
    _none(_differ(f"(SELECT * FROM {name})", "(TABLE floor)"), f"{name} and the floor")


def like_view(table, name):
    """A peer's table holds what a README view does; its averages are floating point."""
    rows = """(SELECT window_start::timestamptz, event_type, country, events, revenue,
        round(avg_latency::numeric, 6), max_latency FROM {})"""
    _none(_differ(rows.format(table), rows.format(name)), f"{table} and {name}")


def load_batch(topic, path):
    """The schema batch: what the topic holds, without Weir."""
    topic.print_to(path)
    sql(f"""SET client_min_messages = warning;
        DROP SCHEMA IF EXISTS batch CASCADE; CREATE SCHEMA batch;
        CREATE TABLE batch.lines (n bigint GENERATED ALWAYS AS IDENTITY, line jsonb);
        COPY batch.lines (line) FROM '{path}';
        CREATE TABLE batch.archive AS
        SELECT *, max(ts) OVER (PARTITION BY part ORDER BY n ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
            - interval '{DELAY}' AS watermark
        FROM (SELECT n, (n - 1) % {PARTITIONS} AS part, r.* FROM batch.lines, jsonb_to_record(line)
            AS r(event_type text, user_id bigint, country text, amount float8, latency_ms int, ts timestamptz)) l""")


def _batch(view):
    """The view's query over the records that are on time."""
    return f"""SET search_path = batch, public; DROP TABLE IF EXISTS events;
        CREATE TABLE events AS SELECT * FROM archive
        WHERE watermark IS NULL OR {view.window} + interval '{view.size}' > watermark;"""


def like_batch(name, view):
    """A drained view of the sample holds what its query returns over the sample."""
    _none(_batch(view) + _differ(f"(SELECT * FROM {name})", f"({view.text('events')})"), f"{name} and the batch")
