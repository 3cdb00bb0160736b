"""culprit doctor: told the truth where something is missing, and about a target."""
import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from conftest import BUILD, CULPRIT

CAPS = "-sys_admin,-bpf,-perfmon,-sys_ptrace,-net_admin,-syslog"
CONTAINER = ["unshare", "-m", "-p", "-u", "-i", "--fork", "--mount-proc", "setpriv", f"--bounding-set={CAPS}"]


def doctor(*options, before=(), **env):
    done = subprocess.run([*before, str(CULPRIT), "doctor", "--json", *map(str, options)], capture_output=True, text=True, timeout=120,
                          env={**os.environ, **env})
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert rows and rows[-1]["kind"] == "summary", done.stderr
    return done, rows[-1], {row["name"]: row for row in rows if row["kind"] == "capability"}, rows


def test_everything_is_tried():
    done, summary, rows, _ = doctor()
    assert len(rows) >= 20
    for name, row in rows.items():
        assert row["state"] in ("works", "refused", "silent", "limited")
        assert (row["why"] is None) == (row["state"] == "works"), row
    assert done.returncode == (0 if summary["writes_can_run"] and summary["stalls_can_run"] else 3)


def test_in_a_container_without_capabilities():
    done, summary, rows, _ = doctor(before=CONTAINER)
    assert done.returncode == 3 and not summary["writes_can_run"] and not summary["stalls_can_run"]
    assert summary["pid_namespace"]
    for name in ("uprobe", "ring buffer", "syscall tracepoints", "user memory"):
        assert rows[name]["state"] == "refused", rows[name]
        assert "CAP_" in rows[name]["why"] and "is missing" in rows[name]["why"], rows[name]
        assert "container" in rows[name]["change"], rows[name]
    text = subprocess.run([*CONTAINER, str(CULPRIT), "doctor"], capture_output=True, text=True, timeout=120)
    assert text.returncode == 3 and "cannot run here; missing: " in text.stdout


def test_with_capabilities_only():
    """What is there with them works, whoever one is; what is not says which one it lacks."""
    keep = ["setpriv", "--bounding-set=-sys_admin,-syslog"]
    _, _, rows, _ = doctor(before=keep)
    for name in ("multi-uprobe", "ring buffer", "perf buffer", "user memory", "kernel memory", "syscall tracepoints", "process_vm_readv", "sock_diag"):
        assert rows[name]["state"] == "works", rows[name]
    for name in ("uprobe", "BPF run time", "/proc/PID/stack"):
        assert rows[name]["why"] == "CAP_SYS_ADMIN is missing", rows[name]
    assert rows["/proc/kallsyms"]["why"] == "CAP_SYSLOG is missing"


def test_rows_are_what_a_session_gets(start_target):
    """Each source of calls and bytes: attached in a session's plan if and only if its row works."""
    target = start_target()
    _, _, rows, _ = doctor("-p", target.pid)

    def plan(source):
        done = subprocess.run([str(CULPRIT), "stalls", "-p", str(target.pid), "--source", source, "--dry-run", "-v"], capture_output=True, text=True,
                              timeout=60)
        return [line for line in (done.stdout + done.stderr).splitlines() if " attached " in line or " failed " in line]

    for source, name in (("fentry", "fentry"), ("kprobe", "kprobe"), ("tracepoint", "syscall tracepoints")):
        polls = [line for line in plan(source) if line.startswith("poll ")]
        assert polls, plan(source)
        assert all(" attached " in line for line in polls) == (rows[name]["state"] == "works"), (rows[name], polls)
    sock = [line for line in plan("auto") if "sock_send_length" in line]
    assert any(" attached " in line for line in sock) == (rows["sock tracepoints"]["state"] == "works"), (rows["sock tracepoints"], sock)


@pytest.mark.parametrize("missing", ["sys_ptrace", "perfmon"])
def test_a_missing_capability_is_no_session(start_target, missing):
    """One that the session would refuse for: doctor ends with 3, too, and names it."""
    target = start_target()
    drop = ["setpriv", f"--bounding-set=-{missing},-sys_admin"]
    done, summary, rows, _ = doctor("-p", target.pid, before=drop)
    session = subprocess.run([*drop, str(CULPRIT), "stalls", "-p", str(target.pid), "-d", "1"], capture_output=True, text=True, timeout=60)
    assert session.returncode == 3 and f"CAP_{missing.upper()}" in session.stderr
    assert done.returncode == 3 and not summary["writes_can_run"] and not summary["stalls_can_run"]
    assert rows["capabilities"]["state"] == "refused" and f"CAP_{missing.upper()}" in rows["capabilities"]["why"]
    if missing == "sys_ptrace":
        assert rows["process_vm_readv"]["why"] == "CAP_SYS_PTRACE is missing"


def test_put_aside():
    done, summary, rows, _ = doctor(CULPRIT_FORCE="noringbuf,noiter")
    assert summary["forced"] == "noringbuf,noiter"
    for name in ("ring buffer", "task iterator"):
        assert rows[name]["state"] == "refused" and "CULPRIT_FORCE" in rows[name]["why"]
    assert rows["perf buffer"]["state"] == "works" and done.returncode == 0  # which does its work


def test_programs_are_loaded_for_real(tmp_path):
    """The real programs of the engines, those of the variant that a session would take; by the system calls."""
    for force, program, other in (("nomulti", "on_object", "tail_walk"), ("old", "tail_walk", None)):
        log = tmp_path / force
        done = subprocess.run(["strace", "-f", "-e", "trace=bpf", "-o", str(log), str(CULPRIT), "doctor", "--json"], capture_output=True, text=True,
                              env={**os.environ, "CULPRIT_FORCE": force})
        loaded = re.findall(r'BPF_PROG_LOAD, .*prog_name="(\w+)".* = \d+$', log.read_text(), re.M)
        summary = json.loads(done.stdout.splitlines()[-1])
        assert program in loaded and other not in loaded, loaded
        assert done.returncode == 0 and summary["stalls_can_run"] and summary["writes_can_run"]


def test_a_word_that_is_not_known():
    done = subprocess.run([str(CULPRIT), "doctor"], capture_output=True, text=True, env={**os.environ, "CULPRIT_FORCE": "noringbuf,nothing"})
    assert done.returncode == 3 and "'nothing' is not known" in done.stderr and "noringbuf" in done.stderr


def build_id(path):
    out = subprocess.run(["readelf", "-n", str(path)], capture_output=True, text=True, check=True).stdout
    return next((line.split()[-1] for line in out.splitlines() if "Build ID" in line), None)


def test_target(target):
    _, _, _, rows = doctor("-p", target.pid, "--spec", "zbs")
    row = next(row for row in rows if row["kind"] == "target")
    mapped = {line.split(None, 5)[5] for line in Path(f"/proc/{target.pid}/maps").read_text().splitlines()
              if "x" in line.split()[1] and "/" in line}
    mapped.discard(os.readlink(f"/proc/{target.pid}/exe"))
    assert {lib["path"] for lib in row["libraries"]} == mapped
    for lib in row["libraries"]:
        assert lib["build_id"] == build_id(lib["path"]) and not lib["replaced"], lib
    assert row["namespaces"] is None and row["coroutines"] is None and row["tracer"] is None
    plan = row["plan"]
    dry = subprocess.run([str(CULPRIT), "writes", "-p", str(target.pid), "--spec", "zbs", "--dry-run", "--json"], capture_output=True,
                         text=True, timeout=60)
    assert plan["error"] is None and plan["sites"] > 20 and 0 < plan["inlined"] < plan["sites"]
    assert dry.returncode == 0
    assert row["hit_ns"] > 0 and row["budget_hits_per_s"] > 0


def test_target_by_its_profile(target, tmp_path):
    """The file is named, what it gives is planned with; one of another build is refused with both ids."""
    profile = tmp_path / "daemon.profile"
    subprocess.run([str(CULPRIT), "layout", str(BUILD / "target"), "--spec", "zbs", "-o", str(profile)], check=True, timeout=120)
    _, _, _, by_debuginfo = doctor("-p", target.pid, "--spec", "zbs")
    _, _, _, rows = doctor("-p", target.pid, "--profile", profile, "--spec", "zbs")
    row, other = (next(row for row in r if row["kind"] == "target") for r in (rows, by_debuginfo))
    assert (row["debuginfo"], row["profile"], row["debuginfo_path"]) == ("profile", str(profile), None)
    assert (other["debuginfo"], other["profile"]) == ("found", None) and other["debuginfo_path"]
    assert row["plan"]["error"] is None and row["plan"]["sites"] == other["plan"]["sites"]
    text = subprocess.run([str(CULPRIT), "doctor", "-p", str(target.pid), "--profile", str(profile)], capture_output=True, text=True, timeout=120)
    assert f"profile   {profile}, of this build-id" in text.stdout
    wrong = subprocess.run([str(CULPRIT), "doctor", "-p", str(os.getpid()), "--profile", str(profile)], capture_output=True, text=True, timeout=120)
    assert wrong.returncode == 3 and build_id(BUILD / "target") in wrong.stderr


def test_target_without_that_type(target):
    _, _, _, rows = doctor("-p", os.getpid(), "--spec", "zbs")
    plan = next(row for row in rows if row["kind"] == "target")["plan"]
    assert plan["error"] and "sites" not in plan


def test_target_in_namespaces():
    """Its own namespaces by name, and its pid as it sees it itself."""
    inside = subprocess.Popen(["unshare", "-p", "-m", "-n", "-u", "--fork", "--mount-proc", "--kill-child", "sleep", "60"])
    try:
        children = Path(f"/proc/{inside.pid}/task/{inside.pid}/children")
        pid = None
        while not pid or os.readlink(f"/proc/{pid}/exe").endswith("unshare"):
            pid = (children.read_text().split() or [None])[0]
        row = next(row for row in doctor("-p", pid)[3] if row["kind"] == "target")
        assert row["pid_inside"] == 1
        assert set(row["namespaces"].split(", ")) == {"pid", "mnt", "net", "uts"}
    finally:
        inside.kill()
        inside.wait()


@pytest.fixture(scope="module")
def switcher(tmp_path_factory):
    """A program that changes stacks by itself."""
    directory = tmp_path_factory.mktemp("switcher")
    (directory / "s.c").write_text("#include <ucontext.h>\n#include <unistd.h>\n"
                                   "int main(void) { ucontext_t a, b; pause(); return swapcontext(&a, &b); }\n")
    subprocess.run(["gcc", "-o", str(directory / "switcher"), str(directory / "s.c")], check=True)
    return directory / "switcher"


def test_coroutines_are_suspected(switcher):
    running = subprocess.Popen([str(switcher)])
    try:
        row = next(row for row in doctor("-p", running.pid)[3] if row["kind"] == "target")
        assert row["coroutines"] == "swapcontext in switcher"
    finally:
        running.kill()
        running.wait()
