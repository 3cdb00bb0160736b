"""Inlined setters: which licences the probes of `writes` give, against setters that log who called them (tests/setters)."""
import json
import re
import subprocess
from collections import defaultdict

import pytest

from conftest import BUILD, CULPRIT

DIR = BUILD / "setters"
NO_WRITE = re.compile(r"mutable_(items|nums|tags)$|set_nums$")  # of the message itself
BUILDS = ("gcc", "clang", "old", "declared")


@pytest.fixture(scope="module", autouse=True)
def built():
    subprocess.run(["make", "-s", "-j2", "setters"], check=True)


def field_of(setter):
    stem = re.match(r"(?:unsafe_arena_)?(?:set_allocated|set|mutable|clear|add|release)_(\w+)$", setter).group(1)
    return "_oneof_case_[0]" if stem in ("slot", "path") else stem + "_"


def truth():
    """{phase: {(site, node, field)}} of the calls from prog.cc for guarded messages, by the build whose setters log; and
    {phase: {(node, field)}} of calls that write elements only."""
    out = subprocess.run([str(DIR / "logging")], input="\n" * 1000, capture_output=True, text=True, check=True).stdout
    calls = [line.split()[1:] for line in out.splitlines() if line.startswith("call ")]
    sites = sorted({site for _, site, _, _ in calls})
    lines = subprocess.run(["addr2line", "-e", str(DIR / "logging"), *sites], capture_output=True, text=True, check=True).stdout
    where = dict(zip(sites, (line.split("/")[-1].split()[0] for line in lines.splitlines())))
    found, elements = defaultdict(set), defaultdict(set)
    for phase, site, node, setter in calls:
        if not where[site].startswith("prog.cc:") or int(node) < 0:
            continue
        if NO_WRITE.match(setter):
            elements[phase].add((int(node), field_of(setter)))
        else:
            found[phase].add((f"{where[site]} {setter} {site}", int(node), field_of(setter)))
    return found, elements


def licences(build, mode="all"):
    """({phase: {(node, field)}}, nodes licensed as a whole by phase, the last record)"""
    out = subprocess.run([str(DIR / "tool"), str(DIR / build), mode], capture_output=True, text=True, check=True, timeout=120).stdout
    records = [json.loads(line) for line in out.splitlines()]
    fields, whole = defaultdict(set), defaultdict(set)
    for r in records[:-1]:
        fields[r["phase"]] |= {(r["node"], f) for f in r["fields"]}
        if r["whole"]:
            whole[r["phase"]].add(r["node"])
    return fields, whole, records[-1]


def compare(build):
    """Sites called, those that were licensed exactly, and licences on messages that no setter was called for."""
    expected, elements = truth()
    given, whole, last = licences(build)
    sites, inexact, wrong = set(), {}, []
    for phase, calls in expected.items():
        asked = {(node, field) for _, node, field in calls}
        nodes = {node for _, node, _ in calls}
        extra = {(n, f) for n, f in given[phase] - asked - elements[phase] if not f.startswith("_has_bits_")}
        wrong += [(phase, n, f) for n, f in extra if n not in nodes]
        # clear_inner() calls Clear() of the sub-message: node numbers of one object's messages are in eights
        wrong += [(phase, n, "whole") for n in whole[phase] if n not in nodes and n // 8 not in {m // 8 for m in nodes}]
        for site, node, field in calls:
            sites.add(site)
            if not any(n == node and f.startswith(field) for n, f in given[phase]):
                inexact[site] = "no licence"
            elif any(n == node for n, _ in extra) or node in whole[phase]:
                inexact[site] = f"licence too wide: {sorted(f for n, f in extra if n == node)}"
    return sites, inexact, wrong, last


@pytest.mark.parametrize("build", BUILDS)
def test_setters_are_licensed(build):
    sites, inexact, wrong, last = compare(build)
    print(f"{build}: {len(sites) - len(inexact)} of {len(sites)} sites exact, {last['stores']} probes, {last['stepped']} stepped")
    for site, why in sorted(inexact.items()):
        print(f"  {site}: {why}")
    assert not wrong
    assert len(sites) > 120
    assert len(inexact) <= 0.03 * len(sites)


def plan(build, mode):
    """The plan as `--dry-run --json` tells it, for the fields by name."""
    target = subprocess.Popen([str(DIR / build)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        while target.stdout.readline() != "ready\n":
            pass
        done = subprocess.run([str(CULPRIT), "writes", "-p", str(target.pid), "--type", "st::Rec", "--insert", "adopt", "--setters", mode,
                               "--dry-run", "--json"], capture_output=True, text=True, timeout=60, check=True)
    finally:
        target.kill()
        target.wait()
        target.stdin.close()
        target.stdout.close()
    line = json.loads(done.stdout)
    assert line["kind"] == "plan"
    return line, {(f["type"], f["field"]): f for f in line["fields"]}


SCALARS = "i32 i64 u32 u64 s32 x64 f32 f64 flag ready mode w1 w2 w3 w4".split()


def test_coverage_is_told():
    line, fields = plan("gcc", "all")
    for name in SCALARS:
        f = fields["st::Rec", name + "_"]
        assert f["guard"] == "changes" and f["setters"] > 0 and f["uncovered"] == 0 and f["why"] is None, f
    assert fields["st::Rec", "_oneof_case_[0]"]["guard"] == "invariant"
    for name in ("nums_", "items_", "name_", "inner_", "place_"):
        assert fields["st::Rec", name]["guard"] != "changes" and fields["st::Rec", name]["why"]
    assert sum(p["role"] == "store" for p in line["probes"]) > 100
    calls = [p for p in line["probes"] if p["role"] == "store" and not p["stepped"]]
    assert calls  # on calls, which the kernel emulates


def test_without_probes_on_setters():
    line, fields = plan("gcc", "off")
    assert not [p for p in line["probes"] if p["role"] == "store"]
    for name in SCALARS:
        f = fields["st::Rec", name + "_"]
        assert f["guard"] != "changes" and f["uncovered"] == f["setters"] and "--setters off" in f["why"], f
