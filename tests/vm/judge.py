"""What each test must have found on each kernel. Raises AssertionError with the difference."""
import json


class Facts:
    """What one test left behind on one kernel."""

    def __init__(self, kernel, release, directory):
        self.kernel = kernel
        self.release = release
        self.version = tuple(int(part) for part in release.split("-")[0].split("+")[0].split(".")[:2])
        self.directory = directory

    def text(self, name):
        return (self.directory / name).read_text(errors="replace")

    def rc(self):
        return int(self.text("rc"))

    def lines(self, name="stdout"):
        try:
            return [json.loads(line) for line in self.text(name).splitlines()]
        except ValueError as error:
            raise AssertionError(f"{name} is not JSON Lines: {error}; stderr: {self.text('stderr')[-500:]}") from error


def judge_doctor(facts):
    lines = facts.lines()
    states = {line["name"]: line["state"] for line in lines if line["kind"] == "capability"}
    want = dict.fromkeys(states, "works")
    want["watchpoint + BPF"] = "limited"  # a virtual machine, and it says so
    if facts.version < (6, 6):
        want["multi-uprobe"] = "refused"
    if facts.version < (6, 3):
        want["sock tracepoints"] = "refused"
    wrong = {name: (state, next(line["why"] for line in lines if line.get("name") == name))
             for name, state in states.items() if state != want[name]}
    assert len(states) >= 15, f"only {sorted(states)}"
    assert not wrong, f"{wrong}"
    summary = lines[-1]
    assert summary["kernel"] == facts.release
    assert summary["writes_can_run"] and summary["stalls_can_run"] and facts.rc() == 0


def judge_load(facts):
    refused = {f"{line['object']}:{line['program']}": (line["error"], (line["warnings"] or line["log"])[-600:])
               for line in facts.lines() if not line["loaded"]}
    assert not refused, "\n  ".join([""] + [f"{name}: {error}: {log}" for name, (error, log) in refused.items()])


def judge_threads(facts):
    lines = facts.lines()
    assert facts.rc() == 0, f"exit code {facts.rc()}: {facts.text('stderr')[-500:]}{lines[-1]}"
    accept = next((line for line in lines if line.get("comm") == "rpc-accept"), None)
    assert accept and accept["syscall"] in ("accept", "accept4"), f"{accept}"
    assert any(frame["symbol"] == "zbs::rpc::Server::RunAccept" for frame in accept["user_stack"]), f"{accept['user_stack']}"
    assert accept["fds"][0]["socket"]["state"] == "LISTEN", f"{accept['fds']}"
    assert facts.text("alive").strip() == "0"


JUDGES = {"doctor": judge_doctor, "load": judge_load, "threads": judge_threads}
TESTS = list(JUDGES)


def judge(test, facts):
    JUDGES[test](facts)
