"""The static binary: one file that needs nothing beside it and tells the same as the dynamic one."""
import json
import lzma
import os
import shutil
import subprocess

import pytest

from conftest import BUILD, CULPRIT

STATIC = BUILD / "culprit-static"
MIB = 1 << 20

CHROOT = """
set -e
mount -t tmpfs tmpfs "$1"
cp "$2" "$1/culprit"
mkdir "$1/proc" "$1/sys"
mount --rbind /proc "$1/proc"
mount --rbind /sys "$1/sys"
shift 2
exec chroot "$ROOT" /culprit "$@"
"""


@pytest.fixture(scope="module", autouse=True)
def built():
    subprocess.run(["make", "-s", "static"], check=True)


def in_chroot(tmp_path, *args):
    """Runs it where there is no other file than itself, /proc and /sys."""
    root = tmp_path / "root"
    root.mkdir(exist_ok=True)
    return subprocess.run(["unshare", "-m", "sh", "-c", CHROOT, "sh", str(root), str(STATIC), *map(str, args)],
                          env={**os.environ, "ROOT": str(root)}, capture_output=True, text=True, timeout=120)


def test_no_interpreter_and_no_library():
    headers = subprocess.run(["readelf", "-lW", "-d", str(STATIC)], capture_output=True, text=True, check=True).stdout
    assert "INTERP" not in headers
    assert "NEEDED" not in headers


def test_size():
    data = STATIC.read_bytes()
    assert len(data) <= 8 * MIB
    assert len(lzma.compress(data)) <= 3 * MIB


def test_runs_with_nothing_else(tmp_path):
    root = tmp_path / "bare"
    root.mkdir()
    shutil.copy(STATIC, root / "culprit")
    done = subprocess.run(["chroot", str(root), "/culprit", "--version"], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout.split()[0], done.stderr) == (0, "culprit", "")


def test_doctor_in_a_chroot_tells_the_same(tmp_path):
    def states(done):
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        return {line["name"]: line["state"] for line in lines if line["kind"] == "capability"}

    outside = states(subprocess.run([str(CULPRIT), "doctor", "--json"], capture_output=True, text=True, timeout=120))
    assert outside and states(in_chroot(tmp_path, "doctor", "--json")) == outside


def waiting_stacks(done):
    """Stacks of the threads that wait for a request or a connection: those that look the same at every look."""
    assert done.returncode in (0, 4), done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return {line["tid"]: [(frame["symbol"], frame["file"], frame["line"]) for frame in line["user_stack"]]
            for line in lines if line["kind"] == "thread" and line["syscall"] in ("poll", "accept4", "epoll_wait")
            and line["comm"] != "control"}


@pytest.mark.parametrize("chroot", [False, True], ids=["here", "chroot"])
def test_names_and_stacks_as_the_dynamic_one(start_target, tmp_path, chroot):
    target = start_target("--rpc-rate", "0")
    args = ("threads", "-p", target.pid, "--json")
    want = waiting_stacks(subprocess.run([str(CULPRIT), *map(str, args)], capture_output=True, text=True, timeout=60))
    assert any(symbol == "zbs::rpc::Server::RunAccept" for stack in want.values() for symbol, _, _ in stack)
    # a debuginfod server must not be asked for: that would load a library of the node into a static program
    os.environ["DEBUGINFOD_URLS"] = "http://127.0.0.1:9/"
    try:
        if chroot:
            got = waiting_stacks(in_chroot(tmp_path, *args))
        else:
            got = waiting_stacks(subprocess.run([str(STATIC), *map(str, args)], capture_output=True, text=True, timeout=60,
                                                cwd="/"))
    finally:
        del os.environ["DEBUGINFOD_URLS"]
    assert got == want


READ_ONLY = """
set -e
mount --make-rprivate /
for where in /tmp /var/tmp /dev/shm /run; do
	[ -d $where ] && mount -t tmpfs -o noexec,size=16m tmpfs $where
done
mkdir /tmp/mine && mount -t tmpfs tmpfs /tmp/mine && cp "$1" /tmp/mine/culprit && mount -o remount,ro,bind /tmp/mine
mount -o remount,ro,bind / && { ! touch /readonly 2>/dev/null; }
shift
exec /tmp/mine/culprit "$@"
"""


@pytest.mark.parametrize("args", [("writes", "--spec", "zbs", "-d", "2"), ("stalls", "-d", "2", "-o", "/run/s.db"), ("threads", )],
                         ids=["writes", "stalls", "threads"])
def test_where_nothing_can_be_executed_or_kept(start_target, args):
    """A root file system that is read only, no home, and what can be written is mounted noexec: the same as anywhere else."""
    target = start_target()
    command = [args[0], "-p", str(target.pid), "--json", *args[1:]]
    done = subprocess.run(["unshare", "-m", "sh", "-c", READ_ONLY, "sh", str(STATIC), *command], env={"PATH": os.environ["PATH"]},
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, (done.stdout, done.stderr)
    last = [json.loads(line) for line in done.stdout.splitlines()][-1]
    assert last["kind"] == "summary" and last["complete"], last
