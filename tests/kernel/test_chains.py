"""culprit stalls: for whom a blocked server thread waits, to the end of the chain, and round in a circle."""
import socket
import subprocess
import time

import pytest

from conftest import BUILD
from test_framing import Watch, program  # noqa: F401

CHAINS = BUILD / "tests" / "chains"


class Chain:
    """The server with a client that waits for its answer. tids: worker, holder, last."""

    def __init__(self, *args):
        self.process = subprocess.Popen([str(CHAINS), *map(str, args)], stdout=subprocess.PIPE, text=True)
        self.pid = self.process.pid
        self.client = socket.create_connection(("127.0.0.1", int(self.process.stdout.readline())))

    def get_stuck(self):
        """First an answer, so that the session knows it for a connection of questions and answers."""
        self.client.sendall(b"hello")
        assert self.client.recv(64) == b"hello"
        self.client.sendall(b"work")
        self.tids = [int(w) for w in self.process.stdout.readline().split()]
        return self.tids

    def end(self):
        self.process.kill()
        self.process.wait()
        self.client.close()


@pytest.fixture
def chain():
    started = []

    def start(*args):
        started.append(Chain(*args))
        return started[-1]

    yield start
    for c in started:
        c.end()


def blocked(chain):
    """The findings of a session that is there when the worker gets stuck, by thread."""
    session = Watch(chain.pid, "--threshold", 500)
    chain.get_stuck()
    session.wait_found("server-thread-blocked")
    stalls, _, code = session.end(interrupt=True)
    assert code == 1
    return {s["tid"]: s for s in stalls}


def test_cycle(chain):
    c = chain("cycle")
    during = blocked(c)
    worker, holder, _ = c.tids
    stall = during[worker]
    assert [s["tid"] for s in stall["chain"]] == [worker, holder]
    assert [s["for_tid"] for s in stall["chain"]] == [holder, worker]
    assert stall["cycle"]
    assert "a cycle" in stall["explanation"]
    assert stall["other"]["role"] == "lock held by" and stall["other"]["tid"] == holder


def test_to_the_end(chain):
    """The neighbour: locks in a row, and no cycle."""
    c = chain("pause")
    during = blocked(c)
    worker, holder, last = c.tids
    stall = during[worker]
    assert [s["tid"] for s in stall["chain"]] == [worker, holder, last]
    assert not stall["cycle"]
    assert "pause" in stall["chain"][-1]["waits"]
    assert f"{last} (chains) is in pause" in stall["explanation"]


def test_writer_of_a_rwlock(chain):
    c = chain("written")
    during = blocked(c)
    worker, holder, _ = c.tids
    stall = during[worker]
    assert [s["tid"] for s in stall["chain"]] == [worker, holder]
    assert stall["chain"][0]["waits"] == "waits for a read/write lock held by"
    assert stall["other"]["role"] == "lock held by" and stall["other"]["tid"] == holder
    assert "pause" in [f["symbol"] for f in stall["other"]["user_stack"]] or "pause" in stall["other"]["doing"]
    assert stall["chain_end"] is None


@pytest.mark.parametrize("mode, what", [("read", "read/write lock"), ("told", "condition variable")])
def test_locks_that_name_nobody(chain, mode, what):
    """Readers leave no name, and a condition has no owner: none is told."""
    c = chain(mode)
    during = blocked(c)
    worker, _, _ = c.tids
    stall = during[worker]
    assert [s["tid"] for s in stall["chain"]] == [worker]
    assert stall["chain"][0]["waits"] == f"waits for a {what}" and stall["chain"][0]["for_tid"] is None
    assert "cannot be known" in stall["chain_end"]
    assert stall["chain_end"] in stall["explanation"]
    assert stall["other"] is None or stall["other"]["role"] != "lock held by"


def test_upstream(chain, program):  # noqa: F811
    """A lock whose holder waits for another server."""
    server = program("line-server")
    c = chain("upstream", server.port)
    during = blocked(c)
    worker, holder, _ = c.tids
    stall = during[worker]
    assert [s["tid"] for s in stall["chain"]][:2] == [worker, holder]
    assert stall["chain"][1]["waits"].startswith(f"waits for an answer on 127.0.0.1:{server.port} ")
    assert stall["chain"][-1]["pid"] == server.pid or f"process {server.pid} " in stall["chain_end"]
    assert during[holder]["verdict"] == "peer-silent"


def test_disk(chain, tmp_path):
    """A lock whose holder writes to a file system that does not go on."""
    image, at = tmp_path / "image", tmp_path / "at"
    image.write_bytes(b"")
    at.mkdir()
    subprocess.run(f"truncate -s 16M {image} && mkfs.ext4 -q {image} && mount -o loop {image} {at}", shell=True, check=True)
    try:
        (at / "file").write_bytes(b"")
        subprocess.run(["fsfreeze", "-f", at], check=True)
        try:
            c = chain("disk", at / "file")
            during = blocked(c)
            worker, holder, _ = c.tids
            stall = during[worker]
            assert [s["tid"] for s in stall["chain"]] == [worker, holder]
            assert f"waits for a disk or file system in write of {at}/file" in stall["chain"][-1]["waits"]
        finally:
            subprocess.run(["fsfreeze", "-u", at], check=True)
    finally:
        time.sleep(0.5)
        if "c" in locals():
            c.end()
        subprocess.run(["umount", at], check=True)
