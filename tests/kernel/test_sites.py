"""Probe sites against objdump's view of the same functions: thousands of them, judged by text and not by capstone."""
import os
import re
import subprocess

import pytest

FAMILY = {}
for names in ("rdi edi di dil", "rsi esi si sil", "rdx edx dx dl dh", "rcx ecx cx cl ch", "r8 r8d r8w r8b", "r9 r9d r9w r9b"):
    for name in names.split():
        FAMILY["%" + name] = names.split()[0]

LINE = re.compile(r"^\s*([0-9a-f]+):\t((?:[0-9a-f]{2} )+)\s*(?:\t(.*))?$")


def objdump(path):
    """address -> (bytes, mnemonic, operands), in order."""
    out = subprocess.run(["objdump", "-d", "-w", path], capture_output=True, text=True, check=True).stdout
    insns = {}
    for line in out.splitlines():
        m = LINE.match(line)
        if not m:
            continue
        text = re.sub(r"\s*(#.*|<[^>]*>)", "", m.group(3) or "").strip()
        words = text.split(None, 1)
        insns[int(m.group(1), 16)] = (bytes.fromhex(m.group(2)), words[0] if words else "", words[1] if len(words) > 1 else "")
    return insns


def emulated(code):
    return (len(code) == 1 and (code[0] == 0x90 or 0x50 <= code[0] <= 0x57)) or \
        (len(code) == 2 and (code == b"\x66\x90" or (code[0] == 0x41 and 0x50 <= code[1] <= 0x57)))


def branch(code):
    return (len(code) == 2 and (code[0] == 0xeb or 0x70 <= code[0] <= 0x7f)) or \
        (len(code) == 5 and code[0] in (0xe8, 0xe9)) or \
        (len(code) == 6 and code[0] == 0x0f and 0x80 <= code[1] <= 0x8f)


def last_operand(ops):
    depth = 0
    for i in range(len(ops) - 1, -1, -1):
        depth += {")": 1, "(": -1}.get(ops[i], 0)
        if ops[i] == "," and not depth:
            return ops[i + 1:].strip()
    return ops.strip()


def writes(mnem, ops):
    """What it writes: 'nothing', a register, or 'other' for what this reader does not follow."""
    if mnem in ("endbr64", "nop", "nopw", "nopl", "xchg") or mnem.startswith(("cmp", "test")):
        return "nothing" if mnem != "xchg" or ops == "%ax,%ax" else "other"
    if re.fullmatch(r"(mov[a-z]*|lea[a-z]?|xor[a-z]?|and[a-z]?|or[a-z]?|add[a-z]?|sub[a-z]?)", mnem) and "%xmm" not in ops:
        dst = last_operand(ops)
        if dst.startswith("%") and ":" not in dst:
            return dst
        return "stack" if re.fullmatch(r"-?(0x[0-9a-f]+)?\(%rsp\)", dst) else "other"
    return "other"


def walk(insns, start, size):
    """Straight line from the entry: yields (address, bytes, pushed) as long as a probe may stand there."""
    pushed, at = 0, start
    while at < start + size and at in insns:
        code, mnem, ops = insns[at]
        yield at, code, pushed
        if mnem == "push":
            pushed += 8
        elif mnem == "sub" and re.fullmatch(r"\$0x[0-9a-f]+,%rsp", ops):
            pushed += int(ops[1:].split(",")[0], 16)
        else:
            what = writes(mnem, ops)
            if what == "other" or what in FAMILY or what in ("%rsp", "%esp"):
                return
        at += len(code)


def targets(insns, start, size):
    found, at = set(), start
    while at < start + size and at in insns:
        code, mnem, ops = insns[at]
        if re.match(r"(bnd )?(j|loop)", mnem + " " + ops) and re.match(r"[0-9a-f]+$", ops.split()[-1] if ops else ""):
            found.add(int(ops.split()[-1], 16))
        at += len(code)
    return found


def has_call(insns, start, size):
    return any(insns[a][1] == "call" for a in insns if start <= a < start + size)


def libprotobuf():
    return os.path.realpath("/usr/lib/x86_64-linux-gnu/libprotobuf.so.32")


@pytest.mark.parametrize("which", ["libprotobuf", "libc", "target"])
def test_sites(which):
    subprocess.run(["make", "-s", "kernel-helpers", "target"], check=True)
    path = {"libprotobuf": libprotobuf(), "libc": "/usr/lib/x86_64-linux-gnu/libc.so.6", "target": "build/target.obj/linked"}[which]
    insns = objdump(path)
    rows = subprocess.run(["build/tests/sitedump", path], capture_output=True, text=True, check=True).stdout.split("\n")[:-1]
    assert len(rows) > 1000
    stepped = 0
    for row in rows:
        vaddr, size, offset, pushed, cost, looped = row.split()
        start, size, offset, pushed = int(vaddr, 16), int(size), int(offset), int(pushed)
        site = start + offset
        line = {at: (code, p) for at, code, p in walk(insns, start, size)}
        jumps = targets(insns, start, size)
        assert site in insns and offset < size, row
        assert site in line, row
        assert line[site][1] == pushed, row
        assert (site in jumps) == (looped == "looped"), row
        eligible = [at for at, (code, _) in line.items()
                    if (emulated(code) and at not in jumps) or (branch(code) and not any(start <= j <= at for j in jumps))]
        if cost == "stepped":
            stepped += 1
            assert not eligible, (row, [hex(a) for a in eligible])
            code = insns[site][0]
            assert not (code == bytes.fromhex("0f1f440000") and not has_call(insns, start, size)), row
        else:
            assert site == min(eligible), (row, [hex(a) for a in eligible])
    print(f"{which}: {len(rows)} functions, {stepped} stepped")
