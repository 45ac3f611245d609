"""Reading while a backlog is drained."""

import os
import statistics
import subprocess

from harness import check, server, views
from harness.server import sql
from rows import row


class Dashboards:
    """pgbench: clients that run a statement, at a rate or as fast as they can."""

    SESSIONS = "FROM pg_stat_activity WHERE application_name = 'pgbench'"

    def __init__(self, statement, clients, rate=None):
        self.log = os.path.join(os.environ["HOME"], "dashboard")
        with open(self.log + ".sql", "w") as f:
            f.write(statement + ";\n")
        self.clients = clients
        self.command = ["pgbench", "-n", "-f", self.log + ".sql", "-c", str(clients), "-T", "600", "-l",
                        "--log-prefix", self.log, *(["-R", str(rate)] if rate else [])]

    def __enter__(self):
        self.pgbench = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        server.wait_for(lambda: int(sql(f"SELECT count(*) {self.SESSIONS}")) == self.clients, "pgbench to connect")
        return self

    def __exit__(self, *_):
        # a pgbench that is ended by a signal loses the end of its log
        sql(f"SELECT pg_terminate_backend(pid) {self.SESSIONS}")
        self.pgbench.wait()
        name = f"{self.log}.{self.pgbench.pid}"
        with open(name) as f:
            self.ms = [int(line.split()[2]) / 1000 for line in f if line.count(" ") >= 5]
        os.remove(name)
        if not self.ms:
            raise RuntimeError("no answer came while the backlog was drained")


@row
def select(bench):
    """All of 10,000 open groups, read again and again while they are filled."""
    topic, stream = bench.backlog(part=0.5)
    figure = bench.figure("select", "10,000 open groups while draining, median", "ms", "less", goal="<= 10")
    views.drain(topic, stream, views.by_user(10_000))
    for _ in range(bench.runs):
        with Dashboards("SELECT * FROM v", 1) as reader:
            views.drain_again(topic, stream)
        figure.add("weir", statistics.median(reader.ms))
    views.drop("v")


@row
def dashboards(bench):
    """A hundred clients, each of which reads the open windows each second."""
    topic, stream = bench.backlog(part=0.5)
    rate = bench.figure("dashboards", "rate of ingest", "events/s", beside="nobody reads", goal=">= 0.95")
    cpu = bench.figure("dashboards", "CPU of ingest", "events per CPU-second", beside="nobody reads")
    ms = bench.figure("dashboards", "answer, median", "ms", "less")
    bench.floor(topic)
    views.drain(topic, stream, views.TRAFFIC)
    for _ in range(bench.runs):
        alone = views.drain_again(topic, stream)
        with Dashboards("SELECT country, sum(events), sum(revenue) FROM v_open GROUP BY 1", 100, 100) as readers:
            read = views.drain_again(topic, stream)
        check.like_floor("v")
        for column, took in ("nobody reads", alone), ("weir", read):
            rate.add(column, took.per_second)
            cpu.add(column, took.per_cpu_second)
        ms.add("weir", statistics.median(readers.ms))
    views.drop("v")
