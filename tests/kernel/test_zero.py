"""culprit writes without a spec, on a program that holds its objects in all the ways there are; the truth is the program's own."""
import json
import select
import shutil
import subprocess
import threading
import time

import pytest

from conftest import BUILD, CULPRIT, wait_until
from test_writes import WATCH, Writes

HOLDERS = BUILD / "tests" / "holders"
SHARED = BUILD / "tests" / "holders_shared"
PLUGIN = BUILD / "tests" / "plugin.so"
PLUGIN_HOST = BUILD / "tests" / "plugin_host"
PLUGIN_USER = BUILD / "tests" / "plugin_user.so"
PLUGIN_HOST_HELD = BUILD / "tests" / "plugin_host_held"
WAYS = ("pointer", "unique", "shared", "ref", "vector", "map", "unordered", "deque", "list")


class Holders:
    """The program, started with some of its caches and asked for wild stores."""

    def __init__(self, *ways, every_us=20000, prefix=(), binary=HOLDERS):
        self.process = subprocess.Popen([*prefix, str(binary), *ways, "--every", str(every_us)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.pid = int(self.process.stdout.readline().split("pid=")[1])

    def ask(self, *words):
        print(*words, file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())

    def wild(self, way, hold_ms=1500):
        return self.ask("wild", way, hold_ms)

    def stop(self):
        if self.process.poll() is None:
            print("quit", file=self.process.stdin, flush=True)
        return self.process.wait(timeout=30)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(timeout=30)


@pytest.fixture
def holders():
    """holders(*ways, ...) -> Holders; all of them are ended after the test."""
    started = []

    def start(*args, **kwargs):
        started.append(Holders(*args, **kwargs))
        return started[-1]

    yield start
    for program in started:
        program.kill()


ZERO = ("--type", "held::Item")


def found_as_told(findings, truth):
    """One finding, and it is the planted store."""
    (found, ) = findings
    assert (found["object"]["addr"], found["addr"], found["new"]) == (truth["object"], truth["addr"], truth["new"])
    assert (found["path"], found["reason"], found["confidence"]) == ("part_", "wild-pointer", "certain")
    assert found["object"]["type"] == "held::Item" and found["pid"] == truth["pid"]
    return found


@pytest.mark.parametrize("way", WAYS)
def test_the_type_alone(holders, way):
    """Nothing but the type: constructors, destructors and mutators serve, however the objects are held."""
    program = holders(way)
    writes = Writes(program, "--setters", "all", seconds=5, what=ZERO)
    time.sleep(1.5)
    truth = program.wild(way)
    assert writes.result() == 1, writes.stderr
    found_as_told(writes.findings, truth)
    assert writes.summary["counters"]["inserted"] > 20
    assert "before the session by vtable" in writes.summary["counters"]
    assert program.stop() == 0


def test_health_is_silence(holders):
    """All ways at once and fast: vectors move their elements, nodes come and go."""
    program = holders(*WAYS, every_us=2000)
    writes = Writes(program, "--setters", "all", "--max-overhead", "100", seconds=10, what=ZERO)
    code = writes.result()
    assert writes.findings == [] and code == 0, writes.summary["notes"]
    counters = writes.summary["counters"]
    assert counters["inserted"] > 5000 and counters["destroyed"] > 5000
    # Those that live are those the caches hold, but for what is just moved.
    alive = sum(program.ask("count").values())
    assert abs(counters["objects"] - alive) < 0.3 * alive
    assert program.stop() == 0


def line_about(writes, pid):
    """Has the session said that it guards this process? Takes its next lines from stderr."""
    while select.select([writes.process.stderr], [], [], 0)[0]:
        line = writes.process.stderr.readline()
        writes.stderr += line
        if not line or f"culprit: {pid} (" in line:
            break
    return f"culprit: {pid} (" in writes.stderr


class Several(Writes):
    """A session on all processes of a name, or on several pids."""

    def __init__(self, *options, targets, seconds=6):
        self.command = [str(CULPRIT), "writes", *map(str, targets), *ZERO, "--setters", "all", "--json", "-d", str(seconds), *options]
        self.start()
        while "no free debug register" in self.stderr:  # another test has them
            self.process.kill()
            self.process.wait()
            time.sleep(1)
            self.start()
        assert "Ctrl-C to stop" in self.stderr, self.stderr


NO_ASLR = ("setarch", "-R")  # so that two processes have their objects at the same addresses


@pytest.fixture
def named(tmp_path):
    """A copy of the program under a name that no other process has."""
    binary = tmp_path / f"hold{time.monotonic_ns() % 10**9}"
    shutil.copy(HOLDERS, binary)
    return binary


@pytest.mark.parametrize("by", ("name", "pids"))
def test_several_processes_with_the_same_addresses(holders, named, by):
    a, b, c = (holders("pointer", prefix=NO_ASLR, binary=named) for _ in range(3))
    targets = ("-n", named.name) if by == "name" else ("-p", a.pid, "-p", b.pid)
    writes = Several(targets=targets)
    time.sleep(1.5)
    truth = b.wild("pointer")
    assert writes.result() == 1, writes.stderr
    found_as_told(writes.findings, truth)
    guarded = {p["pid"]: p for p in writes.summary["processes"]}
    assert set(guarded) == ({a.pid, b.pid, c.pid} if by == "name" else {a.pid, b.pid})
    assert [pid for pid, p in guarded.items() if p["findings"]] == [b.pid]
    assert all(p["checks"] for p in guarded.values())
    assert all(program.stop() == 0 for program in (a, b, c))


def test_watchpoints_are_each_process_own(holders, named):
    """The same address is watched in one process and written in the other: no hit, no finding of the wrong one."""
    a, b = (holders("pointer", prefix=NO_ASLR, binary=named) for _ in range(2))
    writes = Several(WATCH, "--field", "held::Item::part_", targets=("-n", named.name), seconds=8)
    time.sleep(1)
    truth = [b.ask("wild", "pointer", 100) for _ in range(20)]
    assert writes.result() == 1, writes.stderr
    assert {f["pid"] for f in writes.findings} == {b.pid}
    assert {(f["object"]["addr"], f["addr"]) for f in writes.findings} <= {(t["object"], t["addr"]) for t in truth}
    assert writes.summary["counters"]["watchpoints"] == 4  # shared out
    assert a.stop() == 0 and b.stop() == 0


def test_more_processes_than_registers(holders, named):
    """The fifth has no watchpoint: counted, said, and guarded all the same."""
    programs = [holders("pointer", binary=named) for _ in range(5)]
    writes = Several(WATCH, targets=("-n", named.name), seconds=6)
    time.sleep(1)
    truth = programs[-1].wild("pointer")
    assert writes.result() == 1, writes.stderr
    unwatched = [p["pid"] for p in writes.summary["processes"] if not p["watched"]]
    assert len(unwatched) == 1 and writes.summary["counters"]["processes without watchpoints"] == 1
    assert any("1 of them had no watchpoint" in note for note in writes.summary["notes"])
    assert {(f["pid"], f["addr"]) for f in writes.findings} == {(truth["pid"], truth["addr"])}
    assert all(program.stop() == 0 for program in programs)


def test_processes_come_and_go(holders, named):
    old = holders("pointer", binary=named)
    writes = Several(targets=("-n", named.name), seconds=12)
    new = holders("pointer", binary=named)
    assert old.stop() == 0
    wait_until(lambda: line_about(writes, new.pid), timeout=8)
    time.sleep(1)
    truth = new.wild("pointer")
    assert writes.result() == 1, writes.stderr
    found_as_told(writes.findings, truth)
    guarded = {p["pid"]: p for p in writes.summary["processes"]}
    assert guarded[old.pid]["exited"] and not guarded[old.pid]["started_during_session"]
    assert guarded[new.pid]["started_during_session"] and not guarded[new.pid]["exited"]
    assert new.stop() == 0


def test_a_process_of_the_name_but_of_another_file(holders, named, tmp_path):
    """It is said and counted; without it coverage is not complete."""
    known = holders("pointer", binary=named)
    writes = Several(targets=("-n", named.name), seconds=5)
    (tmp_path / "other").mkdir()
    other = tmp_path / "other" / named.name
    shutil.copy(HOLDERS, other)
    stranger = holders("pointer", binary=other)
    assert writes.result() == 4, writes.stderr
    assert any("not guarded" in note and "another file" in note for note in writes.summary["notes"])
    assert f"process {stranger.pid} is not guarded" in writes.stderr


def test_the_last_of_several_ends_the_session(holders, named):
    programs = [holders("pointer", binary=named) for _ in range(2)]
    writes = Several(targets=("-n", named.name), seconds=60)
    for program in programs:
        time.sleep(0.5)
        assert program.stop() == 0
    writes.result()
    assert writes.summary["ended"] == "target exited" and writes.findings == []
    assert all(p["exited"] for p in writes.summary["processes"])


def test_the_type_is_in_a_library(holders):
    """Vtable, constructors and destructors are the library's; the program has setters inlined and only declares the class."""
    program = holders("shared", binary=SHARED)
    writes = Writes(program, "--setters", "all", seconds=5, what=ZERO)
    time.sleep(1.5)
    truth = program.wild("shared")
    assert writes.result() == 1, writes.stderr
    found_as_told(writes.findings, truth)
    assert any("only declared in" in note and "holders_shared" in note for note in writes.summary["notes"])
    judged = {f["field"]: f for f in writes.summary["fields"] if f["guard"] == "changes"}
    assert {"id_", "on_", "uses_", "colour_"} <= set(judged) and all(f["setters"] > 0 and not f["uncovered"] for f in judged.values())
    assert hits_of(writes, "store")["held::Item::set_id(unsigned long)"] > 20
    assert program.stop() == 0


def test_health_with_the_type_in_a_library(holders):
    """Its setters are inlined in a program that only declares it: each has its licence, no alarm."""
    program = holders("pointer", "vector", binary=SHARED, every_us=3000)
    writes = Writes(program, "--setters", "all", "--max-overhead", "100", seconds=6, what=(
        "--type", "held::Item", "--insert", "PointerCache::Put:item", "--check", "PointerCache::Use:arg1", "--check", "PointerCache::Change"))
    assert writes.result() == 0, writes.summary["notes"]
    assert writes.findings == [] and writes.summary["counters"]["checks"] > 500
    assert program.stop() == 0


class Plugin:
    """The program that loads a plugin: at once, or when told."""

    def __init__(self, *late, host=PLUGIN_HOST, library=PLUGIN):
        self.process = subprocess.Popen([str(host), str(library), *late], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.pid = int(self.process.stdout.readline().split("pid=")[1])

    def say(self, line):
        print(line, file=self.process.stdin, flush=True)

    def wild(self):
        self.say("wild 1500")
        return json.loads(self.process.stdout.readline())

    def stop(self):
        self.say("quit")
        return self.process.wait(timeout=30)


@pytest.fixture
def plugin():
    started = []

    def start(*args, **kwargs):
        started.append(Plugin(*args, **kwargs))
        return started[-1]

    yield start
    for program in started:
        if program.process.poll() is None:
            program.process.kill()
        program.process.wait(timeout=30)


@pytest.mark.parametrize("functions", ((), ("--insert", "Store::Put", "--check", "Store::Use:item")))
def test_only_a_loaded_plugin_knows_the_type(plugin, functions):
    program = plugin()
    writes = Writes(program, "--setters", "all", seconds=5, what=(*ZERO, *functions))
    time.sleep(1.5)
    truth = program.wild()
    assert writes.result() == 1, writes.stderr
    found_as_told(writes.findings, truth)
    if functions:
        assert {f["function"] for f in writes.summary["functions"] if f["role"] in ("insert", "check") and f["hits"]} == {
            "plugin::Store::Put", "plugin::Store::Use"}
    assert program.stop() == 0


def said(writes, word):
    """Reads the session's progress until a line has the word."""
    for line in writes.process.stderr:
        writes.stderr += line
        if word in line:
            return line
    raise AssertionError(f"it never said '{word}': {writes.stderr}")


class Loads(Writes):
    """A session whose target has the type from the start, and loads the plugin that uses it when told."""

    def __init__(self, program, *options, seconds):
        super().__init__(program, "--setters", "all", *options, seconds=seconds, what=ZERO)
        program.say("load")


def hits_of(writes, role):
    return {f["function"]: f["hits"] for f in writes.summary["functions"] if f["role"] == role}


def test_a_library_loaded_during_the_session(plugin):
    """It creates and changes objects by inlined code of its own: armed while the session runs; a stray store in it is found."""
    program = plugin("later", host=PLUGIN_HOST_HELD, library=PLUGIN_USER)
    writes = Loads(program, seconds=9)
    assert "probes armed" in said(writes, str(PLUGIN_USER.name) + ": ")
    time.sleep(1.5)
    truth = program.wild()
    assert writes.result() == 1, writes.stderr
    found_as_told(writes.findings, truth)
    (library, ) = writes.summary["libraries"]
    assert library["name"] == str(PLUGIN_USER) and library["followed"] and library["probes"] > 5
    assert 0 < library["noticed_s"] <= library["armed_s"]
    assert hits_of(writes, "store")["held::Item::set_id(unsigned long)"] > 20  # inlined in the plugin alone
    assert any("what it did" in note and "is not covered" in note for note in writes.summary["notes"])
    assert program.stop() == 0


def test_health_while_libraries_are_loaded(plugin):
    """Its inlined setters run before they are probed: no alarm for that; afterwards changes are judged, and all is covered."""
    program = plugin("later", host=PLUGIN_HOST_HELD, library=PLUGIN_USER)
    writes = Loads(program, seconds=6)
    code = writes.result()
    assert writes.findings == [] and code == 0, writes.summary["notes"]
    assert [library["followed"] for library in writes.summary["libraries"]] == [True]
    assert "id_" in {f["field"] for f in writes.summary["fields"] if f["guard"] == "changes"}
    assert writes.summary["counters"]["libraries followed later"] == 1
    assert writes.summary["counters"]["sweeps"] > 0  # they go on
    assert program.stop() == 0


def test_a_library_that_cannot_be_followed(plugin, tmp_path):
    """Without debuginfo: said and counted, and no change is judged, so that its setters give no alarm."""
    bare = tmp_path / "bare.so"
    subprocess.run(["strip", "-g", "-o", str(bare), str(PLUGIN_USER)], check=True)
    program = plugin("later", host=PLUGIN_HOST_HELD, library=bare)
    writes = Loads(program, seconds=5)
    code = writes.result()
    assert writes.findings == [] and code == 4, writes.summary["notes"]
    (library, ) = writes.summary["libraries"]
    assert not library["followed"] and library["armed_s"] is None and "debuginfo" in library["why"]
    assert any("not followed there" in note and "bare.so" in note for note in writes.summary["notes"])
    assert program.stop() == 0


def test_the_type_comes_with_a_library(plugin):
    """No file of the process has it: an error, or waited for."""
    program = plugin("later")
    command = [str(CULPRIT), "writes", "-p", str(program.pid), *ZERO, "-d"]
    done = subprocess.run([*command, "1"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 3 and "no class held::Item" in done.stderr
    done = subprocess.run([*command, "1", "--await-library"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 3 and "waiting for a library" in done.stderr and "no library that has it" in done.stderr
    load = threading.Timer(1, program.say, ["load"])
    load.start()
    writes = Writes(program, "--setters", "all", "--await-library", seconds=6, what=ZERO)
    load.join()
    assert "waiting for a library" in writes.stderr
    time.sleep(1.5)
    truth = program.wild()
    assert writes.result() == 1, writes.stderr
    found_as_told(writes.findings, truth)
    assert program.stop() == 0


BAD = [
    (("--type", "held::Itm"), ("no class held::Itm", "held::Item")),
    (("--type", "held::Item", "--insert", "Put"), ("ambiguous", "PointerCache::Put(unsigned long, held::Item*)", "UniqueCache::Put")),
    (("--type", "held::Item", "--insert", "PointerCache::Putt"), ("no function", "nearest names", "PointerCache::Put")),
    (("--type", "held::Item", "--insert", "PointerCache::Put:nokey"), ("no parameter nokey", "this, key, item")),
    (("--type", "held::Item", "--insert", "PointerCache::Put:key"), ("parameter key does not lead to held::Item", )),
    (("--type", "held::Item", "--insert", "PointerCache::Put:arg9"), ("'arg9'", "argN (0 to 5)")),
    (("--type", "held::Item", "--check", "PointerCache::Use("), ("--check PointerCache::Use(", "at character 1")),
]


@pytest.mark.parametrize("options,said", BAD)
def test_bad_input_is_one_clear_error(holders, options, said):
    program = holders("pointer")
    done = subprocess.run([str(CULPRIT), "writes", "-p", str(program.pid), *options, "-d", "1"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 3 and done.stdout == ""
    assert done.stderr.count("culprit: ") == 1 and all(word in done.stderr for word in said), done.stderr


@pytest.mark.parametrize("text,place", [
    ("[cache a]\ntype = held::Item\ninsrt = X\n", ":3:1: unknown key 'insrt'"),
    ("[cache a]\n", ":1:1: [cache a] has no type"),
    ("[cache a]\ntype = held::Item\ncheck = PointerCache::Usee\n", ":3:9: check: no function PointerCache::Usee"),
    ("[cache a]\ntype = held::Item\n[cache b]\ntype = held::Nope\n", ":3: [cache b]: no class held::Nope"),
])
def test_errors_of_a_spec_name_the_place(holders, tmp_path, text, place):
    program = holders("pointer")
    spec = tmp_path / "bad.spec"
    spec.write_text(text, encoding="ascii")
    done = subprocess.run([str(CULPRIT), "writes", "-p", str(program.pid), "--spec", str(spec), "-d", "1"], capture_output=True, text=True,
                          timeout=60)
    assert done.returncode == 3 and f"{spec}{place}" in done.stderr, done.stderr


def test_several_caches_in_one_spec(holders, tmp_path):
    """Each with its own way to the object: a pointer by name, a smart pointer, a shared pointer by reference."""
    program = holders("pointer", "unique", "shared")
    spec = tmp_path / "caches.spec"
    spec.write_text("""[cache pointers]
type = held::Item
insert = PointerCache::Put:item
check = PointerCache::Use:arg1

[cache unique]
type = held::Item
insert = UniqueCache::Put
check = UniqueCache::Use

[cache shared]
type = held::Item
insert = SharedCache::Put:*arg1
check = SharedCache::Use:item
""", encoding="ascii")
    writes = Writes(program, "--setters", "all", seconds=10, what=("--spec", spec))
    time.sleep(1.5)
    truth = [program.wild(way) for way in ("pointer", "unique", "shared")]
    assert writes.result() == 1, writes.stderr
    assert {(f["object"]["addr"], f["addr"]) for f in writes.findings} == {(t["object"], t["addr"]) for t in truth}
    assert {f["object"]["cache"] for f in writes.findings} == {"pointers, unique, shared"}
    hit = {f["function"] for f in writes.summary["functions"] if f["role"] == "insert" and f["hits"]}
    assert hit == {f"held::{c}Cache::Put" for c in ("Pointer", "Unique", "Shared")}
    assert program.stop() == 0
