"""Sessions of culprit stalls on programs of which nothing is known, and what ss and lsof say of the sockets they find."""
import re
import signal
import subprocess
import time

from conftest import CULPRIT
from test_stalls import Session


class Plain(Session):
    """`culprit stalls --json` as one runs it on a program of which nothing is known: without a spec."""

    def __init__(self, pid, *options, duration=0):
        self.start("-p", pid, "-d", duration, *options)


def ss_sockets(pid=None, netns=None):
    """[(local, remote, state, inode, pid, fd, line)] of TCP as `ss -tinpe` tells it."""
    command = ["ss", "-tinpeHO"]
    if netns:
        command = ["ip", "netns", "exec", netns, *command]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = []
    for line in out.splitlines():
        fields = line.split()
        inode = re.search(r"\bino:(\d+)", line)
        for user in re.finditer(r"pid=(\d+),fd=(\d+)", line):
            if pid in (None, int(user.group(1))) and inode:
                found.append((fields[3], fields[4], fields[0], int(inode.group(1)), int(user.group(1)), int(user.group(2)), line))
    return found


def lsof_name(pid, fd):
    """What lsof calls this descriptor: "127.0.0.1:4000->127.0.0.1:6379"."""
    out = subprocess.run(["lsof", "-nP", "-a", "-p", str(pid), "-d", str(fd), "-Fn"], capture_output=True, text=True, check=True).stdout
    return next(line[1:] for line in out.splitlines() if line.startswith("n"))


def check_addresses(stall, pid, netns=None):
    """The finding's descriptor and addresses are what ss and lsof say of that descriptor. Returns the line of ss."""
    sock = stall["socket"]
    row = next(r for r in ss_sockets(pid, netns) if r[5] == stall["fd"])
    assert (sock["local"], sock["remote"], sock["inode"]) == (row[0], row[1], row[3])
    assert sock["state"].startswith(row[2][:3])
    if netns:  # lsof looks into its own namespace
        return row[6]
    assert lsof_name(pid, stall["fd"]) == f"{sock['local']}->{sock['remote']}"
    return row[6]


def during_and_before(pid, stall, lasts=2.7, options=()):
    """Two sessions: one that is there when the stall begins, and one that finds it. [(stalls, summary, code)]"""
    during = Plain(pid, *options).wait_armed()
    time.sleep(0.5)
    stall()
    time.sleep(lasts)
    before = Plain(pid, *options).wait_armed()
    ends = []
    for session in (during, before):
        session.process.send_signal(signal.SIGINT)
    for session in (during, before):
        ends.append(session.end())
    for stalls, _, _ in ends:
        for s in stalls:
            s["before"] = stalls is ends[1][0]
    return ends


def only(ends, verdict):
    """The one finding of each session."""
    found = []
    for stalls, summary, code in ends:
        assert [s["verdict"] for s in stalls] == [verdict], stalls
        assert code == 1
        assert summary["complete"], summary["notes"]
        assert stalls[0]["blocked_before_session"] is stalls[0]["before"]
        found.append(stalls[0])
    return found


def silence(ends):
    for stalls, summary, code in ends:
        assert (stalls, code) == ([], 0), (stalls, summary)
