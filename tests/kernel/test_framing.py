"""culprit stalls, RPCs by their frames on the wire: a framing described in a spec, gRPC's own library, and baidu_std; what the
ledger says against what the programs themselves did."""
import subprocess
import time
from pathlib import Path

import pytest

from conftest import BUILD, TARGET, wait_until
from daemon_wire import NAMES, SPEC
from test_stalls import Session, by_verdict

PROGRAMS = Path(__file__).with_name("rpc_programs.py")


class Program:
    """One of rpc_programs.py, with its commands."""

    def __init__(self, *args):
        self.process = subprocess.Popen(["/usr/bin/python3", str(PROGRAMS), *map(str, args)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.pid = self.process.pid
        self.port = int(self.process.stdout.readline()) if args[0].endswith(("server", "proxy")) else None

    def __call__(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def end(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def program():
    started = []

    def start(*args):
        started.append(Program(*args))
        return started[-1]

    yield start
    for p in started:
        p.end()


class Watch(Session):
    def __init__(self, pid, *options):
        self.start("-p", pid, "-d", 0, "--max-overhead", 100, *options)
        self.wait_armed()

    def rpcs(self):
        """({method: row of clients}, {method: row of servers}, stalls, summary)"""
        stalls, summary, _ = self.end(interrupt=True)
        rows = {by: {r["method"]: r for r in summary["rpcs"] if r["by"] == by} for by in ("wire client", "wire server")}
        return rows["wire client"], rows["wire server"], stalls, summary


@pytest.fixture
def daemon_spec(tmp_path):
    path = tmp_path / "daemon.spec"
    path.write_text(SPEC, encoding="ascii")
    return path


@pytest.mark.parametrize("force", ["", "nosocktp"])
def test_described(start_target, daemon_spec, monkeypatch, force):
    """Both ends are in one process: each call is seen twice, and as often as the daemon's own count has it; before 6.3, too."""
    monkeypatch.setenv("CULPRIT_FORCE", force)
    target = start_target("--rpc-rate", 300)
    session = Watch(target.pid, "--spec", daemon_spec)
    served = target.status()["rpc_done"]
    wait_until(lambda: target.status()["rpc_done"] > served + 600, timeout=30)
    least = target.status()["rpc_done"] - served
    clients, servers, stalls, summary = session.rpcs()
    most = target.status()["rpc_done"] - served
    assert not stalls
    assert summary["complete"], summary["notes"]
    for rows in (clients, servers):
        assert set(rows) <= set(NAMES), rows
        assert least <= sum(r["calls"] for r in rows.values()) <= most + 200
        assert all(r["unanswered"] == r["errors"] == r["timed_out"] == 0 for r in rows.values())
    assert all(r["peer"] == f"127.0.0.1:{target.port}" for r in clients.values())
    for method, row in servers.items():
        assert abs(row["calls"] - clients[method]["calls"]) <= 2
        assert row["p50_ms"] <= clients[method]["p50_ms"] * 1.3, "the server's time is part of the client's"
    # one line per client's method: the wire's replaces that of CallMethod
    assert not any(r["by"] == "call" for r in summary["rpcs"] if r["method"] in clients)


def test_described_stall(target, daemon_spec):
    """A call that the server does not answer: on the wire, too, it is one in flight, on both sides."""
    session = Watch(target.pid, "--spec", daemon_spec)
    truth = target.fault("server-mutex", timeout_ms=60000)
    session.wait_found("peer-silent")
    clients, servers, stalls, _ = session.rpcs()
    stall = by_verdict(stalls, "peer-silent")[0]
    assert stall["rpc"]["method"] == truth["method"]
    assert clients[truth["method"]]["in_flight"] == 1
    assert servers[truth["method"]]["in_flight"] == 1
    assert clients[truth["method"]]["oldest_ms"] >= 1000


def bare(directory):
    """The daemon where nobody finds its debuginfo."""
    binary = directory / "bare" / "target"
    binary.parent.mkdir()
    binary.write_bytes(TARGET.read_bytes())
    binary.chmod(0o755)
    return binary


def test_no_debuginfo_but_frames(start_target, daemon_spec, tmp_path):
    """A stripped daemon: what its stacks cannot tell, its frames do."""
    target = start_target(binary=bare(tmp_path))
    session = Watch(target.pid, "--spec", daemon_spec)
    truth = target.fault("silent-server", timeout_ms=60000)
    session.wait_found("peer-silent")
    _, _, stalls, _ = session.rpcs()
    stall = by_verdict(stalls, "peer-silent")[0]
    assert stall["tid"] == truth["tid"]
    assert stall["rpc"]["method"] == truth["method"]
    assert 1000 <= stall["rpc"]["age_ms"] <= stall["blocked_ms"] + 100


def test_no_debuginfo(start_target, tmp_path):
    """A stripped daemon and no framing: its channel is found by its vtable, and probes on it tell the method."""
    target = start_target("--rpc-rate", 300, binary=bare(tmp_path))
    session = Watch(target.pid)
    served = target.status()["rpc_done"]
    wait_until(lambda: target.status()["rpc_done"] > served + 300, timeout=30)
    truth = target.fault("silent-server", timeout_ms=60000)
    session.wait_found("peer-silent")
    least = target.status()["rpc_done"] - served
    stalls, summary, _ = session.end(interrupt=True)
    most = target.status()["rpc_done"] - served
    found = by_verdict(stalls, "peer-silent")
    assert [(s["tid"], s["rpc"]["method"]) for s in found] == [(truth["tid"], truth["method"])]
    assert summary["complete"] and any("by their vtables" in n for n in summary["notes"]), summary["notes"]
    # a call is counted when it is answered, one a thread runs is in flight: the daemon counts once it is back from it
    assert least <= sum(r["calls"] for r in summary["rpcs"]) <= most + 210
    assert all(r["method"].startswith("zbs.meta.MetaService.") for r in summary["rpcs"])


@pytest.mark.parametrize("force", ["", "nosocktp"])
def test_grpc(program, monkeypatch, force):
    """The real library, client and server as two processes watched from before their connection is made; by the tracepoints of
    sockets and, as before 6.3, by those of system calls."""
    monkeypatch.setenv("CULPRIT_FORCE", force)
    server = program("grpc-server")
    client = program("grpc-client", server.port)
    sessions = [Watch(p.pid, "--framing", "grpc") for p in (client, server)]
    assert client("call", "Echo", 300) == "300"
    assert client("call", "Fail", 20) == "0"
    assert client("call", "Echo", 300) == "300"
    clients, none, stalls, _ = sessions[0].rpcs()
    assert not none and not stalls
    nothing, servers, stalls, _ = sessions[1].rpcs()
    assert not nothing and not stalls
    for rows in (clients, servers):
        assert set(rows) == {"test.Service.Echo", "test.Service.Fail"}
        assert rows["test.Service.Echo"]["calls"] == 600
        assert rows["test.Service.Fail"]["calls"] == 20
        assert rows["test.Service.Fail"]["errors"] == 20
        assert rows["test.Service.Echo"]["errors"] == 0
        assert all(r["in_flight"] == r["unanswered"] == r["timed_out"] == r["unclear"] == 0 for r in rows.values())
    assert clients["test.Service.Echo"]["peer"].endswith(f":{server.port}")
    assert clients["test.Service.Echo"]["p50_ms"] > 0


def test_grpc_large(program):
    """Messages far larger than what is read of one call: each request is still named, and what is not known is not made up."""
    server = program("grpc-server")
    client = program("grpc-client", server.port)
    session = Watch(client.pid, "--framing", "grpc")
    assert client("call", "Echo", 5, 100000) == "5"
    assert client("call", "Fail", 20) == "0"
    clients, _, stalls, _ = session.rpcs()
    assert not stalls
    assert {m: r["calls"] for m, r in clients.items()} == {"test.Service.Echo": 5, "test.Service.Fail": 20}
    fail = clients["test.Service.Fail"]
    assert fail["errors"] + fail["unclear"] == 20
    assert clients["test.Service.Echo"]["errors"] == 0


def test_grpc_deadline(program):
    server = program("grpc-server")
    client = program("grpc-client", server.port)
    session = Watch(client.pid, "--framing", "grpc", "--threshold", 3000)
    assert client("call", "Echo", 3) == "3"
    assert client("start", "Silent", 0.3) == "ok"
    assert client("watch") == "ok"
    assert client("start", "Silent") == "ok"
    assert client("call", "Echo", 3) == "3"
    time.sleep(1)
    clients, _, _, _ = session.rpcs()
    assert clients["test.Service.Silent"]["calls"] == 2
    assert clients["test.Service.Silent"]["timed_out"] == 1
    assert clients["test.Service.Silent"]["in_flight"] == 1
    assert clients["test.Service.Watch"]["in_flight"] == 1


def test_brpc(program):
    """No implementation is packaged: the bytes are made by protobuf from the published messages."""
    server = program("brpc-server")
    client = program("brpc-client", server.port)
    sessions = [Watch(p.pid, "--framing", "baidu_std") for p in (client, server)]
    assert client("call", "Echo", 200) == "200"  # pipelined: many frames in one call of the reader
    assert client("call", "Fail", 7) == "7"
    assert client("call", "Late", 3) == "3"
    client("start", "Silent", 2)
    client("start", "Silent", 1, 50)
    time.sleep(0.3)
    clients, none, _, _ = sessions[0].rpcs()
    assert not none
    sent = clients["test.EchoService.Echo"]
    assert sent["calls"] == 200
    assert clients["test.EchoService.Fail"]["errors"] == 7
    assert clients["test.EchoService.Silent"]["in_flight"] == 2
    assert clients["test.EchoService.Silent"]["timed_out"] == 1
    assert clients["test.EchoService.Late"]["timed_out"] == 3
    assert clients["test.EchoService.Silent"]["calls"] == 3
    _, servers, _, _ = sessions[1].rpcs()
    assert servers["test.EchoService.Fail"]["errors"] == 7
    # 200 answers came many at a time: of those beyond the bytes that are read nothing is said
    assert sent["in_flight"] == sent["unanswered"] == 0


def test_mid_stream(program):
    """A connection that is met in its middle is read from the next frame on."""
    server = program("brpc-server")
    client = program("brpc-client", server.port)
    assert client("call", "Echo", 50, 3000) == "50"
    session = Watch(client.pid, "--framing", "baidu_std")
    for _ in range(30):
        assert client("call", "Echo", 1, 3000) == "1"
    clients, _, _, _ = session.rpcs()
    assert clients["test.EchoService.Echo"]["calls"] == 30
    assert clients["test.EchoService.Echo"]["in_flight"] == 0


def test_foreign(program):
    """What is said to be gRPC and is not: no calls are made up."""
    server = program("brpc-server")
    client = program("brpc-client", server.port)
    session = Watch(client.pid, "--framing", "grpc")
    for _ in range(40):
        client("call", "Echo", 3, 3000)
    clients, servers, stalls, summary = session.rpcs()
    assert not clients and not servers and not stalls
    assert any("none of the framings" in n for n in summary["notes"])


def test_described_wrongly(start_target, tmp_path):
    """A magic that never comes: said, though too few bytes were seen to be sure. The spec names no channel: protobuf's serves."""
    target = start_target("--rpc-rate", 20)
    spec = tmp_path / "wrong.spec"
    spec.write_text('[rpc wrong]\nmagic = 0:"ZBSX"\nheader = 32\nlength = 8:u32le\nid = 16:u64le\nmethod = 24:u64le\n', encoding="ascii")
    session = Watch(target.pid, "--spec", spec)
    served = target.status()["rpc_done"]
    wait_until(lambda: target.status()["rpc_done"] > served + 20, timeout=30)
    clients, servers, stalls, summary = session.rpcs()
    assert not clients and not servers and not stalls
    assert any("are they framed as described" in n for n in summary["notes"]), summary["notes"]
    assert sum(r["calls"] for r in summary["rpcs"] if r["by"] == "call") >= 20


def test_errors(target):
    done = subprocess.run([str(Path(__file__).parents[2] / "build" / "culprit"), "stalls", "-p", str(target.pid), "--framing", "thrift"],
                          capture_output=True, text=True, timeout=30)
    assert done.returncode == 2
    assert "baidu_std and grpc" in done.stderr and "docs/spec.md" in done.stderr


@pytest.mark.parametrize("abi, stripped", [(0, False), (1, False), (0, True)])
def test_statically_linked(program, tmp_path, abi, stripped):
    """protobuf's layout of 2.5 and 3.0 without a library that would tell the version: the names of a method prove it. Stripped, its
    classes are found by what cannot be stripped."""
    server = program("line-server")
    binary = BUILD / "tests" / f"legacy_rpc_{abi}"
    if stripped:
        subprocess.run(["strip", "-o", tmp_path / "legacy_rpc", binary], check=True)
        binary = tmp_path / "legacy_rpc"
    client = subprocess.Popen([str(binary), str(server.port)], stdin=subprocess.PIPE)
    try:
        session = Watch(client.pid)
        time.sleep(1)
        client.stdin.write(b"go\n")
        client.stdin.flush()
        session.wait_found("peer-silent")
        stalls, summary, code = session.end(interrupt=True)
        assert code == 1
        assert [(s["verdict"], s["rpc"]["method"]) for s in stalls] == [("peer-silent", "legacy.Service.Hang")]
        rows = {r["method"]: r for r in summary["rpcs"]}
        assert set(rows) == {"legacy.Service.Ping", "legacy.Service.Hang"}
        assert rows["legacy.Service.Hang"]["in_flight"] == 1
    finally:
        client.kill()
        client.wait()
