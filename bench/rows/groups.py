"""Many groups: filling a window, closing it, committing it, and getting it back."""

import threading
import time

from harness import check, kafka, server, views
from harness.fresh import latencies, percentile
from harness.server import sql
from rows import row
from rows.live import look, sent

MILLION = 1_000_000


@row
def million(bench):
    """A window with a million groups (as many as there are users), beside the plain view."""
    topic, stream = bench.backlog(part=0.5)
    bench.floor(topic)
    rate = bench.figure("million", "rate", "events/s", beside="plain view", goal=">= 0.6")
    cpu = bench.figure("million", "CPU", "events per CPU-second", beside="plain view")
    for _ in range(bench.runs):
        for column, view in ("plain view", views.TRAFFIC), ("weir", views.by_user(MILLION)):
            took = views.drain(topic, stream, view)
            if column == "weir":
                _nothing_missing(topic)
            else:
                check.like_floor("v")
            views.drop("v")
            rate.add(column, took.per_second)
            cpu.add(column, took.per_cpu_second)


def _nothing_missing(topic):
    counted = int(sql("SELECT (SELECT sum(events) FROM v) + (SELECT sum(late) FROM weir.status)"))
    if counted != topic.events:
        raise check.Wrong(f"{counted} events counted or late, of {topic.events}")


@row
def closing(bench):
    """A window with as many groups is closed by hand, while the README's view is read."""
    topic = kafka.Topic("closing", bench.events // 2, options=["--users", str(MILLION)])
    views.stream("closing", "closing", max_ahead="30000 days")
    rate = bench.figure("closing", "final rows, the wait for a checkpoint included", "rows/s", goal=">= 500,000")
    delay = bench.figure("closing", "greatest freshness at 5,000/s meanwhile", "ms", "less",
                         beside="before it", goal="10 ms more")
    for _ in range(bench.runs):
        for name, view in ("v", views.TRAFFIC), ("w", views.FOR_EVER):
            views.create(name, view, "closing")
        views.flush("closing")
        live = Closing(bench)
        rate.add("weir", int(sql("SELECT count(*) FROM w_final")) / live.seconds)
        delay.add("before it", percentile(live.before, 1))
        delay.add("weir", percentile(live.after, 1))
        views.drop("v", "w")


class Closing:
    """Freshness of v before w is closed, and from then on; and how long that took."""

    def __init__(self, bench):
        since = sql("SELECT clock_timestamp()")
        producer = kafka.live("closing", "--rate", "5000", "--duration", str(2 * bench.seconds + 1))
        begin = time.time() + bench.seconds
        closer = threading.Thread(target=self._close, args=(begin,))
        closer.start()
        seen = look(2 * bench.seconds, f"SELECT sum(events) FROM v WHERE window_start > '{since}'::timestamptz - interval '10 s'")
        closer.join()
        kafka.end(producer)
        events = sent("closing", since)
        self.before = latencies(events, seen, (begin - bench.seconds / 2) * 1000, begin * 1000)
        self.after = latencies(events, seen, begin * 1000)

    def _close(self, begin):
        time.sleep(begin - time.time())
        called = time.monotonic()
        sql("SELECT weir.advance_watermark('w', '2080-01-01')")
        with server.Session() as session:
            server.wait_for(lambda: session.ask(
                "SELECT windows_final FROM weir.status WHERE view_name = 'w'::regclass") == ["1"],
                "the window to be final", pause=0.01)
        self.seconds = time.monotonic() - called


@row
def checkpoint(bench):
    """100,000 groups, committed each second or only at the end."""
    topic, stream = bench.backlog(part=0.5)
    rate = bench.figure("checkpoint", "each second, rate", "events/s", beside="only at the end", goal=">= 0.95")
    wal = bench.figure("checkpoint", "each second, written", "MB", "less", beside="only at the end")
    for _ in range(bench.runs):
        for column, interval in ("only at the end", "1h"), ("weir", "1s"):
            server.setting(weir__checkpoint_interval=interval)
            begin = sql("SELECT pg_current_wal_insert_lsn()")
            took = views.drain(topic, stream, views.by_user(100_000))
            written = sql(f"SELECT pg_current_wal_insert_lsn() - '{begin}'::pg_lsn")
            _nothing_missing(topic)
            # a view leaves its lane at a checkpoint
            server.setting(weir__checkpoint_interval=None)
            views.drop("v")
            rate.add(column, took.per_second)
            wal.add(column, float(written) / 1e6)


@row
def recovery(bench):
    """kill -9 of the postmaster with a million groups open."""
    topic, stream = bench.backlog(part=0.5)
    running = bench.figure("recovery", "from the server's start to running", "s", "less", goal="<= 3")
    replay = bench.figure("recovery", "PostgreSQL's own start before that", "s", "less")
    views.create("v", views.by_user(MILLION), stream)
    views.flush("v")
    for _ in range(bench.runs):
        server.kill()
        begin = time.monotonic()
        server.start()
        replay.add("weir", time.monotonic() - begin)
        running.add("weir", server.wait_for(_is_running, "the view to run"))
        _nothing_missing(topic)
    views.drop("v")


def _is_running():
    return sql("SELECT state IN ('running', 'idle') FROM weir.status") == "t"
