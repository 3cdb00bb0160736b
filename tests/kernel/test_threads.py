"""culprit threads: every call, timeout, descriptor, socket, stack and blocked time against a program that knows them, and ss."""
import json
import re
import subprocess
import threading
import time
from pathlib import Path

import pytest

from conftest import BUILD, CULPRIT

BLOCKERS = BUILD / "tests" / "blockers"
SLACK_MS = 30  # the tool's own bound on clocks of different CPUs, and one tick


class Blockers:
    def __init__(self, *args, prefix=()):
        self.process = subprocess.Popen([*prefix, str(BLOCKERS), *map(str, args)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True)
        self.threads = {}
        for line in self.process.stdout:
            record = json.loads(line)
            if "ready" in record:
                self.pid, self.ready_ns = record["ready"], record["now_ns"]
                return
            self.threads[record["name"]] = record
        raise RuntimeError("blockers did not start")

    def ask(self):
        self.process.stdin.write("?\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def kill(self):
        self.process.kill()
        self.process.wait(timeout=20)


@pytest.fixture(scope="module", autouse=True)
def helpers():
    subprocess.run(["make", "-s", "kernel-helpers"], check=True)


@pytest.fixture(scope="module")
def blockers(helpers):
    b = Blockers()
    time.sleep(1.0)
    yield b
    b.kill()


def look(pid, *options, expect=(0,)):
    done = subprocess.run([str(CULPRIT), "threads", "-p", str(pid), "--json", *options], capture_output=True, text=True, timeout=60)
    assert done.returncode in expect, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines[-1]["kind"] == "summary"
    return lines


def by_comm(lines):
    return {line["comm"]: line for line in lines if line["kind"] == "thread"}


def monotonic_ns():
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)


@pytest.fixture(scope="module", params=["iterator", "proc"])
def seen(request, blockers):
    """Facts by both sources; both must tell the same about calls, descriptors and stacks."""
    if request.param == "proc":
        lines = look(blockers.pid, "--proc", expect=(0, 4))
    else:
        lines = look(blockers.pid)
    return request.param, by_comm(lines), lines


def test_calls_timeouts_and_descriptors(blockers, seen):
    source, threads, _ = seen
    assert len(blockers.threads) == 16
    for name, truth in blockers.threads.items():
        t = threads[name]
        assert t["tid"] == truth["tid"]
        assert t["syscall"] == truth["call"], name
        assert not t["moved"] and not t["args_unread"], name
        fds = sorted(truth["fds"]) if name == "select_two" else truth["fds"]
        assert [fd["fd"] for fd in t["fds"]] == fds, name
        if name == "cond_deadline":
            assert t["timeout_is_left"] and 150_000 < t["timeout_ms"] < 200_000
        else:
            assert not t["timeout_is_left"], name
            # SO_RCVTIMEO and SO_SNDTIMEO are nowhere in /proc
            unknown = source == "proc" and truth["call"] in ("recvfrom", "accept", "connect")
            assert (-2 if t["timeout_ms"] is None else t["timeout_ms"]) == (-2 if unknown else truth["timeout_ms"]), name


def test_user_stacks_name_the_functions(blockers, seen):
    _, threads, _ = seen
    for name in blockers.threads:
        symbols = [frame["symbol"] for frame in threads[name]["user_stack"]]
        assert name in symbols and "start" in symbols, (name, symbols)
        assert symbols.index(name) < symbols.index("start")
        frame = next(frame for frame in threads[name]["user_stack"] if frame["symbol"] == name)
        assert frame["file"].endswith("blockers.c") and frame["line"] > 0


def test_kernel_stacks(seen):
    _, threads, _ = seen
    expected = {"poll_forever": "do_sys_poll", "epoll_three": "do_epoll_wait", "select_two": "do_select", "mutex_wait": "futex_wait",
                "raw_nanosleep": "hrtimer_nanosleep", "accept_one": "inet_csk_accept", "recv_one": "tcp_recvmsg"}
    for name, function in expected.items():
        assert any(function in f for f in threads[name]["kernel_stack"]), (name, threads[name]["kernel_stack"])


def test_blocked_since(blockers):
    before = monotonic_ns()
    threads = by_comm(look(blockers.pid))
    after = monotonic_ns()
    for name in blockers.threads:
        known_ms = (before - blockers.ready_ns) / 1e6  # all were blocked for 300 ms when "ready" was printed
        most_ms = (after - blockers.ready_ns) / 1e6 + 1500
        assert known_ms + 300 - SLACK_MS <= threads[name]["blocked_ms"] <= most_ms, name
    # to the point: two looks a second apart differ by a second
    time.sleep(1.0)
    again = by_comm(look(blockers.pid))
    for name in blockers.threads:
        assert 900 <= again[name]["blocked_ms"] - threads[name]["blocked_ms"] <= 2000, name


def test_blocked_is_a_lower_bound(blockers):
    """The main thread blocks in read() when it has answered; from then on the real time is known to a millisecond."""
    for wait in (0.2, 0.7):
        answered = blockers.ask()["now_ns"]
        time.sleep(wait)
        before = monotonic_ns()
        main = by_comm(look(blockers.pid))["blockers"]
        real_after = (monotonic_ns() - answered) / 1e6
        real_before = (before - answered) / 1e6
        assert main["syscall"] == "read"
        assert real_before - SLACK_MS <= main["blocked_ms"] <= real_after + 50


SS = {"ESTAB": "ESTABLISHED", "SYN-SENT": "SYN-SENT", "LISTEN": "LISTEN", "FIN-WAIT-2": "FIN-WAIT-2", "CLOSE-WAIT": "CLOSE-WAIT"}


def ss(inode, prefix=()):
    """The line of ss for one socket, as a dict of its columns and name:value pairs."""
    text = subprocess.run([*prefix, "ss", "-tinaeoHO"], capture_output=True, text=True, check=True).stdout
    line = next(line for line in text.splitlines() if f" ino:{inode} " in line + " ")
    cols = line.split()
    facts = {"state": SS[cols[0]], "recv_queue": int(cols[1]), "send_queue": int(cols[2]), "local": cols[3], "remote": cols[4]}
    facts |= dict(re.findall(r"(\w+):([\w/.,()]+)", line.split(cols[4], 1)[1]))
    return facts


def unmapped(address):
    return re.sub(r"^\[::ffff:([0-9.]+)\]", r"\1", address).replace("*:*", "[::]:*")


def compare_with_ss(s, prefix=()):
    truth = ss(s["inode"], prefix)
    for key in ("state", "recv_queue", "send_queue"):
        assert s[key] == truth[key], (key, s, truth)
    assert s["local"] == unmapped(truth["local"]) and s["remote"] == unmapped(truth["remote"])
    if s["state"] in ("LISTEN", "SYN-SENT"):
        return truth
    for key in ("bytes_sent", "bytes_acked", "bytes_received", "unacked", "notsent"):
        assert s[key] == int(truth.get(key, 0)), (key, s, truth)
    assert s["peer_window"] == int(truth.get("snd_wnd", 0))
    for key, name in (("last_send_ms", "lastsnd"), ("last_recv_ms", "lastrcv"), ("last_ack_ms", "lastack")):
        if s["timer"] != "persist":  # each probe is answered, and starts the ages again
            assert abs(s[key] - int(truth.get(name, 0))) < 1500, (key, s, truth)
    assert s["rtt_us"] == pytest.approx(float(truth["rtt"].split("/")[0]) * 1000, abs=1)
    return truth


def sockets_of(thread):
    return {fd["fd"]: fd["socket"] for fd in thread["fds"] if fd["socket"]}


def test_sockets_against_ss(blockers, seen):
    _, threads, _ = seen
    states = []
    for name in ("poll_forever", "ppoll_states", "poll_half", "recv_one", "accept_one", "connect_full"):
        socks = sockets_of(threads[name])
        assert list(socks) == blockers.threads[name]["fds"], name
        for s in socks.values():
            compare_with_ss(s)
            states.append(s["state"])
    assert set(states) == set(SS.values())
    unread, zero, v6, mapped, accepted = sockets_of(threads["ppoll_states"]).values()
    assert unread["recv_queue"] == 8
    assert zero["peer_window"] == 0 and zero["notsent"] > 0 and zero["timer"] == "persist"
    assert v6["local"].startswith("[::1]:") and v6["family"] == "inet6"
    assert mapped["remote"] == accepted["local"] and accepted["local"].startswith("127.0.0.1:")
    assert accepted["accepted"] and not mapped["accepted"]
    assert sockets_of(threads["poll_forever"]).popitem()[1]["timer"] == "keepalive"


def test_unix_sockets_and_pipes(seen):
    _, threads, _ = seen
    unix, pipe, event = threads["poll_three"]["fds"]
    listing = subprocess.run(["ss", "-xnaH"], capture_output=True, text=True, check=True).stdout
    peers = dict(re.findall(r"\* (\d+)\s+\* (\d+)", listing))
    assert unix["socket"]["family"] == "unix"
    assert str(unix["socket"]["peer_inode"]) == peers[str(unix["socket"]["inode"])]
    assert (pipe["kind"], event["kind"]) == ("pipe", "eventfd")


def test_epoll_members(blockers, seen):
    _, _, lines = seen
    sets = {line["fd"]: line["members"] for line in lines if line["kind"] == "epoll"}
    three = sets[blockers.threads["epoll_three"]["fds"][0]]
    expected = [blockers.threads["poll_forever"]["fds"][0], *blockers.threads["poll_three"]["fds"][:2][::-1]]
    assert sorted(m["fd"] for m in three) == sorted(expected)
    assert not any(m["dead"] for m in three)
    (stale,) = sets[blockers.threads["epoll_stale"]["fds"][0]]
    assert stale["dead"] and stale["kind"] == "pipe"
    recv = blockers.threads["recv_one"]["fds"][0]
    assert stale["held_socket"]["inode"] == inode_of(blockers.pid, recv)


def inode_of(pid, fd):
    return int(re.search(r"\[(\d+)\]", str(Path(f"/proc/{pid}/fd/{fd}").readlink())).group(1))


def test_polled_file_is_not_the_one_behind_the_number(blockers):
    """The descriptor was made to mean another socket while poll slept: the file it sleeps on is found in the kernel."""
    threads = by_comm(look(blockers.pid))
    pipe, reused = threads["poll_dead"]["fds"]
    assert not pipe["dead"]
    assert reused["dead"]
    assert reused["inode"] == inode_of(blockers.pid, reused["fd"])
    held = reused["held_socket"]
    assert held["inode"] == reused["held_inode"] != reused["inode"]
    compare_with_ss(held)
    # only that one: none of the healthy threads is accused
    others = [(t["comm"], fd["fd"]) for t in threads.values() for fd in t["fds"] if fd["dead"]]
    assert others == [("poll_dead", reused["fd"])]


def test_blocked_since_without_the_iterator(blockers):
    """The scheduler's own report gives the same bound; it is read in a mount namespace of its own, where it may be mounted."""
    mount = "{ mountpoint -q /sys/kernel/debug || mount -t debugfs none /sys/kernel/debug; } && exec \"$@\""
    command = ["unshare", "-m", "sh", "-c", mount, "sh", str(CULPRIT), "threads", "-p", str(blockers.pid), "--proc", "--json"]
    before = monotonic_ns()
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    after = monotonic_ns()
    if "mount" in done.stderr:
        pytest.skip(done.stderr)
    threads = by_comm([json.loads(line) for line in done.stdout.splitlines()])
    iterator = by_comm(look(blockers.pid))
    for name in blockers.threads:
        assert threads[name]["blocked_ms"] >= (before - blockers.ready_ns) / 1e6 + 300 - SLACK_MS, name
        assert threads[name]["blocked_ms"] <= (after - blockers.ready_ns) / 1e6 + 1500, name
        assert threads[name]["blocked_ms"] <= iterator[name]["blocked_ms"] + SLACK_MS, name


def test_interrupted_poll_is_still_a_poll(blockers):
    """A stop and continue turns poll into restart_syscall; its set and function are told all the same."""
    b = Blockers()
    try:
        b.process.send_signal(19)
        time.sleep(0.1)
        b.process.send_signal(18)
        time.sleep(0.1)
        threads = by_comm(look(b.pid))
        for name in ("poll_forever", "poll_three"):
            assert threads[name]["syscall"] == "poll"
            assert [fd["fd"] for fd in threads[name]["fds"]] == b.threads[name]["fds"]
        assert threads["poll_forever"]["timeout_ms"] == -1
        assert threads["poll_three"]["timeout_is_left"] and 90_000 < threads["poll_three"]["timeout_ms"] < 100_000
    finally:
        b.kill()


def test_target_is_not_stopped(blockers):
    seen, stop = set(), threading.Event()

    def watch():
        while not stop.is_set():
            for task in Path(f"/proc/{blockers.pid}/task").iterdir():
                status = (task / "status").read_text(encoding="ascii")
                seen.add((re.search(r"State:\t(\w)", status).group(1), re.search(r"TracerPid:\t(\d+)", status).group(1)))

    watcher = threading.Thread(target=watch)
    first = blockers.ask()
    watcher.start()
    for _ in range(5):
        look(blockers.pid)
        look(blockers.pid, "--proc", expect=(0, 4))
    stop.set()
    watcher.join()
    last = blockers.ask()
    assert seen <= {("S", "0"), ("R", "0")}
    elapsed_ms = (last["now_ns"] - first["now_ns"]) / 1e6
    assert last["counter"] - first["counter"] > elapsed_ms / 10


def test_other_network_namespace():
    b = Blockers(prefix=["unshare", "-n", "sh", "-c", 'ip link set lo up; exec "$0"'])
    try:
        threads = by_comm(look(b.pid))
        inside = ["nsenter", "-t", str(b.pid), "-n"]
        for name in ("poll_forever", "recv_one", "connect_full"):
            for s in sockets_of(threads[name]).values():
                compare_with_ss(s, inside)
    finally:
        b.kill()


def test_thousand_threads_ten_thousand_sockets():
    b = Blockers("many", 1000, 10000)
    time.sleep(1.0)  # until the last of them sleeps
    try:
        best = 1e9
        for _ in range(5):
            start = time.monotonic()
            lines = look(b.pid)
            best = min(best, time.monotonic() - start)
        threads = [line for line in lines if line["kind"] == "thread"]
        pollers = [t for t in threads if t["syscall"] == "poll"]
        assert len(threads) == 1001 and len(pollers) == 1000
        assert sum(len(t["fds"]) for t in pollers) == 10000
        assert all(fd["socket"]["state"] == "ESTABLISHED" and not fd["dead"] for t in pollers for fd in t["fds"])
        assert all("poll_share" in [f["symbol"] for f in t["user_stack"]] for t in pollers)
        assert best < 1.0
    finally:
        b.kill()


def test_table_is_folded_and_sorted(blockers):
    b = Blockers("many", 40, 40)
    try:
        text = subprocess.run([str(CULPRIT), "threads", "-p", str(b.pid)], capture_output=True, text=True, check=True).stdout
        rows = [line for line in text.splitlines() if re.match(r"\s+\d+ [a-z]", line)]
        assert len(rows) == 41  # each polls a socket of its own: the stack is the same, the socket is not
    finally:
        b.kill()
    text = subprocess.run([str(CULPRIT), "threads", "-p", str(blockers.pid)], capture_output=True, text=True, check=True).stdout
    assert re.search(r"poll_dead .* poll\(forever\) .* DEAD 127.0.0.1:", text)
    assert "source: BPF task iterator" in text and "blocked times are lower bounds" in text


@pytest.mark.parametrize("fault", ["silent-server", "dead-fd", "server-mutex", "peer-window-closed", "connect-blackhole"])
def test_stuck_thread_of_the_daemon(target, fault):
    """The thread that is stuck in an RPC, as the daemon's own truth log has it; stacks from the stripped daemon's debuginfo."""
    truth = target.fault(fault)
    time.sleep(1.5)
    before = monotonic_ns()
    lines = look(target.pid)
    after = monotonic_ns()
    t = next(line for line in lines if line.get("tid") == truth["tid"])
    assert t["comm"] == truth["thread"] and t["syscall"] == truth["syscall"]
    assert (before - truth["seen_ns"]) / 1e6 - SLACK_MS <= t["blocked_ms"] <= (after - truth["time_ns"]) / 1e6 + 50
    (fd,) = t["fds"]
    assert fd["fd"] == truth["fd"] and fd["dead"] == (fault == "dead-fd")
    sock = fd["held_socket"] if fd["dead"] else fd["socket"]
    assert (sock["inode"], sock["local"], sock["remote"]) == (truth["inode"], truth["local"], truth["remote"])
    if t["syscall"] == "poll":
        assert t["timeout_ms"] == truth["timeout_ms"]
    assert any((f["symbol"] or "").startswith("zbs::rpc::Channel::CallMethod") for f in t["user_stack"])
    assert [line["tid"] for line in lines if any(f["dead"] for f in line.get("fds", []))] == ([truth["tid"]] if fd["dead"] else [])
    if fault == "server-mutex":
        worker = next(line for line in lines if line.get("tid") == truth["other_tid"])
        assert worker["syscall"] == "futex" and worker["timeout_ms"] == -1
        assert any("MetaServiceImpl::ListDb" in (f["symbol"] or "") for f in worker["user_stack"])


def test_errors():
    done = subprocess.run([str(CULPRIT), "threads"], capture_output=True, text=True)
    assert done.returncode == 2 and "-p PID" in done.stderr
    done = subprocess.run([str(CULPRIT), "threads", "-p", "4194303"], capture_output=True, text=True)
    assert done.returncode == 3 and "4194303" in done.stderr
    done = subprocess.run([str(CULPRIT), "threads", "--help"], capture_output=True, text=True)
    assert done.returncode == 0 and "Examples:" in done.stdout
    done = subprocess.run([str(CULPRIT), "threads", "-p", "1", "--frobnicate"], capture_output=True, text=True)
    assert done.returncode == 2 and "--frobnicate" in done.stderr


def test_stacks_of_threads_that_go_on():
    """Registers are of one moment and the stack is read at another: no stack of threads that hardly stay is made up of both. One that
    could not be read in time is said to go on, and is left out."""
    blockers = Blockers("flip", "36")
    whole = cut = 0
    try:
        for options in [[], ["--proc"]] * 4:
            for line in look(blockers.pid, *options, expect=(0, 4)):
                if line["kind"] != "thread" or line["tid"] == blockers.pid or line["syscall"] is None:
                    continue
                names = [frame["symbol"] for frame in line["user_stack"]]
                if not names:
                    assert line["user_stack_truncated"]
                    cut += 1
                    continue
                start = names.index("flip")
                calls = [name for name in names[:start] if name in ("even", "odd")]
                assert calls and names[start - len(calls):start] == calls, names
                assert all("nanosleep" in name for name in names[:start - len(calls)]), names
                assert "clone" in names[-1] and start >= len(names) - 3, names
                whole += 1
        assert whole and cut, (whole, cut)
    finally:
        blockers.kill()
