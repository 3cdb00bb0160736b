"""culprit stalls on what networks and hosts do to connections, on real sockets between two network namespaces; culprit itself runs
outside of both. All stalls are planted at once, in a process each, and looked at together."""
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from services import end, need
from sessions import Plain, silence

A, B = f"culprit-a{os.getpid()}", f"culprit-b{os.getpid()}"
LINKS = [0, 1, 2]  # one to filter, one to take down on this side, one to take down on the other side
PORTS = {"unacked": 7001, "half-open": 7002, "slow": 7003, "plain": 7004, "vanished": 7005}

SERVER = """
import socket, sys, threading
def serve(c):
    while True:
        data = c.recv(65536)
        if not data:
            return
        if data != b"mute":
            c.sendall(data)
def accept(l):
    while True:
        c, _ = l.accept()
        threading.Thread(target=serve, args=(c,), daemon=True).start()
threads = [threading.Thread(target=accept, args=(socket.create_server(("0.0.0.0", int(p))),)) for p in sys.argv[1:]]
for t in threads:
    t.start()
print("up", flush=True)
"""

# connects, is answered twice, says which thread and descriptor it is, and asks when it is told to
CLIENT = """
import os, select, socket, sys, threading, time
host, port, mode, request = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4].encode()
c = socket.socket()
c.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
for option, value in ((socket.TCP_KEEPIDLE, 1), (socket.TCP_KEEPINTVL, 1), (socket.TCP_KEEPCNT, 100)):
    c.setsockopt(socket.IPPROTO_TCP, option, value)
if mode not in ("connect", "poll-connect"):
    c.connect((host, port))
    for _ in range(2):
        c.sendall(b"hello")
        c.recv(100)
        time.sleep(0.05)
print(threading.get_native_id(), c.fileno(), os.fstat(c.fileno()).st_ino, flush=True)
sys.stdin.readline()
if mode == "poll-connect":
    c.setblocking(False)
    c.connect_ex((host, port))
    p = select.poll()
    p.register(c, select.POLLOUT)
    p.poll()
elif mode == "connect":
    c.connect((host, port))
else:
    c.sendall(request)
    if mode == "poll":
        p = select.poll()
        p.register(c, select.POLLIN)
        p.poll()
    begin = time.monotonic()
    c.recv(100)
    print(time.monotonic() - begin, flush=True)
sys.stdin.readline()
"""

WRITER = """
import os, select, socket, sys, threading
mode = sys.argv[1]
r, w = socket.socketpair() if mode != "pipe" else os.pipe()
fd = w if mode == "pipe" else w.fileno()
print(threading.get_native_id(), fd, os.fstat(fd).st_ino, flush=True)
sys.stdin.readline()
if mode == "poll":
    w.setblocking(False)
    try:
        while True:
            w.send(bytes(65536))
    except BlockingIOError:
        pass
    p = select.poll()
    p.register(w, select.POLLOUT)
    p.poll()
while True:
    os.write(fd, bytes(65536))
"""

# everything that waits for long and is healthy, in a thread each
HEALTHY = """
import ctypes, os, select, socket, sys, threading, time
host, port, vanished = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
libc = ctypes.CDLL(None)
def connect(port):
    c = socket.socket()
    c.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in ((socket.TCP_KEEPIDLE, 1), (socket.TCP_KEEPINTVL, 1), (socket.TCP_KEEPCNT, 100)):
        c.setsockopt(socket.IPPROTO_TCP, option, value)
    c.connect((host, port))
    return c
def pooled(port):
    c = connect(port)
    c.sendall(b"hello")
    c.recv(100)
    c.recv(100)
def pooled_epoll():
    e = select.epoll()
    held = [connect(port) for _ in range(3)]
    for c in held:
        c.sendall(b"hello")
        c.recv(100)
        e.register(c, select.EPOLLIN)
    e.poll()
def long_poll():
    connect(port).recv(100)
def listening():
    socket.create_server(("0.0.0.0", 0)).accept()
def listening_select():
    l = socket.create_server(("0.0.0.0", 0))
    select.select([l], [], [])
def eventfd():
    os.read(libc.eventfd(0, 0), 8)
def timerfd():
    fd = libc.timerfd_create(1, 0)
    spec = (ctypes.c_long * 4)(0, 50000000, 0, 50000000)
    libc.timerfd_settime(fd, 0, spec, None)
    while True:
        os.read(fd, 8)
def slow_timerfd():
    os.read(libc.timerfd_create(1, 0), 8)
def pipe():
    r, w = os.pipe()
    p = select.poll()
    p.register(r, select.POLLIN)
    p.poll()
def pair():
    a, b = socket.socketpair()
    b.sendall(b"wake")
    a.recv(4)
    a.recv(4)
def sleeping():
    while True:
        time.sleep(0.1)
threads = [lambda: pooled(port), lambda: pooled(vanished), pooled_epoll, long_poll, listening, listening_select, eventfd, timerfd,
           slow_timerfd, pipe, pair, sleeping]
for t in threads:
    threading.Thread(target=t, daemon=True).start()
time.sleep(0.5)
print(len(threads) + 1, flush=True)
sys.stdin.readline()
"""


def ip(*words):
    subprocess.run(["ip", *words], check=True)


def nft(netns, *words):
    subprocess.run(["ip", "netns", "exec", netns, "nft", *words], check=True)


def inside(netns, script, *words):
    return subprocess.Popen(["ip", "netns", "exec", netns, sys.executable, "-c", script, *map(str, words)],
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


class Network:
    """Two namespaces joined by three links: 10.99.N.1 in A, 10.99.N.2 in B."""

    def __init__(self):
        for netns in (A, B):
            ip("netns", "add", netns)
            ip("-n", netns, "link", "set", "lo", "up")
        for n in LINKS:
            ip("link", "add", f"a{n}", "netns", A, "type", "veth", "peer", "name", f"b{n}", "netns", B)
            for netns, name, host in ((A, f"a{n}", 1), (B, f"b{n}", 2)):
                ip("-n", netns, "addr", "add", f"10.99.{n}.{host}/24", "dev", name)
                ip("-n", netns, "link", "set", name, "up")
        nft(B, "add table inet t; add chain inet t in { type filter hook input priority 0; };"
               "add chain inet t out { type filter hook output priority 0; }")

    def drop(self, port):
        nft(B, f"add rule inet t in tcp dport {port} drop; add rule inet t out tcp sport {port} drop")

    def heal(self):
        nft(B, "flush table inet t")

    def end(self):
        for netns in (A, B):
            subprocess.run(["ip", "netns", "del", netns], check=False)


class Client:
    def __init__(self, script, *words):
        self.process = inside(A, script, *words)
        self.pid = self.process.pid
        self.tid, self.fd, self.inode = map(int, self.process.stdout.readline().split())

    def go(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()


@pytest.fixture(scope="module", name="network")
def network_of_two():
    need("ip", "nft", "ss")
    net = Network()
    yield net
    net.end()


@pytest.fixture(scope="module", name="servers")
def servers_in_b(network):
    """One for each port, so that each may vanish by itself."""
    servers = {name: inside(B, SERVER, port) for name, port in PORTS.items()}
    for server in servers.values():
        assert server.stdout.readline() == "up\n"
    yield servers
    network.heal()
    for server in servers.values():
        end(server)


# name: (arguments of the client, verdict, system calls)
STALLS = {
    "unacked": ((CLIENT, "10.99.0.2", PORTS["unacked"], "read", "ask"), "request-unacked", {"recvfrom"}),
    "unacked-poll": ((CLIENT, "10.99.0.2", PORTS["unacked"], "poll", "ask"), "request-unacked", {"poll"}),
    "half-open": ((CLIENT, "10.99.0.2", PORTS["half-open"], "read", "mute"), "half-open", {"recvfrom"}),
    "connect-dropped": ((CLIENT, "10.99.0.2", PORTS["unacked"], "connect", ""), "connect-pending", {"connect"}),
    "connect-dropped-poll": ((CLIENT, "10.99.0.2", PORTS["unacked"], "poll-connect", ""), "connect-pending", {"poll"}),
    "link-down-here": ((CLIENT, "10.99.1.2", PORTS["plain"], "read", "ask"), "request-unsent", {"recvfrom"}),
    "link-down-there": ((CLIENT, "10.99.2.2", PORTS["plain"], "read", "ask"), "request-unacked", {"recvfrom"}),
    "mute": ((CLIENT, "10.99.0.2", PORTS["plain"], "poll", "mute"), "peer-silent", {"poll"}),
    "unix-write": ((WRITER, "write"), "local-writer-blocked", {"write"}),
    "unix-poll": ((WRITER, "poll"), "local-writer-blocked", {"poll"}),
    "pipe-write": ((WRITER, "pipe"), "local-writer-blocked", {"write"}),
}


def plant(network, servers, clients):
    network.drop(PORTS["unacked"])
    ip("-n", A, "link", "set", "a1", "down")
    ip("-n", B, "link", "set", "b2", "down")
    for client in clients.values():
        client.go()
    time.sleep(0.3)  # its request is acknowledged by then
    network.drop(PORTS["half-open"])
    servers["half-open"].kill()


@pytest.fixture(scope="module", name="planted")
def planted_stalls(network, servers):
    """{name: (client, findings of the session that was there, of the one that came later, line of ss)}"""
    clients = {name: Client(*words) for name, (words, _, _) in STALLS.items()}
    ends = {}
    try:
        sessions = {name: [Plain(client.pid)] for name, client in clients.items()}
        for during, in sessions.values():
            during.wait_armed()
        plant(network, servers, clients)
        time.sleep(3.5)
        for name, client in clients.items():
            sessions[name].append(Plain(client.pid))
        for both in sessions.values():
            both[1].wait_armed()
        lines = ss_lines()
        for both in sessions.values():
            for session in both:
                session.process.send_signal(signal.SIGINT)
        for name, both in sessions.items():
            ends[name] = (clients[name], *(session.end() for session in both), lines.get(clients[name].inode))
        yield ends
    finally:
        for client in clients.values():
            end(client.process)


def ss_lines():
    """{inode: line} of `ss -tinpe` in A."""
    out = subprocess.run(["ip", "netns", "exec", A, "ss", "-tinpeHO"], capture_output=True, text=True, check=True).stdout
    return {int(m.group(1)): line for line in out.splitlines() for m in [re.search(r"\bino:(\d+)", line)] if m}


@pytest.mark.parametrize("name", STALLS)
def test_planted(planted, name):
    client, during, before, line = planted[name]
    _, verdict, syscalls = STALLS[name]
    print(line)
    for (stalls, summary, code), was_before in ((during, False), (before, True)):
        verdicts = [s["verdict"] for s in stalls]
        if name == "half-open" and not was_before:
            # the second probe goes out when the call has lasted for longer than the threshold
            assert verdicts == ["peer-silent", verdict]
        else:
            assert verdicts == [verdict], stalls
        found = stalls[-1]
        assert (code, summary["complete"]) == (1, True), summary["notes"]
        assert found["blocked_before_session"] is was_before
        assert (found["tid"], found["fd"]) == (client.tid, client.fd)
        assert found["syscall"] in syscalls
        if verdict == "local-writer-blocked":
            assert (found["socket"] or {}).get("inode", client.inode) == client.inode
            assert found["file"] == (f"pipe:[{client.inode}]" if name == "pipe-write" else None)
        if name == "unacked" and not was_before:
            assert re.search(r"sent again [1-9]\d* times in this session", found["request"]), found["request"]
        if line:
            state, receive, send, local, remote = line.split()[:5]
            assert found["socket"]["inode"] == client.inode
            assert (found["socket"]["local"], found["socket"]["remote"]) == (local, remote)
            assert found["socket"]["state"].startswith(state[:3])
            assert (found["socket"]["recv_queue"], found["socket"]["send_queue"]) == (int(receive), int(send))
    check_counters(before[0][0], line, verdict)


def check_counters(found, line, verdict):
    if verdict == "request-unacked":
        assert found["socket"]["retransmits"] >= 1
        assert found["socket"]["unacked"] == int(re.search(r"\bunacked:(\d+)", line).group(1))
        assert re.search(r"\bretrans:\d+/\d+", line)
    elif verdict == "request-unsent":
        assert found["socket"]["notsent"] == int(re.search(r"\bnotsent:(\d+)", line).group(1)) == 3
    elif verdict == "half-open":
        assert found["socket"]["probes"] >= 2
        assert "keepalive" in line
    elif verdict == "connect-pending":
        assert re.search(r"timer:\(on,\S+,\d+\)", line)


def test_slow_network(network, servers):
    """The request is lost for a third of a second, and sent again: late, but below the threshold."""
    assert servers["slow"].poll() is None
    client = Client(CLIENT, "10.99.0.2", PORTS["slow"], "read", "ask")
    try:
        session = Plain(client.pid).wait_armed()
        network.drop(PORTS["slow"])
        client.go()
        time.sleep(0.3)
        network.heal()
        took = float(client.process.stdout.readline())
        silence([session.end(interrupt=True)])
        assert 0.3 <= took < 1
        assert re.search(r"\bretrans:0/[1-9]", ss_lines()[client.inode])
    finally:
        end(client.process)


def test_healthy_waits(network, servers):
    """Threads that wait for long, with nothing outstanding; the peer of one idle connection has vanished, and nobody minds."""
    process = inside(A, HEALTHY, "10.99.0.2", PORTS["plain"], PORTS["vanished"])
    try:
        threads = int(process.stdout.readline())
        during = Plain(process.pid).wait_armed()
        network.drop(PORTS["vanished"])
        servers["vanished"].kill()
        time.sleep(3)
        before = Plain(process.pid, duration=1.5)
        ends = [before.end(), during.end(interrupt=True)]
        silence(ends)
        assert all(summary["threads"] == threads for _, summary, _ in ends)
        assert any("keepalive" in line and f":{PORTS['vanished']}" in line for line in ss_lines().values())
    finally:
        end(process)
