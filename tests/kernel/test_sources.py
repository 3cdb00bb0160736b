"""culprit stalls: every call that can get stuck, by every source of calls that this kernel has, against what the stuck program says of
itself. Kernels with all three are in tests/vm."""
import json
import os
import signal
import subprocess
import threading
import time
from datetime import datetime

import pytest

from conftest import BUILD, CULPRIT, ROOT, wait_until
from stuck import unnoticed, wrong
from test_stalls import Session

SOURCES = ("fentry", "kprobe", "tracepoint")


class Stuck:
    """build/tests/stuckcalls: a thread for each call."""

    def __init__(self):
        self.process = subprocess.Popen([str(BUILD / "tests" / "stuckcalls")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.threads = {}
        for line in self.process.stdout:
            if line.startswith("ready"):
                self.pid = int(line.split()[1])
                return
            thread = json.loads(line)
            self.threads[thread["tid"]] = thread

    def go_on(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def end(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture(name="stuck")
def stuck_calls():
    subprocess.run(["make", "-s", "kernel-helpers"], check=True, cwd=ROOT)
    stuck = Stuck()
    yield stuck
    stuck.end()


def offered():
    """The sources that this kernel has, as the plan of auto says."""
    done = subprocess.run([str(CULPRIT), "doctor", "--json"], capture_output=True, text=True, timeout=60)
    states = {line["name"]: line["state"] for line in map(json.loads, done.stdout.splitlines()) if line["kind"] == "capability"}
    return [source for source in SOURCES if states.get(source, "works") == "works"]


class Filed(Session):
    """A session that writes more findings than a pipe holds."""

    def __init__(self, path, pid, *options):
        self.out = open(path, "w+", encoding="utf-8")
        super().__init__(pid, *options, duration=0)

    def start(self, *options):
        self.process = subprocess.Popen([str(CULPRIT), "stalls", "--json", *map(str, options)],
                                        stdout=self.out, stderr=subprocess.PIPE, text=True)
        self.lines = []

    def end(self, interrupt=False):
        self.process.wait(timeout=60)
        self.out.seek(0)
        self.process.stdout = self.out
        return super().end()


def test_all_calls(stuck, tmp_path):
    """All sources at once, on the same threads."""
    sources = [*offered(), "auto"]
    sessions = {source: Filed(tmp_path / source, stuck.pid, "--source", source).wait_armed() for source in sources}
    stuck.go_on()
    time.sleep(5)
    stuck.go_on()
    time.sleep(2.5)
    for session in sessions.values():
        session.process.send_signal(signal.SIGINT)
    for source, session in sessions.items():
        stalls, summary, code = session.end()
        assert code == 1
        assert not (differs := wrong(stuck.threads, stuck.pid, stalls)), (source, differs)
        assert summary["complete"], (source, summary["notes"])
        assert summary["probes"]["failed"] == 0 and summary["events"]["lost"] == 0
        assert not (missed := unnoticed(stuck.threads, summary)), (source, missed)


def test_source_missing(stuck):
    """Forced to a source that the kernel lacks: said, and not taken for complete."""
    missing = [source for source in SOURCES if source not in offered()]
    if not missing:
        pytest.skip("this kernel has every source")
    done = subprocess.run([str(CULPRIT), "stalls", "-p", str(stuck.pid), "--source", missing[0], "-d", "1", "--json"],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 4
    notes = json.loads(done.stdout.splitlines()[-1])["notes"]
    assert any("calls are not followed" in note for note in notes), notes
    assert any("not attached" in note for note in notes), notes


def test_scale():
    """A thousand threads that wait for ten thousand idle connections: silence, nothing lost, bounded memory."""
    blockers = subprocess.Popen([str(BUILD / "tests" / "blockers"), "many", "1000", "10000"], stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, text=True)
    try:
        assert '"ready"' in blockers.stdout.readline()
        done = subprocess.run([str(CULPRIT), "stalls", "-p", str(blockers.pid), "-d", "3", "--max-overhead", "100", "--json"],
                              capture_output=True, text=True, timeout=120)
        summary = json.loads(done.stdout.splitlines()[-1])
        assert done.returncode == 0, done.stdout[:2000]
        assert summary["complete"] and summary["findings"] == 0 and summary["events"]["lost"] == 0
        assert summary["threads"] == 1001
        assert summary["overhead"]["rss_kib"] < 256 * 1024
    finally:
        blockers.kill()
        blockers.wait()


METHOD = "load.Service.Call"


@pytest.fixture(name="load_spec")
def frames_of_the_load(tmp_path):
    path = tmp_path / "load.spec"
    path.write_text('[rpc load]\nchannel = google::protobuf::RpcChannel::CallMethod\nmagic = 0:"ZBSR"\nheader = 32\nlength = 8:u32le\n'
                    "request = 6:u16le=1\nresponse = 6:u16le=2\nid = 16:u64le\nmethod = 24:u64le\n"
                    f"method_name = 0x1122334455667788 {METHOD}\n", encoding="ascii")
    return path


@pytest.fixture(name="load")
def rpc_load():
    """A thousand threads that call over ten thousand connections as fast as the machine lets them, and their server."""
    subprocess.run(["make", "-s", "kernel-helpers"], check=True, cwd=ROOT)
    process = subprocess.Popen([str(BUILD / "tests" / "rpcload"), "1000", "10000"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    process.pids = list(map(int, process.stdout.readline().split()[1:]))
    yield process
    process.kill()
    process.wait()


def test_full_load(load, load_spec):
    """Both ends at full speed: no call is a stall, memory is bounded, and each call is in the ledger or among the losses."""
    seconds = int(os.environ.get("CULPRIT_SOAK_S", "3"))
    sessions = [Session.__new__(Session) for _ in load.pids]
    for session, pid in zip(sessions, load.pids):
        # calls of a thousand threads take a good part of a second where two CPUs serve them: what is long is a matter of load
        session.start("-p", pid, "-d", 0, "--max-overhead", 100, "--spec", load_spec, "--threshold", 10000)
        session.wait_armed()
    load.stdin.write(f"{seconds * 1000}\n")
    load.stdin.flush()
    made = int(load.stdout.readline())
    assert made > 1000
    for session, by in zip(sessions, ("wire client", "wire server")):
        stalls, summary, code = session.end(interrupt=True)
        assert not stalls, by
        lost = summary["events"]["lost"]
        rows = [r for r in summary["rpcs"] if r["by"] == by]
        told = sum(r["calls"] for r in rows)
        assert told <= made and made - told <= lost, (by, made, told, summary["notes"])
        assert {r["method"] for r in rows} == {METHOD}
        assert (code, summary["complete"]) == ((4, False) if lost else (0, True)), summary["notes"]
        if not lost:
            assert not any(r["in_flight"] or r["unanswered"] or r["errors"] or r["timed_out"] for r in rows), rows
        assert summary["overhead"]["rss_kib"] < 256 * 1024
        print(f"{by}: {made / seconds:.0f} RPCs a second, {lost} records lost, {summary['overhead']['rss_kib'] >> 10} MiB")


class Timed:
    """Reads a session's findings and keeps when each came. Both run before all other programs of the machine, so that what is
    measured is what culprit takes by itself."""

    def __init__(self, session):
        os.sched_setscheduler(session.process.pid, os.SCHED_FIFO, os.sched_param(1))
        self.session, self.came = session, []
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(2))
        for line in self.session.process.stdout:
            self.came.append((time.time(), json.loads(line)))

    def first(self, verdict, after):
        """Seconds from the moment at which the call passed a threshold of one second, by its own age, to its finding."""
        found = lambda: [(when, s) for when, s in self.came if when > after and s.get("verdict") == verdict]
        wait_until(found, timeout=30)
        when, stall = found()[0]
        since = datetime.fromisoformat(stall["time"].replace("Z", "+00:00")).timestamp() - stall["blocked_ms"] / 1000
        return when - since - 1

    def end(self):
        """The summary."""
        self.session.process.send_signal(signal.SIGINT)
        self.session.process.wait(timeout=60)
        self.thread.join()
        return self.came[-1][1]


@pytest.mark.parametrize("source", ["auto", "tracepoint"])
def test_how_soon(load, source):
    """A server that stops while a thousand threads call it over ten thousand connections, again and again: the first of them is told
    within 200 ms of the threshold."""
    if source not in ["auto", *offered()]:
        pytest.skip("not on this kernel")
    client, server = load.pids
    session = Session.__new__(Session)
    session.start("-p", client, "-d", 0, "--max-overhead", 100, "--source", source)
    timed = Timed(session.wait_armed())
    load.stdin.write("100000\n")
    load.stdin.flush()
    late = []
    for _ in range(5):
        time.sleep(3)
        os.kill(server, signal.SIGSTOP)
        stopped = time.time()
        late.append(round(timed.first("peer-silent", stopped + 0.9) * 1000))
        os.kill(server, signal.SIGCONT)
    summary = timed.end()
    print(f"by {source}, 1,001 threads, 10,000 connections: {late} ms after the threshold")
    assert summary["kind"] == "summary" and summary["complete"], summary["notes"]
    assert sorted(late)[len(late) // 2] <= 200, late
