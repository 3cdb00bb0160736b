"""Groups about `culprit writes`."""
import json
import re
import statistics
import subprocess
import tempfile
import time

import peers
from harness import (HELPERS, PROGRESS, TARGET, Case, Skipped, bpf_objects, cpu_s, daemon, goal, helper, ratio_of, row, rss_bytes,
                     run_rounds)

TOUCHED = 256  # leases
TOUCH_MS = 250
WINDOW_S = 1.0
PACED = 10000  # lease operations a second
KEYS_PER_LEASE = 70  # words that bpftrace keeps of one lease and its chunks, and some room
MEMORY_S = 5
TOUCHES, TOUCHES_S = 3, 60  # of each lease on average, so that 19 of 20 have one; or so long
SWEEP_S = 5  # with the load off: nobody touches anything
MEMORY_LEASES = (1000, 10000, 100000)
MAIN_PROGRAM = {"culprit writes": "on_object", "empty uprobe": "bench_empty", "bpftrace script": "_ZN3zbs7libmeta"}


def program_ns(before, after, name):
    """Mean run time of a BPF program between two looks."""
    ns, runs = (b - a for a, b in zip(before.get(name, (0, 0)), after.get(name, (0, 0))))
    return ns / runs if runs else None


def measure_loop(loop, case, tracer):
    loop.ask("touch 50")  # objects are adopted at their first touch
    before = bpf_objects(tracer.pid)[0] if tracer else {}
    done = loop.ask(f"touch {TOUCH_MS}")
    sample = {"touch": done["cpu_ns"] / done["ops"]}
    after = bpf_objects(tracer.pid)[0] if tracer else {}
    run_ns = program_ns(before, after, MAIN_PROGRAM.get(case.name))
    if run_ns:
        sample["program"] = run_ns
    if case.name != "empty uprobe":
        done = loop.ask(f"life {TOUCH_MS}")
        sample["life"] = done["cpu_ns"] / done["ops"] / 1000
    return sample


def touch(runs):
    """One checked touch and one lease's life, by the CPU time of the only thread there is."""
    with helper(HELPERS / "probecost", "stats"), helper(peers.TOUCHLOOP, TOUCHED) as loop:
        pid = loop.process.pid
        layout = peers.Layout(pid)
        bare = Case("unprobed")
        empty = Case("empty uprobe", peers.empty_uprobe(pid, peers.TOUCHLOOP, layout.check))
        ours = Case("culprit writes", peers.culprit("writes", pid, "--spec", "zbs"))
        script = Case("bpftrace script", peers.bpftrace(peers.writes_script(peers.TOUCHLOOP, pid, layout),
                                                        KEYS_PER_LEASE * 2 * TOUCHED))
        cases = [bare, empty, ours, script]
        run_rounds(cases, lambda case, tracer: measure_loop(loop, case, tracer), runs)

    def note(case):
        ns = case.median("program")
        return f"{ns:.0f} ns of it in the program" if ns else ""

    return [{
        "name": "writes.touch",
        "title": "one checked touch of a lease with 4 chunks, CPU time of the thread",
        "ratio": "added time, of the empty uprobe's",
        "rows": [row(bare, "touch", "ns")] + [row(case, "touch", "ns", empty, bare, note(case)) for case in cases[1:]],
        "goals": [goal("culprit, of an empty uprobe at the same site", ratio_of(ours, empty, "touch", bare), 2.0),
                  goal("culprit, of the bpftrace script", ratio_of(ours, script, "touch", bare), 0.7)],
    }, {
        "name": "writes.life",
        "title": "one lease's life (4 chunks copied in, cached, revoked, destroyed), CPU time of the thread",
        "ratio": "of unprobed",
        "rows": [row(case, "life", "us", bare) for case in (bare, ours, script)],
        "goals": [],
    }]


def start_row(case, tracers):
    if case.skipped or not tracers:
        return {"name": case.name, "skipped": case.skipped or "not measured"}
    times, cpu = zip(*tracers)
    return {"name": case.name, "unit": "s", "median": statistics.median(times), "values": times,
            "note": f"{statistics.median(cpu):.2f} s of CPU time"}


def load(runs):
    """The daemon's lease loop as fast as it goes and at a steady rate; start times come along."""
    bare, ours, script = Case("unprobed"), Case("culprit writes"), Case("bpftrace script")
    paced = [Case(case.name) for case in (bare, ours, script)]
    started = {case.name: [] for case in (ours, script)}

    def measure(process, case, tracer, sample):
        if case.name in started:
            started[case.name].append((tracer.start_s, tracer.start_cpu_s))
        return sample(process)

    def arm(cases, process):
        cases[1].tracer = peers.culprit("writes", process.pid, "--spec", "zbs")
        cases[2].tracer = peers.bpftrace(peers.writes_script(TARGET, process.pid, peers.Layout(process.pid)), 500000)

    def busy(process):
        before = cpu_s(process.pid)
        time.sleep(WINDOW_S)
        return {"cpu": (cpu_s(process.pid) - before) / WINDOW_S * 100}

    with tempfile.TemporaryDirectory() as directory:
        # One thread: what is measured is the loop, not how threads fight for the cache's lock.
        with daemon(directory, "--rate", "max", "--lease-threads", 1, "--rpc-rate", 0) as process:
            arm([bare, ours, script], process)
            run_rounds([bare, ours, script], lambda case, tracer: measure(
                process, case, tracer, lambda p: {"ops": p.rate("lease_ops", WINDOW_S)}), runs)
        with daemon(directory, "--rate", PACED, "--rpc-rate", 0) as process:
            arm(paced, process)
            run_rounds(paced, lambda case, tracer: measure(process, case, tracer, busy), min(runs, 3))
    return [{
        "name": "writes.throughput",
        "title": "the daemon's lease loop as fast as one thread goes (1 operation in 20 replaces a lease)",
        "ratio": "of unprobed",
        "rows": [row(case, "ops", "op/s", bare) for case in (bare, ours, script)],
        "goals": [],
    }, {
        "name": "writes.paced",
        "title": f"the daemon at {PACED} lease operations a second, 4 threads: its CPU time, of one CPU",
        "ratio": "of unprobed",
        "rows": [row(case, "cpu", "%", paced[0]) for case in paced],
        "goals": [],
    }, {
        "name": "writes.start",
        "title": "from start to armed",
        "ratio": None,
        "rows": [start_row(ours, started[ours.name]), start_row(script, started[script.name])],
        "goals": [],
    }]


def memory_of(case, process, tracer, leases):
    """User and kernel memory once every lease was touched, as far as the time allows; then the CPU time of the sweep alone."""
    began, touched = time.monotonic(), process.status()["leases_refreshed"]
    time.sleep(MEMORY_S)
    while process.status()["leases_refreshed"] < touched + TOUCHES * leases and time.monotonic() < began + TOUCHES_S:
        time.sleep(0.5)
    kernel = bpf_objects(tracer.pid)[1] / 1e6
    rss, anonymous = rss_bytes(tracer.pid)
    case.samples[leases] = {"total": rss / 1e6 + kernel, "kernel": kernel, "rss": rss / 1e6, "anonymous": anonymous / 1e6,
                            "alive": process.status()["leases_alive"]}
    if case.name != "culprit writes":
        return
    process.ctl("load", "off")
    time.sleep(1)
    before = cpu_s(tracer.pid)
    time.sleep(SWEEP_S)
    case.samples[leases]["sweep"] = (cpu_s(tracer.pid) - before) / SWEEP_S * 100
    process.ctl("load", "on")


def memory(_runs):
    rows, sweeps = [], []
    for leases in MEMORY_LEASES:
        with tempfile.TemporaryDirectory() as directory, daemon(
                directory, "--rate", "max", "--lease-threads", 1, "--leases", leases, "--rpc-rate", 0) as process:
            cases = [Case("culprit writes", peers.culprit("writes", process.pid, "--spec", "zbs"))]
            if leases == MEMORY_LEASES[0]:
                script = peers.writes_script(TARGET, process.pid, peers.Layout(process.pid))
                cases.append(Case("bpftrace script", peers.bpftrace(script, KEYS_PER_LEASE * 2 * leases)))
            for case in cases:
                PROGRESS.show(f"{leases} leases: {case.name}")
                rows.append(memory_row(case, process, leases))
                if case.name == "culprit writes":
                    sweeps.append(sweep_row(case, leases))
    return [{"name": "writes.memory", "title": "own memory, user and kernel", "ratio": None, "rows": rows, "goals": []}, {
        "name": "writes.sweep",
        "title": "a round in which all messages are read that nobody touched, mean of a session",
        "ratio": None,
        "rows": sweeps,
        "goals": [goal(f"round at {leases} leases (s)", row.get("median"), 1.0)
                  for row, leases in zip(sweeps, MEMORY_LEASES) if leases == MEMORY_LEASES[-1]],
    }]


UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1}


def sweep_row(case, leases):
    """What culprit says of its sweep at the end of its session, and the CPU time it took."""
    result = {"name": f"culprit writes, {leases} leases"}
    if case.skipped:
        return result | {"skipped": case.skipped}
    summary = summary_of(case.tracer.output)
    found = re.search(r"read in rounds of at most (.*), ([0-9.]+) (us|ms|s) on average,", " ".join(summary.get("notes", [])))
    if not found:
        return result | {"skipped": "no round was completed"}
    seconds = float(found[2]) * UNITS[found[3]]
    note = (f"{summary['counters']['messages swept']:,} messages, {summary['counters']['sweeps']} rounds, the longest {found[1]}; "
            f"{case.samples[leases]['sweep']:.1f}% of one CPU with the load off")
    return result | {"unit": "s", "median": seconds, "values": [seconds], "note": note}


def memory_row(case, process, leases):
    tracer = case.tracer
    try:
        with tracer():
            memory_of(case, process, tracer, leases)
    except Skipped as why:
        case.skipped = str(why)
    result = row(case, "total", "MB")
    result["name"] += f", {leases} leases"
    if not case.skipped:
        sample = case.samples[leases]
        result["note"] = (f"{sample['kernel']:.1f} BPF maps, {sample['rss']:.1f} user RSS ({sample['anonymous']:.1f} private, the "
                          f"rest mapped files)" + not_followed(tracer.output))
    return result


def summary_of(output):
    """The last line of culprit's stream, {} without one."""
    lines = [line for line in output.splitlines() if line.startswith('{"kind":"summary"')]
    return json.loads(lines[-1]) if lines else {}


def not_followed(output):
    """What culprit says did not fit."""
    summary = summary_of(output)
    full = [note for note in summary.get("notes", []) if "table was full" in note]
    return "".join(f"; {summary['counters']['objects']} objects, {note}" for note in full)


def traps(runs):
    """What a trap costs on this machine before any program runs."""
    names = {"emulated": "uprobe on an emulated instruction", "stepped": "uprobe on a single-stepped instruction",
             "watchpoint": "watchpoint hit"}
    cases = {what: Case(name) for what, name in names.items()}
    for number in range(runs):
        for what, case in cases.items():
            done = subprocess.run([str(HELPERS / "probecost"), "calibrate", what], capture_output=True, text=True, check=False)
            if done.returncode == 0:
                case.samples[number] = {"ns": float(done.stdout)}
            else:
                case.skipped = done.stderr.strip() or f"killed by signal {-done.returncode}"
    return [{
        "name": "traps",
        "title": "traps with a program that does nothing, CPU time of the thread",
        "ratio": "of the emulated uprobe",
        "rows": [row(case, "ns", "ns", cases["emulated"]) for case in cases.values()],
        "goals": [],
    }]
