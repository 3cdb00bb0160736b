"""bpf/lib/stack.bpf.h: the copied bytes and registers are the thread's own, in every kind of program that copies."""
import subprocess
from pathlib import Path


def test_stack_copy():
    subprocess.run(["make", "-s", "kernel-helpers"], check=True)
    if not Path("/sys/kernel/tracing/events").exists():  # libbpf looks tracepoints up there
        subprocess.run(["mount", "-t", "tracefs", "tracefs", "/sys/kernel/tracing"], check=True)
    done = subprocess.run(["build/tests/stackcopy", "build/tests/stackcopy.bpf.o"], capture_output=True, text=True, timeout=120)
    lines = done.stdout.splitlines()
    assert [line for line in lines if not line.startswith("ok ")] == []
    assert {line.split()[1] for line in lines} == {"uprobe", "tracepoint", "perf_event", "iter"}
    assert done.returncode == 0, done.stderr
