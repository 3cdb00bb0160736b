"""How long it takes to get a type's layout and its probe sites out of large debuginfo, and in how much memory; against gdb."""
import os
import re
import subprocess
import tempfile
from pathlib import Path

from harness import BUILD, CULPRIT, ROOT, Case, Skipped, goal, row, run_rounds

COPIES = int(os.environ.get("BENCH_DEBUG_UNITS", "80"))
CACHE = Path("/var/cache/culprit")
TYPE, FUNCTION = "big042::Cached", "big042::Cache::Insert"


def build():
    where = BUILD / "bench" / f"bigdebug-{COPIES}"
    if not (where / "big").exists():
        subprocess.run([str(ROOT / "tests/bench/bigdebug"), str(where), str(COPIES)], check=True, capture_output=True)
    return where


def drop_pages(path):
    """Out of the page cache, that file alone."""
    with open(path, "rb") as f:
        os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def timed(*argv):
    with tempfile.TemporaryFile() as out:
        done = subprocess.Popen([str(word) for word in argv], stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        _, status, usage = os.wait4(done.pid, 0)
        done.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        text = out.read().decode(errors="replace")
    if done.returncode != 0:
        raise Skipped(text.strip()[-160:])
    return {"s": usage.ru_utime + usage.ru_stime, "MiB": usage.ru_maxrss / 1024}, text


def extraction(runs):
    where = build()
    debug, profile = where / "big.debug", where / "big.profile"
    notes = subprocess.run(["readelf", "-n", str(where / "big")], check=True, capture_output=True, text=True).stdout
    units = re.search(r"Build ID: (\w+)", notes)[1] + ".units"
    ours, first, gdb = Case("culprit layout"), Case("culprit layout, the first time", rounds=2), Case("gdb, ptype /o")

    def measure(case, _tracer):
        drop_pages(debug)
        if case is gdb:
            sample, text = timed("gdb", "-nx", "-batch", "-ex", f"ptype /o {TYPE}", debug)
            if "total size" not in text:
                raise Skipped(text.strip()[-160:])
            return sample
        if case is first:
            (CACHE / units).unlink(missing_ok=True)
        return timed(CULPRIT, "layout", where / "big", "--debuginfo", debug, "--type", TYPE, "--insert", FUNCTION, "-o", profile)[0]

    measure(first, None)  # which units there are is in the cache from here on
    run_rounds([ours, gdb], measure, runs)
    run_rounds([first], measure, 2)
    size = debug.stat().st_size
    time_ratio = ours.median("s") / gdb.median("s") if gdb.median("s") else None
    memory_ratio = ours.median("MiB") / gdb.median("MiB") if gdb.median("MiB") else None
    note = "type, guard table, writers, probe sites"
    rows = [row(ours, "s", "s", gdb, note=note), row(first, "s", "s", gdb, note="searches the units"), row(gdb, "s", "s", gdb, note="the type"),
            row(ours, "MiB", "MiB", gdb, note="peak, pages of files included"), row(gdb, "MiB", "MiB", gdb)]
    return [{"name": "debuginfo", "title": f"a type and its probe sites out of {size >> 20} MiB of debuginfo, CPU time, file not in memory",
             "ratio": "to gdb", "rows": rows,
             "goals": [goal("time to gdb's", time_ratio, 0.2), goal("memory to gdb's", memory_ratio, 0.5)]}]
