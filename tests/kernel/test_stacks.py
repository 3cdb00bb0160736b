"""Stacks of blocked threads, taken without stopping anything, against gdb's of the same process (which stops it, afterwards)."""
import re
import subprocess
import time

import pytest

TARGET = "build/tests/stacks_target"


@pytest.fixture(scope="module", autouse=True)
def helpers():
    subprocess.run(["make", "-s", "kernel-helpers", "target"], check=True)


@pytest.fixture
def blocked():
    proc = subprocess.Popen([TARGET], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    proc.where = proc.stdout.readline().split()[1]
    time.sleep(0.2)  # until the main thread reads, too
    yield proc
    proc.stdin.close()
    proc.wait(10)


def ours(pid, *more):
    out = subprocess.run(["build/tests/stackdump", str(pid), *more], capture_output=True, text=True, check=True).stdout
    threads, ends = {}, {}
    for line in out.splitlines():
        if line.startswith("thread "):
            tid = int(line.split()[1])
            threads[tid] = []
        elif line.startswith("end "):
            ends[tid] = line.split()[1]
        elif re.match(r"\d+\|", line):
            _, addr, name, file, row, inlined, _ = line.split("|")
            threads[tid].append((addr, name, file, int(row), inlined == "inlined"))
    return threads, ends, out


def gdbs(pid):
    out = subprocess.run(["gdb", "-q", "-nx", "-p", str(pid), "-batch", "-x", "tests/kernel/gdb_stacks.py"],
                         capture_output=True, text=True, check=True).stdout
    threads = {}
    tid = None
    for line in out.splitlines():
        if re.fullmatch(r"thread \d+", line):
            tid = int(line.split()[1])
            threads[tid] = []
        elif tid and line.count("|") == 4:
            addr, name, file, row, kind = line.split("|")
            if kind != "tailcall":  # a frame that no longer exists: gdb infers it from the debuginfo
                threads[tid].append((addr, name, file, int(row), kind == "inlined"))
    return threads


def same_name(a, b):
    """gdb names local functions after DWARF's class names, the symbol table after the mangled ones; glibc has many aliases."""
    def plain(s):
        s = s.replace("std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> >", "std::string")
        return re.sub(r"^_*(GI_)?_*(libc_)?", "", s)

    def last(s):
        return re.sub(r"\(.*\)( const)?$", "", s.split("::")[-1])
    if b == "operator()":  # gdb says no more of a lambda that was inlined
        return a.endswith("::{lambda}::operator()")
    return plain(a) == plain(b) or plain(b).startswith(plain(a) + "(") or ("lambda" in a and last(a) == last(b.split("(const std::_Any")[0]))


def addr2line(pid, addr):
    """Lines of the call before the return address."""
    with open(f"/proc/{pid}/maps", encoding="utf-8") as f:
        base = next(int(line.split("-")[0], 16) for line in f if line.rstrip().endswith(TARGET))
    out = subprocess.run(["addr2line", "-i", "-e", TARGET + ".full", hex(int(addr, 16) - base - 1)],
                         capture_output=True, text=True, check=True).stdout
    return [int(n) for n in re.findall(r":(\d+)", out)]


def names(pid):
    comms = {}
    for tid in subprocess.run(["ls", f"/proc/{pid}/task"], capture_output=True, text=True, check=True).stdout.split():
        with open(f"/proc/{pid}/task/{tid}/comm", encoding="utf-8") as f:
            comms[int(tid)] = f.read().strip()
    return comms


def test_frames_equal_gdbs(blocked):
    comms = names(blocked.pid)
    mine, ends, _ = ours(blocked.pid)
    theirs = gdbs(blocked.pid)
    assert set(mine) == set(theirs) == set(comms)
    assert len(mine) == 10
    for tid, frames in mine.items():
        expect = theirs[tid]
        if comms[tid] == "bigframe":
            # rbp is needed to leave this frame, and only sp and pc were given: it must stop here and say so
            assert ends[tid] == "truncated"
            assert len(frames) == 2
            expect = expect[:2]
        else:
            assert ends[tid] == "complete", comms[tid]
        if tid == blocked.pid:
            frames = frames[:len(expect)]  # gdb does not go beyond main
        assert [f[0] for f in frames] == [f[0] for f in expect], comms[tid]
        assert [f[4] for f in frames] == [f[4] for f in expect], comms[tid]
        for f, e in zip(frames, expect):
            # where one address has two lines, gdb prefers the beginning of a statement
            assert f[2] == e[2] and (f[3] == e[3] or f[3] in addr2line(blocked.pid, f[0])), (comms[tid], f, e)
            assert same_name(f[1], e[1]), (comms[tid], f, e)


def test_target_is_not_stopped(blocked):
    """No ptrace, no signal: the counters that a stop would move stand still."""
    def status():
        found = {}
        for tid in names(blocked.pid):
            with open(f"/proc/{blocked.pid}/task/{tid}/status", encoding="utf-8") as f:
                found[tid] = re.findall(r"(?:ctxt_switches|TracerPid|SigPnd):\s*(\S+)", f.read())
        return found
    before = status()
    ours(blocked.pid)
    assert status() == before


def test_parameter_of_a_frame(blocked):
    """The Method that CallMethod was called with, from the register that its callee saved."""
    tid = next(t for t, comm in names(blocked.pid).items() if comm == "call")
    _, _, out = ours(blocked.pid, str(tid), "method")
    lines = out.splitlines()
    at = next(i for i, line in enumerate(lines) if "|stk::Channel::CallMethod|" in line)
    assert lines[at + 1] == "method=" + blocked.where
    assert out.count("method=") == 1
    # optimised out there
    _, _, out = ours(blocked.pid, str(tid), "this")
    assert "this=" not in out


def test_parameters_that_are_not_known(blocked):
    tid = next(t for t, comm in names(blocked.pid).items() if comm == "recurse")
    _, _, out = ours(blocked.pid, str(tid), "depth")
    # an int: its upper half is nobody's, so it is not given
    assert "depth=" not in out


def test_without_debuginfo(blocked, tmp_path):
    """The stripped file alone: unwinding is the same, its own functions have no name, and none is made up."""
    alone = tmp_path / "alone"
    subprocess.run(["objcopy", "--remove-section=.gnu_debuglink", TARGET, str(alone)], check=True)
    proc = subprocess.Popen([str(alone)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        proc.stdout.readline()
        with_names, _, _ = ours(blocked.pid)
        bare, ends, out = ours(proc.pid)
        by_comm = {comm: tid for tid, comm in names(proc.pid).items()}
        for tid, comm in names(blocked.pid).items():
            if comm == "stacks_target":
                continue
            full = [f for f in with_names[tid] if not f[4]]
            other = [f for f in bare[by_comm[comm]] if not f[4]]
            assert len(full) == len(other), comm
            assert [f[0][-3:] for f in full] == [f[0][-3:] for f in other], comm
        own = [line.split("|")[2] for line in out.splitlines() if line.endswith("/alone")]
        assert own and set(own) == {"??"}
        assert list(ends.values()).count("truncated") == 1
    finally:
        proc.stdin.close()
        proc.wait(10)


def test_minidebuginfo(blocked, tmp_path):
    """The stripped file with the functions' names inside, as Fedora and RHEL ship it: every name is there again."""
    mini, packed = tmp_path / "mini", tmp_path / "packed"
    subprocess.run(["objcopy", "-S", "-w", "--keep-symbol=*", TARGET + ".full", str(mini)], check=True)
    subprocess.run(["xz", str(mini)], check=True)
    subprocess.run(["objcopy", "--remove-section=.gnu_debuglink", f"--add-section=.gnu_debugdata={mini}.xz", TARGET, str(packed)], check=True)
    proc = subprocess.Popen([str(packed)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        proc.stdout.readline()
        full, _, _ = ours(blocked.pid)
        expect = {f[1] for frames in full.values() for f in frames if not f[4]}
        _, _, out = ours(proc.pid)
        own = {line.split("|")[2] for line in out.splitlines() if line.endswith("/packed")}
        assert len(own) > 5 and "??" not in own
        assert own <= expect
    finally:
        proc.stdin.close()
        proc.wait(10)


def test_replaced_and_deleted_file(tmp_path):
    """An upgraded package: the running file is not the one at its path any more."""
    path = tmp_path / "daemon"
    subprocess.run(["cp", "build/tests/stacks_target.full", str(path)], check=True)
    proc = subprocess.Popen([str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        proc.stdout.readline()
        before, _, _ = ours(proc.pid)
        path.unlink()
        subprocess.run(["cp", "/bin/true", str(path)], check=True)
        after, _, out = ours(proc.pid)
        assert after == before
        assert "stk::Channel::CallMethod" in out
    finally:
        proc.stdin.close()
        proc.wait(10)


def test_in_another_mount_namespace(tmp_path):
    """A container: neither the file nor its debuginfo is at these paths for us."""
    script = (f"mount -t tmpfs none {tmp_path} && mkdir {tmp_path}/.debug && cp {TARGET} {tmp_path}/daemon && "
              f"cp build/tests/.debug/stacks_target.debug {tmp_path}/.debug/ && exec {tmp_path}/daemon")
    proc = subprocess.Popen(["unshare", "--mount", "sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert proc.stdout.readline().startswith("ready")
        assert not (tmp_path / "daemon").exists()
        _, ends, out = ours(proc.pid)
        assert "|stk::Channel::ReadHeader|tests/kernel/stacks_target.cc|" in out
        assert list(ends.values()).count("truncated") == 1
    finally:
        proc.stdin.close()
        proc.wait(10)


def test_rpc_method_of_a_call_in_flight(start_target):
    """The method of a call that began before anyone looked, from CallMethod's frame; the daemon's own truth says which it is."""
    daemon = start_target("--rpc-rate", "0")
    truth = daemon.fault("silent-server", timeout_ms=30000)
    _, ends, out = ours(daemon.pid, str(truth["tid"]), "method")
    lines = out.splitlines()
    at = next(i for i, line in enumerate(lines) if "|zbs::rpc::Channel::CallMethod|" in line)
    descriptor = int(lines[at + 1].removeprefix("method="), 16)
    with open(f"/proc/{daemon.pid}/mem", "rb", buffering=0) as mem:
        def word(addr):
            mem.seek(addr)
            return int.from_bytes(mem.read(8), "little")
        # libprotobuf 3.21: all_names_ points to {name, full_name}, std::string's text is behind its first word
        mem.seek(word(word(descriptor + 8) + 32))
        assert mem.read(len(truth["method"]) + 1) == truth["method"].encode() + b"\0"
    assert ends[truth["tid"]] == "complete"
