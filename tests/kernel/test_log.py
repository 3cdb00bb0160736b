"""culprit stalls --log: the daemon's own lines in one timeline with what is found; lines that say that a call timed out are matched."""
import json
import os
import re
import signal
import subprocess
import time

from conftest import CULPRIT, wait_until


def run_session(target, *options):
    return subprocess.Popen([str(CULPRIT), "stalls", "-p", str(target.pid), "-d", "0", "--spec", "zbs", "--max-overhead", "100",
                             "--log", str(target.log_path), *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def armed(session):
    line = session.stderr.readline()
    assert "following calls" in line, line
    return session


def ended(session):
    session.send_signal(signal.SIGINT)
    out, err = session.communicate(timeout=60)
    assert session.returncode == 1, err
    return out


def timeouts(target):
    """Messages of the daemon's log that say so: [(thread, microseconds as written)]"""
    text = target.log()
    heads = re.findall(r"^W\d{4} (\d\d:\d\d:\d\d\.\d{6}) +(\d+) dump_meta.cc:\d+\][^\n]*\n(?:[^IWEF][^\n]*\n)*?\[ETimedOut\]", text, re.M)
    return [(int(tid), at) for at, tid in heads]


def test_matched(target):
    """Each of the daemon's calls that times out has its line, by thread, method and time; also after the log was rotated."""
    session = armed(run_session(target, "--json"))
    target.fault("silent-server", timeout_ms=1500)
    wait_until(lambda: len(timeouts(target)) >= 2, timeout=30)
    lines = [json.loads(line) for line in ended(session).splitlines()]
    stalls = [x for x in lines if x["kind"] == "stall"]
    logs = [x for x in lines if x["kind"] == "log" and x["timed_out"]]
    matched = [x for x in logs if x["stall"]]
    written = {at for _, at in timeouts(target)}
    assert len(matched) >= 2
    for log in matched:
        assert log["severity"] == "W" and log["where"].startswith("dump_meta.cc:")
        assert log["time"][11:26] in written or os.environ.get("TZ")
        stall = stalls[log["stall"]["number"]]
        assert stall["tid"] == log["tid"]
        assert log["stall"]["method"] == "zbs.meta.MetaService.ListDb" and log["stall"]["method"] in log["text"]
    assert len({x["stall"]["number"] for x in matched}) == len(matched), "one line for each call"
    row = next(r for r in lines[-1]["rpcs"] if r["method"] == "zbs.meta.MetaService.ListDb")
    assert row["timed_out"] == len(logs)
    assert lines[-1]["counters"]["log messages"] >= len(logs)


def test_rotated(target, tmp_path):
    """The file is moved away while it is followed, and another one takes its name."""
    session = armed(run_session(target, "--json"))
    with open(target.log_path, "a", encoding="ascii") as log:
        log.write(f"I{time.strftime('%m%d %H:%M:%S')}.000000 {target.pid} before.cc:1] [ETimedOut] one\n")
    time.sleep(1.5)
    os.rename(target.log_path, tmp_path / "old")
    target.log_path.write_text(f"I{time.strftime('%m%d %H:%M:%S')}.000000 {target.pid} after.cc:1] [ETimedOut] two\n", encoding="ascii")
    target.fault("silent-server", timeout_ms=60000)
    time.sleep(2)
    lines = [json.loads(line) for line in ended(session).splitlines()]
    assert {"before.cc:1", "after.cc:1"} <= {x["where"] for x in lines if x["kind"] == "log"}
    assert lines[-1]["counters"]["times a log was replaced or cut off"] == 1


def test_text(target):
    """The timeline is in order, and a thread's lines stand beside its stall."""
    session = armed(run_session(target))
    target.fault("silent-server", timeout_ms=1500)
    wait_until(lambda: timeouts(target), timeout=30)
    time.sleep(1.2)
    out = ended(session)
    table = out[out.index("LOG AND STALLS"):].splitlines()[1:]
    times = [row.split()[0] for row in table[:table.index("")]]
    assert times == sorted(times)
    assert any("> peer-silent for zbs.meta.MetaService.ListDb" in row for row in table)
    assert any("< peer-silent, timed out after 1.5 s" in row for row in table)
    assert any("[ETimedOut]" in row and "<- the peer-silent above" in row for row in table)


def test_errors(target, tmp_path):
    done = subprocess.run([str(CULPRIT), "stalls", "-p", str(target.pid), "-d", "1", "--log", "/nonexistent"],
                          capture_output=True, text=True, timeout=30)
    assert done.returncode == 3 and "/nonexistent" in done.stderr
    other = tmp_path / "other.log"
    other.write_text("not glog\n", encoding="ascii")
    done = subprocess.run([str(CULPRIT), "stalls", "-p", str(target.pid), "-d", "1", "--max-overhead", "100", "--log", str(other)],
                          capture_output=True, text=True, timeout=30)
    assert done.returncode == 4 and "no line of the log is glog's" in done.stdout
