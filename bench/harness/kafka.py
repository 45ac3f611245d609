"""Topics of the private Kafka, weir-producer, and the plain programs."""

import os
import subprocess

HOME = os.environ["HOME"]
BROKERS = os.environ["BROKERS"]
PARTITIONS = 12
BEGIN = "2026-01-01T00:00:00Z"
PRODUCER = os.path.join(HOME, "weir-producer")


class Topic:
    """A backlog: events with 1 ms of event time between them, some displaced."""

    def __init__(self, name, events, compression="none", options=()):
        self.name = name
        self.events = events
        self.options = ["--count", str(events), "--start-time", BEGIN, "--out-of-order", "0.02",
                        "--late", "0.0005", *options]
        produce(name, *self.options, "--compression", compression)

    def print_to(self, path):
        """The same messages, one a line."""
        with open(path, "w") as f:
            subprocess.run([PRODUCER, "--print", "--quiet", *self.options], stdout=f, check=True)


def produce(topic, *options):
    end(live(topic, *options))


def end(producer):
    """Wait for it, and for all that it has sent."""
    _, problem = producer.communicate()
    if producer.returncode != 0:
        raise RuntimeError(f"weir-producer: {problem.strip()}")


def live(topic, *options):
    """weir-producer in the background; see end."""
    return subprocess.Popen([PRODUCER, "--brokers", BROKERS, "--topic", topic, "--partitions",
                             str(PARTITIONS), "--quiet", *options],
                            stderr=subprocess.PIPE, text=True)


def consume(topic, queue_mb, result=None):
    """librdkafka alone, or with a file for the result the floor."""
    return plain("consume", topic.name, str(topic.events), str(queue_mb), *([result] if result else []))


def plain(program, *args, **more):
    """Run consume or produce; returns what they print, by name."""
    done = subprocess.run([os.path.join(HOME, program), BROKERS, *args], stdout=subprocess.PIPE,
                          text=True, check=True, **more)
    return {k: float(v) for k, v in (pair.split("=") for pair in done.stdout.split())}


def create(topic):
    """An empty one."""
    subprocess.run([os.path.join(HOME, "scripts", "kafka"), "topic", BROKERS, topic, str(PARTITIONS)],
                   check=True, capture_output=True)
