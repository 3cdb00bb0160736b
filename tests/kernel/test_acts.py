"""All the ways in which protobuf writes a message itself, on real guarded objects of libprotobuf, and stray stores beside each."""
import json
import os
import signal
import subprocess
import time

import pytest

from conftest import BUILD
from test_writes import Writes

DIR = BUILD / "setters"
HEALTHY_S = int(os.environ.get("CULPRIT_HEALTHY_S", "12"))
CACHE = ("--type", "st::Rec", "--insert", "put", "--check", "use", "--remove", "drop")
# Stray stores that break what must hold, whatever was done to the object just before.
KINDS = ("pointer", "bool", "enum", "has-bits", "repeated", "case", "string")
# Acts that license single fields only: a store into another one is found even where its value may be right.
FIELDWISE = ("clear_fields", "strings", "allocated", "const")


@pytest.fixture(scope="module", autouse=True)
def built():
    subprocess.run(["make", "-s", "-j2", "setters"], check=True)


class Acts:
    def __init__(self, program="acts"):
        self.process = subprocess.Popen([str(DIR / program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "ready\n"
        self.pid = self.process.pid

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().split()

    def fault(self, act, kind):
        word, addr, rec, path, new = self.ask(f"fault {act} {kind}")
        assert word == "fault"
        return {"addr": int(addr, 16), "object": int(rec, 16), "path": path, "new": int(new, 16), "act": act, "kind": kind}

    def end(self):
        """Its exit code: all objects have been destroyed."""
        self.process.stdin.close()
        code = self.process.wait(timeout=60)
        self.process.stdout.close()
        return code


@pytest.fixture
def acts():
    target = Acts()
    yield target
    target.process.kill()
    target.process.wait()


@pytest.fixture
def legacy():
    target = Acts("legacy")
    yield target
    target.process.kill()
    target.process.wait()


@pytest.mark.parametrize("what", [CACHE, CACHE[:-2], CACHE[:2]], ids=["removed", "destroyed", "type-alone"])
def test_health_is_silence(acts, what):
    before = list(map(int, acts.ask("counts")))
    writes = Writes(acts, "--setters", "all", seconds=HEALTHY_S, what=what)
    code = writes.result()
    assert writes.findings == [], json.dumps(writes.findings[:5])
    if what is CACHE:
        assert code == 0, writes.summary["notes"]
    done = [b - a for a, b in zip(before, map(int, acts.ask("counts")))]
    assert min(done) > 20, done  # of each act
    assert writes.summary["counters"]["changes by known writers"] > 1000, writes.summary["counters"]
    assert acts.end() == 0


class ToFile(Writes):
    """With its findings in a file: they are more than a pipe holds that nobody reads meanwhile."""

    def __init__(self, path, *args, **kwargs):
        self.path = path
        super().__init__(*args, **kwargs)

    def start(self):
        with open(self.path, "w", encoding="utf-8") as out:
            self.process = subprocess.Popen(self.command, stdout=out, stderr=subprocess.PIPE, text=True)
        self.stderr = ""
        for line in self.process.stderr:
            self.stderr += line
            if line.startswith("culprit: no watchpoints:"):
                break

    def result(self):
        self.stderr += self.process.communicate(timeout=120)[1]
        with open(self.path, encoding="utf-8") as out:
            *self.findings, self.summary = map(json.loads, out)
        return self.process.returncode


def beside(target, path, what, kinds, fieldwise):
    """A session in which each act is done once more with a stray store beside it: every one of them is found, and nothing else."""
    writes = ToFile(path, target, "--setters", "all", seconds=0, what=what)
    time.sleep(2)
    faults = [target.fault(act, kinds[i % len(kinds)]) for i, act in enumerate(target.ask("acts"))]
    faults += [target.fault(act, "scalar") for act in fieldwise]
    time.sleep(4)
    writes.process.send_signal(signal.SIGINT)
    assert writes.result() == 1
    found = {(int(f["addr"], 16), int(f["object"]["addr"], 16)): f for f in writes.findings}
    for fault in faults:
        f = found.pop((fault["addr"], fault["object"]), None)
        assert f, (fault, [(g["addr"], g["object"]["addr"], g["path"], g["new"]) for g in writes.findings], writes.summary)
        assert f["path"] == fault["path"]
        if fault["kind"] == "scalar":
            assert (f["confidence"], f["reason"], int(f["new"], 16)) == ("likely", "unexplained-change", fault["new"])
        else:
            assert f["confidence"] == "certain", f
    assert not found, found


def test_stray_stores_beside_each_act(acts, tmp_path):
    beside(acts, tmp_path / "findings", CACHE, KINDS, FIELDWISE)


OLD = ("--type", "old::Chunk", "--insert", "put", "--check", "use")


def test_health_of_protobuf_2_is_silence(legacy):
    """Clear() keeps sub-messages with a clear has-bit, strings are shared or the one empty string, elements wait to be used again."""
    before = list(map(int, legacy.ask("counts")))
    writes = Writes(legacy, "--setters", "all", seconds=HEALTHY_S, what=OLD)
    code = writes.result()
    assert writes.findings == [], json.dumps(writes.findings[:5])
    assert code == 0, writes.summary["notes"]
    done = [b - a for a, b in zip(before, map(int, legacy.ask("counts")))]
    assert min(done) > 20, done
    judged = {f["field"] for f in writes.summary["fields"] if f["guard"] == "changes" and f["type"] == "old::Chunk"}
    assert judged >= {"id_", "port_", "ready_", "date_", "status_"}, writes.summary["fields"]
    assert writes.summary["counters"]["destroyed"] > 10
    assert legacy.end() == 0


def test_stray_stores_beside_protobuf_2(legacy, tmp_path):
    beside(legacy, tmp_path / "findings", OLD, [k for k in KINDS if k != "case"], ("clear_fields", "allocated", "shared_string"))
