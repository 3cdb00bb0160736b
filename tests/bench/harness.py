"""What all groups share: tracers that are started and stopped around a measurement, interleaved rounds, medians of ratios."""
import contextlib
import json
import os
import platform
import re
import select
import shutil
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("BUILD", ROOT / "build")).resolve()
CULPRIT = BUILD / "culprit"
TARGET = BUILD / "target"
HELPERS = BUILD / "bench"


class Skipped(Exception):
    """This case cannot be measured here; the text says why."""


class Progress:
    """What is being measured, on stderr: one line that is written over, or where that is no terminal, a line per group."""

    def __init__(self):
        self.name, self.group = "", ""

    def begin(self, name, number, of, seconds):
        self.name, self.group = name, f"bench: {name} ({number} of {of}, {seconds:.0f} s so far)"
        if sys.stderr.isatty():
            self.show("")
        else:
            print(self.group, file=sys.stderr, flush=True)

    def show(self, what):
        if sys.stderr.isatty():
            print(f"\r{self.group} {what}"[:120] + "\033[K", end="", file=sys.stderr, flush=True)

    @staticmethod
    def clear():
        if sys.stderr.isatty():
            print("\r\033[K", end="", file=sys.stderr, flush=True)


PROGRESS = Progress()


class Reader:
    """Lines of a child's stdout and stderr, with a deadline."""

    def __init__(self, process):
        self.process = process
        self.text = ""
        self.fds = [f.fileno() for f in (process.stdout, process.stderr) if f]

    def wait_for(self, pattern, seconds):
        """Reads until `pattern` appears. Raises Skipped with what the program said instead."""
        deadline = time.monotonic() + seconds
        while not re.search(pattern, self.text):
            ready, _, _ = select.select(self.fds, [], [], max(0, deadline - time.monotonic()))
            for fd in ready:
                data = os.read(fd, 65536)
                self.text += data.decode(errors="replace")
                if not data:
                    self.fds.remove(fd)
            if not self.fds:
                raise Skipped(last_words(self.text) or f"it ended with exit code {self.process.wait()}")
            if not ready and time.monotonic() >= deadline:
                raise Skipped(f"not ready within {seconds} s: {last_words(self.text)}")

    def drain(self, seconds=10):
        """Reads to the end."""
        with contextlib.suppress(Skipped):
            self.wait_for(r"\Z(?!)", seconds)


def last_words(text):
    """Why a program ended: its last line, unless one before it says more."""
    if found := re.search(r"Unable to find kernel headers", text):
        return f"{found[0]}, which bcc compiles with"
    lines = [line.strip() for line in text.splitlines() if line.strip() and "RLIMIT_MEMLOCK" not in line]
    return lines[-1][:160] if lines else ""


def hooks_of(pid):
    """Descriptors of a process that stand for something it attached."""
    hooks = 0
    with contextlib.suppress(OSError):
        for fd in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                hooks += bool(re.search(r"perf_event|bpf.link|raw.tracepoint", os.readlink(fd)))
    return hooks


class Tracer:
    """A program that traces a process: `ready` is a pattern it prints when armed; None: it says nothing, but holds its hooks."""

    def __init__(self, name, argv, ready, env=None):
        self.name, self.argv, self.ready = name, [str(word) for word in argv], ready
        self.env = dict(os.environ, **(env or {}))
        self.start_s = self.start_cpu_s = None
        self.pid = None
        self.output = ""

    @contextlib.contextmanager
    def __call__(self):
        if not shutil.which(self.argv[0]):
            raise Skipped(f"{self.argv[0]} is not installed")
        started = time.monotonic()
        # In a group of its own, so that what it starts ends with it.
        with subprocess.Popen(self.argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.PIPE,
                              env=self.env, start_new_session=True) as process:
            reader = Reader(process)
            self.pid = process.pid
            try:
                if self.ready:
                    reader.wait_for(self.ready, 30)
                else:
                    self.wait_for_hooks(process, reader)
                self.start_s, self.start_cpu_s = time.monotonic() - started, cpu_s(process.pid)
                yield self
                if process.poll() is not None:
                    reader.drain()
                    raise Skipped("it ended early: " + last_words(reader.text))
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGINT)
                reader.drain()
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                self.output = reader.text


    @staticmethod
    def wait_for_hooks(process, reader):
        """Until it has attached what it wants: the number of its hooks no longer grows."""
        hooks, deadline = 0, time.monotonic() + 20
        while True:
            with contextlib.suppress(Skipped):
                reader.wait_for(r"\Z(?!)", 0.4)
            if process.poll() is not None:
                raise Skipped(last_words(reader.text) or f"exit code {process.returncode}")
            before, hooks = hooks, hooks_of(process.pid)
            if hooks and hooks == before:
                return
            if time.monotonic() > deadline:
                raise Skipped("it attached nothing within 20 s")


@contextlib.contextmanager
def nothing():
    """The unprobed target."""
    yield None


class Case:
    """One line of a table: a name, a tracer (a context manager factory), and what was measured with it."""

    def __init__(self, name, tracer=nothing, rounds=None):
        self.name, self.tracer, self.rounds = name, tracer, rounds  # rounds: at most so many
        self.samples = {}  # round -> {metric: value}
        self.discarded = 0
        self.skipped = None

    def values(self, metric):
        return [sample[metric] for sample in self.samples.values() if metric in sample]

    def metrics(self):
        return sorted({name for sample in self.samples.values() for name in sample})

    def median(self, metric):
        values = self.values(metric)
        return statistics.median(values) if values else None


def run_rounds(cases, measure, rounds):
    """measure(case, tracer) -> {metric: value}, for each case in each round; every other round backwards, against drift."""
    for number in range(rounds):
        for case in cases if number % 2 == 0 else reversed(cases):
            if case.skipped or (case.rounds and number >= case.rounds):
                continue
            PROGRESS.show(f"round {number + 1} of {rounds}: {case.name}")
            try:
                with case.tracer() as tracer:
                    sample = measure(case, tracer)
                # Its probes were no-ops part of the time: no cost, and no figure.
                if tracer and "held up" in tracer.output:
                    case.discarded += 1
                else:
                    case.samples[number] = sample
            except Skipped as why:
                case.skipped = str(why)


def ratios(case, base, metric, less=None):
    """Of each round both took part in; with `less`, that case's value is taken off both first."""
    result = []
    for number, sample in case.samples.items():
        if number not in base.samples or (less and number not in less.samples):
            continue
        off = less.samples[number][metric] if less else 0
        below = base.samples[number][metric] - off
        if below > 0:
            result.append((sample[metric] - off) / below)
    return result


def row(case, metric, unit, base=None, less=None, note=""):
    """A line of the table and of the JSON file."""
    if case.skipped or not case.values(metric):
        return {"name": case.name, "skipped": case.skipped or "not measured"}
    result = {"name": case.name, "unit": unit, "median": case.median(metric), "values": case.values(metric)}
    against = ratios(case, base, metric, less) if base else []
    if against:
        result.update(ratio=statistics.median(against), ratio_min=min(against), ratio_max=max(against), ratios=against)
    if case.discarded:
        note += f"{', ' if note else ''}{case.discarded} rounds left out: it was held up"
    if note:
        result["note"] = note
    others = {name: case.values(name) for name in case.metrics() if name != metric}
    if others:
        result["also"] = others
    return result


def goal(text, value, limit, at_least=False):
    met = None if None in (value, limit) else (value >= limit if at_least else value <= limit)
    return {"text": text, "value": value, "limit": limit, "at_least": at_least, "met": met}


def ratio_of(one, other, metric, less=None):
    """Median of the ratios, None if either was skipped."""
    values = ratios(one, other, metric, less)
    return statistics.median(values) if values else None


class Helper:
    """A program of build/bench that does what its stdin says and answers in lines."""

    def __init__(self, *argv):
        self.process = subprocess.Popen([str(word) for word in argv], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        self.first = self.process.stdout.readline()
        if not self.first:
            raise Skipped(self.process.communicate()[1].strip())

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise Skipped(f"{self.process.args[0]} ended")
        return json.loads(answer)

    def close(self):
        self.process.communicate(timeout=20)


@contextlib.contextmanager
def helper(*argv):
    running = Helper(*argv)
    try:
        yield running
    finally:
        running.close()


class Daemon:
    """The test daemon."""

    def __init__(self, directory, *options):
        self.control = Path(directory) / "control"
        self.process = subprocess.Popen(
            [str(TARGET), "--control", str(self.control), "--log", "/dev/null", *map(str, options)],
            stdout=subprocess.PIPE, text=True)
        ready = self.process.stdout.readline()
        if not ready.startswith("ready "):
            raise Skipped("the test daemon did not start")
        self.pid = self.process.pid

    def status(self):
        done = subprocess.run([str(TARGET), "ctl", str(self.control), "status"], capture_output=True, text=True, timeout=20,
                              check=True)
        return json.loads(done.stdout)

    def ctl(self, *words):
        subprocess.run([str(TARGET), "ctl", str(self.control), *words], capture_output=True, timeout=20, check=True)

    def rate(self, counter, seconds):
        """Operations a second of one of the daemon's counters, over the next `seconds`."""
        before = self.status()
        time.sleep(seconds)
        after = self.status()
        return (after[counter] - before[counter]) / (after["uptime_ms"] - before["uptime_ms"]) * 1000

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=20)


@contextlib.contextmanager
def daemon(directory, *options):
    running = Daemon(directory, *options)
    try:
        yield running
    finally:
        running.stop()


def cpu_s(pid):
    """CPU time of a process so far, all threads that are alive."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            total += int((task / "schedstat").read_text(encoding="ascii").split()[0])
    return total / 1e9


def rss_bytes(pid):
    """Resident memory, all and what is not pages of files."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return tuple(int(re.search(rf"{name}:\s+(\d+)", status)[1]) * 1024 for name in ("VmRSS", "RssAnon"))


def bpf_objects(pid):
    """What the process holds of the kernel's BPF: ({program: (ns, runs)}, bytes of its maps)."""
    programs, maps = set(), {}
    for info in Path(f"/proc/{pid}/fdinfo").iterdir():
        with contextlib.suppress(OSError):
            text = info.read_text(encoding="ascii")
            if found := re.search(r"^prog_id:\s*(\d+)", text, re.M):
                programs.add(int(found[1]))
            if found := re.search(r"^map_id:\s*(\d+)", text, re.M):
                memory = re.search(r"^memlock:\s*(\d+)", text, re.M)
                maps[int(found[1])] = int(memory[1]) if memory else 0
    shown = subprocess.run(["bpftool", "-j", "prog", "show"], capture_output=True, text=True, check=False).stdout
    times = {}
    for program in json.loads(shown or "[]"):
        if program["id"] in programs:
            times[program.get("name", str(program["id"]))] = (program.get("run_time_ns", 0), program.get("run_cnt", 0))
    return times, sum(maps.values())


def foreign_links():
    """Probes of others on this machine: tracepoints and uprobes are paid for by everybody they are on."""
    shown = subprocess.run(["bpftool", "-j", "link", "show"], capture_output=True, text=True, check=False).stdout
    return len(json.loads(shown or "[]"))


def version_of(*argv):
    if not shutil.which(argv[0]):
        return None
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line and "RLIMIT_MEMLOCK" not in line]
    return " ".join(lines[0].replace(" -- ", " ").split()[:3]) if lines else None


def machine():
    cpuinfo = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    model = re.search(r"model name\s*:\s*(.*)", cpuinfo)
    commit = subprocess.run(["git", "-C", str(ROOT), "describe", "--always", "--dirty"], capture_output=True, text=True,
                            check=False).stdout.strip()
    return {
        "date": time.strftime("%Y-%m-%d %H:%M"),
        "cpus": os.cpu_count(),
        "model": model[1] if model else platform.processor(),
        "virtual": bool(re.search(r"^flags.*\bhypervisor\b", cpuinfo, re.M)),
        "kernel": platform.release(),
        "commit": commit or "unknown",
        "load": round(os.getloadavg()[0], 2),
        "foreign_links": foreign_links(),
        "peers": {
            "bpftrace": version_of("bpftrace", "--version"),
            "perf": version_of("perf", "--version"),
            "strace": version_of("strace", "-V"),
            "redis": version_of("redis-server", "--version"),
        },
    }
