"""`culprit find` on the live test daemon and on its core, against gdb's `find`, the truth log and plain arithmetic."""
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import time

import pytest

from conftest import CULPRIT, TARGET, wait_until

VALUE = 0xFFFC0000


def find(*args, rc=None):
    """Runs `culprit find --json`; returns (hits, summary)."""
    done = subprocess.run([CULPRIT, "find", "--json", *map(str, args)], capture_output=True, text=True, timeout=120)
    assert rc is None or done.returncode == rc, done.stderr + done.stdout
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines and lines[-1]["kind"] == "summary", done.stderr
    return lines[:-1], lines[-1]


def gcore(pid, directory):
    subprocess.run(["gdb", "-nx", "-batch", "-p", str(pid), "-ex", f"generate-core-file {directory}/core"],
                   check=True, capture_output=True, timeout=120)
    return directory / "core"


@pytest.fixture(scope="module")
def incident(tmp_path_factory):
    """The state of the incident: a damaged chunk in the live daemon, and a core of it. (target, truth, core)"""
    from conftest import Target
    directory = tmp_path_factory.mktemp("incident")
    # quiet once it is up, so that live memory and core can be compared
    target = Target(directory, "--rate", 200, "--leases", 300)
    truth = target.fault("wild-store")
    core = gcore(target.pid, directory)
    yield target, truth, core
    target.kill()
    core.unlink()


def test_live_hit_in_the_heap_and_in_the_code(incident):
    target, truth, _ = incident
    hits, summary = find("-p", target.pid, hex(VALUE), rc=1)
    at = {int(hit["addr"], 16): hit for hit in hits}
    damaged = at[int(truth["addr"], 16)]
    assert damaged["place"] == "heap"
    assert damaged["block"]["addr"] == truth["node"] and damaged["block"]["used"]
    code = [hit for hit in hits if hit["symbol"] == truth["function"]]
    assert len(code) == 1 and code[0]["place"] == "code" and "x" in code[0]["mapping"]["perms"]
    assert summary["findings"] == len(hits) and summary["complete"]


def gdb_find(core, ranges, value_text):
    """{address: "<symbol+off>" or ""} of gdb's find in the same ranges."""
    command = ["gdb", "-nx", "-batch", str(TARGET), str(core), "-ex", "set print asm-demangle off"]
    for start, end in ranges:
        command += ["-ex", f"find {start:#x}, {end - 1:#x}, {value_text}"]
    out = subprocess.run(command, capture_output=True, text=True, timeout=300).stdout
    found = {}
    for line in out.splitlines():
        match = re.match(r"(0x[0-9a-f]+)(?: <(.*)>)?$", line)
        if match:
            found[int(match[1], 16)] = match[2] or ""
    return found


@pytest.mark.parametrize("value, text, args", [
    (VALUE, "0xfffc0000", ()),
    (VALUE, "(unsigned long)0xfffc0000", ("--width", 8)),
    (0x48, "(char)0x48", ("--width", 1)),
    (0x5a0f, "(short)0x5a0f", ("--width", 2)),
])
def test_core_hits_are_those_of_gdb(incident, value, text, args):
    _, truth, core = incident
    damaged = int(truth["addr"], 16)
    ours = {}
    ranges = set()
    for choice in ("target", "libstdc++", "anon"):
        if choice == "anon" and value != VALUE:
            continue  # a thousand million
        hits, summary = find("--core", core, hex(value), "--map", choice, "-v", *args)
        assert summary["findings"] == len(hits)
        for hit in hits:
            start, end = (int(hit["mapping"][key], 16) for key in ("start", "end"))
            if choice == "anon" and not start <= damaged < end:
                continue
            ours[int(hit["addr"], 16)] = hit
            ranges.add((start, end))
    assert ours
    theirs = gdb_find(core, sorted(ranges), text)
    assert set(ours) == set(theirs)
    named = 0
    for address, name in theirs.items():
        match = re.match(r"(.*?)(?:\+(\d+))?$", name)
        hit = ours[address]
        if hit["place"] != "code" or "@plt" in name or re.search(r"-\d+$", name):
            continue  # gdb makes up names for the PLT, and calls a function's cold part a place before the function
        # the same distance from its start is the same function: of several names each takes one
        assert bool(name) == bool(hit["linkage"])
        if name:
            assert hit["offset"] == int(match[2] or 0), (hit["linkage"], name)
            named += hit["linkage"] == match[1]
    assert damaged in ours or value != VALUE
    assert named > 0 or len(args) > 0


def test_live_and_core_agree(incident):
    target, _, core = incident
    live, _ = find("-p", target.pid, hex(VALUE), "--limit", 1000)
    dead, summary = find("--core", core, hex(VALUE), "--limit", 1000)
    where = lambda hits: {(h["addr"], h["place"], h["symbol"], h["offset"]) for h in hits if h["place"] in ("code", "data")}
    assert where(live) == where(dead)
    assert summary["complete"]


def test_stack_hits_name_the_thread(incident):
    """A word of a blocked thread's stack, found again, is in the stack of that thread and at that distance of its stack pointer."""
    target, _, _ = incident
    names = target.threads()
    seen = 0
    for tid in sorted(names):
        fields = open(f"/proc/{target.pid}/task/{tid}/syscall", encoding="ascii").read().split()
        if len(fields) < 8 or names[tid] not in ("rpc-accept", "event-loop", "zone-io", "target"):
            continue
        sp = int(fields[-2], 16)
        with open(f"/proc/{target.pid}/mem", "rb", buffering=0) as memory:
            memory.seek(sp)
            words = [int.from_bytes(memory.read(8), "little") for _ in range(64)]
        offset, word = next((8 * i, w) for i, w in enumerate(words) if w >> 40)
        hits, _ = find("-p", target.pid, hex(word), "--map", "stack", "--align", 8, "--limit", 100000)
        own = [h["stack"] for h in hits if h["stack"] and int(h["addr"], 16) == sp + offset]
        if own:
            assert own == [{"tid": tid, "comm": names[tid], "sp_offset": offset}]
            seen += 1
    assert seen > 0


MEMORY = """
import ctypes, mmap, os, sys, time
size = int(sys.argv[1])
if sys.argv[2] == 'random':
    area = bytearray(os.urandom(1 << 20)) * (size >> 20)
    area[12345:12349] = bytes.fromhex('0000fcff')
elif sys.argv[2] == 'sparse':
    area = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000)  # MAP_NORESERVE
    area[size // 2:size // 2 + 8] = bytes.fromhex('0df0adba0df0adba')
else:  # a file that was cut behind its mapping
    fd = os.open(sys.argv[3], os.O_RDWR | os.O_CREAT)
    os.ftruncate(fd, size)
    area = mmap.mmap(fd, size)
    area[0:8] = bytes.fromhex('0df0adba0df0adba')
    os.ftruncate(fd, size - 3 * 4096)
print('ready', flush=True)
time.sleep(600)
"""


@pytest.fixture
def memory():
    started = []

    def start(*args):
        process = subprocess.Popen([sys.executable, "-c", MEMORY, *map(str, args)], stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout.readline() == "ready\n"
        return process.pid

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_a_gigabyte_a_second(memory):
    pid = memory(512 << 20, "random")
    best = 0
    for _ in range(4):
        hits, summary = find("-p", pid, hex(VALUE), "--map", "anon", "-v", rc=1)
        assert summary["findings"] >= 1 and summary["bytes"] >= 512 << 20
        best = max(best, summary["bytes_per_s"])
    print(f"{best / 1e9:.2f} GB/s, {100 * best / summary['read_alone_bytes_per_s']:.0f}% of reading alone")
    assert best >= 1e9
    assert hits[0]["block"]["size"] >= 512 << 20


def page_tables(pid):
    return int(re.search(r"VmPTE:\s+(\d+)", open(f"/proc/{pid}/status").read())[1])


def test_memory_never_touched_is_not_read(memory):
    pid = memory(256 << 30, "sparse")
    before = page_tables(pid)
    start = time.monotonic()
    hits, summary = find("-p", pid, "0xbaadf00dbaadf00d", "--map", "anon", rc=1)
    assert time.monotonic() - start < 30
    assert [hit for hit in hits if hit["place"] == "anon"]
    assert summary["untouched_bytes"] > 255 << 30 and summary["bytes"] < 1 << 30
    assert page_tables(pid) - before < 64  # KiB


def test_unreadable_pages_are_counted(memory, tmp_path):
    file = tmp_path / "cut"
    pid = memory(16 * 4096, "cut", file)
    hits, summary = find("-p", pid, "0xbaadf00dbaadf00d", "--map", str(file), rc=1)
    assert len(hits) == 1 and hits[0]["mapping"]["path"] == str(file)
    assert summary["unreadable_pages"] == 3 and not summary["complete"]
    # nothing found, but not all could be looked at
    _, summary = find("-p", pid, "0x123456789abcdef", "--map", str(file), rc=4)
    assert summary["bytes"] == 13 * 4096


def test_mask_align_and_bytes(memory, tmp_path):
    file = tmp_path / "cut"
    pid = memory(16 * 4096, "cut", file)
    choice = ("--map", str(file))
    assert len(find("-p", pid, "0xf00d", *choice, "--width", 2)[0]) == 2
    assert len(find("-p", pid, "0xf00d", *choice, "--width", 2, "--align", 8)[0]) == 1
    assert len(find("-p", pid, "0xba000000", *choice, "--mask", "0xff000000")[0]) == 2
    assert [int(h["addr"], 16) % 8 for h in find("-p", pid, "--bytes", "ad ba ?? f0", *choice)[0]] == [2]
    assert find("-p", pid, "--bytes", "00", *choice, "--limit", 5)[1]["findings"] == 13 * 4096 - 8


def culprit(*args):
    return subprocess.run([CULPRIT, "find", *map(str, args)], capture_output=True, text=True, timeout=60)


def test_text_has_what_gdb_shows(incident):
    target, truth, core = incident
    done = culprit("--core", core, hex(VALUE))
    assert done.returncode == 1
    assert re.search(rf"{truth['addr']}  heap   .* used block {truth['node']} of \d+ bytes, \+\d+", done.stdout)
    assert re.search(r"code   r-xp target  zbs::chunk::ZoneTracker::Touch\+\d+", done.stdout)
    assert re.search(r"\d+ hits; searched .* in [\d.]+ s \([\d.]+ GB/s, \w+\); 0 pages unreadable", done.stdout)
    assert culprit("--core", core, "0x123456789abcdef1").returncode == 0
    short = culprit("--core", core, hex(VALUE), "--limit", 1)
    assert "more; -v shows all" in short.stdout


def test_a_binary_of_another_build_is_refused(incident, tmp_path):
    _, _, core = incident
    done = culprit("--core", core, "--binary", CULPRIT, hex(VALUE))
    assert done.returncode == 3
    ids = [re.search(r"Build ID: (\w+)", subprocess.run(["readelf", "-n", file], capture_output=True, text=True).stdout)[1]
           for file in (CULPRIT, TARGET)]
    for build_id in ids:
        assert build_id in done.stderr
    # the right one under another name
    copy = tmp_path / "elsewhere"
    shutil.copy(TARGET, copy)
    assert culprit("--core", core, "--binary", copy, hex(VALUE)).returncode == 1


def test_no_core(tmp_path, incident):
    assert culprit("--core", TARGET, "1").returncode == 3
    assert "no core" in culprit("--core", TARGET, "1").stderr
    assert "No such file" in culprit("--core", tmp_path / "none", "1").stderr
    _, _, core = incident
    short = tmp_path / "short"
    with open(core, "rb") as whole:
        short.write_bytes(whole.read(1 << 20))
    done = culprit("--core", short, hex(VALUE))
    assert done.returncode == 3 and "ends within its notes" in done.stderr  # gdb writes the notes last


def test_usage():
    for args, text in [((), "which process"), (("-p", "1"), "VALUE or --bytes"), (("-p", "1", "0x1ff", "--width", "1"), "does not fit"),
                       (("-p", "1", "--core", "x", "1"), "give one"), (("-p", "1", "1", "--binary", "x"), "--core"),
                       (("-p", "1", "--bytes", "zz"), "no byte"), (("-p", "1", "-5"), "--help"), (("-p", "1", "1", "--width", "9"), "1 to 8"),
                       (("-p", "1", "1", "--align", "0"), "alignment")]:
        done = culprit(*args)
        assert done.returncode == 2 and text in done.stderr, (args, done.stderr)
    done = culprit("-p", os.getpid(), "1", "--map", "no such mapping")
    assert done.returncode == 3 and "--map takes" in done.stderr
