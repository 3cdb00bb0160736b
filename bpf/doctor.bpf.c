// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* One tiny program per way of attaching. `culprit doctor` loads each alone, attaches it, triggers it and
 * reads the count. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#include "lib/compat.bpf.h"
#include "abi/doctor.h"
#include "arch.bpf.h" /* of bpf/arch/MACHINE */

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} self SEC(".maps"); /* tgid that triggers */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, DOCTOR_MAX);
	__type(key, __u32);
	__type(value, __u64);
} fired SEC(".maps");

/* Address of a word of the triggering process that holds DOCTOR_VALUE. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} address SEC(".maps");

/* created only where they are tried */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
} perf SEC(".maps");

static __always_inline int count(__u32 what, __u32 tgid)
{
	__u32 zero = 0, *want = bpf_map_lookup_elem(&self, &zero);
	__u64 *n = bpf_map_lookup_elem(&fired, &what);

	if (n && want && *want == tgid)
		__sync_fetch_and_add(n, 1);
	return 0;
}

static __always_inline __u32 current_tgid(void)
{
	return bpf_get_current_pid_tgid() >> 32;
}

SEC("uprobe")
int on_uprobe(void *ctx)
{
	return count(DOCTOR_UPROBE, current_tgid());
}

SEC("uprobe.multi")
int on_uprobe_multi(void *ctx)
{
	return count(DOCTOR_UPROBE_MULTI, current_tgid());
}

SEC("uretprobe")
int on_uretprobe(void *ctx)
{
	return count(DOCTOR_URETPROBE, current_tgid());
}

/* raw ones, as sessions take them */
SEC("raw_tracepoint/sys_exit")
int on_syscall_tracepoint(void *ctx)
{
	return count(DOCTOR_SYSCALL_TRACEPOINTS, current_tgid());
}

SEC("raw_tracepoint/sock_send_length")
int on_sock_tracepoint(void *ctx)
{
	return count(DOCTOR_SOCK_TRACEPOINT, current_tgid());
}

SEC("kprobe/do_sys_poll")
int on_kprobe(void *ctx)
{
	return count(DOCTOR_KPROBE, current_tgid());
}

SEC("fentry/do_sys_poll")
int on_fentry(void *ctx)
{
	return count(DOCTOR_FENTRY, current_tgid());
}

SEC("iter/task")
int on_iter_task(struct bpf_iter__task *ctx)
{
	struct task_struct *t = ctx->task;

	return t ? count(DOCTOR_ITER_TASK, t->tgid) : 0;
}

SEC("perf_event")
int on_watchpoint(void *ctx)
{
	return count(DOCTOR_WATCHPOINT, current_tgid());
}

SEC("raw_tracepoint/sys_enter")
int on_kernel_read(void *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	__u32 tgid = current_tgid();

	return (__u32)BPF_CORE_READ(task, tgid) == tgid ? count(DOCTOR_KERNEL_READ, tgid) : 0;
}

SEC("raw_tracepoint/sys_enter")
int on_user_read(void *ctx)
{
	__u32 zero = 0;
	__u64 *from = bpf_map_lookup_elem(&address, &zero), v = 0;

	if (!from || bpf_probe_read_user(&v, sizeof(v), (void *)*from) || v != DOCTOR_VALUE)
		return 0;
	return count(DOCTOR_USER_READ, current_tgid());
}

/* By the process that triggers it. */
static __always_inline bool triggered(void)
{
	__u32 zero = 0, *want = bpf_map_lookup_elem(&self, &zero);

	return want && *want == current_tgid();
}

/* What follows sends records; user space counts those that arrive. */
SEC("raw_tracepoint/sys_enter")
int on_ring(void *ctx)
{
	__u64 v = DOCTOR_VALUE;

	if (!triggered())
		return 0;
	bpf_ringbuf_output(&ring, &v, sizeof(v), 0);
	return 0;
}

SEC("raw_tracepoint/sys_enter")
int on_perf(void *ctx)
{
	__u64 v = DOCTOR_VALUE;

	if (!triggered())
		return 0;
	bpf_perf_event_output(ctx, &perf, BPF_F_CURRENT_CPU, &v, sizeof(v));
	return 0;
}

SEC("uprobe")
int on_cookie(void *ctx)
{
	return bpf_get_attach_cookie(ctx) == DOCTOR_VALUE ? count(DOCTOR_COOKIE, current_tgid()) : 0;
}
