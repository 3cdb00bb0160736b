"""bpf/lib/stack.bpf.h: the copied bytes and registers are the thread's own, in every kind of program that copies."""
import subprocess


def test_stack_copy():
    subprocess.run(["make", "-s", "kernel-helpers"], check=True)
    done = subprocess.run(["build/tests/stackcopy", "build/tests/stackcopy.bpf.o"], capture_output=True, text=True, timeout=120)
    lines = done.stdout.splitlines()
    assert [line for line in lines if not line.startswith("ok ")] == []
    assert {line.split()[1] for line in lines} == {"uprobe", "tracepoint", "perf_event", "iter"}
    assert done.returncode == 0, done.stderr
