"""Session files as seeds: the schema as user/store/schema.c has it, in pages so small that all of it fits. usage: session-seeds OUTDIR"""
import json
import re
import sqlite3
import sys
from pathlib import Path

out = Path(sys.argv[1])
out.mkdir(exist_ok=True)
source = (Path(__file__).resolve().parents[2] / "user/store/schema.c").read_text(encoding="ascii")
source = re.sub(r'"\s*\n\s*"', "", source)
schema = re.findall(r'"(CREATE TABLE [^"]*)"', source)
T = 1700000010000000000
FRAME = {"module": "/bin/x", "build_id": "00ff", "offset": "0x10", "addr": "0x10", "symbol": "f", "file": "f.cc", "line": 3, "inlined": False}
STALL = {"kind": "stall", "real_ns": T + 2000000000, "verdict": "peer-silent", "pid": 7, "tid": 8, "comm": "c", "blocked_ms": 2000, "syscall": "poll",
         "timeout_ms": -1, "fd": 3, "socket": {"inode": 70, "family": "inet", "local": "10.0.0.1:4000", "remote": "10.0.0.2:80", "state": "ESTABLISHED",
         "accepted": False, "recv_queue": 0, "send_queue": 0, "unacked": 0, "bytes_acked": 305, "bytes_received": 120, "last_send_ms": 2000},
         "rpc": {"method": "a.B", "age_ms": 1, "id": 5}, "user_stack": [FRAME], "user_stack_truncated": False, "kernel_stack": ["schedule"],
         "chain": [{"pid": 7, "tid": 8, "comm": "c", "doing": "in poll", "waits": "waits for", "for_tid": None}], "explanation": "why"}
SERVER = dict(STALL, verdict="server-thread-blocked", socket=dict(STALL["socket"], inode=90, accepted=True))
LOG = {"kind": "log", "real_ns": T, "time": "2023-11-14T22:13:30.000000Z", "tid": 8, "severity": "W", "where": "a.cc:1", "text": "t", "timed_out": True,
       "stall": {"number": 0, "verdict": "peer-silent"}}
SUMMARY = {"kind": "summary", "command": "stalls", "complete": True, "duration_s": 1.5, "ended": "time is up", "findings": 1,
           "probes": {"planned": 1, "attached": 1, "failed": 0}, "events": {"seen": 1, "lost": 0}, "threads": 2,
           "overhead": {"own_cpu_pct": 1.0, "bpf_cpu_pct": None, "rss_kib": 5}, "counters": {"looks": 1}, "notes": ["n"],
           "stalls": [{"verdict": "peer-silent", "tid": 8, "blocked_ms": 2500, "over": True, "end": "answered late", "began": LOG["time"], "ended": LOG["time"]}],
           "rpcs": [{"peer": "p", "method": "m", "by": "call", "calls": 1, "in_flight": 0, "unanswered": 0, "errors": None, "unclear": 0, "timed_out": 0,
                     "oldest_ms": None, "p50_ms": 1.5, "p99_ms": 2.0, "max_ms": 3.0}]}
WRITE = {"kind": "bad_write", "real_ns": T, "reason": "wild-pointer", "confidence": "certain", "pid": 7, "object": {"type": "T", "addr": "0x10", "cache": "c"},
         "type": "T", "field": "f_", "path": "f_", "addr": "0x18", "width": 8, "old": "0x0", "new": "0xfffc0000", "hits": 1, "touched_by": [],
         "writer": {"tid": 9, "comm": "w", "ip": "0x10", "function": "f", "frame": 0, "stack": [FRAME]}, "explanation": "why"}
CRASH = {"kind": "crash", "real_ns": T, "pid": 7, "tid": 9, "comm": "w", "time": LOG["time"], "signal": {"number": 11, "name": "SIGSEGV", "code": 1},
         "function": "f", "stack": [FRAME], "damage": None, "explanation": "why"}
CONN = {"kind": "conn", "inode": 70, "family": "inet", "local": "10.0.0.1:4000", "remote": "10.0.0.2:80", "first_ns": T, "seen_ns": T + 9000000000,
        "bytes_acked": 305, "bytes_received": 120}
PEER = dict(CONN, inode=90, accepted=1, local=CONN["remote"], remote=CONN["local"], bytes_acked=120, bytes_received=304)
THREAD = {"tid": 9, "comm": "w", "how": "read it", "looked_ns": T, "doing": "in futex", "user_stack": [FRAME], "kernel_stack": ["futex_wait"]}
WAIT = {"kind": "wait", "ours": 1, "since_ns": T, "seen_ns": T + 9000000000, "thread": THREAD}


def lines(name, a, b=()):
    text = "\n".join(json.dumps(x) for x in a) + "\n\n" + "\n".join(json.dumps(x) for x in b)
    (out / name).write_bytes(b"\1" + text.encode())


lines("both", [STALL, LOG, CONN, WAIT, SUMMARY], [SERVER, PEER, dict(WAIT, ours=0), SUMMARY])
lines("answered", [STALL, CONN], [PEER, dict(WAIT, ours=0, until_ns=T + 1000000000)])
lines("unread", [dict(STALL, verdict="reply-unread"), CONN], [dict(PEER, recv_queue=8), dict(WAIT, ours=0, unread=8)])
lines("writes", [WRITE, CRASH, dict(SUMMARY, command="writes", functions=[{"function": "f", "role": "check", "sites": 1, "hits": 2, "cpu_pct": 0.5}])])

path = out / "file"
path.unlink(missing_ok=True)
with sqlite3.connect(path) as db:
    db.execute("PRAGMA page_size=512")
    db.execute("PRAGMA application_id=0x636c7072")
    db.execute("PRAGMA user_version=1")
    for sql in schema:
        db.execute(sql)
    for key, value in (("command", "stalls"), ("start_real_ns", "1700000000000000000"), ("start_mono_ns", "1000000000000"), ("pid", "7")):
        db.execute("INSERT INTO session VALUES(?,?)", (key, value))
    for i, line in enumerate((STALL, SUMMARY)):
        db.execute("INSERT INTO line VALUES(?,?,?,NULL,7,8,?)", (i + 1, T, line["kind"], json.dumps(line)))
    db.execute("INSERT INTO connection VALUES(1,70,NULL,3,'inet','10.0.0.1:4000','10.0.0.2:80','ESTABLISHED',0,0,?,?,NULL,NULL,0,0,0,304,305,120,8,8)", (T, T))
    db.execute("INSERT INTO wait VALUES(1,1,1,?,?,NULL,NULL,0,NULL,5,?)", (T, T, json.dumps(THREAD)))
db.close()
path.write_bytes(b"\0" + path.read_bytes())
