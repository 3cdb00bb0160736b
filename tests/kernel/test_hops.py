"""culprit stalls: chains that leave the process, over connections of this machine, to their end or round in a circle."""
import os
import socket
import subprocess
import time

import pytest

from conftest import BUILD, CULPRIT
from test_framing import Watch

HOPS = BUILD / "tests" / "hops"


class Hop:
    def __init__(self, address, *args):
        self.process = subprocess.Popen([str(HOPS), str(address), *map(str, args)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.pid = self.process.pid
        self.address = self.process.stdout.readline().strip()

    def upstream(self, other):
        self.process.stdin.write(f"{other.address}\n")
        self.process.stdin.flush()
        time.sleep(0.1)

    def working(self):
        """(worker, holder): threads, when a request for work has been read."""
        words = self.process.stdout.readline().split()
        assert words[0] == "work"
        return int(words[1]), int(words[2])

    def remote(self):
        return self.address if self.address.startswith("/") else f"127.0.0.1:{self.address}"

    def end(self):
        self.process.kill()
        self.process.wait()


class Client:
    def __init__(self, hop):
        unix = hop.address.startswith("/")
        self.sock = socket.socket(socket.AF_UNIX if unix else socket.AF_INET)
        self.sock.connect(hop.address if unix else ("127.0.0.1", int(hop.address)))
        self.sock.settimeout(10)

    def send(self, what):
        self.sock.sendall(what.encode().ljust(8, b"\0"))

    def ask(self, what):
        self.send(what)
        assert self.sock.recv(8)

    def close(self):
        self.sock.close()


@pytest.fixture(scope="module", autouse=True)
def helpers():
    subprocess.run(["make", "-s", "kernel-helpers"], check=True)


@pytest.fixture
def start():
    started = []

    def make(kind, *args):
        started.append(kind(*args))
        return started[-1]

    yield make
    for s in reversed(started):
        (s.end if isinstance(s, Hop) else s.close)()


@pytest.fixture(params=["tcp", "unix"])
def addresses(request, tmp_path):
    return [0, 0, 0] if request.param == "tcp" else [tmp_path / n for n in "abc"]


def wait_then_end(session, *verdicts):
    for v in verdicts:
        session.wait_found(v)
    stalls, summary, code = session.end(interrupt=True)
    return stalls, summary, code


def test_three_processes(start, addresses):
    """A asks B, which asks C, whose worker waits for a lock that a sleeping thread holds."""
    c = start(Hop, addresses[2], "hold", "idle", 3)
    b = start(Hop, addresses[1])
    a = start(Hop, addresses[0])
    a.upstream(b)
    b.upstream(c)
    client = start(Client, a)
    client.ask("open2")
    session = Watch(a.pid, "--threshold", 500)
    client.ask("open2")  # of unix sockets only the session tells that they carry questions and answers
    client.send("work")
    threads = [a.working()[0], b.working()[0], *c.working()]
    stalls, _, code = wait_then_end(session, "peer-silent")
    assert code == 1
    stall, = [s for s in stalls if s["verdict"] == "peer-silent"]
    assert stall["tid"] == threads[0]
    assert [s["tid"] for s in stall["chain"]] == threads
    assert [s["pid"] for s in stall["chain"]] == [a.pid, b.pid, c.pid, c.pid]
    assert [s["for_tid"] for s in stall["chain"]] == [*threads[1:], None]
    assert stall["chain"][0]["waits"] == f"waits for an answer on {b.remote()} from"
    assert stall["chain"][1]["waits"] == f"waits for an answer on {c.remote()} from"
    assert all(s["by"].startswith("read the request ") for s in stall["chain"][1:3])
    assert stall["chain"][2]["waits"] == "waits for a lock held by"
    assert "pause" in stall["chain"][3]["waits"]
    assert not stall["cycle"] and stall["chain_end"] is None
    assert stall["other"]["pid"] == b.pid and stall["other"]["tid"] == threads[1]
    assert "read" in stall["other"]["user_stack"][0]["symbol"] and stall["other"]["kernel_stack"]
    assert f"-p {b.pid}" in stall["next"]


def test_circle(start, addresses):
    """A asks B, which asks A, where the first request has the lock that the second needs."""
    b = start(Hop, addresses[1])
    a = start(Hop, addresses[0])
    a.upstream(b)
    b.upstream(a)
    client = start(Client, a)
    client.ask("open2")
    session = Watch(a.pid, "--threshold", 500)
    client.ask("open2")  # of unix sockets only the session tells that they carry questions and answers
    client.send("work")
    first, middle, last = a.working()[0], b.working()[0], a.working()[0]
    stalls, _, code = wait_then_end(session, "peer-silent", "server-thread-blocked")
    assert code == 1
    by_tid = {s["tid"]: s for s in stalls}
    assert set(by_tid) == {first, last}
    circle = [first, middle, last]
    for at, stall in by_tid.items():
        i = circle.index(at)
        turned = circle[i:] + circle[:i]
        assert [s["tid"] for s in stall["chain"]] == turned
        assert [s["for_tid"] for s in stall["chain"]] == turned[1:] + turned[:1]
        assert stall["cycle"] and "a cycle" in stall["explanation"]


def test_read_before_the_session(start):
    """Who read it nobody saw: of several threads none is named, and it is said why; an only thread is."""
    c = start(Hop, 0, "hold", "idle", 3)
    a = start(Hop, 0)
    a.upstream(c)
    client = start(Client, a)
    client.ask("open1")
    client.send("work")
    thread = a.working()[0]
    c.working()
    session = Watch(a.pid, "--threshold", 200)
    stalls, _, _ = wait_then_end(session, "peer-silent")
    stall, = [s for s in stalls if s["verdict"] == "peer-silent"]
    assert [s["tid"] for s in stall["chain"]] == [thread]
    assert stall["chain"][0]["for_tid"] is None and f"of process {c.pid} (hops)" in stall["chain"][0]["waits"]
    assert "which of the 7 threads" in stall["chain_end"] and "cannot be known" in stall["chain_end"]
    text = subprocess.run([str(CULPRIT), "stalls", "-p", str(a.pid), "--threshold", "200", "-d", "1", "-q"], capture_output=True, text=True)
    assert f"  end       {stall['chain_end']}" in text.stdout


def test_only_thread(start):
    """The server has one thread: it must be the one, also if its request was read before the session."""
    listener = socket.create_server(("127.0.0.1", 0))
    child = os.fork()
    if not child:
        conn, _ = listener.accept()
        while conn.recv(8) != b"work\0\0\0\0":
            conn.sendall(b"12345678")
        time.sleep(100)
        os._exit(0)
    try:
        a = start(Hop, 0)
        a.address, port = str(listener.getsockname()[1]), a.address
        listener.close()
        a.upstream(a)
        a.address = port
        client = start(Client, a)
        client.ask("open1")
        client.send("work")
        thread = a.working()[0]
        session = Watch(a.pid, "--threshold", 200)
        stalls, _, _ = wait_then_end(session, "peer-silent")
        stall, = [s for s in stalls if s["verdict"] == "peer-silent"]
        assert [(s["pid"], s["tid"]) for s in stall["chain"]] == [(a.pid, thread), (child, child)]
        assert stall["chain"][1]["by"] == "is the only thread" and "sleeps" in stall["chain"][1]["waits"]
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)


def test_shared_and_elsewhere(start):
    """Two processes have the other end: neither is named."""
    listener = socket.create_server(("127.0.0.1", 0))
    a = start(Hop, 0)
    a.address, port = str(listener.getsockname()[1]), a.address
    a.upstream(a)
    a.address = port
    client = start(Client, a)
    client.send("open1")
    conn, _ = listener.accept()
    for _ in range(2):
        assert conn.recv(8)
        conn.sendall(b"12345678")
    assert client.sock.recv(8)
    child = os.fork()
    if not child:
        time.sleep(100)
        os._exit(0)
    try:
        client.send("work")
        a.working()
        assert conn.recv(8)
        session = Watch(a.pid, "--threshold", 200)
        stalls, _, _ = wait_then_end(session, "peer-silent")
        stall, = [s for s in stalls if s["verdict"] == "peer-silent"]
        assert len(stall["chain"]) == 1
        assert "2 processes have the other end" in stall["chain_end"] and "cannot be known" in stall["chain_end"]
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)
        conn.close()
        listener.close()


def test_healthy(start, addresses):
    """The neighbour: the same processes, asked all the time, answer."""
    c, b, a = (start(Hop, addresses[i]) for i in (2, 1, 0))
    a.upstream(b)
    b.upstream(c)
    client = start(Client, a)
    client.ask("open2")
    session = Watch(a.pid, "--threshold", 300)
    end = time.monotonic() + 2
    while time.monotonic() < end:
        client.ask("work")
        time.sleep(0.02)
    stalls, _, code = session.end(interrupt=True)
    assert not stalls and code == 0


def request_read(start, mode):
    """What a session says of the thread that has the request, and that thread."""
    a = start(Hop, 0, mode)
    client = start(Client, a)
    session = Watch(a.pid, "--threshold", 500)
    client.ask("hello")
    client.send("work")
    worker, _ = a.working()
    before_ms = schedstat_ms(a.pid, worker)
    session.wait_found("server-thread-blocked")
    stalls, _, code = session.end(interrupt=True)
    assert code == 1
    stall, = stalls
    assert stall["tid"] == stall["request_read"]["tid"] == worker
    assert stall["request_read"]["ago_ms"] >= 480
    return stall, schedstat_ms(a.pid, worker) - before_ms


def schedstat_ms(pid, tid):
    with open(f"/proc/{pid}/task/{tid}/schedstat", encoding="ascii") as f:
        return int(f.read().split()[0]) / 1e6


def test_computing_worker(start):
    """It is in no call: that it has not slept since it read the request tells."""
    stall, most_ms = request_read(start, "spin")
    read = stall["request_read"]
    assert stall["busy"] and "computing" in stall["explanation"] and "has not slept" in stall["explanation"]
    assert 20 <= read["cpu_ms"] <= min(most_ms, read["ago_ms"]) + 20
    assert "on CPU " in stall["request"]


def test_sleeping_worker(start):
    stall, most_ms = request_read(start, "hold")
    assert not stall["busy"] and "waits for a lock" in stall["chain"][0]["waits"]
    assert 0 <= stall["request_read"]["cpu_ms"] <= most_ms + 20 and stall["request_read"]["cpu_ms"] < 100


def test_polling_worker(start):
    """The neighbour: a thread that never sleeps, because it polls; what it got last needs no answer."""
    a = start(Hop, 0, "poll")
    client = start(Client, a)
    session = Watch(a.pid, "--threshold", 300)
    client.ask("hello")
    client.send("note")
    time.sleep(3)
    stalls, _, code = session.end(interrupt=True)
    assert not stalls and code == 0
