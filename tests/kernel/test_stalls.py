"""culprit stalls: each planted RPC stall against the daemon's own truth and ss, begun before the session and during it; and silence
where nothing is stuck."""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest

from conftest import CULPRIT, TARGET, wait_until

STALL_KEYS = {"kind", "verdict", "pid", "tid", "comm", "blocked_ms", "blocked_before_session", "syscall", "timeout_ms", "fd", "socket",
              "rpc", "user_stack", "kernel_stack", "explanation"}
SOCKET_KEYS = {"inode", "local", "remote", "state", "send_queue", "recv_queue", "unacked", "retransmits", "last_send_ms",
               "last_recv_ms"}
UNIX_KEYS = {"inode", "local", "remote", "state", "send_queue", "recv_queue", "peer_inode"}
FRAME_KEYS = {"module", "build_id", "offset", "addr", "symbol", "file", "line", "inlined"}


class Session:
    """A running `culprit stalls --json`. Its budget is wide: tracepoints cost for every process of the machine, and what else runs
    beside a test must not decide whether its coverage is complete. test_budget is about the budget."""

    def __init__(self, pid, *options, duration=30):
        self.start("-p", pid, "-d", duration, "--spec", "zbs", "--max-overhead", 100, *options)

    def start(self, *options):
        self.process = subprocess.Popen([str(CULPRIT), "stalls", "--json", *map(str, options)],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.lines = []  # those wait_found has read

    def wait_armed(self):
        line = self.process.stderr.readline()
        assert "following calls" in line, line + self.process.stderr.read()
        return self

    def wait_found(self, verdict, timeout=30):
        """Until the running session reports it: what only the last look at the end finds does not count."""
        failed = threading.Event()

        def give_up():
            failed.set()
            self.process.kill()

        timer = threading.Timer(timeout, give_up)
        timer.start()
        while not any(line.get("verdict") == verdict for line in self.lines):
            line = self.process.stdout.readline()
            assert line and not failed.is_set(), f"no {verdict} while it ran, only {[x.get('verdict') for x in self.lines]}"
            self.lines.append(json.loads(line))
        timer.cancel()
        assert self.process.poll() is None

    def end(self, interrupt=False):
        """(stalls, summary, exit code)"""
        if interrupt:
            self.process.send_signal(signal.SIGINT)
        killer = threading.Timer(60, self.process.kill)
        killer.start()
        out, err = self.process.stdout.read(), self.process.stderr.read()
        self.process.wait()
        killer.cancel()
        lines = self.lines + [json.loads(line) for line in out.splitlines()]
        assert lines, err
        assert lines[-1]["kind"] == "summary", lines[-1]
        stalls = lines[:-1]
        assert all(s["kind"] == "stall" for s in stalls)
        for s in stalls:
            check_schema(s)
        return stalls, lines[-1], self.process.returncode


def check_schema(s):
    assert STALL_KEYS <= s.keys()
    assert s["explanation"]
    assert s["blocked_ms"] >= 0
    assert s["kernel_stack"] or s["busy"], "a blocked thread has a kernel stack"
    if s["socket"]:
        assert (UNIX_KEYS if s["socket"].get("family") == "unix" else SOCKET_KEYS) <= s["socket"].keys()
    if s["rpc"]:
        assert set(s["rpc"]) == {"method", "age_ms", "id"}
    for frame in s["user_stack"]:
        assert set(frame) == FRAME_KEYS
    for key in ("next", "request", "other", "file", "blocked_at_least"):
        assert key in s


def ss():
    """{inode: (local, remote, state)} of TCP, as ss tells it."""
    out = subprocess.run(["ss", "-tanHe"], capture_output=True, text=True, check=True).stdout
    found = {}
    for line in out.splitlines():
        fields = line.split()
        inode = re.search(r"\bino:(\d+)", line)
        if inode:
            found[int(inode.group(1))] = (fields[3], fields[4], fields[0])
    return found


def by_verdict(stalls, verdict):
    return [s for s in stalls if s["verdict"] == verdict]


CLIENT_FAULTS = [
    ("silent-server", {}, "peer-silent"),
    ("silent-server", {"mode": "unaccepted"}, "peer-silent"),
    ("server-mutex", {}, "peer-silent"),
    ("dead-fd", {}, "polling-dead-fd"),
    ("dead-fd", {"via": "dup2"}, "polling-dead-fd"),
    ("reply-unread", {}, "reply-unread"),
    ("reply-unread", {"variant": "wrong-fd"}, "reply-unread"),
    ("peer-window-closed", {}, "peer-window-closed"),
    ("connect-blackhole", {}, "connect-pending"),
]
IDS = ["-".join([name, *params.values()]) for name, params, _ in CLIENT_FAULTS]


def check_client(stall, truth, before):
    assert stall["tid"] == truth["tid"]
    assert stall["comm"] == truth["thread"][:15]
    assert stall["syscall"] == truth["syscall"]
    assert stall["fd"] == truth["fd"]
    assert stall["socket"]["inode"] == truth["inode"]
    assert stall["socket"]["local"] == truth["local"]
    assert stall["socket"]["remote"] == truth["remote"]
    assert stall["rpc"]["method"] == truth["method"]
    assert stall["blocked_before_session"] is before
    if stall["syscall"] == "poll":
        assert truth["timeout_ms"] - 50 <= stall["timeout_ms"] <= truth["timeout_ms"]
    assert any("CallMethod" in (f["symbol"] or "") for f in stall["user_stack"])
    local, remote, state = ss()[truth["inode"]]
    assert (stall["socket"]["local"], stall["socket"]["remote"]) == (local, remote)
    assert stall["socket"]["state"].startswith(state[:3])


def check_found(stalls, verdict, truth, before):
    found = by_verdict(stalls, verdict)
    assert len(found) == 1, [s["verdict"] for s in stalls]
    check_client(found[0], truth, before)
    assert {s["verdict"] for s in stalls} <= {verdict, "server-thread-blocked"}
    if truth["name"] == "server-mutex":
        check_server(stalls, truth)
    return found[0]


@pytest.mark.parametrize("name,params,verdict", CLIENT_FAULTS, ids=IDS)
def test_planted(target, name, params, verdict):
    """One session that is there when the stall begins, and one that comes when the thread has been stuck for a while."""
    during = Session(target.pid, duration=0).wait_armed()
    truth = target.fault(name, timeout_ms=60000, **params)
    during.wait_found(verdict)
    before = Session(target.pid, duration=0).wait_armed()  # the first screen is printed by then
    stuck_ms = (time.monotonic_ns() - truth["time_ns"]) / 1e6
    for session in (during, before):
        session.process.send_signal(signal.SIGINT)
    for session in (during, before):
        stalls, summary, code = session.end()
        assert code == 1
        assert summary["complete"], summary["notes"]
        stall = check_found(stalls, verdict, truth, session is before)
        life = next(s for s in summary["stalls"] if s["verdict"] == verdict)
        assert not life["over"]
        assert life["blocked_ms"] <= stuck_ms + 200
        if session is before:
            assert 1000 <= stall["blocked_ms"] <= stuck_ms + 50
            continue
        assert 1000 <= stall["blocked_ms"] <= stuck_ms + 50
        assert life["blocked_ms"] >= stuck_ms - 700
        if name == "dead-fd":
            assert stall["other"]["tid"] == truth["other_tid"]
            assert stall["other"]["role"] == ("replaced by" if params else "closed by")
            assert any(truth["function"] in (f["symbol"] or "") for f in stall["other"]["user_stack"])
            assert str(truth["new_inode"]) in stall["file"]
        if name == "reply-unread" and not params:
            assert stall["other"]["tid"] == truth["other_tid"]
            assert stall["socket"]["recv_queue"] == truth["recv_queue"]
    assert target.alive()


def check_server(stalls, truth):
    found = by_verdict(stalls, "server-thread-blocked")
    assert len(found) == 1
    stall = found[0]
    assert stall["tid"] == truth["other_tid"]
    assert stall["syscall"] == "futex"
    assert stall["fd"] == truth["other_fd"]
    assert stall["socket"]["inode"] == truth["other_inode"]
    assert stall["socket"]["local"] == truth["remote"]
    assert stall["socket"]["remote"] == truth["local"]
    assert stall["rpc"]["method"] == truth["method"]
    assert stall["other"]["role"] == "lock held by"
    assert stall["other"]["tid"] == truth["holder_tid"]
    assert any("ListDb" in (f["symbol"] or "") for f in stall["user_stack"])


def test_server_process(start_target):
    """The silent peer's own side: which thread has the request, and who holds its lock."""
    server = start_target("--server-only")
    client = start_target("--connect", f"127.0.0.1:{server.port}")
    during = Session(server.pid, duration=0).wait_armed()
    truth = server.fault("server-mutex")
    time.sleep(2.7)
    before = Session(server.pid, duration=0).wait_armed()
    for session in (during, before):
        session.process.send_signal(signal.SIGINT)
    for session in (during, before):
        stalls, _, code = session.end()
        assert code == 1
        assert [s["verdict"] for s in stalls] == ["server-thread-blocked"]
        assert stalls[0]["rpc"]["method"] == truth["method"]
        assert stalls[0]["other"]["tid"] == truth["holder_tid"]
        assert stalls[0]["tid"] == truth["tid"]
        assert stalls[0]["socket"]["inode"] == truth["inode"]
        assert stalls[0]["blocked_before_session"] is (session is before)
    assert client.alive()


def test_the_client_gave_up(start_target):
    """The kernel counts the client's FIN as a byte that is not read: the request was read all the same, and its thread is stuck."""
    server = start_target("--server-only")
    client = start_target("--connect", f"127.0.0.1:{server.port}")
    truth = server.fault("server-mutex")
    client.stop()
    time.sleep(1.2)
    stalls, _, code = Session(server.pid, duration=0).wait_armed().end(interrupt=True)
    assert code == 1
    assert [s["verdict"] for s in stalls] == ["server-thread-blocked"]
    assert stalls[0]["tid"] == truth["tid"] and stalls[0]["socket"]["inode"] == truth["inode"]
    assert stalls[0]["socket"]["state"] == "CLOSE-WAIT" and stalls[0]["socket"]["recv_queue"] == 1
    assert stalls[0]["request"].startswith("request read ") and "closed its side" in stalls[0]["request"]


@pytest.mark.parametrize("force", ["", "nosocktp"])
def test_late_answer(target, monkeypatch, force):
    """An answer that comes late: reported while it is missing, with its real length in the end. The bounds are the daemon's own: the
    server sleeps for 1800 ms at least, and the next call begins 200 ms after the end of this one, or later.
    Without the tracepoints of sockets the ledger goes by what calls return."""
    monkeypatch.setenv("CULPRIT_FORCE", force)
    session = Session(target.pid, duration=0).wait_armed()
    target.fault("slow-server", ms=1800)
    wait_until(lambda: len(target.truth("fault", "slow-server")) >= 2, timeout=30)
    calls = target.truth("fault", "slow-server")
    target.heal()
    longest_ms = (calls[1]["time_ns"] - calls[0]["time_ns"]) / 1e6 - 200
    stalls, summary, code = session.end(interrupt=True)
    assert code == 1
    assert {s["verdict"] for s in stalls} == {"peer-silent"}
    first = summary["stalls"][0]
    assert first["over"] and first["end"] == "answered late"
    assert 1799 <= first["blocked_ms"] <= longest_ms + 2
    rpc = next(r for r in summary["rpcs"] if r["method"] == "zbs.meta.MetaService.ListDb")
    assert rpc["max_ms"] >= 1799
    assert rpc["peer"] == f"127.0.0.1:{target.port}"


def test_timed_out(target):
    session = Session(target.pid, duration=0).wait_armed()
    target.fault("silent-server", timeout_ms=1500)
    time.sleep(3.5)
    stalls, summary, _ = session.end(interrupt=True)
    assert by_verdict(stalls, "peer-silent")
    first = next(s for s in summary["stalls"] if s["verdict"] == "peer-silent")
    assert first["over"] and first["end"] == "timed out"
    assert 1490 <= first["blocked_ms"] <= 1600
    assert any(r["unanswered"] >= 1 for r in summary["rpcs"])


def test_below_the_threshold(target):
    session = Session(target.pid, duration=0).wait_armed()
    target.fault("slow-server", ms=400)
    time.sleep(3)
    stalls, summary, code = session.end(interrupt=True)
    assert (stalls, code) == ([], 0), summary
    session = Session(target.pid, "--threshold", 200, duration=3)
    stalls, _, code = session.end()
    assert code == 1
    assert {s["verdict"] for s in stalls} == {"peer-silent"}


def test_healthy(start_target):
    target = start_target("--rpc-rate", 500)
    done = target.status()["rpc_done"] if "rpc_done" in target.status() else None
    stalls, summary, code = Session(target.pid, "--threshold", 300, duration=10).end()
    assert summary["complete"], summary["notes"]
    assert (stalls, code) == ([], 0)
    assert summary["probes"]["failed"] == 0
    assert summary["events"]["lost"] == 0
    assert summary["threads"] == len(target.threads())
    calls = sum(r["calls"] for r in summary["rpcs"])
    assert calls > 3000
    assert all(r["unanswered"] == 0 for r in summary["rpcs"])
    if done is not None:
        assert calls <= target.status()["rpc_done"] - done


@pytest.mark.parametrize("without", ["sock", "calls", "iter"])
def test_fallbacks(target, without):
    session = Session(target.pid, "--without", without, duration=0).wait_armed()
    truth = target.fault("silent-server", timeout_ms=60000)
    time.sleep(4)
    stalls, summary, code = session.end(interrupt=True)
    assert code == 1
    found = by_verdict(stalls, "peer-silent")
    assert len(found) == 1
    assert found[0]["tid"] == truth["tid"]
    assert found[0]["socket"]["inode"] == truth["inode"]
    assert summary["complete"] is (without != "calls")


def test_budget(start_target):
    """Over the budget the busiest hooks go; what is stuck in a read is then found by the looks."""
    target = start_target("--rpc-rate", 1000)
    session = Session(target.pid, "--max-overhead", "0.01", duration=0).wait_armed()
    time.sleep(12)
    truth = target.fault("peer-window-closed", timeout_ms=60000)
    time.sleep(4)
    stalls, summary, code = session.end(interrupt=True)
    assert code == 1
    assert not summary["complete"]
    assert any("over the budget" in note for note in summary["notes"])
    assert summary["probes"]["attached"] < summary["probes"]["planned"]
    found = by_verdict(stalls, "peer-window-closed")
    assert [(s["tid"], s["socket"]["inode"]) for s in found] == [(truth["tid"], truth["inode"])]
    assert not by_verdict(stalls, "peer-silent")


def test_no_debuginfo(start_target, tmp_path):
    """A stripped daemon on a customer's node: the same verdict; what its stack would name is not known, and the footer says so."""
    binary = tmp_path / "bare" / "target"
    binary.parent.mkdir()
    shutil.copy(TARGET, binary)
    target = start_target(binary=binary)
    truth = target.fault("silent-server", timeout_ms=60000)
    time.sleep(2)
    stalls, summary, code = Session(target.pid, duration=0).wait_armed().end(interrupt=True)
    assert code == 1
    assert [(s["verdict"], s["tid"], s["fd"]) for s in stalls] == [("peer-silent", truth["tid"], truth["fd"])]
    assert stalls[0]["rpc"] is None
    assert summary["complete"] and any("calls that began before the session" in note for note in summary["notes"]), summary["notes"]


def test_stopped_target(target):
    """A target that is stopped itself (a debugger, a signal) is no stall."""
    session = Session(target.pid, duration=0).wait_armed()
    target.process.send_signal(signal.SIGSTOP)
    time.sleep(3)
    stalls, _, code = session.end(interrupt=True)
    target.process.send_signal(signal.SIGCONT)
    assert (stalls, code) == ([], 0)


ECHO = """
import socket, sys
s = socket.create_server(("127.0.0.1", 0))
print(s.getsockname()[1], flush=True)
import threading
def serve(c):
    while True:
        data = c.recv(4096)
        if not data:
            return
        c.sendall(data)
while True:
    c, _ = s.accept()
    threading.Thread(target=serve, args=(c,), daemon=True).start()
"""

CLIENT = """
import os, socket, sys, threading, time
def connect():
    return socket.create_connection(("127.0.0.1", int(sys.argv[1])))
def busy(c):
    print(threading.get_native_id(), c.fileno(), os.fstat(c.fileno()).st_ino, c.getsockname()[1], flush=True)
    while True:
        c.sendall(b"x" * 40)
        c.recv(4096)
        time.sleep(0.05)
def idle(c):
    c.sendall(b"hello")
    c.recv(4096)
    c.recv(4096)  # a pooled connection: nothing is outstanding
threading.Thread(target=idle, args=(connect(),), daemon=True).start()
time.sleep(0.2)
threading.Thread(target=busy, args=(connect(),), daemon=True).start()
r, w = os.pipe()
threading.Thread(target=os.read, args=(r, 1), daemon=True).start()
l = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=l.accept, daemon=True).start()
time.sleep(1000)
"""


def test_stopped_peer():
    """Any program as client, a peer that is stopped: the kernel acknowledges, the program does not answer."""
    server = subprocess.Popen([sys.executable, "-c", ECHO], stdout=subprocess.PIPE, text=True)
    port = server.stdout.readline().strip()
    client = subprocess.Popen([sys.executable, "-c", CLIENT, port], stdout=subprocess.PIPE, text=True)
    try:
        tid, fd, inode, local = map(int, client.stdout.readline().split())
        during = Session(client.pid, duration=0).wait_armed()
        time.sleep(1.5)
        server.send_signal(signal.SIGSTOP)
        time.sleep(2.7)
        before = Session(client.pid, duration=0).wait_armed()
        for session in (during, before):
            session.process.send_signal(signal.SIGINT)
        for session in (during, before):
            stalls, _, code = session.end()
            assert code == 1
            assert [(s["verdict"], s["tid"], s["fd"], s["socket"]["inode"]) for s in stalls] == [("peer-silent", tid, fd, inode)]
            assert stalls[0]["socket"]["local"] == f"127.0.0.1:{local}"
            assert stalls[0]["socket"]["remote"] == f"127.0.0.1:{port}"
            assert stalls[0]["syscall"] == "recvfrom"
            assert stalls[0]["rpc"] is None
            assert session is before or "40 bytes" in stalls[0]["request"]
    finally:
        server.kill()
        client.kill()
        server.wait()
        client.wait()


# the row of the plan for poll, by whichever source this kernel has
CALLS_ROW = r"(?m)^poll +attached +(fentry|kprobe|tracepoints) "


def run(*args):
    return subprocess.run([str(CULPRIT), "stalls", *map(str, args)], capture_output=True, text=True, timeout=60)


def test_usage_and_errors():
    assert run("--help").returncode == 0
    assert run().returncode == 2
    assert run("-p", os.getpid(), "--threshold", "0").returncode == 2
    assert run("-p", os.getpid(), "--without", "luck").returncode == 2
    done = run("-p", 2 ** 22 - 1)
    assert done.returncode == 3 and "no process" in done.stderr
    assert run("-p", os.getpid(), "--spec", "/nonexistent").returncode == 3


def test_dry_run(target):
    done = run("-p", target.pid, "--dry-run")
    assert done.returncode == 0
    assert re.search(CALLS_ROW, done.stdout)
    assert "uprobe zbs::rpc::Channel::CallMethod" in done.stdout
    done = run("-p", target.pid, "--dry-run", "--without", "sock")
    assert re.search(r"attached +exits of read and write calls", done.stdout)


def programs():
    out = subprocess.run(["bpftool", "-j", "prog", "list"], capture_output=True, text=True, check=True).stdout
    return [p for p in json.loads(out) if p.get("name") in ("on_enter", "fe_poll", "kp_call", "rpc_call", "sock_send")]


def test_kill_leaves_nothing(target):
    before = len(programs())
    session = Session(target.pid, duration=0).wait_armed()
    assert len(programs()) > before
    session.process.kill()
    session.process.wait()
    wait_until(lambda: len(programs()) <= before)
    assert target.status()["ok"] if "ok" in target.status() else target.alive()


def test_target_exits(start_target):
    target = start_target()
    session = Session(target.pid, duration=0).wait_armed()
    target.kill()
    stalls, summary, code = session.end()
    assert summary["ended"] == "target exited"
    assert (stalls, code) == ([], 0), summary


def test_no_tracefs(target):
    """Where nobody has mounted tracefs, nothing is missing."""
    script = ("umount -l /sys/kernel/tracing 2>/dev/null; umount -l /sys/kernel/debug 2>/dev/null; "
              f"{CULPRIT} stalls -p {target.pid} --framing grpc --dry-run; ls -A /sys/kernel/tracing | wc -l")
    done = subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, text=True, timeout=60)
    assert re.search(CALLS_ROW, done.stdout), done.stdout + done.stderr
    assert len(re.findall(r"^RPC frames.* attached ", done.stdout, re.M)) == 2 and "failed" not in done.stdout, done.stdout
    assert done.stdout.split()[-1] == "0"
