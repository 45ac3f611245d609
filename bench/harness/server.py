"""The private PostgreSQL: statements by psql, and its life."""

import os
import subprocess
import threading
import time

DATA = os.path.join(os.environ["HOME"], "data")
PSQL = ["psql", "-XqAt", "-v", "ON_ERROR_STOP=1"]
END = "end-of-answer"


class SqlError(Exception):
    """What psql said."""


def sql(text):
    """Run statements in a session of their own; returns the output."""
    done = subprocess.run(PSQL, input=text, capture_output=True, text=True)
    if done.returncode != 0:
        raise SqlError(done.stderr.strip())
    return done.stdout.strip()


class Session:
    """A psql that stays connected, for what is asked again and again."""

    def __init__(self):
        self.psql = subprocess.Popen(PSQL, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                     stderr=subprocess.STDOUT, text=True, bufsize=1)

    def ask(self, text):
        """Statements; returns the lines of its answer."""
        self.psql.stdin.write(f"{text};\n\\echo {END}\n")
        lines = []
        while (line := self.psql.stdout.readline()) != END + "\n":
            if line == "":  # an error has ended it
                raise SqlError("\n".join(lines))
            lines.append(line.rstrip("\n"))
        return lines

    def close(self):
        self.psql.stdin.close()
        self.psql.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def postmaster():
    with open(os.path.join(DATA, "postmaster.pid")) as f:
        return int(f.readline())


def start():
    log = DATA + ".log"
    if subprocess.run(["pg_ctl", "-s", "-w", "-D", DATA, "-l", log, "start"]).returncode != 0:
        with open(log) as f:
            raise RuntimeError(f"PostgreSQL did not start: {f.read()[-2000:]}")


def kill():
    """kill -9 of the postmaster; returns when all its processes are gone."""
    pid = postmaster()
    children = _children(pid)
    os.kill(pid, 9)
    wait_for(lambda: not any(os.path.exists(f"/proc/{p}") for p in [pid] + children),
             "the server's processes to end")


def _children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as f:
        return [int(p) for p in f.read().split()]


def wait_for(condition, what, seconds=60, pause=0.05):
    """Until it is true; returns how long that took."""
    begin = time.monotonic()
    while not condition():
        if time.monotonic() - begin > seconds:
            raise TimeoutError(f"waited {seconds} s for {what}")
        time.sleep(pause)
    return time.monotonic() - begin


def setting(**values):
    """Change settings by reload; None: as they come."""
    sql("".join(f"ALTER SYSTEM RESET {n};" if v is None else f"ALTER SYSTEM SET {n} = '{v}';"
                for n, v in ((n.replace("__", "."), v) for n, v in values.items()))
        + "SELECT pg_reload_conf()")


class Watch:
    """CPU seconds and memory of Weir's processes, from enter to exit.

    They come and go with lanes, so they are looked at ten times a second: what
    one used in its last tenth is missed.
    """

    HZ = os.sysconf("SC_CLK_TCK")

    def __enter__(self):
        self.parent = postmaster()
        self.bare = bare_worker_mb()
        self.before = self._look()
        self.last = dict(self.before)
        self.memory = 0.0  # MB that they have above what bare workers would, at the most
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()
        self.last.update(self._look())

    @property
    def cpu(self):
        return sum(c - self.before.get(p, 0) for p, c in list(self.last.items()))

    def _run(self):
        while not self.stop.wait(0.1):
            now = self._look()
            self.last.update(now)
            self.memory = max(self.memory, sum(max(0, _anonymous_mb(p) - self.bare) for p in now))

    def _look(self):
        return {p: c for p in weir_processes(self.parent) if (c := cpu_seconds(p)) is not None}


def cpu_seconds(pid):
    """Of a process so far; None if it is gone."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            fields = f.read().rpartition(") ")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / Watch.HZ


def weir_processes(parent=None, kind=""):
    return [p for p in _children(parent or postmaster()) if _title(p).startswith(f"postgres: weir {kind}")]


def _title(pid):
    try:
        with open(f"/proc/{pid}/cmdline") as f:
            return f.read()
    except OSError:
        return ""


def _anonymous_mb(pid):
    try:
        with open(f"/proc/{pid}/status") as f:
            return next((int(line.split()[1]) for line in f if line.startswith("RssAnon:")), 0) / 1024
    except OSError:
        return 0


def bare_worker_mb():
    """What a background worker takes that does nothing."""
    for p in _children(postmaster()):
        if "logical replication launcher" in _title(p):
            return _anonymous_mb(p)
    return 0
