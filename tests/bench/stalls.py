"""Groups about `culprit stalls` and `culprit threads`."""
import contextlib
import re
import shutil
import socket
import subprocess
import tempfile
import time

import peers
from harness import BUILD, CULPRIT, HELPERS, TARGET, Case, Skipped, cpu_s, daemon, goal, helper, ratio_of, row, run_rounds

CLIENTS = 20
REQUESTS = 100000
# What slows the server down by much gets fewer: what counts is the rate.
FEWER = {"funcslower-like, of libc": 10000, "perf trace -s": 10000, "strace -f -c": 10000}
HEAVY_ROUNDS = 3
WINDOW_S = 1.0
CALL_MS = 250
THREADS, DESCRIPTORS = 1000, 10000
STORED_THREADS, STORED_CONNECTIONS, STORED_WINDOW_S = 16, 1024, 3.0


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def redis():
    """A redis-server that keeps nothing; yields (pid, port)."""
    # Debian's redis-tools has the server too, by the name of one of its tools; the package redis-server would start a service.
    binary = shutil.which("redis-server") or shutil.which("redis-check-rdb")
    if not binary or not shutil.which("redis-benchmark"):
        raise Skipped("redis-tools is not installed")
    with tempfile.TemporaryDirectory() as directory:
        port = free_port()
        with subprocess.Popen(["redis-server", "--port", str(port), "--save", "", "--appendonly", "no", "--dir", directory],
                              executable=binary, stdout=subprocess.PIPE, text=True) as server:
            try:
                for line in server.stdout:
                    if "Ready to accept connections" in line:
                        break
                else:
                    raise Skipped("redis-server did not start")
                yield server.pid, port
            finally:
                server.terminate()
                server.communicate(timeout=20)


def ask_redis(pid, port, case):
    requests = FEWER.get(case.name, REQUESTS)
    before = cpu_s(pid)
    done = subprocess.run(["redis-benchmark", "-p", str(port), "-t", "get", "-c", str(CLIENTS), "-n", str(requests), "--csv"],
                          capture_output=True, text=True, check=False)
    rate = re.search(r'^"GET","([0-9.]+)"', done.stdout, re.M)
    if not rate:
        raise Skipped(f"redis-benchmark failed: {done.stderr.strip()[:160]}")
    return {"ops": float(rate[1]), "cpu_us": (cpu_s(pid) - before) / requests * 1e6}


def compared(pid, stalls, script):
    """The first three are what the goals speak of; heavy peers take part in fewer rounds, their ratios are plain enough."""
    return [Case("unprobed"), Case("culprit stalls", stalls), Case("bpftrace script", script),
            Case("tcplife (libbpf-tools)", peers.tcplife(pid), HEAVY_ROUNDS),
            Case("funcslower (bcc)", peers.funcslower(pid), HEAVY_ROUNDS),
            Case("funcslower-like, of libc", peers.funcslower_like(pid), HEAVY_ROUNDS),
            Case("syscount -L (libbpf-tools)", peers.syscount(pid), HEAVY_ROUNDS),
            Case("perf trace -s", peers.perf_trace(pid), HEAVY_ROUNDS), Case("strace -f -c", peers.strace(pid), HEAVY_ROUNDS)]


def by_tracepoints(pid):
    """Do tracepoints of system calls tell of calls here? They are paid for by the whole machine."""
    done = subprocess.run([str(CULPRIT), "stalls", "-p", str(pid), "--dry-run"], capture_output=True, text=True, check=False)
    return "tracepoints sys_enter" in done.stdout


def loss_goal(lost, tracepoints):
    if not tracepoints or lost is None:
        return goal("culprit loses at most (%), by kprobes or fentry", lost, 3.0)
    return goal(f"culprit loses at most (%), by kprobes or fentry; by tracepoints, all there is here: {lost:.1f}", None, 3.0)


def group(name, title, cases, per, tracepoints):
    bare, ours, script = cases[:3]

    def note(case):
        cpu, more = case.median("cpu_us"), ratio_of(case, bare, "cpu_us")
        return f"{cpu:.1f} us of its CPU per {per}, x{more:.2f}" if more else ""

    loss = ratio_of(ours, bare, "ops")
    lost = None if loss is None else (1 - loss) * 100
    others = [(ratio_of(case, bare, "ops"), case.name) for case in cases[2:] if case.samples]
    best, best_name = max((other for other in others if other[0]), default=(None, "nobody"))
    return {
        "name": name,
        "title": title,
        "ratio": "of unprobed",
        "rows": [row(case, "ops", "op/s", bare, note=note(case)) for case in cases],
        "goals": [loss_goal(lost, tracepoints),
                  goal("culprit, of the script of the same hooks, at least", ratio_of(ours, script, "ops"), 1.0, True),
                  goal(f"culprit loses least of all; least among the others: {best_name}", loss, best, True)],
    }


def calls(runs):
    """What the hooks add to the calls of one RPC, by the CPU time of the thread that makes them."""
    with helper(HELPERS / "callloop") as loop:
        pid = loop.process.pid
        cases = compared(pid, peers.culprit("stalls", pid), peers.bpftrace(peers.stalls_script(pid)))

        def measure(_case, _tracer):
            done = loop.ask(f"call {CALL_MS}")
            return {"ns": done["cpu_ns"] / done["ops"]}

        run_rounds(cases, measure, runs)
    bare, ours, script = cases[:3]
    return [{
        "name": "stalls.calls",
        "title": "send, poll and recv of 64 bytes on loopback TCP, CPU time of the thread",
        "ratio": "of unprobed",
        "rows": [row(case, "ns", "ns", bare) for case in cases],
        "goals": [goal("culprit adds, of what the script of the same hooks adds", ratio_of(ours, script, "ns", bare), 1.0)],
    }]


def redis_get(runs):
    with redis() as (pid, port):
        cases = compared(pid, peers.culprit("stalls", pid), peers.bpftrace(peers.stalls_script(pid)))
        run_rounds(cases, lambda case, _tracer: ask_redis(pid, port, case), runs)
        tracepoints = by_tracepoints(pid)
    return [group("stalls.redis", f"redis-benchmark, GET, {CLIENTS} clients: requests a second", cases, "request", tracepoints)]


def rpc_loop(runs):
    def measure(process, _case, _tracer):
        before, calls = cpu_s(process.pid), process.status()["rpc_done"]
        rate = process.rate("rpc_done", WINDOW_S)
        done = process.status()["rpc_done"] - calls
        return {"ops": rate, "cpu_us": (cpu_s(process.pid) - before) / max(done, 1) * 1e6}

    with tempfile.TemporaryDirectory() as directory, daemon(
            directory, "--rate", 0, "--lease-threads", 1, "--rpc-rate", "max") as process:
        pid = process.pid
        cases = compared(pid, peers.culprit("stalls", pid, "--spec", "zbs"), peers.bpftrace(peers.stalls_script(pid, TARGET)))
        run_rounds(cases, lambda case, tracer: measure(process, case, tracer), runs)
        tracepoints = by_tracepoints(pid)
    return [group("stalls.rpc", "the daemon's RPC loop, client and server in one process, 2 connections: RPCs a second", cases,
                  "RPC", tracepoints)]


def stored(runs):
    """What a session file costs beside the session, where there are many connections to keep."""
    with helper(BUILD / "tests" / "rpcload", STORED_THREADS, STORED_CONNECTIONS) as load, tempfile.TemporaryDirectory() as directory:
        pid = int(load.first.split()[1])
        cases = [Case("unprobed"), Case("culprit stalls", peers.culprit("stalls", pid))]
        file = peers.Stored(directory, "stalls", pid)
        cases.append(Case(file.name, file))

        def measure(_case, tracer):
            before = cpu_s(tracer.pid) if tracer else 0
            done = load.ask(str(int(STORED_WINDOW_S * 1000)))
            return {"ops": done / STORED_WINDOW_S, "cpu": (cpu_s(tracer.pid) - before) / STORED_WINDOW_S * 100 if tracer else 0}

        run_rounds(cases, measure, runs)
    bare, plain, with_file = cases
    return [{
        "name": "stalls.stored",
        "title": f"RPCs a second of {STORED_THREADS} threads over {STORED_CONNECTIONS} connections, with and without a session file",
        "ratio": "of unprobed",
        "rows": [row(case, "ops", "op/s", bare, note=f"culprit itself: {case.median('cpu'):.1f} % of a CPU" if case is not bare else "")
                 for case in cases],
        "goals": [goal(f"throughput with -o, of that without, at least (the file: {file.size / 1024:.0f} KiB)",
                       ratio_of(with_file, plain, "ops"), 0.97, True)],
    }]


def autopsy(runs):
    """The time of a whole `culprit threads` of many threads, against a debugger that stops the process for the same."""
    blockers = BUILD / "tests" / "blockers"
    ours, gdb = Case("culprit threads"), Case("gdb, backtrace of all threads")
    with subprocess.Popen([str(blockers), "many", str(THREADS), str(DESCRIPTORS)], stdout=subprocess.PIPE,
                          stdin=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if line.startswith('{"ready"'):
                break

        def timed(*argv):
            if not shutil.which(argv[0]):
                raise Skipped(f"{argv[0]} is not installed")
            started = time.monotonic()
            done = subprocess.run(argv, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
            if done.returncode not in (0, 1):
                raise Skipped(done.stderr.strip()[:160])
            return {"s": time.monotonic() - started}

        run_rounds([ours], lambda _case, _tracer: timed(str(CULPRIT), "threads", "-p", str(process.pid)), runs)
        run_rounds([gdb], lambda _case, _tracer: timed("gdb", "-nx", "-batch", "-p", str(process.pid), "-ex",
                                                       "thread apply all backtrace"), 1)
        process.kill()
    rows = [row(ours, "s", "s"), row(gdb, "s", "s", ours, note="stops the process meanwhile")]
    return [{"name": "threads", "title": f"autopsy of {THREADS} threads and {DESCRIPTORS} descriptors", "ratio": "of culprit",
             "rows": rows, "goals": [goal("culprit threads (s)", ours.median("s"), 1.0)]}]
