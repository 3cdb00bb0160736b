"""Layouts of classes against gdb's (which is what `ptype /o` prints), of the daemon with what it uses of libprotobuf, and of a library from
a package with its debuginfo."""
import glob
import subprocess

import pytest

from conftest import TARGET, TARGET_DEBUG


@pytest.fixture(scope="module", autouse=True)
def helpers():
    subprocess.run(["make", "-s", "kernel-helpers", "target"], check=True)


def blocks(text):
    """{name of the class: the lines after it}"""
    found = {}
    for block in text.split("\n\n"):
        lines = block.strip("\n").split("\n")
        if lines[0].startswith("class "):
            name, size = lines[0][6:].rsplit(" ", 1)
            found[name] = [size, *lines[1:]]
    return found


def gdb_says(path):
    return blocks(subprocess.run(["gdb", "-q", "-nx", "-batch", "-x", "tests/kernel/gdb_types.py", str(path)],
                                 capture_output=True, text=True, check=True).stdout)


def ours(binary, names, *debuginfo):
    out = subprocess.run(["build/tests/typedump", str(binary), *map(str, debuginfo)], input="\n".join(names) + "\n",
                         capture_output=True, text=True, check=True).stdout
    return dict(zip(names, (block.strip("\n").split("\n") for block in out.split("\n\n"))))


def compare(expect, got):
    """[(class, what is wrong)]"""
    wrong = []
    for name, lines in expect.items():
        mine = got[name]
        if "virtual" in lines:  # said, not guessed
            if not (mine[0].startswith("error -95 ") and "virtual" in mine[0]):
                wrong.append((name, mine))
            continue
        # the name as DWARF spells it; members at one address (a union's, empty ones) come in any order
        if not mine[0].startswith("class ") or mine[0].rsplit(" ", 1)[1] != lines[0] or sorted(mine[1:]) != sorted(lines[1:]):
            wrong.append((name, [x for x in mine if x not in lines], [x for x in lines if x not in mine]))
    return wrong


def check(binary, debuginfo, at_least, prefix=""):
    expect = {name: lines for name, lines in gdb_says(debuginfo).items() if name.startswith(prefix)}
    got = ours(binary, list(expect))
    wrong = compare(expect, got)
    print(f"{len(expect)} classes, {sum(len(lines) for lines in expect.values())} members, {len(wrong)} differ")
    for case in wrong[:10]:
        print("  ", *case)
    assert len(expect) >= at_least
    assert not wrong


def test_the_daemon_and_protobuf():
    check(TARGET, TARGET_DEBUG, 1000)


def test_a_packaged_library():
    found = glob.glob("/usr/lib/x86_64-linux-gnu/libgprofng.so.0*")
    if not found:
        pytest.skip("libgprofng0 is not installed: tools/install-deps.sh test")
    build_id = next(line.split()[-1] for line in subprocess.run(["readelf", "-n", found[0]], capture_output=True, text=True, check=True)
                    .stdout.splitlines() if "Build ID" in line)
    debuginfo = f"/usr/lib/debug/.build-id/{build_id[:2]}/{build_id[2:]}.debug"
    check(found[0], debuginfo, 100)
