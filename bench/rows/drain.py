"""A backlog becomes windows: beside librdkafka alone, and beside the floor."""

import os

from harness import check, kafka, server, views
from rows import row


def _figures(bench, row_name, what, goal):
    return (bench.figure(row_name, f"{what}, rate", "events/s", beside="floor"),
            bench.figure(row_name, f"{what}, CPU", "events per CPU-second", beside="floor", goal=goal),
            bench.figure(row_name, f"{what}, memory", "MB", "less"))


def _drain(bench, figures, compression, queue_mb, alone=False, part=1):
    """One run: librdkafka alone, the floor, Weir; the view is checked."""
    rate, cpu, memory = figures
    topic, stream = bench.backlog(compression, part)
    for column, file in (("librdkafka alone", False),) * alone + (("floor", True),):
        took = bench.floor(topic, queue_mb) if file else kafka.consume(topic, queue_mb)
        rate.add(column, took["events"] / took["seconds"])
        cpu.add(column, took["events"] / took["cpu_seconds"])
    took = views.drain(topic, stream, views.TRAFFIC)
    check.like_floor("v")
    views.drop("v")
    rate.add("weir", took.per_second)
    cpu.add("weir", took.per_cpu_second)
    memory.add("weir", took.memory)


@row
def exact(bench):
    """No figure: the floor and the views of other rows against PostgreSQL alone."""
    # In the order of the archive, though a broker that is cold makes the producer send again.
    topic = kafka.Topic("sample", min(bench.events, 200_000), options=["--users", "1000000", "--idempotence"])
    views.stream("sample", "sample")
    check.load_batch(topic, os.path.join(os.environ["HOME"], "sample.txt"))
    bench.floor(topic)
    for view in (views.TRAFFIC, views.MINUTES, views.EXPRESSIONS, views.by_user(1_000_000),
                 views.THOUSAND, views.GENERIC, views.HOPPING):
        if why := views.supported(view, "sample"):
            print(f"  not there: {why}")
            continue
        views.create("v", view, "sample")
        views.flush("v")
        if view is views.TRAFFIC:
            check.like_floor("v")
        if view is not views.HOPPING:
            check.like_batch("v", view)
        views.drop("v")


@row
def drain(bench):
    """As it comes, uncompressed and lz4."""
    for compression in "none", "lz4":
        figures = _figures(bench, "drain", compression, ">= 1.0")
        for _ in range(bench.runs):
            _drain(bench, figures, compression, bench.queue_mb, alone=True)


@row
def budget(bench):
    """With less and more memory for what is fetched ahead, half of EVENTS."""
    for mb in 200, 512:
        figures = _figures(bench, "budget", f"{mb} MB", "")
        server.setting(weir__queue_size=f"{mb}MB")
        for _ in range(bench.runs):
            _drain(bench, figures, "none", mb, part=0.5)
    server.setting(weir__queue_size=None)


@row
def workers(bench):
    """Several ingest workers, each with its share of the partitions, beside one."""
    topic, stream = bench.backlog(part=0.5)
    bench.floor(topic)
    counts = [int(n) for n in os.environ.get("WORKERS", "2").split()]
    figures = {n: (bench.figure("workers", f"{n}, rate", "events/s", beside="one worker", goal=">= 1.0"),
                   bench.figure("workers", f"{n}, CPU", "events per CPU-second", beside="one worker"))
               for n in counts}
    for _ in range(bench.runs):
        one = _with_workers(topic, stream, 1)
        for n, (rate, cpu) in figures.items():
            took = _with_workers(topic, stream, n)
            rate.add("weir", took.per_second)
            rate.add("one worker", one.per_second)
            cpu.add("weir", took.per_cpu_second)
            cpu.add("one worker", one.per_cpu_second)


def _with_workers(topic, stream, n):
    server.setting(weir__ingest_workers=n)
    try:
        took = views.drain(topic, stream, views.TRAFFIC)
        check.like_floor("v")
        views.drop("v")
    finally:
        server.setting(weir__ingest_workers=None)
    return took


@row
def first_row(bench):
    """From CREATE to the first row that a SELECT returns, on a full topic."""
    _, stream = bench.backlog()
    figure = bench.figure("first_row", "after CREATE", "s", "less", goal="<= 0.5")
    for _ in range(max(bench.runs, 3)):
        figure.add("weir", views.first_row(stream))
