"""weir-producer, beside librdkafka alone that sends one message again and again."""

import os
import subprocess
import time

from harness import kafka
from rows import row

# Those of producer/sink_kafka.c.
PROPERTIES = ["enable.idempotence=false", "acks=all", "linger.ms=20", "queue.buffering.max.messages=20000",
              "queue.buffering.max.kbytes=65536", "delivery.report.only.error=true"]


@row
def producer(bench):
    """How fast it sends a backlog, uncompressed and lz4."""
    events = bench.events // 10
    for compression in "none", "lz4":
        rate = bench.figure("producer", f"{compression}, rate", "events/s", beside="bare loop", goal=">= 0.8")
        cpu = bench.figure("producer", f"{compression}, CPU", "events per CPU-second", beside="bare loop")
        for i in range(bench.runs):
            bare = _bare(events, f"bare-{compression}-{i}", compression)
            weir = _weir(events, f"sent-{compression}-{i}", compression)
            for column, (seconds, used) in ("bare loop", bare), ("weir", weir):
                rate.add(column, events / seconds)
                cpu.add(column, events / used)


def _bare(events, topic, compression):
    kafka.produce(topic, "--count", "1")
    message = subprocess.run([kafka.PRODUCER, "--print", "--quiet", "--count", "1"], capture_output=True).stdout
    took = kafka.plain("produce", topic, str(kafka.PARTITIONS), str(events),
                       f"compression.codec={compression}", *PROPERTIES, input=message.strip().decode())
    return took["seconds"], took["cpu_seconds"]


def _weir(events, topic, compression):
    kafka.produce(topic, "--count", "1")
    before = os.times()
    begin = time.monotonic()
    kafka.produce(topic, "--count", str(events), "--compression", compression)
    seconds = time.monotonic() - begin
    after = os.times()
    return seconds, (after.children_user + after.children_system
                     - before.children_user - before.children_system)
