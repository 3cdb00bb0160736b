/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Copy user registers (DWARF order) and the readable prefix of the user stack into struct abi_stack. */
#ifndef CULPRIT_STACK_BPF_H
#define CULPRIT_STACK_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#include "../abi/stack.h"
#include "arch.bpf.h" /* of bpf/arch/MACHINE */

#define STACK_CHUNK 4096
#define STACK_PAGES (ABI_STACK_BYTES / STACK_CHUNK)
#define STACK_LAST  (ABI_STACK_BYTES - STACK_CHUNK)

static __always_inline void stack_regs(struct abi_stack *s, const struct pt_regs *r)
{
#define STACK_REG(n, member) s->reg[n] = BPF_CORE_READ(r, member);
	ARCH_REGS(STACK_REG)
#undef STACK_REG
}

/* Its size is that of a kernel stack. Kernels that have bpf_task_pt_regs need not have it, and some older
 * ones name it nowhere. */
union thread_union___old {
	unsigned long stack[1];
} __attribute__((preserve_access_index));

/*
 * The registers that a thread had in user space when it entered the kernel: complete for a system call, an
 * interrupt and an exception alike. NULL if not known, as for a kernel thread. They stand at the end of the
 * kernel stack; bpf_task_pt_regs knows the padding that FRED (6.9) put behind them, and kernels older than
 * this helper (5.15) have none. There the registers prove the place: they must be those of user mode.
 * task must be a pointer that the verifier knows where the helper exists.
 */
static __always_inline const struct pt_regs *stack_task_regs(struct task_struct *task)
{
	__u64 size = ARCH_THREAD_SIZE;
	const struct pt_regs *r;

	if (bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_task_pt_regs))
		return (const struct pt_regs *)bpf_task_pt_regs(task);
	if (bpf_core_type_exists(union thread_union___old))
		size = bpf_core_type_size(union thread_union___old);
	r = (const struct pt_regs *)((__u64)BPF_CORE_READ(task, stack) + size -
				     bpf_core_type_size(struct pt_regs));
	return arch_of_user(r) ? r : NULL;
}

/* Those of the current thread. Loads and gives the right registers in tracepoint, uprobe and perf_event
 * programs. */
static __always_inline const struct pt_regs *stack_user_regs(void)
{
	if (bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_task_pt_regs))
		return stack_task_regs(bpf_get_current_task_btf());
	return stack_task_regs((struct task_struct *)bpf_get_current_task());
}

/*
 * The readable prefix of the user stack above sp, page by page, so that a stack that ends (or a page that is
 * not resident) costs the tail only. s->reg[] must be filled. Each read has a bound of its own that the
 * verifier can see: the rest of the first page, whole pages after it, and at last the last 4 KiB of the copy
 * once more at a fixed place.
 */
static __always_inline void stack_copy(struct abi_stack *s)
{
	__u64 sp = s->reg[ABI_REG_SP];
	__u64 first = (~sp & (STACK_CHUNK - 1)) + 1;
	__u8 *rest = s->data + first;
	__u64 done = 0;

	ADDRESS_NOW(rest);
	s->flags = ABI_STACK_NONE;
	s->len = 0;
	if (bpf_probe_read_user(s->data, first, (void *)sp))
		return;
	s->flags = 0;
	done = first;
	for (int i = 0; i < STACK_PAGES - 1; i++) {
		if (bpf_probe_read_user(rest + i * STACK_CHUNK, STACK_CHUNK, (void *)(sp + done))) {
			s->len = done;
			return;
		}
		done += STACK_CHUNK;
	}
	if (done < ABI_STACK_BYTES &&
	    bpf_probe_read_user(s->data + STACK_LAST, STACK_CHUNK, (void *)(sp + STACK_LAST))) {
		/* the failed read has wiped its destination, whose first bytes are a known page's */
		s->len = STACK_LAST;
		first = (~*(volatile __u64 *)&s->reg[ABI_REG_SP] & (STACK_CHUNK - 1)) +
			1; /* with its bound */
		if (!bpf_probe_read_user(s->data + STACK_LAST, first, (void *)(sp + STACK_LAST)))
			s->len = done;
		return;
	}
	s->len = ABI_STACK_BYTES;
	s->flags = ABI_STACK_TRUNCATED;
}

#endif
