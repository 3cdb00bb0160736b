"""Capabilities instead of root: what is missing is named, what is there suffices, and a session keeps no more than it needs."""
import json
import re
import shutil
import signal
import subprocess
import time

import pytest

from conftest import BUILD, CULPRIT, wait_until

NEEDED = {"CAP_BPF", "CAP_PERFMON", "CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH"}
# by number, as linux/capability.h has them
KEPT = {2, 12, 19, 34, 38, 39, 40}


def drop(caps):
    """The start of a command line that runs as nobody with these capabilities."""
    words = ",".join("+" + cap[4:].lower() for cap in sorted(caps)) or "-all"
    return ["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups", "--inh-caps", words, "--ambient-caps", words,
            "--bounding-set", words, "--"]


@pytest.fixture(scope="module", name="place")
def a_place_for_nobody(tmp_path_factory):
    """The tool and the debuginfo where everybody may read them."""
    directory = tmp_path_factory.mktemp("caps")
    for parent in (directory, *directory.parents):
        if parent.owner() == "root" and parent.stat().st_mode & 0o005 != 0o005:
            parent.chmod(parent.stat().st_mode | 0o055)
    shutil.copy(CULPRIT, directory / "culprit")
    shutil.copytree(BUILD / ".debug", directory / "debug")
    return directory


def multi_uprobes():
    """Perf's uprobes ask for CAP_SYS_ADMIN."""
    out = subprocess.run([str(CULPRIT), "doctor"], capture_output=True, text=True, check=False).stdout
    return re.search(r"multi-uprobe\s+works", out)


@pytest.mark.parametrize("missing", sorted(NEEDED))
def test_the_missing_one_is_named(start_target, place, missing):
    target = start_target()
    done = subprocess.run([*drop(NEEDED - {missing}), str(place / "culprit"), "writes", "-p", str(target.pid), "--spec", "zbs", "-d", "1"],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 3
    assert set(re.findall(r"CAP_\w+", done.stderr)) == {missing}


def test_none(start_target, place):
    target = start_target()
    for command in (["stalls"], ["threads"], ["doctor"], ["writes", "--spec", "zbs"]):
        done = subprocess.run(["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups", str(place / "culprit"), *command,
                               "-p", str(target.pid)], capture_output=True, text=True, timeout=60)
        assert done.returncode == 3
        assert set(re.findall(r"CAP_\w+", done.stderr)) == NEEDED


def test_bad_write_without_root(start_target, place):
    if not multi_uprobes():
        pytest.skip("this kernel has no multi-uprobes, and its others ask for CAP_SYS_ADMIN")
    target = start_target("--rate", 1000)
    session = subprocess.Popen([*drop(NEEDED), str(place / "culprit"), "writes", "-p", str(target.pid), "--spec", "zbs", "--json", "-d", "0",
                                "--debuginfo", str(place / "debug")], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        while "armed" not in session.stderr.readline():
            assert session.poll() is None
        time.sleep(3)
        target.fault("wild-store")
        time.sleep(3)
        session.send_signal(signal.SIGINT)
        out, err = session.communicate(timeout=60)
    finally:
        session.kill()
    assert session.returncode == 1, err
    found, truth = json.loads(out.splitlines()[0]), target.truth("fault")[0]
    assert (found["confidence"], found["addr"], found["new"]) == ("certain", truth["addr"], truth["new"])


def test_stall_with_its_method_without_root(start_target, place):
    """Nothing is missing: the call is named by its probe, which needs no stub on the stack."""
    if not multi_uprobes():
        pytest.skip("this kernel has no multi-uprobes, and its others ask for CAP_SYS_ADMIN")
    target = start_target()
    session = subprocess.Popen([*drop(NEEDED), str(place / "culprit"), "stalls", "-p", str(target.pid), "--json", "-d", "0",
                                "--max-overhead", "100", "--debuginfo", str(place / "debug")],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert "following calls" in session.stderr.readline()
        truth = target.fault("silent-server", timeout_ms=60000)
        found = json.loads(session.stdout.readline())
        done = target.status()["rpc_done"]
        wait_until(lambda: target.status()["rpc_done"] > done + 100)
        session.send_signal(signal.SIGINT)
        out, err = session.communicate(timeout=60)
    finally:
        session.kill()
    assert session.returncode == 1, err
    assert (found["verdict"], found["tid"], found["rpc"]["method"]) == ("peer-silent", truth["tid"], truth["method"])
    summary = json.loads(out.splitlines()[-1])
    assert summary["complete"] and summary["probes"]["failed"] == 0, summary["notes"]
    # what the probes saw: the ledger of calls is theirs alone
    assert sum(r["calls"] for r in summary["rpcs"] if r["by"] == "call" and r["method"].startswith("zbs.")) > 100


def test_other_processes_calls_are_not_ours(start_target):
    """Two daemons of one file: the probes of a session are one process's, and its ledger has that one's calls only."""
    quiet, busy = start_target("--rpc-rate", 1), start_target("--rpc-rate", 1000)
    session = subprocess.Popen([str(CULPRIT), "stalls", "-p", str(quiet.pid), "--json", "-d", "0", "--max-overhead", "100"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert "following calls" in session.stderr.readline()
        before = quiet.status()["rpc_done"]
        done = busy.status()["rpc_done"]
        wait_until(lambda: busy.status()["rpc_done"] > done + 1500, timeout=30)
        session.send_signal(signal.SIGINT)
        out, err = session.communicate(timeout=60)
        made = quiet.status()["rpc_done"] - before
    finally:
        session.kill()
    assert session.returncode == 0, err
    assert sum(r["calls"] for r in json.loads(out.splitlines()[-1])["rpcs"]) <= made + 5


@pytest.mark.parametrize("command", [["stalls"], ["writes", "--spec", "zbs"]])
def test_root_gives_up_the_rest(start_target, command):
    target = start_target()
    session = subprocess.Popen([str(CULPRIT), *command, "-p", str(target.pid), "-d", "0"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                               text=True)

    def status(key):
        with open(f"/proc/{session.pid}/status", encoding="ascii") as lines:
            return next(line.split()[1] for line in lines if line.startswith(key + ":"))

    try:
        wait_until(lambda: status("NoNewPrivs") == "1", timeout=60)
        for key in ("CapEff", "CapPrm"):
            left = {bit for bit in range(64) if int(status(key), 16) >> bit & 1}
            assert left and left <= KEPT | ({21, 24} if not multi_uprobes() else set())
    finally:
        session.send_signal(signal.SIGINT)
        session.communicate(timeout=60)
    assert session.returncode == 0
