"""Other queries than the README's, each beside a plain one."""

from harness import check, views
from harness.server import sql
from rows import Skip, row


def _beside(bench, row_name, view, column, plain, goal):
    """Drain both, run by run."""
    topic, stream = bench.backlog(part=0.3)
    if why := views.supported(view, stream):
        raise Skip(why)
    rate = bench.figure(row_name, "rate", "events/s", beside=column, goal=goal)
    cpu = bench.figure(row_name, "CPU", "events per CPU-second", beside=column)
    for _ in range(bench.runs):
        for name, query in (column, plain), ("weir", view):
            took = views.drain(topic, stream, query)
            views.drop("v")
            rate.add(name, took.per_second)
            cpu.add(name, took.per_cpu_second)


@row
def expressions(bench):
    """Keys, arguments and a filter that are expressions."""
    _beside(bench, "expressions", views.EXPRESSIONS, "plain view", views.TRAFFIC, ">= 0.9")


@row
def hop(bench):
    """Windows of 60 s that begin each second, beside tumbling ones of 60 s."""
    _beside(bench, "hop", views.HOPPING, "tumble", views.MINUTES, ">= 0.8")


@row
def generic(bench):
    """Aggregates that run by their transition functions, 1,000 groups."""
    _beside(bench, "generic", views.GENERIC, "plain view", views.THOUSAND, ">= 0.9")


@row
def hll(bench):
    """hll, 1,000 groups."""
    _extension("hll")
    _beside(bench, "hll", views.HLL, "plain view", views.THOUSAND, ">= 0.75")


@row
def tdigest(bench):
    """tdigest, 1,000 groups."""
    _extension("tdigest")
    _beside(bench, "tdigest", views.TDIGEST, "plain view", views.THOUSAND, ">= 0.75")


def _extension(name):
    if sql(f"SELECT count(*) FROM pg_available_extensions WHERE name = '{name}'") == "0":
        raise Skip(f"no extension {name} is installed")
    sql(f"SET client_min_messages = warning; CREATE EXTENSION IF NOT EXISTS {name}")


@row
def fifty(bench):
    """Fifty views on one topic, of five GROUP BYs and ten filters."""
    topic, stream = bench.backlog(part=0.1)
    queries = list(views.fifty())
    names = [f"v{i}" for i in range(len(queries))]
    rate = bench.figure("fifty", "rate", "events/s", beside="one view", goal=">= 100,000/s")
    cpu = bench.figure("fifty", "CPU", "events per CPU-second", beside="one view")
    for _ in range(bench.runs):
        one = views.drain(topic, stream, views.TRAFFIC)
        views.drop("v")
        took = views.drain(topic, stream, *queries)
        _sums(names, topic)
        views.drop(*names)
        for column, drained in ("one view", one), ("weir", took):
            rate.add(column, drained.per_second)
            cpu.add(column, drained.per_cpu_second)


def _sums(names, topic):
    """Of ten views one leaves an event out, so fifty count it 45 times, unless it is late."""
    counted = int(sql(" + ".join(f"(SELECT sum(events) FROM {n})" for n in names).join(("SELECT ", ""))))
    late = int(sql("SELECT sum(late) FROM weir.status"))
    if counted + late != topic.events * 45:
        raise check.Wrong(f"{counted} events counted, {late} late, {topic.events} sent, 45 times each")
