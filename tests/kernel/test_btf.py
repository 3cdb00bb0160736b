"""Kernel types: every program finds what it reads in the types of each kernel in tests/fixtures/btf; kernels that have none."""
import json
import lzma
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from conftest import BUILD, CULPRIT, ROOT

BPFLOAD = BUILD / "tests" / "bpfload"
FIXTURES = sorted((ROOT / "tests" / "fixtures" / "btf").glob("*.btf.xz"))
NO_ITERATORS = ("4.18.0-193", )  # bpf_iter came with 5.8 and into el8 with 8.3: there /proc serves
HIDE = 'mount -t tmpfs none /sys/kernel/btf && exec "$@"'


@pytest.fixture(scope="module", autouse=True)
def helpers():
    subprocess.run(["make", "-s", "kernel-helpers", "build/btf-prune"], check=True, cwd=ROOT)


def arm64_objects():
    """Directory of aarch64's programs, which the kernel here takes as far as they do not read another machine's registers."""
    sources = sorted((ROOT / "bpf").glob("*.bpf.c"))
    done = subprocess.run(["make", "-s", "ARCH=aarch64", *[f"build/aarch64/bpf/{source.stem}.o" for source in sources]], cwd=ROOT,
                          capture_output=True, text=True)
    if "could not be had" in done.stderr:
        pytest.skip(done.stderr.splitlines()[0])
    assert done.returncode == 0, done.stderr
    return BUILD / "aarch64" / "bpf"


def load(*options, directory=BUILD / "bpf"):
    objects = sorted(map(str, directory.glob("*.bpf.o")))
    done = subprocess.run([str(BPFLOAD), *map(str, options), *objects], capture_output=True, text=True, timeout=120)
    assert done.returncode in (0, 1), done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def typed(program):
    """Its context has the running kernel's types, so only that kernel can judge it as a whole."""
    return program["section"].split("/")[0] in ("iter", "fentry", "fexit", "tp_btf")


@pytest.mark.parametrize("fixture", FIXTURES, ids=lambda path: path.name.removesuffix(".btf.xz"))
def test_every_access_is_resolved(fixture, tmp_path):
    """An access that found nothing is an invalid instruction: the verifier minds unless the program had asked first."""
    btf = tmp_path / "kernel.btf"
    types = lzma.decompress(fixture.read_bytes())
    # Where the helper is known, fields of the current task are read through a pointer with the running kernel's types, so only that kernel
    # can judge (tests/vm, load). Without it the same fields are read by the helpers that any kernel takes.
    btf.write_bytes(types.replace(b"BPF_FUNC_get_current_task_btf\0", b"XPF_FUNC_get_current_task_btf\0"))
    foreign = "arm64" in fixture.name
    programs = load("--btf", btf, directory=arm64_objects() if foreign else BUILD / "bpf")
    assert len(programs) >= 25
    wrong = {}
    for program in programs:
        said = program["warnings"] + program["log"]
        if typed(program) or foreign and re.search("invalid bpf_context access|access beyond struct pt_regs", said):
            if fixture.name.startswith(NO_ITERATORS) and program["section"].startswith("iter/"):
                continue
            if "CO-RE" in said:
                wrong[f"{program['object']}:{program['program']}"] = program["unresolved"]
        elif not program["loaded"]:
            wrong[f"{program['object']}:{program['program']}"] = (program["unresolved"], said[-800:])
    assert not wrong, json.dumps(wrong, indent=1)


def test_an_unresolved_access_is_noticed(tmp_path):
    """The same types without one that is read."""
    whole, cut = tmp_path / "whole.btf", tmp_path / "cut.btf"
    whole.write_bytes(lzma.decompress(FIXTURES[0].read_bytes()))
    names = subprocess.run(["sed", "s/#.*//", str(ROOT / "tools" / "btf-types")], capture_output=True, text=True, check=True).stdout
    names = " ".join(name for name in names.split() if name != "files_struct")
    subprocess.run([str(BUILD / "btf-prune"), str(whole), str(cut)], input=names, text=True, check=True)
    refused = [program for program in load("--btf", cut) if not program["loaded"]]
    assert any("files_struct" in access for program in refused for access in program["unresolved"])
    assert any("CO-RE" in program["log"] for program in refused)


def test_uprobe_programs_keep_the_threads_stack():
    """Else a preemptible kernel since 6.13 lets two hits on one CPU overwrite each other's variables (bpf/lib/own_stack.bpf.h)."""
    on_uprobes = [program for program in load() if program["section"].startswith("uprobe") and program["object"] != "doctor.bpf.o"]
    assert len(on_uprobes) >= 4
    assert all(program["keeps_stack"] for program in on_uprobes), [p["program"] for p in on_uprobes if not p["keeps_stack"]]


def hidden(*command):
    """Runs it where the kernel's types are hidden."""
    return subprocess.run(["unshare", "-m", "sh", "-c", HIDE, "sh", *map(str, command)], capture_output=True, text=True, timeout=120)


def capability(done, name):
    return next(line for line in map(json.loads, done.stdout.splitlines()) if line.get("name") == name)


def test_refused_without_types(target):
    for command in ("stalls", "writes"):
        options = ("--spec", "zbs") if command == "writes" else ()
        done = hidden(CULPRIT, command, "-p", target.pid, "-d", "1", *options)
        assert done.returncode == 3 and done.stdout == "", done.stdout
        assert "tools/add-btf" in done.stderr and "--btf" in done.stderr and os.uname().release in done.stderr
    done = hidden(CULPRIT, "doctor", "--json")
    assert done.returncode == 3 and capability(done, "kernel BTF")["state"] == "refused"


def test_a_file_that_is_none(target, tmp_path):
    (tmp_path / "no.btf").write_text("nothing")
    for command in ("stalls", "threads"):
        done = subprocess.run([str(CULPRIT), command, "-p", str(target.pid), "--btf", str(tmp_path / "no.btf")], capture_output=True,
                              text=True, timeout=60)
        assert done.returncode == 3 and "no.btf" in done.stderr, done


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """What tools/add-btf makes of this kernel's types."""
    directory = tmp_path_factory.mktemp("btf")
    release = os.uname().release
    subprocess.run([str(ROOT / "tools" / "add-btf"), "--release", release, "--to", str(directory), "/sys/kernel/btf/vmlinux"],
                   check=True, env={**os.environ, "BUILD": str(BUILD)})
    return directory / f"{release}.btf"


def attached(done, planned=1):
    """It ran to its end with every probe in place. (Iterators need the types in the kernel's own file: 4 where they serve.)"""
    assert done.returncode in (0, 4), done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    assert summary["probes"]["planned"] >= planned and summary["probes"]["failed"] == 0, summary
    assert summary["events"]["lost"] == 0


def test_types_by_option(target, made):
    assert made.stat().st_size < 200000
    attached(hidden(CULPRIT, "stalls", "-p", target.pid, "--btf", made, "-d", "2", "--json"))
    attached(hidden(CULPRIT, "writes", "-p", target.pid, "--spec", "zbs", "--btf", made, "-d", "2", "--json"))
    attached(hidden(CULPRIT, "threads", "-p", target.pid, "--btf", made, "--json"), planned=0)


def test_built_in_by_release(target, made, tmp_path):
    """The same program with this kernel's types built in."""
    program, source = tmp_path / "culprit", tmp_path / "builtin.S"
    objects = sorted(map(str, (BUILD / "bpf").glob("*.bpf.o")))
    subprocess.run([str(ROOT / "tools" / "embed-btf"), str(made.parent), str(tmp_path / "work"), str(source), *objects], check=True)
    parts = [path for path in (BUILD / "obj" / "user").glob("*.o")] + list((BUILD / "obj" / "user" / "cmd").glob("*.o"))
    libraries = " ".join(re.findall(r"^(?:CORE|TRACE)_LIBS *:=.*$", (ROOT / "Makefile").read_text(), re.M)[::-1])
    subprocess.run(["gcc", "-o", str(program), str(source), *map(str, parts), str(BUILD / "libtrace.a"), str(BUILD / "libcore.a"),
                    *re.findall(r"-l\w+", libraries)], check=True)
    done = hidden(program, "doctor", "--json")
    assert done.returncode == 0, done.stderr + done.stdout
    assert "built in" in capability(done, "kernel BTF")["used_for"]
    attached(hidden(program, "writes", "-p", target.pid, "--spec", "zbs", "-d", "2", "--json"))


@pytest.mark.parametrize("tool", ["gzip", "xz", "zstd", "lz4"])
def test_types_out_of_a_packed_kernel(made, tmp_path, tool):
    """As a vmlinuz has them: behind code, packed, with more behind it; also where the locale takes its bytes for text."""
    release = "4.18.0-1.el7.x86_64"
    if not shutil.which(tool):
        pytest.skip(f"{tool} is not installed")
    (tmp_path / "k.c").write_text(f'char banner[] = "Linux version {release} (builder) #1";\n')
    subprocess.run(["gcc", "-c", "-o", str(tmp_path / "k.o"), str(tmp_path / "k.c")], check=True)
    subprocess.run(["objcopy", "--add-section", ".BTF=/sys/kernel/btf/vmlinux", str(tmp_path / "k.o"), str(tmp_path / "vmlinux")], check=True)
    legacy = ["-l"] if tool == "lz4" else []  # the form that kernels have
    packed = subprocess.run([tool, *legacy, "-c", str(tmp_path / "vmlinux")], capture_output=True, check=True).stdout
    (tmp_path / "vmlinuz").write_bytes(b"MZ\0\0" + b"code\n" * 3001 + packed + b"\0more\n" * 100)
    done = subprocess.run([str(ROOT / "tools" / "add-btf"), "--to", str(tmp_path), str(tmp_path / "vmlinuz")], capture_output=True, text=True,
                          env={**os.environ, "BUILD": str(BUILD), "LC_ALL": "C.UTF-8"})
    assert done.returncode == 0, done.stderr
    assert (tmp_path / f"{release}.btf").read_bytes() == made.read_bytes()


def test_a_file_of_types_names_its_release(made, tmp_path):
    """`uname -r` of Red Hat's kernels ends with the machine."""
    source = tmp_path / "4.18.0-193.28.1.el7.smartx.14.x86_64.btf"
    source.write_bytes(Path("/sys/kernel/btf/vmlinux").read_bytes())
    subprocess.run([str(ROOT / "tools" / "add-btf"), "--to", str(tmp_path / "to"), str(source)], check=True, env={**os.environ, "BUILD": str(BUILD)})
    assert [path.name for path in (tmp_path / "to").iterdir()] == [source.name]
