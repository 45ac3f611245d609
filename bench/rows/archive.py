"""A topic becomes rows of a table: beside COPY of the same rows into the same table."""

import os
import time

from harness import check, server, views
from harness.server import sql
from harness.views import View
from rows import row

ARCHIVE = View("SELECT * FROM {stream}")


def _copied(index):
    """What COPY takes for the rows of the view v; returns seconds and CPU-seconds."""
    path = os.path.join(os.environ["HOME"], "archive.copy")
    sql(f"COPY v TO '{path}'; DROP TABLE IF EXISTS copied; CREATE TABLE copied (LIKE v); {index.format('copied')}")
    with server.Session() as session:
        pid = int(session.ask("SELECT pg_backend_pid()")[0])
        cpu, begin = server.cpu_seconds(pid), time.monotonic()
        session.ask(f"COPY copied FROM '{path}'")
        took = time.monotonic() - begin, server.cpu_seconds(pid) - cpu
    os.remove(path)
    return took


def _archive(bench, what, figures, after="", index=""):
    rate, cpu = figures
    topic, stream = bench.backlog(part=0.2)
    sql(f"SELECT weir.create_view('v', $$ {ARCHIVE.text(stream)} $$); SELECT weir.pause('v'); {after} {index.format('v')}")
    with server.Watch() as used:
        begin = time.monotonic()
        sql("SELECT weir.resume('v')")
        views.flush("v")
        seconds = time.monotonic() - begin
    if (n := int(sql("SELECT count(*) FROM v"))) != topic.events:
        raise check.Wrong(f"{what}: {n} rows of {topic.events}")
    rate.add("weir", topic.events / seconds)
    cpu.add("weir", topic.events / used.cpu)
    seconds, used = _copied(index)
    rate.add("COPY", topic.events / seconds)
    cpu.add("COPY", topic.events / used)
    views.drop("v")


@row
def archive(bench):
    """All columns of all messages, as they come; with a key; through the executor."""
    trigger = """CREATE OR REPLACE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
        CREATE TRIGGER t AFTER INSERT ON v EXECUTE FUNCTION nothing();"""
    key = "ALTER TABLE {} ADD PRIMARY KEY (event_id);"
    for what, named in (("plain", {}), ("a primary key", {"index": key}), ("a trigger", {"after": trigger})):
        figures = (bench.figure("archive", f"{what}, rate", "rows/s", beside="COPY"),
                   bench.figure("archive", f"{what}, CPU", "rows per CPU-second", beside="COPY"))
        for _ in range(bench.runs):
            _archive(bench, what, figures, **named)
