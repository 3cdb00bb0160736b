"""
make bench: what culprit costs, as ratios to the unprobed target and to named peers measured in the same run. It measures and
never fails for a figure; a peer that is missing or does not work here is a line that says so.
"""
import argparse
import json
import os
import sys
import time

import debuginfo
import stalls
import writes
from harness import BUILD, PROGRESS, Skipped, machine

GROUPS = {"traps": writes.traps, "touch": writes.touch, "load": writes.load, "memory": writes.memory,
          "calls": stalls.calls, "redis": stalls.redis_get, "rpc": stalls.rpc_loop, "stored": stalls.stored, "threads": stalls.autopsy,
          "debuginfo": debuginfo.extraction}


def figure(value):
    """Three significant digits, and thousands."""
    if value is None:
        return "-"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) >= 0.001 else "0"


def line(cells, widths):
    text = f"  {cells[0]:<{widths[0]}}" + "".join(f"  {cell:>{width}}" for cell, width in zip(cells[1:4], widths[1:4]))
    return f"{text}  {cells[4]}".rstrip()


def show(group):
    """One group as text: value, ratio, the ratio's spread over the rounds."""
    cells = [("", "median", "ratio" if group["ratio"] else "", "min..max" if group["ratio"] else "", "")]
    for entry in group["rows"]:
        if "skipped" in entry:
            cells.append((entry["name"], "skipped:", "", "", entry["skipped"]))
            continue
        ratio = f"{entry['ratio']:.2f}" if "ratio" in entry else ""
        spread = f"{entry['ratio_min']:.2f}..{entry['ratio_max']:.2f}" if "ratio" in entry else ""
        cells.append((entry["name"], f"{figure(entry['median'])} {entry['unit']}", ratio, spread, entry.get("note", "")))
    widths = [max(len(row[i]) for row in cells if i != 4) for i in range(4)]
    print(f"\n{group['name']}: {group['title']}" + (f"; ratio: {group['ratio']}" if group["ratio"] else ""))
    for row in cells:
        if row[1] == "skipped:":
            print(f"  {row[0]:<{widths[0]}}  skipped: {row[4]}")
        else:
            print(line(row, widths))
    for entry in group["goals"]:
        verdict = {True: "met", False: "missed", None: "not measured"}[entry["met"]]
        sign = ">=" if entry["at_least"] else "<="
        print(f"  goal: {entry['text']}: {figure(entry['value'])} {sign} {figure(entry['limit'])}: {verdict}")


def machine_line(facts):
    peers = ", ".join(name for name in facts["peers"].values() if name)
    return (f"{facts['date']}, {facts['cpus']} x {facts['model']}{', virtual' if facts['virtual'] else ''}, "
            f"kernel {facts['kernel']}, culprit {facts['commit']}, load {facts['load']}\npeers: {peers}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("groups", nargs="*", choices=[[], *GROUPS], help="which (default: all)")
    parser.add_argument("--runs", type=int, default=int(os.environ.get("BENCH_RUNS", "5")))
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("bench: tracing needs root: sudo make bench")
    facts, started, done = machine(), time.monotonic(), []
    print(f"culprit bench: medians of {options.runs} interleaved rounds\n{machine_line(facts)}")
    if facts["load"] > 0.5:
        print(f"THE MACHINE WAS BUSY when this began (load {facts['load']}): rates are no evidence, CPU times are; mind the spread")
    if facts["foreign_links"]:
        print(f"SOMEBODY ELSE TRACES HERE ({facts['foreign_links']} BPF links): what is unprobed may not be")
    names = options.groups or list(GROUPS)
    for number, name in enumerate(names, 1):
        began = time.monotonic()
        PROGRESS.begin(name, number, len(names), began - started)
        try:
            groups = GROUPS[name](options.runs)
        except Skipped as why:
            groups = [{"name": name, "title": "", "ratio": None, "rows": [{"name": name, "skipped": str(why)}], "goals": []}]
        PROGRESS.clear()
        for group in groups:
            group["seconds"] = round(time.monotonic() - began, 1)  # of all groups measured together
            show(group)
        sys.stdout.flush()
        done += groups
    result = {"machine": facts, "runs": options.runs, "seconds": round(time.monotonic() - started), "groups": done}
    path = BUILD / "bench.json"
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"\n{result['seconds']} s; all values of all rounds in {os.path.relpath(path)}")


if __name__ == "__main__":
    main()
