"""Exit codes and messages that a user meets before anything is traced."""
import json
import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
CULPRIT = ROOT / "build" / "culprit"


def run(*args, **kw):
    return subprocess.run([CULPRIT, *args], capture_output=True, text=True, timeout=60, **kw)


def test_no_command_is_a_usage_error_with_the_list():
    r = run()
    assert r.returncode == 2
    assert r.stdout == ""
    assert "doctor" in r.stderr and "--help" in r.stderr


def test_help_goes_to_stdout():
    r = run("--help")
    assert r.returncode == 0 and r.stderr == ""
    assert "Commands:" in r.stdout


def test_unknown_command():
    r = run("write")
    assert r.returncode == 2
    assert "no command 'write'" in r.stderr


def each_command():
    """As --help lists them: a new command is covered without being named here."""
    lines = run("--help").stdout.split("Commands:\n")[1].split("\n\n")[0].splitlines()
    return [line.split()[0] for line in lines]


def process_commands():
    """Those that look at a process; layout and report read a file."""
    return [c for c in each_command() if c not in ("layout", "report")]


def needs(command):
    """What a command wants besides a process."""
    return {"writes": ["--spec", "zbs"], "find": ["0xfffc0000"],
            "inspect": ["--all-of", "zbs::Chunk"]}.get(command, [])


def test_every_command_has_help_with_examples():
    for c in each_command():
        r = run(c, "--help")
        assert r.returncode == 0, c
        assert "Examples:" in r.stdout, c
        assert f"culprit {c}" in r.stdout


def test_bad_options_are_usage_errors():
    for c in each_command():
        for bad in (["--nonsense"], ["-p", "abc"], ["-p", "0"], ["-d", "-1", "-p", "1"], ["-p", "1", "stray"]):
            r = run(c, *bad)
            assert r.returncode == 2, (c, bad, r.stderr)
            assert "--help" in r.stderr


def test_target_must_be_named():
    for c in process_commands():
        if c == "doctor":
            continue  # may run without a target
        r = run(c, *needs(c))
        assert r.returncode == 2
        assert "-p PID" in r.stderr


def test_no_such_pid():
    for c in process_commands():
        r = run(c, "-p", "4194303", *needs(c))
        assert r.returncode == 3, c
        assert "no process with pid 4194303" in r.stderr
        assert r.stdout == ""


def test_no_such_name():
    r = run("doctor", "-n", "no-such-daemon")
    assert r.returncode == 3
    assert "no-such-daemon" in r.stderr


def test_not_root():
    for c in process_commands():
        r = run(c, "-p", str(os.getpid()), *needs(c), preexec_fn=lambda: os.setuid(65534))
        assert r.returncode == 3, (c, r.stderr)
        assert "CAP_SYS_PTRACE" in r.stderr and "sudo" in r.stderr


def test_doctor_is_truthful_about_this_node():
    r = run("doctor", "--json")
    rows = [json.loads(line) for line in r.stdout.splitlines()]
    state = {row["name"]: row["state"] for row in rows if row["kind"] == "capability"}
    assert rows[-1]["kind"] == "summary"
    # against what the kernel says of itself
    assert (state["kernel BTF"] == "works") == os.path.exists("/sys/kernel/btf/vmlinux")
    kallsyms = open("/proc/kallsyms").read()
    if " register_kprobe\n" not in kallsyms:
        assert state["kprobe"] == "refused"
    virtual = " hypervisor" in open("/proc/cpuinfo").read()
    assert rows[-1]["virtual_machine"] == virtual
    if virtual:
        assert state["watchpoint + BPF"] in ("limited", "refused")
    assert r.returncode == (0 if rows[-1]["writes_can_run"] and rows[-1]["stalls_can_run"] else 3)


def test_doctor_knows_the_build_id():
    r = run("doctor", "-p", str(os.getpid()), "--json")
    target = [json.loads(x) for x in r.stdout.splitlines() if json.loads(x)["kind"] == "target"][0]
    exe = os.readlink("/proc/self/exe")
    notes = subprocess.run(["readelf", "-n", exe], capture_output=True, text=True).stdout
    ids = [line.split()[-1] for line in notes.splitlines() if "Build ID" in line]
    assert target["build_id"] == (ids[0] if ids else None) or (not ids and not target["build_id"])
    assert target["pid"] == os.getpid()
    assert target["threads"] == len(os.listdir("/proc/self/task"))
