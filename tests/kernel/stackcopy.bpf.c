// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* bpf/lib/stack.bpf.h in each kind of program that copies stacks; run by stackcopy.c. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#include "lib/stack.bpf.h"
#include "../tests/kernel/stackcopy.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, COPY_MAX);
	__type(key, __u32);
	__type(value, struct copy);
} copies SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} wanted SEC(".maps"); /* thread id */

static __always_inline void take(__u32 kind, const struct pt_regs *r)
{
	struct copy *c = bpf_map_lookup_elem(&copies, &kind);

	if (!c)
		return;
	stack_regs(&c->stack, r);
	stack_copy(&c->stack);
	c->taken += 1;
}

static __always_inline bool is_wanted(void)
{
	__u32 zero = 0, *tid = bpf_map_lookup_elem(&wanted, &zero);

	return tid && *tid == (__u32)bpf_get_current_pid_tgid();
}

SEC("uprobe")
int at_uprobe(struct pt_regs *ctx)
{
	if (is_wanted())
		take(COPY_UPROBE, ctx);
	return 0;
}

SEC("tracepoint/syscalls/sys_enter_getppid")
int at_tracepoint(void *ctx)
{
	if (is_wanted())
		take(COPY_TRACEPOINT, stack_user_regs());
	return 0;
}

SEC("perf_event")
int at_perf(struct bpf_perf_event_data *ctx)
{
	if (is_wanted())
		take(COPY_PERF, stack_user_regs());
	return 0;
}

/* No memory of another task is to be had here without a sleepable program, only its registers. */
SEC("iter/task")
int at_iter(struct bpf_iter__task *ctx)
{
	struct task_struct *t = ctx->task;
	__u32 zero = 0, kind = COPY_ITER, *tid = bpf_map_lookup_elem(&wanted, &zero);
	struct copy *c = bpf_map_lookup_elem(&copies, &kind);

	if (!t || !tid || !c || (__u32)BPF_CORE_READ(t, pid) != *tid)
		return 0;
	stack_regs(&c->stack, (const struct pt_regs *)bpf_task_pt_regs(t));
	c->taken += 1;
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
