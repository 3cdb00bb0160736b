"""culprit stalls on event loops that other events keep awake: no call lasts, and yet somebody is not answered."""
import time

import pytest

from test_framing import Watch, program  # noqa: F401


@pytest.fixture
def proxied(program):  # noqa: F811
    """(upstream server, proxy, client); one client keeps the proxy awake."""
    server = program("line-server")
    proxy = program("proxy", server.port)
    client = program("line-client", proxy.port)
    assert client("ask", "a", "hello") == "hello"
    assert client("busy", "b", 0.02) == "ok"
    return server, proxy, client


def ended(session):
    """Python's protobuf library has no debuginfo, which makes coverage incomplete where nothing is found."""
    stalls, summary, code = session.end(interrupt=True)
    assert summary["complete"] or all("no debuginfo" in n for n in summary["notes"] if "not named" in n)
    return stalls, summary, code


def test_silent_upstream(proxied):
    """Seen to begin, and met when it was there already."""
    server, proxy, client = proxied
    during = Watch(proxy.pid)
    time.sleep(1)
    port = client("send", "a", "silent")
    during.wait_found("peer-silent")
    before = Watch(proxy.pid)
    before.wait_found("peer-silent")
    for session in (during, before):
        stalls, summary, code = ended(session)
        assert code == 1
        assert [s["verdict"] for s in stalls] == ["peer-silent"]
        stall = stalls[0]
        assert stall["busy"] and stall["tid"] == proxy.pid
        assert stall["socket"]["remote"] == f"127.0.0.1:{server.port}"
        assert f"127.0.0.1:{port} waits for it" in stall["request"]
        assert stall["blocked_before_session"] is (session is before)
        assert stall["blocked_ms"] >= 980
        assert not summary["stalls"][0]["over"]


def test_late_upstream(proxied):
    """Answered in the end, after more than two of the looks that come once a second: the finding says when."""
    _, proxy, client = proxied
    session = Watch(proxy.pid, "--threshold", 300)
    assert client("ask", "a", "late") == "late"
    time.sleep(1.5)
    stalls, summary, _ = ended(session)
    assert [s["verdict"] for s in stalls] == ["peer-silent"]
    life = summary["stalls"][0]
    assert life["over"] and life["end"] == "answered late"
    assert 2450 <= life["blocked_ms"] <= 2450 + 5000


def test_healthy_loops(proxied):
    """Idle connections kept for later, a client whose poll is answered by nobody yet, words that need no answer."""
    _, proxy, client = proxied
    session = Watch(proxy.pid, "--threshold", 500)
    assert client("ask", "c", "hello") == "hello"  # idle from now on, and so is its connection upstream
    assert client("ask", "d", "note") == "note"
    client("send", "e", "hold")
    time.sleep(4)
    stalls, _, code = ended(session)
    assert (stalls, code) == ([], 0)


def test_busy_client(program):  # noqa: F811
    """A client whose connection carries other calls that are answered all the time: told by the frames."""
    server = program("brpc-server")
    client = program("brpc-client", server.port)
    session = Watch(client.pid, "--framing", "baidu_std")
    assert client("beat", 0.02) == "ok"
    inode = int(client("start", "Silent"))
    session.wait_found("peer-silent")
    stalls, summary, code = session.end(interrupt=True)
    assert code == 1
    assert [s["verdict"] for s in stalls] == ["peer-silent"]
    stall = stalls[0]
    assert stall["socket"]["inode"] == inode
    assert stall["socket"]["remote"] == f"127.0.0.1:{server.port}"
    assert stall["rpc"]["method"] == "test.EchoService.Silent"
    assert stall["rpc"]["id"] == 101 or stall["rpc"]["id"] == 102
    assert stall["rpc"]["age_ms"] >= 1000
    row = next(r for r in summary["rpcs"] if r["method"] == "test.EchoService.Beat")
    assert row["calls"] > 30 and row["in_flight"] <= 1


def test_busy_server(program):  # noqa: F811
    """The other end: it has read a request and answers others only."""
    server = program("brpc-server")
    client = program("brpc-client", server.port)
    session = Watch(server.pid, "--framing", "baidu_std")
    assert client("beat", 0.02) == "ok"
    client("start", "Silent")
    session.wait_found("server-thread-blocked")
    stalls, _, _ = session.end(interrupt=True)
    assert [(s["verdict"], s["tid"], s["rpc"]["method"]) for s in stalls] == [
        ("server-thread-blocked", server.pid, "test.EchoService.Silent")]


def test_healthy_frames(program, tmp_path):  # noqa: F811
    """Calls that end in time, one whose own time is shorter than the threshold, and a long poll that the spec knows."""
    server = program("brpc-server")
    client = program("brpc-client", server.port)
    spec = tmp_path / "poll.spec"
    spec.write_text("[rpc brpc]\nframing = baidu_std\nlongpoll = test.EchoService.Silent\n", encoding="ascii")
    sessions = [Watch(client.pid, "--spec", spec), Watch(server.pid, "--spec", spec)]
    assert client("beat", 0.02) == "ok"
    client("start", "Silent")
    time.sleep(3)
    for session in sessions:
        stalls, _, code = ended(session)
        assert stalls == [] and code in (0, 4)
    session = Watch(client.pid, "--framing", "baidu_std")
    client("start", "Silent", 1, 300)
    time.sleep(3)
    stalls, _, code = ended(session)
    assert stalls == [] and code in (0, 4)
