// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/hw_breakpoint.h>
#include <linux/netlink.h>
#include <linux/perf_event.h>
#include <linux/sock_diag.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "../../bpf/abi/doctor.h"
#include "doctor.skel.h"
#include "proc/maps.h"
#include "trace/btf.h"
#include "trace/features.h"

const char *feature_state_name(enum feature_state s)
{
	static const char *const names[] = {"works", "refused", "silent", "limited"};

	return names[s];
}

bool cpu_is_virtual(void)
{
	unsigned a, b, c = 0, d;

	/* CPUID leaf 1, ECX bit 31: set by hypervisors, always 0 on hardware (Intel SDM vol. 2, AMD APM vol.
	 * 3) */
	return __get_cpuid(1, &a, &b, &c, &d) && (c >> 31);
}

static volatile uint64_t watched;

/* What the probes are put on: out of line, with a body that the compiler cannot drop. */
__attribute__((noinline)) static void doctor_trigger(void)
{
	watched++;
	__asm__ volatile("" ::: "memory");
}

static void refuse(struct feature *f, int err)
{
	f->state = FEATURE_REFUSED;
	snprintf(f->why, sizeof(f->why), "%s", strerror(err < 0 ? -err : err));
}

/* doctor_trigger's place in our own file: what a uprobe needs. */
static int own_offset(char path[64], size_t *offset)
{
	struct proc_maps maps;
	const struct proc_map *m;
	int rc = proc_maps_read(&maps, getpid(), NULL);

	if (rc)
		return rc;
	m = proc_maps_find(&maps, (uint64_t)(uintptr_t)doctor_trigger);
	rc = m ? 0 : -ENOENT;
	if (m) {
		snprintf(path, 64, "/proc/self/exe");
		*offset = (uint64_t)(uintptr_t)doctor_trigger - m->start + m->offset;
	}
	proc_maps_deinit(&maps);
	return rc;
}

static int watch_open(int prog_fd)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_BREAKPOINT,
		.size = sizeof(attr),
		.sample_period = 1,
		.bp_type = HW_BREAKPOINT_W,
		.bp_addr = (uint64_t)(uintptr_t)&watched,
		.bp_len = HW_BREAKPOINT_LEN_8,
	};
	int fd = (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (ioctl(fd, PERF_EVENT_IOC_SET_BPF, prog_fd) || ioctl(fd, PERF_EVENT_IOC_ENABLE, 0)) {
		int rc = -errno;

		close(fd);
		return rc;
	}
	return fd;
}

static struct bpf_link *attach(struct bpf_program *prog, enum abi_doctor_probe what)
{
	LIBBPF_OPTS(bpf_uprobe_opts, uopts, .retprobe = what == DOCTOR_URETPROBE);
	LIBBPF_OPTS(bpf_uprobe_multi_opts, mopts);
	unsigned long offset;
	char path[64];
	int rc;

	switch (what) {
	case DOCTOR_UPROBE:
	case DOCTOR_URETPROBE:
		rc = own_offset(path, &offset);
		if (!rc)
			return bpf_program__attach_uprobe_opts(prog, getpid(), path, offset, &uopts);
		break;
	case DOCTOR_UPROBE_MULTI:
		rc = own_offset(path, &offset);
		mopts.offsets = &offset;
		mopts.cnt = 1;
		if (!rc)
			return bpf_program__attach_uprobe_multi(prog, getpid(), path, NULL, &mopts);
		break;
	default:
		return bpf_program__attach(prog);
	}
	errno = -rc;
	return NULL;
}

static void trigger(enum abi_doctor_probe what, const struct bpf_link *link)
{
	char buf[64];
	int sv[2], fd;

	switch (what) {
	case DOCTOR_SOCK_TRACEPOINT:
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv))
			return;
		if (send(sv[0], "x", 1, MSG_NOSIGNAL) < 0) {
			/* then it does not fire, and that is what is reported */
		}
		close(sv[0]);
		close(sv[1]);
		break;
	case DOCTOR_ITER_TASK:
		fd = bpf_iter_create(bpf_link__fd(link));
		while (fd >= 0 && read(fd, buf, sizeof(buf)) > 0)
			;
		if (fd >= 0)
			close(fd);
		break;
	default:
		doctor_trigger();
		poll(NULL, 0, 0);
	}
}

/* Loads program `what` alone, attaches it, triggers it and reads its count. */
static void try_probe(struct feature *f, enum abi_doctor_probe what, const char *prog_name, const char *btf)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .btf_custom_path = btf);
	struct doctor_bpf *skel = doctor_bpf__open_opts(&opts);
	__u32 zero = 0, key = what, me = (__u32)getpid();
	struct bpf_link *link = NULL;
	struct bpf_program *prog;
	int rc, watch_fd = -1;
	__u64 n = 0;

	if (!skel) {
		refuse(f, errno);
		return;
	}
	bpf_object__for_each_program(prog, skel->obj)
		bpf_program__set_autoload(prog, !strcmp(bpf_program__name(prog), prog_name));
	prog = bpf_object__find_program_by_name(skel->obj, prog_name);
	rc = doctor_bpf__load(skel);
	if (!rc)
		rc = bpf_map_update_elem(bpf_map__fd(skel->maps.self), &zero, &me, BPF_ANY);
	if (rc) {
		refuse(f, rc);
		goto out;
	}
	if (what == DOCTOR_WATCHPOINT) {
		watch_fd = watch_open(bpf_program__fd(prog));
		rc = watch_fd < 0 ? watch_fd : 0;
	} else {
		link = attach(prog, what);
		rc = link ? 0 : -errno;
	}
	if (rc) {
		refuse(f, rc);
		goto out;
	}
	trigger(what, link);
	bpf_map_lookup_elem(bpf_map__fd(skel->maps.fired), &key, &n);
	f->state = n ? FEATURE_WORKS : FEATURE_SILENT;
	if (!n)
		snprintf(f->why, sizeof(f->why), "attached, but it did not fire");
out:
	if (watch_fd >= 0)
		close(watch_fd);
	bpf_link__destroy(link);
	doctor_bpf__destroy(skel);
}

/* Returns what the other probes are to load with. */
static const char *try_btf(struct feature *f, const char *file)
{
	enum btf_source source;
	struct err err = {0};
	const char *path;

	if (btf_choose(file, &path, &source, &err)) {
		f->state = FEATURE_REFUSED;
		snprintf(f->why, sizeof(f->why), "%s", err.msg);
		return NULL;
	}
	if (source == BTF_BUILTIN)
		f->used_for = "relocating the BPF programs (built in: the kernel has none)";
	if (source == BTF_FILE)
		f->used_for = "relocating the BPF programs (from --btf)";
	return path;
}

static void try_files(struct feature f[FEATURE_MAX])
{
	struct iovec local, remote;
	uint64_t word = 0;
	int fd;

	fd = bpf_map_create(BPF_MAP_TYPE_RINGBUF, NULL, 0, 0, 4096, NULL);
	if (fd < 0)
		refuse(&f[FEATURE_RINGBUF], fd);
	else
		close(fd);

	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	if (fd < 0)
		refuse(&f[FEATURE_SOCK_DIAG], errno);
	else
		close(fd);

	local = (struct iovec){&word, sizeof(word)};
	remote = (struct iovec){(void *)(uintptr_t)&watched, sizeof(watched)};
	if (process_vm_readv(getpid(), &local, 1, &remote, 1, 0) != sizeof(word))
		refuse(&f[FEATURE_VM_READV], errno);

	fd = open("/proc/self/stack", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, &word, sizeof(word)) < 0)
		refuse(&f[FEATURE_TASK_STACK], errno);
	if (fd >= 0)
		close(fd);
}

static const struct feature table[FEATURE_MAX] = {
	[FEATURE_BTF] = {"kernel BTF", "relocating the BPF programs",
			 "--btf FILE, made by tools/add-btf where the kernel's vmlinux is", true, true},
	[FEATURE_RINGBUF] = {"ring buffer", "events to user space", NULL, true, true},
	[FEATURE_UPROBE] = {"uprobe", "cache functions, mutators, CallMethod", NULL, true, false},
	[FEATURE_UPROBE_MULTI] = {"multi-uprobe", "arming many probes at once", "single uprobes", false,
				  false},
	[FEATURE_URETPROBE] = {"uretprobe", "not used unless asked for", "entry probes", false, false},
	[FEATURE_WATCHPOINT] = {"watchpoint + BPF", "catching the writer in the act",
				"checks at every touch: what and when, not who", false, false},
	[FEATURE_SYSCALL_TP] = {"syscall tracepoints", "poll, recv, send, connect, close",
				"autopsy only: no following", false, false},
	[FEATURE_RAW_TP] = {"raw tracepoints", "low-cost events", "syscall tracepoints", false, false},
	[FEATURE_SOCK_TP] = {"sock tracepoints", "who last sent or read on a socket", "system call exits",
			     false, false},
	[FEATURE_KPROBE] = {"kprobe", "poll and socket functions", "tracepoints", false, false},
	[FEATURE_FENTRY] = {"fentry", "poll and socket functions", "tracepoints", false, false},
	[FEATURE_ITER_TASK] = {"task iterator", "registers of blocked threads",
			       "/proc/PID/task/TID/syscall: sp and pc only", false, false},
	[FEATURE_SOCK_DIAG] = {"sock_diag", "a socket's queues and ages", NULL, false, true},
	[FEATURE_VM_READV] = {"process_vm_readv", "reading the target without stopping it", NULL, true, true},
	[FEATURE_TASK_STACK] = {"/proc/PID/stack", "kernel stacks of blocked threads", "task iterator", false,
				false},
};

/* An errno alone does not help at 3 a.m.: where the cause can be seen, it is named. */
static void explain(struct feature f[FEATURE_MAX])
{
	struct feature *k = &f[FEATURE_KPROBE], *t = &f[FEATURE_FENTRY];

	if (k->state == FEATURE_REFUSED && access("/sys/bus/event_source/devices/kprobe", F_OK))
		snprintf(k->why, sizeof(k->why), "the kernel is built without kprobes");
	if (t->state == FEATURE_REFUSED) {
		size_t n = strlen(t->why);

		snprintf(t->why + n, sizeof(t->why) - n,
			 " when loading or attaching a trampoline on do_sys_poll");
	}
}

void features_probe(struct feature f[FEATURE_MAX], const char *btf)
{
	static const struct {
		enum feature_id id;
		enum abi_doctor_probe what;
		const char *prog;
	} probes[] = {
		{FEATURE_UPROBE, DOCTOR_UPROBE, "on_uprobe"},
		{FEATURE_UPROBE_MULTI, DOCTOR_UPROBE_MULTI, "on_uprobe_multi"},
		{FEATURE_URETPROBE, DOCTOR_URETPROBE, "on_uretprobe"},
		{FEATURE_WATCHPOINT, DOCTOR_WATCHPOINT, "on_watchpoint"},
		{FEATURE_SYSCALL_TP, DOCTOR_TRACEPOINT, "on_tracepoint"},
		{FEATURE_RAW_TP, DOCTOR_RAW_TRACEPOINT, "on_raw_tracepoint"},
		{FEATURE_SOCK_TP, DOCTOR_SOCK_TRACEPOINT, "on_sock_tracepoint"},
		{FEATURE_KPROBE, DOCTOR_KPROBE, "on_kprobe"},
		{FEATURE_FENTRY, DOCTOR_FENTRY, "on_fentry"},
		{FEATURE_ITER_TASK, DOCTOR_ITER_TASK, "on_iter_task"},
	};

	memcpy(f, table, sizeof(table));
	btf = try_btf(&f[FEATURE_BTF], btf);
	try_files(f);
	for (size_t i = 0; i < sizeof(probes) / sizeof(probes[0]); i++)
		try_probe(&f[probes[i].id], probes[i].what, probes[i].prog, btf);
	explain(f);
	if (f[FEATURE_WATCHPOINT].state == FEATURE_WORKS && cpu_is_virtual()) {
		f[FEATURE_WATCHPOINT].state = FEATURE_LIMITED;
		snprintf(f[FEATURE_WATCHPOINT].why, sizeof(f[FEATURE_WATCHPOINT].why),
			 "virtual machine: some hypervisors deliver stray traps that kill the target; "
			 "--allow-vm-watchpoints uses them all the same");
	}
}
