// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/hw_breakpoint.h>
#include <linux/perf_event.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "doctor.skel.h"
#include "proc/maps.h"
#include "trace/features.h"
#include "trace/features_try.h"
#include "trace/force.h"
#include "trace/payload.h"
#include "trace/stalls.h"
#include "trace/writes.h"

static volatile uint64_t watched, value = DOCTOR_VALUE;

/* What the probes are put on. Its first instruction is one that kernels emulate; most they single-step. */
void doctor_trigger(void);
__asm__(".text\n.p2align 4\n.type doctor_trigger, %function\ndoctor_trigger:\n\tnop\n\tret\n.size "
	"doctor_trigger, . - doctor_trigger");

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

static struct bpf_program *program(struct doctor_bpf *s, enum abi_doctor_probe what)
{
	struct bpf_program *const programs[DOCTOR_MAX] = {
		[DOCTOR_UPROBE] = s->progs.on_uprobe,
		[DOCTOR_UPROBE_MULTI] = s->progs.on_uprobe_multi,
		[DOCTOR_URETPROBE] = s->progs.on_uretprobe,
		[DOCTOR_SYSCALL_TRACEPOINTS] = s->progs.on_syscall_tracepoint,
		[DOCTOR_SOCK_TRACEPOINT] = s->progs.on_sock_tracepoint,
		[DOCTOR_KPROBE] = s->progs.on_kprobe,
		[DOCTOR_FENTRY] = s->progs.on_fentry,
		[DOCTOR_ITER_TASK] = s->progs.on_iter_task,
		[DOCTOR_WATCHPOINT] = s->progs.on_watchpoint,
		[DOCTOR_KERNEL_READ] = s->progs.on_kernel_read,
		[DOCTOR_USER_READ] = s->progs.on_user_read,
		[DOCTOR_RING] = s->progs.on_ring,
		[DOCTOR_PERF] = s->progs.on_perf,
		[DOCTOR_COOKIE] = s->progs.on_cookie,
	};

	return programs[what];
}

static struct bpf_link *attach(struct bpf_program *prog, enum abi_doctor_probe what)
{
	LIBBPF_OPTS(bpf_uprobe_opts, uopts, .retprobe = what == DOCTOR_URETPROBE,
		    .bpf_cookie = what == DOCTOR_COOKIE ? DOCTOR_VALUE : 0,
		    .attach_mode = forced(FORCE_NOLINK) ? PROBE_ATTACH_MODE_PERF : PROBE_ATTACH_MODE_DEFAULT);
	LIBBPF_OPTS(bpf_uprobe_multi_opts, mopts);
	unsigned long offset;
	char path[64];
	int rc;

	switch (what) {
	case DOCTOR_SYSCALL_TRACEPOINTS:
	case DOCTOR_KERNEL_READ:
	case DOCTOR_USER_READ:
	case DOCTOR_RING:
	case DOCTOR_PERF:
	case DOCTOR_SOCK_TRACEPOINT:
	case DOCTOR_KPROBE:
	case DOCTOR_FENTRY:
	case DOCTOR_ITER_TASK:
		return bpf_program__attach(prog);
	case DOCTOR_UPROBE_MULTI:
		rc = own_offset(path, &offset);
		mopts.offsets = &offset;
		mopts.cnt = 1;
		if (!rc)
			return bpf_program__attach_uprobe_multi(prog, getpid(), path, NULL, &mopts);
		break;
	default:
		rc = own_offset(path, &offset);
		if (!rc)
			return bpf_program__attach_uprobe_opts(prog, getpid(), path, offset, &uopts);
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
		watched++;
		doctor_trigger();
		poll(NULL, 0, 0);
	}
}

static int on_ring_record(void *ctx, void *data, size_t size)
{
	__u64 *n = ctx;

	*n += size >= sizeof(__u64) && *(__u64 *)data == DOCTOR_VALUE;
	return 0;
}

static void on_perf_record(void *ctx, int cpu, void *data, __u32 size)
{
	__u64 v;

	(void)cpu;
	if (size < sizeof(v))
		return;
	memcpy(&v, data, sizeof(v)); /* not aligned */
	on_ring_record(ctx, &v, sizeof(v));
}

/* The reader of the records that a program sends. */
struct reader {
	struct ring_buffer *ring;
	struct perf_buffer *perf;
	__u64 n;
};

static int reader_open(struct reader *r, const struct doctor_bpf *s, enum abi_doctor_probe what)
{
	if (what == DOCTOR_RING) {
		r->ring = ring_buffer__new(bpf_map__fd(s->maps.ring), on_ring_record, &r->n, NULL);
		return r->ring ? 0 : -errno;
	}
	if (what == DOCTOR_PERF) {
		r->perf = perf_buffer__new(bpf_map__fd(s->maps.perf), 1, on_perf_record, NULL, &r->n, NULL);
		return r->perf ? 0 : -errno;
	}
	return 0;
}

static __u64 reader_close(struct reader *r)
{
	if (r->ring)
		ring_buffer__consume(r->ring);
	if (r->perf)
		perf_buffer__consume(r->perf);
	ring_buffer__free(r->ring);
	perf_buffer__free(r->perf);
	return r->n;
}

static int load(struct doctor_bpf *s, enum abi_doctor_probe what)
{
	struct bpf_program *prog;
	__u32 zero = 0, me = (__u32)getpid();
	__u64 at = (uintptr_t)&value;
	int rc;

	bpf_object__for_each_program(prog, s->obj) bpf_program__set_autoload(prog, prog == program(s, what));
	bpf_map__set_autocreate(s->maps.ring, what == DOCTOR_RING);
	bpf_map__set_autocreate(s->maps.perf, what == DOCTOR_PERF);
	rc = doctor_bpf__load(s);
	if (!rc)
		rc = bpf_map_update_elem(bpf_map__fd(s->maps.self), &zero, &me, BPF_ANY);
	return rc ? rc : bpf_map_update_elem(bpf_map__fd(s->maps.address), &zero, &at, BPF_ANY);
}

int feature_try(enum abi_doctor_probe what, const char *btf, bool *fired)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .btf_custom_path = btf);
	struct doctor_bpf *s = doctor_bpf__open_opts(&opts);
	struct bpf_link *link = NULL;
	struct reader reader = {0};
	__u32 key = what;
	int rc, watch_fd = -1;
	__u64 n = 0;

	if (!s)
		return -errno;
	rc = load(s, what);
	if (!rc)
		rc = reader_open(&reader, s, what);
	if (!rc && what == DOCTOR_WATCHPOINT) {
		watch_fd = watch_open(bpf_program__fd(program(s, what)));
		rc = watch_fd < 0 ? watch_fd : 0;
	} else if (!rc) {
		link = attach(program(s, what), what);
		rc = link ? 0 : -errno;
	}
	if (!rc) {
		trigger(what, link);
		bpf_map_lookup_elem(bpf_map__fd(s->maps.fired), &key, &n);
	}
	n += reader_close(&reader);
	*fired = n > 0;
	if (watch_fd >= 0)
		close(watch_fd);
	bpf_link__destroy(link);
	doctor_bpf__destroy(s);
	return rc;
}

int engine_try_writes(const char *btf, struct err *err)
{
	const struct capacity few = {.objects = 64, .nodes = 64, .pieces = 64};
	struct writes_plan *plan = calloc(1, sizeof(*plan));
	struct writes_trace *t = NULL;
	int rc;

	if (!plan)
		return err_set(err, -ENOMEM, "out of memory");
	rc = writes_trace_open(&t, plan, &few, getpid(), 0, btf, err);
	writes_trace_close(t);
	free(plan);
	return rc;
}

int engine_try_stalls(const char *btf, struct err *err)
{
	const struct stalls_trace_opts opts = {.pid = getpid(), .btf = btf};
	struct stalls_trace *t = NULL;
	int rc = stalls_trace_open(&t, &opts, err);

	if (!rc)
		stalls_trace_close(t);
	return rc;
}

int engine_try_framing(const char *btf, struct err *err)
{
	const struct payload_opts opts = {.pid = getpid(), .btf = btf};
	struct payload *p = NULL;
	int rc = payload_open(&p, &opts, err);

	if (!rc)
		payload_close(p);
	return rc;
}

#define COST_HITS 2000

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000ULL + (uint64_t)t.tv_nsec;
}

double features_uprobe_ns(const char *btf)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .btf_custom_path = btf);
	struct doctor_bpf *s = doctor_bpf__open_opts(&opts);
	struct bpf_link *link = NULL;
	uint64_t begin, best = 0;

	if (s && !load(s, DOCTOR_UPROBE))
		link = attach(s->progs.on_uprobe, DOCTOR_UPROBE);
	/* the best of several: others run on this node too */
	for (int round = 0; link && round < 5; round++) {
		begin = now_ns();
		for (int i = 0; i < COST_HITS; i++)
			doctor_trigger();
		begin = now_ns() - begin;
		if (!best || begin < best)
			best = begin;
	}
	bpf_link__destroy(link);
	doctor_bpf__destroy(s);
	return (double)best / COST_HITS;
}
