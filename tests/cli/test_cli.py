"""Exit codes and messages that a user meets before anything is traced."""
import json
import os
import pathlib
import sqlite3
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


def test_report_options_and_errors(tmp_path):
    """What a user meets who has no session file, or not quite."""
    for bad in ([], ["--json", "--html", "a.db"], ["--nonsense"], ["-p", "1", "a.db"]):
        r = run("report", *bad)
        assert r.returncode == 2 and "culprit report --help" in r.stderr and r.stdout == "", bad
    r = run("report", str(tmp_path / "none.db"))
    assert r.returncode == 3 and "none.db" in r.stderr and "No such file" in r.stderr
    r = run("report", str(tmp_path))
    assert r.returncode == 3 and r.stdout == ""
    text = tmp_path / "text.db"
    text.write_text("some text, and more of it " * 50)
    r = run("report", str(text))
    assert r.returncode == 3 and "no session file of culprit" in r.stderr and r.stdout == ""
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as db:
        db.execute("CREATE TABLE t(x)")
    r = run("report", str(other))
    assert r.returncode == 3 and "some other SQLite file" in r.stderr
    # what makes a file one of culprit's is not its name
    fuzz = ROOT / "tests" / "fuzz" / "corpus" / "session" / "file"
    good = tmp_path / "good.db"
    good.write_bytes(fuzz.read_bytes()[1:])
    r = run("report", str(good))
    assert r.returncode == 1 and "STALL  peer-silent" in r.stdout, r.stderr
    broken = tmp_path / "broken.db"
    broken.write_bytes(good.read_bytes()[:3000])
    r = run("report", str(broken))
    assert r.returncode == 3 and "damaged" in r.stderr and r.stdout == ""
    r = run("report", str(good), str(broken))  # one bad file, and nothing is said
    assert r.returncode == 3 and r.stdout == ""


def test_sessions_are_for_sessions():
    for c in ("doctor", "threads", "find", "inspect"):
        assert run(c, "-p", "1", "-o", "x.db").returncode == 2
    for c in ("stalls", "writes"):
        assert "--output FILE.db" in run(c, "--help").stdout
