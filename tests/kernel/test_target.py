"""The test daemon itself: its load, its faults, and that its truth log tells the truth."""
import time

import pytest

from conftest import TARGET_DEBUG

MEMORY_FAULTS = {
    "wild-store": "zbs::chunk::ZoneTracker::Touch",
    "overrun": "zbs::chunk::CopyBuffer::Fill",
    "torn-store": "zbs::chunk::SlotTable::Mark",
    "bit-flip": "zbs::chunk::FlagMap::Toggle",
    "read-reused": "zbs::chunk::JournalReader::ReadRecord",
}


def read_word(pid, address, width):
    """The target's memory, little endian, as the kernel shows it."""
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        memory.seek(address)
        return int.from_bytes(memory.read(min(width, 8)), "little")


def assert_works_on(target):
    """Leases and RPCs flow."""
    before = target.status()
    time.sleep(0.5)
    after = target.status()
    for counter in ("lease_ops", "leases_cleared", "rpc_done"):
        assert after[counter] > before[counter], counter


def test_sustains_ten_thousand_operations(start_target):
    target = start_target("--rate", 10000)
    before = target.status()
    time.sleep(3)
    after = target.status()
    seconds = (after["uptime_ms"] - before["uptime_ms"]) / 1000
    assert (after["lease_ops"] - before["lease_ops"]) / seconds > 9500
    assert after["leases_mutated"] > before["leases_mutated"]
    assert 1000 <= after["leases_alive"] < 1500
    assert (after["rpc_done"] - before["rpc_done"]) / seconds > 40
    assert after["rpc_failed"] == 0
    assert target.stop() == 0


def test_has_the_threads_of_a_daemon(target):
    names = set(target.threads().values())
    assert {"lease-0", "lease-3", "lease-expire", "zone-io", "meta-dump", "rpc-worker-0", "rpc-accept",
            "event-loop"} <= names


@pytest.mark.parametrize("name", MEMORY_FAULTS)
def test_memory_fault(target, name):
    truth = target.fault(name)
    address = int(truth["addr"], 16)
    assert truth["function"] == MEMORY_FAULTS[name]
    assert target.threads()[truth["tid"]] == truth["thread"] == "zone-io"
    assert truth["old"] != truth["new"]
    assert int(truth["object"], 16) < 1 << 47 and int(truth["node"], 16) <= address
    # The damage stays while the daemon works on.
    assert_works_on(target)
    assert target.status()["leases_pinned"] == 1
    assert read_word(target.pid, address, truth["width"]) == int(truth["new"], 16)
    target.heal()
    assert target.truth("healed", name)
    assert_works_on(target)
    status = target.status()
    assert status["fault"] is None and status["leases_pinned"] == 0
    assert target.stop() == 0


def test_wild_store_is_the_one_of_the_incident(target):
    truth = target.fault("wild-store")
    assert (truth["old"], truth["new"], truth["width"]) == ("0x0", "0xfffc0000", 8)
    assert truth["path"].startswith("chunks_[") and truth["path"].endswith("].read_perf_")


@pytest.mark.parametrize("where", ["same", "random"])
def test_wild_store_repeats(target, where):
    target.fault("wild-store", times=3, every_ms=100, object=where)
    time.sleep(0.6)
    records = target.truth("fault", "wild-store")
    assert [record["seq"] for record in records] == [1, 2, 3]
    assert len({record["addr"] for record in records}) == (1 if where == "same" else 3)
    assert {record["new"] for record in records} == {"0xfffc0000"}
    target.heal()
    assert target.stop() == 0


def test_damage_that_nobody_heals_kills_the_daemon(start_target):
    target = start_target("--rate", 10000)
    target.fault("wild-store", crash=1)
    assert target.process.wait(timeout=30) == -11


def test_one_fault_at_a_time(target):
    target.fault("wild-store")
    with pytest.raises(RuntimeError, match="heal first"):
        target.ctl("fault", "bit-flip")
    with pytest.raises(RuntimeError, match="no fault"):
        target.heal()
        target.ctl("fault", "nonsense")


def test_debuginfo_is_split_off():
    assert TARGET_DEBUG.exists()
