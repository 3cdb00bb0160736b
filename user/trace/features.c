// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "arch/arch.h"
#include "doctor/explain.h"
#include "trace/btf.h"
#include "trace/features.h"
#include "trace/features_try.h"
#include "trace/force.h"

bool cpu_is_virtual(void)
{
	return arch_under_hypervisor();
}

static const struct feature table[FEATURE_MAX] = {
	[FEATURE_CAPS] = {.name = "capabilities",
			  .used_for = "reading the target, loading and attaching programs",
			  .for_writes = true,
			  .for_stalls = true},
	[FEATURE_BTF] = {.name = "kernel BTF",
			 .used_for = "relocating the BPF programs",
			 .fallback = "--btf FILE, made by tools/add-btf where the kernel's vmlinux is",
			 .for_writes = true,
			 .for_stalls = true},
	[FEATURE_KERNEL_READ] = {.name = "kernel memory",
				 .used_for = "which file, socket and thread it is",
				 .fallback = "/proc and sock_diag: `threads` only",
				 .for_stalls = true},
	[FEATURE_USER_READ] = {.name = "user memory",
			       .used_for = "objects, poll tables, stacks",
			       .for_writes = true,
			       .for_stalls = true},
	[FEATURE_RINGBUF] = {.name = "ring buffer",
			     .used_for = "records to user space",
			     .fallback = "perf buffers",
			     .for_writes = true,
			     .for_stalls = true,
			     .instead_of = FEATURE_PERFBUF,
			     .since = "5.8"},
	[FEATURE_PERFBUF] = {.name = "perf buffer",
			     .used_for = "records, where there is no ring buffer",
			     .fallback = "ring buffer"},
	[FEATURE_UPROBE] = {.name = "uprobe",
			    .used_for = "cache functions, mutators, CallMethod",
			    .fallback = "multi-uprobes",
			    .for_writes = true,
			    .instead_of = FEATURE_UPROBE_MULTI},
	[FEATURE_UPROBE_MULTI] = {.name = "multi-uprobe",
				  .used_for = "arming many probes at once",
				  .fallback = "single uprobes",
				  .since = "6.6"},
	[FEATURE_COOKIE] = {.name = "attach cookie",
			    .used_for = "telling probes apart",
			    .fallback = "their addresses",
			    .since = "5.15"},
	[FEATURE_URETPROBE] = {.name = "uretprobe",
			       .used_for = "not used unless asked for",
			       .fallback = "entry probes"},
	[FEATURE_WATCHPOINT] = {.name = "watchpoint + BPF",
				.used_for = "catching the writer in the act",
				.fallback = "checks at every touch: what and when, not who"},
	[FEATURE_SYSCALL_TP] =
		{.name = "syscall tracepoints",
		 .used_for = "poll, recv, send, connect, close",
		 .fallback = "fentry or kprobes; without them the look at each tick, no following"},
	[FEATURE_SOCK_TP] = {.name = "sock tracepoints",
			     .used_for = "who last sent or read on a socket",
			     .fallback = "system call exits",
			     .since = "6.3"},
	[FEATURE_KPROBE] = {.name = "kprobe",
			    .used_for = "poll and socket functions",
			    .fallback = "tracepoints"},
	[FEATURE_FENTRY] = {.name = "fentry",
			    .used_for = "poll and socket functions",
			    .fallback = "tracepoints",
			    .since = "5.5"},
	[FEATURE_ITER_TASK] = {.name = "task iterator",
			       .used_for = "registers of blocked threads",
			       .fallback = "/proc/PID/task/TID/syscall: sp and pc only",
			       .since = "5.8"},
	[FEATURE_RUN_TIME] = {.name = "BPF run time",
			      .used_for = "what the probes cost, and the budget",
			      .fallback = "an estimate by hits",
			      .since = "5.8"},
	[FEATURE_SOCK_DIAG] = {.name = "sock_diag",
			       .used_for = "a socket's queues and ages",
			       .fallback = "none: what sockets hold is not told, coverage is incomplete"},
	[FEATURE_VM_READV] = {.name = "process_vm_readv",
			      .used_for = "reading the target without stopping it",
			      .for_writes = true,
			      .for_stalls = true},
	[FEATURE_TASK_STACK] = {.name = "/proc/PID/stack",
				.used_for = "kernel stacks of blocked threads",
				.fallback = "task iterator"},
	[FEATURE_KALLSYMS] = {.name = "/proc/kallsyms",
			      .used_for = "names in kernel stacks",
			      .fallback = "addresses"},
	[FEATURE_WRITES] = {.name = "programs of writes",
			    .used_for = "all of them, loaded as a session loads them",
			    .for_writes = true},
	[FEATURE_STALLS] = {.name = "programs of stalls",
			    .used_for = "all of them, loaded as a session loads them",
			    .for_stalls = true},
	[FEATURE_FRAMING] = {.name = "programs of --framing",
			     .used_for = "RPC names and times from the bytes on the sockets",
			     .fallback = "names by CallMethod"},
};

static void put_aside(struct feature *f)
{
	f->state = FEATURE_REFUSED;
	f->put_aside = true;
	snprintf(f->why, sizeof(f->why), "put aside by CULPRIT_FORCE=%s", force_text());
}

/* Returns what the other probes are to load with. */
static const char *try_btf(struct feature *f, const char *file)
{
	enum btf_source source;
	struct err err = {0};
	const char *path;

	if (btf_choose(file, &path, &source, &err)) {
		f->state = FEATURE_REFUSED;
		f->error = err.code;
		snprintf(f->why, sizeof(f->why), "%s", err.msg);
		snprintf(f->change, sizeof(f->change), "%s", err.hint);
		return NULL;
	}
	if (source == BTF_BUILTIN)
		f->used_for = "relocating the BPF programs (built in: the kernel has none)";
	if (source == BTF_FILE)
		f->used_for = "relocating the BPF programs (from --btf)";
	return path;
}

static void try_engine(struct feature *f, int rc, const struct err *err)
{
	if (!rc)
		return;
	feature_refuse(f, rc);
	snprintf(f->why, sizeof(f->why), "%s", err->msg);
}

static const struct {
	enum feature_id id;
	enum abi_doctor_probe what;
	enum force aside;
} probes[] = {
	{FEATURE_KERNEL_READ, DOCTOR_KERNEL_READ, 0},
	{FEATURE_USER_READ, DOCTOR_USER_READ, 0},
	{FEATURE_RINGBUF, DOCTOR_RING, FORCE_NORINGBUF},
	{FEATURE_PERFBUF, DOCTOR_PERF, 0},
	{FEATURE_UPROBE, DOCTOR_UPROBE, 0},
	{FEATURE_UPROBE_MULTI, DOCTOR_UPROBE_MULTI, FORCE_NOMULTI},
	{FEATURE_COOKIE, DOCTOR_COOKIE, FORCE_NOCOOKIE},
	{FEATURE_URETPROBE, DOCTOR_URETPROBE, 0},
	{FEATURE_WATCHPOINT, DOCTOR_WATCHPOINT, 0},
	{FEATURE_SYSCALL_TP, DOCTOR_SYSCALL_TRACEPOINTS, 0},
	{FEATURE_SOCK_TP, DOCTOR_SOCK_TRACEPOINT, FORCE_NOSOCKTP},
	{FEATURE_KPROBE, DOCTOR_KPROBE, FORCE_NOKPROBE},
	{FEATURE_FENTRY, DOCTOR_FENTRY, FORCE_NOFENTRY},
	{FEATURE_ITER_TASK, DOCTOR_ITER_TASK, FORCE_NOITER},
};

/* An errno alone is not the cause: what can be seen of it. */
static void explain(struct feature f[FEATURE_MAX], const struct node *node)
{
	struct feature *k = &f[FEATURE_KPROBE], *w = &f[FEATURE_WATCHPOINT];

	for (int i = 0; i < FEATURE_MAX; i++)
		feature_explain(&f[i], (enum feature_id)i, node);
	if (k->state == FEATURE_REFUSED && !k->put_aside &&
	    access("/sys/bus/event_source/devices/kprobe", F_OK) &&
	    !access("/sys/bus/event_source/devices", F_OK)) {
		snprintf(k->why, sizeof(k->why), "the kernel is built without kprobes");
		snprintf(k->change, sizeof(k->change), "another kernel");
	}
	if (w->state == FEATURE_REFUSED && w->error == -ENOSPC) {
		snprintf(w->why, sizeof(w->why), "no free debug register");
		snprintf(w->change, sizeof(w->change), "end the debuggers and tracers that use them");
	}
	if (w->state == FEATURE_WORKS && cpu_is_virtual()) {
		w->state = FEATURE_LIMITED;
		snprintf(w->why, sizeof(w->why),
			 "virtual machine: some hypervisors deliver stray traps that kill the target");
		snprintf(w->change, sizeof(w->change), "--allow-vm-watchpoints uses them all the same");
	}
}

/* What this program does not do on this machine, whatever the kernel can. */
static void without_writes(struct feature f[FEATURE_MAX])
{
	static const enum feature_id of_writes[] = {FEATURE_WATCHPOINT, FEATURE_WRITES};

	for (size_t i = 0; arch.no_writes && i < sizeof(of_writes) / sizeof(of_writes[0]); i++) {
		struct feature *one = &f[of_writes[i]];

		one->state = FEATURE_REFUSED;
		snprintf(one->why, sizeof(one->why), "%s", arch.no_writes);
		one->change[0] = '\0';
	}
}

void features_probe(struct feature f[FEATURE_MAX], pid_t pid, const char *btf, const struct node *node)
{
	struct err err = {0};

	memcpy(f, table, sizeof(table));
	btf = try_btf(&f[FEATURE_BTF], btf);
	features_read(f, pid);
	if (forced(FORCE_NOSTATS))
		put_aside(&f[FEATURE_RUN_TIME]);
	for (size_t i = 0; i < sizeof(probes) / sizeof(probes[0]); i++) {
		struct feature *one = &f[probes[i].id];
		bool fired = false;
		int rc;

		if (probes[i].aside && forced(probes[i].aside)) {
			put_aside(one);
			continue;
		}
		rc = feature_try(probes[i].what, btf, &fired);
		if (rc) {
			feature_refuse(one, rc);
		} else if (!fired) {
			one->state = FEATURE_SILENT;
			snprintf(one->why, sizeof(one->why), "attached, but it did not fire");
		}
	}
	try_engine(&f[FEATURE_WRITES], engine_try_writes(btf, &err), &err);
	try_engine(&f[FEATURE_STALLS], engine_try_stalls(btf, &err), &err);
	try_engine(&f[FEATURE_FRAMING], engine_try_framing(btf, &err), &err);
	explain(f, node);
	without_writes(f);
}
