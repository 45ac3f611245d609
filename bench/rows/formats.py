"""Avro and CSV beside JSON: the same columns of the same messages, partition by partition."""

import json
import os
import struct
from datetime import datetime

from harness import check, kafka, views
from harness.server import sql
from rows import row

COPIED = os.path.join(os.environ["HOME"], "avro.copy")
SCHEMA = """{"type": "record", "name": "Event", "fields": [{"name": "event_id", "type": "string"},
    {"name": "event_type", "type": "string"}, {"name": "user_id", "type": "long"},
    {"name": "country", "type": "string"}, {"name": "amount", "type": "double"},
    {"name": "latency_ms", "type": "int"},
    {"name": "ts", "type": {"type": "long", "logicalType": "timestamp-micros"}}]}"""


def _long(n):
    """As Avro has it: zigzag, seven bits a byte."""
    n = n << 1 ^ n >> 63
    found = bytearray()
    while n > 127:
        found.append(n & 127 | 128)
        n >>= 7
    found.append(n)
    return bytes(found)


def _string(text):
    return _long(len(text)) + text.encode()


def _datum(event):
    """An event by SCHEMA."""
    us = int(datetime.fromisoformat(event["ts"]).timestamp() * 1000 + 0.5) * 1000
    return (_string(event["event_id"]) + _string(event["event_type"]) + _long(event["user_id"])
            + _string(event["country"]) + struct.pack("<d", event["amount"])
            + _long(event["latency_ms"]) + _long(us))


def _write_avro(topic, name):
    """Weir reads Avro, and writes bytes: a raw stream on the same topic takes them."""
    lines = COPIED + ".lines"
    topic.print_to(lines)
    with open(lines) as read, open(COPIED, "w") as write:
        for n, line in enumerate(read):
            write.write(f"\\\\x{_datum(json.loads(line)).hex()}\t{n % kafka.PARTITIONS}\n")
    sql(f"""CREATE FOREIGN TABLE {name}_raw (message bytea, part int OPTIONS (metadata 'partition'))
            SERVER kafka OPTIONS (topic '{name}', format 'raw');
        COPY {name}_raw FROM '{COPIED}'""")


def _write_by_insert(topic, name):
    if sql("SELECT to_regclass('source') IS NULL") == "t":
        views.stream("source", topic.name, partition=True)
    sql(f"INSERT INTO {name} SELECT * FROM source")


def _beside_json(bench, name, write, **options):
    topic, _ = bench.backlog(part=0.1)
    bench.floor(topic)
    for stream, how, named in (f"json_{name}", _write_by_insert, {}), (name, write, options):
        kafka.create(stream)
        views.stream(stream, stream, partition=True, **named)
        how(topic, stream)
    rate = bench.figure("formats", f"{name}, rate", "events/s", beside="JSON", goal=">= 1.0")
    cpu = bench.figure("formats", f"{name}, CPU", "events per CPU-second", beside="JSON")
    for _ in range(bench.runs):
        for column, stream in ("JSON", f"json_{name}"), ("weir", name):
            took = views.drain(topic, stream, views.TRAFFIC)
            check.like_floor("v")
            views.drop("v")
            rate.add(column, took.per_second)
            cpu.add(column, took.per_cpu_second)


@row
def csv(bench):
    """A drain of CSV, a tenth of EVENTS."""
    _beside_json(bench, "csv", _write_by_insert, format="csv")


@row
def avro(bench):
    """A drain of Avro, a tenth of EVENTS."""
    _beside_json(bench, "avro", _write_avro, format="avro", avro_schema=SCHEMA)
