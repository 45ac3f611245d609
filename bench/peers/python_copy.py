"""A Python consumer that copies each message into a table, for others to group.

python_copy.py BROKERS TOPIC HOST:PORT TABLE
"""

import io
import sys

import orjson
import psycopg2
from confluent_kafka import Consumer

BATCH, WAIT = 10_000, 0.2


def main():
    brokers, topic, server, table = sys.argv[1:5]
    host, port = server.split(":")
    connection = psycopg2.connect(host=host, port=port, user="postgres", dbname="postgres")
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "copy", "auto.offset.reset": "earliest",
                         "enable.auto.commit": False})
    consumer.subscribe([topic])
    while True:
        events = [orjson.loads(m.value()) for m in consumer.consume(BATCH, WAIT) if not m.error()]
        if not events:
            continue
        lines = "".join(f"{e['ts']}\t{e['event_type']}\t{e['country']}\t{e['amount']}\t{e['latency_ms']}\n"
                        for e in events)
        with connection, connection.cursor() as cursor:
            cursor.copy_expert(f"COPY {table} FROM STDIN", io.StringIO(lines))
            cursor.execute(f"INSERT INTO {table}_progress VALUES ({len(events)})")
        consumer.commit(asynchronous=True)


main()
