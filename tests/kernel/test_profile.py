"""Profiles: on a stripped copy of the daemon that has no debuginfo, each command finds with a profile what it finds with debuginfo."""
import json
import os
import re
import shutil
import stat
import subprocess
import time

import pytest

from conftest import BUILD, CULPRIT, TARGET, TARGET_DEBUG

LEASE = "zbs::libmeta::CachedLease"
MAX_BYTES = 600 << 10


def culprit(*args, rc=0, timeout=120):
    done = subprocess.run([str(CULPRIT), *map(str, args)], capture_output=True, text=True, timeout=timeout)
    assert rc is None or done.returncode == rc, (done.returncode, done.stdout[-2000:], done.stderr[-2000:])
    return done


def build_id(path):
    notes = subprocess.run(["readelf", "-n", str(path)], check=True, capture_output=True, text=True).stdout
    return re.search(r"Build ID: (\w+)", notes)[1]


@pytest.fixture(scope="module")
def profile(tmp_path_factory):
    path = tmp_path_factory.mktemp("profile") / "target.profile"
    culprit("layout", TARGET, "--debuginfo", TARGET_DEBUG, "--spec", "zbs", "-o", path)
    return path


@pytest.fixture
def bare(start_target, tmp_path):
    """bare(*options) -> the daemon, from a place where nobody finds its debuginfo."""
    copy = tmp_path / "elsewhere" / "zbs-chunkd"
    copy.parent.mkdir()
    shutil.copy(TARGET, copy)
    return lambda *options: start_target(*options, binary=copy)


def with_debuginfo():
    return "--debuginfo", TARGET_DEBUG


def test_form(profile, tmp_path):
    text = profile.read_text()
    assert profile.stat().st_size < MAX_BYTES
    assert text.startswith(f"culprit-profile 1\nbuild-id {build_id(TARGET)}\n") and text.endswith("\nend\n")
    again = tmp_path / "again"
    culprit("layout", TARGET, "--debuginfo", TARGET_DEBUG, "--spec", "zbs", "-o", again)
    assert again.read_text() == text
    assert culprit("layout", TARGET, "--debuginfo", TARGET_DEBUG, "--spec", "zbs").stdout == text
    # types, vtables, functions, probe sites, and inlined instances with their places
    assert re.search(r'^ +class .*name="Chunk" .*size=\d+', text, re.M)
    assert re.search(r'^ +member name="read_perf_" type=@\w+ offset=\d+', text, re.M)
    symbols = dict(reversed(line.split()[:3:2]) for line in subprocess.run(
        ["nm", str(TARGET_DEBUG)], check=True, capture_output=True, text=True).stdout.splitlines() if len(line.split()) == 3)
    vtable = re.search(r'^symbol \w (0x\w+) \d+ "_ZTVN3zbs5ChunkE"$', text, re.M)
    assert int(vtable[1], 16) == int(symbols["_ZTVN3zbs5ChunkE"], 16)
    probe = re.search(r'^probe insert (0x\w+) \+\d+ "zbs::libmeta::Meta::CacheVExtentLease"$', text, re.M)
    name = next(n for n in symbols if n.startswith("_ZN3zbs7libmeta4Meta17CacheVExtentLease") and "." not in n)
    assert int(probe[1], 16) == int(symbols[name], 16)
    assert re.search(r"^ +inlined .*origin=@\w+ .*ranges=0x\w+-0x\w+", text, re.M)
    assert re.search(r"^ +param .*location=0x\w+-0x\w+:b?reg\d+", text, re.M)


@pytest.mark.parametrize("setters", ["off", "auto", "all"])
def test_same_plan(bare, profile, setters):
    target = bare("--rate", 100)
    plan = [culprit("writes", "-p", target.pid, "--spec", "zbs", "--setters", setters, "--dry-run", *source, rc=None)
            for source in (with_debuginfo(), ("--profile", profile))]
    assert plan[0].stdout.count("\n") > 100
    assert plan[1].stdout == plan[0].stdout and plan[1].returncode == plan[0].returncode


def test_without_either_it_says_what_to_do(bare):
    target = bare("--rate", 100)
    done = culprit("writes", "-p", target.pid, "--spec", "zbs", rc=3)
    assert "no debuginfo" in done.stderr and "--debuginfo" in done.stderr
    assert "--profile" in done.stderr and "culprit layout" in done.stderr and build_id(TARGET) in done.stderr


def test_of_another_build_is_refused(bare, profile, tmp_path):
    target = bare("--rate", 100)
    other = tmp_path / "other.profile"
    alien = "0123456789abcdef0123456789abcdef01234567"
    other.write_text(profile.read_text().replace(build_id(TARGET), alien, 1))
    for command in (("writes", "--spec", "zbs"), ("stalls", ), ("inspect", "--all-of", LEASE), ("threads", )):
        done = culprit(command[0], "-p", target.pid, *command[1:], "--profile", other, rc=3)
        assert alien in done.stderr and build_id(TARGET) in done.stderr, done.stderr
    done = culprit("writes", "-p", target.pid, "--spec", "zbs", "--profile", profile, *with_debuginfo(), rc=3)
    assert "not both" in done.stderr


@pytest.mark.parametrize("edit, where", [
    (lambda s: s.replace("symbol ", "symbol ?", 1), r":\d+:\d+: T t W B b V or U is missing"),
    (lambda s: s[:len(s) // 2], r":\d+:\d+: "),
    (lambda s: s.replace("type=@", "type=@0", 1), r":\d+:\d+: "),
    (lambda s: "", r":1:1: this is no profile"),
    (lambda s: s.replace("\n", "\0", 1), "a NUL at byte 17"),
])
def test_damaged(bare, profile, tmp_path, edit, where):
    target = bare("--rate", 100)
    damaged = tmp_path / "damaged.profile"
    damaged.write_text(edit(profile.read_text()))
    done = culprit("writes", "-p", target.pid, "--spec", "zbs", "--profile", damaged, rc=3)
    assert re.search(re.escape(str(damaged)) + ".*" + where if where[0] != ":" else re.escape(str(damaged)) + where, done.stderr), done.stderr


def bad_write(target, *source):
    session = subprocess.Popen([str(CULPRIT), "writes", "-p", str(target.pid), "--spec", "zbs", "--json", "-d", "7", "--max-overhead", "100",
                                *map(str, source)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for line in session.stderr:
        if line.startswith("culprit: no watchpoints:") or "watchpoints rotate" in line:
            break
    time.sleep(1.5)
    truth = target.fault("wild-store")
    out, err = session.communicate(timeout=120)
    lines = [json.loads(line) for line in out.splitlines()]
    assert lines and lines[-1]["kind"] == "summary", err
    (found, ) = lines[:-1]
    return found, lines[-1], truth


def symbols_of(frames):
    return [frame["symbol"] for frame in frames]


def test_writes_finds_the_same(bare, profile):
    seen = []
    for source in (with_debuginfo(), ("--profile", profile)):
        target = bare("--rate", 2000)
        found, summary, truth = bad_write(target, *source)
        assert (found["object"]["addr"], found["path"], found["addr"], found["old"], found["new"]) == tuple(
            truth[key] for key in ("object", "path", "addr", "old", "new"))
        assert found["found"]["function"].startswith("zbs::libmeta::"), found["found"]
        assert target.stop() == 0
        seen.append({
            "finding": {key: found[key] for key in ("kind", "reason", "confidence", "width")},
            "object": {key: found["object"][key] for key in ("type", "cache")},
            "keys": sorted(found),
            "probes": summary["probes"],
        })
    assert seen[1] == seen[0]


def test_stalls_finds_the_same(bare, profile):
    target = bare("--rpc-rate", 20)
    target.fault("silent-server", timeout_ms=-1)
    time.sleep(1)
    seen = []
    for source in (with_debuginfo(), ("--profile", profile)):
        out = culprit("stalls", "-p", target.pid, "--spec", "zbs", "--json", "-d", "3", "--max-overhead", 100, *source, rc=None).stdout
        lines = [json.loads(line) for line in out.splitlines()]
        stalls = [line for line in lines if line["kind"] == "stall"]
        assert stalls, lines
        seen.append(sorted((s["verdict"], s["tid"], s["syscall"], json.dumps(s["rpc"] and s["rpc"]["method"]),
                            *map(str, symbols_of(s["user_stack"]))) for s in stalls))
    # with debuginfo the inlined functions of others than the spec's are frames of their own
    assert [s[:4] for s in seen[1]] == [s[:4] for s in seen[0]]
    for bare_stack, full_stack in zip(seen[1], seen[0]):
        assert set(bare_stack[4:]) <= set(full_stack[4:])
    target.heal()


def test_inspect_shows_the_same(bare, profile):
    target = bare("--rate", 1, "--leases", 50)
    listed = culprit("inspect", "-p", target.pid, "--all-of", LEASE, "-v", "--profile", profile, rc=None).stdout
    address = re.search(r"0x[0-9a-f]+", listed)[0]
    for _ in range(5):  # it may change between the two looks
        both = [culprit("inspect", "-p", target.pid, "--type", LEASE, address, "--json", "--depth", 3, *source, rc=None).stdout
                for source in (with_debuginfo(), ("--profile", profile))]
        if both[0] == both[1]:
            break
    assert both[1] == both[0]
    assert len(json.loads(both[0].splitlines()[0])["fields"]) > 5


def test_core(bare, profile, tmp_path):
    target = bare("--rate", 1, "--leases", 50)
    subprocess.run(["gdb", "-nx", "-batch", "-p", str(target.pid), "-ex", f"generate-core-file {tmp_path}/core"], check=True,
                   capture_output=True, timeout=120)
    both = [culprit("inspect", "--core", tmp_path / "core", "--all-of", LEASE, "--json", *source, rc=None).stdout
            for source in (with_debuginfo(), ("--profile", profile))]
    assert both[0] and both[1] == both[0]
    other = tmp_path / "other.profile"
    other.write_text(profile.read_text().replace(build_id(TARGET), "00" * 20, 1))
    done = culprit("inspect", "--core", tmp_path / "core", "--all-of", LEASE, "--profile", other, rc=3)
    assert "00" * 20 in done.stderr and build_id(TARGET) in done.stderr


def test_type_without_spec(bare, tmp_path):
    target = bare("--rate", 100)
    path = tmp_path / "chunk.profile"
    functions = ("--insert", "zbs::libmeta::Meta::CacheVExtentLease")
    culprit("layout", TARGET, "--debuginfo", TARGET_DEBUG, "--type", LEASE, *functions, "-o", path)
    plan = [culprit("writes", "-p", target.pid, "--type", LEASE, *functions, "--dry-run", *source, rc=None).stdout
            for source in (with_debuginfo(), ("--profile", path))]
    assert plan[0].count("\n") > 50 and plan[1] == plan[0]
    done = culprit("layout", TARGET, "--type", "zbs::libmeta::CachedLeas", rc=3)
    assert LEASE in done.stderr  # the nearest name


def test_writers_from_a_profile(profile):
    """The same stores with the same evidence; without lines."""
    def stores(*source):
        lines = [json.loads(line) for line in culprit("layout", TARGET, *source, "--writers", "zbs::Chunk::read_perf_", "--json").stdout.splitlines()]
        return lines[:-1], lines[-1]

    (full, whole), (bare, part) = stores(*with_debuginfo()), stores("--profile", profile)
    places = [[(s["addr"], s["evidence"], s["width"], s["displacement"], s["immediate"]) for s in v] for v in (full, bare)]
    assert places[0] == places[1] and sum(s["evidence"] == "member" for s in bare) >= 3
    assert any(s["line"] for s in full) and not any(s["line"] for s in bare)
    assert part.pop("from_profile") is True and whole.pop("from_profile") is False and part == whole
    assert "--writers" in culprit("layout", TARGET, "--profile", profile, "--spec", "zbs", rc=2).stderr


@pytest.fixture
def libraries(tmp_path):
    """A program and the library that has its types, both stripped; the program's output and the directory of their debuginfo."""
    files = ("holders_shared", "libheld.so")
    for directory in ("run", "debug"):
        (tmp_path / directory).mkdir()
    for name in files:
        subprocess.run(["objcopy", "--only-keep-debug", BUILD / "tests" / name, tmp_path / "debug" / f"{name}.debug"], check=True)
        subprocess.run(["strip", "--strip-all", "-o", tmp_path / "run" / name, BUILD / "tests" / name], check=True)
    process = subprocess.Popen([tmp_path / "run" / files[0]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert str(process.pid) in process.stdout.readline()
    yield process, tmp_path / "run", tmp_path / "debug"
    process.kill()
    process.wait()


def test_one_for_each_file(libraries, tmp_path):
    """The type is the library's, code for it is in both. A profile of the program, which only declares the type, does not have its inlined
    setters: then no change is judged, and all else is as with debuginfo. A profile of another build is refused."""
    process, run, debug = libraries
    profiles = []
    for name, rc in (("holders_shared", 4), ("libheld.so", 0)):  # the program only declares the type
        done = culprit("layout", run / name, "--debuginfo", debug, "--type", "held::Item", "-o", tmp_path / f"{name}.profile", rc=rc)
        assert not rc or "only declared" in done.stderr
        profiles.append(tmp_path / f"{name}.profile")
    both = [word for path in profiles for word in ("--profile", path)]
    plan = [culprit("writes", "-p", process.pid, "--type", "held::Item", "--dry-run", *source).stdout for source in (("--debuginfo", debug), both)]
    fields = [[line.split()[:4] for line in text.splitlines() if re.match(r" +\d+ +\d+  ", line)] for text in plan]
    assert len(fields[0]) > 10 and fields[1] == fields[0]
    assert "changes judged" in plan[0] and "setters inlined there are followed by the definition" in plan[0]
    assert "changes judged" not in plan[1] and "no description of it" in plan[1] and "so no change of it is judged" in plan[1]
    # both are needed, each once, and of this build
    assert "only declared" in culprit("writes", "-p", process.pid, "--type", "held::Item", "--dry-run", *both[:2], rc=3).stderr
    assert "same build-id" in culprit("writes", "-p", process.pid, "--type", "held::Item", "--dry-run", *both, *both[2:], rc=3).stderr
    mine, alien = build_id(run / "libheld.so"), "0123456789abcdef0123456789abcdef01234567"
    profiles[1].write_text(profiles[1].read_text().replace(mine, alien, 1))
    refused = culprit("writes", "-p", process.pid, "--type", "held::Item", "--dry-run", *both, rc=3).stderr
    assert alien in refused and mine in refused and "libheld.so" in refused


def test_output_is_whole_or_not_there(tmp_path):
    done = culprit("layout", TARGET, "--spec", "zbs", "-o", tmp_path / "no" / "dir", rc=3)
    assert "cannot write" in done.stderr
    assert os.listdir(tmp_path) == []
    assert "for what?" in culprit("layout", TARGET, rc=2).stderr
    assert "of which binary?" in culprit("layout", "--spec", "zbs", rc=2).stderr


def test_what_is_no_file_is_written_into(tmp_path):
    device, kept, link = tmp_path / "null", tmp_path / "kept", tmp_path / "link"
    os.mknod(device, 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    kept.write_text("old\n")
    link.symlink_to(kept)
    wanted = ("layout", TARGET, "--type", "zbs::Chunk")
    culprit(*wanted, "-o", device)
    assert stat.S_ISCHR(os.stat(device).st_mode)
    culprit(*wanted, "-o", link)
    assert link.is_symlink() and "zbs::Chunk" in kept.read_text()
    assert sorted(os.listdir(tmp_path)) == ["kept", "link", "null"]
