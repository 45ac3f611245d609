"""What Weir is compared with: Spark, Flink and Python consumers, on the same topics.

Only with PEERS, the folder that bench/peers/install has filled.
"""

import os
import time

from harness import check, kafka, server, views
from harness.fresh import latencies, percentile
from harness.job import Job
from harness.server import sql
from rows import row
from rows.live import Live, look, sent

PEERS = os.environ["PEERS"]
HERE = os.path.join(os.environ["HOME"], "bench", "peers")
SERVER = f"127.0.0.1:{os.environ['PGPORT']}"
NAMES = ["Spark", "Flink", "Python"]
WARM = 15  # seconds at 5,000/s before a virtual machine is as fast as it gets
LIMIT = 900
JAVA = ["java", "-Xmx2g", "--add-opens", "java.base/java.util=ALL-UNNAMED", "--add-opens",
        "java.base/java.lang=ALL-UNNAMED", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]


def command(name, topic, table):
    state = os.path.join(os.environ["HOME"], f"{name.lower()}-{topic}-{time.monotonic_ns()}")
    if name == "Spark":
        return ["python3", f"{HERE}/spark_job.py", kafka.BROKERS, topic, SERVER, table, state, f"{PEERS}/spark"]
    if name == "Flink":
        url = f"jdbc:postgresql://{SERVER}/postgres?user=postgres&reWriteBatchedInserts=true"
        return [*JAVA, "-cp", f"{PEERS}/classes:{PEERS}/flink/*", "FlinkJob", kafka.BROKERS, topic, url, table,
                state, "100 ms"]
    script = "python_job.py" if name == "Python" else "python_copy.py"
    return ["python3", f"{HERE}/{script}", kafka.BROKERS, topic, SERVER, table]


def job(name, topic, table):
    return Job(command(name, topic, table), {"PYTHONPATH": f"{PEERS}/python", "SPARK_LOCAL_IP": "127.0.0.1"})


def make_table(name):
    """Where a peer writes; returns its name and how to count what it has."""
    table = "peer_" + name.lower().replace(" ", "_")
    columns = """window_start timestamptz, event_type text, country text, events bigint, revenue float8,
        avg_latency float8, max_latency int"""
    if name == "Python COPY":
        sql(f"""SET client_min_messages = warning; DROP TABLE IF EXISTS {table}, {table}_progress;
            CREATE TABLE {table} (ts timestamptz, event_type text, country text, amount float8, latency_ms int);
            CREATE TABLE {table}_progress (n bigint)""")
        return table, f"SELECT sum(n) FROM {table}_progress"
    if name == "Flink":  # its connector writes no time zones; the server's is UTC
        columns = columns.replace("timestamptz", "timestamp")
    sql(f"""SET client_min_messages = warning; DROP TABLE IF EXISTS {table}, {table}_stage;
        CREATE TABLE {table} ({columns}, PRIMARY KEY (window_start, event_type, country));
        CREATE TABLE {table}_stage ({columns})""")
    return table, f"SELECT sum(events) FROM {table}"


class PeerDrain:
    """A peer reads the topic to its end; what it found is compared with the view v."""

    def __init__(self, name, topic):
        table, question = make_table(name)
        with job(name, topic.name, table) as at_work, server.Session() as session:
            begin = time.monotonic()
            self.first = None
            quarter = None  # when it was warm: seconds, events, CPU-seconds
            n = 0
            while n < topic.events:
                time.sleep(0.1)
                at_work.check()
                n = int(session.ask(f"SELECT coalesce(({question}), 0)")[0])
                now = time.monotonic() - begin
                if n and self.first is None:
                    self.first = now
                if quarter is None and n >= topic.events // 4:
                    quarter = now, n, at_work.cpu()
                if now > LIMIT:
                    raise TimeoutError(f"{name}: {n} of {topic.events} events after {LIMIT} s")
            cpu = at_work.cpu()
            if quarter[1] == n:  # all at once
                quarter = 0, 0, 0
            self.per_second = (n - quarter[1]) / (now - quarter[0])
            self.per_cpu_second = (n - quarter[1]) / max(cpu - quarter[2], 0.01)
            self.memory = at_work.memory
        if name != "Python COPY":
            check.like_view(table, "v")


@row
def peers_drain(bench):
    """A backlog in the order of its time, so that no peer drops anything as late."""
    topic = kafka.Topic("ordered", bench.events, options=["--out-of-order", "0", "--late", "0"])
    views.stream("ordered", "ordered")
    rate = bench.figure("peers", "drain, rate", "events/s", beside=NAMES, goal=">= 10, 7, 14")
    cpu = bench.figure("peers", "drain, CPU", "events per CPU-second", beside=NAMES)
    memory = bench.figure("peers", "drain, memory", "MB", "less", beside=NAMES)
    first = bench.figure("peers", "first row after the start", "s", "less", beside=NAMES, goal="<= 0.5 s")
    for _ in range(bench.runs):
        bench.floor(topic)
        weir = views.drain(topic, "ordered", views.TRAFFIC)
        check.like_floor("v")
        for name in NAMES + ["Python COPY"]:
            print(f"  {name}", flush=True)
            took = PeerDrain(name, topic)
            first.add(name, took.first)
            for figure, value in (rate, "per_second"), (cpu, "per_cpu_second"), (memory, "memory"):
                figure.add(name, getattr(took, value))
        views.drop("v")
        first.add("weir", views.first_row("ordered"))
        for figure, value in (rate, "per_second"), (cpu, "per_cpu_second"), (memory, "memory"):
            figure.add("weir", getattr(weir, value))


class PeerLive:
    """As Live: CPU and memory first, then freshness."""

    def __init__(self, bench, name, topic, rate):
        kafka.produce(topic, "--count", str(kafka.PARTITIONS))
        views.stream(topic, topic)
        table, question = make_table(name)
        with job(name, topic, table) as at_work:
            server.wait_for(lambda: sql(question) not in ("", "0"), f"{name} to start", 300)
            producer = kafka.live(topic, "--rate", str(rate), "--duration", str(WARM + 2 * bench.seconds + 1))
            time.sleep(WARM)
            cpu = at_work.cpu()
            time.sleep(bench.seconds)
            self.cpu = (at_work.cpu() - cpu) / bench.seconds * 100
            begin = time.time() * 1000
            seen = look(bench.seconds, question)
            kafka.end(producer)
            at_work.check()
            self.memory = at_work.memory
        self.latencies = latencies(sent(topic), seen, begin)


@row
def peers_live(bench):
    """5,000 events a second: freshness, CPU, memory."""
    figures = {name: bench.figure("peers", f"5,000/s, {name}", unit, "less", beside=NAMES)
               for name, unit in (("p50", "ms"), ("p99", "ms"), ("CPU", "% of a core"), ("memory", "MB"))}
    for i in range(bench.runs):
        for column in ["weir"] + NAMES + ["Python COPY"]:
            print(f"  {column}", flush=True)
            topic = f"peers_{i}_{column.lower().replace(' ', '_')}"
            live = Live(bench, topic, 5000) if column == "weir" else PeerLive(bench, column, topic, 5000)
            figures["CPU"].add(column, live.cpu)
            figures["memory"].add(column, live.memory)
            if not live.latencies:
                bench.results.skipped[f"freshness of {column}"] = "it fell behind by more than was looked at"
                continue
            for name, share in ("p50", 0.5), ("p99", 0.99):
                figures[name].add(column, percentile(live.latencies, share))
