"""Some hundreds of stacks of programs under load, taken by `culprit threads` with the registers and the stack of each thread, against gdb's of
the same threads, which the test has stopped for both."""
import json
import os
import random
import re
import signal
import subprocess
import time

import pytest

from conftest import CULPRIT
from services import Mariadb
from test_stacks import gdbs, same_name

ROUNDS = 25
WANTED = 200


def threads_of(pid):
    """{tid: [(address as the file states it, inlined, symbol)]}"""
    out = subprocess.run([str(CULPRIT), "threads", "-p", str(pid), "--json"], capture_output=True, text=True, check=False)
    assert out.returncode in (0, 4), out.stderr
    lines = [json.loads(line) for line in out.stdout.splitlines()]
    return {x["tid"]: [(int(f["offset"], 16), f["inlined"], f["symbol"]) for f in x["user_stack"]] for x in lines if x["kind"] == "thread"}


def biases(pid):
    """[(start, end, bias)] of executable mappings: the address in the process less the bias is the address in the file."""
    headers = {}
    found = []
    with open(f"/proc/{pid}/maps", encoding="utf-8") as maps:
        lines = [line.split() for line in maps]
    for fields in lines:
        if "x" not in fields[1]:
            continue
        start, end = (int(x, 16) for x in fields[0].split("-"))
        path, offset = fields[5] if len(fields) > 5 else "", int(fields[2], 16)
        if not path.startswith("/"):
            found.append((start, end, start if path == "[vdso]" else 0))
            continue
        if path not in headers:
            text = subprocess.run(["readelf", "-lW", path], capture_output=True, text=True, check=True).stdout
            headers[path] = [(int(o, 16), int(v, 16), int(n, 16)) for o, v, n in
                             re.findall(r"LOAD\s+0x(\w+) 0x(\w+) 0x\w+ 0x(\w+) ", text)]
        file_offset, vaddr = next((o, v) for o, v, n in headers[path] if o & ~0xfff <= offset < o + n)
        found.append((start, end, start - offset + file_offset - vaddr))
    return found


def in_file(address, maps, call):
    bias = next((b for start, end, b in maps if start <= address < end), 0)
    return address - bias - call


def theirs_of(pid):
    """gdb's frames like those of threads_of. A caller's address is that of its call: one less than the return address."""
    maps, found = biases(pid), {}
    for tid, frames in gdbs(pid).items():
        called = False  # by the frame before
        for address, name, _, _, inlined in frames:
            found.setdefault(tid, []).append((in_file(int(address, 16), maps, called), inlined, name))
            called = called or not inlined
    return found


def compare(pid):
    """(frames in all, frames that differ, stacks, those that differ)"""
    os.kill(pid, signal.SIGSTOP)
    time.sleep(0.05)
    try:
        ours, theirs = threads_of(pid), theirs_of(pid)
    finally:
        os.kill(pid, signal.SIGCONT)
    n = bad = 0
    wrong = []
    for tid, expect in theirs.items():
        frames = ours.get(tid, [])
        if tid == pid:
            frames = frames[:len(expect)]  # gdb does not go beyond main
        n += max(len(expect), len(frames))
        same = sum(a[:2] == b[:2] and (b[2] == "??" or not a[2] or same_name(a[2], b[2])) for a, b in zip(frames, expect))
        bad += max(len(expect), len(frames)) - same
        if same != max(len(expect), len(frames)):
            wrong.append((frames, expect))
    return n, bad, len(theirs), wrong


def sample(pid):
    """Rounds until there are enough stacks that were not the same all the time."""
    frames = bad = stacks = 0
    differ = []
    for _ in range(ROUNDS):
        time.sleep(random.uniform(0.02, 0.2))
        n, b, s, wrong = compare(pid)
        frames, bad, stacks = frames + n, bad + b, stacks + s
        differ += wrong
        if stacks >= WANTED:
            break
    print(f"{stacks} stacks, {frames} frames, {bad} differ")
    for ours, theirs in differ[:4]:
        for i in range(max(len(ours), len(theirs))):
            print("  ", ours[i] if i < len(ours) else None, theirs[i] if i < len(theirs) else None)
    assert stacks >= WANTED
    assert bad <= frames / 100, differ[:2]


def test_the_daemon(start_target):
    target = start_target("--rate", "max", "--lease-threads", 8, "--rpc-rate", "max", "--inline-setters")
    time.sleep(1)
    sample(target.pid)


def test_mariadb(tmp_path):
    server = Mariadb(tmp_path)
    try:
        with server.load():
            sample(server.process.pid)
    finally:
        server.end()
