"""Events as they come: freshness, and what it costs; and what silence costs."""

import time

from harness import kafka, server, views
from harness.fresh import latencies, percentile
from harness.server import Watch, sql
from rows import row

WARM = 2  # seconds before anything is measured


class Live:
    """A fresh topic with the README's view on it; events are sent at a rate.

    First nobody reads, and CPU and memory are taken; then one session asks again and
    again how many events the view holds, each answer with its time, and freshness
    is how long the n-th event took from its produce call (its event time, in
    milliseconds) to the first answer that holds n.
    """

    def __init__(self, bench, name, rate, *options):
        self.rate = rate
        kafka.produce(name, "--count", str(kafka.PARTITIONS))
        views.stream(name, name)
        views.create("v", views.TRAFFIC, name)
        views.flush(name)
        duration = WARM + 2 * bench.seconds + 1
        producer = kafka.live(name, "--rate", str(rate), "--duration", str(duration), *options)
        time.sleep(WARM)
        with Watch() as used:
            time.sleep(bench.seconds)
        self.cpu = used.cpu / bench.seconds * 100
        self.memory = used.memory
        begin = time.time() * 1000
        seen = look(bench.seconds, "SELECT sum(events) FROM v")
        kafka.end(producer)
        events = sent(name)
        self.sent = sum(n for _, n in events) / (duration)
        self.latencies = latencies(events, seen, begin)
        views.drop("v")


def look(seconds, question):
    """Ask for so long how many there are; [(ms since 1970, number)]."""
    seen = []
    end = time.time() + seconds
    with server.Session() as session:
        while time.time() < end:
            n, at = session.ask(f"SELECT coalesce(({question}), 0), extract(epoch FROM clock_timestamp()) * 1000")[0].split("|")
            seen.append((float(at), int(n)))
            time.sleep(0.001)
    return seen


def sent(stream, since="-infinity"):
    """What was sent when: [(ms since 1970, events)], from a running total of the topic."""
    sql(f"""SELECT weir.create_view('sent', $$ SELECT ts, count(*) AS n FROM {stream}
        WHERE ts >= '{since}'::timestamptz GROUP BY ts $$)""")
    views.flush("sent")
    lines = sql("SELECT extract(epoch FROM ts) * 1000, n FROM sent ORDER BY ts").splitlines()
    sql("SELECT weir.drop_view('sent')")
    return [(float(ms), int(n)) for ms, n in (line.split("|") for line in lines)]


def _freshness(bench, row_name, what, rate, goals, *options):
    figures = [bench.figure(row_name, f"{what}, {name}", "ms", "less", goal=goal)
               for name, goal in zip(("p50", "p99", "greatest"), goals)]
    cpu = bench.figure(row_name, f"{what}, CPU", "% of a core", "less", goal=goals[3])
    memory = bench.figure(row_name, f"{what}, memory", "MB", "less", goal=goals[4])
    pace = bench.figure(row_name, f"{what}, sent", "events/s")
    for i in range(bench.runs):
        live = Live(bench, f"{row_name}_{int(rate)}_{len(options)}_{i}", rate, *options)
        for figure, share in zip(figures, (0.5, 0.99, 1)):
            figure.add("weir", percentile(live.latencies, share))
        cpu.add("weir", live.cpu)
        memory.add("weir", live.memory)
        pace.add("weir", live.sent)


@row
def freshness(bench):
    """From produce call to visible in a SELECT, as it comes; CPU and memory meanwhile."""
    _freshness(bench, "freshness", "5,000/s", 5000, ("<= 10", "<= 25", "<= 100", "<= 5", "<= 60"))
    _freshness(bench, "freshness", "50,000/s", 50000, ("<= 10", "<= 30", "<= 100", "", ""))


@row
def low_latency(bench):
    """The same with a producer that waits for nothing (linger.ms 0)."""
    _freshness(bench, "low_latency", "5,000/s", 5000, ("<= 3", "<= 12", "<= 100", "", ""),
               "--property", "linger.ms=0")


@row
def freshness_full(bench):
    """At 70 % of the rate of a drain."""
    rate = bench.median("drain", "none, rate")
    if rate is None:
        topic, stream = bench.backlog()
        rate = views.drain(topic, stream, views.TRAFFIC).per_second
        views.drop("v")
    _freshness(bench, "freshness_full", f"70 % of the drain, {0.7 * rate:,.0f}/s", 0.7 * rate,
               ("<= 20", "<= 100", "", "", ""))


@row
def idle(bench):
    """CPU without events: one stream, and ten."""
    for streams, goal in (1, "<= 0.3"), (10, "<= 1"):
        figure = bench.figure("idle", f"{streams} streams" if streams > 1 else "one stream", "% of a core",
                              "less", goal=goal)
        names = [f"idle_{streams}_{i}" for i in range(streams)]
        for name in names:
            kafka.produce(name, "--count", str(kafka.PARTITIONS))
            views.stream(name, name)
            views.create(f"v_{name}", views.TRAFFIC, name)
            views.flush(name)
        time.sleep(WARM)
        for _ in range(bench.runs):
            with Watch() as used:
                time.sleep(bench.seconds)
            figure.add("weir", used.cpu / bench.seconds * 100)
        views.drop(*[f"v_{name}" for name in names])
