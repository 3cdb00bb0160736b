"""culprit writes --until-crash on a daemon that dies in a lease's destructor, as in the incident."""
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from conftest import CULPRIT, TARGET, wait_until
from test_writes import Writes, culprit


def until_crash(target, *options):
    return Writes(target, "--until-crash", *options, seconds=120)


def end(writes):
    """Waits for the end. Returns (exit code, the crash or None)."""
    code = writes.result()
    crashes = [f for f in writes.findings if f["kind"] == "crash"]
    writes.findings = [f for f in writes.findings if f["kind"] != "crash"]
    assert len(crashes) < 2
    return code, crashes[0] if crashes else None


def die(start_target, *options):
    target = start_target("--rate", 4000, *options)
    writes = until_crash(target)
    time.sleep(1.5)
    truth = target.fault("wild-store", crash=1)
    code, crash = end(writes)
    assert target.process.wait(timeout=30) == -signal.SIGSEGV
    assert code == 1 and crash, (writes.stderr, writes.summary)
    return writes, crash, truth, target


def check_story(writes, crash, truth):
    assert (crash["signal"]["name"], crash["signal"]["number"]) == ("SIGSEGV", signal.SIGSEGV)
    # ~PerfInfo looks at the metadata, the second word of what read_perf_ points to
    assert int(crash["signal"]["addr"], 16) == int(truth["new"], 16) + 8
    assert crash["comm"] == "lease-expire"
    damage = crash["damage"]
    assert (damage["object"]["addr"], damage["path"], damage["addr"], damage["old"], damage["new"]) == (
        truth["object"], truth["path"], truth["addr"], truth["old"], truth["new"])
    assert damage["object"]["type"] == "zbs::libmeta::CachedLease"
    assert damage["last_good"]["time"] < damage["found"]["time"] <= crash["time"]
    symbols = [f["symbol"] for f in crash["stack"]]
    assert "zbs::libmeta::CachedLease::~CachedLease" in symbols and "zbs::libmeta::Meta::ClearExpiredLease" in symbols
    assert "being destroyed" in crash["explanation"]
    # and the whole finding, with who touched the object
    *told, found = [f for f in writes.findings if f["addr"] == truth["addr"]]  # once more if it was told before the end
    assert found["replaces"] == bool(told) and len(told) < 2
    assert found["confidence"] == "certain" and found["reason"] == "wild-pointer"
    assert found["neighbourhood"]["fields"]
    assert writes.summary["ended"] == "target crashed"


def test_dies_in_the_destructor(start_target):
    writes, crash, truth, _ = die(start_target)
    check_story(writes, crash, truth)
    assert not crash["signal"]["handled"]
    assert crash["function"] == "zbs::PerfInfo::~PerfInfo"


def test_a_handler_takes_the_signal_first(start_target):
    writes, crash, truth, _ = die(start_target, "--crash-handler")
    check_story(writes, crash, truth)
    assert crash["signal"]["handled"]


def test_the_core_says_the_same(start_target, tmp_path, monkeypatch):
    if Path("/proc/sys/kernel/core_pattern").read_text(encoding="ascii").strip() != "core":
        pytest.skip("cores do not go to the working directory")
    monkeypatch.chdir(tmp_path)
    target = start_target("--rate", 4000)
    subprocess.run(["prlimit", f"--pid={target.pid}", "--core=unlimited:unlimited"], check=True)
    writes = until_crash(target)
    time.sleep(1.5)
    truth = target.fault("wild-store", crash=1)
    code, crash = end(writes)
    target.process.wait(timeout=60)
    assert code == 1
    check_story(writes, crash, truth)
    (core, ) = tmp_path.glob("core*")
    out = subprocess.run(["gdb", "-batch", "-ex", "bt", "-ex", f"x/gx {truth['addr']}", str(TARGET), str(core)],
                         capture_output=True, text=True, check=False).stdout
    core.unlink()
    bt = [m.split("(")[0].strip() for m in re.findall(r"^#\d+\s+(?:0x[0-9a-f]+ in )?(.*?) \(", out, re.M)]
    assert bt[0].split("<")[0] in crash["stack"][0]["symbol"]
    functions = [f["symbol"] for f in crash["stack"]]
    for name in ("zbs::Chunk::SharedDtor", "zbs::libmeta::Meta::ClearExpiredLease"):
        assert any(name in f for f in bt) and name in functions
    assert re.search(rf"LWP {crash['tid']}\)", out) or f"LWP {crash['tid']}" in out


def test_text(start_target):
    target = start_target("--rate", 4000)
    run = subprocess.Popen([str(CULPRIT), "writes", "-p", str(target.pid), "--spec", "zbs",
                            "--until-crash"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while "Ctrl-C" not in run.stderr.readline():
        assert run.poll() is None
    time.sleep(1.5)
    truth = target.fault("wild-store", crash=1)
    out, _ = run.communicate(timeout=60)
    assert run.returncode == 1
    assert re.search(rf"^CRASH  SIGSEGV at 0xfffc0008  in thread \d+ \(lease-expire\)  zbs::PerfInfo::~PerfInfo", out, re.M)
    assert re.search(rf"^  damage    zbs::libmeta::CachedLease {truth['object']}  {re.escape(truth['path'])} = 0xfffc0000", out, re.M)
    assert "BAD WRITE  certain" in out and "target crashed" in out


def test_a_signal_from_outside_is_no_damage(start_target):
    target = start_target("--rate", 4000)
    writes = until_crash(target)
    time.sleep(1)
    os.kill(target.pid, signal.SIGABRT)
    code, crash = end(writes)
    assert code == 1 and crash["signal"]["name"] == "SIGABRT" and crash["signal"]["addr"] is None
    assert crash["damage"] is None and writes.findings == []
    assert "not guarded" in crash["explanation"]


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGKILL])
def test_an_end_is_no_crash(start_target, sig):
    target = start_target("--rate", 4000)
    writes = until_crash(target)
    time.sleep(1)
    target.process.send_signal(sig)
    target.process.wait(timeout=20)
    code, crash = end(writes)
    assert crash is None and writes.findings == [] and code in (0, 4)
    assert writes.summary["ended"] == "target exited"
    said = "killed by signal 9" if sig == signal.SIGKILL else "exit code 0"
    assert any(said in note for note in writes.summary["notes"]), writes.summary["notes"]


def test_healthy_until_interrupted(start_target):
    target = start_target("--rate", 4000)
    writes = Writes(target, "--until-crash", seconds=4)  # -d limits it
    code, crash = end(writes)
    assert crash is None and writes.findings == [] and code == 0, writes.summary["notes"]
    assert writes.summary["ended"] == "time is up"
    wait_until(target.alive)


def test_it_is_in_the_help():
    code, out, _ = culprit("--help")
    assert code == 0 and "--until-crash" in out
