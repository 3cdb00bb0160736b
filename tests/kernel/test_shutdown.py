"""culprit stalls: connections of which one side has been shut down, and local sockets whose queue is full."""
import socket
import subprocess
import sys
import time

import pytest

from test_framing import Watch

CLIENT = """
import socket, sys, threading, time
how, address = sys.argv[1], sys.argv[2]
if how == "backlog":
    s = socket.socket(socket.AF_UNIX)
    print(s.fileno(), flush=True)
    sys.stdin.readline()
    s.connect(address)
else:
    s = socket.create_connection(("127.0.0.1", int(address)))
    s.sendall(b"hello")
    s.recv(5)
    print(s.fileno(), flush=True)
    sys.stdin.readline()
    s.sendall(b"ask")
    if how == "half":
        s.shutdown(socket.SHUT_WR)
    else:
        threading.Timer(0.4, s.shutdown, [socket.SHUT_RDWR]).start()
    s.recv(5)
    print("woken", flush=True)
    while True:
        time.sleep(0.1)
"""


class Client:
    def __init__(self, how, address):
        self.process = subprocess.Popen([sys.executable, "-c", CLIENT, how, str(address)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.pid = self.process.pid

    def ready(self):
        self.fd = int(self.process.stdout.readline())

    def go(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def end(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture(name="asked")
def client_of_a_silent_server():
    """(how) -> the client, connected; whoever answers is this test, and it does so but once."""
    listener = socket.create_server(("127.0.0.1", 0))
    ends = [listener]

    def start(how):
        client = Client(how, listener.getsockname()[1])
        conn, _ = listener.accept()
        assert conn.recv(5) == b"hello"
        conn.sendall(b"hello")
        ends.extend([conn, client])
        client.ready()
        return client

    yield start
    for e in reversed(ends):
        (e.end if isinstance(e, Client) else e.close)()


def test_half_closed(asked):
    """It has said that no more questions come, as a client of one question may: the answer is still owed."""
    client = asked("half")
    session = Watch(client.pid, "--threshold", 500)
    client.go()
    session.wait_found("peer-silent")
    stalls, _, code = session.end(interrupt=True)
    assert code == 1
    stall, = stalls
    assert (stall["fd"], stall["tid"]) == (client.fd, client.pid)
    assert stall["socket"]["state"] in ("FIN-WAIT-1", "FIN-WAIT-2", "FIN-WAIT")


def test_shut_down_by_another_thread(asked):
    """The neighbour: that wakes whoever waits, and nobody waits any more."""
    client = asked("both")
    session = Watch(client.pid, "--threshold", 2000)
    client.go()
    assert client.process.stdout.readline() == "woken\n"
    time.sleep(3)
    stalls, _, code = session.end(interrupt=True)
    assert not stalls and code == 0


def test_unix_backlog_full(tmp_path):
    """A local server that accepts nobody: its queue is full, and the next connect blocks."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "s"))
    listener.listen(0)
    first = socket.socket(socket.AF_UNIX)
    first.connect(str(tmp_path / "s"))
    client = Client("backlog", tmp_path / "s")
    try:
        client.ready()
        session = Watch(client.pid, "--threshold", 500)
        client.go()
        session.wait_found("connect-pending")
        stalls, _, code = session.end(interrupt=True)
        assert code == 1
        stall, = stalls
        assert (stall["syscall"], stall["fd"], stall["tid"]) == ("connect", client.fd, client.pid)
    finally:
        client.end()
        first.close()
        listener.close()
