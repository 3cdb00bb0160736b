"""The tracers that are compared: culprit, and what one would reach for instead."""
import contextlib
import re
import subprocess
from pathlib import Path

from harness import BUILD, CULPRIT, HELPERS, Skipped, Tracer

# The checked function of the built-in zbs spec, and what ends or legitimately changes a chunk.
CHECK = "_ZN3zbs7libmeta4Meta26RefreshChildExtentLocationE"
CHUNK_WRITERS = ("_ZN3zbs5Chunk9MergeImplE", "_ZN3zbs5Chunk5ClearE", "_ZN3zbs5Chunk8CopyFromE")
CHUNK_END = "_ZN3zbs5Chunk10SharedDtorE"
CALL_METHOD = "_ZN3zbs3rpc7Channel10CallMethodE"
KINDS_COMPARED = ("vptr", "message pointer")
CHUNKS = 4


def culprit(command, pid, *options):
    ready = {"writes": "Ctrl-C to stop", "stalls": "following calls"}[command]
    return Tracer(f"culprit {command}", [CULPRIT, command, "-p", pid, "-d", 600, "--json", *options], ready)


class Stored(Tracer):
    """culprit with a session file, a new one each time; the last one's size in bytes is kept."""

    def __init__(self, directory, command, pid):
        self.path, self.size = Path(directory) / "session.db", 0
        argv = culprit(command, pid, "-o", self.path)
        super().__init__(f"{argv.name} -o", argv.argv, argv.ready)

    @contextlib.contextmanager
    def __call__(self):
        self.path.unlink(missing_ok=True)
        with super().__call__() as tracer:
            yield tracer
        self.size = self.path.stat().st_size


class Layout:
    """The guarded fields, as `culprit writes --dry-run` lists them, and the address of the checking probe."""

    def __init__(self, pid):
        done = subprocess.run([str(CULPRIT), "writes", "-p", str(pid), "--spec", "zbs", "--dry-run"], capture_output=True,
                              text=True, check=False)
        self.types, current = {}, None
        for line in done.stdout.splitlines():
            if found := re.match(r"(?:object|contains) (\S+), \d+ bytes", line):
                current = self.types.setdefault(found[1], [])
            elif current is not None and (found := re.match(
                    r" +(\d+) +(\d+)  (.*?) +(\S+) +(?:invariant|changes judged|not checked)", line)):
                current.append({"offset": int(found[1]), "width": int(found[2]), "kind": found[3], "name": found[4]})
        check = re.search(r"^ +check +(0x[0-9a-f]+)", done.stdout, re.M)
        if not check:
            raise Skipped(f"no plan: {done.stderr.strip()[:160]}")
        self.check = check[1]

    def offsets(self, name, kinds):
        return [field["offset"] for field in self.types[name] if field["kind"] in kinds]

    def offset(self, name, field):
        return next(f["offset"] for f in self.types[name] if f["name"] == field)


def symbols(binary):
    """{mangled name: address}, from the debuginfo beside the binary."""
    debug = binary.parent / ".debug" / f"{binary.name}.debug"
    done = subprocess.run(["nm", "--defined-only", str(debug)], capture_output=True, text=True, check=True)
    return [line.split()[2] for line in done.stdout.splitlines() if len(line.split()) == 3]


def symbol(names, prefix):
    return next(name for name in names if name.startswith(prefix))


def compare(address, node):
    """One word against what it was; a change that no writer explains is told."""
    return (f"$a = {address}; $w = *(uint64 *)uptr($a); if ($w != @shadow[$a]) {{ "
            f"if (@shadow[$a] != 0 && nsecs - @written[{node}] > 1000000000) {{ "
            f'printf("bad write: 0x%llx was 0x%llx is 0x%llx\\n", $a, @shadow[$a], $w); }} @shadow[$a] = $w; }}')


def writes_script(binary, pid, layout):
    """
    As near to `culprit writes` as bpftrace 0.17 gets: at each touch the vtables and message pointers of the lease and of its
    first four chunks are compared with what they were, and a change is excused by a mutator of that chunk within a second.
    What its language has no means for: reading the layout (the offsets below come from culprit), comparing a whole message at
    once (so scalars, strings, enums and bools are left out), asking what a pointer leads to, objects with any number of
    chunks, destructors and setters that are inlined, watching untouched objects, and telling a transient from damage.
    """
    names = symbols(binary)
    filtered = f"/pid == {pid}/"
    chunk = layout.offsets("zbs::Chunk", KINDS_COMPARED)
    chunks = layout.offset("zbs::libmeta::CachedLease", "chunks_")
    probe = f"uprobe:{binary}:"
    lines = [f"{probe}{symbol(names, CHECK)} {filtered} {{", "  $l = arg1;"]
    lines += [f"  {compare(f'$l + {offset}', '$l')}" for offset in
              layout.offsets("zbs::libmeta::CachedLease", KINDS_COMPARED)]
    # RepeatedPtrField of protobuf 3.21: arena, current size, total size, representation; that holds a count, then the elements.
    lines += [f"  $n = *(int32 *)uptr($l + {chunks + 8});", f"  $e = *(uint64 *)uptr($l + {chunks + 16});"]
    for i in range(CHUNKS):
        lines += [f"  if ($n > {i}) {{", f"    $c = *(uint64 *)uptr($e + {8 + 8 * i});"]
        lines += [f"    {compare(f'$c + {offset}', '$c')}" for offset in chunk]
        lines.append("  }")
    lines.append("}")
    lines += [f"{probe}{symbol(names, writer)} {filtered} {{ @written[arg0] = nsecs; }}" for writer in CHUNK_WRITERS]
    lines.append(f"{probe}{symbol(names, CHUNK_END)} {filtered} {{ delete(@written[arg0]); "
                 + " ".join(f"delete(@shadow[arg0 + {offset}]);" for offset in chunk) + " }")
    return "\n".join(lines + [READY])


# Probes are attached in the order of the script: when this one fires, all are.
READY = 'interval:ms:10 /@ready == 0/ { printf("armed\\n"); @ready = 1; }\nEND { clear(@shadow); clear(@written); }\n'

READS_AND_WRITES = ("read", "readv", "recvfrom", "recvmsg", "recvmmsg", "write", "writev", "sendto", "sendmsg", "sendmmsg",
                    "connect", "accept", "accept4")
POLLS = ("poll", "ppoll")
EPOLLS = ("epoll_wait", "epoll_pwait", "epoll_pwait2")
SELECTS = ("select", "pselect6")


def enter(calls):
    return ",\n".join(f"tracepoint:syscalls:sys_enter_{name}" for name in calls)


def stalls_script(pid, binary=None):
    """
    The hooks of `culprit stalls`: begin and end of the same calls, bytes per socket, closes of a descriptor that is waited for,
    RPC calls. It keeps no file or inode, one descriptor of a poll set, no stack, and judges nothing.
    """
    filtered = f"/pid == {pid}/"
    ends = ",\n".join(f"tracepoint:syscalls:sys_exit_{name}" for name in READS_AND_WRITES + POLLS + EPOLLS + SELECTS)
    begin = "@start[tid] = nsecs; @fd[tid] = $fd; @waiting[$fd] = tid;"
    script = f"""
{enter(READS_AND_WRITES)} {filtered} {{ $fd = (uint64)args->fd; {begin} }}
{enter(POLLS)} {filtered} {{ $fd = (uint64)*(int32 *)uptr(args->ufds); {begin} }}
{enter(EPOLLS)} {filtered} {{ $fd = (uint64)args->epfd; {begin} }}
{enter(SELECTS)} {filtered} {{ $fd = (uint64)args->n; {begin} }}
{ends} {filtered} {{
  $s = @start[tid];
  if ($s != 0) {{
    if (nsecs - $s > 1000000000) {{ printf("thread %d: %d ms in a call on %d\\n", tid, (nsecs - $s) / 1000000, @fd[tid]); }}
    delete(@waiting[@fd[tid]]); delete(@fd[tid]); delete(@start[tid]);
  }}
}}
tracepoint:syscalls:sys_enter_close {filtered} {{
  if (@waiting[(uint64)args->fd] != 0) {{ printf("%d closes %d, which %d waits for\\n", tid, args->fd, @waiting[(uint64)args->fd]); }}
}}
tracepoint:sock:sock_send_length {filtered} {{ if (args->ret > 0) {{ @sent[args->sk] = nsecs; @sent_by[args->sk] = tid; }} }}
tracepoint:sock:sock_recv_length {filtered} {{ if (args->ret > 0) {{ @received[args->sk] = nsecs; @received_by[args->sk] = tid; }} }}
"""
    if binary:
        script += f"uprobe:{binary}:{symbol(symbols(binary), CALL_METHOD)} {filtered} {{ @rpc[tid] = nsecs; }}\n"
    return script + READY.split("\nEND")[0] + "\n"


def bpftrace(script, keys=4096):
    return Tracer("bpftrace script", ["bpftrace", "-B", "none", "-e", script], r"(?m)^armed$",
                  env={"BPFTRACE_MAP_KEYS_MAX": str(keys)})


def perf_trace(pid):
    return Tracer("perf trace -s", ["perf", "trace", "-s", "-p", pid], None)


def strace(pid):
    return Tracer("strace -f -c", ["strace", "-f", "-c", "-p", pid], "attached")


def tcplife(pid):
    return Tracer("tcplife (libbpf-tools)", ["tcplife", "-p", pid], None)


def syscount(pid):
    return Tracer("syscount -L (libbpf-tools)", ["syscount", "-L", "-p", pid], None)


def funcslower(pid):
    return Tracer("funcslower (bcc)", ["funcslower-bpfcc", "-p", pid, "-m", 1000, "tcp_sendmsg", "tcp_recvmsg"], None)


LIBC_CALLS = ("read", "write", "recv", "send", "recvmsg", "sendmsg")


def funcslower_like(pid):
    """What `funcslower -m 1000` does for functions of user space, where the kernel's own cannot be had: entry and return of the C
    library's calls on sockets."""
    maps = Path(f"/proc/{pid}/maps").read_text(encoding="utf-8")
    found = re.search(r"/\S*/libc\.so\.6$", maps, re.M)
    libc = found[0] if found else ""
    enters = ",\n".join(f"uprobe:{libc}:{name}" for name in LIBC_CALLS)
    returns = ",\n".join(f"uretprobe:{libc}:{name}" for name in LIBC_CALLS)
    script = f"""
{enters} /pid == {pid}/ {{ @start[tid] = nsecs; }}
{returns} /pid == {pid}/ {{
  $s = @start[tid];
  if ($s != 0 && nsecs - $s > 1000000000) {{ printf("%s %d %d ms\\n", comm, tid, (nsecs - $s) / 1000000); }}
  delete(@start[tid]);
}}
""" + READY.split("\nEND")[0] + "\n"
    return Tracer("funcslower-like, by bpftrace", ["bpftrace", "-B", "none", "-p", pid, "-e", script], r"(?m)^armed$")


def empty_uprobe(pid, binary, address):
    return Tracer("empty uprobe", [HELPERS / "probecost", "hold", pid, binary, address], "ready")


TARGET_BINARY = BUILD / "target"
TOUCHLOOP = HELPERS / "touchloop"
