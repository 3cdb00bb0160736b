"""What culprit writes tells around a bad write: the bytes beside it, where else the value stands, what an unseen store can be."""
import struct
import subprocess
import time
from pathlib import Path

import pytest

from conftest import TARGET_DEBUG, wait_until
from test_writes import Writes, WATCH


def story(target, fault, *options, seconds=4, warm=1.0, **params):
    """A session in which `fault` happens. Returns (finding of the truth's field, truth record)."""
    writes = Writes(target, *options, seconds=seconds)
    time.sleep(warm)
    truth = target.fault(fault, **params)
    writes.memory = memory(target, int(truth["field_addr"], 16) - 64, 136)
    assert writes.result() == 1, writes.stderr
    found = [f for f in writes.findings if f["addr"] == truth["field_addr"]]
    assert found, writes.findings
    return writes, found[-1], truth


def memory(target, addr, size):
    with open(f"/proc/{target.pid}/mem", "rb", buffering=0) as mem:
        mem.seek(addr)
        return mem.read(size)


def code_with(target, value):
    """Addresses in executable mappings at which the 4 bytes of value stand, by reading them all."""
    found = []
    for line in Path(f"/proc/{target.pid}/maps").read_text(encoding="ascii").splitlines():
        span, perms, *_ = line.split(maxsplit=5)
        if perms[0] + perms[2] != "rx" or "vsyscall" in line:
            continue
        start, end = (int(x, 16) for x in span.split("-"))
        text, at = memory(target, start, end - start), -1
        while (at := text.find(struct.pack("<I", value), at + 1)) >= 0:
            found.append(start + at)
    return found


def layout_of_chunk():
    """{member: offset in zbs::Chunk}, as gdb reads it from the debuginfo."""
    out = subprocess.run(["gdb", "-batch", "-ex", "ptype /o zbs::Chunk::Impl_", "-ex", "ptype /o zbs::Chunk", str(TARGET_DEBUG)],
                         capture_output=True, text=True, check=True).stdout
    offsets = {}
    for line in out.splitlines():
        words = line.replace("|", " ").split()
        if len(words) > 3 and words[0] == "/*" and words[1].isdigit() and line.rstrip().endswith(";"):
            offsets.setdefault(words[-1].rstrip(";").lstrip("*"), int(words[1]))
    return offsets


def test_the_bytes_beside_it(start_target):
    target = start_target("--rate", 4000)
    writes, found, truth = story(target, "wild-store")
    near = found["neighbourhood"]
    assert int(near["addr"], 16) == int(truth["field_addr"], 16) - 64
    # pinned: nothing in the chunk changes after the fault
    assert bytes.fromhex(near["bytes"]) == writes.memory
    (damaged, ) = [f for f in near["fields"] if f["damaged"]]
    assert (damaged["field"], damaged["addr"], damaged["value"]) == ("read_perf_", truth["field_addr"], truth["field_new"])
    offsets = layout_of_chunk()
    for field in near["fields"]:
        if field["field"] not in offsets:
            continue  # _vptr and what a base holds
        assert int(field["addr"], 16) - int(damaged["addr"], 16) == offsets[field["field"]] - offsets["read_perf_"]
        raw = bytes.fromhex(near["bytes"])[int(field["addr"], 16) - int(near["addr"], 16):][:min(field["width"], 8)]
        assert int.from_bytes(raw, "little") == int(field["value"], 16)
    names = [f["field"] for f in near["fields"]]
    assert "space_info_" in names and "write_perf_" in names
    target.heal()


def test_where_else_it_stands(start_target):
    target = start_target("--rate", 4000)
    _, found, truth = story(target, "wild-store")
    elsewhere = found["elsewhere"]
    assert int(elsewhere["value"], 16) == int(truth["new"], 16)
    places = [p for p in elsewhere["shown"] if p["place"] == "code"]
    assert sorted(int(p["addr"], 16) for p in places) == code_with(target, int(truth["new"], 16))
    assert any(p["where"].startswith("zbs::chunk::ZoneTracker::Touch+") for p in places)
    assert truth["addr"] not in [p["addr"] for p in elsewhere["shown"]]
    assert elsewhere["hits"] >= len(elsewhere["shown"])
    target.heal()


def test_a_common_value_is_not_looked_for(start_target):
    target = start_target("--rate", 4000)
    _, found, truth = story(target, "bit-flip", seconds=8)
    assert 0 < int(found["new"], 16) == int(truth["field_new"], 16) <= 0xffff  # one of the lower bits of a port
    assert found["elsewhere"]["hits"] is None and "common" in found["elsewhere"]["reason"]
    target.heal()


def test_without_watchpoints_it_says_so(start_target):
    target = start_target("--rate", 4000)
    _, found, _ = story(target, "wild-store")
    assert found["writer"] is None
    assert [u["cause"] for u in found["unseen"]] == ["not-watched"]
    assert "hypervisor" in found["unseen"][0]["text"] or "no watchpoint" in found["unseen"][0]["text"]
    target.heal()


def test_a_writer_that_was_seen_leaves_no_question(start_target):
    target = start_target("--rate", 4000)
    writes, found, truth = story(target, "wild-store", WATCH, seconds=7, times=15, every_ms=200, object="same")
    assert found["writer"]["function"] == truth["function"], writes.findings
    assert found["unseen"] is None and found["elsewhere"]["hits"] is not None
    target.heal()


def direct_read(target, settle_ms, *options, seconds):
    """A read with O_DIRECT over a chunk of a pinned lease, while a session looks at that lease."""
    fault = subprocess.Popen([str(target.binary), "ctl", str(target.control), "fault", "direct-read", f"settle_ms={settle_ms}"],
                             stdout=subprocess.DEVNULL)
    planned = wait_until(lambda: target.truth("planned", "direct-read") or fault.poll())
    if not isinstance(planned, list):
        pytest.skip("no direct I/O here")
    writes = Writes(target, *(o.format(**planned[0]) for o in options), seconds=seconds)
    code = writes.result()
    assert fault.wait(timeout=30) == 0
    (truth, ) = target.truth("fault", "direct-read")
    return writes, code, truth


def test_direct_io_that_no_watchpoint_sees(start_target):
    target = start_target("--rate", 4000)
    writes, code, truth = direct_read(target, 8000, WATCH, "--object", "{object}", "--field", "zbs::Chunk::read_perf_", seconds=12)
    assert code == 1, writes.summary
    (found, ) = [f for f in writes.findings if f["addr"] == truth["field_addr"]]
    assert (found["new"], found["reason"], found["writer"]) == (truth["new"], "wild-pointer", None)
    assert found["last_good"] is not None
    causes = {u["cause"]: u["text"] for u in found["unseen"]}
    assert "direct-io" in causes and "direct." in causes["direct-io"]  # names the file
    # the watchpoints had four words to choose from: all the time, or but for a move
    assert found["unseen"][0]["cause"] in ("no-instruction", "not-watched")
    assert "shared-memory" not in causes
    target.heal()
    assert target.stop() == 0


def test_direct_io_is_no_cause_where_no_file_is_open_for_it(start_target):
    target = start_target("--rate", 4000)
    _, found, _ = story(target, "torn-store")
    assert "direct-io" not in [u["cause"] for u in found["unseen"]]
    target.heal()
