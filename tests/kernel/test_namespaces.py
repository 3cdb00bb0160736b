"""A target as in a container: pid, mount, network and user namespaces of its own, its binary and debuginfo on a file system that only it has
mounted. culprit runs outside."""
import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from conftest import CULPRIT, ROOT, TARGET, TARGET_DEBUG, wait_until

START = """mount -t tmpfs none /mnt && mkdir -p /mnt/app/.debug && cp "$0" /mnt/app/daemon && cp "$1" /mnt/app/.debug/target.debug &&
ip link set lo up && exec /mnt/app/daemon --control /mnt/app/ctl --truth /mnt/app/truth --log /mnt/app/log --leases 200 --rate 1000 --rpc-rate 20"""


class Container:
    def __init__(self):
        self.unshare = subprocess.Popen(
            ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child", "--mount", "--net", "--mount-proc", "sh", "-c", START,
             str(TARGET), str(TARGET_DEBUG)], stdout=subprocess.PIPE, text=True)
        ready = self.unshare.stdout.readline()
        if not ready.startswith("ready pid=1 "):
            self.end()
            pytest.skip(f"namespaces cannot be made here: {ready!r}")
        self.pid = int(Path(f"/proc/{self.unshare.pid}/task/{self.unshare.pid}/children").read_text(encoding="ascii"))
        self.root = Path(f"/proc/{self.pid}/root")

    def ctl(self, *words):
        done = subprocess.run([str(TARGET), "ctl", str(self.root / "mnt/app/ctl"), *words], capture_output=True, text=True, check=True, timeout=60)
        return json.loads(done.stdout)

    def truth(self):
        lines = (self.root / "mnt/app/truth").read_text(encoding="utf-8").splitlines()
        return [record for record in map(json.loads, lines) if record["event"] == "fault"]

    def host_tid(self, tid):
        """The id that a thread of the container has outside."""
        for status in Path(f"/proc/{self.pid}/task").glob("*/status"):
            ids = re.search(r"^NSpid:\s+(.*)$", status.read_text(encoding="utf-8"), re.M).group(1).split()
            if int(ids[-1]) == tid:
                return int(ids[0])
        raise AssertionError(f"no thread {tid} inside")

    def end(self):
        if self.unshare.poll() is None:
            self.unshare.send_signal(signal.SIGKILL)
        self.unshare.wait(timeout=20)


@pytest.fixture
def container():
    c = Container()
    yield c
    c.end()


def culprit(*words, timeout=120):
    done = subprocess.run([str(CULPRIT), *map(str, words)], capture_output=True, text=True, timeout=timeout, cwd=ROOT)
    return done, [json.loads(line) for line in done.stdout.splitlines()] if "--json" in words else []


def test_bad_write(container):
    session = subprocess.Popen([str(CULPRIT), "writes", "-p", str(container.pid), "--spec", "zbs", "--json", "-d", "0"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        while "armed" not in session.stderr.readline():
            assert session.poll() is None
        time.sleep(3)
        container.ctl("fault", "wild-store")
        time.sleep(3)
        session.send_signal(signal.SIGINT)
        out, err = session.communicate(timeout=60)
    finally:
        session.kill()
    assert session.returncode == 1, err
    found = json.loads(out.splitlines()[0])
    truth = container.truth()[0]
    assert (found["kind"], found["confidence"], found["pid"]) == ("bad_write", "certain", container.pid)
    assert (found["path"], found["addr"], found["new"]) == (truth["path"], truth["addr"], truth["new"])
    assert found["object"]["addr"] == truth["object"]
    assert any(t["function"] and "zbs::" in t["function"] for t in [found["found"], found["last_good"]])


def test_stall(container):
    container.ctl("fault", "silent-server")
    done, lines = culprit("stalls", "-p", container.pid, "--spec", "zbs", "-d", 6, "--json", "--max-overhead", 100)
    assert done.returncode == 1, done.stderr
    truth = container.truth()[0]
    stall = next(x for x in lines if x["kind"] == "stall" and x["verdict"] == "peer-silent")
    assert stall["pid"] == container.pid and stall["tid"] == container.host_tid(truth["tid"])
    assert (stall["fd"], stall["rpc"]["method"]) == (truth["fd"], truth["method"])
    assert (stall["socket"]["inode"], stall["socket"]["local"], stall["socket"]["remote"]) == (truth["inode"], truth["local"], truth["remote"])
    inside = subprocess.run(["nsenter", "-t", str(container.pid), "-n", "ss", "-tanHe"], capture_output=True, text=True, check=True).stdout
    assert any(f"ino:{truth['inode']} " in line and truth["local"] in line for line in inside.splitlines())
    assert any("CallMethod" in (f["symbol"] or "") for f in stall["user_stack"])


def test_threads(container):
    done, lines = culprit("threads", "-p", container.pid, "--json")
    assert done.returncode == 0, done.stderr
    tids = {int(t) for t in os.listdir(f"/proc/{container.pid}/task")}
    threads = [x for x in lines if x["kind"] == "thread"]
    assert {t["tid"] for t in threads} <= tids and len(threads) == len(tids)
    accept = next(t for t in threads if t["comm"] == "rpc-accept")
    assert any(f["symbol"] == "zbs::rpc::Server::RunAccept" and f["file"] for f in accept["user_stack"])
    assert all(f["module"] in ("/mnt/app/daemon", "[vdso]") or f["module"].startswith("/usr/lib/") for t in threads for f in t["user_stack"])


def test_inspect_and_find(container):
    container.ctl("fault", "wild-store")
    truth = container.truth()[0]
    done, lines = culprit("inspect", "-p", container.pid, "--all-of", "zbs::libmeta::CachedLease", "--json")
    assert done.returncode == 1, done.stderr
    assert any(truth["object"] == x.get("addr") or truth["object"] in json.dumps(x) for x in lines)
    done, lines = culprit("find", "-p", container.pid, truth["new"], "--json")
    assert any(x.get("addr") == truth["addr"] for x in lines), done.stderr


def test_doctor(container):
    done, _ = culprit("doctor", "-p", container.pid)
    assert done.returncode in (0, 4), done.stdout + done.stderr
    assert "/mnt/app/daemon" in done.stdout


def test_the_targets_end_is_seen(container):
    session = subprocess.Popen([str(CULPRIT), "stalls", "-p", str(container.pid), "-d", "0", "--json"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert "following" in session.stderr.readline()
    container.end()
    out, err = session.communicate(timeout=60)
    assert json.loads(out.splitlines()[-1])["kind"] == "summary", err
    wait_until(lambda: not os.path.exists(f"/proc/{container.pid}"))
