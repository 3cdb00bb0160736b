// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* One tiny program per way of attaching. `culprit doctor` loads each alone, attaches it, triggers it and
 * reads the count. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "abi/doctor.h"

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

SEC("tracepoint/syscalls/sys_enter_poll")
int on_tracepoint(void *ctx)
{
	return count(DOCTOR_TRACEPOINT, current_tgid());
}

SEC("raw_tracepoint/sys_enter")
int on_raw_tracepoint(void *ctx)
{
	return count(DOCTOR_RAW_TRACEPOINT, current_tgid());
}

SEC("tracepoint/sock/sock_send_length")
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
