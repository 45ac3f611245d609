"""Another program at work: its processes, their CPU and memory."""

import os
import signal
import subprocess
import threading

HZ = os.sysconf("SC_CLK_TCK")
LOG = os.path.join(os.environ["HOME"], "job.log")


class Job:
    """Started on enter, ended with all its children on exit."""

    def __init__(self, command, env):
        self.command = command
        self.env = {**os.environ, **env}
        self.memory = 0.0  # MB, of all its processes, at the most
        self.stop = threading.Event()

    def __enter__(self):
        with open(LOG, "w") as log:
            self.process = subprocess.Popen(self.command, env=self.env, stdout=log, stderr=log,
                                            start_new_session=True)
        threading.Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for number in signal.SIGTERM, signal.SIGKILL:
            try:
                os.killpg(self.process.pid, number)
                self.process.wait(20)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                pass

    def check(self):
        """It is not to end by itself."""
        if self.process.poll() is not None:
            with open(LOG) as log:
                raise RuntimeError(f"{self.command[0]} ended: {log.read()[-500:]}")

    def cpu(self):
        return sum(_cpu(p) for p in self._tree())

    def _watch(self):
        while not self.stop.wait(1):
            self.memory = max(self.memory, sum(_resident_mb(p) for p in self._tree()))

    def _tree(self):
        found, rest = [], [self.process.pid]
        while rest:
            found.append(rest.pop())
            rest += _children(found[-1])
        return found


def _children(pid):
    try:
        children = []
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children") as f:
                children += [int(p) for p in f.read().split()]
        return children
    except OSError:
        return []


def _cpu(pid):
    """Of a process, and of children of it that have ended."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            return sum(int(t) for t in f.read().rpartition(") ")[2].split()[11:15]) / HZ
    except OSError:
        return 0


def _resident_mb(pid):
    try:
        with open(f"/proc/{pid}/status") as f:
            return next((int(line.split()[1]) for line in f if line.startswith("VmRSS:")), 0) / 1024
    except OSError:
        return 0
