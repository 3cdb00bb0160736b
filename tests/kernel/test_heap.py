"""culprit writes --heap: whose block it was before the damaged object got it, with the allocators daemons use."""
import os
import signal
import threading
import time
from datetime import datetime, timezone
from pathlib import Path

import pytest

from test_writes import Writes, culprit

LIBRARY = {
    "glibc": None,
    "tcmalloc": "/usr/lib/x86_64-linux-gnu/libtcmalloc_minimal.so.4",
    "jemalloc": "/usr/lib/x86_64-linux-gnu/libjemalloc.so.2",
}
HEAP = ("--heap", "--max-overhead", "100")


@pytest.fixture(params=list(LIBRARY))
def allocator(request, monkeypatch, start_target):
    """(name, start): start() gives a daemon that uses this allocator."""
    library = LIBRARY[request.param]
    if library and not Path(library).exists():
        pytest.skip(f"{library} is not installed")

    def start(*options):
        with monkeypatch.context() as m:
            if library:
                m.setenv("LD_PRELOAD", library)
            return start_target(*options)

    return request.param, start


def wall(mono_ns):
    """The wall time of a CLOCK_MONOTONIC time, as culprit writes it, to the millisecond."""
    return time.time() - time.monotonic() + mono_ns / 1e9


def seconds(text):
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc).timestamp()


def test_the_owner_before(allocator):
    name, start = allocator
    target = start("--rate", 2000)
    writes = Writes(target, *HEAP, seconds=8)
    time.sleep(1)
    truth = target.fault("stale-pointer")
    assert writes.result() == 1, (writes.stderr, writes.summary)
    (found, ) = [f for f in writes.findings if f["addr"] == truth["addr"]]
    owner = found["previous_owner"]
    assert owner, writes.summary["notes"]
    assert owner["block"] == truth["block"] and not owner["dangling"]
    freed = owner["freed"]
    assert (freed["function"], freed["tid"], freed["comm"]) == (truth["freed_by"], truth["freed_tid"], "zone-io")
    assert abs(seconds(freed["time"]) - wall(truth["freed_ns"])) < 0.1
    assert "zbs::chunk::Worker::Run" in [f["symbol"] for f in freed["stack"]]
    assert (owner["allocated"]["function"], owner["allocated"]["tid"]) == (truth["allocated_by"], truth["freed_tid"])
    assert owner["size"] == truth["block_size"]
    assert owner["allocated"]["time"] <= freed["time"] < owner["current"]["allocated"]["time"] < found["found"]["time"]
    assert owner["current"]["block"] == truth["node"]
    assert any(n.startswith("--heap: ") and f"{name} (/" in n for n in writes.summary["notes"])
    counters = writes.summary["counters"]
    assert counters["heap_handed_out"] > 100 and counters["heap_freed"] > 100
    target.heal()
    assert target.stop() == 0


@pytest.mark.parametrize("without", ["nomulti", "nocookie"])
def test_on_older_kernels(start_target, monkeypatch, without):
    """Without programs for entry and return at once: return probes on the functions that cannot throw."""
    target = start_target("--rate", 1000)
    with monkeypatch.context() as m:
        m.setenv("CULPRIT_FORCE", without)
        writes = Writes(target, *HEAP, seconds=8)
    time.sleep(1)
    truth = target.fault("stale-pointer")
    assert writes.result() == 1, (writes.stderr, writes.summary)
    (found, ) = [f for f in writes.findings if f["addr"] == truth["addr"]]
    owner = found["previous_owner"]
    assert (owner["freed"]["function"], owner["allocated"]["function"]) == (truth["freed_by"], truth["allocated_by"])
    target.heal()
    assert target.stop() == 0


def test_health_is_silence(allocator):
    _, start = allocator
    target = start("--rate", 4000)
    writes = Writes(target, *HEAP, seconds=6)
    assert writes.result() == 0, (writes.findings, writes.summary["notes"])
    assert writes.findings == []
    assert target.stop() == 0


def test_an_object_that_kept_its_block(start_target):
    """Chunks built before the session: nothing is said of an owner that nobody saw. At this rate few are built in it."""
    target = start_target("--rate", 20)
    time.sleep(1)
    writes = Writes(target, *HEAP, seconds=8)
    began = time.time()
    time.sleep(1)
    target.fault("wild-store", times=5, every_ms=100, object="random")
    assert writes.result() == 1, writes.stderr
    truth = {t["addr"] for t in target.truth("fault", "wild-store")}
    found = [f for f in writes.findings if f["addr"] in truth]
    assert found and any(f["previous_owner"] is None for f in found), writes.findings
    for owner in (f["previous_owner"] for f in found if f["previous_owner"]):
        assert seconds(owner["freed"]["time"]) > began - 1  # seen, not guessed
    assert writes.summary["counters"]["heap_calls"] > 0
    target.heal()


def test_over_the_budget_it_is_taken_out(start_target):
    target = start_target("--rate", 10000)
    writes = Writes(target, "--heap", "--max-overhead", "0.05", "--setters", "off", seconds=6)
    assert writes.result() == 4
    assert any("were taken out" in n and n.startswith("--heap") for n in writes.summary["notes"]), writes.summary["notes"]
    assert not writes.summary["complete"] and writes.findings == []
    before = target.status()["lease_ops"]
    time.sleep(0.3)
    assert target.status()["lease_ops"] > before
    assert target.stop() == 0


def test_help_says_what_it_costs():
    code, out, _ = culprit("--help")
    assert code == 0 and "--heap" in out and "return probes" in out


def test_without_it_nothing_is_probed(start_target):
    target = start_target("--rate", 2000)
    writes = Writes(target, seconds=3)
    writes.result()
    assert "heap_calls" not in writes.summary["counters"]
    assert not any(n.startswith("--heap") for n in writes.summary["notes"])


def test_an_owner_from_before_a_gap_is_not_named(start_target):
    """The probes slept between the free and the damage: the block may have had any owner since."""
    target = start_target("--rate", 1000)
    writes = Writes(target, *HEAP, seconds=14)
    injecting = threading.Thread(target=target.fault, args=("stale-pointer", ), kwargs={"settle_ms": 7500})
    injecting.start()
    time.sleep(1.5)  # freed, and a chunk by now
    os.kill(writes.process.pid, signal.SIGSTOP)
    time.sleep(4)
    os.kill(writes.process.pid, signal.SIGCONT)
    injecting.join()
    assert writes.result() == 1, (writes.stderr, writes.summary)
    (truth, ) = target.truth("fault", "stale-pointer")
    found = [f for f in writes.findings if f["addr"] == truth["addr"]]
    assert found and all(f["previous_owner"] is None for f in found), found
    assert any("held up" in note for note in writes.summary["notes"])
    target.heal()
    assert target.stop() == 0
