"""culprit stalls on programs that are not ours: redis, PostgreSQL, nginx and Python, stalled and under load. Verdict, descriptor and
addresses are held against ss, lsof and what the programs say themselves."""
import signal
import subprocess
import sys
import time

import pytest

from conftest import wait_until
from services import Nginx, Postgres, Redis, end, need
from sessions import Plain, check_addresses, during_and_before, only, silence

LOAD_S = 10


@pytest.fixture(scope="module", name="postgres")
def postgres_cluster():
    cluster = Postgres()
    yield cluster
    cluster.end()


@pytest.fixture(name="redis")
def redis_server(tmp_path):
    server = Redis(tmp_path)
    yield server
    server.end()


@pytest.fixture(name="nginx")
def nginx_proxy(tmp_path):
    proxy = Nginx(tmp_path)
    yield proxy
    proxy.end()


def silence_under_load(pids, seconds):
    """All hooks stay on the first process. On the others the default budget holds: at so many calls a second it may drop hooks, and
    then the session says so and does not call itself complete."""
    sessions = [Plain(pid, *(("--max-overhead", 90) if i == 0 else ()), duration=seconds) for i, pid in enumerate(pids)]
    ends = [session.end() for session in sessions]
    silence(ends[:1])
    for stalls, summary, code in ends[1:]:
        assert not stalls
        assert code == (0 if summary["complete"] else 4)
        assert summary["complete"] or any("over the budget" in note for note in summary["notes"]), summary["notes"]
        assert summary["events"]["lost"] == summary["probes"]["failed"] == 0


def test_redis_stopped(redis):
    """redis-server is stopped: a redis-cli that waits for its answer."""
    client = redis.client()
    try:
        client.stdin.write("SET a 1\nGET a\n")
        client.stdin.flush()
        assert [client.stdout.readline().strip() for _ in range(2)] == ["OK", "1"]
        listed = redis.client_list()

        def stall():
            redis.process.send_signal(signal.SIGSTOP)
            client.stdin.write("GET a\n")
            client.stdin.flush()

        for found in only(during_and_before(client.pid, stall), "peer-silent"):
            check_addresses(found, client.pid)
            assert found["tid"] == client.pid
            assert found["socket"]["local"] in listed
            assert found["socket"]["remote"] == f"127.0.0.1:{redis.port}"
            assert found["syscall"] in ("read", "recvfrom")
            assert 1000 <= found["blocked_ms"] <= 6000
    finally:
        end(client)


def test_redis_waiting_as_asked(redis):
    """A server that holds a request back on purpose goes on in its loop: nothing is stuck there."""
    client = redis.client()
    try:
        client.stdin.write("BLPOP nothing 0\n")
        client.stdin.flush()
        wait_until(lambda: "cmd=blpop" in redis.call("CLIENT", "LIST"))
        stalls, summary, code = Plain(redis.pid, duration=3).end()
        assert (stalls, code) == ([], 0), (stalls, summary)
    finally:
        end(client)


def test_redis_under_load(redis):
    bench, = need("redis-benchmark")
    load = subprocess.Popen([bench, "-p", str(redis.port), "-c", "20", "-n", "100000000", "-t", "get,set", "-q"],
                            stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: len(redis.client_list()) >= 20)
        silence_under_load((redis.pid, load.pid), LOAD_S)
        assert load.poll() is None
    finally:
        end(load)


def lock_wait(postgres, holder, waiter):
    """Findings of four sessions on a statement that waits for a row lock: of the client and of its backend, each of a session that
    was there before and of one that came later."""
    holder.ask("drop table if exists t; create table t(i int); insert into t values (1); select 1")
    holder.ask("begin; update t set i = 2; select 1")
    sessions = [Plain(pid).wait_armed() for pid in (waiter.pid, waiter.backend)]
    assert waiter.ask("select 2") == "2"
    time.sleep(0.1)
    waiter.send("update t set i = 3")
    time.sleep(4)  # after 1 s the backend wakes up to look for a deadlock
    sessions += [Plain(pid).wait_armed() for pid in (waiter.pid, waiter.backend)]
    wait, port = postgres.query(f"select wait_event_type, client_port from pg_stat_activity where pid = {waiter.backend}").split("|")
    assert wait == "Lock"
    for session in sessions:
        session.process.send_signal(signal.SIGINT)
    return [session.end() for session in sessions], int(port)


def test_postgres_lock(postgres):
    """A row lock: the client waits for its backend, and the backend for another one, while a client waits for it."""
    holder, waiter = postgres.client(), postgres.client()
    try:
        ends, port = lock_wait(postgres, holder, waiter)
        for before in (False, True):
            client, backend = ends[2 * before:2 * before + 2]
            for (stalls, summary, code), verdict in ((client, "peer-silent"), (backend, "server-thread-blocked")):
                assert [s["verdict"] for s in stalls] == [verdict], (before, stalls)
                assert (code, summary["complete"], stalls[0]["blocked_before_session"]) == (1, True, before)
            client, backend = client[0][0], backend[0][0]
            check_addresses(client, waiter.pid)
            check_addresses(backend, waiter.backend)
            assert client["socket"]["local"] == backend["socket"]["remote"] == f"127.0.0.1:{port}"
            assert client["socket"]["remote"] == backend["socket"]["local"] == f"127.0.0.1:{postgres.port}"
            assert (client["syscall"], backend["syscall"]) == ("poll", "epoll_wait")
            assert any("LockAcquire" in (f["symbol"] or "") or "ProcSleep" in (f["symbol"] or "") for f in backend["user_stack"])
    finally:
        waiter.end()
        holder.end()


def test_postgres_lock_unix(postgres):
    """The same over a local socket, of which the kernel keeps no times: told by a session that saw the request."""
    holder, waiter = postgres.client(), postgres.client(postgres.directory)
    try:
        ends, _ = lock_wait(postgres, holder, waiter)
        for (stalls, _, code), verdict in zip(ends[:2], ("peer-silent", "server-thread-blocked")):
            assert [s["verdict"] for s in stalls] == [verdict], stalls
            assert code == 1
        path = f"{postgres.directory}/.s.PGSQL.{postgres.port}"
        assert ends[0][0][0]["socket"]["remote"] == path
        assert ends[1][0][0]["socket"]["local"] == path
        assert ends[0][0][0]["socket"]["inode"] == ends[1][0][0]["socket"]["peer_inode"]
        assert {s["verdict"] for stalls, _, _ in ends[2:] for s in stalls} <= {"peer-silent", "server-thread-blocked"}
    finally:
        waiter.end()
        holder.end()


def test_postgres_idle(postgres):
    """An open transaction that nobody waits for: client and backend wait for what comes next."""
    client = postgres.client()
    try:
        client.ask("begin; select 1")
        silence(s.end() for s in [Plain(pid, duration=2.5) for pid in (client.pid, client.backend, postgres.process.pid)])
    finally:
        client.end()


def test_postgres_under_load(postgres):
    subprocess.run([postgres.pgbench, "-h", "127.0.0.1", "-p", str(postgres.port), "-U", "postgres", "-i", "-q", "postgres"], check=True,
                   capture_output=True, timeout=60)
    load = subprocess.Popen([postgres.pgbench, "-h", "127.0.0.1", "-p", str(postgres.port), "-U", "postgres", "-c", "4", "-T", "60", "-n",
                             "postgres"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        # it asks by a connection of its own first, which ends
        wait_until(lambda: postgres.query("select count(*) from pg_stat_activity where application_name = 'pgbench'") == "4")
        backends = postgres.query("select pid from pg_stat_activity where application_name = 'pgbench'").split()
        silence_under_load((backends[0], load.pid, postgres.process.pid), LOAD_S)
        assert load.poll() is None
    finally:
        end(load)


@pytest.mark.parametrize("path", ["/proxy", "/kept"])
def test_nginx_upstream_silent(nginx, path):
    """The worker sleeps in epoll_wait, and one member of its set is a connection whose request is not answered."""
    if path == "/kept":  # a pooled connection that has answered before
        assert b"200 OK" in nginx.get(path).recv(4096)
    client = []

    def stall():
        nginx.upstream.silent = True
        client.append(nginx.get(path))

    ends = during_and_before(nginx.worker, stall)
    for found in only(ends, "peer-silent"):
        check_addresses(found, nginx.worker)
        assert found["syscall"] == "epoll_wait"
        assert found["socket"]["remote"] == f"127.0.0.1:{nginx.upstream.port}"
        assert [found["socket"]["local"]] == nginx.upstream.peers
        assert "%s:%d waits for it" % client[0].getsockname() in found["request"]


def test_nginx_under_load(nginx):
    wrk, = need("wrk")
    for path in ("/", "/proxy"):
        load = subprocess.Popen([wrk, "-t", "1", "-c", "20", "-d", "30", f"http://127.0.0.1:{nginx.port}{path}"],
                                stdout=subprocess.DEVNULL)
        try:
            time.sleep(0.5)
            silence_under_load((nginx.worker, nginx.process.pid, load.pid), LOAD_S // 2)
            assert load.poll() is None
        finally:
            end(load)


PYTHON = """
import os, socket, sys
c = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
for i in range(2):
    c.sendall(b"PING\\r\\n")
    print(c.recv(100), c.fileno(), flush=True)
sys.stdin.readline()
c.sendall(b"PING\\r\\n")
c.recv(100)
"""


def test_python_client(redis):
    """A Python client in a blocking recv."""
    client = subprocess.Popen([sys.executable, "-c", PYTHON, str(redis.port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        fds = [int(client.stdout.readline().split()[1]) for _ in range(2)]

        def stall():
            redis.process.send_signal(signal.SIGSTOP)
            client.stdin.write("\n")
            client.stdin.flush()

        for found in only(during_and_before(client.pid, stall), "peer-silent"):
            assert found["fd"] == fds[0]
            assert found["syscall"] == "recvfrom"
            assert found["timeout_ms"] is None or found["timeout_ms"] < 0
            check_addresses(found, client.pid)
    finally:
        end(client)
