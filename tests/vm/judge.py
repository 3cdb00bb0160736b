"""What each test must have found on each kernel. Raises AssertionError with the difference."""
import json
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "kernel"))
import daemon_wire
import stuck


class Facts:
    """What one test left behind on one kernel."""

    def __init__(self, kernel, release, directory):
        self.kernel = kernel
        self.release = release
        self.version = tuple(int(part) for part in release.split("-")[0].split("+")[0].split(".")[:2])
        self.directory = directory
        self.arm64 = kernel.startswith("arm64-")

    def text(self, name):
        return (self.directory / name).read_text(errors="replace")

    def rc(self):
        return int(self.text("rc"))

    def lines(self, name="stdout"):
        try:
            return [json.loads(line) for line in self.text(name).splitlines()]
        except ValueError as error:
            raise AssertionError(f"{name} is not JSON Lines: {error}; stderr: {self.text('stderr')[-500:]}") from error


def capabilities(facts, name="stdout"):
    """({name: line}, summary) of a doctor's JSON."""
    lines = facts.lines(name)
    return {line["name"]: line for line in lines if line["kind"] == "capability"}, lines[-1]


def judge_doctor(facts):
    lines = facts.lines()
    states = {line["name"]: line["state"] for line in lines if line["kind"] == "capability"}
    want = dict.fromkeys(states, "works")
    want["watchpoint + BPF"] = "limited"  # a virtual machine, and it says so
    if facts.arm64:
        want["watchpoint + BPF"] = want["programs of writes"] = "refused"
    if facts.version < (6, 6):
        want["multi-uprobe"] = "refused"
    if facts.version < (5, 15):
        want["attach cookie"] = "refused"
    if facts.version < (6, 3):
        want["sock tracepoints"] = "refused"
    wrong = {name: (state, next(line["why"] for line in lines if line.get("name") == name))
             for name, state in states.items() if state != want[name]}
    assert len(states) >= 20, f"only {sorted(states)}"
    assert not wrong, f"{wrong}"
    for line in lines[:-1]:  # what an old kernel lacks is said with the one that brought it
        assert line["state"] != "refused" or "it came with" in line["why"] or (facts.arm64 and "not on aarch64" in line["why"]), line
    summary = lines[-1]
    assert summary["kernel"] == facts.release and summary["virtual_machine"], summary
    assert summary["stalls_can_run"] and summary["writes_can_run"] == (not facts.arm64)
    assert facts.rc() == (3 if facts.arm64 else 0)


def for_other_kernels(line):
    """A program for a function that this kernel does not have, or has with another number of parameters: user space takes its twin."""
    return line["section"].startswith(("fentry/", "fexit/")) and (line["error"] == "No such process" or "invalid bpf_context access" in line["log"])


def newer(program, facts):
    """One that an older kernel need not take: tried out by doctor."""
    return program["program"] == "on_cookie" and facts.version < (5, 15)


def judge_load(facts):
    assert len(facts.lines()) >= 40, f"only {len(facts.lines())} programs"
    refused = {f"{line['object']}:{line['program']}": (line["error"], (line["warnings"] or line["log"])[-600:])
               for line in facts.lines() if not line["loaded"] and not newer(line, facts) and not for_other_kernels(line)}
    assert not refused, "\n  ".join([""] + [f"{name}: {error}: {log}" for name, (error, log) in refused.items()])


# What el8.2 does without: another way is taken there (user/trace), or doctor tries it out.
NOT_FOR_EL8 = {"on_cookie", "on_ring"}


def judge_load_el8(facts):
    """All that a session on el8.2 loads, relocated for it."""
    lines = [line for line in facts.lines() if line["object"] != "writes.bpf.o"]  # writes_old.bpf.o stands for it
    mine = [line for line in lines if not line["section"].startswith(("iter/", "fentry/", "fexit/")) and line["program"] not in NOT_FOR_EL8]
    assert len(mine) >= 40, f"only {len(mine)} programs"
    refused = {f"{line['object']}:{line['program']}": (line["error"], (line["warnings"] or line["log"])[-600:]) for line in mine if not line["loaded"]}
    assert not refused, "\n  ".join([""] + [f"{name}: {error}: {log}" for name, (error, log) in refused.items()])


def judge_threads(facts):
    lines = facts.lines()
    assert facts.rc() == 0, f"exit code {facts.rc()}: {facts.text('stderr')[-500:]}{lines[-1]}"
    accept = next((line for line in lines if line.get("comm") == "rpc-accept"), None)
    assert accept and accept["syscall"] in ("accept", "accept4"), f"{accept}"
    assert any(frame["symbol"] == "zbs::rpc::Server::RunAccept" for frame in accept["user_stack"]), f"{accept['user_stack']}"
    assert accept["fds"][0]["socket"]["state"] == "LISTEN", f"{accept['fds']}"
    assert facts.text("alive").strip() == "0"


# What each thread of the daemon runs, from its first instruction to its last (tests/target).
RUNS = {"rpc-accept": "zbs::rpc::Server::RunAccept", "rpc-worker-": "zbs::rpc::Server::RunWorker", "rpc-client-": "zbs::rpc::RpcLoad::Run",
        "event-loop": "zbs::rpc::EventLoop::Run", "control": "zbs::Control::Run", "zone-io": "zbs::chunk::Worker::Run", "target": "main"}


def judge_stacks(facts):
    """Whatever a thread does when it is looked at: its stack is told to its end, or not at all."""
    threads = [line for line in facts.lines() if line["kind"] == "thread"]
    told = [line for line in threads if line["user_stack"]]
    assert set(facts.text("codes").split()) <= {"0", "4"} and len(threads) >= 80, f"{facts.text('codes')} {facts.text('stderr')[-500:]}"
    assert len(told) >= len(threads) // 3, f"{len(told)} of {len(threads)}"
    wrong = []
    for line in told:
        want = next((function for comm, function in RUNS.items() if line["comm"].startswith(comm)), None)
        symbols = [frame["symbol"] for frame in line["user_stack"]]
        if want and want not in symbols:
            wrong.append((line["comm"], symbols))
    assert not wrong, f"{len(wrong)} of {len(told)}: {wrong[:5]}"
    for comm in RUNS:
        assert any(line["comm"].startswith(comm) for line in told), f"never a stack of {comm}"
    assert facts.text("alive").strip() == "0"


def judge_find(facts):
    hits = {int(line["addr"], 16): line for line in facts.lines() if line["kind"] == "hit"}
    stored = int(truth(facts)[0]["addr"], 16)
    assert facts.rc() == 1 and stored in hits, f"{stored:#x} is not among {[hex(addr) for addr in hits]}: {facts.lines()[-1]}"
    assert hits[stored]["place"] == "heap" and hits[stored]["block"]["used"], hits[stored]
    assert facts.text("alive").strip() == "0"


def session(facts):
    """(findings, summary) of a JSON session; what it says when it did not get so far."""
    lines = facts.lines()
    if not lines or lines[-1]["kind"] != "summary":
        raise AssertionError(f"no summary, exit code {facts.rc()}: {facts.text('session')[-700:]}")
    assert facts.text("alive").strip() == "0", "the test daemon does not answer any more"
    return [line for line in lines[:-1] if line["kind"] in ("bad_write", "stall")], lines[-1]


def truth(facts):
    return [record for record in facts.lines("truth") if record["event"] == "fault"]


def judge_writes(facts):
    findings, summary = session(facts)
    stores = truth(facts)
    assert stores, facts.text("fault")
    by_addr = {record["addr"]: record for record in stores}
    assert findings, f"nothing found of {len(stores)} stores: {summary}"
    for found in findings:
        assert found["addr"] in by_addr, f"not what was planted: {found}"
        record = by_addr[found["addr"]]
        assert (found["object"]["addr"], found["path"], found["new"]) == (record["object"], record["path"], record["new"])
        assert found["confidence"] == "certain", found["confidence"]
    assert {found["addr"] for found in findings} == set(by_addr), "not all that was planted was found"
    assert facts.rc() == 1


def judge_writer(facts):
    """The thread that stores into the same word again and again is caught by a watchpoint.

    The emulated debug registers also trap now and then where nothing was stored (more hits than stores), so a machine of this
    kind cannot show that nobody else is ever named; tests/kernel/test_watch.py does.
    """
    findings, summary = session(facts)
    stores = truth(facts)
    assert {found["addr"] for found in findings} == {record["addr"] for record in stores}
    writers = [found["writer"] for found in findings if found["writer"]]
    assert writers, f"no writer named: {summary['notes']}"
    named = [(writer["tid"], [frame["symbol"] for frame in writer["stack"]]) for writer in writers]
    stray = [writer["ip"] for writer in writers if not writer["instruction"]["verified"]]
    if len(stray) == len(writers):
        print(f"{facts.kernel}: writer: a trap of the emulation at {stray}, which the session calls unverified, came before the store's", file=sys.stderr)
        return
    assert any(tid == stores[0]["tid"] and stores[0]["function"] in symbols for tid, symbols in named), f"not the writer: {named}"


def judge_healthy(facts):
    findings, summary = session(facts)
    assert not findings, findings
    held_up = [note for note in summary["notes"] if "held up" in note or "after that gap" in note]
    if held_up and summary["counters"]["checks"] >= 1000:  # a host with other work: it says so, and is silent all the same
        print(f"{facts.kernel}: healthy: {held_up[0]}", file=sys.stderr)
        assert facts.rc() == 4 and not summary["complete"], f"exit code {facts.rc()}: {summary}"
    else:
        assert facts.rc() == 0 and summary["complete"], f"exit code {facts.rc()}: {summary}"


def judge_container(facts):
    """Refused by the missing capabilities, and nothing else."""
    rows, summary = capabilities(facts)
    assert facts.rc() == 3 and not summary["writes_can_run"] and not summary["stalls_can_run"], summary
    assert summary["pid_namespace"], summary
    for name in ("uprobe", "perf buffer", "syscall tracepoints", "kprobe", "fentry") + (() if facts.arm64 else ("watchpoint + BPF",)):
        row = rows[name]
        assert row["state"] == "refused" and "is missing" in row["why"] and "CAP_" in row["why"], row
        assert "container" in row["change"], row


def judge_lockdown(facts):
    """Integrity forbids nothing that we do. Confidentiality keeps the kernel's memory from us: said, and not found out by silence."""
    rows, summary = capabilities(facts, "doctor.integrity")
    assert summary["lockdown"] == "integrity" and facts.text("doctor.integrity.rc").strip() == "0", summary
    bad = {name: row["why"] for name, row in rows.items() if row["state"] in ("refused", "silent") and "it came with" not in row["why"]}
    assert not bad, bad
    rows, summary = capabilities(facts, "doctor.confidentiality")
    assert summary["lockdown"] == "confidentiality"
    row = rows["kernel memory"]
    assert row["state"] in ("refused", "silent") and "locked down" in row["why"] and "lockdown" in row["change"], row
    for name, row in rows.items():
        assert row["state"] in ("works", "limited") or "locked down" in row["why"] or "it came with" in row["why"], row
    assert not summary["stalls_can_run"] and facts.text("doctor.confidentiality.rc").strip() == "3", summary
    # and a session there does not pretend
    assert facts.text("stalls.confidentiality.rc").strip() in ("3", "4"), facts.text("stalls.confidentiality.err")
    assert facts.text("alive").strip() == "0"


def judge_killed(facts):
    before, during, after = (json.loads(facts.text(name)) for name in ("before", "during", "after"))
    assert during["programs"] > before["programs"] and during["maps"] > before["maps"], (before, during)
    assert after == before, (before, after)
    assert facts.text("alive").strip() == "0", "the test daemon does not answer any more"


def judge_no_btf(facts):
    assert facts.text("refused.rc").strip() == "3" and not facts.text("refused.out")
    assert "tools/add-btf" in facts.text("refused") and facts.release in facts.text("refused")
    judge_writes(facts)


def judge_stall(verdict, prefix="", kernel_stack=True):
    def judge_it(facts):
        findings, summary = session(facts)
        record = truth(facts)[0]  # the next one, after that call's timeout, may or may not reach the threshold
        tid, fd = record[f"{prefix}tid"], record[f"{prefix}fd"]
        mine = [found for found in findings if found["tid"] == tid]
        assert mine, f"thread {tid} is not among {[(f['tid'], f['verdict']) for f in findings]}: {summary}"
        assert {found["verdict"] for found in mine} == {verdict}, f"{[f['verdict'] for f in mine]}: {mine[0]['explanation']}"
        found = mine[0]
        assert found["fd"] == fd, f"descriptor {found['fd']}, not {fd}"
        assert found["rpc"] and found["rpc"]["method"] == record["method"], f"{found['rpc']} {summary['notes']}"
        assert found["user_stack"] and (found["kernel_stack"] or not kernel_stack)
        if verdict == "peer-silent":
            ends = [(one["local"], one["remote"]) for one in truth(facts)]  # of the next call, where the first timed out meanwhile
            assert (found["socket"]["local"], found["socket"]["remote"]) in ends, f"{found['socket']} {ends}"
        assert facts.rc() == 1

    return judge_it


def judge_framing(facts):
    """Each call of the daemon is seen at both of its ends, and named; as many as it counts itself."""
    findings, summary = session(facts)
    assert not findings, findings
    before, after, end = (json.loads(facts.text(name))["rpc_done"] for name in ("before", "after", "end"))
    assert after - before >= 20, f"the daemon made {after - before} calls only"
    hooks = [line for line in facts.text("session").splitlines() if line.startswith("RPC frames")]
    assert hooks and all("tracepoint" in line and " attached " in line for line in hooks), facts.text("session")[-900:]
    for by in ("wire client", "wire server"):
        rows = {row["method"]: row["calls"] for row in summary["rpcs"] if row["by"] == by}
        assert rows and set(rows) <= set(daemon_wire.NAMES), (by, rows, summary["notes"])
        assert after - before <= sum(rows.values()) <= end - before + 200, (by, before, after, end, rows)


def judge_no_diag(facts):
    """Refused, with the modules' names; and what has no sockets does not pass for complete."""
    row = capabilities(facts, "doctor")[0]["sock_diag"]
    assert row["state"] == "refused" and ("TCP" in row["why"] or "any sockets" in row["why"]), row
    assert "tcp_diag" in row["change"], row
    _, summary = session(facts)
    assert not summary["complete"] and any("sockets are not told" in note for note in summary["notes"]), summary["notes"]


def judge_sources(facts):
    """The same stuck calls, told of by fentry, by kprobes and by tracepoints."""
    lines = facts.text("threads").splitlines()
    threads = {thread["tid"]: thread for thread in map(json.loads, lines[:-1])}
    pid = int(lines[-1].split()[1])
    assert len(threads) >= 27 and facts.rc() == 0
    for source, told in (("auto", "fentry"), ("kprobe", "kprobe"), ("tracepoint", "tracepoints")):
        said = facts.lines(f"{source}.out")
        assert said and said[-1]["kind"] == "summary", f"{source}: {facts.text(source + '.err')[-500:]}"
        differs, summary = stuck.wrong(threads, pid, said[:-1]), said[-1]
        missed = stuck.unnoticed(threads, summary)
        skipped = [note for note in summary["notes"] if "were skipped by the kernel" in note]
        if skipped:  # tracepoints that can be preempted: what they do not tell may be missing, and nothing else
            print(f"{facts.kernel}: sources: {source}: {skipped[0].split(':')[0]}; without {[*differs, *missed]}", file=sys.stderr)
            assert not summary["complete"] and len(differs) <= len(threads) // 3, f"{source}: {differs}"
            differs, missed = {name: said for name, said in differs.items() if said is not None}, []
        else:
            assert summary["complete"], f"{source}: {summary['notes']}"
        assert not differs, f"{source}: {differs} {facts.text(source + '.err')}"
        assert not summary["probes"]["failed"], f"{source}: {summary['probes']}"
        assert not missed, f"{source}: not known to be over: {missed}"
        plan = [line for line in facts.text(f"{source}.err").splitlines() if line.startswith(("poll ", "receive ", "closes "))]
        assert plan and all(f" attached           {told} " in line for line in plan), f"{source}: {plan}"


# percent of an RPC loop's calls: what docs/bench.md has for 6.12, and room for other kernels
COST_BOUND = {"fentry": 25, "kprobe": 30, "tracepoint": 30}
COST_LOADS = {"1": "send, recv of 1 thread", "poll": "send, poll, recv of 1 thread", "4": "send, recv of 4 threads"}


def judge_cost(facts):
    """What each source takes from an RPC loop; every one tells of all calls, and less than what would be grossly wrong is lost."""
    rates = {}
    for line in facts.text("rates").splitlines():
        source, load, *calls = line.split()
        rates.setdefault((source, load), []).extend(map(int, calls))
    calls = {key: statistics.median(values) for key, values in rates.items()}
    for (source, load), values in rates.items():
        assert min(values) > 300 and max(values) - min(values) < 0.03 * max(values), f"not steady: {source} {load} {values}"
    own = dict(line.split() for line in facts.text("own").splitlines())
    table = []
    lost = {}
    for source in COST_BOUND:
        summary = facts.lines(f"{source}.out")[-1]
        assert summary["kind"] == "summary" and not summary["probes"]["failed"] and not summary["events"]["lost"], summary
        assert any("followed in 1 of them" in note for note in summary["notes"]), f"the server is not followed: {summary['notes']}"
        # some 12.5 s of it after it was armed (guest/tests): a verifier's detour was 26 s
        assert summary["duration_s"] < 27, f"{source}: {summary['duration_s']:.0f} s, most of them to arm"
        plan = [line for line in facts.text(f"{source}.err").splitlines() if line.startswith(("poll ", "receive ", "send "))]
        assert plan and all(f" attached           {source}" in line for line in plan), f"{source}: {plan}"
        for load, what in COST_LOADS.items():
            before, after = calls["none", load], calls[source, load]
            lost[source, load] = 100 * (1 - after / before)
            table.append(f"{facts.kernel} cost: {source:10} {what:28} {40e6 / before:7.0f} -> {40e6 / after:7.0f} instructions a call: "
                         f"{lost[source, load]:.1f} % of the calls lost")
        table.append(f"{facts.kernel} cost: {source:10} the session itself, of a machine of one instruction a nanosecond: {int(own[source]) / 10:.1f} %")
    print("\n".join(table), flush=True)
    wrong = {key: percent for key, percent in lost.items() if not 1 < percent < COST_BOUND[key[0]]}
    assert not wrong, f"{wrong}, allowed {COST_BOUND}"
    assert facts.rc() == 0


JUDGES = {"doctor": judge_doctor, "load": judge_load, "load-el8": judge_load_el8, "threads": judge_threads, "stacks": judge_stacks, "find": judge_find, "writes": judge_writes, "writer": judge_writer, "healthy": judge_healthy, "no-btf": judge_no_btf,
          "perf-writes": judge_writes, "perf-stall": judge_stall("peer-silent"), "old-stall": judge_stall("peer-silent", kernel_stack=False),
          "old-writes": judge_writes, "old-threads": judge_threads, "framing": judge_framing, "old-framing": judge_framing, "no-diag": judge_no_diag, "sources": judge_sources,
          "killed": judge_killed, "container": judge_container,
          "silent-server": judge_stall("peer-silent"), "dead-fd": judge_stall("polling-dead-fd"),
          "server-mutex": judge_stall("server-thread-blocked", "other_"),
          "cost": judge_cost,
          "lockdown": judge_lockdown}  # the last: it cannot be undone
ALONE = "cost"  # its machine counts instructions: `make bench-vm`
TESTS = [test for test in JUDGES if test != ALONE]

# A kernel with a verifier of el8.2's knowledge, built by hand (tests/vm/old-verifier). Its types name what its verifier refuses, so that only
# what takes nothing newer can run there; and it has no modules for sock_diag.
OLD_VERIFIER = "5.3-verifier"
OLD_TESTS = ("load-el8", "old-stall", "old-writes", "old-threads", "old-framing")

# What does not run on arm64, and why.
REFUSED = "`writes` is refused on aarch64"
NOT_ON_ARM64 = {**dict.fromkeys(("writes", "writer", "healthy", "no-btf", "perf-writes", "old-writes", "killed"), REFUSED),
                "load-el8": "those types are of x86-64", "sources": "its program makes calls that aarch64 does not have",
                "lockdown": "what must work is written down for x86-64 only"}

# What .ci/run leaves out of the matrix, by kernel, and why: a machine without hardware help takes its time.
SLOW = "seconds of verifying in emulation; `make vmtest` runs it"
SAME = "as on the kernels beside it; `make vmtest` runs it"
CI_LEAVES_OUT = {
    "5.10": {"stacks": SAME, "find": SAME, "framing": SAME, "load-el8": SLOW, "writer": SAME, "healthy": SAME, "dead-fd": SAME, "perf-stall": SAME},
    "6.1": {"stacks": SAME, "find": SAME, "framing": SAME, "old-writes": SAME, "load": SLOW, "load-el8": SLOW, "sources": SLOW, "writer": SAME, "no-btf": SAME, "healthy": SAME, "dead-fd": SAME,
            "server-mutex": SAME, "old-threads": SAME, "old-framing": SAME, "no-diag": SAME, "killed": SAME, "perf-stall": SAME},
    "6.12": {"stacks": SAME, "find": SAME, "framing": SAME, "old-writes": SAME, "load": SLOW, "load-el8": SLOW, "sources": SLOW, "writes": SAME, "no-btf": SAME, "healthy": SAME, "silent-server": SAME,
             "dead-fd": SAME, "server-mutex": SAME, "old-threads": SAME, "old-framing": SAME, "no-diag": SAME, "perf-writes": SAME, "killed": SAME},
    "newest": {"stacks": SAME, "find": SAME, "framing": SAME, "old-writes": SAME, "load": SLOW, "load-el8": SLOW, "sources": SLOW, "writer": SAME, "no-btf": SAME, "dead-fd": SAME, "server-mutex": SAME,
               "old-threads": SAME, "old-framing": SAME, "no-diag": SAME, "perf-writes": SAME},
}
# and what of arm64's it takes
CI_ARM64 = {"arm64-6.12": ("doctor", "threads", "stacks", "silent-server"), "arm64-16k": ()}


def left_out(kernel, ci):
    """{test: why} of what is not run on this kernel."""
    if kernel == OLD_VERIFIER:
        return {test: "takes what this verifier does not know" for test in TESTS if test not in OLD_TESTS}
    if kernel.startswith("arm64-"):
        ours = CI_ARM64[kernel] if ci else TESTS
        return {test: NOT_ON_ARM64.get(test, SAME) for test in TESTS if test in NOT_ON_ARM64 or test not in ours}
    return CI_LEAVES_OUT.get(kernel, {}) if ci else {}


def judge(test, facts):
    JUDGES[test](facts)
