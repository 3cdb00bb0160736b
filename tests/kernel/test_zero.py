"""culprit writes without a spec, on a program that holds its objects in all the ways there are; the truth is the program's own."""
import json
import subprocess
import time

import pytest

from conftest import BUILD
from test_writes import Writes

HOLDERS = BUILD / "tests" / "holders"
WAYS = ("pointer", "unique", "shared", "ref", "vector", "map", "unordered", "deque", "list")


class Holders:
    """The program, started with some of its caches and asked for wild stores."""

    def __init__(self, *ways, every_us=20000, prefix=()):
        self.process = subprocess.Popen([*prefix, str(HOLDERS), *ways, "--every", str(every_us)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.pid = int(self.process.stdout.readline().split("pid=")[1])

    def ask(self, *words):
        print(*words, file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())

    def wild(self, way, hold_ms=1500):
        return self.ask("wild", way, hold_ms)

    def stop(self):
        if self.process.poll() is None:
            print("quit", file=self.process.stdin, flush=True)
        return self.process.wait(timeout=30)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(timeout=30)


@pytest.fixture
def holders():
    """holders(*ways, ...) -> Holders; all of them are ended after the test."""
    started = []

    def start(*args, **kwargs):
        started.append(Holders(*args, **kwargs))
        return started[-1]

    yield start
    for program in started:
        program.kill()


ZERO = ("--type", "held::Item")


def found_as_told(findings, truth):
    """One finding, and it is the planted store."""
    (found, ) = findings
    assert (found["object"]["addr"], found["addr"], found["new"]) == (truth["object"], truth["addr"], truth["new"])
    assert (found["path"], found["reason"], found["confidence"]) == ("part_", "wild-pointer", "certain")
    assert found["object"]["type"] == "held::Item" and found["pid"] == truth["pid"]
    return found


@pytest.mark.parametrize("way", WAYS)
def test_the_type_alone(holders, way):
    """Nothing but the type: constructors, destructors and mutators serve, however the objects are held."""
    program = holders(way)
    writes = Writes(program, "--setters", "all", seconds=5, what=ZERO)
    time.sleep(1.5)
    truth = program.wild(way)
    assert writes.result() == 1, writes.stderr
    found_as_told(writes.findings, truth)
    assert writes.summary["counters"]["inserted"] > 20
    assert program.stop() == 0


def test_health_is_silence(holders):
    """All ways at once and fast: vectors move their elements, nodes come and go."""
    program = holders(*WAYS, every_us=2000)
    writes = Writes(program, "--setters", "all", "--max-overhead", "100", seconds=10, what=ZERO)
    code = writes.result()
    assert writes.findings == [] and code == 0, writes.summary["notes"]
    counters = writes.summary["counters"]
    assert counters["inserted"] > 5000 and counters["destroyed"] > 5000
    # Those that live are those the caches hold, but for what is just moved.
    alive = sum(program.ask("count").values())
    assert abs(counters["objects"] - alive) < 0.3 * alive
    assert program.stop() == 0
