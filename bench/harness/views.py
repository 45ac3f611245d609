"""Streams and views that the rows measure."""

import time

from harness import server
from harness.kafka import BROKERS
from harness.server import sql

COLUMNS = """event_id text, event_type text, user_id bigint, country text, amount float8,
    latency_ms int, ts timestamptz"""
DELAY = "5 seconds"
TAIL = """count(*) AS events, sum(amount) AS revenue, avg(latency_ms) AS avg_latency,
    max(latency_ms) AS max_latency FROM {stream}"""


class View:
    """A query, with its window and that one's size, for checking."""

    def __init__(self, query, size="10 seconds", window=None):
        self.size = size
        self.window = window or f"weir.tumble(ts, '{size}')"
        self.query = query

    def text(self, stream):
        return self.query.format(window=self.window, stream=stream)


def by_user(groups):
    """All events in one window of a day, with so many groups."""
    return View("SELECT {window} AS w, user_id % " + str(groups) + """ AS user_id, count(*) AS events,
        sum(amount) AS revenue FROM {stream} GROUP BY 1, 2""", "1 day")


# A window from 2024 to 2079: no event closes it.
FOR_EVER = View(by_user(1_000_000).query, "20000 days")
TRAFFIC = View("SELECT {window} AS window_start, event_type, country, " + TAIL + " GROUP BY 1, 2, 3")
MINUTES = View(TRAFFIC.query, "60 seconds")
HOPPING = View(TRAFFIC.query, "60 seconds", "weir.hop(ts, '60 seconds', '1 second')")
EXPRESSIONS = View("""SELECT {window} AS window_start, upper(event_type) AS event_type, country,
    count(*) AS events, sum(amount * 1.5) AS revenue, avg(latency_ms) AS avg_latency,
    max(latency_ms + 1) AS max_latency FROM {stream} WHERE length(country) = 2 GROUP BY 1, 2, 3""")
THOUSAND = View("SELECT {window} AS w, user_id % 1000 AS k, " + TAIL + " GROUP BY 1, 2", "1 day")
GENERIC = View("""SELECT {window} AS w, user_id % 1000 AS k, count(*) AS events,
    regr_count(amount, latency_ms) AS n, round(regr_sxx(amount, latency_ms)::numeric, 3) AS sxx
    FROM {stream} GROUP BY 1, 2""", "1 day")
HLL = View("""SELECT {window} AS w, user_id % 1000 AS k, count(*) AS events,
    hll_add_agg(hll_hash_bigint(user_id)) AS users FROM {stream} GROUP BY 1, 2""", "1 day")
TDIGEST = View("""SELECT {window} AS w, user_id % 1000 AS k, count(*) AS events,
    tdigest(latency_ms, 100) AS latency FROM {stream} GROUP BY 1, 2""", "1 day")


def fifty():
    """Five times GROUP BY, ten filters each."""
    keys = ("event_type, country", "country", "event_type", "latency_ms / 100", "user_id % 100")
    for key in keys:
        for i in range(10):
            yield View("SELECT {window} AS window_start, " + key + ", " + TAIL
                       + f" WHERE user_id % 10 <> {i} GROUP BY 1, "
                       + ", ".join(str(2 + j) for j in range(key.count(",") + 1)))


PARTITION = ", part int OPTIONS (metadata 'partition')"


def stream(name, topic, partition=False, **options):
    """Make one; partition: with a column for it."""
    options = dict(topic=topic, event_time="ts", watermark_delay=DELAY) | options
    sql(f"""SET client_min_messages = warning;
        CREATE EXTENSION IF NOT EXISTS weir;
        DO $$ BEGIN
            CREATE SERVER kafka FOREIGN DATA WRAPPER weir OPTIONS (bootstrap_servers '{BROKERS}');
        EXCEPTION WHEN duplicate_object THEN NULL; END $$;
        CREATE FOREIGN TABLE {name} ({COLUMNS}{PARTITION if partition else ""}) SERVER kafka
        OPTIONS ({", ".join(f"{k} '{v}'" for k, v in options.items())})""")


def create(name, view, of):
    sql(f"SELECT weir.create_view('{name}', $$ {view.text(of)} $$)")


def flush(name):
    sql(f"SELECT weir.flush('{name}', '10 min')")


def drop(*names):
    """And wait until nothing of them is left to disturb what comes next."""
    sql("".join(f"SELECT weir.drop_view('{n}');" for n in names))
    server.wait_for(lambda: not server.weir_processes(kind="ingest"), "the lanes to end")


class Drained:
    """What it took to bring a backlog into views, from the commit of their definition
    to the last commit of what they hold."""

    def __init__(self, topic, statement, of):
        with server.Session() as session, server.Watch() as used:
            session.ask("BEGIN")
            session.ask(statement)
            begin = time.monotonic()
            session.ask("COMMIT")
            session.ask(f"SELECT weir.flush('{of}', '10 min')")
            self.seconds = time.monotonic() - begin
        self.cpu = used.cpu
        self.memory = used.memory
        self.per_second = topic.events / self.seconds
        self.per_cpu_second = topic.events / self.cpu if self.cpu else 0


def drain(topic, of, *views):
    """Make views, v or v0, v1 ..., and drain the topic into them."""
    names = ["v"] if len(views) == 1 else [f"v{i}" for i in range(len(views))]
    return Drained(topic, "".join(f"SELECT weir.create_view('{n}', $$ {v.text(of)} $$);\n"
                                  for n, v in zip(names, views)), of)


def drain_again(topic, of):
    """The same into v, which is there already."""
    return Drained(topic, "SELECT weir.reset('v', 'earliest')", of)


def first_row(of):
    """Seconds from create_view to the first SELECT that returns a row."""
    with server.Session() as session:
        begin = time.monotonic()
        create("v", TRAFFIC, of)
        server.wait_for(lambda: session.ask("SELECT EXISTS (SELECT FROM v)") == ["t"], "the first row", pause=0.002)
        seconds = time.monotonic() - begin
    drop("v")
    return seconds


def supported(view, of="events"):
    """None, or why such a view cannot be made."""
    try:
        sql(f"BEGIN; SELECT weir.create_view('probe', $$ {view.text(of)} $$); ROLLBACK")
    except server.SqlError as e:
        return str(e).splitlines()[0]
    return None
