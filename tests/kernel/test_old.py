"""Kernel 4.18.0-193: what its variant of each program uses is what that kernel has; sessions that are made to do without the rest."""
import json
import lzma
import os
import re
import subprocess

import pytest

from conftest import BUILD, ROOT
from test_writes import Writes, damage

BPFLOAD = BUILD / "tests" / "bpfload"
EL8 = ROOT / "tests" / "fixtures" / "btf" / "4.18.0-193.60.2.an8_2.btf.xz"
TRIES = {"doctor.bpf.o:on_ring", "doctor.bpf.o:on_cookie"}  # `culprit doctor` tries out what may be missing, each alone
NEWER_KINDS = ("iter", "fentry", "fexit", "tp_btf")  # program types that need another way on old kernels: /proc, kprobes, tracepoints


@pytest.fixture(scope="module", autouse=True)
def helpers():
    subprocess.run(["make", "-s", "kernel-helpers"], check=True, cwd=ROOT)


def had():
    """{"helper": {number: name}, "map": .., "program": .., "replaced": {number: number}} of tests/fixtures/el8.2.txt."""
    lists = {"helper": {}, "map": {}, "program": {}, "replaced": {}}
    for line in (ROOT / "tests" / "fixtures" / "el8.2.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            kind, number, name, *instead = line.split()
            lists[kind][int(number)] = int(instead[0]) if instead else name
    return lists


def names(enum, prefix):
    """{number: name} of an enum of the kernel's types that the programs are built with."""
    text = (ROOT / "vmlinux" / "x86_64" / "vmlinux.h").read_text()
    body = re.search(rf"^enum {enum} {{$(.*?)^}};", text, re.M | re.S).group(1)
    return {int(number): name.removeprefix(prefix) for name, number in re.findall(r"(\w+) = (\d+)", body)}


def programs(tmp_path, *objects):
    """Each program after relocation against the types of 4.18.0-193."""
    btf = tmp_path / "el8.btf"
    btf.write_bytes(lzma.decompress(EL8.read_bytes()))
    env = {**os.environ, "CULPRIT_FORCE": "noglobal"}
    done = subprocess.run([str(BPFLOAD), "--btf", str(btf), *map(str, objects)], capture_output=True, text=True, timeout=300, env=env)
    assert done.returncode in (0, 1), done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def wrong(program, lists):
    """What it uses that the kernel does not have."""
    known = names("bpf_func_id", "BPF_FUNC_")
    uses = program["uses"]
    found = [f"helper {known.get(n, n)}" for n in uses["helpers"] if lists["replaced"].get(n, n) not in lists["helper"]]
    found += [f"map {name} of type {kind}" for name, kind in uses["maps"].items() if kind not in lists["map"]]
    found += [] if program["type"] in lists["program"] else [f"program type {program['type']}"]
    return found + uses["newer"]


def ours():
    """Objects for that kernel: where there is a variant for old kernels, that one."""
    objects = {path.name: path for path in (BUILD / "bpf").glob("*.bpf.o")}
    for name in list(objects):
        if name.replace(".bpf.o", "_old.bpf.o") in objects:
            del objects[name]
    return sorted(objects.values())


def test_every_program_uses_what_there_is(tmp_path):
    lists, seen, found = had(), 0, {}
    for program in programs(tmp_path, *ours()):
        if program["section"].split("/")[0].removesuffix(".s") in NEWER_KINDS:
            continue
        seen += 1
        if program["object"] == "doctor.bpf.o":
            del program["uses"]["maps"]["ring"]  # made with on_ring only: user/trace/features_try.c
        bad = wrong(program, lists)
        if not program["loaded"]:
            bad.append(f"not loaded: {(program['warnings'] + program['log'])[-400:]}")
        name = f"{program['object']}:{program['program']}"
        if name in TRIES:
            assert len(bad) == 1 and bad[0].startswith("helper "), bad
            continue
        if bad:
            found[name] = bad
    assert seen >= 20
    assert not found, json.dumps(found, indent=1)


def test_nothing_without_another_way():
    """A program of a kind that the old kernel lacks stands in an object of its own or beside those that do its work there."""
    kinds = {}
    for path in ours():
        text = subprocess.run(["llvm-objdump", "-h", str(path)], capture_output=True, text=True, check=True).stdout
        sections = set(re.findall(r"^ *\d+ ([a-z_.]+)(?:/\S*)? .*TEXT", text, re.M)) - {".text"}
        kinds[path.name] = sections
    only_newer = {name for name, sections in kinds.items() if sections and all(s in NEWER_KINDS for s in sections)}
    assert only_newer <= {"threads.bpf.o"}, only_newer  # /proc does its work: user/trace/threads_proc.c


@pytest.mark.parametrize("name, complaint", [
    ("guarded", None), ("unguarded", "helper get_current_task_btf"), ("guarded_by_rodata", "helper ktime_get_boot_ns"),
    ("with_a_ring", "map ring of type"), ("tail_call_beside_call", "tail calls beside calls")])
def test_the_check_notices(tmp_path, name, complaint):
    lists = had()
    program = next(p for p in programs(tmp_path, BUILD / "tests" / "unguarded.bpf.o") if p["program"] == name)
    found = [one for one in wrong(program, lists) if "ring" not in one or name == "with_a_ring"]  # its map is everyone's
    assert [one for one in found if complaint and one.startswith(complaint)] or (not complaint and not found), found


def test_planted_stores_are_found_by_the_walk_in_steps(start_target, monkeypatch):
    monkeypatch.setenv("CULPRIT_FORCE", "old")
    writes, truth = damage(start_target, "wild-store", times=3, every_ms=200, object="random")
    assert {(f["object"]["addr"], f["path"], f["addr"], f["new"], f["confidence"]) for f in writes.findings} == {
        (t["object"], t["path"], t["addr"], t["new"], "certain") for t in truth}
    assert writes.summary["complete"], writes.summary["notes"]
    counters = writes.summary["counters"]
    assert counters["checks by digest"] and counters["messages compared"] > counters["checks"]


def test_objects_are_walked_to_their_end(start_target, monkeypatch):
    """What ends the walk early is the same bound as elsewhere, not the number of tail calls."""
    seen = {}
    for force in ("nomulti", "old"):
        monkeypatch.setenv("CULPRIT_FORCE", force)
        target = start_target("--rate", 200, name=force)
        writes = Writes(target, seconds=4)
        writes.result()
        assert not writes.findings and not any("left out" in note for note in writes.summary["notes"]), (writes.findings, writes.summary["notes"])
        counters = writes.summary["counters"]
        seen[force] = counters["messages compared"] / (counters["checks"] - counters["checks by digest"])
        assert target.stop() == 0
    assert 0.8 < seen["old"] / seen["nomulti"] < 1.25, seen
