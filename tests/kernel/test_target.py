"""The test daemon itself: its load, its faults, and that its truth log tells the truth."""
import re
import subprocess
import time
from pathlib import Path

import pytest

from conftest import TARGET, TARGET_DEBUG, wait_until

MEMORY_FAULTS = {
    "wild-store": "zbs::chunk::ZoneTracker::Touch",
    "overrun": "zbs::chunk::CopyBuffer::Fill",
    "torn-store": "zbs::chunk::SlotTable::Mark",
    "bit-flip": "zbs::chunk::FlagMap::Toggle",
    "read-reused": "zbs::chunk::JournalReader::ReadRecord",
}

SYSCALL = {"poll": 7, "connect": 42, "sendto": 44, "futex": 202}
# fault -> (parameters, the stuck thread, the call it is stuck in)
STALLS = {
    "silent-server": ({}, "meta-dump", "poll"),
    "silent-server unaccepted": ({"mode": "unaccepted"}, "meta-dump-2", "poll"),
    "slow-server": ({"ms": 3000}, "meta-dump", "poll"),
    "server-mutex": ({}, "meta-dump", "poll"),
    "dead-fd": ({}, "meta-dump", "poll"),
    "dead-fd dup2": ({"via": "dup2"}, "meta-dump", "poll"),
    "reply-unread": ({}, "meta-dump", "futex"),
    "reply-unread wrong-fd": ({"variant": "wrong-fd"}, "meta-dump", "poll"),
    "peer-window-closed": ({}, "snapshot-sync", "sendto"),
    "connect-blackhole": ({}, "zk-session", "connect"),
}


def read_word(pid, address, width):
    """The target's memory, little endian, as the kernel shows it."""
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        memory.seek(address)
        return int.from_bytes(memory.read(min(width, 8)), "little")


def assert_works_on(target):
    """Leases and RPCs flow."""
    before = target.status()
    time.sleep(0.5)
    after = target.status()
    for counter in ("lease_ops", "leases_cleared", "rpc_done"):
        assert after[counter] > before[counter], counter


def test_sustains_ten_thousand_operations(start_target):
    target = start_target("--rate", 10000)
    before = target.status()
    time.sleep(3)
    after = target.status()
    seconds = (after["uptime_ms"] - before["uptime_ms"]) / 1000
    assert (after["lease_ops"] - before["lease_ops"]) / seconds > 9500
    assert after["leases_mutated"] > before["leases_mutated"]
    assert 1000 <= after["leases_alive"] < 1500
    assert (after["rpc_done"] - before["rpc_done"]) / seconds > 40
    assert after["rpc_failed"] == 0
    assert target.stop() == 0


def test_has_the_threads_of_a_daemon(target):
    names = set(target.threads().values())
    assert {"lease-0", "lease-3", "lease-expire", "zone-io", "meta-dump", "rpc-worker-0", "rpc-accept",
            "event-loop"} <= names


@pytest.mark.parametrize("name", MEMORY_FAULTS)
def test_memory_fault(target, name):
    truth = target.fault(name)
    address = int(truth["addr"], 16)
    assert truth["function"] == MEMORY_FAULTS[name]
    assert target.threads()[truth["tid"]] == truth["thread"] == "zone-io"
    assert truth["old"] != truth["new"]
    assert int(truth["object"], 16) < 1 << 47 and int(truth["node"], 16) <= address
    # The damage stays while the daemon works on.
    assert_works_on(target)
    assert target.status()["leases_pinned"] == 1
    assert read_word(target.pid, address, truth["width"]) == int(truth["new"], 16)
    target.heal()
    assert target.truth("healed", name)
    assert_works_on(target)
    status = target.status()
    assert status["fault"] is None and status["leases_pinned"] == 0
    assert target.stop() == 0


def test_wild_store_is_the_one_of_the_incident(target):
    truth = target.fault("wild-store")
    assert (truth["old"], truth["new"], truth["width"]) == ("0x0", "0xfffc0000", 8)
    assert truth["path"].startswith("chunks_[") and truth["path"].endswith("].read_perf_")


@pytest.mark.parametrize("where", ["same", "random"])
def test_wild_store_repeats(target, where):
    target.fault("wild-store", times=3, every_ms=100, object=where)
    time.sleep(0.6)
    records = target.truth("fault", "wild-store")
    assert [record["seq"] for record in records] == [1, 2, 3]
    assert len({record["addr"] for record in records}) == (1 if where == "same" else 3)
    assert {record["new"] for record in records} == {"0xfffc0000"}
    target.heal()
    assert target.stop() == 0


def test_damage_that_nobody_heals_kills_the_daemon(start_target):
    target = start_target("--rate", 10000)
    truth = target.fault("wild-store", crash=1)
    # As in the incident: long after the store, in another thread, in the destructor of the lease.
    stack = subprocess.run(["gdb", "-q", "-batch", "-p", str(target.pid), "-ex", "set pagination off",
                            "-ex", "continue", "-ex", "bt 40", "-ex", "detach"],
                           capture_output=True, text=True, timeout=60, check=True).stdout
    assert "SIGSEGV" in stack
    assert re.search(r"~PerfInfo \(this=0xfffc0000", stack)
    assert f"zbs::Chunk::~Chunk (this={truth['node']}" in stack
    assert re.search(rf"zbs::libmeta::CachedLease::~CachedLease \(this={truth['object']}", stack)
    assert "zbs::libmeta::Meta::ClearExpiredLease" in stack
    assert target.process.wait(timeout=30) == -11


def task_syscall(target, tid):
    """The system call a thread is blocked in: [number, arg0, ...]."""
    words = Path(f"/proc/{target.pid}/task/{tid}/syscall").read_text(encoding="ascii").split()
    return [int(word, 0) for word in words]


def polled_fds(target, tid):
    """The descriptors in the table of a thread that is blocked in poll()."""
    call = task_syscall(target, tid)
    assert call[0] == SYSCALL["poll"]
    return [read_word(target.pid, call[1] + 8 * i, 4) for i in range(call[2])]


def fd_inode(target, fd):
    link = Path(f"/proc/{target.pid}/fd/{fd}").readlink()
    return int(re.fullmatch(r"socket:\[(\d+)\]", str(link)).group(1))


def socket_by_inode(inode):
    """What ss knows of a socket: state, queues, both addresses."""
    lines = subprocess.run(["ss", "-tneH", "state", "all"], capture_output=True, text=True, check=True).stdout
    for line in lines.splitlines():
        if f"ino:{inode} " in line + " ":
            state, recv_queue, send_queue, local, remote = line.split()[:5]
            return {"state": state, "recv_queue": int(recv_queue), "send_queue": int(send_queue),
                    "local": local, "remote": remote}
    return None


def socket_by_addresses(local, remote):
    lines = subprocess.run(["ss", "-tneH", "state", "all"], capture_output=True, text=True, check=True).stdout
    for line in lines.splitlines():
        words = line.split()
        if words[3:5] == [local, remote]:
            return {"state": words[0], "recv_queue": int(words[1]), "send_queue": int(words[2])}
    return None


def start_stall(target, key, **more):
    params, thread, syscall = STALLS[key]
    truth = target.fault(key.split()[0], **params, **more)
    assert target.threads()[truth["tid"]] == truth["thread"] == thread
    assert truth["syscall"] == syscall
    return truth


@pytest.mark.parametrize("key", STALLS)
def test_stall(target, key):
    truth = start_stall(target, key)
    assert task_syscall(target, truth["tid"])[0] == SYSCALL[truth["syscall"]]
    # Its socket is what the kernel says it is.
    socket = socket_by_inode(truth["inode"])
    assert socket and (socket["local"], socket["remote"]) == (truth["local"], truth["remote"])
    assert socket["state"] == ("SYN-SENT" if key == "connect-blackhole" else "ESTAB")
    if not key.startswith("dead-fd"):
        assert fd_inode(target, truth["fd"]) == truth["inode"]
    # Other calls and the leases go on; the daemon answers.
    assert_works_on(target)
    calls = [call for call in target.status()["calls"] if call["tid"] == truth["tid"]]
    assert calls and calls[0]["method"] == truth["method"]
    target.heal()
    wait_until(lambda: not [call for call in target.status()["calls"] if call["age_ms"] > 500])
    assert_works_on(target)
    assert target.status()["fault"] is None
    assert target.stop() == 0


def test_silent_server_leaves_the_request_unread(target):
    truth = start_stall(target, "silent-server")
    assert polled_fds(target, truth["tid"]) == [truth["fd"]]
    server = socket_by_inode(truth["other_inode"])
    assert server["recv_queue"] == 32 and server["local"] == truth["remote"]
    assert socket_by_inode(truth["inode"])["send_queue"] == 0


def test_unaccepted_connection_is_not_in_the_daemon(target):
    truth = start_stall(target, "silent-server unaccepted")
    server = socket_by_addresses(truth["remote"], truth["local"])
    assert server and server["recv_queue"] == 32


def test_slow_server_answers_in_the_end(target):
    failed = target.status()["rpc_failed"]
    truth = target.fault("slow-server", ms=800)
    wait_until(lambda: len(target.truth("fault", "slow-server")) >= 2, timeout=5)
    assert target.truth("fault")[1]["time_ns"] - truth["time_ns"] >= 800e6
    assert target.status()["rpc_failed"] == failed


def test_server_mutex_names_worker_and_holder(target):
    truth = start_stall(target, "server-mutex")
    names = target.threads()
    assert names[truth["other_tid"]].startswith("rpc-worker-") and names[truth["holder_tid"]] == "mutex-holder"
    assert task_syscall(target, truth["other_tid"])[0] == SYSCALL["futex"]
    # The request was read.
    assert socket_by_inode(truth["other_inode"])["recv_queue"] == 0


@pytest.mark.parametrize("key", ["dead-fd", "dead-fd dup2"])
def test_dead_fd_is_another_socket_under_the_same_number(target, key):
    truth = start_stall(target, key)
    assert polled_fds(target, truth["tid"]) == [truth["fd"]]
    assert fd_inode(target, truth["fd"]) == truth["new_inode"] != truth["inode"]
    assert truth["inode"] not in [fd_inode(target, fd.name)
                                  for fd in Path(f"/proc/{target.pid}/fd").iterdir()
                                  if str(fd.readlink()).startswith("socket:")]
    assert target.threads()[truth["other_tid"]] == truth["other_thread"] == "conn-reaper"


@pytest.mark.parametrize("key", ["reply-unread", "reply-unread wrong-fd"])
def test_reply_waits_unread(target, key):
    truth = start_stall(target, key)
    assert socket_by_inode(truth["inode"])["recv_queue"] == truth["recv_queue"] > 32
    if key == "reply-unread":
        assert target.threads()[truth["other_tid"]] == "conn-janitor"
    else:
        assert polled_fds(target, truth["tid"]) == [truth["polled_fd"]] != [truth["fd"]]
        assert fd_inode(target, truth["polled_fd"]) == truth["polled_inode"]


def test_window_is_closed(target):
    truth = start_stall(target, "peer-window-closed")
    wait_until(lambda: socket_by_inode(truth["inode"])["send_queue"] > 0)
    queued = socket_by_inode(truth["inode"])["send_queue"]
    time.sleep(1)
    assert socket_by_inode(truth["inode"])["send_queue"] == queued
    assert socket_by_inode(truth["other_inode"])["recv_queue"] > 32


def test_timeout_is_logged_as_in_the_incident(target):
    truth = target.fault("silent-server", timeout_ms=600)
    assert truth["timeout_ms"] == 600
    text = "[ETimedOut]: failed to read response header when calling: zbs.meta.MetaService.ListDb"
    wait_until(lambda: text in target.log())
    assert re.search(rf"(?m)^W\d{{4}} \d\d:\d\d:\d\d\.\d{{6}} +{truth['tid']} dump_meta\.cc:\d+\] "
                     rf"Fail to dump meta from {truth['remote']} st:\nTraceback:\n{re.escape(text)}$", target.log())
    # Each retry is a stall of its own.
    wait_until(lambda: len({record["inode"] for record in target.truth("fault")}) >= 2)
    target.heal()
    assert_works_on(target)


def test_waits_for_ever_until_healed(target):
    truth = target.fault("silent-server", timeout_ms=-1)
    assert task_syscall(target, truth["tid"])[3] & 0xffffffff == 0xffffffff
    target.heal()
    wait_until(lambda: not [call for call in target.status()["calls"] if call["tid"] == truth["tid"]
                            and call["age_ms"] > 500])


def test_two_processes(start_target):
    server = start_target("--server-only")
    client = start_target("--connect", f"127.0.0.1:{server.port}")
    assert_works_on(client)
    with pytest.raises(RuntimeError, match="another process"):
        client.fault("server-mutex")
    truth = server.fault("server-mutex")
    assert truth["role"] == "server" and server.threads()[truth["tid"]].startswith("rpc-worker-")
    stuck = wait_until(lambda: [call for call in client.status()["calls"] if call["age_ms"] > 500])[0]
    assert stuck["method"] == truth["method"] and stuck["remote"] == truth["local"]
    assert socket_by_inode(stuck["inode"])["local"] == truth["remote"]
    server.heal()
    wait_until(lambda: not [call for call in client.status()["calls"] if call["age_ms"] > 500])
    assert client.stop() == 0 and server.stop() == 0


@pytest.mark.parametrize("name", ["wild-store", "server-mutex", "dead-fd", "reply-unread", "peer-window-closed",
                                  "connect-blackhole"])
def test_quits_in_the_middle_of_a_fault(target, name):
    target.fault(name)
    assert target.stop() == 0
    assert target.truth("healed", name)


def test_one_fault_at_a_time(target):
    target.fault("wild-store")
    with pytest.raises(RuntimeError, match="heal first"):
        target.ctl("fault", "silent-server")
    target.heal()
    with pytest.raises(RuntimeError, match="no fault nonsense"):
        target.ctl("fault", "nonsense")
    with pytest.raises(RuntimeError, match="no message or integer field"):
        target.ctl("fault", "wild-store", "field=nonsense")
    assert target.status()["fault"] is None


def test_is_stripped_and_debuginfo_is_split_off():
    sections = subprocess.run(["readelf", "-SW", TARGET], capture_output=True, text=True, check=True).stdout
    assert ".gnu_debuglink" in sections and ".symtab" not in sections and ".debug_info" not in sections
    symbols = subprocess.run(["nm", "-C", TARGET_DEBUG], capture_output=True, text=True, check=True).stdout
    for function in ("zbs::libmeta::Meta::CacheVExtentLease(", "zbs::libmeta::Meta::RefreshChildExtentLocation(",
                     "zbs::libmeta::Meta::ClearExpiredLease(", "zbs::rpc::Channel::CallMethod("):
        found = [line for line in symbols.splitlines() if f" T {function}" in line]
        assert len(found) == 1, function


def test_writer_has_its_callers(target):
    """gdb stops a fault's store in the function that the truth log names, below its callers."""
    truth = target.fault("wild-store", times=100, every_ms=300, object="same")
    stack = subprocess.run(
        ["gdb", "-q", "-batch", "-p", str(target.pid), "-ex", "set pagination off",
         "-ex", f"watch *(unsigned long *){truth['addr']}", "-ex", f"set *(unsigned long *){truth['addr']} = 0",
         "-ex", "continue", "-ex", "bt 4"],
        capture_output=True, text=True, timeout=60, check=True).stdout
    frames = re.findall(r"(?m)^#\d+ +(?:0x[0-9a-f]+ in )?(\S+) \(", stack)
    assert frames[:3] == [truth["function"], "zbs::chunk::IOQueue::Submit", "zbs::chunk::Worker::Run"], stack
