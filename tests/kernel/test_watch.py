"""Hardware watchpoints: bpf/watch.bpf.c and user/trace/watch.c on a program that stores when told to (watchprog)."""
import json
import os
import re
import signal
import subprocess
import tempfile
import time

import pytest
from conftest import BUILD, CULPRIT, wait_until

TOOL, PROG = BUILD / "tests/watchtool", BUILD / "tests/watchprog"


@pytest.fixture(scope="module", autouse=True)
def helpers():
    subprocess.run(["make", "-s", "kernel-helpers"], check=True)


class Prog:
    """The storing program."""

    def __init__(self):
        self.process = subprocess.Popen([PROG], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        pid, base = self.process.stdout.readline().split()
        self.pid, self.base = int(pid), int(base, 16)

    def word(self, number):
        return self.base + 8 * number

    def store(self, kind, word, value, count=1):
        """Returns the id of the thread or process that stored."""
        self.process.stdin.write(f"{kind} {word} {value:x} {count}\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def function(self, address):
        """Name of the function at an address of the running program, by /proc/PID/maps and nm."""
        first = next(line for line in open(f"/proc/{self.pid}/maps", encoding="ascii") if "watchprog" in line)
        bias = int(first.split("-")[0], 16)
        symbols = subprocess.run(["nm", "-n", "--defined-only", PROG], capture_output=True, text=True, check=True).stdout
        name = None
        for line in symbols.splitlines():
            value, kind, symbol = line.split(maxsplit=2)
            if kind in "tT" and int(value, 16) <= address - bias:
                name = symbol
        return name


class Tool:
    """watchtool on some words of a Prog."""

    def __init__(self, prog, words, turn_ms=60000, budget=16, slots=4):
        self.out = tempfile.NamedTemporaryFile("w+")  # not a pipe: nobody reads while it runs
        self.process = subprocess.Popen([TOOL, str(prog.pid), str(turn_ms), str(budget), *words], stdin=subprocess.PIPE,
                                        stdout=self.out, stderr=subprocess.PIPE, text=True,
                                        env={**os.environ, "SLOTS": str(slots)})
        wait_until(lambda: "ready" in self.text() or self.process.poll() is not None)
        assert self.process.poll() is None, self.process.stderr.read()

    def text(self):
        with open(self.out.name, encoding="ascii") as lines:
            return lines.read()

    def command(self, text):
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()
        time.sleep(0.1)

    def end(self):
        """Returns the stores and the account."""
        time.sleep(0.1)
        _, err = self.process.communicate(timeout=20)
        assert self.process.returncode == 0, err
        lines = [json.loads(line) for line in self.text().splitlines()[1:]]
        return lines[:-1], lines[-1]


@pytest.fixture(autouse=True)
def registers():
    """The debug registers are the machine's: another session that ends just now may still have some."""
    wait_until(lambda: free_slots() == 4, timeout=120, period=1)


@pytest.fixture
def prog():
    p = Prog()
    yield p
    p.process.kill()
    p.process.wait()


def free_slots():
    """How many watchpoints a newcomer gets, per the tool's own opening of an unmapped word."""
    done = subprocess.run([TOOL, str(os.getpid()), "50", "1", "1000:8"], input="", capture_output=True, text=True, timeout=20)
    return json.loads(done.stdout.splitlines()[-1])["watchpoints"] if done.returncode == 0 else 0


def test_each_writer(prog):
    tool = Tool(prog, [f"{prog.word(0):x}:8"])
    told = [("main", prog.store("main", 0, 0x1111)), ("old", prog.store("old", 0, 0x2222)),
            ("new", prog.store("new", 0, 0xfffc0000))]
    stores, account = tool.end()
    assert [s["tid"] for s in stores] == [tid for _, tid in told]
    assert [s["new"] for s in stores] == ["1111", "2222", "fffc0000"]
    assert [s["old"] for s in stores] == ["0", "1111", "2222"]
    # the trap comes after the store: the instruction before ip is in the storing function
    assert [prog.function(int(s["ip"], 16) - 1) for s in stores] == ["store_main", "store_old_thread", "store_new_thread"]
    assert all(s["ip"] == s["user_ip"] and not s["kernel"] and s["tgid"] == prog.pid for s in stores)
    assert all(s["stack"] > 200 for s in stores)
    assert account["watch_stores"] == 3 and account["complete"] == 1
    cpus = os.sysconf("SC_NPROCESSORS_ONLN")
    assert f"{4 * cpus} of {4 * cpus} stores trapped" in account["notes"][0]


def test_stack_is_the_storing_threads(prog):
    tool = Tool(prog, [f"{prog.word(0):x}:8"])
    tid = prog.store("main", 0, 1)
    stores, _ = tool.end()
    stack = next(line for line in open(f"/proc/{tid}/maps", encoding="ascii") if "[stack]" in line).split()[0]
    low, high = (int(x, 16) for x in stack.split("-"))
    sp = int(stores[0]["sp"], 16)
    assert low <= sp < high
    size = stores[0]["stack"]
    # the program's arguments at its end need not be resident
    assert 200 < size <= min(high - sp, 16384)
    assert size == 16384 or (sp + size) % 4096 == 0


def test_system_call_into_the_word(prog):
    tool = Tool(prog, [f"{prog.word(2):x}:8"])
    tid = prog.store("read", 2, 0x4142434445464748)
    stores, _ = tool.end()
    assert stores and all(s["kernel"] and s["syscall"] == 0 and s["tid"] == tid for s in stores)
    assert stores[-1]["new"] == "4142434445464748"
    # user registers at the system call: in libc's read, not in the kernel
    assert all(int(s["ip"], 16) >> 63 and not int(s["user_ip"], 16) >> 63 for s in stores)
    assert all(s["stack"] > 200 for s in stores)


def test_pieces_of_a_system_call_are_one_store(prog):
    tool = Tool(prog, [f"{prog.word(2):x}:8"], budget=5)
    for value in range(1, 5):
        prog.store("read", 2, 0x0101010101010101 * value)
    prog.store("main", 2, 99)
    stores, account = tool.end()
    assert stores[-1]["new"] == f"{99:x}"  # not disarmed before: four calls, although up to 32 traps
    assert f"{0x0404040404040404:x}" in {s["new"] for s in stores}
    assert 5 <= account["watch_stores"] == len(stores)


def test_another_process_at_the_same_address(prog):
    tool = Tool(prog, [f"{prog.word(0):x}:8"])
    prog.store("fork", 0, 0x5555, 10)
    prog.store("main", 0, 7)
    stores, account = tool.end()
    assert [s["new"] for s in stores] == ["7"]
    assert stores[0]["old"] == "0"
    assert account["watch_stores_other_processes"] == 10 and account["watch_stores"] == 1


def test_vfork_child_shares_the_memory(prog):
    tool = Tool(prog, [f"{prog.word(0):x}:8"])
    child = prog.store("vfork", 0, 0x77)
    stores, account = tool.end()
    assert [(s["tgid"], s["new"], s["shared"]) for s in stores] == [(child, "77", 1)]
    assert account["watch_stores_other_processes"] == 0


def test_overlapping_stores(prog):
    tool = Tool(prog, [f"{prog.word(0):x}:8", f"{prog.word(1):x}:4"])
    prog.store("half", 0, 0xabcd)  # upper half of the watched word
    prog.store("half", 1, 0xabcd)  # beside the four watched bytes
    prog.store("memset", 1, 0x5a)  # libc
    stores, _ = tool.end()
    assert [(s["word"], s["new"]) for s in stores] == [(0, "abcd00000000"), (1, "5a5a5a5a")]


def test_budget_disarms_a_hot_word(prog):
    tool = Tool(prog, [f"{prog.word(0):x}:8"], budget=5)
    prog.store("main", 0, 1, 20000)
    time.sleep(0.2)
    prog.store("main", 0, 9)  # the place pauses now
    stores, account = tool.end()
    assert len(stores) == 5
    # disarmed by the record, not at the next tick: 20000 traps would be 0.4 s
    assert 6 <= account["watch_stores"] < 10000


def test_rotation_reaches_all_words(prog):
    tool = Tool(prog, [f"{prog.word(n):x}:8" for n in range(12)], turn_ms=20)
    deadline = time.monotonic() + 4
    value = 0
    while time.monotonic() < deadline:
        value += 1
        prog.store("main", value % 12, value)
        time.sleep(0.001)
    stores, account = tool.end()
    assert {s["word"] for s in stores} == set(range(12))
    # never one word's value under another's name
    assert all(int(s["new"], 16) % 12 == s["word"] for s in stores)
    share = account["watch_stores"] / value
    watched = re.search(r"watched ([\d.]+) of ([\d.]+) word-seconds", " ".join(account["notes"]))
    predicted = float(watched[1]) / float(watched[2])
    assert 0.2 < share < 0.45 and abs(predicted - share) < 0.1


def test_dead_words_are_not_armed(prog):
    tool = Tool(prog, [f"{prog.word(0):x}:8"], turn_ms=20)
    prog.store("main", 0, 1)
    tool.command("dead 0")
    time.sleep(0.1)
    prog.store("main", 0, 2, 10)
    stores, _ = tool.end()
    assert [s["new"] for s in stores] == ["1"]


def test_a_debuggers_register_is_not_ours(prog):
    """A register in use elsewhere: fewer watchpoints and a note, and its owner keeps it."""
    other = Prog()
    try:
        first = Tool(other, [f"{other.word(0):x}:8"])
        refused = subprocess.run([TOOL, str(prog.pid), "50", "1", f"{prog.word(0):x}:8"], input="", capture_output=True,
                                 text=True, timeout=20)
        assert refused.returncode == 3
        assert "no free debug register" in refused.stderr and "debugger" in refused.stderr
        other.store("main", 0, 3)
        stores, _ = first.end()
        assert [s["new"] for s in stores] == ["3"]
    finally:
        other.process.kill()
        other.process.wait()


def test_fewer_registers_than_wanted(prog):
    other = Prog()
    try:
        first = Tool(other, [f"{other.word(0):x}:8"], slots=3)
        second = Tool(prog, [f"{prog.word(n):x}:8" for n in range(4)], turn_ms=20)
        time.sleep(0.2)
        _, account = second.end()
        assert account["watchpoints"] == 1
        assert any("fewer watchpoints: no free debug register" in note for note in account["notes"])
        other.store("main", 0, 3)
        stores, account = first.end()
        assert [s["new"] for s in stores] == ["3"] and account["watchpoints"] == 3
    finally:
        other.process.kill()
        other.process.wait()


def test_kill_leaves_nothing(prog):
    tool = Tool(prog, [f"{prog.word(n):x}:8" for n in range(4)])
    prog.store("main", 0, 1)
    assert free_slots() == 0
    tool.process.send_signal(signal.SIGKILL)
    tool.process.wait()
    assert wait_until(free_slots) == 4
    began = time.monotonic()
    prog.store("main", 0, 1, 2000000)
    assert time.monotonic() - began < 2  # a trap each would be 36 s
    assert prog.process.poll() is None


def test_target_ends(prog):
    tool = Tool(prog, [f"{prog.word(0):x}:8"], turn_ms=20)
    prog.process.kill()
    prog.process.wait()
    time.sleep(0.3)
    stores, account = tool.end()
    assert stores == [] and account["watchpoints"] == 4
    assert free_slots() == 4


# `culprit writes` on the test daemon

class Session:
    """`culprit writes --json` until it is told to end."""

    def __init__(self, target, *options):
        self.out = tempfile.NamedTemporaryFile("w+")
        self.err = tempfile.NamedTemporaryFile("w+")
        self.process = subprocess.Popen([CULPRIT, "writes", "-p", str(target.pid), "--spec", "zbs", "--json", "-d", "0", *options],
                                        stdout=self.out, stderr=self.err)
        wait_until(lambda: "armed" in self.errors() or self.process.poll() is not None, timeout=60)

    def errors(self):
        with open(self.err.name, encoding="utf-8") as text:
            return text.read()

    def end(self):
        """Returns the exit code, the findings and the summary."""
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(timeout=30)
        with open(self.out.name, encoding="utf-8") as text:
            lines = [json.loads(line) for line in text]
        assert lines and lines[-1]["kind"] == "summary", self.errors()
        return code, lines[:-1], lines[-1]


def watch_session(target, *options):
    """With all four registers; if somebody else on this machine was faster, once more."""
    for _ in range(5):
        wait_until(lambda: free_slots() == 4, timeout=120, period=1)
        session = Session(target, "--allow-vm-watchpoints", *options)
        if "no free debug register" not in session.errors():
            break
        session.process.kill()
        session.process.wait()
    assert session.process.poll() is None, session.errors()
    return session


def damaged(target, session, count):
    """Waits until the fault has been injected `count` times and the watchpoints have had time to see the last one."""
    wait_until(lambda: len(target.truth("fault")) >= count, timeout=30)
    time.sleep(1)
    return session.end(), target.truth("fault")


def as_objdump_has_it(pid, insn, ip):
    """The instruction that ends at ip, as objdump disassembles the program; it must be verified."""
    assert insn["verified"] and insn["why"] is None, insn
    start, end = int(insn["offset"], 16), int(insn["offset"], 16) + int(ip, 16) - int(insn["addr"], 16)
    done = subprocess.run(["objdump", "-d", "-M", "intel", "--no-show-raw-insn", f"--start-address={start}", f"--stop-address={end + 8}",
                           f"/proc/{pid}/exe"], capture_output=True, text=True, check=True)
    lines = [line.split(":", 1) for line in done.stdout.splitlines() if line.startswith("  ") and ":" in line]
    (at, text), (after, _) = lines[:2]
    assert (int(at, 16), int(after, 16)) == (start, end)
    width = {"BYTE": 1, "WORD": 2, "DWORD": 4, "QWORD": 8}
    words = text.split()
    assert words[0] == insn["text"].split()[0] and "[" in words[3 if words[2] == "PTR" else 1], text
    assert width[words[1]] == insn["width"], text
    return True


def test_writer_of_a_wild_store(start_target):
    target = start_target("--rate", 1000)
    session = watch_session(target, "--field", "zbs::Chunk::read_perf_")
    time.sleep(3)  # until all leases were seen in good state
    target.fault("wild-store", times=12, every_ms=300, object="same")
    (code, findings, summary), truth = damaged(target, session, 12)
    assert code == 1 and len(findings) == 1
    found, writer = findings[0], findings[0]["writer"]
    assert found["confidence"] == "certain" and found["path"] == truth[0]["path"]
    assert (found["addr"], found["old"], found["new"]) == (truth[0]["addr"], "0x0", "0xfffc0000")
    assert found["object"]["addr"] == truth[0]["object"]
    assert writer["tid"] == truth[0]["tid"] and writer["comm"] == "zone-io" and not writer["in_kernel"]
    assert writer["function"] == truth[0]["function"] == "zbs::chunk::ZoneTracker::Touch"
    names = [frame["symbol"] for frame in writer["stack"]]
    assert names[:3] == ["zbs::chunk::ZoneTracker::Touch", "zbs::chunk::IOQueue::Submit", "zbs::chunk::Worker::Run"]
    assert writer["file"].endswith("zone_tracker.cc") and writer["line"] > 0
    assert as_objdump_has_it(target.pid, writer["instruction"], writer["ip"])
    # the first store was not seen (unless a slot was there by chance), most of the others were; the finding is told before the last
    assert 1 <= found["hits"] <= 12 and summary["counters"]["watch_stores"] >= 8
    assert "ZoneTracker::Touch" in found["explanation"]
    assert summary["counters"]["watch_stores_other_processes"] == 0
    assert any(note.startswith("zbs::Chunk::read_perf_, seen damaged") for note in summary["notes"])
    assert target.alive(), f"the daemon died: {target.process.returncode}"
    assert target.status()


ACCOUNT = re.compile(r"zbs::Chunk::read_perf_.*: watched ([\d.]+) of ([\d.]+) word-seconds.*?"
                     r"(?:of that ([\d.]+) of ([\d.]+) \(.*\) at words damaged already)?$")


def account(summary):
    """The chance to see a store to a word of read_perf_ that is damaged already, and to one that is not, as the session tells it."""
    note = next(filter(None, map(ACCOUNT.match, summary["notes"])))
    watched, alive, damaged_watched, damaged_alive = (float(x or 0) for x in note.groups())
    return damaged_watched / damaged_alive if damaged_alive else 0, (watched - damaged_watched) / (alive - damaged_alive)


def test_as_many_are_caught_as_the_account_says(start_target):
    """The same field, one of 30 objects at random, 5,000 times: some 500 catches, give or take 4.5 %."""
    target = start_target("--leases", 30, "--rate", 30)
    session = watch_session(target, "--field", "zbs::Chunk::read_perf_")
    time.sleep(3)
    target.fault("wild-store", times=5000, every_ms=10, among=30)
    wait_until(lambda: len(target.truth("fault")) >= 5000, timeout=150, period=1)
    code, findings, summary = session.end()
    truth = target.truth("fault")
    assert code == 1 and {f["addr"] for f in findings} <= {t["addr"] for t in truth}
    caught = summary["counters"]["watch_stores"] / len(truth)
    chance, _ = account(summary)
    print(f"caught {caught:.4f}, the account says {chance:.4f}")
    assert 0.85 < caught / chance < 1.15


def test_promoted_field_has_ten_times_the_chance(start_target):
    """The same field of another object each time: after the first damage its words get the turns, whoever the victims were."""
    target = start_target("--leases", 300, "--rate", 1000)
    session = watch_session(target)
    time.sleep(8)
    _, findings, summary = session.end()
    assert findings == []
    note = next(n for n in summary["notes"] if "random guarded word" in n)
    unpromoted = float(re.search(r"was ([\d.e-]+) %", note).group(1)) / 100
    session = watch_session(target)
    time.sleep(2)
    target.fault("wild-store", times=40, every_ms=300)
    (code, _, summary), _ = damaged(target, session, 40)
    _, promoted = account(summary)
    print(f"unpromoted {unpromoted:.2g}, promoted {promoted:.2g}")
    assert code == 1 and promoted > 10 * unpromoted


def test_writer_by_a_system_call(start_target):
    target = start_target("--rate", 1000)
    session = watch_session(target, "--field", "zbs::Chunk::total_perf_")
    time.sleep(3)
    target.fault("read-reused", times=12, every_ms=300, object="same")
    (code, findings, summary), truth = damaged(target, session, 12)
    assert code == 1 and len(findings) == 1
    found, writer = findings[0], findings[0]["writer"]
    assert (found["path"], found["addr"], found["new"]) == (truth[0]["path"], truth[0]["addr"], truth[0]["new"])
    assert writer["in_kernel"] and writer["syscall"] == "read" and writer["tid"] == truth[0]["tid"]
    assert writer["function"] == truth[0]["function"] == "zbs::chunk::JournalReader::ReadRecord"
    assert 1 <= found["hits"] <= 12 < summary["counters"]["watch_stores"]  # system calls, not the pieces each of them copies


def test_watched_object(start_target):
    """--object: all watchpoints on the words of one lease."""
    target = start_target("--rate", 1000)
    victim = target.fault("wild-store", times=16, every_ms=500, object="same")["object"]
    session = watch_session(target, "--object", victim)
    (code, findings, summary), truth = damaged(target, session, 16)
    assert code == 1 and {record["object"] for record in truth} == {victim}
    assert len(findings) == 1 and findings[0]["object"]["addr"] == victim
    assert findings[0]["writer"]["function"] == "zbs::chunk::ZoneTracker::Touch"
    assert summary["counters"]["watch_stores"] >= 4


@pytest.mark.parametrize("options", [(), ("--field", "zbs::Chunk::_has_bits_"), ("--field", "zbs::Lease::chunks_")])
def test_healthy_stores_are_no_alarm(start_target, options):
    """Watched while all rightful writers, inlined setters included, do their work."""
    target = start_target("--rate", 5000, "--inline-setters")
    session = watch_session(target, *options)
    time.sleep(8)
    code, findings, summary = session.end()
    assert findings == [] and code in (0, 4)
    assert summary["counters"]["watch_moves"] > 50
    assert target.alive(), f"the daemon died: {target.process.returncode}"
    assert target.status()


def test_killed_session_leaves_no_watchpoint(start_target):
    target = start_target("--rate", 5000)
    session = watch_session(target, "--field", "zbs::Chunk::_has_bits_")
    time.sleep(1)
    assert free_slots() == 0
    session.process.send_signal(signal.SIGKILL)
    session.process.wait()
    assert wait_until(free_slots) == 4
    before, began = target.status()["lease_ops"], time.monotonic()
    time.sleep(2)
    done = target.status()["lease_ops"] - before
    assert done > 0.9 * 5000 * (time.monotonic() - began)
    assert target.alive(), f"the daemon died: {target.process.returncode}"


@pytest.mark.skipif("hypervisor" not in open("/proc/cpuinfo", encoding="ascii").read(), reason="no hypervisor here")
def test_refused_under_a_hypervisor(start_target):
    target = start_target()
    session = Session(target)
    wait_until(lambda: free_slots() == 4, timeout=60)
    _, findings, summary = session.end()
    assert findings == []
    assert any("hypervisor" in note and "--allow-vm-watchpoints" in note for note in summary["notes"])
    directed = subprocess.run([CULPRIT, "writes", "-p", str(target.pid), "--spec", "zbs", "--field", "zbs::Chunk::read_perf_", "-d", "1"],
                              capture_output=True, text=True, timeout=60)
    assert directed.returncode == 3 and "hypervisor" in directed.stderr
