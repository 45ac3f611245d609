"""bench/main.py [ROW ...] - measure rows, or all; started by bench/run in its sandbox."""

import os
import platform
import subprocess
import sys
import time

from harness import check, kafka, plot, result, server, views
from rows import ROWS, Skip
from rows import drain, live, queries, groups, reads, formats, archive, producer  # noqa: F401  (in this order)

if "PEERS" in os.environ:
    from rows import peers  # noqa: F401

OUT = os.path.join(os.environ["HOME"], "out")
WARM_UP = 10  # seconds
QUEUE_MB = 384  # weir.queue_size as it comes


class Bench:
    """What rows share: sizes, results, and the backlogs, made when first asked for."""

    def __init__(self, out):
        self.events = int(os.environ["EVENTS"])
        self.runs = int(os.environ["RUNS"])
        self.seconds = float(os.environ["SECONDS_LIVE"])
        self.results = result.Results(out, about(self))
        self.queue_mb = QUEUE_MB
        self.topics = {}

    def figure(self, *args, **named):
        return self.results.figure(*args, **named)

    def median(self, row, name):
        """Of Weir's figure, if it has been taken."""
        for f in self.results.figures:
            if f.row == row and f.name == name and "weir" in f.columns:
                return sorted(f.columns["weir"])[len(f.columns["weir"]) // 2]
        return None

    def backlog(self, compression="none", part=1):
        """The topic with EVENTS messages, or a part of them, read by a stream; returns both."""
        events = max(int(self.events * part), 1000)
        name = f"events_{compression}_{events}"
        if name not in self.topics:
            print(f"  producing {events:,} messages, compression {compression}", flush=True)
            self.topics[name] = kafka.Topic(name, events, compression, ["--users", "1000000"])
            views.stream(name, name)
        return self.topics[name], name

    def floor(self, topic, queue_mb=QUEUE_MB):
        """Run the floor; its result can be checked against afterwards."""
        path = os.path.join(os.environ["HOME"], "floor.txt")
        took = kafka.consume(topic, queue_mb, path)
        check.load_floor(path)
        return took


def about(bench):
    """The machine and the versions."""
    with open("/proc/cpuinfo") as f:
        model = next((line.split(":")[1].strip() for line in f if line.startswith("model name")),
                     platform.processor() or platform.machine())
    with open("/proc/meminfo") as f:
        memory = int(f.readline().split()[1]) / 1024**2
    release = platform.freedesktop_os_release().get("PRETTY_NAME", "")
    server_version = subprocess.run(["postgres", "--version"], capture_output=True, text=True).stdout.split()[2]
    return {
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "machine": f"{os.cpu_count()} x {model}, {memory:.0f} GB",
        "system": f"{release}, Linux {platform.release()}",
        "versions": f"Weir {os.environ.get('COMMIT', '')}, PostgreSQL {server_version}, {java_versions()}",
        "size": f"{bench.events:,} events, {bench.runs} runs, {bench.seconds:.0f} s live",
        "load": f"{os.getloadavg()[0]:.2f} at the start",
    }


def java_versions():
    jars = os.listdir(os.environ["WEIR_KAFKA_JARS"])
    kafka_version = next(j[len("kafka-clients-"):-4] for j in jars if j.startswith("kafka-clients-"))
    java = subprocess.run(["java", "-version"], capture_output=True, text=True).stderr.split('"')[1]
    return f"Kafka {kafka_version}, Java {java}"


def measure(bench, name):
    print(f"{name} ...", flush=True)
    begin = time.monotonic()
    try:
        ROWS[name](bench)
    except Skip as why:
        bench.results.skipped[name] = str(why)
        print(f"  skipped: {why}")
    except Exception as e:
        bench.results.failed[name] = f"{type(e).__name__}: {e}"
        print(f"  FAILED: {type(e).__name__}: {e}")
        recover()
    bench.results.write()
    print(f"  {time.monotonic() - begin:.0f} s", flush=True)


def recover():
    """After a failure: no views that the next row would meet."""
    server.setting(weir__queue_size=None, weir__checkpoint_interval=None)
    left = server.sql("SELECT view FROM weir.views").split()
    if left:
        views.drop(*left)


def warm_up():
    """Many small requests, since a cold broker is slow with them; until it keeps up."""
    kafka.produce("warm", "--count", str(kafka.PARTITIONS))
    views.stream("warm", "warm")
    views.create("v", views.TRAFFIC, "warm")
    for _ in range(6):
        print("warming up ...", flush=True)
        begin = time.monotonic()
        kafka.produce("warm", "--rate", "5000", "--duration", str(WARM_UP))
        views.flush("warm")
        if time.monotonic() - begin < WARM_UP + 1:
            break
    views.drop("v")


def main():
    wanted = sys.argv[1:] or list(ROWS)
    unknown = [w for w in wanted if w not in ROWS]
    if unknown:
        sys.exit(f"no row {unknown[0]}; rows are: {' '.join(ROWS)}")
    server.start()
    warm_up()
    bench = Bench(os.path.join(OUT, time.strftime("%Y%m%d-%H%M%S.json", time.gmtime())))
    for name in ROWS:
        if name in wanted:
            measure(bench, name)
    taken = [f for f in bench.results.figures if f.columns]
    with open(bench.results.path.replace(".json", ".svg"), "w") as f:
        f.write(plot.page(taken, bench.results.about))
    print("\n" + result.table(taken))
    for name, why in bench.results.skipped.items():
        print(f"{name}: skipped, {why}")
    for name, why in bench.results.failed.items():
        print(f"{name}: FAILED, {why}")
    sys.exit(1 if bench.results.failed else 0)


main()
