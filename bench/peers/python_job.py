"""The query of the README as a Python consumer: a dict of windows, upserted now and then.

python_job.py BROKERS TOPIC HOST:PORT TABLE

No watermark, nothing is ever dropped from the dict, and what it holds is lost when it stops.
"""

import sys
import time

import orjson
import psycopg2
from confluent_kafka import Consumer
from psycopg2.extras import execute_values

FLUSH = 0.2  # seconds
UPSERT = """INSERT INTO {} VALUES %s ON CONFLICT (window_start, event_type, country)
    DO UPDATE SET events = excluded.events, revenue = excluded.revenue, avg_latency = excluded.avg_latency,
        max_latency = excluded.max_latency"""


def take(message, groups, changed):
    event = orjson.loads(message.value())
    key = (event["ts"][:18], event["event_type"], event["country"])  # to ten seconds
    latency = event["latency_ms"]
    group = groups.get(key)
    if group is None:
        groups[key] = [1, event["amount"], latency, latency]
    else:
        group[0] += 1
        group[1] += event["amount"]
        group[2] += latency
        if latency > group[3]:
            group[3] = latency
    changed.add(key)


def write(connection, table, groups, changed):
    rows = []
    for key in changed:
        n, revenue, latencies, most = groups[key]
        rows.append((key[0] + "0Z", key[1], key[2], n, revenue, latencies / n, most))
    with connection, connection.cursor() as cursor:
        execute_values(cursor, UPSERT.format(table), rows, page_size=1000)


def main():
    brokers, topic, server, table = sys.argv[1:5]
    host, port = server.split(":")
    connection = psycopg2.connect(host=host, port=port, user="postgres", dbname="postgres")
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "python", "auto.offset.reset": "earliest",
                         "enable.auto.commit": False})
    consumer.subscribe([topic])
    groups, changed, last = {}, set(), time.monotonic()
    while True:
        for message in consumer.consume(10_000, FLUSH):
            if not message.error():
                take(message, groups, changed)
        if changed and time.monotonic() - last >= FLUSH:
            write(connection, table, groups, changed)
            changed.clear()
            last = time.monotonic()
            consumer.commit(asynchronous=True)


main()
