#!/usr/bin/python3
"""Boots each kernel of tests/vm/kernels in qemu (software emulation) and runs the tests inside: a table of kernels by tests.

usage: run.py BUILD [--kernels A,B] [--tests X,Y] [--ci] [--jobs N]
--ci leaves out what judge.CI_LEAVES_OUT names, and says so
exit: 0 all passed, 1 a test failed, 4 nothing failed but a kernel could not be had
"""
import argparse
import base64
import fcntl
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import initramfs
import judge

HERE = Path(__file__).resolve().parent
BOOT_S = 120
TEST_S = 300  # as in guest/init
COMPLAINT = "the kernel complains"


class Machine(NamedTuple):
    """What differs between the machines that kernels are for."""
    qemu: tuple     # command and options
    results: tuple  # options of the second serial port; its file's name comes behind
    kernel: str     # of its command line: console, port of the results
    below: str      # where its programs are, below the build directory


MACHINES = {
    # not cmpxchg16b: the emulation of qemu 7.2 gets its flags wrong now and then with two CPUs, and the kernel's allocator uses it
    "amd64": Machine(("qemu-system-x86_64", "-cpu", "max,-cx16"), ("-serial", "file:"), "console=ttyS0 mitigations=off vm.results=ttyS1", "."),
    # pointers are signed, by a hash that costs less than the architecture's
    "arm64": Machine(("qemu-system-aarch64", "-machine", "virt", "-cpu", "max,pauth-impdef=on"),
                     ("-device", "pci-serial,chardev=results", "-chardev", "file,id=results,path="),
                     "console=ttyAMA0 mitigations=off vm.results=ttyS0", "aarch64"),
}


def kernels():
    """{name: machine} of tests/vm/kernels."""
    lines = (HERE / "kernels").read_text().splitlines()
    return dict(line.split()[:2] for line in lines if line.strip() and not line.startswith("#"))


def machine_of(name):
    return MACHINES[kernels().get(name, "amd64")]


def fetch(build, name):
    """Directory of the kernel's files, or None and why it cannot be had."""
    machine = machine_of(name)
    if not shutil.which(machine.qemu[0]):
        return None, f"no {machine.qemu[0]}"
    if not (build / machine.below / "culprit-static").exists():
        return None, f"no culprit-static in {build / machine.below}"
    if name == judge.OLD_VERIFIER:
        directory = build / "vm" / "kernels" / name
        if (directory / "release").exists():
            return directory, (directory / "release").read_text().strip()
        return None, "it is built by tests/vm/old-verifier"
    done = subprocess.run([str(HERE / "fetch"), str(build), name], capture_output=True, text=True)
    if done.returncode == 0:
        return build / "vm" / "kernels" / name, done.stdout.strip()
    return None, (done.stderr.strip().splitlines() or ["no reason given"])[-1]


def boot(machine, directory, initrd, tests, work):
    """Runs the machine to its end. Returns what it wrote on its second serial port; its console stays in work/console."""
    console, results = work / "console", work / "results"
    results.unlink(missing_ok=True)
    command = [*machine.qemu, "-accel", "tcg,thread=single", "-smp", "2", "-m", "1536", "-nodefaults",
               "-no-reboot", "-display", "none", "-serial", f"file:{console}", *machine.results[:-1], f"{machine.results[-1]}{results}",
               "-kernel", str(directory / "vmlinuz"), "-initrd", str(initrd), "-append",
               f"{machine.kernel} quiet panic=-1 rdinit=/init vm.tests={','.join(tests)}"]
    if tests == [judge.ALONE]:  # an instruction is a nanosecond: what else this host does is in no figure
        command += ["-smp", "1", "-icount", "shift=0,sleep=off"]
    try:
        subprocess.run(command, check=False, timeout=(BOOT_S + TEST_S * len(tests)) * (3 if judge.ALONE in tests else 1), stdin=subprocess.DEVNULL,
                       stderr=open(work / "qemu", "w"))
    except subprocess.TimeoutExpired:
        pass  # judged by what is there
    return results.read_text(errors="replace") if results.exists() else ""


def unpack(text, work):
    """{test: (directory, seconds)} of the complete parts."""
    found = {}
    for name, start, end, body in re.findall(r"@@begin (\S+) (\S+) (\S+)\n(.*?)@@end \1\n", text, re.S):
        with tarfile.open(fileobj=io.BytesIO(base64.b64decode(body)), mode="r:gz") as tar:
            tar.extractall(work)
        found[name] = (work / name, float(end) - float(start))
    return found


def run_kernel(build, name, tests):
    """{test: (state, detail, seconds)}; state is passed, failed or missing."""
    if not tests:
        return "not booted", {}
    directory, release = fetch(build, name)
    if not directory:
        return release, {test: ("missing", release, 0) for test in tests}
    work = build / "vm" / "results" / name
    subprocess.run(["rm", "-rf", str(work)], check=True)
    work.mkdir(parents=True)
    machine = machine_of(name)
    initrd = initramfs.build(build / machine.below, directory, HERE / "guest", work / "initrd")
    text = boot(machine, directory, initrd, tests, work)
    initrd.unlink()
    parts = unpack(text, work)
    crash = re.search(r"(BUG|Oops|WARNING|general protection fault|Kernel panic).*", (work / "console").read_text(errors="replace"))
    results = {}
    for test in tests:
        if crash:
            results[test] = ("failed", f"{COMPLAINT} (see {work}/console): {crash.group(0)}", 0)
            continue
        if test not in parts:
            results[test] = ("failed", f"the machine did not get to its end (see {work}/console)", 0)
            continue
        where, seconds = parts[test]
        try:
            judge.judge(test, judge.Facts(name, release, where))
            results[test] = ("passed", "", seconds)
        except (AssertionError, LookupError, ValueError) as error:
            results[test] = ("failed", f"{type(error).__name__}: {error}" if not isinstance(error, AssertionError) else str(error), seconds)
    return release, results


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=Path)
    parser.add_argument("--kernels", help="default: those of tests/vm/kernels, and the old verifier's if it is built")
    parser.add_argument("--tests", default=",".join(judge.TESTS))
    parser.add_argument("--ci", action="store_true")
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    build, tests = args.build.resolve(), args.tests.split(",")
    if judge.ALONE in tests and len(tests) > 1:
        parser.error(f"{judge.ALONE} runs alone")
    (build / "vm").mkdir(parents=True, exist_ok=True)
    lock = open(build / "vm" / "lock", "w")
    fcntl.flock(lock, fcntl.LOCK_EX)  # one at a time; let go at the end of the process
    built = (build / "vm" / "kernels" / judge.OLD_VERIFIER / "release").exists() and not args.ci
    names = args.kernels.split(",") if args.kernels else [*kernels()] + [judge.OLD_VERIFIER] * built
    width = max(max(len(test) for test in tests), 9) + 1
    left_out = {name: judge.left_out(name, args.ci) for name in names}

    def one(name):
        start = time.monotonic()
        release, results = run_kernel(build, name, [test for test in tests if test not in left_out[name]])
        # a loaded host can outrun an emulated machine: what failed gets one more boot, and the report says so
        again = [test for test, (state, detail, _) in results.items() if state == "failed" and COMPLAINT not in detail]
        if again:
            for test, (state, detail, seconds) in run_kernel(build, name, again)[1].items():
                first = results[test][1]
                results[test] = (state, f"only at the second boot; at the first: {first}" if state == "passed" else detail, seconds)
        return name, release, results, time.monotonic() - start

    with ThreadPoolExecutor(args.jobs) as pool:
        table = list(pool.map(one, names))
    for name, _, results, _ in table:
        for test, (state, detail, _) in results.items():
            if detail:
                print(f"{name}: {test}: {state}: {detail}", file=sys.stderr)
        for test, why in left_out[name].items():
            if test not in tests:
                continue
            results[test] = ("left out", why, 0)
            print(f"{name}: {test}: left out: {why}", file=sys.stderr)
    print(f"{'TEST':{width}}" + "".join(f"{name:>13}" for name in names))
    for test in tests:
        print(f"{test:{width}}" + "".join(f"{results[test][0]:>13}" for _, _, results, _ in table))
    print(f"{'time':{width}}" + "".join(f"{f'{seconds:.0f} s':>13}" for _, _, _, seconds in table))
    for name, release, results, _ in table:
        known = all(state != "missing" for state, _, _ in results.values())
        print(f"{name}: {release if known else 'missing: ' + release}")
    states = [state for _, _, results, _ in table for state, _, _ in results.values()]
    print(", ".join(f"{states.count(state)} {state}" for state in ("passed", "failed", "missing", "left out")))
    if "failed" in states:
        return 1
    return 4 if "missing" in states else 0


if __name__ == "__main__":
    os.environ["LC_ALL"] = "C"
    sys.exit(main())
