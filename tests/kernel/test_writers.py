"""`culprit layout --writers T::FIELD` against objdump's disassembly, gdb's layout, nm and gdb's scopes: who can store to a field."""
import json
import re
import subprocess

import pytest

from conftest import CULPRIT, TARGET, TARGET_DEBUG

STORE = re.compile(r"^(?:mov(?:[bwlqa-z]*)|or[bwlq]?|and[bwlq]?|add[bwlq]?|xor[bwlq]?|sub[bwlq]?)$")
PLACE = re.compile(r"^(-?0x[0-9a-f]+|)\((%\w+)\)$")


def writers(field, *options):
    out = subprocess.run([str(CULPRIT), "layout", str(TARGET), "--writers", field, "--json", *map(str, options)], check=True,
                         capture_output=True, text=True, timeout=300).stdout
    lines = [json.loads(line) for line in out.splitlines()]
    assert lines[-1]["kind"] == "summary" and all(line["kind"] == "store" for line in lines[:-1])
    return lines[:-1], lines[-1]


@pytest.fixture(scope="module")
def code():
    """{address: instruction} by objdump."""
    text = subprocess.run(["objdump", "-d", "--no-show-raw-insn", str(TARGET)], check=True, capture_output=True, text=True).stdout
    return {int(addr, 16): insn for addr, insn in re.findall(r"^ +([0-9a-f]+):\t(.*)$", text, re.M)}


@pytest.fixture(scope="module")
def stores(code):
    """{address: (displacement, base register)} of what objdump shows to be a store to memory through one register."""
    found = {}
    for addr, text in code.items():
        match = re.match(r"^(?:lock )?(\S+) +(.*?)(?: +[#<].*)?$", text)
        if not match or not STORE.match(match[1]):
            continue
        place = PLACE.match(re.split(r",(?![^(]*\))", match[2])[-1])
        if place and place[2] not in ("%rsp", "%rip"):
            found[addr] = (int(place[1] or "0", 16), place[2].lstrip("%"))
    return found


def gdb(*commands):
    arguments = [word for command in commands for word in ("-ex", command)]
    return subprocess.run(["gdb", "-nx", "-batch", *arguments, str(TARGET_DEBUG)], check=True, capture_output=True, text=True,
                          timeout=120).stdout


FIELDS = ["zbs::Chunk::read_perf_", "zbs::Chunk::data_port_", "zbs::Lease::meta_generation_", "zbs::Chunk::_has_bits_"]


@pytest.mark.parametrize("field", FIELDS)
def test_against_objdump(stores, code, field):
    found, summary = writers(field)
    cls, member = field.rsplit("::", 1)
    path = "_impl_." + member
    offset, width = (int(re.search(r"= (\d+)", line)[1]) for line in gdb(
        f"print (long)&(('{cls}' *)0)->{path}", f"print sizeof((('{cls}' *)0)->{path})").splitlines())
    assert (summary["offset"], summary["width"]) == (offset, width)
    listed = {int(s["addr"], 16): s for s in found}
    # what begins at the field's first byte is all there, with objdump's displacement and register
    here = {addr: place for addr, place in stores.items() if place[0] == offset}
    assert here and set(here) <= set(listed), sorted(map(hex, set(here) - set(listed)))
    for addr, s in listed.items():
        if addr in stores:
            assert (s["displacement"], s["register"]) == stores[addr]
        if not s["pointer"] and s["width"] <= 16:
            assert s["displacement"] < offset + width and s["displacement"] + s["width"] > offset
    # what is listed is an instruction of the program with that displacement, whatever its mnemonic
    for addr, s in listed.items():
        sign, at = ("-", -s["displacement"]) if s["displacement"] < 0 else ("", s["displacement"])
        assert re.search(r"[ ,]%s\(%%%s\)" % (sign + hex(at) if at else "(?:0x0)?", s["register"]), code[addr]), (s, code.get(addr))


def test_the_wild_store_is_among_them_and_called_no_more_than_a_match(stores):
    found, summary = writers("zbs::Chunk::read_perf_")
    start, size = next((int(a, 16), int(b, 16)) for a, b, _, name in (
        line.split() for line in subprocess.run(["nm", "-S", str(TARGET_DEBUG)], check=True, capture_output=True,
                                                text=True).stdout.splitlines() if len(line.split()) == 4)
        if name == "_ZN3zbs5chunk11ZoneTracker5TouchEPNS0_9ZoneEntryEm")
    inside = [s for s in found if start <= int(s["addr"], 16) < start + size]
    assert inside and {s["evidence"] for s in inside} == {"match"}
    assert all(s["function"] == "zbs::chunk::ZoneTracker::Touch" and s["pointer"] and s["width"] == 8 for s in inside)
    # it is where the truth is: the one store of objdump's listing through the zone's address
    assert {int(s["addr"], 16) for s in inside} >= {a for a, place in stores.items() if start <= a < start + size and place == (0, "rsi")}
    assert summary["others"] > summary["stores"] and summary["unread"] == 0


def test_members_and_inlined_from():
    found, _ = writers("zbs::Chunk::read_perf_")
    members = [s for s in found if s["evidence"] == "member"]
    assert {s["function"] for s in members} >= {"zbs::Chunk::_InternalParse", "zbs::Chunk::MergeImpl"}
    inlined = next(s for s in members if s["function"] == "zbs::Chunk::MergeImpl")
    assert inlined["inlined"] and inlined["inlined"][0].startswith("zbs::Chunk::_internal_mutable_read_perf")
    # gdb names the same innermost function and line
    line = gdb(f"info line *{inlined['addr']}", f"info symbol {inlined['addr']}")
    assert f"Line {inlined['line']} of \"{inlined['file']}\"" in line.replace("\n", " ") or inlined["file"].endswith(
        re.search(r'of "([^"]+)"', line)[1])
    assert re.search(r"zbs::Chunk::MergeImpl.* \+ %d in" % inlined["offset"], line)


def test_immediates(code):
    found, _ = writers("zbs::Chunk::read_perf_")
    constants = [s for s in found if s["immediate"] is not None]
    assert constants
    for s in constants:
        shown = re.search(r"\$(-?0x[0-9a-f]+),", code[int(s["addr"], 16)])
        assert (int(shown[1], 16) - s["immediate"]) % (1 << 64) == 0, (s, code[int(s["addr"], 16)])


def test_text_and_errors():
    done = subprocess.run([str(CULPRIT), "layout", str(TARGET), "--writers", "zbs::Chunk::read_perf_"], check=True,
                          capture_output=True, text=True)
    assert done.stdout.startswith("zbs::Chunk::read_perf_, zbs::PerfInfo*, 8 bytes at ")
    assert re.search(r"^match: \d+, width and displacement match, nothing more", done.stdout, re.M)
    for wrong, said in (("zbs::Chunk::no_such_", "it has "), ("read_perf_", "T::FIELD"), ("zbs::Chank::id_", "zbs::Chunk")):
        done = subprocess.run([str(CULPRIT), "layout", str(TARGET), "--writers", wrong], capture_output=True, text=True)
        assert done.returncode == 3 and said in done.stderr, done.stderr
