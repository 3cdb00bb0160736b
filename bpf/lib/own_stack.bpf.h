/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Programs on uprobes may be preempted by another thread's hit of the same program on the same CPU.
 * Since 6.13 the kernel gives functions with 64 bytes of stack or more one private stack per program and CPU
 * (bpf_enable_priv_stack in kernel/bpf/verifier.c), made for kprobes, which cannot be preempted: on a
 * preemptible kernel two hits of a uprobe program then overwrite each other's variables. Programs that
 * contain a tail call are left on the kernel stack (has_tail_call in check_max_stack_depth), which is the
 * thread's own. So every program on a uprobe begins with KEEP_OWN_STACK(ctx): a tail call that is never made,
 * in a branch that is dead in every kernel.
 */
#ifndef CULPRIT_OWN_STACK_BPF_H
#define CULPRIT_OWN_STACK_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} no_programs SEC(".maps");

#define KEEP_OWN_STACK(ctx) KEEP_OWN_STACK_BY(ctx, no_programs)

/* By a map of its own: programs that share one must have one way of being attached (since 6.18). */
#define KEEP_OWN_STACK_BY(ctx, map)                                                                          \
	do {                                                                                                 \
		if (!bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_tail_call))                       \
			bpf_tail_call(ctx, &map, 0);                                                         \
	} while (0)

#endif
