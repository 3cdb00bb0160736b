"""`culprit inspect` on the live test daemon, on its core, and on the chunk of the incident as protobuf 2.5 lays it out; against gdb,
protoc's generated code, the truth log and plain counting."""
import json
import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from conftest import BUILD, CULPRIT, ROOT, TARGET, Target

LEASE = "zbs::libmeta::CachedLease"
HELPERS = BUILD / "tests"


@pytest.fixture(scope="module", autouse=True)
def helpers():
    subprocess.run(["make", "-s", "-C", ROOT, "kernel-helpers", "target"], check=True)


def inspect(*args, rc=None):
    """Runs `culprit inspect --json`; returns all lines, the summary last."""
    done = subprocess.run([CULPRIT, "inspect", "--json", *map(str, args)], capture_output=True, text=True, timeout=120)
    assert rc is None or done.returncode == rc, (done.returncode, done.stdout[-2000:], done.stderr)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines and lines[-1]["kind"] == "summary", done.stderr
    return lines


def text(*args):
    return subprocess.run([CULPRIT, *map(str, args)], capture_output=True, text=True, timeout=120)


def fields(obj):
    return {field["name"]: field for field in obj["fields"]}


def gcore(pid, directory):
    subprocess.run(["gdb", "-nx", "-batch", "-p", str(pid), "-ex", f"generate-core-file {directory}/core"],
                   check=True, capture_output=True, timeout=120)
    return directory / "core"


@pytest.fixture(scope="module")
def incident(tmp_path_factory):
    """A damaged chunk in the live daemon, and a core of it: (target, truth, core)."""
    directory = tmp_path_factory.mktemp("incident")
    target = Target(directory, "--rate", 200, "--leases", 300)
    truth = target.fault("wild-store")
    core = gcore(target.pid, directory)
    yield target, truth, core
    target.kill()
    core.unlink()


@pytest.fixture(params=["live", "core"])
def where(request, incident):
    """The incident's two forms, as options."""
    target, truth, core = incident
    return (["-p", target.pid] if request.param == "live" else ["--core", core]), truth


def gdb_object(core, name, address):
    out = subprocess.run(["gdb", "-nx", "-batch", str(TARGET), str(core), "-ex", f"python NAME, ADDRESS = '{name}', {address}", "-x",
                          str(Path(__file__).with_name("gdb_object.py"))], capture_output=True, text=True, timeout=120)
    line = next((line for line in out.stdout.splitlines() if line.startswith("OBJECT ")), None)
    assert line, out.stderr
    return json.loads(line[7:])


@pytest.mark.parametrize("name, key", [("zbs::Chunk", "node"), (LEASE, "object")])
def test_fields_are_those_of_gdb(incident, name, key):
    _, truth, core = incident
    obj = inspect("--core", core, "--type", name, truth[key], "--depth", 0)[0]
    ours, theirs = fields(obj), gdb_object(core, name, truth[key])
    assert len(theirs) >= 10
    for member, value in theirs.items():
        if member not in ours:  # members of members, which culprit does not open
            assert member in ("ptr_", "_M_head_impl") or member.startswith("_"), member
            continue
        assert ours[member]["offset"] == value["offset"], member
        if "raw" in value:
            assert int(ours[member]["raw"], 16) == value["raw"], member
        else:
            assert (ours[member]["current"], ours[member]["total"]) == (value["current"], value["total"])
    compared = set(ours) & set(theirs)
    assert {"_has_bits_", "_cached_size_"} <= compared and len(compared) >= len(ours) - 5
    # and in the order of the class
    offsets = [field["offset"] for field in obj["fields"]]
    assert offsets == sorted(offsets)


def generated_bits():
    """{class: {bit: field}} as protoc wrote the setters of the has-bits."""
    source = (BUILD / "target.obj/gen/zbs.pb.cc").read_text()
    classes = {}
    for cls, body in re.findall(r"class (\w+)::_Internal \{(.*?)\n\};", source, re.S):
        classes[cls] = {(int(mask).bit_length() - 1 + 32 * int(word)): field for field, word, mask in re.findall(
            r"set_has_(\w+)\(HasBits\* has_bits\) \{\s*\(\*has_bits\)\[(\d+)\] \|= (\d+)u;", body)}
    return classes


def test_has_bits_are_named_as_protoc_gives_them_out(where):
    options, truth = where
    bits = generated_bits()
    assert len(bits["Chunk"]) >= 28
    objects = [("zbs::Chunk", truth["node"], "Chunk"), (LEASE, truth["object"], "Lease")]
    seen = 0
    for name, address, cls in objects:
        obj = inspect(*options, "--type", name, address, "--depth", 3)[0]
        todo = [(obj, cls)]
        while todo:
            obj, cls = todo.pop()
            word = fields(obj)["_has_bits_"]
            raw = int(word["raw"], 16)
            assert set(word["set"]) == {field for bit, field in bits[cls].items() if raw >> bit & 1}
            for bit, field in bits[cls].items():
                assert fields(obj)[field + "_"]["has"] == bool(raw >> bit & 1)
                seen += 1
            for field in obj["fields"]:
                inner = [field["message"]] if "message" in field else [e for e in field.get("elements", []) if isinstance(e, dict)]
                todo += [(x, x["type"].split("::")[-1]) for x in inner]
    assert seen > 5 * 28


def test_the_damaged_field_is_marked(where):
    options, truth = where
    *_, obj, summary = inspect(*options, "--type", "zbs::Chunk", truth["node"], rc=1)
    broken = {name: field["broken"] for name, field in fields(obj).items() if field["broken"]}
    assert list(broken) == ["read_perf_"]
    assert broken["read_perf_"]["reason"] == "wild-pointer"
    assert broken["read_perf_"]["value"] == truth["new"] and broken["read_perf_"]["addr"] == truth["addr"]
    assert fields(obj)["read_perf_"]["has"] is False
    assert summary["findings"] == 1
    assert fields(obj)["zone_id_"]["value"] == "default"
    assert fields(obj)["status_"]["enumerator"].startswith("CHUNK_STATUS_")


def test_found_without_an_address(where):
    options, truth = where
    lines = inspect(*options, "--all-of", LEASE, rc=1)
    damaged = [line for line in lines if line["kind"] == "damaged"]
    assert [line["addr"] for line in damaged] == [truth["object"]]
    assert damaged[0]["alive"] and damaged[0]["state"] == "block"
    assert [(b["path"], b["addr"], b["value"]) for b in damaged[0]["broken"]] == [(truth["path"], truth["addr"], truth["new"])]
    damaged = [line for line in inspect(*options, "--all-of", "zbs::Chunk", rc=1) if line["kind"] == "damaged"]
    assert [line["addr"] for line in damaged] == [truth["node"]]
    # as an object of the base class too
    assert any(line["addr"] == truth["object"] for line in inspect(*options, "--all-of", "zbs::Lease", rc=1))


def test_find_names_object_and_field(where):
    options, truth = where
    for types in (["--spec", "zbs"], ["--type", LEASE]):
        done = text("find", *options, "0xfffc0000", "--json", *types)
        hits = [json.loads(line) for line in done.stdout.splitlines()[:-1]]
        assert [hit["object"] for hit in hits if hit["object"]] == [{"type": LEASE, "addr": truth["object"], "path": truth["path"]}]
        assert [hit["addr"] for hit in hits if hit["object"]] == [truth["addr"]]
    # without the lease's class the chunk is the object
    done = text("find", *options, "0xfffc0000", "--type", "zbs::Chunk")
    assert f"in zbs::Chunk {truth['node']}: read_perf_" in done.stdout


def segments(core):
    """(address, bytes) of what a core dumped of writable memory."""
    data = core.read_bytes()
    phoff, = struct.unpack_from("<Q", data, 32)
    count, = struct.unpack_from("<H", data, 56)
    for i in range(count):
        kind, flags, offset, vaddr, _, size, _, _ = struct.unpack_from("<IIQQQQQQ", data, phoff + 56 * i)
        if kind == 1 and flags & 2:
            yield vaddr, data[offset:offset + size]


def test_counts_are_those_of_plain_counting(incident):
    target, _, core = incident
    lines = inspect("--core", core, "--all-of", "zbs::Chunk", "-v")
    obj = inspect("--core", core, "--type", "zbs::Chunk", lines[0]["addr"], "--depth", 0)[0]
    vptr = int(fields(obj)["_vptr"]["raw"], 16).to_bytes(8, "little")
    expected = set()
    for base, data in segments(core):
        at = data.find(vptr)
        while at >= 0:
            if (base + at) % 8 == 0:
                expected.add(base + at)
            at = data.find(vptr, at + 1)
    found = {int(line["addr"], 16) for line in lines if line["kind"] == "instance"}
    assert found <= expected
    # the rest is dead: freed memory, below a stack pointer
    assert len(expected) - len(found) <= len(expected) // 20
    assert lines[-1]["objects"] == len(found)
    # every lease's chunks are among them
    for lease in inspect("--core", core, "--all-of", LEASE, "-v"):
        if lease["kind"] == "instance" and lease["state"] == "block":
            one = inspect("--core", core, "--type", LEASE, lease["addr"], "--depth", 0)[0]
            chunks = [int(e, 16) for e in fields(one)["chunks_"]["elements"]]
            assert chunks and set(chunks) <= found
            break


@pytest.mark.parametrize("fault", ["overrun", "torn-store", "read-reused", "wild-store"])
def test_each_kind_of_damage_and_its_healing(start_target, fault):
    for _ in range(4):  # where the host has other work, the lease may expire between the two looks: then it is no finding
        target = start_target("--rate", 4000)
        assert not [x for x in inspect("-p", target.pid, "--all-of", LEASE, rc=0) if x["kind"] == "damaged"]
        truth = target.fault(fault)
        lines = inspect("-p", target.pid, "--all-of", LEASE)
        damaged = [x for x in lines if x["kind"] == "damaged"]
        if damaged and damaged[0]["alive"]:
            break
        assert not lines[-1]["complete"], "it must be said that one could not be judged"
    assert lines[-1]["findings"] == 1
    assert [x["addr"] for x in damaged] == [truth["object"]]
    if fault == "overrun":  # over the chunk's first bytes: the lease's pointer now leads to something that is no chunk
        assert [b["value"] for b in damaged[0]["broken"]] == [truth["node"]]
        obj = inspect("-p", target.pid, "--type", "zbs::Chunk", truth["node"], rc=1)[0]
        assert fields(obj)["_vptr"]["broken"]["reason"] == "bad-vtable"
        assert fields(obj)["_vptr"]["raw"] == truth["new"]
    else:
        assert [(b["addr"], b["value"]) for b in damaged[0]["broken"]] == [(truth["field_addr"], truth["field_new"])]
    target.heal()
    inspect("-p", target.pid, "--all-of", LEASE, rc=0)


def test_no_false_alarm_under_load(start_target):
    target = start_target("--rate", 10000, "--inline-setters")
    for _ in range(15):
        for cls in (LEASE, "zbs::Chunk"):
            lines = inspect("-p", target.pid, "--all-of", cls)
            assert not [x for x in lines if x["kind"] == "damaged" and x["alive"]], lines
            assert lines[-1]["findings"] == 0 and lines[-1]["objects"] > 500
    assert target.status()["lease_ops"] > 1000


def test_the_crash_leaves_a_core_that_tells(start_target, tmp_path):
    """The whole incident: the damaged lease expires, its destructor crashes, and the kernel writes the core."""
    pattern = Path("/proc/sys/kernel/core_pattern")
    before = pattern.read_text()
    target = start_target("--rate", 4000)
    subprocess.run(["prlimit", "--pid", str(target.pid), "--core=unlimited:unlimited"], check=True)
    try:
        pattern.write_text(str(tmp_path / "core.%p"))
        truth = target.fault("wild-store", crash=1)
        target.process.wait(timeout=60)
    finally:
        pattern.write_text(before)
    core = tmp_path / f"core.{target.pid}"
    assert core.exists()
    damaged = fields(inspect("--core", core, "--type", "zbs::Chunk", truth["node"])[0])["read_perf_"]
    assert int(damaged["raw"], 16) == 0xfffc0000
    done = text("find", "--core", core, "0xfffc0000", "--type", "zbs::Chunk", "--json")
    hits = [json.loads(line) for line in done.stdout.splitlines()[:-1]]
    assert truth["addr"] in [hit["addr"] for hit in hits]
    assert truth["function"] in [hit["symbol"] for hit in hits]
    assert json.loads(done.stdout.splitlines()[-1])["complete"]
    core.unlink()


@pytest.fixture(scope="module")
def legacy():
    """The incident's chunks in protobuf 2.5's layout: (pid, addresses)."""
    process = subprocess.Popen([HELPERS / "legacy_chunk"], stdout=subprocess.PIPE, text=True)
    yield process.pid, json.loads(process.stdout.readline())
    process.kill()
    process.wait()


def test_the_incident_as_protobuf_2_5_has_it(legacy):
    pid, at = legacy
    obj = inspect("-p", pid, "--type", "zbs::Chunk", hex(at["damaged"]), rc=1)[0]
    has = fields(obj)["_has_bits_"]
    assert int(has["raw"], 16) == 524349
    assert has["set"] == ["id", "data_ip", "data_port", "rpc_ip", "rpc_port", "zone_id"]
    assert [f["name"] for f in obj["fields"] if f["broken"]] == ["read_perf_"]
    assert {f["name"] for f in obj["fields"] if f["has"]} == {"id_", "data_ip_", "data_port_", "rpc_ip_", "rpc_port_", "zone_id_"}
    values = {name: field["value"] for name, field in fields(obj).items()}
    assert (values["data_ip_"], values["rpc_port_"], values["read_perf_"]) == (40133732, 10200, "0xfffc0000")
    assert values["ipmi_ip_"] == "" and values["zone_id_"] == "zone \"a\"\n\x01"
    assert fields(obj)["status_"]["enumerator"] == "CHUNK_STATUS_INITIALIZING"
    inspect("-p", pid, "--type", "zbs::Chunk", hex(at["clean"]), rc=0)
    damaged = [x for x in inspect("-p", pid, "--all-of", "zbs::Lease", rc=1) if x["kind"] == "damaged"]
    assert [(x["addr"], x["broken"][0]["path"]) for x in damaged] == [(hex(at["lease"]), "chunks_[1].read_perf_")]


def test_text(legacy, incident):
    pid, at = legacy
    done = text("inspect", "-p", pid, "--type", "zbs::Lease", hex(at["lease"]))
    assert done.returncode == 1
    for want in [r"^zbs::Lease 0x[0-9a-f]+, 56 bytes$", r"^ +\d+  chunks_ +4 elements, 4 allocated, room for 4  RepeatedPtrField<zbs::Chunk>$",
                 r"chunks_\[1\] = zbs::Chunk 0x", r"^ +! +72  read_perf_ +- +0xfffc0000  zbs::PerfInfo \*$",
                 r"BROKEN wild-pointer: 0xfffc0000 is not a mapped address; its has-bit is clear$",
                 r"0x8003d: id, data_ip, data_port, rpc_ip, rpc_port, zone_id", r'"zone \\"a\\"\\n\\x01"  std::string \*',
                 r"iops_ +set +7", "^1 broken invariant$"]:
        assert re.search(want, done.stdout, re.M), (want, done.stdout)
    target, truth, _ = incident
    done = text("inspect", "-p", target.pid, "--all-of", LEASE, "--limit", 2)
    assert re.search(r"\d+ objects, 1 damaged", done.stdout)
    assert f"BROKEN  {truth['object']}  {LEASE}, a block of its own\n        {truth['path']} = 0xfffc0000, wild-pointer" in done.stdout
    assert "more; -v shows all" in done.stdout


def test_the_dead_are_told_from_the_living(tmp_path):
    """Freed objects that still look like objects, in the main heap and in a thread's."""
    process = subprocess.Popen([HELPERS / "heap_objects"], stdout=subprocess.PIPE, text=True)
    try:
        says = json.loads(process.stdout.readline())
        alive = set(says["alive"]) - {0}
        core = gcore(process.pid, tmp_path)
        for options in (["-p", process.pid], ["--core", core]):
            lines = inspect(*options, "--all-of", "fx::Item", "-v", rc=1)
            instances = {int(x["addr"], 16): x["state"] for x in lines if x["kind"] == "instance"}
            assert len(alive) > 600
            assert {at for at, state in instances.items() if state == "block"} == alive
            assert not [at for at in instances if instances[at] == "unknown"]
            damaged = [int(x["addr"], 16) for x in lines if x["kind"] == "damaged" and x["alive"]]
            assert damaged == [says["damaged"]]
    finally:
        process.kill()
        process.wait()


def test_refused(incident, tmp_path):
    target, truth, core = incident
    done = text("inspect", "-p", target.pid, "--type", "zbs::Chnuk", truth["node"])
    assert done.returncode == 3 and "zbs::Chunk" in done.stderr
    done = text("inspect", "-p", target.pid, "--type", "zbs::Chunk", "0x10")
    assert done.returncode == 3 and "nothing can be read at 0x10" in done.stderr
    done = text("inspect", "--core", core, "--binary", CULPRIT, "--type", "zbs::Chunk", truth["node"])
    assert done.returncode == 3 and "build-id" in done.stderr
    alone = tmp_path / "target"
    shutil.copy(TARGET, alone)
    done = text("inspect", "--core", core, "--binary", alone, "--type", "zbs::Chunk", truth["node"])
    assert done.returncode == 3 and "--debuginfo" in done.stderr
    done = text("inspect", "--core", core, "--binary", alone, "--debuginfo", BUILD / ".debug", "--type", "zbs::Chunk", truth["node"])
    assert done.returncode == 1
    done = text("inspect", "-p", target.pid, "--all-of", "zbs::libmeta::StagingBlockInfo")
    assert done.returncode == 3 and "vtable" in done.stderr


def test_no_object_there(incident):
    """An address that holds something else: said, and not a list of nonsense only."""
    target, truth, _ = incident
    obj = inspect("-p", target.pid, "--type", "zbs::Chunk", hex(int(truth["node"], 16) + 8), rc=1)[0]
    assert obj["class"] is None
    assert fields(obj)["_vptr"]["broken"]["reason"] == "bad-vtable"


def test_usage():
    for args, want in [(("-p", "1"), "which class"), (("-p", "1", "--type", "T"), "where is the object"),
                       (("-p", "1", "--type", "T", "zz"), "no address"), (("--type", "T", "0x1"), "which process"),
                       (("-p", "1", "--all-of", "T", "0x1"), "no address with it"), (("-p", "1", "--type", "T", "0x1", "--depth", "99"), "up to"),
                       (("-p", "1", "--type", "T", "0x1", "--core", "x"), "give one"), (("-p", "1", "--spec", "zbs", "0x1"), "--spec goes with")]:
        done = text("inspect", *args)
        assert done.returncode == 2 and want in done.stderr, (args, done.stderr)
