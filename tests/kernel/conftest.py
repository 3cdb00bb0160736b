"""Shared fixtures of the kernel tests: the test daemon, started as a test wants it and always stopped."""
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("BUILD", ROOT / "build")).resolve()
TARGET = BUILD / "target"
TARGET_DEBUG = BUILD / ".debug" / "target.debug"
CULPRIT = BUILD / "culprit"


class Target:
    """One running test daemon. `target --help` lists the options and the faults."""

    def __init__(self, directory, *options, binary=TARGET, name="target"):
        self.binary = Path(binary)
        self.control = Path(directory) / f"{name}.ctl"
        self.truth_path = Path(directory) / f"{name}.truth"
        self.log_path = Path(directory) / f"{name}.log"
        self.truth_path.touch()
        self.process = subprocess.Popen(
            [str(self.binary), "--control", str(self.control), "--truth", str(self.truth_path),
             "--log", str(self.log_path), *map(str, options)],
            stdout=subprocess.PIPE, text=True)
        ready = self.process.stdout.readline()
        if not ready.startswith("ready "):
            self.kill()
            raise RuntimeError(f"the test daemon did not start: {ready!r}")
        self.ready = dict(word.split("=", 1) for word in ready.split()[1:])
        self.pid = int(self.ready["pid"])
        self.port = int(self.ready["port"])

    def ctl(self, *words):
        """Sends one command. Returns the answer; raises when the daemon refuses or does not answer."""
        done = subprocess.run([str(self.binary), "ctl", str(self.control), *map(str, words)],
                              capture_output=True, text=True, timeout=60)
        if done.returncode != 0:
            raise RuntimeError(f"ctl {words}: {done.stdout}{done.stderr}".strip())
        return json.loads(done.stdout)

    def status(self):
        return self.ctl("status")

    def fault(self, name, **params):
        """Starts a fault; returns its first truth record."""
        seen = len(self.truth())
        self.ctl("fault", name, *(f"{key}={value}" for key, value in params.items()))
        return next(record for record in self.truth()[seen:] if record["event"] == "fault")

    def heal(self):
        return self.ctl("heal")

    def truth(self, event=None, name=None):
        """The truth records so far, all or those of one event and fault."""
        with open(self.truth_path, encoding="utf-8") as lines:
            records = [json.loads(line) for line in lines if line.endswith("\n")]
        return [record for record in records
                if event in (None, record["event"]) and name in (None, record["name"])]

    def log(self):
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def threads(self):
        """{tid: name} of all threads."""
        names = {}
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            try:
                names[int(task.name)] = (task / "comm").read_text(encoding="ascii").strip()
            except OSError:
                continue  # it ended meanwhile
        return names

    def alive(self):
        return self.process.poll() is None

    def stop(self):
        """Asks it to quit. Returns its exit code."""
        if self.alive():
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def kill(self):
        if self.alive():
            self.process.kill()
        self.process.wait(timeout=20)


def wait_until(condition, timeout=10.0, period=0.05):
    """Polls until condition() is true and returns its value; fails the test after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not true within {timeout} s: {condition}")
        time.sleep(period)


@pytest.fixture
def start_target(tmp_path):
    """start_target(*options, name=...) -> Target; all of them are ended after the test."""
    started = []

    def start(*options, **kwargs):
        kwargs.setdefault("name", f"target{len(started)}")
        target = Target(tmp_path, *options, **kwargs)
        started.append(target)
        return target

    yield start
    for target in started:
        target.kill()


@pytest.fixture
def target(start_target):
    """A daemon with default options."""
    return start_target()
