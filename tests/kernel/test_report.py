"""Session files (-o) and culprit report: what comes back, both ends of a real stalled RPC, and what a session file survives."""
import json
import os
import re
import shutil
import signal
import sqlite3
import stat
import subprocess
import time
from datetime import datetime
from pathlib import Path

import pytest

from conftest import CULPRIT, TARGET, TARGET_DEBUG, wait_until
from test_framing import Watch, program  # noqa: F401 (fixture)
from test_hops import Client, Hop, addresses, helpers, start  # noqa: F401 (fixtures)
from test_stalls import Session

PEER = """
import socket, sys, threading, time
def work(c):
    while True:
        data = c.recv(100)
        if data == b"work":
            print(threading.get_native_id(), flush=True)
            lock.acquire()
        c.sendall(data)
lock = threading.Lock()
lock.acquire()
if sys.argv[1] == "server":
    l = socket.create_server(("0.0.0.0", 7100))
    print("up", flush=True)
    while True:
        threading.Thread(target=work, args=(l.accept()[0],), daemon=True).start()
c = socket.create_connection((sys.argv[2], 7100))
for _ in range(3):
    c.sendall(b"hello")
    c.recv(100)
print(threading.get_native_id(), flush=True)
sys.stdin.readline()
c.sendall(b"work")
c.recv(100)
"""


def report(*args, code=None):
    done = subprocess.run([str(CULPRIT), "report", *map(str, args)], capture_output=True, text=True, timeout=60)
    assert code is None or done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return done.stdout


def report_lines(*args, code=None):
    return [json.loads(line) for line in report(*args, "--json", code=code).splitlines()]


def joined(*paths, code=1):
    return [line for line in report_lines(*paths, code=code) if line["kind"] == "joined"]


class Watched:
    """A session with a file for each of several processes."""

    def __init__(self, directory, *pids, options=("--threshold", 500)):
        self.path = [directory / f"{i}.db" for i in range(len(pids))]
        self.session = [Watch(pid, "-o", path, *options) for pid, path in zip(pids, self.path)]

    def end(self):
        return [s.end(interrupt=True) for s in self.session]


def stop(pid):
    """SIGSTOP, and until it is so for every thread: one that is told late would still read."""
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: all("\nState:\tT" in (task / "status").read_text() for task in Path(f"/proc/{pid}/task").iterdir()))


def test_both_ends(start, addresses, tmp_path):
    """A asks B, whose worker waits for a lock: the thread and the times are those that B itself tells."""
    b = start(Hop, addresses[1], "hold", "idle", 3)
    a = start(Hop, addresses[0])
    a.upstream(b)
    client = start(Client, a)
    client.ask("open1")
    watched = Watched(tmp_path, a.pid, b.pid)
    client.ask("open1")
    before = time.time()
    client.send("work")
    thread = a.working()[0]
    worker, holder = b.working()
    after = time.time()
    watched.session[0].wait_found("peer-silent")
    watched.session[1].wait_found("server-thread-blocked")
    watched.end()
    pair, = [j for j in joined(*watched.path) if j["tid"] == thread]
    assert pair["state"] == "read" and pair["thread"]["tid"] == worker and pair["one_clock"]
    assert "futex" in pair["thread"]["doing"] and "serve" in [f["symbol"] for f in pair["thread"]["user_stack"]]
    assert (pair["client_session"], pair["server_session"]) == (str(watched.path[0]), str(watched.path[1]))
    for moment in ("sent", "read"):
        assert before - 0.1 <= datetime.fromisoformat(pair[moment]).timestamp() <= after + 0.1
    assert pair["sent"] <= pair["read"]
    text = report(*watched.path, code=1)
    assert re.search(rf"^JOINED  request read on \S+ by thread {worker} \(hops\), now in futex.*not answered$", text, re.M)
    assert f"a lock held by {holder}" in text
    assert text.index("STALL  peer-silent") < text.index("JOINED") < text.index("at its end")
    # in the trace an arrow leads from the one slice into the other
    events = json.loads(report(*watched.path, "--chrome", code=1))["traceEvents"]
    flows = {e["ph"]: e for e in events if e.get("name") == "request"}
    for phase, tid in (("s", thread), ("f", worker)):
        inside = [e for e in events if e["ph"] == "X" and (e["pid"], e["tid"]) == (flows[phase]["pid"], tid)
                  and e["ts"] <= flows[phase]["ts"] <= e["ts"] + e["dur"]]
        assert flows[phase]["tid"] == tid and inside
    # the order of the files is of no matter
    assert [j["thread"]["tid"] for j in joined(*reversed(watched.path)) if j["tid"] == thread] == [worker]


def test_healthy_neighbour(start, addresses, tmp_path):
    """The same two, answering all the time: nothing found, nothing joined."""
    b, a = start(Hop, addresses[1]), start(Hop, addresses[0])
    a.upstream(b)
    client = start(Client, a)
    client.ask("open1")
    watched = Watched(tmp_path, a.pid, b.pid)
    end = time.monotonic() + 2
    while time.monotonic() < end:
        client.ask("work")
        time.sleep(0.02)
    assert all(not stalls and code == 0 for stalls, _, code in watched.end())
    assert "JOINED" not in report(*watched.path, code=0)
    assert joined(*watched.path, code=0) == []
    with sqlite3.connect(watched.path[1]) as db:
        assert db.execute("SELECT count(*) FROM wait").fetchone() == (0, )


def test_unread(start, addresses, tmp_path):
    """B is stopped before it reads: its kernel has the bytes, and the thread that reads this connection should."""
    b, a = start(Hop, addresses[1]), start(Hop, addresses[0])
    a.upstream(b)
    client = start(Client, a)
    client.ask("open1")
    watched = Watched(tmp_path, a.pid, b.pid)
    client.ask("work")
    reader = b.working()[0]
    a.working()
    stop(b.pid)
    try:
        client.send("work")
        thread = a.working()[0]
        watched.session[0].wait_found("peer-silent")
        time.sleep(1.5)
        watched.end()
    finally:
        os.kill(b.pid, signal.SIGCONT)
    pair, = [j for j in joined(*watched.path) if j["tid"] == thread]
    assert (pair["state"], pair["unread"]) == ("unread", 8)
    assert pair["thread"]["tid"] == reader
    assert "has not read it: 8 bytes in its receive queue" in report(*watched.path)


def test_late_answer(start, addresses, tmp_path):
    """Stopped for a while: B answered late, which both sessions saw."""
    b, a = start(Hop, addresses[1]), start(Hop, addresses[0])
    a.upstream(b)
    client = start(Client, a)
    client.ask("open1")
    watched = Watched(tmp_path, a.pid, b.pid)
    client.ask("work")
    a.working()
    stop(b.pid)
    client.send("work")
    thread = a.working()[0]
    watched.session[0].wait_found("peer-silent")
    os.kill(b.pid, signal.SIGCONT)
    client.sock.settimeout(60)
    assert client.sock.recv(8)
    time.sleep(1)
    watched.end()
    pair, = [j for j in joined(*watched.path) if j["tid"] == thread]
    assert pair["state"] == "answered" and pair["answered"] > pair["sent"]
    assert re.search(r"^  answer    received on \S+ at ", report(*watched.path), re.M)


def test_by_number(program, tmp_path):
    """Of many requests on one connection the one that is not answered: at both ends by its number, though others were answered since."""
    server = program("brpc-server")
    client = program("brpc-client", server.port)
    watched = Watched(tmp_path, client.pid, server.pid, options=("--threshold", 500, "--framing", "baidu_std"))
    assert client("call", "Echo", 3) == "3"
    before = time.time()
    client("start", "Silent", 1)
    after = time.time()
    for _ in range(8):
        assert client("call", "Echo", 1) == "1"
        time.sleep(0.1)
    for session, verdict in zip(watched.session, ("peer-silent", "server-thread-blocked")):
        session.wait_found(verdict)
    assert client("call", "Echo", 1) == "1"
    time.sleep(1)
    (asked, ), _, _ = watched.end()[0]
    assert "answers others" in asked["request"] and "answered" not in asked["explanation"], asked
    assert f"culprit stalls -p {server.pid}" in asked["next"]
    assert asked["rpc"]["id"] == 104  # the client counts from 101
    pair, = joined(*watched.path)
    assert (pair["state"], pair["by_id"], pair["thread"]["tid"]) == ("read", True, server.pid)
    for moment in ("sent", "read"):
        assert before - 0.1 <= datetime.fromisoformat(pair[moment]).timestamp() <= after + 0.1
    # as if the server had been at another request then
    with sqlite3.connect(watched.path[1]) as db:
        db.execute("UPDATE wait SET rpc_id=105")
    pair, = joined(*watched.path)
    assert (pair["state"], pair["by_id"]) == ("unclear", False) and "104" in pair["why"]


def test_nothing_can_be_said(start, tmp_path):
    """A session at another time, and one of a process that is not the peer."""
    b = start(Hop, 0, "hold")
    other = start(Hop, 0)
    a = start(Hop, 0)
    a.upstream(b)
    early = Watched(tmp_path, b.pid)
    time.sleep(1)
    early.end()
    early.path[0].rename(tmp_path / "early.db")
    client = start(Client, a)
    client.ask("open1")
    watched = Watched(tmp_path, a.pid, other.pid)
    client.send("work")
    watched.session[0].wait_found("peer-silent")
    watched.end()
    assert {j["state"] for j in joined(*watched.path)} == {"no-connection"}
    assert "NAT" in report(*watched.path)
    assert {j["state"] for j in joined(watched.path[0], tmp_path / "early.db")} == {"no-overlap"}


@pytest.fixture
def two_nets():
    """Two network namespaces with a link: ("a", "b"); the server is at 10.97.0.2."""
    names = [f"report-{side}{os.getpid()}" for side in "ab"]
    for name in names:
        subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        subprocess.run(["ip", "link", "add", "v0", "netns", names[0], "type", "veth", "peer", "name", "v0", "netns", names[1]], check=True)
        for i, name in enumerate(names):
            subprocess.run(["ip", "-n", name, "addr", "add", f"10.97.0.{i + 1}/24", "dev", "v0"], check=True)
            subprocess.run(["ip", "-n", name, "link", "set", "v0", "up"], check=True)
        yield names
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=False)


def test_between_networks(two_nets, tmp_path):
    """Over a network, each end in a namespace of its own: by addresses and by what both kernels count."""
    def run(net, *args):
        process = subprocess.Popen(["ip", "netns", "exec", net, "/usr/bin/python3", "-c", PEER, *args],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return process, process.stdout.readline().strip()

    server, _ = run(two_nets[1], "server")
    client, thread = run(two_nets[0], "client", "10.97.0.2")
    try:
        watched = Watched(tmp_path, client.pid, server.pid)
        client.stdin.write("go\n")
        client.stdin.flush()
        worker = int(server.stdout.readline())
        watched.session[0].wait_found("peer-silent")
        time.sleep(0.5)
        watched.end()
    finally:
        for process in (client, server):
            process.kill()
            process.wait()
    pair, = joined(*watched.path)
    assert (pair["state"], pair["tid"], pair["thread"]["tid"]) == ("read", int(thread), worker)
    assert pair["remote"] == "10.97.0.2:7100" and pair["by_bytes"]
    # as if on two hosts, whose clocks are five minutes apart
    with sqlite3.connect(watched.path[1]) as db:
        db.execute("UPDATE session SET value='another' WHERE key='boot_id'")
        db.execute("UPDATE session SET value=CAST(CAST(value AS INTEGER)-300000000000 AS TEXT) WHERE key LIKE '%_real_ns'")
        db.execute("UPDATE connection SET first_ns=first_ns-300000000000, seen_ns=seen_ns-300000000000, "
                   "last_recv_ns=last_recv_ns-300000000000, last_send_ns=last_send_ns-300000000000")
        db.execute("UPDATE wait SET since_ns=since_ns-300000000000, seen_ns=seen_ns-300000000000")
    pair, = joined(*watched.path)
    assert (pair["state"], pair["thread"]["tid"], pair["one_clock"]) == ("read", worker, False)
    assert re.search(r"clocks    two hosts.*the other is at least 300 s behind", report(*watched.path))


def printed_and_stored(text, path):
    """What was printed is what the file gives again, after its header."""
    again = report(path)
    header, body = again.split("\n\n", 1)
    assert body == text
    return header


def test_stalls_as_printed(start_target, tmp_path):
    """Findings, the daemon's log, tables and footer."""
    target = start_target()
    target.fault("silent-server", timeout_ms=2000)
    done = subprocess.run([str(CULPRIT), "stalls", "-q", "-p", str(target.pid), "--spec", "zbs", "--log", str(target.log_path), "-d", "3",
                           "-o", str(tmp_path / "s.db")], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1, done.stderr
    header = printed_and_stored(done.stdout, tmp_path / "s.db")
    assert f"process   {target.pid} (target)" in header and "culprit stalls -q -p" in header
    assert os.uname().nodename in header and os.uname().release in header
    assert (tmp_path / "s.db").stat().st_mode & 0o7777 == 0o600
    assert not (tmp_path / "s.db-journal").exists()


def test_writes_as_printed(start_target, tmp_path):
    target = start_target("--rate", 4000)
    session = subprocess.Popen([str(CULPRIT), "writes", "-p", str(target.pid), "--spec", "zbs", "-d", "6", "-o", str(tmp_path / "w.db")],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for line in session.stderr:
        if "Ctrl-C to stop" in line:
            break
    time.sleep(1)
    truth = target.fault("wild-store")
    out, _ = session.communicate(timeout=60)
    assert session.returncode == 1
    printed_and_stored(out, tmp_path / "w.db")
    found, = [x for x in report_lines(tmp_path / "w.db", code=1) if x["kind"] == "bad_write"]
    assert found["addr"] == truth["addr"]
    page = report(tmp_path / "w.db", "--html", code=1)
    assert "CachedLease" in page and "http:" not in page and "https:" not in page and "<script" not in page and "src=" not in page


def test_json_is_the_session(start_target, tmp_path):
    """The lines that --json printed, byte for byte."""
    target = start_target()
    target.fault("silent-server", timeout_ms=60000)
    done = subprocess.run([str(CULPRIT), "stalls", "--json", "-q", "-p", str(target.pid), "--spec", "zbs", "-d", "3", "-o",
                           str(tmp_path / "s.db")], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert report(tmp_path / "s.db", "--json", code=1) == done.stdout


def test_killed(start_target, tmp_path):
    """kill -9 in mid-session: what was found until a second before is there, and it is said that it was cut off."""
    target = start_target()
    session = Session(target.pid, "-o", tmp_path / "s.db", duration=0).wait_armed()
    truth = target.fault("silent-server", timeout_ms=60000)
    session.wait_found("peer-silent")
    time.sleep(1.2)
    session.process.kill()
    session.process.wait()
    lines = report_lines(tmp_path / "s.db", code=1)
    assert ("peer-silent", truth["tid"]) in [(x["verdict"], x["tid"]) for x in lines]
    assert {x["kind"] for x in lines} == {"stall"}
    text = report(tmp_path / "s.db", code=1)
    assert "then it was cut off" in text and "INCOMPLETE: the session was cut off" in text
    assert "STALL  peer-silent" in text
    with sqlite3.connect(tmp_path / "s.db") as db:  # it is a sound file, that any SQLite reads
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok", )
        assert db.execute("SELECT count(*) FROM wait WHERE ours").fetchone()[0] >= 1


def test_not_overwritten(start_target, tmp_path):
    path = tmp_path / "mine.db"
    path.write_text("mine")
    target = start_target()
    for command in ("stalls", "writes"):
        done = subprocess.run([str(CULPRIT), command, "-p", str(target.pid), "--spec", "zbs", "-d", "1", "-o", str(path)],
                              capture_output=True, text=True, timeout=60)
        assert done.returncode == 3 and "not overwritten" in done.stderr and "another name" in done.stderr
        assert done.stdout == "" and path.read_text() == "mine"
        done = subprocess.run([str(CULPRIT), command, "-p", str(target.pid), "--spec", "zbs", "-d", "1", "-o", str(tmp_path / "no" / "dir.db")],
                              capture_output=True, text=True, timeout=60)
        assert done.returncode == 3 and "No such file" in done.stderr
    # a dry run has no session
    subprocess.run([str(CULPRIT), "stalls", "-p", str(target.pid), "--dry-run", "-o", str(tmp_path / "dry.db")], check=True, capture_output=True)
    assert not (tmp_path / "dry.db").exists()


def test_full_disk(start_target, tmp_path):
    """The session goes on, says what the file lacks, and counts as incomplete."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "culprit-test", str(disk)], check=True)
    try:
        target = start_target()
        session = Session(target.pid, "-o", disk / "s.db", duration=0).wait_armed()
        with open(disk / "filler", "wb", buffering=0) as filler:
            try:
                while True:
                    filler.write(b"x" * 4096)
            except OSError:
                pass
        truth = target.fault("silent-server", timeout_ms=60000)
        session.wait_found("peer-silent")
        stalls, summary, code = session.end(interrupt=True)
        assert ("peer-silent", truth["tid"]) in [(s["verdict"], s["tid"]) for s in stalls]
        assert code == 1 and not summary["complete"]
        assert any("rows of the session are not in" in n and "full" in n for n in summary["notes"]), summary["notes"]
        # nothing found: that is no evidence then
        target.heal()
        (disk / "filler").unlink()
        session = Session(target.pid, "-o", disk / "t.db", duration=0).wait_armed()
        with open(disk / "filler", "wb", buffering=0) as filler:
            try:
                while True:
                    filler.write(b"x" * 4096)
            except OSError:
                pass
        time.sleep(1.5)
        stalls, summary, code = session.end(interrupt=True)
        assert (stalls, code) == ([], 4)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_names_found_later(start_target, tmp_path):
    """A stripped daemon's frames get their names where its debuginfo is."""
    binary = tmp_path / "bare" / "target"
    binary.parent.mkdir()
    shutil.copy(TARGET, binary)
    target = start_target(binary=binary)
    truth = target.fault("silent-server", timeout_ms=60000)
    time.sleep(1.5)
    subprocess.run([str(CULPRIT), "stalls", "-q", "-p", str(target.pid), "-d", "2", "-o", str(tmp_path / "s.db")], capture_output=True, timeout=60, check=False)
    target.stop()

    def frames(*options):
        stall, = [x for x in report_lines(tmp_path / "s.db", *options, code=1) if x.get("tid") == truth["tid"]]
        return stall["user_stack"]

    bare, named = frames(), frames("--debuginfo", TARGET_DEBUG.parent)
    assert not any("CallMethod" in (f["symbol"] or "") for f in bare)
    assert any("CallMethod" in (f["symbol"] or "") for f in named) and any(f["file"] for f in named)
    assert {(f["build_id"], f["offset"]) for f in bare} == {(f["build_id"], f["offset"]) for f in named}
    # the truth: the same thread, when the debuginfo is there from the start
    assert "CallMethod" in report(tmp_path / "s.db", "--debuginfo", TARGET_DEBUG, code=1)
    assert "CallMethod" in report(tmp_path / "s.db", "--debuginfo", TARGET_DEBUG, "--folded", code=1)


def test_unprivileged(start_target, tmp_path):
    """Somebody else's desk: no root, no BTF, and a file that cannot be written."""
    target = start_target()
    target.fault("silent-server", timeout_ms=60000)
    subprocess.run([str(CULPRIT), "stalls", "-q", "-p", str(target.pid), "--spec", "zbs", "-d", "2", "-o", str(tmp_path / "s.db")], capture_output=True, timeout=60, check=False)
    os.chmod(tmp_path / "s.db", stat.S_IRUSR | stat.S_IRGRP | stat.S_IROTH)
    for directory in (tmp_path, *tmp_path.parents):
        if directory.stat().st_uid == 0 and str(directory).startswith("/tmp/"):
            os.chmod(directory, 0o755)
    program = tmp_path / "culprit"
    shutil.copy(CULPRIT, program)
    done = subprocess.run([str(program), "report", str(tmp_path / "s.db")], capture_output=True, text=True, timeout=60,
                          preexec_fn=lambda: os.setuid(65534), check=False)
    assert done.returncode == 1, done.stderr
    assert "STALL  peer-silent" in done.stdout
